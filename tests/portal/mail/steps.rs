//! Each kind of step on mailboxes, lists and rights is done once, whatever happens to the worker, the answer or the target;
//! what somebody else changed meanwhile is found, left alone and decided again.

use std::collections::BTreeMap;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::catalog::Held;
use tenure::changes::settle::Settled;
use tenure::ids::PersonId;
use tenure::plan::{GrantEffect, Offer, PlannedStep, RequestKind};
use tenure::target::{Address, Change, Difference, Key, Kind, Presence, Reference, State, SystemKey, Value};
use uuid::Uuid;

use super::{EXCHANGE, Stage, ids, on, state, texts};
use crate::changes::Bench;
use crate::support::scripted::Next;

/// How the first attempt ends.
const ENDS: [&str; 8] =
    ["well", "killed before", "lost before", "lost after", "killed after", "busy", "down", "refused"];

fn step(
    name: &str,
    kind: Kind,
    key: Key,
    presence: Option<(Presence, Presence)>,
    changes: &[(&str, Value, Value)],
) -> PlannedStep {
    let change = |(attribute, from, to): &(&str, Value, Value)| Change {
        attribute: (*attribute).to_owned(),
        from: from.clone(),
        to: to.clone(),
    };
    PlannedStep {
        name: name.to_owned(),
        system: SystemKey(EXCHANGE.to_owned()),
        kind,
        key,
        difference: Difference { presence, changes: changes.iter().map(change).collect() },
        after: vec![],
        not_before: None,
        grant: None,
        secret: None,
        label: name.to_owned(),
        why: String::new(),
    }
}

const MADE: Option<(Presence, Presence)> = Some((Presence::Absent, Presence::Present));
const GOES: Option<(Presence, Presence)> = Some((Presence::Present, Presence::Absent));

