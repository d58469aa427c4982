//! Who holds what, why, until when.
//!
//! A grant is person × entitlement × account × reason × validity. Access exists in a target while at least one grant
//! stands: a step that gives access settles into a grant, a grant's time runs out by itself, and when the last standing
//! one has ended, the access is taken away by a request that cites what it follows from (`requests::expiry`).

pub mod beyond;
mod erase;
pub mod together;

pub use erase::erase;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::evidence::{By, EvidenceError, Facts, Record, Target, action, append, append_all};
use crate::ids::{EntitlementId, PersonId};

/// Why somebody holds something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// A birthright rule.
    Rule,
    /// Asked for and decided.
    Request,
    /// Found when Tenure was introduced.
    BeforeTenure,
    /// Kept by an access review.
    Review,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Rule => "rule",
            Reason::Request => "request",
            Reason::BeforeTenure => "before_tenure",
            Reason::Review => "review",
        }
    }
}

/// A grant about to begin.
#[derive(Debug, Clone)]
pub struct NewGrant {
    pub person: PersonId,
    pub entitlement: EntitlementId,
    /// The account's immutable id.
    pub account: Uuid,
    pub reason: Reason,
    pub reason_text: String,
    pub item: Option<Uuid>,
    /// The request's number, for evidence.
    pub request: Option<i64>,
    /// The last day, and the instant it ends.
    pub until: Option<(NaiveDate, DateTime<Utc>)>,
}

/// A standing grant whose time is over.
#[derive(Debug, Clone)]
pub struct DueGrant {
    pub id: Uuid,
    pub person: PersonId,
    pub entitlement: EntitlementId,
    pub account: Uuid,
    pub item: Option<Uuid>,
    pub until_on: NaiveDate,
}

/// A line of the person page's access table.
#[derive(Debug, Clone)]
pub struct Held {
    pub grant: Uuid,
    pub entitlement: EntitlementId,
    pub name: String,
    pub sox: bool,
    pub account: Uuid,
    pub reason: String,
    pub reason_text: String,
    pub starts_at: DateTime<Utc>,
    pub until_on: Option<NaiveDate>,
    /// The request that it was asked for with, who asked and who decided last.
    pub request: Option<i64>,
    pub asked_by: Option<String>,
    pub decided_by: Option<String>,
}

fn record(action: &'static str, by: &By, grant: &NewGrant, id: Uuid) -> Record {
    Record {
        request: grant.request,
        target: Some(Target {
            system: String::new(),
            kind: "grant".to_owned(),
            id: Some(id.to_string()),
            server: None,
        }),
        detail: Facts::default()
            .plain("entitlement", grant.entitlement.to_string())
            .plain("account", grant.account.to_string())
            .plain("reason", grant.reason.as_str())
            .personal("reason_text", grant.reason_text.clone())
            .plain("until_on", grant.until.map_or(crate::target::Value::Null, |(day, _)| day.to_string().into())),
        ..Record::new(action, format!("person:{}", grant.person), by.clone())
    }
}

/// Begins a grant, once: the same grant of the same item, or the same rule, is not written twice.
///
/// # Errors
/// Where the database refuses.
pub async fn start(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    grant: &NewGrant,
) -> Result<Option<Uuid>, EvidenceError> {
    let id = Uuid::now_v7();
    let inserted = sqlx::query!(
        "insert into access_grant (id, person, entitlement, account, reason, reason_text, item, starts_at, until_on, until_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict do nothing",
        id,
        grant.person.0,
        grant.entitlement.0,
        grant.account,
        grant.reason.as_str(),
        grant.reason_text,
        grant.item,
        now,
        grant.until.map(|(day, _)| day),
        grant.until.map(|(_, at)| at),
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if inserted == 0 {
        return Ok(None);
    }
    append(conn, now, &record(action::GRANT_STARTED, by, grant, id)).await?;
    Ok(Some(id))
}

/// Begins several grants, as [`start`] begins each.
///
/// # Errors
/// Where the database refuses.
pub async fn start_all(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    grants: &[NewGrant],
) -> Result<(), EvidenceError> {
    if grants.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = grants.iter().map(|_| Uuid::now_v7()).collect();
    let of = |value: fn(&NewGrant) -> Uuid| grants.iter().map(value).collect::<Vec<_>>();
    let texts = |value: fn(&NewGrant) -> &str| grants.iter().map(value).collect::<Vec<_>>();
    let begun = sqlx::query_scalar!(
        "insert into access_grant (id, person, entitlement, account, reason, reason_text, item, starts_at, until_on, until_at)
         select id, person, entitlement, account, reason, reason_text, item, $8, until_on, until_at
           from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $9::date[],
                       $10::timestamptz[])
                as given (id, person, entitlement, account, reason, reason_text, item, until_on, until_at)
         on conflict do nothing returning id",
        &ids,
        &of(|grant| grant.person.0),
        &of(|grant| grant.entitlement.0),
        &of(|grant| grant.account),
        &texts(|grant| grant.reason.as_str()) as &[&str],
        &texts(|grant| &grant.reason_text) as &[&str],
        &grants.iter().map(|grant| grant.item).collect::<Vec<_>>() as &[Option<Uuid>],
        now,
        &grants.iter().map(|grant| grant.until.map(|(day, _)| day)).collect::<Vec<_>>() as &[Option<NaiveDate>],
        &grants.iter().map(|grant| grant.until.map(|(_, at)| at)).collect::<Vec<_>>() as &[Option<DateTime<Utc>>],
    )
    .fetch_all(&mut *conn)
    .await?;
    let new = ids.iter().zip(grants).filter(|(id, _)| begun.contains(id));
    let records: Vec<Record> = new.map(|(id, grant)| record(action::GRANT_STARTED, by, grant, *id)).collect();
    append_all(conn, now, &records).await.map(drop)
}

