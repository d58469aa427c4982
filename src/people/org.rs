//! The org chart: who reports to whom.

use sqlx::PgConnection;

use super::{Person, find_many};
use crate::ids::PersonId;

/// Levels followed at most: a circle in the data ends here.
const LEVELS: i32 = 30;

/// A person's manager in the present (else next, else last) employment.
///
/// # Errors
/// Where the database does not answer.
pub async fn manager_of(conn: &mut PgConnection, person: PersonId) -> Result<Option<PersonId>, sqlx::Error> {
    Ok(super::find(conn, person).await?.and_then(|person| person.employment).and_then(|employment| employment.manager))
}

/// Whether somebody reports to a manager, directly or through others.
///
/// # Errors
/// Where the database does not answer.
pub async fn reports_to(conn: &mut PgConnection, person: PersonId, manager: PersonId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"with recursive above (person, level) as (
               select e.manager, 1 from employment e
                where e.person = $1 and e.manager is not null and (e.last_day is null or e.last_day >= current_date)
                union
               select e.manager, a.level + 1 from above a
                 join employment e on e.person = a.person and e.manager is not null
                                  and (e.last_day is null or e.last_day >= current_date)
                where a.level < $3
           )
           select exists (select from above where person = $2) as "reports!""#,
        person.0,
        manager.0,
        LEVELS
    )
    .fetch_one(conn)
    .await
}

/// Those who report to somebody directly, now or soon; by name.
///
/// # Errors
/// Where the database does not answer.
pub async fn team(conn: &mut PgConnection, manager: PersonId) -> Result<Vec<Person>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        r#"select distinct e.person as "person: PersonId"
             from employment e join person p on p.id = e.person and p.state in ('active', 'expected')
            where e.manager = $1 and (e.last_day is null or e.last_day >= current_date)"#,
        manager.0
    )
    .fetch_all(&mut *conn)
    .await?;
    find_many(conn, &ids).await
}

/// A line of the org chart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reports {
    pub id: PersonId,
    pub display_name: String,
    pub title: String,
    pub department: String,
    pub site: String,
    /// How many report to them directly.
    pub reports: i64,
}

/// Somebody, everybody above them up to the top, and those who report to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// From the top down to the person themselves.
    pub line: Vec<Reports>,
    pub below: Vec<Reports>,
}

/// The org chart around somebody; without anybody: those who report to nobody, with their reports counted.
///
/// # Errors
/// Where the database does not answer.
pub async fn org(conn: &mut PgConnection, around: Option<PersonId>) -> Result<Branch, sqlx::Error> {
    let Some(person) = around else {
        return Ok(Branch { line: Vec::new(), below: reports(conn, None).await? });
    };
    let mut line = vec![person];
    while let Some(manager) = manager_of(conn, line[line.len() - 1]).await? {
        if line.contains(&manager) || line.len() > 30 {
            break;
        }
        line.push(manager);
    }
    line.reverse();
    let mut known = lines(conn, &line).await?;
    let line = line
        .iter()
        .filter_map(|id| known.iter().position(|one| one.id == *id).map(|at| known.swap_remove(at)))
        .collect();
    Ok(Branch { line, below: reports(conn, Some(person)).await? })
}

async fn reports(conn: &mut PgConnection, manager: Option<PersonId>) -> Result<Vec<Reports>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        r#"select distinct e.person as "person: PersonId"
             from employment e join person p on p.id = e.person and p.state in ('active', 'expected')
            where (e.manager = $1 or ($1::uuid is null and e.manager is null))
              and (e.last_day is null or e.last_day >= current_date)
            limit 500"#,
        manager.map(|manager| manager.0)
    )
    .fetch_all(&mut *conn)
    .await?;
    lines(conn, &ids).await
}

async fn lines(conn: &mut PgConnection, ids: &[PersonId]) -> Result<Vec<Reports>, sqlx::Error> {
    let ids: Vec<uuid::Uuid> = ids.iter().map(|id| id.0).collect();
    sqlx::query_as!(
        Reports,
        r#"select p.id as "id: PersonId", p.display_name, coalesce(e.title, '') as "title!",
                  coalesce(d.name, '') as "department!", coalesce(s.code, '') as "site!",
                  (select count(distinct r.person) from employment r join person q on q.id = r.person and q.state in ('active', 'expected')
                    where r.manager = p.id and (r.last_day is null or r.last_day >= current_date)) as "reports!"
             from person p
             left join lateral (select * from employment e where e.person = p.id order by e.first_day desc limit 1) e on true
             left join department d on d.id = e.department
             left join site s on s.id = e.site
            where p.id = any ($1)
            order by p.display_name, p.id"#,
        &ids
    )
    .fetch_all(conn)
    .await
}
