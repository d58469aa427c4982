//! Letters about settings: to the other administrators, to the proposer, as tests to oneself; and a letter sent again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use chrono::TimeDelta;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::catalog::proposals;
use tenure::config::MailConfig;
use tenure::mail;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::settings::{Two, records, tell};

/// Address, subject and text of each letter of that template.
async fn letters(db: &PgPool, template: &str) -> Vec<(String, String, String)> {
    let rows: Vec<(String, String, serde_json::Value)> =
        sqlx::query_as("select address, subject, letter from outbox where template = $1 and not test order by id")
            .bind(template)
            .fetch_all(db)
            .await
            .unwrap();
    let text = |letter| mail::text(letter, ("https://tenure.test", "Example")).unwrap();
    rows.into_iter().map(|(address, subject, letter)| (address, subject, text(letter))).collect()
}

#[sqlx::test]
async fn the_others_are_told_and_then_the_proposer(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let db = &two.portal.owner;
    let draft = two.draft("retention").await;
    let proposal = two.propose(&draft, &[("years", "8")]).await;
    let told = letters(db, "setting_proposed").await;
    assert_eq!(told.len(), 1, "not the proposer: {told:?}");
    let (address, subject, text) = &told[0];
    assert_eq!((address.as_str(), subject.as_str()), ("lroth@example.com", "[Settings] Please release: Retention"));
    assert!(text.contains("Adam Kern proposes") && text.contains("“As agreed”"), "{text}");
    assert!(text.contains(&format!("https://tenure.test{proposal}")), "{text}");
    assert!(letters(db, "setting_answered").await.is_empty());
    two.release(&proposal).await;
    let (address, subject, text) = letters(db, "setting_answered").await.remove(0);
    assert_eq!((address.as_str(), subject.as_str()), ("akern@example.com", "[Settings] Released: Retention"));
    assert!(text.contains("By Lena Roth.") && text.contains("in force as version"), "{text}");
    // Rejected with a comment; withdrawn by oneself tells nobody.
    let proposal = two.propose(&two.draft("retention").await, &[("years", "9")]).await;
    let digest = two.other.get(&proposal).await.value("digest").unwrap();
    two.other.post(&proposal, &[("answer", "reject"), ("digest", &digest), ("comment", "Too long")]).await;
    let answered = letters(db, "setting_answered").await;
    assert!(answered[1].1.contains("Rejected") && answered[1].2.contains("“Too long”"), "{answered:?}");
    let proposal = two.propose(&two.draft("retention").await, &[("years", "10")]).await;
    two.one.post(&proposal, &[("answer", "withdraw")]).await;
    assert_eq!(letters(db, "setting_answered").await.len(), 2);
    // What a refused proposal told goes with it.
    let before = letters(db, "setting_proposed").await.len();
    let refused = two.send(&two.draft("retention").await, &[("years", "11"), ("what", "propose"), ("note", "")]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(letters(db, "setting_proposed").await.len(), before);
    assert!(two.one.get("/outbox").await.text.contains("Please release: Retention"));
}

#[sqlx::test]
async fn what_is_overtaken_is_told(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let day = [("from_day", "1"), ("from_month", "6"), ("from_year", "2035")];
    for years in ["8", "9"] {
        let proposal = two.propose(&two.draft("retention").await, &[&day[..], &[("years", years)]].concat()).await;
        two.release(&proposal).await;
    }
    let due: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("select min(from_at) from setting_proposal").fetch_one(&two.portal.owner).await.unwrap();
    assert_eq!(proposals::in_force_due(&two.portal.pool, due, tell).await.unwrap(), 2);
    let told = letters(&two.portal.owner, "setting_answered").await;
    let subjects: Vec<&str> = told.iter().map(|(_, subject, _)| subject.as_str()).collect();
    let released = "[Settings] Released: Retention";
    assert_eq!(subjects, [released, released, "[Settings] Overtaken: Retention"]);
    assert!(told[0].2.contains("comes into force on") && told[2].2.contains("never counts"), "{told:?}");
}

#[sqlx::test]
async fn a_wording_is_tried_on_oneself(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let db = &two.portal.owner;
    let draft = two.draft("mail").await;
    let opening = ("letters.done.opening", "Dear {{ to }}, all is done.");
    let sent = two.send(&draft, &[opening, ("letter", "done"), ("what", "test")]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let (address, subject, letter): (String, String, serde_json::Value) =
        sqlx::query_as("select address, subject, letter from outbox where test").fetch_one(db).await.unwrap();
    assert_eq!(
        (address.as_str(), subject.as_str()),
        ("akern@example.com", "Test: [REQ-000001] Done: New joiner: Zoë Groß")
    );
    let text = mail::text(letter, ("https://tenure.test", "Example")).unwrap();
    assert!(text.starts_with("This is a test of a wording") && text.contains("Dear Adam Kern, all is done."), "{text}");
    assert!(text.contains(&format!("https://tenure.test{draft}")), "{text}");
    assert!(two.one.get(&draft).await.text.contains("all is done."), "the draft is kept");
    assert_eq!(records(db, "mail.tested").await, 1);
    // A wording that does not work is told, and nothing is sent.
    let wrong = two.send(&draft, &[("letters.done.opening", "{{ password }}"), ("what", "test")]).await;
    assert_eq!(wrong.status, StatusCode::CONFLICT);
    let proposal = two.propose(&draft, &[opening]).await;
    for _ in 0..2 {
        let all = two.other.post(&proposal, &[("answer", "test"), ("letter", "")]).await;
        assert_eq!(all.status, StatusCode::SEE_OTHER, "{}", all.text);
    }
    let theirs = "select count(*) from outbox where test and address = 'lroth@example.com'";
    assert_eq!(sqlx::query_scalar::<_, i64>(theirs).fetch_one(db).await.unwrap(), 16);
    // Not without end: a third time of all in ten minutes still goes, a fourth does not; later it does.
    assert_eq!(two.other.post(&proposal, &[("answer", "test")]).await.status, StatusCode::SEE_OTHER);
    let enough = two.other.post(&proposal, &[("answer", "test"), ("letter", "done")]).await;
    assert_eq!(enough.status, StatusCode::CONFLICT);
    assert!(enough.text.contains("24 tests in the last 10 minutes"), "{}", enough.text);
    two.portal.clock.set(two.portal.clock.now() + TimeDelta::minutes(11));
    assert_eq!(
        two.other.post(&proposal, &[("answer", "test"), ("letter", "done")]).await.status,
        StatusCode::SEE_OTHER
    );
    // Only of wording, only by administrators.
    let retention = two.draft("retention").await;
    assert_eq!(two.send(&retention, &[("what", "test")]).await.status, StatusCode::NOT_FOUND);
    let desk = two.portal.browser_of(two.company.desk).await;
    assert_eq!(desk.post(&proposal, &[("answer", "test")]).await.status, StatusCode::FORBIDDEN);
    assert!(desk.get(&proposal).await.find("button[value=test]").is_none());
}

#[sqlx::test]
async fn a_letter_that_was_given_up_is_sent_again(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let db = &two.portal.owner;
    two.propose(&two.draft("retention").await, &[("years", "8")]).await;
    let id: Uuid = sqlx::query_scalar("select id from outbox").fetch_one(db).await.unwrap();
    let (page, again) = (format!("/outbox/{id}"), format!("/outbox/{id}/retry"));
    assert!(two.one.get(&page).await.find(&format!("form[action='{again}']")).is_none(), "it is on its way");
    assert_eq!(two.one.post(&again, &[]).await.status, StatusCode::CONFLICT);
    let fail = "update outbox set failed_at = now(), tries = 130, error = '550 no such user'";
    sqlx::query(fail).execute(db).await.unwrap();
    for person in [two.company.auditor, two.company.desk, two.company.employee] {
        let browser = two.portal.browser_of(person).await;
        assert!(browser.get(&page).await.find(&format!("form[action='{again}']")).is_none());
        assert_eq!(browser.post(&again, &[]).await.status, StatusCode::FORBIDDEN);
    }
    assert!(two.one.get(&page).await.find(&format!("form[action='{again}']")).is_some());
    assert_eq!(two.one.post(&again, &[]).await.status, StatusCode::SEE_OTHER);
    let (waits, tries): (bool, i32) =
        sqlx::query_as("select failed_at is null and due_at <= now(), tries from outbox").fetch_one(db).await.unwrap();
    assert!(waits && tries == 0);
    assert_eq!(records(db, "mail.sent_again").await, 1);
    // Nothing is left of an erased one.
    sqlx::query("update outbox set failed_at = now(), letter = '{}'").execute(db).await.unwrap();
    assert!(two.one.get(&page).await.find(&format!("form[action='{again}']")).is_none());
    assert_eq!(two.one.post(&again, &[]).await.status, StatusCode::CONFLICT);
}

/// A mail server that gives these answers to recipients, one after the other, and accepts everything else. Returns its
/// address.
async fn mail_server(answers: &[&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("smtp://{}", listener.local_addr().unwrap());
    let answers = Arc::new(Mutex::new(answers.iter().copied().collect::<VecDeque<_>>()));
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(speaks(socket, Arc::clone(&answers)));
        }
    });
    address
}

