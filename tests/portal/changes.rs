//! A step is done once, whatever happens to the worker, the answer, or the object: every kind of step of this product,
//! every boundary, against a target that fails as told.

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::changes::lease::{Lease, Leased, Terms, lease};
use tenure::changes::perform::{Outcome, perform};
use tenure::changes::secret::Vault;
use tenure::changes::settle::{Settled, settle, superseded};
use tenure::clock::Clock;
use tenure::ids::{ItemId, PersonId, RequestId};
use tenure::plan::{GrantEffect, PlannedStep};
use tenure::target::{Change, Difference, Key, Kind, Presence, Reference, State, SystemKey, Value};
use uuid::Uuid;

use crate::support::pools;
use crate::support::scripted::{Next, Scripted};

const SYSTEM: &str = "ad:test";

pub struct Bench {
    pub pool: PgPool,
    pub owner: PgPool,
    pub target: Scripted,
    vault: Vault,
    request: RequestId,
    item: ItemId,
}

/// Cut the worker here, as a crash would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Leased,
    BeforeSending,
    AfterSending,
    BeforeCommit,
}

impl Bench {
    async fn new(options: PgPoolOptions, connect: PgConnectOptions, steps: &[PlannedStep]) -> Self {
        Self::of(options, connect, SYSTEM, steps).await
    }

    /// A request with one approved item of these steps in that system. Whatever they give is given to its subject.
    pub async fn of(options: PgPoolOptions, connect: PgConnectOptions, system: &str, steps: &[PlannedStep]) -> Self {
        let (owner, pool) = pools(options, connect).await;
        let (request, item) = (RequestId::new(), ItemId::new());
        let person = PersonId::new();
        sqlx::query("insert into person (id, given_name, family_name, display_name, state, source) values ($1, 'A', 'B', 'A B', 'active', 'seed')")
            .bind(person).execute(&owner).await.unwrap();
        sqlx::query("insert into target_system (key, family, name) values ($1, split_part($1, ':', 1), 'Test')")
            .bind(system)
            .execute(&owner)
            .await
            .unwrap();
        sqlx::query(
            "insert into request (id, number, kind, state, title, subject, asked_by, asked_at, answers, nonce)
             values ($1, 1, 'joiner', 'deciding', 'Test', $2, $2, now(), '{}', 'n')",
        )
        .bind(request)
        .bind(person)
        .execute(&owner)
        .await
        .unwrap();
        sqlx::query("insert into item (id, request, ordinal, label, state, digest, basis) values ($1, $2, 1, 'Item', 'approved', 'd', '{}')")
            .bind(item).bind(request).execute(&owner).await.unwrap();
        let mut conn = owner.acquire().await.unwrap();
        let steps: Vec<PlannedStep> = steps
            .iter()
            .cloned()
            .map(|step| PlannedStep { secret: step.secret.map(|(_, from)| (person, from)), ..step })
            .map(|mut step| {
                if let Some(GrantEffect::GiveHere { person: holder, owner, .. }) = &mut step.grant {
                    (*holder, *owner) = (person, Some(person));
                }
                step
            })
            .collect();
        tenure::changes::write(&mut conn, request, &[(item, 1, &steps)]).await.unwrap();
        tenure::changes::unlock(&mut conn, request).await.unwrap();
        Self {
            pool,
            owner,
            target: Scripted::new(system),
            vault: Vault::from_hex(&Vault::generate()).unwrap(),
            request,
            item,
        }
    }

    pub async fn lease(&self) -> Option<Leased> {
        self.lease_run(1).await.pop()
    }

    /// Takes a run of that many steps at most.
    async fn lease_run(&self, most: i64) -> Vec<Leased> {
        let mut tx = self.pool.begin().await.unwrap();
        let terms = Terms { worker: "test", lease_seconds: 60, run: &most };
        let got = lease(&mut tx, Clock::System.now(), terms).await.unwrap();
        if let Lease::Taken(run) = &got {
            tenure::requests::begun(&mut tx, self.request, &[run[0].item]).await.unwrap();
        }
        tx.commit().await.unwrap();
        match got {
            Lease::Taken(run) => run,
            Lease::Nothing | Lease::Passed => vec![],
        }
    }

