//! Decisions that do not come: reminded, asked one step higher as well, lapsed; never by whoever gains, never approved.

use chrono::TimeDelta;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::ids::{PersonId, RequestNumber};
use tenure::plan::RequestKind;
use tenure::requests::patience::chase;

use crate::mail::Stage;

impl Stage {
    /// The worker's turn so long after the request was made.
    async fn chased(&self, after: TimeDelta) -> usize {
        chase(&self.portal.pool, self.portal.clock.now() + after).await.unwrap()
    }

    async fn asked_to_decide(&self, number: RequestNumber) -> Vec<String> {
        sqlx::query_scalar(
            "select p.display_name from stage_decider d join person p on p.id = d.person join stage s on s.id = d.stage
               join item i on i.id = s.item join request r on r.id = i.request where r.number = $1 order by 1",
        )
        .bind(number.0)
        .fetch_all(&self.portal.owner)
        .await
        .unwrap()
    }

    async fn letters(&self, person: PersonId) -> i64 {
        sqlx::query_scalar("select count(*) from outbox where person = $1 and template = 'please_decide'")
            .bind(person)
            .fetch_one(&self.portal.owner)
            .await
            .unwrap()
    }

    async fn said(&self, action: &str) -> i64 {
        sqlx::query_scalar("select count(*) from evidence_record where action = $1")
            .bind(action)
            .fetch_one(&self.portal.owner)
            .await
            .unwrap()
    }
}

/// Emil wants to see Anna's calendar, who answers for it and does not answer.
async fn calendar(stage: &Stage) -> RequestNumber {
    let asked = [("person", "elang"), ("mailbox", "avogel"), ("calendar", "Reviewer")];
    stage.ask(stage.company.employee, RequestKind::MailboxAccess, &asked).await
}

#[sqlx::test]
async fn whoever_does_not_answer_is_reminded_then_their_manager_is_asked_too(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let number = calendar(&stage).await;
    assert_eq!((stage.letters(company.anna).await, stage.chased(TimeDelta::hours(23)).await), (1, 0));
    assert_eq!((stage.chased(TimeDelta::hours(25)).await, stage.chased(TimeDelta::hours(26)).await), (1, 0));
    assert_eq!(stage.letters(company.anna).await, 2, "reminded, once a day");
    assert_eq!(stage.asked_to_decide(number).await, ["Anna Vogel"]);

    assert_eq!((stage.chased(TimeDelta::hours(73)).await, stage.chased(TimeDelta::hours(74)).await), (1, 0));
    assert_eq!(stage.asked_to_decide(number).await, ["Anna Vogel", "Maria Keller"]);
    assert_eq!((stage.letters(company.manager).await, stage.said("decision.escalated").await), (1, 1));
    // One of them is enough, as it was before; the page says why she is asked.
    let reason: String = sqlx::query_scalar("select reason from stage").fetch_one(&stage.portal.owner).await.unwrap();
    assert!(reason.ends_with("No answer came, so it is asked one step higher as well."), "{reason}");
    assert!(stage.decides(company.manager, number, 1).await.is_some());
    stage.done(number).await;
    assert_eq!(stage.chased(TimeDelta::days(40)).await, 0, "decided");
}

#[sqlx::test]
async fn it_is_never_asked_of_who_gains_and_lapses_in_the_end(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    // Asked by Anna's manager: one step higher is nobody, so it is the desk's lead.
    let asked = [("person", "mkeller"), ("mailbox", "avogel"), ("calendar", "Reviewer")];
    let number = stage.ask(company.manager, RequestKind::MailboxAccess, &asked).await;
    assert_eq!(stage.chased(TimeDelta::hours(73)).await, 1);
    assert_eq!(stage.asked_to_decide(number).await, ["Anna Vogel", "Lena Roth"]);
    assert!(stage.decides(company.manager, number, 1).await.is_none());

    assert_eq!(stage.chased(TimeDelta::days(30)).await, 1);
    assert_eq!(stage.items(number).await, [(1, "lapsed".to_owned())]);
    let state: String = sqlx::query_scalar("select state from request").fetch_one(&stage.portal.owner).await.unwrap();
    assert_eq!(state, "lapsed");
    assert!(stage.decides(company.lead, number, 1).await.is_none(), "what lapsed is over");
    let told: i64 = sqlx::query_scalar("select count(*) from outbox where person = $1 and template = 'decided'")
        .bind(company.manager)
        .fetch_one(&stage.portal.owner)
        .await
        .unwrap();
    assert_eq!(told, 1);
    assert_eq!(stage.chased(TimeDelta::days(60)).await, 0);
}

