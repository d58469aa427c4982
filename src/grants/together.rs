//! Who holds together what rules of separation keep apart: found before the rules, given by birthright, or written past Tenure.

use sqlx::PgConnection;

use crate::catalog::Separation;
use crate::db::ByKey;
use crate::ids::PersonId;

/// Somebody who holds what a rule keeps apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Together {
    pub person: PersonId,
    pub person_name: String,
    pub rule: String,
    /// What somebody could do who held both.
    pub reason: String,
    pub one: String,
    pub other: String,
}

impl Together {
    /// "enter and release payments: Payments (create) and Payments (release)"
    pub fn words(&self) -> String {
        format!("{}: {} and {}", self.rule, self.one, self.other)
    }
}

/// Pairs that are held together, by everybody whose grants and accounts the two conditions let through.
macro_rules! held {
    ($grants:literal, $accounts:literal, $($value:expr),*) => {
        sqlx::query_as!(
            Row,
            r#"with held as materialized (
                   select g.person, g.entitlement from access_grant g
                    where g.ended_at is null and g.entitlement = any ($2::uuid[] || $3::uuid[]) and "#
                + $grants
                + r#"
                   union
                   select a.person, e.id
                     from entitlement e
                     join membership m on m.system = e.system and m.group_id = e.native_id
                     join account a on a.system = m.system and a.native_id = m.member_id and a.gone_at is null
                    where e.kind = 'group_membership' and e.id = any ($2::uuid[] || $3::uuid[]) and "#
                + $accounts
                + r#"
               )
               select p.id as "person: PersonId", p.display_name as person_name, k.at as "at!", x.name as one, y.name as other
                 from unnest($1::integer[], $2::uuid[], $3::uuid[]) as k (at, one, other)
                 join held l on l.entitlement = k.one
                 join held r on r.entitlement = k.other and r.person = l.person
                 join person p on p.id = l.person
                 join entitlement x on x.id = k.one
                 join entitlement y on y.id = k.other
                order by p.display_name, p.id, k.at, x.name, y.name"#,
            $($value),*
        )
    };
}

struct Row {
    person: PersonId,
    person_name: String,
    at: i32,
    one: String,
    other: String,
}

/// Who holds together what those rules keep apart, by name; or what that person does. Grants that stand count, and memberships
/// as the mirror sees them.
///
/// # Errors
/// Where the database does not answer.
pub async fn together(
    conn: &mut PgConnection,
    rules: &Separation,
    of: Option<PersonId>,
) -> Result<Vec<Together>, sqlx::Error> {
    if rules.rules.is_empty() {
        return Ok(Vec::new());
    }
    let (mut at, mut one, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for (place, rule) in (0i32..).zip(&rules.rules) {
        for left in &rule.one {
            for right in &rule.other {
                at.push(place);
                one.push(left.0);
                other.push(right.0);
            }
        }
    }
    let rows = match of {
        Some(person) => {
            let mut conn = ByKey::begin(conn).await?;
            let rows =
                held!("g.person = $4", "a.person = $4", &at, &one, &other, person.0).fetch_all(&mut *conn).await?;
            conn.end().await?;
            rows
        }
        None => held!("true", "a.person is not null", &at, &one, &other).fetch_all(conn).await?,
    };
    let rule = |at: i32| usize::try_from(at).ok().and_then(|at| rules.rules.get(at));
    let found = rows.into_iter().map(|row| Together {
        person: row.person,
        person_name: row.person_name,
        rule: rule(row.at).map(|rule| rule.name.clone()).unwrap_or_default(),
        reason: rule(row.at).map(|rule| rule.reason.clone()).unwrap_or_default(),
        one: row.one,
        other: row.other,
    });
    Ok(found.collect())
}
