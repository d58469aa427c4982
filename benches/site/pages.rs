//! Pages beside their own SQL, submitting beside bare inserts, suggestions while typing; start and memory of the server.

use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use sqlx::PgPool;
use tenure::access::session;
use tenure::clock::Clock;
use tenure::seed;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::server::Program;
use crate::site::Site;
use crate::{quantile, row, statements};

/// Connections, ours and `pgbench`'s.
const CONNECTIONS: usize = 4;
/// How long each rate is measured.
const SECONDS: u32 = 4;

/// A browser that is signed in.
#[derive(Clone)]
struct Signed {
    client: Client,
    cookie: String,
}

impl Signed {
    async fn new(site: &Site, user: &str) -> Self {
        let actor = site.actor(user).await;
        let mut conn = site.pool.acquire().await.unwrap();
        let token = session::open(&mut conn, Clock::System.now(), actor.person().unwrap(), &session::From::default())
            .await
            .unwrap();
        Self { client: Client::builder().no_proxy().build().unwrap(), cookie: format!("tenure={token}") }
    }

    /// Fetches it whole; returns how long that took, in milliseconds.
    async fn get(&self, url: &str) -> f64 {
        let began = Instant::now();
        let answer = self.client.get(url).header("cookie", &self.cookie).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{url}");
        answer.bytes().await.unwrap();
        began.elapsed().as_secs_f64() * 1e3
    }
}

pub async fn measure(site: &Site, owner: &PgPool, scale: &str) {
    let person: Uuid = sqlx::query_scalar(
        "select subject from request where subject in (select id from person where source = 'bench') limit 1",
    )
    .fetch_one(owner)
    .await
    .unwrap();
    let number: i64 = sqlx::query_scalar("select max(number) from request").fetch_one(owner).await.unwrap();
    let (desk, auditor) = (Signed::new(site, "desk").await, Signed::new(site, "auditor").await);
    let pages = [
        ("queue", &desk, "/queue".to_owned()),
        ("request", &desk, format!("/requests/{number}")),
        ("person", &desk, format!("/people/{person}")),
        ("change history", &auditor, "/history".to_owned()),
    ];

    statements::logged(owner, true).await;
    let (server, _) = Program::serve().await;
    let mut asked = Vec::new();
    for (_, who, path) in &pages {
        let url = format!("{}{path}", server.address);
        who.get(&url).await;
        asked.push(
            statements::of(async {
                who.get(&url).await;
            })
            .await,
        );
    }
    let manager = seed::token(&site.pool, &site.config, Clock::System, "manager").await.unwrap();
    submit(&desk.client, (&server, &manager), &format!("Erste {scale}")).await;
    let submitting = statements::of(async {
        submit(&desk.client, (&server, &manager), "Zweite").await;
    })
    .await;
    drop(server);
    statements::logged(owner, false).await;

    let (server, ready) = Program::serve().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (idle, _) = server.memory();
    for ((name, who, path), sql) in pages.iter().zip(&asked) {
        let url = format!("{}{path}", server.address);
        // Once, so that neither reads from disk.
        load(who, &url, CONNECTIONS, 1).await;
        let ours = load(who, &url, CONNECTIONS, SECONDS).await;
        let limit = statements::rate(sql, CONNECTIONS, SECONDS).await;
        let mut half = paced(who, &url, ours / 2.0, SECONDS).await;
        row(
            &format!("page: {name} ({scale}, {} statements)", sql.len()),
            &format!("{ours:.0}/s; p99 at half load {:.0} ms", quantile(&mut half, 0.99)),
            &format!("{limit:.0}/s"),
            &format!("{:.2}", ours / limit),
            "0.50; p99 50 ms",
        );
    }
    let mut typed = Vec::new();
    for at in 0..300_usize {
        let words = ["ma", "mar", "mari", "ke", "kell", "an", "ann", "be", "ben", "sch"];
        typed.push(desk.get(&format!("{}/search/suggest?q={}", server.address, words[at % words.len()])).await);
    }
    row(
        &format!("suggestions while typing ({scale})"),
        &format!("p50 {:.1} ms, p95 {:.1} ms", quantile(&mut typed, 0.5), quantile(&mut typed, 0.95)),
        "-",
        "-",
        "p95 30 ms",
    );
    submitted(&server, &manager, submitting.len(), (owner, scale)).await;
    let (_, most) = server.memory();
    row(&format!("start to ready ({scale})"), &format!("{ready:.0} ms"), "-", "-", "300 ms");
    row(
        &format!("memory of the server, idle and at most ({scale})"),
        &format!("{idle:.0} MiB, {most:.0} MiB"),
        "-",
        "-",
        "40; 150 MiB",
    );
}