#[sqlx::test]
async fn where_nobody_asked_can_decide_it_goes_higher_at_once(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let number = calendar(&stage).await;
    sqlx::query("update person set state = 'left' where id = $1")
        .bind(company.anna)
        .execute(&stage.portal.owner)
        .await
        .unwrap();
    assert_eq!(stage.chased(TimeDelta::minutes(1)).await, 1);
    assert!(stage.asked_to_decide(number).await.contains(&"Maria Keller".to_owned()));
    // A role that nobody holds.
    sqlx::query("update role_holding set role = 'administrator' where role in ('desk', 'desk_lead')")
        .execute(&stage.portal.owner)
        .await
        .unwrap();
    let mailbox = [("name", "Press"), ("address", "press"), ("owner", "bvogt")];
    let press = stage.ask(company.ben, RequestKind::SharedMailbox, &mailbox).await;
    assert_eq!(stage.chased(TimeDelta::hours(1)).await, 0, "nobody is there; it waits, and is not approved");
    sqlx::query("insert into role_holding (person, role) values ($1, 'desk_lead')")
        .bind(company.owner)
        .execute(&stage.portal.owner)
        .await
        .unwrap();
    assert!(stage.decides(company.owner, press, 1).await.is_some());
}

/// Nine to five in New York is three in the afternoon to eleven at night in Hamburg.
#[sqlx::test]
async fn reminders_come_in_the_working_time_of_who_gets_them(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    stage
        .set("insert into site (id, code, name, zone) values (gen_random_uuid(), 'New York', 'New York', 'America/New_York')")
        .await;
    sqlx::query("update employment set site = (select id from site where code = 'New York') where person = $1")
        .bind(company.anna)
        .execute(&stage.portal.owner)
        .await
        .unwrap();
    // Asked at three in the morning, there. A working day later it is five in the afternoon; Hamburg's morning is her night.
    let number = calendar(&stage).await;
    assert_eq!(
        stage.chased(TimeDelta::hours(14) + TimeDelta::minutes(30)).await,
        0,
        "she has had eight hours, and gone"
    );
    assert_eq!(stage.chased(TimeDelta::hours(25)).await, 0, "four in the morning");
    assert_eq!(stage.chased(TimeDelta::hours(30)).await, 1, "nine o’clock");
    assert_eq!(stage.letters(company.anna).await, 2);
    // On Wednesday night she has had twenty-four hours; Maria, in Hamburg, is asked on Thursday when her work begins.
    assert_eq!(stage.chased(TimeDelta::hours(62)).await, 0, "eleven at night in Hamburg");
    assert_eq!(stage.chased(TimeDelta::hours(71)).await, 0, "eight in the morning");
    assert_eq!(stage.chased(TimeDelta::hours(72)).await, 1);
    assert_eq!(stage.asked_to_decide(number).await, ["Anna Vogel", "Maria Keller"]);
    // Her letter is there now; Anna's comes when she is back.
    let due: Vec<(String, bool)> = sqlx::query_as(
        "select p.display_name, o.due_at > $1 from outbox o join person p on p.id = o.person
          where o.template = 'please_decide' order by o.created_at desc, 1 limit 2",
    )
    .bind(stage.portal.clock.now() + TimeDelta::hours(72))
    .fetch_all(&stage.portal.owner)
    .await
    .unwrap();
    assert_eq!(due.iter().find(|(name, _)| name == "Anna Vogel"), Some(&("Anna Vogel".to_owned(), true)));
}

#[sqlx::test]
async fn a_holiday_is_not_waited_for_and_each_receiver_has_their_own(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    // Hamburg has a holiday on Tuesday; Lena, of the desk as well, works in Lisbon.
    stage
        .set(
            r#"update site set calendar = '{"working_days": ["Mon","Tue","Wed","Thu","Fri"], "opens": "09:00:00", "closes": "17:00:00", "holidays": ["2026-11-24"]}'"#,
        )
        .await;
    stage
        .set("insert into site (id, code, name, zone) values (gen_random_uuid(), 'Lisbon', 'Lisbon', 'Europe/Lisbon')")
        .await;
    sqlx::query("update employment set site = (select id from site where code = 'Lisbon') where person = $1")
        .bind(company.security)
        .execute(&stage.portal.owner)
        .await
        .unwrap();
    stage
        .set("insert into role_holding (person, role) select id, 'desk' from person where display_name = 'Sven Holm'")
        .await;
    let mailbox = [("name", "Press"), ("address", "press"), ("owner", "bvogt")];
    stage.ask(company.ben, RequestKind::SharedMailbox, &mailbox).await;
    let (dana, sven) = (stage.letters(company.desk).await, stage.letters(company.security).await);
    // Tuesday, eleven in Hamburg: only Lisbon works.
    assert_eq!(stage.chased(TimeDelta::hours(26)).await, 1);
    assert_eq!((stage.letters(company.desk).await, stage.letters(company.security).await), (dana, sven + 1));
    let reminded: String = sqlx::query_scalar(
        "select convert_from(canonical, 'UTF8')::jsonb #>> '{detail,reminded}' from evidence_record where action = 'decision.reminded'",
    )
    .fetch_one(&stage.portal.owner)
    .await
    .unwrap();
    assert_eq!(reminded, company.security.to_string());
    // On Wednesday it is Dana's turn.
    assert_eq!(stage.chased(TimeDelta::hours(49)).await, 1);
    assert_eq!(stage.letters(company.desk).await, dana + 1);
}
