//! The mirror with a directory that says what the test wants.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, TimeZone as _, Utc};
use sqlx::PgPool;
use tenure::evidence::By;
use tenure::ids::PersonId;
use tenure::mirror::adoption::Rule;
use tenure::mirror::linking::{self, Kind as Whose, Link};
use tenure::mirror::{Refreshed, look, refresh, saw};
use tenure::target::*;
use uuid::Uuid;
use zeroize::Zeroizing;

const SYSTEM: &str = "ad:corp.example.com";

/// A directory whose feed is a list of pieces.
struct Told {
    system: SystemKey,
    pieces: Mutex<VecDeque<Result<Batch, Fault>>>,
    there: Mutex<Vec<Uuid>>,
}

impl Told {
    fn new() -> Self {
        Self { system: SystemKey(SYSTEM.to_owned()), pieces: Mutex::default(), there: Mutex::default() }
    }

    fn say(&self, changed: Vec<Changed>, more: bool) {
        self.there.lock().expect("unpoisoned").extend(changed.iter().filter(|c| c.seen.is_some()).map(|c| c.id));
        let cursor = Uuid::new_v4().as_bytes().to_vec();
        let server = Server { url: "ldaps://dc1".into(), name: "dc1".into(), directory: None };
        let batch = Batch { changed, cursor, more, whole: None, server, at: now() };
        self.pieces.lock().expect("unpoisoned").push_back(Ok(batch));
    }
}

#[async_trait]
impl Connector for Told {
    fn system(&self) -> &SystemKey {
        &self.system
    }
    fn capabilities(&self) -> &'static [Capability] {
        &[]
    }
    async fn server(&self, _: Wish<'_>) -> Result<Server, Fault> {
        unimplemented!("not asked by the mirror")
    }
    async fn observe(&self, _: &Server, _: &Resource) -> Result<Option<Seen>, Fault> {
        unimplemented!("not asked by the mirror")
    }
    async fn ensure(&self, _: &Server, _: &Resource, _: &Difference, _: &Secrets) -> Result<Native, Fault> {
        unimplemented!("the mirror never writes")
    }
    async fn new_password(&self, _: &Server) -> Result<Zeroizing<String>, Fault> {
        unimplemented!("not asked by the mirror")
    }
    async fn changes(&self, cursor: Option<&[u8]>) -> Result<Batch, Fault> {
        let quiet = Batch {
            changed: Vec::new(),
            cursor: cursor.unwrap_or_default().to_vec(),
            more: false,
            whole: None,
            server: Server { url: "ldaps://dc1".into(), name: "dc1".into(), directory: None },
            at: now(),
        };
        self.pieces.lock().expect("unpoisoned").pop_front().unwrap_or(Ok(quiet))
    }
    async fn all_ids(&self) -> Result<Vec<Uuid>, Fault> {
        Ok(self.there.lock().expect("unpoisoned").clone())
    }
}

fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 27, 8, 0, 0).single().expect("a moment")
}

fn object(kind: Kind, state: &[(&str, Value)]) -> ChangedObject {
    ChangedObject {
        kind,
        whole: true,
        state: State(state.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()),
        members_added: Vec::new(),
        members_removed: Vec::new(),
        members_whole: false,
        rights: None,
        native: Native::default(),
    }
}

fn account(id: Uuid, user_name: &str, number: &str) -> Changed {
    let state = [
        ("sAMAccountName", user_name.into()),
        ("displayName", user_name.into()),
        ("employeeID", number.into()),
        ("dn", format!("CN={user_name},OU=Staff").into()),
        ("enabled", true.into()),
        ("accountExpires", "2026-12-31T22:59:59Z".into()),
    ];
    Changed { id, seen: Some(object(Kind::User, &state)) }
}

fn group(id: Uuid, added: &[Uuid], removed: &[Uuid], whole: bool) -> Changed {
    let mut seen = object(Kind::Group, &[("name", "All Hamburg".into()), ("dn", "CN=All Hamburg".into())]);
    (seen.members_added, seen.members_removed, seen.members_whole) = (added.to_vec(), removed.to_vec(), whole);
    Changed { id, seen: Some(seen) }
}

async fn system(pool: &PgPool) {
    sqlx::query("insert into target_system (key, family, name) values ($1, 'ad', 'Active Directory')")
        .bind(SYSTEM)
        .execute(pool)
        .await
        .expect("a system");
}

async fn person(pool: &PgPool, number: &str) -> PersonId {
    let id = PersonId::new();
    sqlx::query(
        "insert into person (id, employee_number, given_name, family_name, display_name, state, source)
         values ($1, $2, 'Lan', 'Nguyễn', 'Nguyễn Lan', 'active', 'seed')",
    )
    .bind(id.0)
    .bind(number)
    .execute(pool)
    .await
    .expect("a person");
    id
}

