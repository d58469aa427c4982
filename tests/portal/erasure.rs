//! Erasing a person: by two, not too early, and nothing of theirs is found in what remains.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::access::Actor;
use tenure::erasure::{self, Basis, ErasureError};
use tenure::evidence::commitment::commitment;
use tenure::ids::PersonId;
use uuid::Uuid;

use crate::support::Portal;
use crate::support::company::{Company, SYSTEM, rules};

/// Everything that Lan's past holds and nobody else's.
const VALUES: &[&str] = &[
    "Thị Lan",
    "Nguyễn",
    "Thị Lan Nguyễn",
    "nguyen",
    "E-4711",
    "tnguyen",
    "tnguyen@example.com",
    "+49 40 555 0199",
    "CN=Thị Lan Nguyễn,OU=Hamburg,DC=corp,DC=example,DC=com",
    "Month-end closing for Lan",
    "She knows the ledger well",
    "What Lan thinks of Emil",
    "203.0.113.77",
    "Lan's script",
    "LanBrowser/7",
    "erika.earlier@example.com",
    "lan.further@example.com",
    "Full access – Thị Lan Nguyễn",
    "disable-tnguyen",
];

const COLUMNS: &str = "select table_name::text, column_name::text, data_type::text from information_schema.columns
     where table_schema = 'public' and table_name <> '_sqlx_migrations' order by 1, 2";

/// Every column of every table as text; bytes as hex and, where they are text, as that.
async fn dump(owner: &PgPool) -> BTreeMap<String, String> {
    let columns: Vec<(String, String, String)> = sqlx::query_as(COLUMNS).fetch_all(owner).await.unwrap();
    assert!(columns.len() > 200, "{}", columns.len());
    let mut found = BTreeMap::new();
    for (table, column, kind) in columns {
        let part = if kind == "bytea" {
            format!("encode(\"{column}\", 'hex') || ' ' || encode(\"{column}\", 'escape')")
        } else {
            format!("\"{column}\"::text")
        };
        let query = format!("select coalesce(string_agg({part}, E'\\n'), '') from \"{table}\"");
        let mut text: String = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(owner).await.unwrap();
        if kind == "bytea" {
            let raw = format!(
                "select coalesce(array_agg(\"{column}\"), '{{}}') from \"{table}\" where \"{column}\" is not null"
            );
            let rows: Vec<Vec<u8>> = sqlx::query_scalar(sqlx::AssertSqlSafe(raw)).fetch_one(owner).await.unwrap();
            rows.iter().for_each(|row| text.push_str(&String::from_utf8_lossy(row)));
        }
        found.insert(format!("{table}.{column}"), text);
    }
    found
}

/// What somebody with a list of names would try: the value, and the digests that need no key.
fn tries(value: &str) -> Vec<String> {
    let mut tries = vec![value.to_owned(), value.to_lowercase(), hex::encode(value)];
    for form in [value.to_owned(), value.to_lowercase(), serde_json::to_string(value).unwrap()] {
        tries.push(hex::encode(Sha256::digest(&form)));
        let mut mac = Hmac::<Sha256>::new_from_slice(b"").unwrap();
        mac.update(form.as_bytes());
        tries.push(hex::encode(mac.finalize().into_bytes()));
    }
    tries
}

fn where_found(dump: &BTreeMap<String, String>, value: &str) -> Vec<String> {
    let tries = tries(value);
    let holds = |text: &str| tries.iter().any(|attempt| text.contains(attempt.as_str()));
    dump.iter().filter(|(_, text)| holds(text)).map(|(column, _)| column.clone()).collect()
}

async fn execute(db: &PgPool, query: &'static str, person: PersonId) {
    sqlx::query(query).bind(person).execute(db).await.unwrap_or_else(|error| panic!("{query}: {error}"));
}

