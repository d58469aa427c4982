//! Which roles somebody has: employee always, manager by the org chart, owner by the catalogue, the rest as given.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};

use super::{Role, session};
use crate::evidence::{self, By, Facts, Record, action};
use crate::ids::PersonId;

impl Role {
    /// The role of that word.
    pub fn parse(word: &str) -> Option<Self> {
        [
            Role::Employee,
            Role::Manager,
            Role::Owner,
            Role::Desk,
            Role::DeskLead,
            Role::Security,
            Role::Auditor,
            Role::Administrator,
        ]
        .into_iter()
        .find(|role| role.as_str() == word)
    }

    /// Whether it is given to a person, rather than following from people and catalogue.
    pub fn is_given(self) -> bool {
        !matches!(self, Role::Employee | Role::Manager | Role::Owner)
    }
}

/// What the roles of `person p` follow from, as columns of whatever query reads them: [`of_row`] says which these are.
pub(super) const BASIS: &str = "array(select role from role_holding where person = p.id) as given,
    exists (select from employment e join person q on q.id = e.person
             where e.manager = p.id and (e.last_day is null or e.last_day >= business_day())
               and q.state in ('expected', 'active')) as is_manager,
    exists (select from entitlement where owner = p.id) as is_owner";

/// Whether `person p` has roles at all: somebody who left has none.
pub(super) const HERE: &str = "p.state not in ('left', 'withdrawn', 'erased')";

/// The roles of a person, in the matrix' order, from a row with [`BASIS`]. An auditor is nothing else: whoever reads
/// everything changes nothing. A desk lead is also desk.
pub(super) fn of_row(row: &PgRow) -> Result<Vec<Role>, sqlx::Error> {
    let given: Vec<String> = row.try_get("given")?;
    let given: Vec<Role> = given.iter().filter_map(|word| Role::parse(word)).collect();
    if given.contains(&Role::Auditor) {
        return Ok(vec![Role::Auditor]);
    }
    let mut roles = vec![Role::Employee];
    roles.extend(row.try_get::<bool, _>("is_manager")?.then_some(Role::Manager));
    roles.extend(row.try_get::<bool, _>("is_owner")?.then_some(Role::Owner));
    roles.extend(given.contains(&Role::DeskLead).then_some(Role::Desk));
    roles.extend(given);
    roles.sort_unstable();
    roles.dedup();
    Ok(roles)
}

/// The roles of a person at this moment.
///
/// # Errors
/// Where the database does not answer.
pub async fn effective(conn: &mut PgConnection, person: PersonId) -> Result<Vec<Role>, sqlx::Error> {
    let mut query = QueryBuilder::<Postgres>::new("select ");
    query.push(BASIS).push(" from person p where ").push(HERE).push(" and p.id = ").push_bind(person);
    let row = query.build().fetch_optional(conn).await?;
    row.as_ref().map_or(Ok(Vec::new()), of_row)
}

/// A role that somebody holds.
#[derive(Debug, Clone)]
pub struct Given {
    pub role: Role,
    pub since: DateTime<Utc>,
    /// None: the command line did.
    pub by: Option<String>,
}

/// The roles that were given to a person.
///
/// # Errors
/// Where the database does not answer.
pub async fn given(conn: &mut PgConnection, person: PersonId) -> Result<Vec<Given>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select h.role, h.since, g.display_name as "by?" from role_holding h left join person g on g.id = h.given_by
            where h.person = $1 order by h.role"#,
        person.0
    )
    .fetch_all(conn)
    .await?;
    let given =
        rows.into_iter().filter_map(|row| Some(Given { role: Role::parse(&row.role)?, since: row.since, by: row.by }));
    Ok(given.collect())
}

/// Persons who hold a given role, by name.
///
/// # Errors
/// Where the database does not answer.
pub async fn holders(conn: &mut PgConnection, role: Role) -> Result<Vec<(PersonId, String)>, sqlx::Error> {
    let rows = sqlx::query!(
        "select p.id, p.display_name from person p
          where p.state = 'active' and exists (select from role_holding h where h.person = p.id
                and (h.role = $1 or ($1 = 'desk' and h.role = 'desk_lead')))
          order by p.display_name, p.id",
        role.as_str()
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (PersonId(row.id), row.display_name)).collect())
}

/// Gives a role. The person's sessions end: what they see must fit what they are.
///
/// # Errors
/// Where the database does not answer, or refuses a role that cannot be given.
pub async fn give(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    person: PersonId,
    role: Role,
) -> Result<(), sqlx::Error> {
    let given = sqlx::query!(
        "insert into role_holding (person, role, since, given_by) values ($1, $2, $3, $4) on conflict do nothing",
        person.0,
        role.as_str(),
        now,
        by.person
    )
    .execute(&mut *conn)
    .await?;
    if given.rows_affected() == 1 {
        changed(conn, now, by, person, (action::ROLE_GIVEN, role)).await?;
    }
    Ok(())
}

/// Takes a role away. The person's sessions end.
///
/// # Errors
/// Where the database does not answer.
pub async fn take(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    person: PersonId,
    role: Role,
) -> Result<(), sqlx::Error> {
    let taken = sqlx::query!("delete from role_holding where person = $1 and role = $2", person.0, role.as_str())
        .execute(&mut *conn)
        .await?;
    if taken.rows_affected() == 1 {
        changed(conn, now, by, person, (action::ROLE_TAKEN, role)).await?;
    }
    Ok(())
}

async fn changed(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    person: PersonId,
    (what, role): (&'static str, Role),
) -> Result<(), sqlx::Error> {
    let mut record = Record::new(what, format!("person:{person}"), by.clone());
    record.detail = Facts::default().plain("role", role.as_str());
    evidence::append(conn, now, &record).await?;
    session::end_all(conn, now, by, person, session::Why::RoleChanged).await
}