async fn members(pool: &PgPool, group: Uuid) -> Vec<Uuid> {
    sqlx::query_scalar("select member_id from membership where group_id = $1 order by 1")
        .bind(group)
        .fetch_all(pool)
        .await
        .expect("members")
}

async fn refreshed(pool: &PgPool, told: &Told) -> Refreshed {
    refresh(pool, told, now()).await.expect("refreshed")
}

#[sqlx::test]
async fn accounts_groups_and_memberships_follow_the_feed(pool: PgPool) {
    system(&pool).await;
    let told = Told::new();
    let [lan, bo, all] = [1, 2, 3].map(Uuid::from_u128);
    told.say(vec![group(all, &[lan, bo], &[], true), account(lan, "lan", "E1")], true);
    told.say(vec![account(bo, "bo", "E2")], false);
    let done = refreshed(&pool, &told).await;
    assert_eq!((done.changed, done.gone, done.position), (3, 0, 2));
    assert_eq!(members(&pool, all).await, [lan, bo]);

    told.say(vec![group(all, &[], &[lan], false)], false);
    assert_eq!(refreshed(&pool, &told).await.position, 3);
    assert_eq!(members(&pool, all).await, [bo]);
    assert_eq!(refreshed(&pool, &told).await.position, 3, "nothing new");

    let seen = look::account(&mut pool.acquire().await.expect("a connection"), SYSTEM, lan).await;
    let seen = seen.expect("answered").expect("there");
    assert_eq!((seen.user_name.as_str(), seen.enabled), ("lan", true));
    assert_eq!(seen.expires_at, Utc.with_ymd_and_hms(2026, 12, 31, 22, 59, 59).single());
    assert_eq!(seen.state.get("employeeID"), &Value::text("E1"));

    told.say(vec![Changed { id: lan, seen: None }], false);
    refreshed(&pool, &told).await;
    let seen = look::account(&mut pool.acquire().await.expect("a connection"), SYSTEM, lan).await;
    assert!(seen.expect("answered").expect("rows stay").gone_at.is_some());
}

#[sqlx::test]
async fn what_no_feed_shows_is_found_by_comparing_ids(pool: PgPool) {
    system(&pool).await;
    let told = Told::new();
    let [lan, bo, all] = [1, 2, 3].map(Uuid::from_u128);
    told.say(vec![group(all, &[lan, bo], &[], true), account(lan, "lan", "E1"), account(bo, "bo", "E2")], false);
    refreshed(&pool, &told).await;
    // Deleted in silence, and another appeared in silence.
    *told.there.lock().expect("unpoisoned") = vec![bo, all, Uuid::from_u128(4)];
    assert_eq!(refreshed(&pool, &told).await.gone, 0, "not yet due");
    sqlx::query("update mirror_cursor set compared_at = now() - interval '11 minutes'")
        .execute(&pool)
        .await
        .expect("due");
    let done = refreshed(&pool, &told).await;
    assert_eq!((done.gone, done.more), (1, true));
    assert_eq!(members(&pool, all).await, [bo]);
    let cursor: Option<Vec<u8>> =
        sqlx::query_scalar("select cursor from mirror_cursor").fetch_one(&pool).await.expect("a row");
    assert_eq!(cursor, None, "a new sweep fetches what was missed");
}

#[sqlx::test]
async fn a_piece_is_taken_in_once_whoever_brings_it(pool: PgPool) {
    system(&pool).await;
    let [lan, all] = [1, 2].map(Uuid::from_u128);
    let (one, other) = (Told::new(), Told::new());
    for told in [&one, &other] {
        told.say(vec![account(lan, "lan", "E1"), group(all, &[lan], &[], true)], false);
    }
    let (first, second) = tokio::join!(refresh(&pool, &one, now()), refresh(&pool, &other, now()));
    let position: i64 = sqlx::query_scalar("select position from mirror_cursor").fetch_one(&pool).await.expect("a row");
    first.expect("refreshed");
    second.expect("refreshed");
    assert!((1..=2).contains(&position), "one after another, or one of them thrown away");
    assert_eq!(members(&pool, all).await, [lan]);
}

