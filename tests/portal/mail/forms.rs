//! The forms and the API of the kinds about mailboxes and lists: errors beside their fields, nothing lost, hostile text as
//! data, answers changed through the same forms.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value as Json, json};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::access::token;
use tenure::config::DemoConfig;
use tenure::ids::{PersonId, RequestNumber};
use tenure::target::{Kind, State, Value};
use uuid::Uuid;

use super::{Stage, ids};
use crate::support::browser::{Answer, Browser, send};

type Pairs = Vec<(&'static str, &'static str)>;

/// A kind with answers that can be taken, as its form sends them.
fn kinds() -> Vec<(&'static str, Pairs)> {
    vec![
        (
            "shared_mailbox",
            vec![
                ("type", "room"),
                ("name", "Alster"),
                ("address", "alster"),
                ("owner", "Anna Vogel (avogel)"),
                ("full_access", "bvogt\r\nEmil Lang (elang)"),
                ("send_as", "bvogt"),
                ("accepts", "no"),
                ("capacity", "12"),
                ("window_days", "90"),
                ("reason", "For meetings"),
            ],
        ),
        (
            "mailbox_access",
            vec![
                ("person", "Ben Vogt (bvogt)"),
                ("mailbox", "Billing (billing@example.com)"),
                ("rights", "full_access"),
                ("rights", "send_as"),
                ("calendar", "Editor"),
                ("automapping", "no"),
                ("until_day", "31"),
                ("until_month", "12"),
                ("until_year", "2026"),
                ("owner", "Olaf Brandt (obrandt)"),
                ("reason", "Cover"),
            ],
        ),
        (
            "mailbox_change",
            vec![
                ("mailbox", "Billing (billing@example.com)"),
                ("owner", "Olaf Brandt (obrandt)"),
                ("name", "Invoices"),
                ("address", "invoices"),
                ("add_addresses", "dunning\r\nmoney@example.com"),
                ("remove_addresses", "old@example.com"),
                ("hidden", "yes"),
                ("forward", "yes"),
                ("forward_to", "Ben Vogt (bvogt)"),
                ("forward_until_day", "31"),
                ("forward_until_month", "12"),
                ("forward_until_year", "2026"),
                ("auto_reply", "yes"),
                ("auto_reply_text", "We are away.\r\nWrite later."),
                ("auto_reply_from_day", "21"),
                ("auto_reply_from_month", "12"),
                ("auto_reply_from_year", "2026"),
                ("auto_reply_until_day", "31"),
                ("auto_reply_until_month", "12"),
                ("auto_reply_until_year", "2026"),
                ("type", ""),
                ("quota_gb", "50"),
                ("archive", "yes"),
                ("hold", "yes"),
                ("hold_days", "365"),
                ("reason", "Month end"),
            ],
        ),
        (
            "mailing_list",
            vec![
                ("type", "security"),
                ("name", "Finance, all"),
                ("address", "finance.all@example.com"),
                ("description", "Everybody in Finance"),
                ("owner", "Anna Vogel (avogel)"),
                ("members", "bvogt\r\nteam@example.com"),
                ("departments", ""),
                ("internal_only", "no"),
                ("senders", "avogel"),
                ("moderated", "yes"),
                ("moderators", "mkeller"),
                ("owners", "mkeller"),
                ("hidden", "yes"),
                ("reason", "New"),
            ],
        ),
        (
            "list_change",
            vec![
                ("list", "Team (team@example.com)"),
                ("add", "bvogt"),
                ("remove", "elang"),
                ("new_owner", "Ben Vogt (bvogt)"),
                ("owners", "mkeller\r\nbvogt"),
                ("name", "Team 2"),
                ("hidden", "yes"),
                ("internal_only", "no"),
                ("restricted", "yes"),
                ("senders", "avogel"),
                ("moderated", "yes"),
                ("moderators", "mkeller"),
                ("reason", "Because"),
            ],
        ),
        (
            "leaver",
            vec![
                ("person", "Anna Vogel (avogel)"),
                ("when", "planned"),
                ("last_day_day", "30"),
                ("last_day_month", "11"),
                ("last_day_year", "2026"),
                ("mailbox", "convert"),
                ("delegate", "Ben Vogt (bvogt)"),
                ("forward_to", "Maria Keller (mkeller)"),
                ("forward_until_day", "31"),
                ("forward_until_month", "12"),
                ("forward_until_year", "2026"),
                ("auto_reply", "Anna has left.\r\nThank you."),
                ("lists_to", "Ben Vogt (bvogt)"),
                ("reason", "Moves"),
            ],
        ),
    ]
}