async fn speaks(socket: TcpStream, answers: Arc<Mutex<VecDeque<&'static str>>>) -> std::io::Result<()> {
    let (reads, mut writes) = socket.into_split();
    let mut lines = BufReader::new(reads).lines();
    writes.write_all(b"220 mail.example.com\r\n").await?;
    let mut text = false;
    while let Some(line) = lines.next_line().await? {
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            "." => {
                text = false;
                "250 2.0.0 queued as 4711"
            }
            _ if text => continue,
            "RCPT" => answers.lock().unwrap().pop_front().unwrap_or("250 2.1.5 ok"),
            "DATA" => {
                text = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        writes.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

#[sqlx::test]
async fn each_try_at_a_letter_is_told_with_the_servers_answer(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    let db = &two.portal.owner;
    two.propose(&two.draft("retention").await, &[("years", "8")]).await;
    let id: Uuid = sqlx::query_scalar("select id from outbox").fetch_one(db).await.unwrap();
    let page = format!("/outbox/{id}");
    let tries = async || two.one.get(&page).await.find_all("[aria-label=Delivery] .versions li");
    assert!(tries().await.is_empty() && !two.one.get(&page).await.text.contains("<h2>Tries</h2>"));
    let url = mail_server(&["451 4.3.0 busy, try later", "250 2.1.5 ok", "550 5.1.1 no such user"]).await;
    let config = MailConfig { url, user: None, password_file: None, from: "Tenure <tenure@example.com>".to_owned() };
    let send = async || {
        sqlx::query("update outbox set due_at = now()").execute(db).await.unwrap();
        mail::send_due(&two.portal.pool, &config, ("https://tenure.example.com", "Example")).await.unwrap()
    };
    assert_eq!(send().await, 0);
    let told = tries().await;
    assert!(told.len() == 1 && told[0].contains("not now") && told[0].contains("4.3.0 busy, try later"), "{told:?}");
    assert!(two.one.get(&page).await.text.contains("Tried again"), "and when it goes on");
    // A worker that stopped before it knew: the try is there, and what came of it nobody can say.
    let lost = "insert into mail_try (id, mail, began_at) select gen_random_uuid(), id, now() - interval '2 minutes' from outbox";
    sqlx::query(lost).execute(db).await.unwrap();
    assert_eq!(send().await, 1);
    let told = tries().await;
    assert!(
        told.len() == 3 && told[0].contains("accepted") && told[0].contains("250 2.0.0 queued as 4711"),
        "{told:?}"
    );
    assert!(told[1].contains("not now") && told[2].contains("answer unknown"), "the newest first: {told:?}");
    // Refused for good, and sent once more by hand: what came before stays.
    sqlx::query("update outbox set sent_at = null").execute(db).await.unwrap();
    assert_eq!(send().await, 0);
    assert!(tries().await[0].contains("refused") && tries().await[0].contains("no such user"), "{:?}", tries().await);
    assert_eq!(two.one.post(&format!("{page}/retry"), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(send().await, 1);
    assert_eq!(tries().await.len(), 5);
    // Very many are counted.
    let many = "insert into mail_try (id, mail, outcome) select gen_random_uuid(), id, 'later' from outbox, generate_series(1, 30)";
    sqlx::query(many).execute(db).await.unwrap();
    assert_eq!(tries().await.len(), 10);
    assert!(two.one.get(&page).await.text.contains("and 25 earlier"));
}