/// Sends a whole joiner through the pages and returns the person that it made.
async fn lan(portal: &Portal, company: &Company) -> PersonId {
    let manager = portal.browser_of(company.manager).await;
    let who = [
        ("given_name", "Thị Lan"),
        ("family_name", "Nguyễn"),
        ("type", "employee"),
        ("employee_number", "E-4711"),
        ("go", "continue"),
    ];
    let begun = manager.post("/requests/new/joiner", &who).await;
    let work = [
        ("department", "Finance"),
        ("title", "Accountant"),
        ("site", "Hamburg"),
        ("manager", "Maria Keller (mkeller)"),
        ("start_on_day", "30"),
        ("start_on_month", "11"),
        ("start_on_year", "2026"),
        ("go", "continue"),
    ];
    let on = manager.post(begun.location(), &work).await;
    let ledger = company.ledger.to_string();
    let fields = [("groups", ledger.as_str()), ("reason", "Month-end closing for Lan"), ("go", "continue")];
    let check = manager.post(on.location(), &fields).await;
    let page = manager.get(check.location()).await;
    let digests = page.find_all("input[name=digest]");
    let html = page.html();
    let selector = scraper::Selector::parse("input[name=digest]").unwrap();
    let values: Vec<&str> = html.select(&selector).filter_map(|input| input.value().attr("value")).collect();
    let draft = page.value("draft").unwrap();
    let mut fields = vec![("draft", draft.as_str()), ("nonce", draft.as_str())];
    fields.extend(values.iter().map(|digest| ("digest", *digest)));
    let sent = manager.post("/requests", &fields).await;
    assert_eq!(sent.location(), "/requests/1", "{} {digests:?}", sent.text);
    let said = [("comment", "She knows the ledger well; Thị Lan Nguyễn is the best")];
    assert_eq!(manager.post("/requests/1/comments", &said).await.status, StatusCode::SEE_OTHER);
    let desk = portal.browser_of(company.desk).await;
    let digest = desk.get("/requests/1/items/1/decision").await.value("digest").unwrap();
    let decision = [("decision", "approve"), ("digest", digest.as_str()), ("comment", "She knows the ledger well")];
    assert_eq!(desk.post("/requests/1/items/1/decision", &decision).await.location(), "/requests/1");
    sqlx::query_scalar("select subject from request where number = 1").fetch_one(&portal.owner).await.unwrap()
}