    pub async fn settle(&self, leased: &Leased, outcome: &Outcome) -> Settled {
        let mut tx = self.pool.begin().await.unwrap();
        let settled = settle(&mut tx, Clock::System.now(), &[(leased, outcome)]).await.unwrap().remove(0);
        if settled == Settled::Superseded {
            tx.rollback().await.unwrap();
            let mut tx = self.pool.begin().await.unwrap();
            superseded(&mut tx, Clock::System.now(), leased).await.unwrap();
            tx.commit().await.unwrap();
        } else {
            tx.commit().await.unwrap();
        }
        settled
    }

    pub async fn perform(&self, leased: &Leased) -> Outcome {
        perform(&self.pool, &self.target, &self.vault, &[leased]).await.remove(0)
    }

    /// Time passes: leases run out, retries are due.
    pub async fn later(&self) {
        sqlx::query("update step set lease_until = now() - interval '1 second' where state = 'running'")
            .execute(&self.owner)
            .await
            .unwrap();
        sqlx::query("update busy set lease_until = now() - interval '1 second'").execute(&self.owner).await.unwrap();
        sqlx::query("update step set due_at = now() where state in ('ready', 'retrying')")
            .execute(&self.owner)
            .await
            .unwrap();
    }

    /// Works until nothing is due; at most so many attempts.
    pub async fn work(&self) {
        for _ in 0..50 {
            self.later().await;
            let Some(leased) = self.lease().await else { return };
            let outcome = self.perform(&leased).await;
            self.settle(&leased, &outcome).await;
        }
        panic!("work does not end");
    }

    pub async fn states(&self) -> Vec<String> {
        sqlx::query_scalar("select state from step where request = $1 order by ordinal")
            .bind(self.request)
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    pub async fn actions(&self) -> Vec<String> {
        sqlx::query_scalar("select action from evidence_record where request = 1 order by seq")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }
}

fn create() -> PlannedStep {
    PlannedStep {
        name: "account".to_owned(),
        system: SystemKey(SYSTEM.to_owned()),
        kind: Kind::User,
        key: Key::New { new: true },
        difference: Difference {
            presence: Some((Presence::Absent, Presence::Present)),
            changes: vec![
                Change { attribute: "cn".into(), from: Value::Null, to: "A B".into() },
                Change { attribute: "enabled".into(), from: Value::Null, to: false.into() },
                Change { attribute: "password".into(), from: Value::Null, to: Value::SEALED },
            ],
        },
        after: vec![],
        not_before: None,
        grant: None,
        secret: Some((PersonId(Uuid::nil()), Clock::System.now())),
        label: "A B".to_owned(),
        why: String::new(),
    }
}

fn change(name: &str, key: Key, after: &[&str], changes: &[(&str, Value, Value)]) -> PlannedStep {
    PlannedStep {
        name: name.to_owned(),
        key,
        difference: Difference {
            presence: None,
            changes: changes
                .iter()
                .map(|(attribute, from, to)| Change {
                    attribute: (*attribute).to_owned(),
                    from: from.clone(),
                    to: to.clone(),
                })
                .collect(),
        },
        after: after.iter().map(|name| (*name).to_owned()).collect(),
        secret: None,
        ..create()
    }
}

fn membership(name: &str, group: Uuid, member: Reference, joins: bool) -> PlannedStep {
    let presence = if joins { (Presence::Absent, Presence::Present) } else { (Presence::Present, Presence::Absent) };
    let after = if matches!(member, Reference::Step { .. }) { vec!["account".to_owned()] } else { vec![] };
    PlannedStep {
        name: name.to_owned(),
        kind: Kind::Membership,
        key: Key::Member { group: Reference::Native(group), member },
        difference: Difference { presence: Some(presence), changes: vec![] },
        after,
        secret: None,
        ..create()
    }
}

fn joiner(group: Uuid) -> Vec<PlannedStep> {
    vec![
        create(),
        change("enable", Key::Step { step: "account".into() }, &["account"], &[("enabled", false.into(), true.into())]),
        membership("all", group, Reference::Step { step: "account".into() }, true),
    ]
}

#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn a_joiners_steps_are_done_in_order_and_recorded(options: PgPoolOptions, connect: PgConnectOptions) {
    let group = Uuid::now_v7();
    let bench = Bench::new(options, connect, &joiner(group)).await;
    bench.work().await;
    assert_eq!(bench.states().await, ["applied", "applied", "applied"]);
    assert_eq!(bench.target.objects(), 1);
    assert_eq!(bench.target.writes(), 3);
    let actions = bench.actions().await;
    assert_eq!(actions.iter().filter(|action| *action == "step.intended").count(), 3);
    assert_eq!(actions.iter().filter(|action| *action == "step.applied").count(), 3);
    let busy: i64 = sqlx::query_scalar("select count(*) from busy").fetch_one(&bench.pool).await.unwrap();
    assert_eq!(busy, 0, "nothing stays taken");
}

