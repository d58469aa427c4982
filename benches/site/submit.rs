//! Submitting the form of a new joiner, beside bare transactions with as many inserts as it writes rows.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use sqlx::PgPool;
use tenure::access::Actor;
use tenure::clock::Clock;
use tenure::plan::RequestKind;
use tenure::plan::field::Raw;
use tenure::requests::draft;
use tenure::requests::submit::{Seen, prepare};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::pages::{CONNECTIONS, SECONDS, Signed};
use crate::site::Site;
use crate::{row, statements};

/// More than can be sent in [`SECONDS`].
const FORMS: usize = 1_200;

/// "Check your answers", as a browser would send it.
pub struct Form {
    draft: Uuid,
    body: String,
}

/// Drafts that are filled in, each about somebody else, with what their plans amount to.
pub async fn forms(site: &Site, who: &Signed, count: usize) -> Vec<Form> {
    let mut forms = Vec::with_capacity(count);
    let (actor, today) = (Actor::Person(who.live.viewer.clone()), Clock::System.now().date_naive().to_string());
    for _ in 0..count {
        // Names of people have no digits, and none of these has been taken.
        let name: String = Uuid::new_v4()
            .simple()
            .to_string()
            .chars()
            .map(|char| match char.to_digit(16) {
                Some(digit) => char::from(b'a' + u8::try_from(digit).unwrap()),
                None => char,
            })
            .collect();
        let (given, family) = name.split_at(12);
        let pairs = [
            ("given_name", given),
            ("family_name", family),
            ("type", "employee"),
            ("department", "Finance"),
            ("title", "Accountant"),
            ("site", "Hamburg"),
            ("manager", "manager"),
            ("start_on", today.as_str()),
        ];
        let raw = Raw::from_pairs(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let mut conn = site.pool.acquire().await.unwrap();
        let draft = draft::start(&mut conn, who.live.viewer.person, RequestKind::Joiner, &raw).await.unwrap();
        drop(conn);
        let prepared = prepare(&site.pool, Clock::System.now(), &actor, (RequestKind::Joiner, &raw)).await.unwrap();
        let mut body = format!("csrf={}&draft={draft}", who.live.form_token());
        for digest in Seen::of(draft, &prepared.plan).unwrap().digests {
            body.push_str(&format!("&digest={digest}"));
        }
        forms.push(Form { draft, body });
    }
    forms
}

/// Sends one; its request is there.
pub async fn send(who: &Signed, address: &str, form: &Form) {
    let answer = who
        .client
        .post(format!("{address}/requests"))
        .header("cookie", &who.cookie)
        .header("origin", address)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.body.clone())
        .send()
        .await
        .unwrap();
    let (status, place) = (answer.status(), answer.headers().get("location").cloned());
    let place = place.and_then(|place| place.to_str().ok().map(str::to_owned)).unwrap_or_default();
    assert!(
        status == StatusCode::SEE_OTHER && place.starts_with("/requests/"),
        "{}: {status} {place} {}",
        form.draft,
        answer.text().await.unwrap()
    );
}

pub async fn measure(site: &Site, who: &Signed, address: &str, statements: usize, (owner, scale): (&PgPool, &str)) {
    let writes = rows_written(owner).await;
    sqlx::raw_sql(
        "create table if not exists bench_row (id uuid primary key default gen_random_uuid(), body text);
         grant insert on bench_row to tenure_app",
    )
    .execute(owner)
    .await
    .unwrap();
    let mut bare = vec!["begin".to_owned()];
    bare.extend((0..writes).map(|_| format!("insert into bench_row (body) values ('{}')", "x".repeat(300))));
    bare.push("commit".to_owned());
    let limit = statements::rate(&bare, CONNECTIONS, SECONDS).await;
    let ours = rate(site, who, address).await;
    row(
        &format!("submit a joiner's form ({scale}, {statements} statements, {writes} rows)"),
        &format!("{ours:.0}/s"),
        &format!("{limit:.0}/s"),
        &format!("{:.2}", ours / limit),
        "0.50",
    );
}

/// The rows that the transaction of the newest request wrote, over all tables.
async fn rows_written(owner: &PgPool) -> i64 {
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I', relname) from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace",
    )
    .fetch_all(owner)
    .await
    .unwrap();
    let mut rows = 0;
    for table in tables {
        let count = format!(
            "select count(*) from {table} where xmin = (select xmin from request order by number desc limit 1)"
        );
        rows += sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(count)).fetch_one(owner).await.unwrap();
    }
    rows
}

/// Sends forms side by side until the time is over; how many a second.
async fn rate(site: &Site, who: &Signed, address: &str) -> f64 {
    let (forms, time) = (Mutex::new(forms(site, who, FORMS).await), Duration::from_secs(SECONDS.into()));
    let began = Instant::now();
    let one = async || {
        let mut done = 0_u32;
        while began.elapsed() < time {
            let Some(form) = forms.lock().await.pop() else { break };
            send(who, address, &form).await;
            done += 1;
        }
        done
    };
    let done = tokio::join!(one(), one(), one(), one());
    f64::from(done.0 + done.1 + done.2 + done.3) / began.elapsed().as_secs_f64()
}