/// Years later: the joiner is done, they signed in, asked, wrote, failed to sign in, were called something else, and left.
async fn a_life(portal: &Portal, company: &Company) -> PersonId {
    let db = &portal.owner;
    let lan = lan(portal, company).await;
    let account = Uuid::now_v7();
    sqlx::query(
        "insert into account (system, native_id, person, kind, linked_by_rule, user_name, upn, display_name, mail, employee_number, dn, enabled, attributes, gone_at)
         values ($1, $2, $3, 'person', 'request', 'tnguyen', 'tnguyen@example.com', 'Thị Lan Nguyễn', 'tnguyen@example.com', 'E-4711',
                 'CN=Thị Lan Nguyễn,OU=Hamburg,DC=corp,DC=example,DC=com', false, '{\"displayName\": \"Thị Lan Nguyễn\", \"telephoneNumber\": \"+49 40 555 0199\"}', now())",
    )
    .bind(SYSTEM)
    .bind(account)
    .bind(lan)
    .execute(db)
    .await
    .unwrap();
    // What the worker would have seen and written.
    execute(
        db,
        "update step s set state = 'applied', settled_at = now(), told = 'Thị Lan Nguyễn was there', before = null, 
                native = '{\"usn\": \"12\", \"commands\": [\"Enable-Mailbox -Identity tnguyen@example.com\"], \"warnings\": [\"Thị Lan Nguyễn has one\"]}',
                grant_effect = jsonb_build_object('offer', jsonb_build_object('owner', r.subject, 'offers', jsonb_build_array(
                    jsonb_build_object('held', 'mailbox_permission', 'right', 'full_access', 'name', 'Full access – Thị Lan Nguyễn', 'requestable', false)))),
                after_state = '{\"displayName\": \"Thị Lan Nguyễn\", \"sAMAccountName\": \"tnguyen\", \"enabled\": true, \"proxyAddresses\": [\"SMTP:tnguyen@example.com\"]}'
           from request r where r.id = s.request and r.subject = $1",
        lan,
    )
    .await;
    execute(
        db,
        "insert into attempt (step, number, worker, outcome, after_state, native, error_given, error_told)
         select s.id, 1, 'w', 'applied', s.after_state, s.native, 'constraint on CN=Thị Lan Nguyễn,OU=Hamburg,DC=corp,DC=example,DC=com', 'tnguyen is taken'
           from step s join request r on r.id = s.request where r.subject = $1",
        lan,
    )
    .await;
    execute(
        db,
        "update step s set name = 'disable-tnguyen' from request r where r.id = s.request and r.subject = $1 and s.name = 'enable'",
        lan,
    )
    .await;
    mailbox(portal, company, account).await;
    execute(db, "update item i set state = 'done', settled_at = now(), why = 'for tnguyen' from request r where r.id = i.request and r.subject = $1", lan).await;
    execute(db, "update stage s set state = 'approved' from item i join request r on r.id = i.request where i.id = s.item and r.subject = $1", lan).await;
    execute(db, "update request set state = 'done', settled_at = now() where subject = $1", lan).await;
    execute(
        db,
        "update person set state = 'active', phone = '+49 40 555 0199', mail = 'tnguyen@example.com' where id = $1",
        lan,
    )
    .await;
    execute(db, "update employment set first_day = '2018-03-05' where person = $1", lan).await;
    execute(db, "insert into sign_in (person, user_name, user_name_folded) values ($1, 'tnguyen', 'tnguyen')", lan)
        .await;
    execute(
        db,
        "insert into credential (id, person, kind, secret) values (gen_random_uuid(), $1, 'password', 'phc')",
        lan,
    )
    .await;
    deeds(portal, company, lan).await;
    // Left, seven years and a day ago.
    execute(db, "update employment set last_day = '2019-11-22' where person = $1", lan).await;
    execute(db, "update person set state = 'left' where id = $1", lan).await;
    lan
}

/// What Exchange had of them: a mailbox and a list named after them, both gone; a right on it in the catalogue; and their
/// name in the words of somebody else's step.
async fn mailbox(portal: &Portal, company: &Company, account: Uuid) {
    use tenure::catalog::{Held, NewEntitlement, Risk, SystemFacts, add, target_system};
    use tenure::target::{Kind, Native, State, SystemKey};
    let (now, by, key) =
        (portal.clock.now(), tenure::evidence::By::routine("test"), SystemKey("exchange:onprem".to_owned()));
    let mut tx = portal.pool.begin().await.unwrap();
    target_system(&mut tx, now, &by, &key, ("Exchange", false), &SystemFacts::default()).await.unwrap();
    let text = format!(
        "{{\"displayName\": \"Thị Lan Nguyễn\", \"alias\": \"tnguyen\", \"primaryAddress\": \"tnguyen@example.com\",
          \"addresses\": [\"lan.further@example.com\"], \"directoryId\": \"{account}\"}}"
    );
    let mailbox: State = serde_json::from_str(&text).unwrap();
    let told = Native { commands: vec!["Get-Mailbox tnguyen@example.com".to_owned()], ..Native::default() };
    let team: State = serde_json::from_str(
        "{\"displayName\": \"Team of Thị Lan Nguyễn\", \"alias\": \"team\", \"primaryAddress\": \"team@example.com\",
          \"addresses\": [\"tnguyen@example.com\"]}",
    )
    .unwrap();
    let list = Uuid::now_v7();
    tenure::mirror::saw(&mut tx, &key, Kind::Mailbox, account, &mailbox, &told).await.unwrap();
    tenure::mirror::saw(&mut tx, &key, Kind::List, list, &team, &Native::default()).await.unwrap();
    tenure::mirror::mail::saw_member(&mut tx, &key, (list, account), true).await.unwrap();
    let right = (Kind::MailboxPermission, account, list, "full_access");
    tenure::mirror::mail::saw_right(&mut tx, &key, right, Some(&State::default())).await.unwrap();
    for gone in [account, list] {
        tenure::mirror::went(&mut tx, &key, gone).await.unwrap();
    }
    let right = NewEntitlement {
        system: key,
        held: Held::MailboxPermission,
        native_id: account,
        right: "full_access".to_owned(),
        name: "Full access – Thị Lan Nguyễn".to_owned(),
        description: String::new(),
        owner: Some(company.owner),
        risk: Risk::Normal,
        sox: false,
        requestable: false,
    };
    add(&mut tx, now, &by, &right).await.unwrap();
    tx.commit().await.unwrap();
}