/// Fields in which anything can be typed.
const TYPED: [&str; 28] = [
    "name",
    "address",
    "owner",
    "full_access",
    "send_as",
    "capacity",
    "window_days",
    "reason",
    "person",
    "mailbox",
    "until_day",
    "add_addresses",
    "remove_addresses",
    "forward_to",
    "auto_reply_text",
    "auto_reply_from_year",
    "quota_gb",
    "hold_days",
    "description",
    "members",
    "senders",
    "moderators",
    "owners",
    "new_owner",
    "list",
    "add",
    "remove",
    "delegate",
];

const HOSTILE: [&str; 5] = [
    "\"';$(id)`id`” <script>alert(1)</script>",
    "a\r\nBcc: x@evil.example",
    "a\u{202e}b",
    "a\0b",
    "x; Remove-Mailbox 'y'",
];

async fn stage(options: PgPoolOptions, connect: PgConnectOptions) -> Stage {
    let stage = Stage::new(options, connect).await;
    let (anna, emil) = (stage.account_id("avogel").await, stage.account_id("elang").await);
    let (billing, team) = (Uuid::now_v7(), Uuid::now_v7());
    let more = [("addresses", super::texts(&["old@example.com"]))];
    stage.sees_mailbox(billing, "shared", ("Billing", "billing@example.com"), &more).await;
    stage.sees_list(team, "Team", &[emil], &[("owners", ids(&[anna]))]).await;
    stage.sees_right(Kind::MailboxPermission, (billing, anna, "send_as"), &State::default()).await;
    stage
}

/// What is filled in, as the next sending of the form would send it.
fn filled(page: &Answer) -> Vec<(String, String)> {
    let html = page.html();
    let of = |selector: &str| scraper::Selector::parse(selector).unwrap();
    let mut pairs = Vec::new();
    for input in html.select(&of("main form input")) {
        let value = input.value();
        let kind = value.attr("type").unwrap_or("text");
        let chosen = value.attr("checked").is_some();
        if !matches!(kind, "hidden" | "submit") && (chosen || !matches!(kind, "radio" | "checkbox")) {
            pairs.push((
                value.attr("name").unwrap_or_default().to_owned(),
                value.attr("value").unwrap_or_default().to_owned(),
            ));
        }
    }
    for area in html.select(&of("main form textarea")) {
        // What follows the tag's own line break.
        let text = area.text().collect::<String>();
        pairs.push((area.value().attr("name").unwrap_or_default().to_owned(), text));
    }
    pairs
}

async fn submit(browser: &Browser, check: &Answer) -> Answer {
    let html = check.html();
    let selector = scraper::Selector::parse("input[name=digest]").unwrap();
    let digests: Vec<&str> = html.select(&selector).filter_map(|input| input.value().attr("value")).collect();
    let draft = check.value("draft").unwrap_or_else(|| panic!("{}", check.text));
    let mut fields = vec![("draft", draft.as_str()), ("nonce", draft.as_str())];
    fields.extend(digests.iter().map(|digest| ("digest", *digest)));
    browser.post("/requests", &fields).await
}

async fn answers(stage: &Stage, number: i64) -> Json {
    sqlx::query_scalar("select answers from request where number = $1")
        .bind(number)
        .fetch_one(&stage.portal.owner)
        .await
        .unwrap()
}