#[sqlx::test]
async fn an_older_look_does_not_undo_what_the_feed_told(pool: PgPool) {
    system(&pool).await;
    let (id, system) = (Uuid::from_u128(1), SystemKey(SYSTEM.into()));
    let native = |usn: &str| Native { server: Some("dc1".into()), usn: Some(usn.into()), ..Native::default() };
    let state =
        |title: &str| State([("sAMAccountName".to_owned(), "lan".into()), ("title".to_owned(), title.into())].into());
    let mut conn = pool.acquire().await.expect("a connection");
    for (title, usn, kept) in [("Clerk", "99", "Clerk"), ("Lead", "101", "Lead"), ("Clerk", "100", "Lead")] {
        saw(&mut conn, &system, Kind::User, id, &state(title), &native(usn)).await.expect("kept");
        let account = look::account(&mut conn, SYSTEM, id).await.expect("answered").expect("there");
        assert_eq!(account.state.get("title"), &Value::text(kept));
    }
    // Another server counts by itself.
    let other = Native { server: Some("dc2".into()), ..native("7") };
    saw(&mut conn, &system, Kind::User, id, &state("Head"), &other).await.expect("kept");
    let account = look::account(&mut conn, SYSTEM, id).await.expect("answered").expect("there");
    assert_eq!(account.state.get("title"), &Value::text("Head"));
}

#[sqlx::test]
async fn a_silent_directory_is_told_and_forgotten_when_it_answers(pool: PgPool) {
    system(&pool).await;
    let told = Told::new();
    let away = Fault::Retry { after: None, why: "The directory server does not answer.".into() };
    told.pieces.lock().expect("unpoisoned").push_back(Err(away));
    refresh(&pool, &told, now()).await.expect_err("no answer");
    let mut conn = pool.acquire().await.expect("a connection");
    let fresh = look::freshness(&mut conn).await.expect("answered").remove(0);
    assert!(fresh.failing_since.is_some() && fresh.failure.expect("told").contains("does not answer"));
    refreshed(&pool, &told).await;
    let fresh = look::freshness(&mut conn).await.expect("answered").remove(0);
    assert!(fresh.failing_since.is_none() && fresh.looked_at.is_some());
}

#[sqlx::test]
async fn accounts_are_linked_by_rule_and_by_hand_each_with_a_record(pool: PgPool) {
    system(&pool).await;
    let (lan, somebody) = (person(&pool, "E1").await, person(&pool, "E7").await);
    let told = Told::new();
    let [first, second, service] = [1, 2, 3].map(Uuid::from_u128);
    let accounts = vec![account(first, "lan", "E1"), account(second, "x", "?"), account(service, "svc-backup", "")];
    told.say(accounts, false);
    let done = refreshed(&pool, &told).await;
    assert_eq!(done.linked.iter().map(|link| (link.account, link.person)).collect::<Vec<_>>(), [(first, lan)]);

    let mut conn = pool.acquire().await.expect("a connection");
    let system = SystemKey(SYSTEM.into());
    let held = linking::to_adopt(&mut conn, &system, 10).await.expect("answered");
    assert_eq!(held, done.linked, "what it holds is still to become grants");
    linking::adopted(&mut conn, now(), &held[0]).await.expect("said");
    assert_eq!(linking::to_adopt(&mut conn, &system, 10).await.expect("answered"), []);
    linking::adopt_again(&mut conn, &system).await.expect("said");
    assert_eq!(linking::to_adopt(&mut conn, &system, 10).await.expect("answered"), held);
    let waiting = look::unlinked(&mut conn, "", 10).await.expect("answered");
    assert_eq!(waiting.iter().map(|account| account.id).collect::<Vec<_>>(), [second], "the service account is known");

    let by = By { person: Some(somebody.0), via: "person".into(), ..By::default() };
    let link = Link { system: &system, account: second, person: somebody, kind: Whose::Person, rule: Rule::Hand };
    assert!(linking::link(&mut conn, now(), &by, &link).await.expect("linked"));
    assert!(!linking::link(&mut conn, now(), &by, &link).await.expect("answered"), "somebody's already");
    assert!(linking::unlink(&mut conn, now(), &by, (&system, first), "another Lan").await.expect("unlinked"));
    sqlx::query("update mirror_cursor set adopted_at = null").execute(&pool).await.expect("due");
    assert_eq!(refreshed(&pool, &told).await.linked, [], "the rules leave it alone");

    let actions: Vec<String> =
        sqlx::query_scalar("select action from evidence_record where action like 'account.%' order by action")
            .fetch_all(&pool)
            .await
            .expect("records");
    assert_eq!(actions, ["account.classified", "account.linked", "account.linked", "account.unlinked"]);
}

#[sqlx::test]
async fn a_person_who_comes_later_finds_their_account(pool: PgPool) {
    system(&pool).await;
    let told = Told::new();
    let id = Uuid::from_u128(1);
    told.say(vec![account(id, "lan", "E1")], false);
    assert_eq!(refreshed(&pool, &told).await.linked, []);
    let lan = person(&pool, "E1").await;
    let linked = refreshed(&pool, &told).await.linked;
    assert_eq!(linked.iter().map(|link| link.person).collect::<Vec<_>>(), [lan]);
}