/// What they did themselves, with the application's own functions.
async fn deeds(portal: &Portal, company: &Company, lan: PersonId) {
    use tenure::access::{session, sign_in};
    let now = portal.clock.now();
    let from = session::From { address: Some("203.0.113.77".to_owned()), user_agent: Some("LanBrowser/7".to_owned()) };
    let mut tx = portal.pool.begin().await.unwrap();
    let opened = session::open(&mut tx, now, lan, &from).await.unwrap();
    let viewer = session::resume(&mut tx, &opened, from.address.clone()).await.unwrap().unwrap().viewer;
    tx.commit().await.unwrap();
    let refused = sign_in::sign_in(&portal.pool, now, ("tnguyen", "wrong password"), &from).await;
    assert!(refused.is_err());
    let browser = portal.browser_of(lan).await;
    let token = [("name", "Lan's script"), ("scope", "requests:read"), ("days", "30")];
    assert_eq!(browser.post("/me/tokens", &token).await.status, StatusCode::OK);
    // A request of their own about themselves, commented by them from their address, then cancelled.
    let started = browser.get(&format!("/requests/new/access?person={lan}")).await;
    assert!(started.status.is_success() || started.status.is_redirection(), "{}", started.text);
    let emils = request_about(portal, company.employee, lan).await;
    let number = tenure::ids::RequestNumber(emils);
    let said = "What Lan thinks of Emil, signed Thị Lan Nguyễn";
    tenure::requests::desk::comment(&portal.pool, now, &Actor::Person(viewer), number, said).await.unwrap();
    let desk = portal.browser_of(company.desk).await;
    let about = [("comment", "Please hurry with my laptop, says Nguyễn (tnguyen@example.com)")];
    let answer = desk.post(&format!("/requests/{emils}/comments"), &about).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let cancelled = desk.post(&format!("/requests/{emils}/cancellation"), &[("reason", "Thị Lan Nguyễn asked")]).await;
    assert_eq!(cancelled.status, StatusCode::SEE_OTHER, "{}", cancelled.text);
    sqlx::query("insert into outbox (id, person, address, template, subject, letter, message_id) values (gen_random_uuid(), $1, 'tnguyen@example.com', 'done', 'For Thị Lan Nguyễn', '{\"to\": \"Thị Lan Nguyễn\"}', 'm')")
        .bind(lan)
        .execute(&portal.owner)
        .await
        .unwrap();
    sqlx::query("insert into mail_try (id, mail, outcome, said) select gen_random_uuid(), id, 'refused', '550 tnguyen is no user here' from outbox where message_id = 'm'")
        .execute(&portal.owner)
        .await
        .unwrap();
    sqlx::query("insert into connection_check (id, system, asked_by, asked_at, finished_at, findings) select gen_random_uuid(), key, $1, now(), now(), '[{\"state\": \"well\", \"text\": \"judged by CN=Thị Lan Nguyễn,OU=Staff\"}]' from target_system limit 1")
        .bind(lan)
        .execute(&portal.owner)
        .await
        .unwrap();
    sqlx::query("insert into draft (id, person, kind, answers) values (gen_random_uuid(), $1, 'access', '{\"reason\": \"Month-end closing for Lan\"}')")
        .bind(lan)
        .execute(&portal.owner)
        .await
        .unwrap();
    // A colleague's file that speaks of them, on its way in.
    sqlx::query("insert into import_draft (id, person, name, content, mapping) values (gen_random_uuid(), $1, 'hr.csv', 'E-4711,Thị Lan,Nguyễn', '{}')")
        .bind(company.admin)
        .execute(&portal.owner)
        .await
        .unwrap();
    let mut tx = portal.pool.begin().await.unwrap();
    let record = tenure::evidence::Record {
        before: Some(tenure::evidence::Facts::default().personal("mail", "erika.earlier@example.com")),
        ..tenure::evidence::Record::new(
            tenure::evidence::action::PERSON_CHANGED,
            format!("person:{lan}"),
            tenure::evidence::By::routine("test"),
        )
    };
    tenure::evidence::append(&mut tx, now, &record).await.unwrap();
    let other = tenure::evidence::Record {
        reason: Some("Was told to erika.earlier@example.com".to_owned()),
        detail: tenure::evidence::Facts::default().personal("kept", "Emil Lang"),
        ..tenure::evidence::Record::new(
            tenure::evidence::action::PERSON_CHANGED,
            format!("person:{}", company.employee),
            tenure::evidence::By::routine("test"),
        )
    };
    tenure::evidence::append(&mut tx, now, &other).await.unwrap();
    tx.commit().await.unwrap();
}

