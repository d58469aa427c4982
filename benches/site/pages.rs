//! Pages beside their own SQL, suggestions while typing; start and memory of the server.

use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Client, StatusCode};
use sqlx::PgPool;
use tenure::access::session::{self, Live};
use tenure::clock::Clock;
use uuid::Uuid;

use crate::server::Program;
use crate::site::Site;
use crate::{quantile, row, statements, submit};

/// Connections, ours and `pgbench`'s.
pub const CONNECTIONS: usize = 4;
/// How long each rate is measured.
pub const SECONDS: u32 = 4;

/// A browser that is signed in.
#[derive(Clone)]
pub struct Signed {
    pub client: Client,
    pub cookie: String,
    pub live: Live,
}

impl Signed {
    pub async fn new(site: &Site, user: &str) -> Self {
        let actor = site.actor(user).await;
        let mut conn = site.pool.acquire().await.unwrap();
        let token = session::open(&mut conn, Clock::System.now(), actor.person().unwrap(), &session::From::default())
            .await
            .unwrap();
        let live = session::resume(&mut conn, &token, None).await.unwrap().unwrap();
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { client, cookie: format!("tenure={token}"), live }
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
    let manager = Signed::new(site, "manager").await;
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
    let forms = submit::forms(site, &manager, 2).await;
    // The first one makes the connections.
    submit::send(&manager, &server.address, &forms[0]).await;
    let submitting = statements::of(submit::send(&manager, &server.address, &forms[1])).await;
    drop(server);
    statements::logged(owner, false).await;

    let (server, ready) = Program::serve().await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (idle, _) = server.memory();
    for ((name, who, path), sql) in pages.iter().zip(&asked) {
        let url = format!("{}{path}", server.address);
        // Once, so that neither reads from disk.
        load(who, &url, 1).await;
        let ours = load(who, &url, SECONDS).await;
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
    submit::measure(site, &manager, &server.address, submitting.len(), (owner, scale)).await;
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

/// How many a second `wrk` gets, one after another on each of its connections: it takes little of the processor, as `pgbench`.
async fn load(who: &Signed, url: &str, seconds: u32) -> f64 {
    let output = tokio::process::Command::new("wrk")
        .args(["-t", "1", "-c", &CONNECTIONS.to_string(), "-d", &seconds.to_string()])
        .args(["-H", &format!("cookie: {}", who.cookie), url])
        .stderr(Stdio::inherit())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && !text.contains("Non-2xx"), "{url}: {text}");
    let (_, rest) = text.split_once("Requests/sec:").unwrap_or_else(|| panic!("{url}: {text}"));
    rest.split_whitespace().next().unwrap().parse().unwrap()
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