#[sqlx::test]
async fn each_form_is_filled_in_checked_sent_and_changed(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = stage(options, connect).await;
    let desk = stage.portal.browser_of(stage.company.desk).await;
    let chooser = desk.get("/requests/new").await;
    assert!(chooser.text.contains("Mailboxes and lists"), "{}", chooser.text);
    for (number, (kind, pairs)) in (1i64..).zip(kinds()) {
        let start = format!("/requests/new/{kind}");
        assert!(chooser.text.contains(&start), "{kind}");
        let form = desk.get(&start).await;
        assert_eq!(form.status, StatusCode::OK, "{kind}: {}", form.text);
        for (name, _) in &pairs {
            assert!(form.text.contains(&format!("name=\"{name}\"")), "{kind} asks no {name}");
        }
        let fields = [pairs.as_slice(), &[("go", "continue")]].concat();
        let begun = desk.post(&start, &fields).await;
        assert_eq!(
            begun.status,
            StatusCode::SEE_OTHER,
            "{kind}: {:?}",
            begun.find_all(".error, .field-error, [id^=e-]")
        );
        let check = desk.get(begun.location()).await;
        assert_eq!(check.status, StatusCode::OK, "{kind}: {}", check.text);
        // What was typed can be read again: by its words or as it is.
        for part in pairs.iter().filter(|(name, _)| matches!(*name, "name" | "reason" | "description")) {
            assert!(check.text.contains(part.1), "{kind}: {part:?}");
        }
        let sent = submit(&desk, &check).await;
        assert_eq!(sent.location(), format!("/requests/{number}"), "{kind}: {}", sent.text);
        let page = desk.get(sent.location()).await;
        assert_eq!(page.status, StatusCode::OK, "{kind}: {}", page.text);

        // The answers come back into the same form, and mean the same.
        let before = answers(&stage, number).await;
        let draft = desk.post(&format!("/requests/{number}/answers"), &[]).await;
        assert_eq!(draft.status, StatusCode::SEE_OTHER, "{kind}: {}", draft.text);
        let form = desk.get(draft.location()).await;
        assert_eq!(form.status, StatusCode::OK, "{kind}: {}", form.text);
        let again = filled(&form);
        let mut again: Vec<(&str, &str)> = again.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        again.push(("go", "continue"));
        let posted = desk.post(draft.location(), &again).await;
        assert_eq!(posted.status, StatusCode::SEE_OTHER, "{kind}: {again:?} {:?}", posted.find_all("[id^=e-]"));
        let check = desk.get(posted.location()).await;
        assert_eq!(check.status, StatusCode::OK, "{kind}: {}", check.text);
        let digests: Vec<String> = digests(&stage, number).await;
        let done = submit(&desk, &check).await;
        assert_eq!(done.location(), format!("/requests/{number}"), "{kind}: {}", done.text);
        assert_eq!(answers(&stage, number).await, before, "{kind}");
        assert_eq!(self::digests(&stage, number).await, digests, "{kind}: the plan is the one that it was");
        // Out of the way of the next.
        desk.post(&format!("/requests/{number}/cancellation"), &[("reason", "next")]).await;
    }
}

async fn digests(stage: &Stage, number: i64) -> Vec<String> {
    sqlx::query_scalar(
        "select i.digest from item i join request r on r.id = i.request where r.number = $1 order by i.ordinal",
    )
    .bind(number)
    .fetch_all(&stage.portal.owner)
    .await
    .unwrap()
}

#[sqlx::test]
async fn what_is_wrong_stands_at_its_field_and_nothing_is_lost(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = stage(options, connect).await;
    let desk = stage.portal.browser_of(stage.company.desk).await;
    let long = "x".repeat(300);
    for (kind, pairs) in kinds() {
        let start = format!("/requests/new/{kind}");
        // Nothing at all.
        let empty = desk.post(&start, &[("go", "continue")]).await;
        assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY, "{kind}: {}", empty.text);
        assert!(!empty.find_all("[id^=e-]").is_empty(), "{kind}");
        for (field, valid) in pairs.iter().filter(|(name, _)| TYPED.contains(name)) {
            for typed in HOSTILE.iter().copied().chain([long.as_str()]) {
                let mut fields: Vec<(&str, &str)> =
                    pairs.iter().map(|(name, value)| (*name, if name == field { typed } else { *value })).collect();
                fields.push(("go", "continue"));
                let answer = desk.post(&start, &fields).await;
                let shown = if answer.status == StatusCode::SEE_OTHER {
                    desk.get(answer.location()).await
                } else {
                    assert_eq!(
                        answer.status,
                        StatusCode::UNPROCESSABLE_ENTITY,
                        "{kind} {field} {typed:?}: {}",
                        answer.text
                    );
                    let base = field.trim_end_matches("_day").trim_end_matches("_year");
                    assert!(
                        answer.find(&format!("#e-{base}")).is_some(),
                        "{kind} {field} {typed:?}: {:?}",
                        answer.find_all("[id^=e-]")
                    );
                    nothing_lost(kind, &pairs, field, &answer);
                    answer
                };
                assert!(
                    shown.status == StatusCode::OK || shown.status == StatusCode::UNPROCESSABLE_ENTITY,
                    "{kind} {field} {typed:?} (not {valid}): {} {}",
                    shown.status,
                    shown.text
                );
                assert!(!shown.text.contains("<script>alert"), "{kind} {field}");
            }
        }
        stage.set("delete from draft").await;
    }
}