/// A request about somebody else that this person asked for. Returns its number.
async fn request_about(portal: &Portal, subject: PersonId, asker: PersonId) -> i64 {
    let (request, number) = (Uuid::now_v7(), 2i64);
    let title = "Access for Emil Lang, asked by Thị Lan Nguyễn";
    sqlx::query(
        "insert into request (id, number, kind, state, title, subject, asked_by, asked_at, answers, nonce)
         values ($1, $2, 'access', 'deciding', $3, $4, $5, now(), '{\"kind\": \"access\", \"answers\": {\"reason\": \"for tnguyen@example.com\", \"until\": \"2026-12-31\"}}', 'n2')",
    )
    .bind(request)
    .bind(number)
    .bind(title)
    .bind(subject)
    .bind(asker)
    .execute(&portal.owner)
    .await
    .unwrap();
    sqlx::query("update request_counter set last = 2").execute(&portal.owner).await.unwrap();
    for person in [subject, asker] {
        sqlx::query("insert into request_role (request, person, role) values ($1, $2, 'party')")
            .bind(request)
            .bind(person)
            .execute(&portal.owner)
            .await
            .unwrap();
    }
    sqlx::query(
        "insert into item (id, request, ordinal, label, state, digest, effect, basis) values (gen_random_uuid(), $1, 1, 'Ledger', 'deciding', 'd',
         convert_to('{\"manager\": \"CN=Thị Lan Nguyễn,OU=Hamburg,DC=corp,DC=example,DC=com\"}', 'UTF8'), '{}')",
    )
    .bind(request)
    .execute(&portal.owner)
    .await
    .unwrap();
    number
}

async fn records(owner: &PgPool) -> Vec<(Uuid, Vec<u8>)> {
    sqlx::query_as("select id, canonical from evidence_record order by id").fetch_all(owner).await.unwrap()
}

async fn propose(portal: &Portal, person: PersonId, basis: Basis, reason: &str) -> Result<Uuid, ErasureError> {
    let actor = Actor::Routine("command");
    erasure::propose(&portal.pool, portal.clock.now(), &actor, (person, basis, reason)).await
}

