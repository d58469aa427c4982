//! What people hold that neither a rule nor a request explains: groups that their accounts were in before Tenure.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::catalog::Birthright;
use crate::ids::{EntitlementId, PersonId};

/// A membership of somebody's account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beyond {
    pub person: PersonId,
    pub person_name: String,
    pub account: Uuid,
    pub user_name: String,
    pub group: String,
    /// In the catalogue; None: the catalogue does not know the group.
    pub entitlement: Option<EntitlementId>,
    pub sox: bool,
}

/// The last of the page before: person's name, account, group.
pub type After = (String, Uuid, String);

/// What a rule gives, as columns of the query: each rule once for each of its entitlements.
#[derive(Default)]
struct Given {
    departments: Vec<Option<String>>,
    sites: Vec<Option<String>>,
    kinds: Vec<Option<String>>,
    entitlements: Vec<Uuid>,
}

impl Given {
    fn by(birthright: &Birthright) -> Self {
        let mut given = Self::default();
        for rule in &birthright.rules {
            for entitlement in &rule.entitlements {
                given.departments.push(rule.when.department.clone());
                given.sites.push(rule.when.site.clone());
                given.kinds.push(rule.when.kind.map(|kind| kind.as_str().to_owned()));
                given.entitlements.push(entitlement.0);
            }
        }
        given
    }
}

/// How many such memberships there are, and of how many people.
///
/// # Errors
/// Where the database does not answer.
pub async fn count(conn: &mut PgConnection, birthright: &Birthright) -> Result<(i64, i64), sqlx::Error> {
    let given = Given::by(birthright);
    let row = sqlx::query!(
        r#"select count(*) as "all!", count(distinct a.person) as "people!"
             from account a
             join membership m on m.system = a.system and m.member_id = a.native_id
             join directory_group g on g.system = m.system and g.native_id = m.group_id and g.gone_at is null
             left join entitlement e on e.system = g.system and e.native_id = g.native_id and e.kind = 'group_membership'
             left join lateral (select * from employment w where w.person = a.person order by w.first_day desc limit 1) w on true
             left join department d on d.id = w.department
             left join site s on s.id = w.site
            where a.person is not null and a.gone_at is null
              and not exists (select from access_grant x where x.person = a.person and x.entitlement = e.id
                                 and x.ended_at is null and x.reason <> 'before_tenure')
              and not exists (select from unnest($1::text[], $2::text[], $3::text[], $4::uuid[]) b (department, site, kind, entitlement)
                               where b.entitlement = e.id and (b.department is null or b.department = d.name)
                                 and (b.site is null or b.site = s.code) and (b.kind is null or b.kind = w.type))"#,
        &given.departments as &[Option<String>],
        &given.sites as &[Option<String>],
        &given.kinds as &[Option<String>],
        &given.entitlements
    )
    .fetch_one(conn)
    .await?;
    Ok((row.all, row.people))
}

/// Such memberships, by person, account and group; `search` looks at names of people, accounts and groups.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(
    conn: &mut PgConnection,
    birthright: &Birthright,
    search: &str,
    (after, limit): (Option<After>, i64),
) -> Result<Vec<Beyond>, sqlx::Error> {
    let given = Given::by(birthright);
    let like = format!("%{}%", search.to_lowercase().replace(['%', '_', '\\', '\0'], ""));
    let (name, account, group) = after.map_or((None, None, None), |(a, b, c)| (Some(a), Some(b), Some(c)));
    sqlx::query_as!(
        Beyond,
        r#"select p.id as "person: PersonId", p.display_name as person_name, a.native_id as account, a.user_name, g.name as "group",
                  e.id as "entitlement?: EntitlementId", coalesce(e.sox, false) as "sox!"
             from account a
             join person p on p.id = a.person
             join membership m on m.system = a.system and m.member_id = a.native_id
             join directory_group g on g.system = m.system and g.native_id = m.group_id and g.gone_at is null
             left join entitlement e on e.system = g.system and e.native_id = g.native_id and e.kind = 'group_membership'
             left join lateral (select * from employment w where w.person = a.person order by w.first_day desc limit 1) w on true
             left join department d on d.id = w.department
             left join site s on s.id = w.site
            where a.gone_at is null
              and not exists (select from access_grant x where x.person = a.person and x.entitlement = e.id
                                 and x.ended_at is null and x.reason <> 'before_tenure')
              and not exists (select from unnest($1::text[], $2::text[], $3::text[], $4::uuid[]) b (department, site, kind, entitlement)
                               where b.entitlement = e.id and (b.department is null or b.department = d.name)
                                 and (b.site is null or b.site = s.code) and (b.kind is null or b.kind = w.type))
              and (lower(p.display_name) like $5 or lower(a.user_name) like $5 or lower(g.name) like $5)
              and ($6::text is null or (p.display_name, a.native_id, g.name) > ($6, $7, $8))
            order by p.display_name, a.native_id, g.name limit $9"#,
        &given.departments as &[Option<String>],
        &given.sites as &[Option<String>],
        &given.kinds as &[Option<String>],
        &given.entitlements,
        like,
        name,
        account,
        group,
        limit
    )
    .fetch_all(conn)
    .await
}