/// Kills the worker at every boundary of every kind of step in turn; the next attempt finishes the work.
#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn a_crash_anywhere_loses_and_doubles_nothing(options: PgPoolOptions, connect: PgConnectOptions) {
    let group = Uuid::now_v7();
    let (there, leaver) = (Uuid::now_v7(), Uuid::now_v7());
    let mut steps = joiner(group);
    steps.push(change("unlock", Key::Native { id: there }, &[], &[("locked", true.into(), false.into())]));
    steps.push(change("disable", Key::Native { id: leaver }, &[], &[("enabled", true.into(), false.into())]));
    steps.push(change("move", Key::Native { id: leaver }, &["disable"], &[("parent", "OU=A".into(), "OU=Q".into())]));
    let mut reset =
        change("reset", Key::Native { id: there }, &["unlock"], &[("password", Value::Null, Value::SEALED)]);
    reset.secret = create().secret;
    steps.push(reset);
    let bench = Bench::new(options, connect, &steps).await;
    bench.target.put(there, State([("locked".to_owned(), true.into())].into()));
    bench.target.put(leaver, State([("enabled".to_owned(), true.into()), ("parent".to_owned(), "OU=A".into())].into()));
    let mut cuts = [Cut::Leased, Cut::BeforeSending, Cut::AfterSending, Cut::BeforeCommit].into_iter().cycle();
    let mut crashes = 0;
    let mut crashed_at: std::collections::BTreeMap<(Uuid, u8), ()> = std::collections::BTreeMap::new();
    for _ in 0..200 {
        bench.later().await;
        let Some(leased) = bench.lease().await else { break };
        let cut = cuts.next().unwrap();
        if crashed_at.insert((leased.step.0, cut as u8), ()).is_none() {
            crashes += 1;
            match cut {
                Cut::Leased => {}
                Cut::BeforeSending => {
                    bench.target.script([Next::LostBefore]);
                    bench.perform(&leased).await;
                }
                Cut::AfterSending => {
                    bench.target.script([Next::LostAfter]);
                    bench.perform(&leased).await;
                }
                Cut::BeforeCommit => {
                    bench.perform(&leased).await;
                }
            }
            // A scripted failure that no write met must not meet the next one's.
            continue;
        }
        let outcome = bench.perform(&leased).await;
        bench.settle(&leased, &outcome).await;
    }
    bench.work().await;
    assert!(crashes >= steps.len(), "{crashes} crashes");
    assert!(
        bench.states().await.iter().all(|state| state == "applied" || state == "unchanged"),
        "{:?}",
        bench.states().await
    );
    assert_eq!(bench.target.objects(), 3, "one account was made, not two");
    let made: Uuid =
        sqlx::query_scalar("select resolved from step where name = 'account'").fetch_one(&bench.pool).await.unwrap();
    assert!(bench.target.is_member(group, made));
    assert_eq!(bench.target.object(made).unwrap().get("enabled"), &Value::Bool(true));
    assert_eq!(bench.target.object(leaver).unwrap().get("parent"), &Value::from("OU=Q"));
    // Written once each: account, enable, membership, unlock, disable, move. (A password leaves no readable trace.)
    assert_eq!(bench.target.writes(), 6);
    let passwords: std::collections::BTreeSet<String> = bench.target.passwords().into_iter().collect();
    assert_eq!(passwords.len(), 2, "a repeated attempt sets the same password: one for the account, one for the reset");
    let open: i64 =
        sqlx::query_scalar("select count(*) from attempt where outcome is null").fetch_one(&bench.pool).await.unwrap();
    assert_eq!(open, 0, "every attempt has an outcome");
}