#[sqlx::test]
async fn nothing_of_theirs_is_found_and_every_proof_stands(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    rules(&portal, &company).await;
    let lan = a_life(&portal, &company).await;
    let before = dump(&portal.owner).await;
    for value in VALUES {
        assert!(!where_found(&before, value).is_empty(), "the test sets no stage for “{value}”");
    }
    let bytes = records(&portal.owner).await;

    // An administrator proposes it in the browser, security approves it.
    let admin = portal.browser_of(company.admin).await;
    let page = admin.get(&format!("/people/{lan}")).await;
    assert!(page.text.contains("Erase personal data"), "{}", page.text);
    let form = admin.get(&format!("/people/{lan}/erasure")).await;
    assert!(form.text.contains("What stays") && form.find("form.form").is_some(), "{}", form.text);
    let proposal = [("basis", "retention"), ("reason", "Case 12 of the yearly list")];
    let proposed = admin.post(&format!("/people/{lan}/erasure"), &proposal).await;
    let address = proposed.location().to_owned();
    assert!(address.starts_with("/erasures/"), "{}", proposed.text);
    assert!(admin.get(&address).await.text.contains("You proposed this"));
    let own = admin.post(&address, &[("decision", "approve"), ("comment", "")]).await;
    assert_eq!(own.status, StatusCode::FORBIDDEN, "not by who proposed it: {}", own.text);
    let security = portal.browser_of(company.security).await;
    assert!(security.get("/erasures").await.text.contains("waits for a decision"));
    assert!(security.get(&address).await.find("form.decision").is_some());
    let approved = security.post(&address, &[("decision", "approve"), ("comment", "Looked at")]).await;
    assert_eq!(approved.location(), address, "{}", approved.text);
    assert_eq!(erasure::carry_out(&portal.pool, portal.clock.now()).await.unwrap(), 1);
    assert_eq!(erasure::carry_out(&portal.pool, portal.clock.now()).await.unwrap(), 0, "once");

    let after = dump(&portal.owner).await;
    for value in VALUES {
        assert_eq!(where_found(&after, value), Vec::<String>::new(), "“{value}” is still there");
    }
    let now = records(&portal.owner).await;
    assert!(bytes.iter().all(|record| now.contains(record)), "a record has changed");
    let actions: Vec<String> = sqlx::query_scalar("select action from evidence_record order by id desc limit 3")
        .fetch_all(&portal.owner)
        .await
        .unwrap();
    assert!(actions.contains(&"person.erased".to_owned()), "{actions:?}");
    others_stand(&portal).await;
    pages_render(&portal, &company, lan, &address).await;
}

/// What is left still opens its commitment, and what is about others alone was left.
async fn others_stand(portal: &Portal) {
    let left: Vec<(Vec<u8>, String, String, Vec<u8>)> = sqlx::query_as(
        "select r.canonical, d.path, d.value, d.key from evidence_disclosure d join evidence_record r on r.id = d.record where d.value is not null",
    )
    .fetch_all(&portal.owner)
    .await
    .unwrap();
    for (canonical, path, value, key) in &left {
        let record: serde_json::Value = serde_json::from_slice(canonical).unwrap();
        let stands = record.pointer(path).unwrap()["hmac"].as_str().unwrap();
        assert_eq!(stands, hex::encode(commitment(key, value.as_bytes())), "{path}");
    }
    for kept in ["\"Emil Lang\"", "\"Case 12 of the yearly list\"", "\"Looked at\""] {
        assert!(left.iter().any(|(_, _, value, _)| value == kept), "{kept} is gone");
    }
    let half: i64 =
        sqlx::query_scalar("select count(*) from evidence_disclosure where (value is null) <> (key is null)")
            .fetch_one(&portal.owner)
            .await
            .unwrap();
    assert_eq!(half, 0);
    let title: String =
        sqlx::query_scalar("select title from request where number = 2").fetch_one(&portal.owner).await.unwrap();
    assert_eq!(title, "Access for Emil Lang, asked by erased person");
}

async fn pages_render(portal: &Portal, company: &Company, lan: PersonId, erasure: &str) {
    let admin = portal.browser_of(company.admin).await;
    let page = admin.get(&format!("/people/{lan}")).await;
    assert!(page.status == StatusCode::OK && page.text.contains("Erased person"), "{}", page.text);
    assert!(!page.text.contains("Erase personal data"));
    let auditor = portal.browser_of(company.auditor).await;
    for path in ["/requests/1", "/requests/2", "/history", "/history?q=REQ-000001", "/people", "/requests", erasure] {
        let page = auditor.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        assert!(!VALUES.iter().any(|value| page.text.contains(value)), "{path}");
    }
    let all: Vec<Uuid> = sqlx::query_scalar("select id from evidence_record").fetch_all(&portal.owner).await.unwrap();
    for record in all {
        let page = auditor.get(&format!("/history/{record}")).await;
        assert_eq!(page.status, StatusCode::OK, "{record}: {}", page.text);
    }
}