/// Everything else that was typed is still in the form.
fn nothing_lost(kind: &str, pairs: &Pairs, wrong: &str, page: &Answer) {
    let back = filled(page);
    for (name, value) in pairs.iter().filter(|(name, _)| *name != wrong) {
        let plain = |text: &str| text.replace("\r\n", "\n").trim().to_owned();
        assert!(
            back.iter().any(|(other, kept)| other == name && plain(kept) == plain(value)),
            "{kind}: {name}, {value:?} is lost: {back:?}"
        );
    }
}

async fn bearer(stage: &Stage, person: PersonId) -> String {
    let demo = DemoConfig { enabled: true, ..DemoConfig::default() };
    let mut conn = stage.portal.owner.acquire().await.unwrap();
    token::for_demo(&mut conn, stage.portal.clock.now(), &demo, person).await.unwrap()
}

async fn call(stage: &Stage, token: &str, kind: &str, answers: &Json) -> (StatusCode, Json) {
    let body = json!({"kind": kind, "answers": answers});
    let request = Request::builder()
        .method(Method::POST)
        .uri("/api/v1/requests")
        .header(header::HOST, "tenure.test")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let answer = send(&stage.portal.app, request).await;
    (answer.status, serde_json::from_str(&answer.text).unwrap_or(Json::Null))
}

/// As a program would say it: lists as lists, yes and no as truth values, numbers as numbers.
fn for_programs() -> Vec<(&'static str, Json)> {
    vec![
        (
            "shared_mailbox",
            json!({
                "type": "room", "name": "Alster", "address": "alster@example.com", "owner": "avogel",
                "full_access": ["bvogt", "elang@example.com"], "send_as": [], "accepts": false, "capacity": 12, "window_days": 90,
            }),
        ),
        (
            "mailbox_access",
            json!({
                "person": "bvogt", "mailbox": "billing@example.com", "rights": ["full_access", "calendar/Editor"],
                "automapping": false, "until": "2026-12-31", "owner": "obrandt",
            }),
        ),
        (
            "mailbox_change",
            json!({
                "mailbox": "billing@example.com", "owner": "obrandt", "name": "Invoices", "add_addresses": ["dunning@example.com"],
                "hidden": true, "archive": true, "hold": false, "quota_gb": 50, "forward": false, "auto_reply": false,
            }),
        ),
        (
            "mailing_list",
            json!({
                "type": "distribution", "name": "Finance", "address": "finance", "owner": "avogel", "members": ["bvogt"],
                "moderated": false, "moderators": ["mkeller"], "internal_only": false, "hidden": true,
            }),
        ),
        (
            "list_change",
            json!({
                "list": "team@example.com", "new_owner": "bvogt", "add": ["bvogt", "mkeller"], "remove": ["elang"], "hidden": true,
                "internal_only": false,
            }),
        ),
        (
            "leaver",
            json!({
                "person": "avogel", "last_day": "2026-11-30", "mailbox": "convert", "delegate": "bvogt", "forward_to": "mkeller",
                "forward_until": "2026-12-31", "auto_reply": "Gone", "lists_to": "bvogt",
            }),
        ),
    ]
}