/// How many a second that many connections get, one after another.
async fn load(who: &Signed, url: &str, connections: usize, seconds: u32) -> f64 {
    let began = Instant::now();
    let until = began + Duration::from_secs(seconds.into());
    let running: Vec<_> = (0..connections)
        .map(|_| {
            let (who, url) = (who.clone(), url.to_owned());
            tokio::spawn(async move {
                let mut done = 0_u32;
                while Instant::now() < until {
                    who.get(&url).await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done = 0;
    for one in running {
        done += one.await.unwrap();
    }
    f64::from(done) / began.elapsed().as_secs_f64()
}

/// At that rate, whether or not the ones before were answered; each one's milliseconds.
async fn paced(who: &Signed, url: &str, rate: f64, seconds: u32) -> Vec<f64> {
    let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    let until = Instant::now() + Duration::from_secs(seconds.into());
    let mut running = Vec::new();
    while Instant::now() < until {
        ticks.tick().await;
        let (who, url) = (who.clone(), url.to_owned());
        running.push(tokio::spawn(async move { who.get(&url).await }));
    }
    let mut took = Vec::new();
    for one in running {
        took.push(one.await.unwrap());
    }
    took
}

/// Asks for somebody new.
async fn submit(client: &Client, (server, token): (&Program, &str), family: &str) {
    // Names of people have no digits.
    let family: String = family.chars().filter(|char| char.is_alphabetic()).collect();
    let given: String =
        Uuid::new_v4().simple().to_string().bytes().take(10).map(|byte| char::from(b'a' + byte % 26)).collect();
    let today = Clock::System.now().date_naive().to_string();
    let body = serde_json::json!({"kind": "joiner", "answers": {
        "given_name": given, "family_name": family, "employee_number": null, "type": "employee", "department": "Finance",
        "title": "Accountant", "site": "Hamburg", "manager": "manager", "start_on": today, "end_on": null,
    }});
    let answer = client
        .post(format!("{}/api/v1/requests", server.address))
        .bearer_auth(token)
        .header("idempotency-key", Uuid::new_v4().to_string())
        .json(&body)
        .send()
        .await
        .unwrap();
    let status = answer.status();
    assert!(status.is_success(), "{status}: {}", answer.text().await.unwrap());
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

/// Submitting, and bare transactions with as many inserts as it writes rows.
async fn submitted(server: &Program, token: &str, statements: usize, (owner, scale): (&PgPool, &str)) {
    submit(&Client::builder().no_proxy().build().unwrap(), (server, token), "Dritte").await;
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
    let done = Mutex::new(0_u32);
    let began = Instant::now();
    side_by_side((server, token), &done, Duration::from_secs(SECONDS.into())).await;
    let ours = f64::from(*done.lock().await) / began.elapsed().as_secs_f64();
    row(
        &format!("submit a joiner ({scale}, {statements} statements, {writes} rows)"),
        &format!("{ours:.0}/s"),
        &format!("{limit:.0}/s"),
        &format!("{:.2}", ours / limit),
        "0.50",
    );
}

/// Submits side by side until the time is over.
async fn side_by_side(by: (&Program, &str), done: &Mutex<u32>, time: Duration) {
    let client = Client::builder().no_proxy().build().unwrap();
    let began = Instant::now();
    let one = async |family: &str| {
        while began.elapsed() < time {
            submit(&client, by, family).await;
            *done.lock().await += 1;
        }
    };
    tokio::join!(one("Eins"), one("Zwei"), one("Drei"), one("Vier"));
}