#[sqlx::test]
async fn it_is_refused_until_nothing_is_in_the_way(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    rules(&portal, &company).await;
    let refused = async |basis, part: &str| {
        let error = propose(&portal, company.anna, basis, "Case 3").await.unwrap_err();
        assert!(error.to_string().contains(part), "{part}: {error}");
        error.to_string()
    };
    refused(Basis::LawfulRequest, "still employed").await;
    execute(&portal.owner, "update employment set last_day = '2026-11-01' where person = $1", company.anna).await;
    execute(&portal.owner, "update person set state = 'left' where id = $1", company.anna).await;
    refused(Basis::LawfulRequest, "avogel is still in ad:corp.example.com").await;
    execute(&portal.owner, "update account set gone_at = now() where person = $1", company.anna).await;
    refused(Basis::Retention, "until 1 November 2033").await;
    let number = request_about(&portal, company.employee, company.anna).await;
    refused(Basis::LawfulRequest, "REQ-000002 is open").await;
    sqlx::query("update request set settled_at = now(), state = 'done' where number = $1")
        .bind(number)
        .execute(&portal.owner)
        .await
        .unwrap();
    let without = propose(&portal, company.anna, Basis::LawfulRequest, "  ").await;
    assert!(matches!(without, Err(ErasureError::Field { field: "reason", .. })));
    // A shorter retention, released as any other rule, allows it.
    let mut tx = portal.pool.begin().await.unwrap();
    let by = tenure::evidence::By::routine("test");
    let shorter = tenure::catalog::Retention { years: 1 };
    tenure::catalog::release(&mut tx, portal.clock.now(), &by, &shorter, "").await.unwrap();
    tx.commit().await.unwrap();
    refused(Basis::Retention, "until 1 November 2027").await;
    let id = propose(&portal, company.anna, Basis::LawfulRequest, "Case 3").await.unwrap();
    let twice = propose(&portal, company.anna, Basis::LawfulRequest, "Case 3").await;
    assert!(matches!(twice, Err(ErasureError::Conflict(_))), "{twice:?}");

    // They come back before it is carried out: it is held back, and says why.
    let address = format!("/erasures/{id}");
    let security = portal.browser_of(company.security).await;
    assert_eq!(security.post(&address, &[("decision", "approve")]).await.location(), address);
    execute(&portal.owner, "update person set state = 'active' where id = $1", company.anna).await;
    assert_eq!(erasure::carry_out(&portal.pool, portal.clock.now()).await.unwrap(), 0);
    assert!(security.get(&address).await.text.contains("still employed"));
    execute(&portal.owner, "update person set state = 'left' where id = $1", company.anna).await;
    assert_eq!(erasure::carry_out(&portal.pool, portal.clock.now()).await.unwrap(), 1);
    let again = propose(&portal, company.anna, Basis::LawfulRequest, "Case 3").await.unwrap_err();
    assert!(again.to_string().contains("already"), "{again}");
}