#[sqlx::test]
async fn programs_ask_the_same(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = stage(options, connect).await;
    let desk = bearer(&stage, stage.company.desk).await;
    for (number, (kind, answers)) in (1i64..).zip(for_programs()) {
        let (status, made) = call(&stage, &desk, kind, &answers).await;
        assert_eq!((status, made["number"].as_i64()), (StatusCode::CREATED, Some(number)), "{kind}: {made}");
        assert_eq!(made["kind"], kind);
        assert!(made["items"][0]["steps"].as_array().is_some_and(|steps| !steps.is_empty()), "{kind}: {made}");
        let steps = stage.steps(RequestNumber(number)).await;
        let to = |name: &str, attribute: &str| {
            steps.iter().find(|step| step.name.starts_with(name)).map(|step| step.to(attribute).clone())
        };
        match kind {
            "shared_mailbox" => assert_eq!(to("booking", "processing"), Some("auto_update".into())),
            "mailbox_access" => assert_eq!(to("full-access-", "automapping"), Some(false.into())),
            "mailbox_change" => assert_eq!(to("auto-reply", "state"), Some("disabled".into())),
            "mailing_list" => {
                assert_eq!(to("list", "internalOnly"), Some(false.into()));
                assert_eq!(to("list", "moderated"), Some(false.into()));
            }
            "list_change" => assert_eq!(to("list", "internalOnly"), Some(false.into())),
            _ => assert_eq!(to("mailbox-", "type"), Some("shared".into())),
        }
        // Everything that is no text is named; so is what cannot be.
        for (field, odd) in [("owner", json!({"$ne": ""})), ("name", json!([["x"]]))] {
            let mut wrong = answers.clone();
            wrong[field] = odd;
            let (status, problem) = call(&stage, &desk, kind, &wrong).await;
            assert_eq!(
                (status, problem["errors"][0]["field"].as_str()),
                (StatusCode::UNPROCESSABLE_ENTITY, Some(field)),
                "{problem}"
            );
        }
    }
    // Nobody asks for what is not theirs to ask for.
    let emil = bearer(&stage, stage.company.employee).await;
    for (kind, answers) in for_programs() {
        let (status, problem) = call(&stage, &emil, kind, &answers).await;
        assert!(
            status == StatusCode::FORBIDDEN || status == StatusCode::UNPROCESSABLE_ENTITY,
            "{kind}: {status} {problem}"
        );
        assert!(problem["number"].is_null(), "{kind}");
    }
}

/// Whatever is typed is a field error, or arrives in the target as the very text that it was.
#[sqlx::test]
async fn hostile_text_is_data_or_an_error(options: PgPoolOptions, connect: PgConnectOptions) {
    let stage = stage(options, connect).await;
    let desk = bearer(&stage, stage.company.desk).await;
    let long = "x".repeat(300);
    for (kind, answers) in for_programs() {
        let fields: Vec<String> = answers
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, value)| value.is_string() || value.is_array())
            .map(|(name, _)| name.clone())
            .collect();
        for field in fields {
            for typed in HOSTILE.iter().copied().chain([long.as_str()]) {
                let mut asked = answers.clone();
                asked[&field] = if asked[&field].is_array() { json!([typed]) } else { json!(typed) };
                let (status, made) = call(&stage, &desk, kind, &asked).await;
                if status == StatusCode::CREATED {
                    let number = made["number"].as_i64().unwrap();
                    let steps = stage.steps(RequestNumber(number)).await;
                    let text = typed.replace('\r', "");
                    let whole = steps
                        .iter()
                        .flat_map(|step| &step.difference.changes)
                        .any(|change| change.to == Value::Text(text.clone()));
                    assert!(whole, "{kind} {field} {typed:?} is in no step as it was typed");
                    let cancelled = stage
                        .portal
                        .browser_of(stage.company.desk)
                        .await
                        .post(&format!("/requests/{number}/cancellation"), &[("reason", "next")])
                        .await;
                    assert_eq!(cancelled.status, StatusCode::SEE_OTHER, "{}", cancelled.text);
                } else {
                    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{kind} {field} {typed:?}: {made}");
                    let errors = made["errors"].as_array().unwrap_or_else(|| panic!("{made}"));
                    assert!(
                        errors.iter().any(|error| error["field"] == field.as_str()),
                        "{kind} {field} {typed:?}: {made}"
                    );
                }
            }
        }
    }
    // To the end: made in the organisation with that name, and shown as text.
    let hostile = HOSTILE[0];
    let (_, made) = call(
        &stage,
        &desk,
        "shared_mailbox",
        &json!({"name": hostile, "address": "odd", "owner": "avogel", "full_access": ["bvogt"]}),
    )
    .await;
    let number = RequestNumber(made["number"].as_i64().unwrap());
    stage.approve(number).await;
    stage.done(number).await;
    let id = stage.step(number, "mailbox").await.resolved.unwrap();
    assert_eq!(stage.exchange.object(id).unwrap().get("displayName"), &Value::from(hostile));
    let offered = stage.entitlement(&format!("Full access – {hostile}")).await;
    let lead = stage.portal.browser_of(stage.company.lead).await;
    let paths = [
        format!("/requests/{}", number.0),
        format!("/catalogue/{offered}"),
        "/catalogue".to_owned(),
        format!("/people/{}", stage.company.ben),
        "/requests".to_owned(),
        "/search?q=id".to_owned(),
        "/requests/new/mailbox_access?mailbox=odd@example.com".to_owned(),
    ];
    for path in paths {
        let page = lead.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        assert!(!page.text.contains("<script>alert"), "{path}");
    }
}
