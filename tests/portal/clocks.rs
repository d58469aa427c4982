//! Service clocks: by the calendar of a site, standing still while it waits, counted anew when rules, calendar or priority change.

use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::catalog::{self, ServiceLevels};
use tenure::evidence::By;
use tenure::ids::{PersonId, RequestNumber};
use tenure::people::{self, Calendar};
use tenure::plan::RequestKind;
use tenure::plan::field::Raw;
use tenure::requests::clocks::{Clock, Event, count_again, waits};
use tenure::requests::decide::{Deciding, Verdict, decide};
use tenure::requests::desk::{self, Prioritised};
use tenure::requests::{self, change};

use crate::mail::Stage;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Emil wants to see Anna's calendar, who answers for it.
const CALENDAR: [(&str, &str); 3] = [("person", "elang"), ("mailbox", "avogel"), ("calendar", "Reviewer")];

impl Stage {
    fn goes_on_to(&self, time: &str) {
        self.portal.clock.set(at(time));
    }

    async fn due(&self, number: RequestNumber) -> [Option<DateTime<Utc>>; 2] {
        let (respond_by, resolve_by) = sqlx::query_as("select respond_by, resolve_by from request where number = $1")
            .bind(number.0)
            .fetch_one(&self.portal.owner)
            .await
            .unwrap();
        [respond_by, resolve_by]
    }

    async fn says(&self, who: PersonId, number: RequestNumber, verdict: Verdict) {
        let mut conn = self.portal.owner.acquire().await.unwrap();
        let request = requests::find(&mut conn, number).await.unwrap().unwrap();
        let digest = requests::items(&mut conn, request.id).await.unwrap()[0].digest.clone();
        drop(conn);
        let deciding = Deciding { number, item: 1, verdict, digest, comment: "Why?".to_owned() };
        decide(&self.portal.pool, self.portal.clock.now(), &self.actor(who).await, &deciding).await.unwrap();
    }

    async fn answers_again(&self, who: PersonId, number: RequestNumber, pairs: &[(&str, &str)]) {
        let raw = Raw::from_pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        change::change(&self.portal.pool, self.portal.clock.now(), &self.actor(who).await, number, (&raw, None))
            .await
            .unwrap();
    }

    async fn prioritised(&self, number: RequestNumber, priority: i16) {
        let new = Prioritised { priority, reason: "The board waits" };
        let desk = self.actor(self.company.desk).await;
        desk::prioritise(&self.portal.pool, self.portal.clock.now(), &desk, number, new).await.unwrap();
    }

    async fn counted_again(&self) -> usize {
        count_again(&self.portal.pool, self.portal.clock.now()).await.unwrap()
    }