/// The accounts and mailboxes that hold an entitlement.
///
/// # Errors
/// Where the database does not answer.
pub async fn holders(conn: &mut PgConnection, entitlement: EntitlementId) -> Result<Vec<Uuid>, sqlx::Error> {
    sqlx::query_scalar!(
        "select distinct account from access_grant where entitlement = $1 and ended_at is null order by account",
        entitlement.0
    )
    .fetch_all(conn)
    .await
}

/// Ends every standing grant of an account on an entitlement: the access was taken away.
///
/// # Errors
/// Where the database refuses.
pub async fn end_all(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    (account, entitlement): (Uuid, EntitlementId),
    why: &'static str,
    (item, request): (Option<Uuid>, Option<i64>),
) -> Result<u64, EvidenceError> {
    let ended = sqlx::query!(
        "update access_grant set ended_at = $3, ended_why = $4, ended_by_item = $5
          where account = $1 and entitlement = $2 and ended_at is null
        returning id, person",
        account,
        entitlement.0,
        now,
        why,
        item,
    )
    .fetch_all(&mut *conn)
    .await?;
    for grant in &ended {
        let record = Record {
            request,
            target: Some(Target {
                system: String::new(),
                kind: "grant".into(),
                id: Some(grant.id.to_string()),
                server: None,
            }),
            detail: Facts::default()
                .plain("entitlement", entitlement.to_string())
                .plain("account", account.to_string())
                .plain("why", why),
            ..Record::new(action::GRANT_ENDED, format!("person:{}", grant.person), by.clone())
        };
        append(conn, now, &record).await?;
    }
    Ok(ended.len() as u64)
}

/// Ends one grant whose time is over; true where another one still supports the access.
///
/// # Errors
/// Where the database refuses.
pub async fn end_due(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    due: &DueGrant,
) -> Result<bool, EvidenceError> {
    let ended = sqlx::query!(
        "update access_grant set ended_at = $2, ended_why = 'due' where id = $1 and ended_at is null",
        due.id,
        now,
    )
    .execute(&mut *conn)
    .await?
    .rows_affected();
    if ended == 1 {
        let record = Record {
            target: Some(Target {
                system: String::new(),
                kind: "grant".into(),
                id: Some(due.id.to_string()),
                server: None,
            }),
            detail: Facts::default()
                .plain("entitlement", due.entitlement.to_string())
                .plain("account", due.account.to_string())
                .plain("why", "due")
                .plain("until_on", due.until_on.to_string()),
            ..Record::new(action::GRANT_ENDED, format!("person:{}", due.person), by.clone())
        };
        append(conn, now, &record).await?;
    }
    sqlx::query_scalar!(
        r#"select exists (select from access_grant where account = $1 and entitlement = $2 and ended_at is null) as "standing!""#,
        due.account,
        due.entitlement.0,
    )
    .fetch_one(conn)
    .await
    .map_err(Into::into)
}

/// Standing grants whose time is over; locked so that two workers do not end the same one.
///
/// # Errors
/// Where the database does not answer.
pub async fn due(conn: &mut PgConnection, now: DateTime<Utc>, limit: i64) -> Result<Vec<DueGrant>, sqlx::Error> {
    sqlx::query_as!(
        DueGrant,
        r#"select id, person as "person: PersonId", entitlement as "entitlement: EntitlementId", account, item,
                  until_on as "until_on!"
             from access_grant
            where ended_at is null and until_at <= $1
            order by until_at
            limit $2
              for update skip locked"#,
        now,
        limit
    )
    .fetch_all(conn)
    .await
}

/// What a person holds now, by name.
///
/// # Errors
/// Where the database does not answer.
pub async fn held_by(conn: &mut PgConnection, person: PersonId) -> Result<Vec<Held>, sqlx::Error> {
    sqlx::query_as!(
        Held,
        r#"select g.id as "grant", g.entitlement as "entitlement: EntitlementId", e.name, e.sox, g.account, g.reason,
                  g.reason_text, g.starts_at, g.until_on, r.number as "request?", asker.display_name as "asked_by?",
                  (select p.display_name from decision d join person p on p.id = d.person
                    where d.item = g.item and d.verdict = 'approve' order by d.decided_at desc limit 1) as decided_by
             from access_grant g
             join entitlement e on e.id = g.entitlement
             left join item i on i.id = g.item
             left join request r on r.id = i.request
             left join person asker on asker.id = r.asked_by
            where g.person = $1 and g.ended_at is null
            order by e.name, g.starts_at"#,
        person.0
    )
    .fetch_all(conn)
    .await
}

/// Makes grants "before Tenure" of what a newly adopted account already holds and no grant explains.
///
/// # Errors
/// Where the database refuses.
pub async fn adopt(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    person: PersonId,
    (system, account): (&str, Uuid),
) -> Result<u64, EvidenceError> {
    let found = sqlx::query_scalar!(
        r#"select e.id as "id: EntitlementId"
             from membership m
             join entitlement e on e.system = m.system and e.native_id = m.group_id
            where m.system = $1 and m.member_id = $2
              and not exists (select from access_grant g
                               where g.account = m.member_id and g.entitlement = e.id and g.ended_at is null)"#,
        system,
        account
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut made = 0;
    for entitlement in found {
        let grant = NewGrant {
            person,
            entitlement,
            account,
            reason: Reason::BeforeTenure,
            reason_text: String::new(),
            item: None,
            request: None,
            until: None,
        };
        made += u64::from(start(conn, now, by, &grant).await?.is_some());
    }
    Ok(made)
}