#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn a_run_is_settled_together_and_each_step_behind_its_own_fence(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let member = Uuid::now_v7();
    let joins = ["first", "second", "third"].map(|name| {
        let group = Uuid::now_v7();
        membership(name, group, Reference::Native(member), true)
    });
    let bench = Bench::new(options, connect, &joins).await;
    let run = bench.lease_run(16).await;
    assert_eq!(run.iter().map(|leased| leased.name.as_str()).collect::<Vec<_>>(), ["first", "second", "third"]);
    assert!(bench.lease_run(16).await.is_empty(), "all of it is taken");
    let mut outcomes = Vec::new();
    for leased in &run {
        outcomes.push(bench.perform(leased).await);
    }

    // Another worker takes over the second one.
    for table in
        ["step set lease_until = now() - interval '1 second' where id", "busy set lease_until = now() where step"]
    {
        let text = format!("update {table} = $1");
        sqlx::query(sqlx::AssertSqlSafe(text)).bind(run[1].step.0).execute(&bench.owner).await.unwrap();
    }
    let second = bench.lease().await.unwrap();
    assert_eq!((second.step, second.attempt), (run[1].step, 2));
    let together: Vec<_> = run.iter().zip(&outcomes).collect();
    let mut tx = bench.pool.begin().await.unwrap();
    let settled = settle(&mut tx, Clock::System.now(), &together).await.unwrap();
    assert_eq!(settled, [Settled::Done, Settled::Superseded, Settled::Done]);
    tx.rollback().await.unwrap();
    let mut tx = bench.pool.begin().await.unwrap();
    let settled = settle(&mut tx, Clock::System.now(), &[together[0], together[2]]).await.unwrap();
    assert_eq!(settled, [Settled::Done, Settled::Done]);
    tx.commit().await.unwrap();
    assert_eq!(bench.states().await, ["applied", "running", "applied"]);
    let outcome = bench.perform(&second).await;
    assert_eq!(bench.settle(&second, &outcome).await, Settled::Done);

    assert_eq!(bench.states().await, ["applied", "applied", "applied"]);
    assert_eq!(bench.target.writes(), 3, "each was written once");
    let actions = bench.actions().await;
    let count = |action: &str| actions.iter().filter(|there| *there == action).count();
    assert_eq!((count("step.intended"), count("step.unknown"), count("step.applied")), (4, 1, 3));
    let numbers: Vec<i64> =
        sqlx::query_scalar("select seq from evidence_record where subject = 'request:1' order by id")
            .fetch_all(&bench.pool)
            .await
            .unwrap();
    assert!(numbers.iter().copied().eq(1..=i64::try_from(numbers.len()).unwrap()), "{numbers:?}");
    let busy: i64 = sqlx::query_scalar("select count(*) from busy").fetch_one(&bench.pool).await.unwrap();
    assert_eq!(busy, 0, "nothing stays taken");
}

#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn one_object_is_once_in_a_run(options: PgPoolOptions, connect: PgConnectOptions) {
    let id = Uuid::now_v7();
    let steps = [
        change("unlock", Key::Native { id }, &[], &[("locked", true.into(), false.into())]),
        change("disable", Key::Native { id }, &[], &[("enabled", true.into(), false.into())]),
    ];
    let bench = Bench::new(options, connect, &steps).await;
    bench.target.put(id, State([("locked".to_owned(), true.into()), ("enabled".to_owned(), true.into())].into()));
    for name in ["unlock", "disable"] {
        let run = bench.lease_run(16).await;
        assert_eq!(run.iter().map(|leased| leased.name.as_str()).collect::<Vec<_>>(), [name]);
        let outcome = bench.perform(&run[0]).await;
        assert_eq!(bench.settle(&run[0], &outcome).await, Settled::Done);
    }
    assert_eq!(bench.states().await, ["applied", "applied"]);
}

#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn a_frozen_worker_writes_nothing_when_it_comes_back(options: PgPoolOptions, connect: PgConnectOptions) {
    let bench = Bench::new(options, connect, &[create()]).await;
    let frozen = bench.lease().await.unwrap();
    let stale = bench.perform(&frozen).await;
    bench.later().await;
    let second = bench.lease().await.unwrap();
    assert_eq!(second.attempt, 2);
    assert_eq!(bench.settle(&frozen, &stale).await, Settled::Superseded);
    let state: String = sqlx::query_scalar("select state from step").fetch_one(&bench.pool).await.unwrap();
    assert_eq!(state, "running", "the second attempt still has it");
    let outcome = bench.perform(&second).await;
    assert_eq!(bench.settle(&second, &outcome).await, Settled::Done);
    assert_eq!(bench.target.objects(), 1);
    let actions = bench.actions().await;
    assert!(
        actions.contains(&"step.unknown".to_owned()) && actions.contains(&"step.superseded".to_owned()),
        "{actions:?}"
    );
}