    /// Hamburg works by that calendar now.
    async fn hamburg(&self, calendar: &Calendar) {
        let mut tx = self.portal.pool.begin().await.unwrap();
        let by = By::routine("test");
        people::site_calendar(&mut tx, self.portal.clock.now(), &by, "Hamburg", calendar).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn levels(&self, change: impl FnOnce(&mut ServiceLevels)) {
        let mut tx = self.portal.pool.begin().await.unwrap();
        let mut levels = catalog::service_levels(&mut tx).await.unwrap().unwrap().body;
        change(&mut levels);
        catalog::release(&mut tx, self.portal.clock.now(), &By::routine("test"), &levels, "").await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Why the clocks moved, oldest first.
    async fn moved_because(&self, number: RequestNumber) -> Vec<String> {
        sqlx::query_scalar(
            "select convert_from(canonical, 'UTF8')::jsonb #>> '{detail,because}' from evidence_record
              where request = $1 and action = 'clock.moved' order by seq",
        )
        .bind(number.0)
        .fetch_all(&self.portal.owner)
        .await
        .unwrap()
    }
}

#[sqlx::test]
async fn clocks_count_the_working_time_of_the_persons_site(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    // Eight hours and forty-eight: a working day, six working days. Monday, nine o'clock.
    let number = stage.ask(company.employee, RequestKind::MailboxAccess, &CALENDAR).await;
    assert_eq!(stage.due(number).await, [Some(at("2026-11-23T16:00:00Z")), Some(at("2026-11-30T16:00:00Z"))]);
    // Asked on Friday evening it is as if on Monday morning; with a break, days are an hour shorter.
    let lunch = serde_json::from_value(serde_json::json!({
        "working_days": ["Mon", "Tue", "Wed", "Thu", "Fri"], "opens": "09:00:00", "closes": "17:00:00",
        "pause": ["12:00:00", "13:00:00"], "holidays": ["2026-12-01"]}))
    .unwrap();
    stage.hamburg(&lunch).await;
    stage.goes_on_to("2026-11-27T19:00:00Z");
    let pairs = [("person", "mkeller"), ("mailbox", "avogel"), ("calendar", "Reviewer")];
    let late = stage.ask(company.manager, RequestKind::MailboxAccess, &pairs).await;
    assert_eq!(stage.due(late).await, [Some(at("2026-12-02T09:00:00Z")), Some(at("2026-12-09T15:00:00Z"))]);
    // An immediate leaver is urgent by night too.
    let leaver = [("person", "bvogt"), ("immediate", "true")];
    let leaver = stage.ask(company.lead, RequestKind::Leaver, &leaver).await;
    assert_eq!(stage.due(leaver).await, [Some(at("2026-11-27T19:05:00Z")), Some(at("2026-11-27T19:15:00Z"))]);
}

#[sqlx::test]
async fn they_stand_still_while_it_waits_for_the_requester(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let number = stage.ask(company.employee, RequestKind::MailboxAccess, &CALENDAR).await;
    stage.goes_on_to("2026-11-24T09:00:00Z");
    stage.says(company.anna, number, Verdict::SendBack).await;
    let answered = Some(at("2026-11-23T16:00:00Z"));
    assert_eq!(stage.due(number).await, [answered, None], "an answer stops the first, and keeps when it was due");

    let desk = stage.portal.browser_of(company.desk).await;
    let page = desk.get(&format!("/requests/{}", number.0)).await;
    let clocks = page.find("#clocks").unwrap();
    assert!(clocks.contains("stands still: waits for the requester"), "{clocks}");
    assert!(clocks.contains("9 h of working time; 1 day 1 h in all"), "{clocks}");
    assert!(clocks.contains("missed by 1 h"), "{clocks}");
    assert!(clocks.contains("Working time of Hamburg"), "{clocks}");
    assert!(page.text.contains("stand still: it waits for the requester"), "the timeline says so");
    assert!(desk.get("/queue").await.text.contains("waits for the requester"));

    // Nine of forty-eight hours were used: thirty-nine are left from Thursday noon.
    stage.goes_on_to("2026-11-26T11:00:00Z");
    let other = [("person", "elang"), ("mailbox", "avogel"), ("calendar", "Editor")];
    stage.answers_again(company.employee, number, &other).await;
    assert_eq!(stage.due(number).await, [answered, Some(at("2026-12-03T10:00:00Z"))]);
    assert_eq!(stage.moved_because(number).await, ["requester", "runs"]);
    // Taken back: what has ended has its time, and is not counted again.
    stage.goes_on_to("2026-11-27T11:00:00Z");
    stage.says(company.anna, number, Verdict::Reject).await;
    stage.levels(|levels| levels.default.resolve_minutes = 9000).await;
    assert_eq!(stage.counted_again().await, 0);
    assert_eq!(stage.due(number).await, [answered, Some(at("2026-12-03T10:00:00Z"))]);
}

#[sqlx::test]
async fn they_stand_still_until_a_day_that_was_planned(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let leaves = [("person", "avogel"), ("last_day", "2026-12-16")];
    let number = stage.ask(company.manager, RequestKind::Leaver, &leaves).await;
    let [_, before] = stage.due(number).await;
    stage.goes_on_to("2026-11-23T10:00:00Z");
    stage.approve(number).await;
    let [_, after] = stage.due(number).await;
    // Two of twenty-four hours were used before it was approved; the rest begins on the morning after.
    let (waits_for, until): (String, DateTime<Utc>) =
        sqlx::query_as("select waits_for, waits_until from request where number = $1")
            .bind(number.0)
            .fetch_one(&stage.portal.owner)
            .await
            .unwrap();
    assert_eq!((waits_for.as_str(), before), ("day", Some(at("2026-11-25T16:00:00Z"))));
    let day = stage.steps(number).await.iter().filter_map(|step| step.not_before).min().unwrap();
    assert_eq!(until, day);
    let calendar = Calendar::default();
    assert_eq!(after, Some(calendar.add(chrono_tz::Europe::Berlin, until, TimeDelta::hours(22))));
    let page = stage.portal.browser_of(company.desk).await.get("/queue").await.text;
    assert!(page.contains("waits until"), "{page}");
}

#[sqlx::test]
async fn a_priority_set_by_hand_counts_from_the_beginning_also_while_it_waits(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let number = stage.ask(company.employee, RequestKind::MailboxAccess, &CALENDAR).await;
    let address = format!("/requests/{}/priority", number.0);
    let desk = stage.portal.browser_of(company.desk).await;
    let page = desk.get(&address).await;
    assert_eq!(page.find("h1").as_deref(), Some("Priority of REQ-000001"));
    let refused = desk.post(&address, &[("priority", "1"), ("reason", " ")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("Say why, so that others can follow"));
    for (person, status) in [(company.employee, StatusCode::FORBIDDEN), (company.auditor, StatusCode::FORBIDDEN)] {
        let browser = stage.portal.browser_of(person).await;
        assert_eq!(browser.post(&address, &[("priority", "1"), ("reason", "Now")]).await.status, status);
    }
    // Critical: half an hour, four hours.
    let done = desk.post(&address, &[("priority", "1"), ("reason", "The board waits")]).await;
    assert_eq!((done.status, done.location()), (StatusCode::SEE_OTHER, "/requests/1"));
    assert_eq!(stage.due(number).await, [Some(at("2026-11-23T08:30:00Z")), Some(at("2026-11-23T12:00:00Z"))]);
    assert_eq!(stage.moved_because(number).await, ["priority"]);
    let page = desk.get("/requests/1").await.text;
    assert!(page.contains("set the priority: 3 normal → 1 critical") && page.contains("The board waits"), "{page}");

    // Sent back after two hours; low while it waits, critical again: as if it had always been so.
    stage.goes_on_to("2026-11-23T10:00:00Z");
    stage.says(company.anna, number, Verdict::SendBack).await;
    stage.prioritised(number, 4).await;
    assert_eq!(stage.due(number).await[1], None);
    stage.goes_on_to("2026-11-25T08:00:00Z");
    stage.prioritised(number, 1).await;
    assert_eq!(stage.due(number).await[1], None, "two of four hours are left when it goes on");
    stage.goes_on_to("2026-11-26T15:00:00Z");
    let other = [("person", "elang"), ("mailbox", "avogel"), ("calendar", "Editor")];
    stage.answers_again(company.employee, number, &other).await;
    assert_eq!(stage.due(number).await[1], Some(at("2026-11-27T09:00:00Z")));
}

#[sqlx::test]
async fn other_levels_and_another_calendar_count_open_requests_anew(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let number = stage.ask(stage.company.employee, RequestKind::MailboxAccess, &CALENDAR).await;
    assert_eq!(stage.counted_again().await, 0, "by what is in force");
    let holidays = vec!["2026-11-24".parse().unwrap(), "2026-11-25".parse().unwrap()];
    stage.hamburg(&Calendar { holidays, ..Calendar::default() }).await;
    assert_eq!((stage.counted_again().await, stage.counted_again().await), (1, 0));
    assert_eq!(stage.due(number).await, [Some(at("2026-11-23T16:00:00Z")), Some(at("2026-12-02T16:00:00Z"))]);
    stage.levels(|levels| levels.default.resolve_minutes = 480).await;
    assert_eq!((stage.counted_again().await, stage.counted_again().await), (1, 0));
    assert_eq!(stage.due(number).await, [Some(at("2026-11-23T16:00:00Z")), Some(at("2026-11-23T16:00:00Z"))]);
    // A version that changes nothing here moves nothing, and says nothing.
    stage.levels(|levels| levels.patience.lapse_days = 20).await;
    assert_eq!(stage.counted_again().await, 1);
    assert_eq!(stage.moved_because(number).await, ["rules", "rules"]);
    // Near its end it is a warning, past it a breach, in working time.
    stage.goes_on_to("2026-11-23T15:00:00Z");
    let clocks = async || {
        let desk = stage.portal.browser_of(stage.company.desk).await;
        let queue = desk.get("/queue").await;
        (desk.get("/requests/1").await.find("#clocks").unwrap(), queue.find(".clock").unwrap(), queue.text)
    };
    let (page, cell, queue) = clocks().await;
    assert!(page.contains("1 h left") && cell == "1 h" && queue.contains("warn-text"), "{page} {cell}");
    stage.goes_on_to("2026-11-26T09:00:00Z");
    let (page, cell, queue) = clocks().await;
    assert!(page.contains("overdue by 1 h") && cell == "overdue by 1 h" && queue.contains("bad-text"), "{page} {cell}");
}

#[sqlx::test]
async fn at_risk_is_what_has_used_most_of_its_working_time_and_runs(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let number = stage.ask(company.employee, RequestKind::MailboxAccess, &CALENDAR).await;
    let desk = stage.portal.browser_of(company.desk).await;
    let at_risk = async |time: &str| {
        stage.goes_on_to(time);
        let queue = desk.get("/queue?view=risk").await;
        let listed = queue.text.contains(&number.to_string());
        let counted = queue.text.contains("1 at risk: 80 % or more of their working time is used");
        let home = desk.get("/").await.text.contains(r#"<strong class="warn">1</strong>"#);
        assert_eq!((listed, listed), (counted, home), "{}", queue.text);
        assert_eq!(queue.text.contains(r#"class="warn-text""#), listed, "the list warns of the same: {}", queue.text);
        listed
    };
    // Eight hours for the first response from nine o'clock in Hamburg on.
    assert!(!at_risk("2026-11-23T14:23:00Z").await);
    assert!(at_risk("2026-11-23T14:24:00Z").await);
    let said = [("comment", "We look at it.")];
    assert_eq!(desk.post("/requests/1/comments", &said).await.status, StatusCode::SEE_OTHER);
    assert!(!at_risk("2026-11-23T15:59:00Z").await, "it was answered");
    // Forty-eight for the rest: it is due on Monday evening, and little is left on Friday afternoon.
    assert!(!at_risk("2026-11-27T14:23:00Z").await);
    assert!(at_risk("2026-11-27T14:24:00Z").await);
    assert!(at_risk("2026-11-28T22:00:00Z").await, "nor does the week-end add to it");
    // It stands still: nothing runs out.
    stage.goes_on_to("2026-11-30T09:00:00Z");
    stage.says(company.anna, number, Verdict::SendBack).await;
    assert!(!at_risk("2026-12-01T09:00:00Z").await);
    let other = [("person", "elang"), ("mailbox", "avogel"), ("calendar", "Editor")];
    stage.answers_again(company.employee, number, &other).await;
    assert!(at_risk("2026-12-01T09:00:00Z").await);
    // Half of what a low one has.
    stage.prioritised(number, 4).await;
    assert!(!at_risk("2026-12-01T09:00:00Z").await);
    stage.prioritised(number, 3).await;
    assert!(at_risk("2026-12-01T09:00:00Z").await);
    // Asked before it was stored: counted once, and nothing has moved.
    let moved = stage.moved_because(number).await;
    stage.set("update request set respond_at_risk = null, resolve_at_risk = null, clock_rules = null").await;
    assert!(!at_risk("2026-12-01T09:00:00Z").await);
    assert_eq!(stage.counted_again().await, 1);
    assert!(at_risk("2026-12-01T09:00:00Z").await);
    assert_eq!(stage.moved_because(number).await, moved);
}

#[sqlx::test]
async fn the_queue_follows_the_clock_that_runs_out_first(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    // Both due in two days; of the one the response, of the other all.
    let answered = stage.ask(company.employee, RequestKind::MailboxAccess, &CALENDAR).await;
    let leaver =
        stage.ask(company.manager, RequestKind::Leaver, &[("person", "bvogt"), ("last_day", "2026-12-16")]).await;
    stage
        .set("update request set respond_by = '2026-11-25 09:00Z', resolve_by = '2026-11-25 10:00Z' where number = 2")
        .await;
    let desk = stage.portal.browser_of(company.desk).await;
    let order = async || desk.get("/queue").await.find_all("table.queue .code a");
    let said = [("comment", "We look at it.")];
    assert_eq!(order().await, [answered.to_string(), leaver.to_string()], "the first response is due today");
    let home = desk.get("/").await;
    assert!(home.find_all("th").contains(&"Next clock".to_owned()), "{}", home.text);
    assert_eq!(home.find_all("td.code a"), order().await);
    assert_eq!(desk.post("/requests/1/comments", &said).await.status, StatusCode::SEE_OTHER);
    assert_eq!(
        order().await,
        [leaver.to_string(), answered.to_string()],
        "nobody waits for an answer to that any more"
    );
    // What stands still comes last, page by page as in one.
    stage.says(company.anna, answered, Verdict::SendBack).await;
    assert_eq!(order().await, [leaver.to_string(), answered.to_string()]);
}

#[sqlx::test]
async fn what_waits_for_its_day_is_not_at_risk_before(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let leaves = [("person", "avogel"), ("last_day", "2026-12-16")];
    let number = stage.ask(stage.company.manager, RequestKind::Leaver, &leaves).await;
    let desk = stage.portal.browser_of(stage.company.desk).await;
    let listed = async || desk.get("/queue?view=risk").await.text.contains(&number.to_string());
    // Twenty of twenty-four hours.
    stage.goes_on_to("2026-11-25T12:00:00Z");
    assert!(listed().await);
    stage.approve(number).await;
    assert!(!listed().await, "until its day");
    let day = stage.steps(number).await.iter().filter_map(|step| step.not_before).min().unwrap();
    stage.portal.clock.set(day - TimeDelta::minutes(1));
    assert!(!listed().await);
    stage.portal.clock.set(day);
    assert!(listed().await, "from then on as before");
}

/// Something that happens to a request.
#[derive(Debug, Clone, Copy)]
enum Happens {
    SentBack,
    Answered,
    Priority(i16),
    Levels(i64),
    Calendar(u32),
}

/// Whatever happened, in whatever order: what is stored is what counting from the events alone gives.
#[sqlx::test]
async fn what_is_stored_is_what_the_events_give(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let happens = prop_oneof![
        Just(Happens::SentBack),
        Just(Happens::Answered),
        (1i16..=4).prop_map(Happens::Priority),
        (500i64..4000).prop_map(Happens::Levels),
        (24u32..30).prop_map(Happens::Calendar),
    ];
    let story = prop::collection::vec((10i64..2500, happens), 4..8);
    let mut runner = TestRunner::deterministic();
    for _ in 0..3 {
        stage.goes_on_to("2026-11-23T08:00:00Z");
        let number = stage.ask(company.employee, RequestKind::MailboxAccess, &CALENDAR).await;
        let (mut back, mut editor) = (false, true);
        for (minutes, happens) in story.new_tree(&mut runner).unwrap().current() {
            stage.portal.clock.set(stage.portal.clock.now() + TimeDelta::minutes(minutes));
            match happens {
                Happens::SentBack if !back => stage.says(company.anna, number, Verdict::SendBack).await,
                Happens::Answered if back => {
                    let right = if editor { "Editor" } else { "Reviewer" };
                    editor = !editor;
                    let pairs = [("person", "elang"), ("mailbox", "avogel"), ("calendar", right)];
                    stage.answers_again(company.employee, number, &pairs).await;
                }
                Happens::Priority(priority) => stage.prioritised(number, priority).await,
                Happens::Levels(minutes) => stage.levels(|levels| levels.default.resolve_minutes = minutes).await,
                Happens::Calendar(day) => {
                    let holidays = vec![format!("2026-11-{day}").parse().unwrap()];
                    stage.hamburg(&Calendar { holidays, ..Calendar::default() }).await;
                }
                Happens::SentBack | Happens::Answered => continue,
            }
            match happens {
                Happens::SentBack => back = true,
                Happens::Answered => back = false,
                _ => {}
            }
            stage.counted_again().await;
            stage.agrees(number).await;
        }
        stage.set("update item set state = 'cancelled'").await;
        stage.set("update stage set state = 'superseded'").await;
        stage.set("update request set state = 'cancelled', settled_at = now()").await;
        stage.set("delete from reservation").await;
    }
}

impl Stage {
    /// Counted by another way through the same events.
    async fn agrees(&self, number: RequestNumber) {
        let mut conn = self.portal.owner.acquire().await.unwrap();
        let request = requests::find(&mut conn, number).await.unwrap().unwrap();
        let rows: Vec<(DateTime<Utc>, bool, Option<DateTime<Utc>>)> = sqlx::query_as(
            "select at, waits_for is not null, until from clock_event where request = $1 order by at, id",
        )
        .bind(request.id)
        .fetch_all(&mut *conn)
        .await
        .unwrap();
        let events: Vec<Event> = rows.into_iter().map(|(at, stands, until)| Event { at, stands, until }).collect();
        let levels = catalog::service_levels(&mut conn).await.unwrap().unwrap().body;
        let hours = people::hours(&mut conn).await.unwrap().of(None).clone();
        let times = levels.times("mailbox_access", request.priority);
        let clock =
            Clock { hours: &hours, started: request.asked_at, waits: &waits(&events), stopped: request.settled_at };
        assert_eq!(request.resolve_by, clock.due(times.resolve_within()), "{number}: {events:?}");
        assert!(clock.worked(self.portal.clock.now()) >= TimeDelta::zero());
        let at_risk: Option<DateTime<Utc>> =
            sqlx::query_scalar("select resolve_at_risk from request where number = $1")
                .bind(number.0)
                .fetch_one(&mut *conn)
                .await
                .unwrap();
        let stands = events.last().is_some_and(|event| event.stands);
        let expected = clock.due(times.resolve_within() / 5 * 4).filter(|_| !stands);
        assert_eq!(at_risk, expected, "{number}: {events:?}");
    }
}