fn null(pairs: &[(&'static str, Value)]) -> Vec<(&'static str, Value, Value)> {
    pairs.iter().map(|(name, to)| (*name, Value::Null, to.clone())).collect()
}

fn gives(held: Held, right: &str, name: &str) -> Option<GrantEffect> {
    Some(GrantEffect::GiveHere {
        offer: Offer { held, right: right.to_owned(), name: name.to_owned(), requestable: true },
        owner: None,
        person: PersonId(Uuid::nil()),
        reason_text: String::new(),
        until_on: None,
        until_at: None,
    })
}

/// What is there beforehand.
#[derive(Default)]
struct There {
    objects: Vec<(Uuid, State)>,
    held: Vec<(Address, State)>,
}

/// One step of every sort, each on things of its own.
fn every_sort(end: &str, there: &mut There) -> Vec<PlannedStep> {
    let name = |sort: &str| format!("{sort}/{end}");
    let mut object = |pairs: &[(&str, Value)]| {
        let id = Uuid::now_v7();
        there.objects.push((id, state(pairs)));
        id
    };
    let mailbox = object(&[
        ("hidden", false.into()),
        ("forwardTo", Value::Null),
        ("addresses", texts(&["b@x.example", "a@x.example"])),
    ]);
    let away = object(&[("litigationHold", false.into())]);
    let room = object(&[("type", "room".into())]);
    let list = object(&[("owners", texts(&["b", "a"])), ("moderated", true.into())]);
    let old_list = object(&[("type", "distribution".into())]);
    let (account, group, trustee) = (Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7());
    let permission = |right: &str| Key::Permission {
        object: Reference::Native(mailbox),
        trustee: Reference::Native(trustee),
        right: right.to_owned(),
    };
    let at = |right: &str| Address::Permission { object: mailbox, trustee, right: right.to_owned() };
    let member = |group: Reference, member: Uuid| Key::Member { group, member: Reference::Native(member) };
    there.held.push((at("send_as"), State::default()));
    there.held.push((at("inbox"), state(&[("role", "Reviewer".into())])));
    there.held.push((at("tasks"), state(&[("role", "Reviewer".into())])));
    there.held.push((Address::Member { group, member: account }, State::default()));
    let made =
        null(&[("type", "shared".into()), ("displayName", "B".into()), ("primaryAddress", "b@x.example".into())]);
    let enabled = null(&[("type", "user".into()), ("alias", "b".into())]);
    let reply = null(&[("state", "enabled".into()), ("internal", "Away;\n\"really\"".into())]);
    let booking = null(&[("processing", "auto_accept".into())]);
    // What refers to a step that is refused waits for it; there it refers to what exists.
    let refused = end == "refused";
    let of_step =
        |sort: &str, else_: Uuid| if refused { Key::Native { id: else_ } } else { Key::Step { step: name(sort) } };
    let new_list = if refused { Reference::Native(list) } else { Reference::Step { step: name("list new") } };
    let after = |sort: &str| if refused { vec![] } else { vec![name(sort)] };
    vec![
        step(&name("mailbox new"), Kind::Mailbox, Key::New { new: true }, MADE, &made),
        step(&name("mailbox enabled"), Kind::Mailbox, Key::Native { id: account }, MADE, &enabled),
        step(
            &name("mailbox changed"),
            Kind::Mailbox,
            Key::Native { id: mailbox },
            None,
            &[
                ("hidden", false.into(), true.into()),
                ("forwardTo", Value::Null, "x".into()),
                ("addresses", texts(&["a@x.example", "b@x.example"]), texts(&["c@x.example"])),
            ],
        ),
        step(
            &name("mailbox gone"),
            Kind::Mailbox,
            Key::Native { id: away },
            GOES,
            &[("litigationHold", false.into(), Value::Null)],
        ),
        step(&name("auto reply"), Kind::AutoReply, Key::Native { id: mailbox }, None, &reply),
        PlannedStep {
            after: after("mailbox new"),
            ..step(&name("booking"), Kind::Booking, of_step("mailbox new", room), None, &booking)
        },
        step(&name("list new"), Kind::List, Key::New { new: true }, MADE, &null(&[("displayName", "L".into())])),
        step(
            &name("list changed"),
            Kind::List,
            Key::Native { id: list },
            None,
            &[("owners", texts(&["a", "b"]), texts(&["c"])), ("moderated", true.into(), false.into())],
        ),
        step(&name("list gone"), Kind::List, Key::Native { id: old_list }, GOES, &[]),
        PlannedStep {
            after: after("list new"),
            grant: gives(Held::ListMembership, "", "L"),
            ..step(&name("on the list"), Kind::ListMembership, member(new_list, account), MADE, &[])
        },
        step(&name("off the list"), Kind::ListMembership, member(Reference::Native(group), account), GOES, &[]),
        PlannedStep {
            grant: gives(Held::MailboxPermission, "full_access", "Full access"),
            ..step(
                &name("right given"),
                Kind::MailboxPermission,
                permission("full_access"),
                MADE,
                &null(&[("automapping", true.into())]),
            )
        },
        step(&name("right taken"), Kind::MailboxPermission, permission("send_as"), GOES, &[]),
        PlannedStep {
            grant: gives(Held::FolderPermission, "calendar/Editor", "Calendar: Editor"),
            ..step(
                &name("role given"),
                Kind::FolderPermission,
                permission("calendar"),
                MADE,
                &null(&[("role", "Editor".into())]),
            )
        },
        step(
            &name("role changed"),
            Kind::FolderPermission,
            permission("inbox"),
            None,
            &[("role", "Reviewer".into(), "Editor".into())],
        ),
        step(&name("role taken"), Kind::FolderPermission, permission("tasks"), GOES, &[]),
    ]
}

#[sqlx::test]
async fn every_sort_of_step_is_done_once_however_its_first_attempt_ends(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let mut there = There::default();
    let steps: Vec<PlannedStep> = ENDS.iter().flat_map(|end| every_sort(end, &mut there)).collect();
    let sorts = steps.len() / ENDS.len();
    assert_eq!(sorts, 16);
    let bench = Bench::of(options, connect, EXCHANGE, &steps).await;
    there.objects.iter().for_each(|(id, state)| bench.target.put(*id, state.clone()));
    there.held.iter().for_each(|(address, state)| bench.target.hold(address, state.clone()));
    for round in 0.. {
        assert!(round < 1000, "work does not end");
        bench.later().await;
        let Some(leased) = bench.lease().await else { break };
        let end = leased.name.rsplit('/').next().unwrap().to_owned();
        bench.target.as_told_no_more();
        if leased.attempt > 1 {
            let outcome = bench.perform(&leased).await;
            assert_eq!(bench.settle(&leased, &outcome).await, Settled::Done, "{}: {outcome:?}", leased.name);
            continue;
        }
        match end.as_str() {
            "killed before" => continue,
            "killed after" => drop(bench.perform(&leased).await),
            "down" => bench.target.down(true),
            _ => {}
        }
        if end == "killed after" {
            continue;
        }
        bench.target.script(match end.as_str() {
            "lost before" => Some(Next::LostBefore),
            "lost after" => Some(Next::LostAfter),
            "busy" => Some(Next::Busy),
            "refused" => Some(Next::Refuse),
            _ => None,
        });
        let outcome = bench.perform(&leased).await;
        bench.target.down(false);
        let settled = bench.settle(&leased, &outcome).await;
        match end.as_str() {
            "well" => assert_eq!(settled, Settled::Done, "{}", leased.name),
            "refused" => assert!(matches!(settled, Settled::Stopped { .. }), "{}", leased.name),
            _ => assert_eq!(settled, Settled::Later, "{}", leased.name),
        }
    }
    let rows: Vec<(String, String, i32)> =
        sqlx::query_as("select name, state, attempt from step").fetch_all(&bench.pool).await.unwrap();
    for (name, state, attempts) in &rows {
        let (wanted, tries) = match name.rsplit('/').next().unwrap() {
            "refused" => ("blocked", 1),
            "well" => ("applied", 1),
            _ => ("applied", 2),
        };
        assert_eq!((state.as_str(), *attempts), (wanted, tries), "{name}");
    }
    assert_eq!(bench.target.writes(), sorts * (ENDS.len() - 1), "each was written once, what was refused not at all");
    let open: i64 =
        sqlx::query_scalar("select count(*) from attempt where outcome is null").fetch_one(&bench.pool).await.unwrap();
    assert_eq!(open, 0, "every attempt has an outcome");
    let counts: BTreeMap<String, i64> =
        sqlx::query_as::<_, (String, i64)>("select action, count(*) from evidence_record where request = 1 group by 1")
            .fetch_all(&bench.pool)
            .await
            .unwrap()
            .into_iter()
            .collect();
    let each = i64::try_from(sorts).unwrap();
    assert_eq!(counts["step.applied"], each * 7, "{counts:?}");
    assert_eq!(counts["step.unknown"], each * 4, "{counts:?}");
    assert_eq!(counts["step.postponed"], each * 2, "{counts:?}");
    assert_eq!(counts["step.refused"], each, "{counts:?}");
    // Three sorts give something, once each.
    assert_eq!(counts["grant.started"], 3 * 7, "{counts:?}");
    let held: i64 = sqlx::query_scalar("select count(*) from access_grant where ended_at is null")
        .fetch_one(&bench.pool)
        .await
        .unwrap();
    assert_eq!(held, 3 * 7);
    let busy: i64 = sqlx::query_scalar("select count(*) from busy").fetch_one(&bench.pool).await.unwrap();
    assert_eq!(busy, 0, "nothing stays taken");
}

#[sqlx::test]
async fn what_somebody_else_changed_is_found_and_left_alone(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut there = There::default();
    let steps = every_sort("drift", &mut there);
    let mailbox = there.objects[0].0;
    let away = there.objects[1].0;
    let list = there.objects[3].0;
    let bench = Bench::of(options, connect, EXCHANGE, &steps).await;
    there.objects.iter().for_each(|(id, state)| bench.target.put(*id, state.clone()));
    bench.target.edit(mailbox, "forwardTo", "somebody".into());
    bench.target.edit(away, "litigationHold", true.into());
    bench.target.edit(list, "owners", texts(&["d"]));
    for (address, state_) in &there.held {
        let changed = if state_.0.is_empty() { State::default() } else { state(&[("role", "Owner".into())]) };
        bench.target.hold(address, changed);
    }
    // A role that is there already, another than the one that is given.
    let Key::Permission { trustee: Reference::Native(trustee), .. } = &steps[13].key else { panic!() };
    let calendar = Address::Permission { object: mailbox, trustee: *trustee, right: "calendar".to_owned() };
    bench.target.hold(&calendar, state(&[("role", "Owner".into())]));
    bench.work().await;
    let rows: Vec<(String, String)> =
        sqlx::query_as("select split_part(name, '/', 1), state from step").fetch_all(&bench.pool).await.unwrap();
    for (name, state) in &rows {
        let drifts = ["mailbox changed", "mailbox gone", "list changed", "role given", "role changed"];
        let wanted = if drifts.contains(&name.as_str()) { "drifted" } else { "applied" };
        assert_eq!(state, wanted, "{name}");
    }
    assert_eq!(bench.target.object(mailbox).unwrap().get("forwardTo"), &Value::from("somebody"));
    assert_eq!(bench.target.object(mailbox).unwrap().get("hidden"), &Value::Bool(false), "nothing of it was written");
    assert!(bench.target.object(away).is_some());
    assert_eq!(bench.target.object(list).unwrap().get("owners"), &texts(&["d"]));
    assert_eq!(bench.target.held(&calendar), Some(state(&[("role", "Owner".into())])));
}

/// What drifted is planned again from what the mirror sees then, and decided again.
#[sqlx::test]
async fn what_drifted_is_planned_and_decided_again(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let (anna, ben, emil) =
        (stage.account_id("avogel").await, stage.account_id("bvogt").await, stage.account_id("elang").await);
    let (billing, team) = (Uuid::now_v7(), Uuid::now_v7());
    let name = ("Billing", "billing@example.com");
    stage.sees_mailbox(billing, "shared", name, &[]).await;
    stage.sees_list(team, "Team", &[], &[("owners", ids(&[anna]))]).await;
    let reviewer = state(&[("role", "Reviewer".into())]);
    stage.sees_right(Kind::FolderPermission, (billing, emil, "calendar"), &reviewer).await;
    let mailbox = stage
        .ask(
            company.desk,
            RequestKind::MailboxChange,
            &[("mailbox", "billing"), ("owner", "avogel"), ("name", "Invoices")],
        )
        .await;
    let list = stage.ask(company.desk, RequestKind::ListChange, &[("list", "team"), ("new_owner", "bvogt")]).await;
    let right = stage
        .ask(
            company.desk,
            RequestKind::MailboxAccess,
            &[("person", "elang"), ("mailbox", "billing"), ("owner", "avogel"), ("calendar", "Editor")],
        )
        .await;
    for number in [mailbox, list, right] {
        stage.approve(number).await;
    }
    let before: Vec<String> =
        sqlx::query_scalar("select digest from item order by id").fetch_all(&stage.portal.owner).await.unwrap();
    // Somebody was faster, with something else.
    stage.exchange.edit(billing, "displayName", "Money".into());
    stage.exchange.edit(team, "owners", ids(&[emil]));
    let author = state(&[("role", "Author".into())]);
    stage
        .exchange
        .hold(&Address::Permission { object: billing, trustee: emil, right: "calendar".to_owned() }, author.clone());
    stage.work("select count(*) = 3 from step where state = 'drifted'").await;
    stage.sees_mailbox(billing, "shared", ("Money", name.1), &[]).await;
    stage.sees_list(team, "Team", &[], &[("owners", ids(&[emil]))]).await;
    stage.sees_right(Kind::FolderPermission, (billing, emil, "calendar"), &author).await;
    stage.set("update mirror_cursor set looked_at = now() + interval '1 hour'").await;
    stage.work("select count(*) = 3 from item where state = 'deciding' and replan_after is null").await;
    let from = async |number, step: &str, attribute: &str| {
        stage.step(number, step).await.difference.change(attribute).unwrap().from.clone()
    };
    assert_eq!(from(mailbox, "mailbox", "displayName").await, Value::from("Money"));
    assert_eq!(from(list, "list", "owners").await, ids(&[emil]));
    assert_eq!(from(right, &on("calendar", billing), "role").await, Value::from("Author"));
    let after: Vec<String> =
        sqlx::query_scalar("select digest from item order by id").fetch_all(&stage.portal.owner).await.unwrap();
    assert!(before.iter().zip(&after).all(|(before, after)| before != after), "what was approved was something else");
    for number in [mailbox, list, right] {
        stage.approve(number).await;
        stage.done(number).await;
    }
    assert_eq!(stage.exchange.object(billing).unwrap().get("displayName"), &Value::from("Invoices"));
    assert_eq!(stage.exchange.object(team).unwrap().get("owners"), &ids(&[ben]));
}