#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn somebody_elses_edit_is_found_and_not_overwritten(options: PgPoolOptions, connect: PgConnectOptions) {
    let account = Uuid::now_v7();
    let step = change("title", Key::Native { id: account }, &[], &[("department", "Sales".into(), "Finance".into())]);
    let bench = Bench::new(options, connect, &[step]).await;
    bench.target.put(account, State([("department".to_owned(), "Legal".into())].into()));
    bench.work().await;
    assert_eq!(bench.states().await, ["drifted"]);
    assert_eq!(bench.target.object(account).unwrap().get("department"), &Value::from("Legal"));
    assert!(bench.actions().await.contains(&"step.drifted".to_owned()));
}

#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn a_refusal_stops_its_chain_and_keeps_what_is_done(options: PgPoolOptions, connect: PgConnectOptions) {
    let group = Uuid::now_v7();
    let bench = Bench::new(options, connect, &joiner(group)).await;
    let leased = bench.lease().await.unwrap();
    let outcome = bench.perform(&leased).await;
    bench.settle(&leased, &outcome).await;
    bench.target.script([Next::Refuse]);
    bench.work().await;
    let states = bench.states().await;
    assert_eq!(states[0], "applied");
    assert_eq!(states.iter().filter(|state| *state == "blocked").count(), 1, "{states:?}");
    assert_eq!(
        states.iter().filter(|state| *state == "applied").count(),
        2,
        "the other step does not wait for it: {states:?}"
    );
    let told: String =
        sqlx::query_scalar("select told from step where state = 'blocked'").fetch_one(&bench.pool).await.unwrap();
    assert_eq!(told, "not allowed");
}

#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn a_target_that_is_down_or_busy_delays_and_loses_nothing(options: PgPoolOptions, connect: PgConnectOptions) {
    let bench = Bench::new(options, connect, &[create()]).await;
    bench.target.down(true);
    let leased = bench.lease().await.unwrap();
    let outcome = bench.perform(&leased).await;
    assert_eq!(bench.settle(&leased, &outcome).await, Settled::Later);
    bench.target.down(false);
    bench.target.script([Next::Busy, Next::Busy]);
    bench.work().await;
    assert_eq!(bench.states().await, ["applied"]);
    assert_eq!(bench.target.objects(), 1);
}

/// Ten workers ask for the same few steps at once: each step has one worker at a time, each object is written once.
#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn workers_side_by_side_do_each_step_once(options: PgPoolOptions, connect: PgConnectOptions) {
    let groups: Vec<Uuid> = (0..12).map(|_| Uuid::now_v7()).collect();
    let member = Uuid::now_v7();
    let steps: Vec<PlannedStep> = groups
        .iter()
        .enumerate()
        .map(|(index, group)| membership(&format!("g{index}"), *group, Reference::Native(member), true))
        .collect();
    let bench = std::sync::Arc::new(Bench::new(options, connect, &steps).await);
    let workers: Vec<_> = (0..10)
        .map(|_| {
            let bench = bench.clone();
            tokio::spawn(async move {
                while let Some(leased) = bench.lease().await {
                    let outcome = bench.perform(&leased).await;
                    bench.settle(&leased, &outcome).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    bench.work().await;
    assert!(bench.states().await.iter().all(|state| state == "applied"), "{:?}", bench.states().await);
    assert_eq!(bench.target.writes(), groups.len());
    let attempts: i64 = sqlx::query_scalar("select count(*) from attempt").fetch_one(&bench.pool).await.unwrap();
    assert_eq!(attempts, 12);
    let _ = bench.item;
}

#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn evidence_and_decisions_cannot_be_changed_by_the_application(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let bench = Bench::new(options, connect, &[create()]).await;
    bench.work().await;
    for statement in [
        "update evidence_record set action = 'x'",
        "delete from evidence_record",
        "truncate evidence_record cascade",
        "update evidence_disclosure set value = null",
        "update decision set comment = 'x'",
        "delete from decision",
    ] {
        let refused = sqlx::query(statement).execute(&bench.pool).await.unwrap_err();
        assert_eq!(refused.as_database_error().and_then(|error| error.code()).as_deref(), Some("42501"), "{statement}");
    }
    // Not even the schema's owner, without first taking the trigger away.
    assert!(sqlx::query("delete from evidence_record").execute(&bench.owner).await.is_err());
    let gaps: i64 = sqlx::query_scalar(
        "select count(*) from (select seq, row_number() over (partition by subject order by seq) as expected from evidence_record) numbered where seq <> expected",
    )
    .fetch_one(&bench.pool)
    .await
    .unwrap();
    assert_eq!(gaps, 0);
}
