//! Who is away: somebody decides in their place, from a day until a day where they work, never about themselves; set by
//! themselves, or by the desk's lead for who cannot; said wherever they are asked.

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::ids::{PersonId, RequestNumber};
use tenure::plan::RequestKind;
use tenure::requests::list::waiting_for;

use crate::mail::Stage;
use crate::support::browser::{Answer, Browser};

const UNTIL: [(&str, &str); 6] = [
    ("from_day", "23"),
    ("from_month", "11"),
    ("from_year", "2026"),
    ("until_day", "12"),
    ("until_month", "12"),
    ("until_year", "2026"),
];

fn standing_in(who: &'static str) -> Vec<(&'static str, &'static str)> {
    [[("to", who)].as_slice(), &UNTIL].concat()
}

impl Stage {
    async fn browser(&self, person: PersonId) -> Browser {
        self.portal.browser_of(person).await
    }

    /// The lead sets who stands in for Olaf.
    async fn lead_sets(&self, delegate: &'static str) -> Answer {
        let lead = self.browser(self.company.lead).await;
        lead.post(&format!("/people/{}/delegations", self.company.owner), &standing_in(delegate)).await
    }

    /// Somebody's access to the ledger, of which Olaf decides.
    async fn ledger(&self, asker: PersonId, person: &str) -> RequestNumber {
        let ledger = self.company.ledger.to_string();
        let asked = [("person", person), ("groups", ledger.as_str()), ("reason", "Cover")];
        self.ask(asker, RequestKind::Access, &asked).await
    }

    async fn letters_to(&self, person: PersonId, template: &str) -> i64 {
        sqlx::query_scalar("select count(*) from outbox where person = $1 and template = $2")
            .bind(person)
            .bind(template)
            .fetch_one(&self.portal.owner)
            .await
            .unwrap()
    }
}