#[sqlx::test]
async fn nobody_does_it_alone_and_nobody_about_themselves(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    execute(
        &portal.owner,
        "update employment set first_day = '2010-01-01', last_day = '2015-01-01' where person = $1",
        company.anna,
    )
    .await;
    execute(&portal.owner, "update person set state = 'left' where id = $1", company.anna).await;
    let path = format!("/people/{}/erasure", company.anna);
    for who in [company.employee, company.manager, company.desk, company.lead, company.security, company.auditor] {
        let answer = portal.browser_of(who).await.post(&path, &[("basis", "retention")]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
    }
    let admin = portal.browser_of(company.admin).await;
    let oneself = admin.post(&format!("/people/{}/erasure", company.admin), &[("basis", "retention")]).await;
    assert_eq!(oneself.status, StatusCode::FORBIDDEN);
    // What the command line proposed, an administrator does not approve.
    let id = propose(&portal, company.anna, Basis::Retention, "").await.unwrap();
    let address = format!("/erasures/{id}");
    assert_eq!(admin.post(&address, &[("decision", "approve")]).await.status, StatusCode::FORBIDDEN);
    let security = portal.browser_of(company.security).await;
    let silent = security.post(&address, &[("decision", "reject"), ("comment", " ")]).await;
    assert_eq!(silent.status, StatusCode::UNPROCESSABLE_ENTITY, "a rejection says why");
    let rejected = security.post(&address, &[("decision", "reject"), ("comment", "Not yet")]).await;
    assert_eq!(rejected.location(), address, "{}", rejected.text);
    let late = security.post(&address, &[("decision", "approve")]).await;
    assert_eq!(late.status, StatusCode::CONFLICT, "{}", late.text);
    assert_eq!(erasure::carry_out(&portal.pool, portal.clock.now()).await.unwrap(), 0);
}

/// The application's role by itself, with whatever SQL.
#[sqlx::test]
async fn the_schema_refuses_what_the_code_would(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let id = Uuid::now_v7();
    let insert = "insert into erasure (id, person, basis, state, proposed_by, proposed_at, decided_by, decided_at)
                  values ($1, $2, 'retention', $3, $4, now(), $5, case when $5::uuid is null then null else now() end)";
    let none = None::<PersonId>;
    for (state, proposer, decider) in [
        ("proposed", Some(company.anna), none),
        ("approved", Some(company.admin), Some(company.security)),
        ("done", none, Some(company.security)),
    ] {
        let tried = sqlx::query(insert)
            .bind(Uuid::now_v7())
            .bind(company.anna)
            .bind(state)
            .bind(proposer)
            .bind(decider)
            .execute(&portal.pool)
            .await;
        let error = tried.unwrap_err().to_string();
        assert!(!error.contains("no record"), "{state}: it is the schema that refuses: {error}");
    }
    sqlx::query(insert)
        .bind(id)
        .bind(company.anna)
        .bind("proposed")
        .bind(Some(company.admin))
        .bind(none)
        .execute(&portal.owner)
        .await
        .unwrap();
    let refused = async |query: String| {
        let tried = sqlx::query(sqlx::AssertSqlSafe(query.clone())).execute(&portal.pool).await;
        let error = tried.unwrap_err().to_string();
        assert!(!error.contains("no record"), "{query}: it is the schema that refuses: {error}");
    };
    let (admin, anna, security) = (company.admin, company.anna, company.security);
    for decider in [admin, anna] {
        refused(format!("update erasure set state = 'approved', decided_by = '{decider}', decided_at = now()")).await;
    }
    refused("update erasure set proposed_by = null".to_owned()).await;
    refused(format!("update erasure set person = '{security}'")).await;
    refused("delete from erasure".to_owned()).await;
    refused("update evidence_disclosure set value = null, key = null, erased_at = now()".to_owned()).await;
    refused(format!("select erase_evidence('{id}')")).await;
    refused(format!("select erase_evidence('{}')", Uuid::now_v7())).await;
    sqlx::query("update erasure set state = 'approved', decided_by = $1, decided_at = now()")
        .bind(security)
        .execute(&portal.owner)
        .await
        .unwrap();
    refused("update erasure set state = 'proposed', decided_by = null, decided_at = null".to_owned()).await;
    refused(format!("update erasure set decided_by = '{}'", company.lead)).await;
    // The owner may forget, not rewrite.
    let rewritten = sqlx::query("update evidence_disclosure set value = '\"other\"'").execute(&portal.owner).await;
    let rows: i64 =
        sqlx::query_scalar("select count(*) from evidence_disclosure").fetch_one(&portal.owner).await.unwrap();
    assert!(rewritten.is_err() || rows == 0);
}
