//! Nobody decides about themselves, each voice counts once, and an approval is bound to what was seen: in code and schema.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::access::{Actor, delegation, session};
use tenure::ids::{PersonId, RequestNumber};
use tenure::plan::RequestKind;
use tenure::plan::field::Raw;
use tenure::requests::decide::{Deciding, Verdict, decide};
use tenure::requests::submit::{Asked, submit};
use tenure::requests::{self, RequestError, settle};
use uuid::Uuid;

use crate::support::Portal;
use crate::support::company::{Company, rules};

async fn set(options: PgPoolOptions, connect: PgConnectOptions) -> (Portal, Company) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    rules(&portal, &company).await;
    (portal, company)
}

async fn actor(portal: &Portal, person: PersonId) -> Actor {
    let mut conn = portal.owner.acquire().await.unwrap();
    let token = session::open(&mut conn, portal.clock.now(), person, &session::From::default()).await.unwrap();
    Actor::Person(session::resume(&mut conn, &token, None).await.unwrap().unwrap().viewer)
}

async fn joiner(
    portal: &Portal,
    asker: PersonId,
    more: &[(&str, &str)],
    nonce: &str,
) -> Result<RequestNumber, RequestError> {
    let mut pairs = vec![
        ("given_name", "Lan"),
        ("family_name", "Nguyễn"),
        ("type", "employee"),
        ("department", "Finance"),
        ("title", "Accountant"),
        ("site", "Hamburg"),
        ("manager", "mkeller"),
        ("start_on", "2026-11-30"),
    ];
    pairs.extend(more);
    let raw = Raw::from_pairs(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
    let asked = Asked { kind: RequestKind::Joiner, raw, nonce: nonce.to_owned(), sent: None, seen: None };
    submit(&portal.pool, portal.clock.now(), &actor(portal, asker).await, &asked).await
}

async fn deciding(portal: &Portal, number: RequestNumber, item: i32, verdict: Verdict) -> Deciding {
    let mut conn = portal.owner.acquire().await.unwrap();
    let request = requests::find(&mut conn, number).await.unwrap().unwrap();
    let items = requests::items(&mut conn, request.id).await.unwrap();
    let digest = items[usize::try_from(item - 1).unwrap()].digest.clone();
    Deciding { number, item, verdict, digest, comment: "because".to_owned() }
}

/// The stored state is the one that the items' states derive.
async fn agrees(portal: &Portal, number: RequestNumber) {
    let mut conn = portal.owner.acquire().await.unwrap();
    let request = requests::find(&mut conn, number).await.unwrap().unwrap();
    let items = requests::items(&mut conn, request.id).await.unwrap();
    let states: Vec<&str> = items.iter().map(|item| item.state.as_str()).collect();
    assert_eq!(request.state, settle::derive(&states), "{states:?}");
}

#[sqlx::test]
async fn two_hundred_approvals_at_once_are_one(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let number = joiner(&portal, company.manager, &[], "n").await.unwrap();
    let deciding = deciding(&portal, number, 1, Verdict::Approve).await;
    let actor = actor(&portal, company.desk).await;
    let now = portal.clock.now();
    let tries: Vec<_> = (0..200)
        .map(|_| {
            let (pool, actor, deciding) = (portal.pool.clone(), actor.clone(), deciding.clone());
            tokio::spawn(async move { decide(&pool, now, &actor, &deciding).await })
        })
        .collect();
    let mut counted = 0;
    for one in tries {
        counted += u32::from(one.await.unwrap().is_ok());
    }
    let stored: i64 = sqlx::query_scalar("select count(*) from decision").fetch_one(&portal.pool).await.unwrap();
    let recorded: i64 = sqlx::query_scalar("select count(*) from evidence_record where action = 'approval.granted'")
        .fetch_one(&portal.pool)
        .await
        .unwrap();
    assert_eq!((counted, stored, recorded), (1, 1, 1));
    agrees(&portal, number).await;
}

#[sqlx::test]
async fn one_form_sent_twenty_times_is_one_request(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let portal = std::sync::Arc::new(portal);
    let tries: Vec<_> = (0..20)
        .map(|_| {
            let portal = portal.clone();
            tokio::spawn(async move { joiner(&portal, company.manager, &[], "the same").await.unwrap() })
        })
        .collect();
    for one in tries {
        assert_eq!(one.await.unwrap(), RequestNumber(1));
    }
    let made: i64 = sqlx::query_scalar("select count(*) from request").fetch_one(&portal.pool).await.unwrap();
    assert_eq!(made, 1);
}

#[sqlx::test]
async fn nobody_decides_about_what_they_asked_for(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    // The desk asks itself; the desk stage is for somebody else of the desk.
    let number = joiner(&portal, company.desk, &[], "n").await.unwrap();
    let approve = deciding(&portal, number, 1, Verdict::Approve).await;
    let now = portal.clock.now();
    for who in [company.desk, company.admin, company.auditor, company.employee] {
        let actor = actor(&portal, who).await;
        assert!(decide(&portal.pool, now, &actor, &approve).await.is_err());
    }
    // Nor as somebody's stand-in.
    let mut conn = portal.owner.acquire().await.unwrap();
    sqlx::query("insert into delegation (id, person, delegate, from_day, last_day) values ($1, $2, $3, '2026-01-01', '2027-01-01')")
        .bind(Uuid::now_v7()).bind(company.manager).bind(company.desk).execute(&mut *conn).await.unwrap();
    let desk = actor(&portal, company.desk).await;
    assert!(decide(&portal.pool, now, &desk, &approve).await.is_err());
    // The schema refuses it too, whoever writes: a party cannot be made a decider, and a decision wants one.
    let (request, stage, item): (Uuid, Uuid, Uuid) = sqlx::query_as(
        "select i.request, s.id, i.id from stage s join item i on i.id = s.item where s.state = 'open' limit 1",
    )
    .fetch_one(&portal.owner)
    .await
    .unwrap();
    let as_decider = sqlx::query("insert into request_role (request, person, role) values ($1, $2, 'decider')")
        .bind(request)
        .bind(company.desk)
        .execute(&portal.owner)
        .await;
    assert!(as_decider.is_err());
    let decision = sqlx::query(
        "insert into decision (id, stage, item, request, person, stands_for, verdict, digest, decided_at)
         values ($1, $2, $3, $4, $5, $5, 'approve', 'd', now())",
    )
    .bind(Uuid::now_v7())
    .bind(stage)
    .bind(item)
    .bind(request)
    .bind(company.desk)
    .execute(&portal.owner)
    .await;
    assert_eq!(decision.unwrap_err().as_database_error().unwrap().code().as_deref(), Some("23503"));
    agrees(&portal, number).await;
}

#[sqlx::test]
async fn who_owns_it_and_asks_for_it_is_asked_one_step_higher(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    sqlx::query("update entitlement set owner = $1 where id = $2")
        .bind(company.manager)
        .bind(company.ledger)
        .execute(&portal.owner)
        .await
        .unwrap();
    let number = joiner(&portal, company.manager, &[("groups", &company.ledger.to_string())], "n").await.unwrap();
    let (role, reason): (String, String) =
        sqlx::query_as("select s.role, s.reason from stage s join item i on i.id = s.item where i.ordinal = 2 order by s.ordinal limit 1")
            .fetch_one(&portal.pool).await.unwrap();
    let asked: Vec<Uuid> = sqlx::query_scalar("select d.person from stage_decider d join stage s on s.id = d.stage join item i on i.id = s.item where i.ordinal = 2")
        .fetch_all(&portal.pool).await.unwrap();
    assert!(!asked.contains(&company.manager.0), "{role}: {reason}");
    assert!(role == "desk_lead" || !asked.is_empty(), "never approved by default");
    let approve = deciding(&portal, number, 2, Verdict::Approve).await;
    let manager = actor(&portal, company.manager).await;
    assert!(decide(&portal.pool, portal.clock.now(), &manager, &approve).await.is_err());
}

#[sqlx::test]
async fn a_stale_digest_decides_nothing(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let number = joiner(&portal, company.manager, &[], "n").await.unwrap();
    let seen = deciding(&portal, number, 1, Verdict::Approve).await;
    let desk = actor(&portal, company.desk).await;
    let other = Deciding { digest: "0".repeat(64), ..seen.clone() };
    let refused = decide(&portal.pool, portal.clock.now(), &desk, &other).await;
    assert!(matches!(refused, Err(RequestError::Stale)), "{refused:?}");
    let silent = Deciding { verdict: Verdict::Reject, comment: " ".to_owned(), ..seen };
    assert!(matches!(decide(&portal.pool, portal.clock.now(), &desk, &silent).await, Err(RequestError::Fields(_))));
    let stored: i64 = sqlx::query_scalar("select count(*) from decision").fetch_one(&portal.pool).await.unwrap();
    assert_eq!(stored, 0);
}

#[sqlx::test]
async fn one_rejection_does_not_kill_the_rest_but_what_builds_on_it(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let groups = company.ledger.to_string();
    let now = portal.clock.now();
    let first = joiner(&portal, company.manager, &[("groups", &groups)], "1").await.unwrap();
    let owner = actor(&portal, company.owner).await;
    decide(&portal.pool, now, &owner, &deciding(&portal, first, 2, Verdict::Reject).await).await.unwrap();
    let desk = actor(&portal, company.desk).await;
    decide(&portal.pool, now, &desk, &deciding(&portal, first, 1, Verdict::Approve).await).await.unwrap();
    let second = joiner(&portal, company.manager, &[("groups", &groups)], "2").await.unwrap();
    decide(&portal.pool, now, &desk, &deciding(&portal, second, 1, Verdict::Reject).await).await.unwrap();
    let states = async |number: RequestNumber| {
        let states: Vec<String> = sqlx::query_scalar(
            "select i.state from item i join request r on r.id = i.request where r.number = $1 order by i.ordinal",
        )
        .bind(number)
        .fetch_all(&portal.pool)
        .await
        .unwrap();
        states
    };
    assert_eq!(states(first).await, ["approved", "rejected"]);
    assert_eq!(states(second).await, ["rejected", "cancelled"], "no group for an account that will not be");
    agrees(&portal, first).await;
    agrees(&portal, second).await;
    let state: String =
        sqlx::query_scalar("select p.state from person p join request r on r.subject = p.id where r.number = $1")
            .bind(second)
            .fetch_one(&portal.pool)
            .await
            .unwrap();
    assert_eq!(state, "withdrawn");
}

#[sqlx::test]
async fn a_stand_in_decides_and_it_is_said_for_whom(options: PgPoolOptions, connect: PgConnectOptions) {
    let (portal, company) = set(options, connect).await;
    let number = joiner(&portal, company.manager, &[("groups", &company.ledger.to_string())], "n").await.unwrap();
    let today = portal.clock.now().date_naive();
    sqlx::query("insert into delegation (id, person, delegate, from_day, last_day) values ($1, $2, $3, date '2026-11-01', date '2027-12-31')")
        .bind(Uuid::now_v7()).bind(company.owner).bind(company.employee).execute(&portal.owner).await.unwrap();
    let mut conn = portal.owner.acquire().await.unwrap();
    assert!(
        !delegation::delegates_for(&mut conn, company.owner, today + chrono::TimeDelta::days(30))
            .await
            .unwrap()
            .is_empty()
    );
    drop(conn);
    // Business time and the database's: the stand-in's days hold by both.
    portal.clock.set(tenure::clock::Clock::System.now());
    let stand_in = actor(&portal, company.employee).await;
    decide(&portal.pool, portal.clock.now(), &stand_in, &deciding(&portal, number, 2, Verdict::Approve).await)
        .await
        .unwrap();
    let (person, stands_for): (Uuid, Uuid) =
        sqlx::query_as("select person, stands_for from decision").fetch_one(&portal.pool).await.unwrap();
    assert_eq!((person, stands_for), (company.employee.0, company.owner.0));
    let on_behalf: Option<Uuid> =
        sqlx::query_scalar("select on_behalf_of from evidence_record where action = 'approval.granted'")
            .fetch_one(&portal.pool)
            .await
            .unwrap();
    assert_eq!(on_behalf, Some(company.owner.0));
}