#[sqlx::test]
async fn the_lead_sets_it_for_who_is_ill_and_a_delegate_decides(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let page = format!("/people/{}/delegations", company.owner);
    let lead = stage.browser(company.lead).await;
    assert!(lead.get(&format!("/people/{}", company.owner)).await.text.contains("Who stands in …"));
    assert!(lead.get(&page).await.text.contains("Nobody stands in for Olaf Brandt"));
    let refused = lead.post(&page, &[("to", "elang")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("Enter a day for the first day"), "{}", refused.text);
    let number = stage.ledger(company.manager, "avogel").await;

    let made = stage.lead_sets("elang").await;
    assert_eq!((made.status, made.location()), (StatusCode::SEE_OTHER, page.as_str()));
    let shown = lead.get(&page).await.text;
    assert!(shown.contains("Emil Lang") && shown.contains("set by Lena Roth"), "{shown}");
    let (person, by_themselves): (String, bool) = sqlx::query_as(
        "select subject, (convert_from(canonical, 'UTF8')::jsonb #>> '{detail,by_themselves}')::boolean
           from evidence_record where action = 'delegation.made'",
    )
    .fetch_one(&stage.portal.owner)
    .await
    .unwrap();
    assert_eq!((person, by_themselves), (format!("person:{}", company.owner), false));
    // Both are told, in words.
    let (own, other) =
        (stage.letters_to(company.owner, "stands_in").await, stage.letters_to(company.employee, "stands_in").await);
    assert_eq!((own, other), (1, 1));
    let subject: String = sqlx::query_scalar("select subject from outbox where template = 'stands_in' limit 1")
        .fetch_one(&stage.portal.owner)
        .await
        .unwrap();
    assert_eq!(subject, "Emil Lang decides for Olaf Brandt until Saturday 12 December 2026");

    // Said where he is asked, where he is looked at, and where he is chosen.
    let address = format!("/requests/{}", number.0);
    let away = "Olaf Brandt is away until 12 Dec; Emil Lang decides for them.";
    assert!(lead.get(&address).await.text.contains(away), "{}", lead.get(&address).await.text);
    assert!(lead.get(&format!("/people/{}", company.owner)).await.text.contains(away));
    let found = lead.get("/search/people?q=olaf&name=manager").await.text;
    assert!(found.contains("away until 12 Dec"), "{found}");
    let me = stage.browser(company.owner).await.get("/me").await.text;
    assert!(me.contains("set by Lena Roth"), "he sees it, and can end it: {me}");

    // The delegate finds it, sees for whom, decides; and so it says everywhere.
    let emil = stage.browser(company.employee).await;
    let approvals = emil.get("/approvals").await.text;
    assert!(approvals.contains("for Olaf Brandt") && approvals.contains("You stand in for Olaf Brandt"), "{approvals}");
    let decision = format!("{address}/items/1/decision");
    let form = emil.get(&decision).await;
    assert!(form.text.contains("You stand in for <strong>Olaf Brandt</strong>"), "{}", form.text);
    let digest = form.value("digest").unwrap();
    let approve = [("decision", "approve"), ("digest", digest.as_str()), ("comment", "")];
    assert_eq!(emil.post(&decision, &approve).await.status, StatusCode::SEE_OTHER);
    assert!(emil.get("/approvals?view=decided").await.text.contains("for Olaf Brandt"));
    let told = lead.get(&address).await.text;
    assert!(told.contains("Emil Lang approved for Olaf Brandt"), "{told}");
    assert!(told.contains("approved item 1 for Olaf Brandt"), "the timeline: {told}");

    // Ended by himself: the delegate is asked no more, and is told.
    let id: uuid::Uuid = sqlx::query_scalar("select id from delegation").fetch_one(&stage.portal.owner).await.unwrap();
    let olaf = stage.browser(company.owner).await;
    assert_eq!(olaf.post(&format!("/me/delegations/{id}/end"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(stage.letters_to(company.employee, "stands_in").await, 2);
    assert_eq!(olaf.post(&format!("/me/delegations/{id}/end"), &[]).await.status, StatusCode::NOT_FOUND, "once");
    let second = stage.ledger(company.anna, "bvogt").await;
    assert!(stage.decides(company.employee, second, 1).await.is_none());
    assert!(!emil.get("/approvals").await.text.contains("Olaf Brandt"));
}

#[sqlx::test]
async fn check_your_answers_says_who_of_them_is_away(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    // Theirs is decided by Olaf alone.
    stage.set("update employment set manager = (select id from person where display_name = 'Maria Keller') where person = (select id from person where display_name = 'Emil Lang')").await;
    let manager = stage.browser(company.manager).await;
    let ledger = company.ledger.to_string();
    let check = async |person: &str| {
        let answers = [("person", person), ("join", ledger.as_str()), ("reason", "Cover"), ("go", "continue")];
        let begun = manager.post("/requests/new/access", &answers).await;
        assert!(begun.location().ends_with("/check"), "{}", begun.text);
        manager.get(begun.location()).await.find("ol.stages").unwrap()
    };
    let before = check("Anna Vogel (avogel)").await;
    assert!(before.contains("will be asked: Olaf Brandt") && !before.contains("away"), "{before}");
    stage.lead_sets("elang").await;
    let away = check("Anna Vogel (avogel)").await;
    assert!(away.contains("Olaf Brandt is away until 12 Dec; Emil Lang decides for them."), "{away}");
    let gains = check("Emil Lang (elang)").await;
    assert!(gains.contains("Emil Lang gains by this and does not decide it."), "{gains}");
    // By the day: he is back before it is asked for.
    stage.portal.clock.set("2026-12-14T08:00:00Z".parse().unwrap());
    let back = check("Anna Vogel (avogel)").await;
    assert!(back.contains("will be asked: Olaf Brandt") && !back.contains("away"), "{back}");
}

#[sqlx::test]
async fn who_gains_by_it_is_not_offered_it_as_a_delegate(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    stage.lead_sets("elang").await;
    // Asked for by his manager, so that Olaf alone decides.
    stage.set("update employment set manager = (select id from person where display_name = 'Maria Keller') where person = (select id from person where display_name = 'Emil Lang')").await;
    let number = stage.ledger(company.manager, "elang").await;
    let emil = stage.browser(company.employee).await;
    assert!(!emil.get("/approvals").await.text.contains("Ledger"));
    assert_eq!(stage.letters_to(company.employee, "please_decide").await, 0);
    assert!(stage.decides(company.employee, number, 1).await.is_none());
    let said = emil.get(&format!("/requests/{}", number.0)).await.text;
    assert!(
        said.contains("Olaf Brandt is away until 12 Dec; Emil Lang gains by this and does not decide it."),
        "{said}"
    );
    // It waits for Olaf, who can still decide himself.
    assert!(stage.decides(company.owner, number, 1).await.is_some());
}

#[sqlx::test]
async fn nobody_sets_what_would_give_them_the_decision(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    for (delegate, says) in [
        ("lroth", "whoever sets it does not decide in their place"),
        ("obrandt", "nobody stands in for themselves"),
        ("apetit", "an auditor decides nothing"),
        ("nobody", "Choose a person by name"),
    ] {
        let answer = stage.lead_sets(delegate).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{delegate}");
        assert!(answer.text.contains(says), "{delegate}: {}", answer.text);
    }
    let page = format!("/people/{}/delegations", company.owner);
    for who in [company.desk, company.manager, company.admin, company.security, company.employee] {
        let answer = stage.browser(who).await.post(&page, &standing_in("elang")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    let own = format!("/people/{}/delegations", company.lead);
    assert_eq!(stage.browser(company.lead).await.get(&own).await.status, StatusCode::FORBIDDEN, "her own on /me");
    let made: i64 = sqlx::query_scalar("select count(*) from delegation").fetch_one(&stage.portal.owner).await.unwrap();
    assert_eq!(made, 0);
    // Anna has left: nothing waits for her any more.
    stage.set("update person set state = 'left' where display_name = 'Anna Vogel'").await;
    let anna = format!("/people/{}/delegations", company.anna);
    let lead = stage.browser(company.lead).await;
    assert!(lead.post(&anna, &standing_in("elang")).await.text.contains("They do not work here now"));
}

#[sqlx::test]
async fn it_begins_and_ends_with_the_day_where_they_work(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    stage.ledger(company.manager, "avogel").await;
    let olaf = stage.browser(company.owner).await;
    let days = [
        ("to", "elang"),
        ("from_day", "24"),
        ("from_month", "11"),
        ("from_year", "2026"),
        ("until_day", "25"),
        ("until_month", "11"),
        ("until_year", "2026"),
    ];
    assert_eq!(olaf.post("/me/delegations", &days).await.status, StatusCode::SEE_OTHER);
    assert!(olaf.get("/me").await.text.contains("planned"));
    // Midnight in Hamburg is eleven at night in UTC.
    for (time, waits) in [
        ("2026-11-23T22:59:00Z", 0),
        ("2026-11-23T23:01:00Z", 1),
        ("2026-11-25T22:59:00Z", 1),
        ("2026-11-25T23:01:00Z", 0),
    ] {
        let now: DateTime<Utc> = time.parse().unwrap();
        let mut conn = stage.portal.pool.acquire().await.unwrap();
        let found = waiting_for(&mut conn, now, company.employee, 10).await.unwrap();
        assert_eq!(found.len(), waits, "{time}");
    }
}
