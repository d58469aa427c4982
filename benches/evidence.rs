//! The evidence log's figures: appending beside raw inserts, how far the signed log is behind its records, verifying beside
//! `sha256sum`. Run by `scripts/bench`, which starts PostgreSQL and prints the table; each line is one measured figure.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor, PgPool};
use tenure::clock::Clock;
use tenure::evidence::checkpoint::Checkpoint;
use tenure::evidence::log::Sequencer;
use tenure::evidence::note::Note;
use tenure::evidence::signer::{Keeper, Line};
use tenure::evidence::tiles::{Edge, Folder};
use tenure::evidence::verify::{self, Trust};
use tenure::evidence::{By, Facts, Record, action, append, tree};
use tokio::sync::Mutex;
use uuid::Uuid;

/// Connections that append side by side.
const WRITERS: usize = 4;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = std::env::var("DATABASE_OWNER_URL").expect("scripts/bench sets DATABASE_OWNER_URL");
        let pool = database(&url).await;
        appending(&pool).await;
        lag(&pool).await;
        pool.close().await;
    });
    verifying();
}

/// One row of the table; `scripts/bench` aligns them.
fn row(figure: &str, ours: &str, limit: &str, ratio: &str, bar: &str) {
    println!("row\t{figure}\t{ours}\t{limit}\t{ratio}\t{bar}");
}

/// A new, migrated database.
async fn database(url: &str) -> PgPool {
    let options: PgConnectOptions = url.parse().unwrap();
    let server = PgPool::connect_with(options.clone().database("postgres")).await.unwrap();
    server.execute("drop database if exists bench_evidence with (force)").await.unwrap();
    server.execute("create database bench_evidence").await.unwrap();
    server.close().await;
    let pool = PgPoolOptions::new().max_connections(16).connect_with(options.database("bench_evidence")).await.unwrap();
    tenure::db::MIGRATOR.run(&pool).await.unwrap();
    pool
}

fn now() -> DateTime<Utc> {
    Clock::System.now()
}

/// As a worker's outcome: both sights of an account, a target, change identifiers.
fn record(number: usize) -> Record {
    let sight = |enabled: bool| {
        Facts::default()
            .plain("enabled", enabled)
            .personal("displayName", format!("Person {number}"))
            .personal("sAMAccountName", format!("person{number}"))
    };
    Record {
        before: Some(sight(false)),
        after: Some(sight(true)),
        request: Some(i64::try_from(number).unwrap()),
        item: Some(1),
        native: Some(
            serde_json::json!({"usn": number.to_string(), "server": "dc1.example.com", "versions": {"userAccountControl": 3}}),
        ),
        ..Record::new(action::STEP_APPLIED, format!("request:{number}"), By::routine("bench"))
    }
}

/// `count` transactions on [`WRITERS`] connections; how many a second.
async fn rate<F, Fut>(count: usize, one: F) -> f64
where
    F: Fn(usize) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send,
{
    let one = Arc::new(one);
    let began = Instant::now();
    let writers = (0..WRITERS).map(|writer| {
        let one = one.clone();
        tokio::spawn(async move {
            for number in (writer..count).step_by(WRITERS) {
                one(number).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    f64::from(u32::try_from(count).unwrap()) / began.elapsed().as_secs_f64()
}

/// Appending, and the same rows by plain inserts whose values are at hand; alternating, the middle of five rounds each.
async fn appending(pool: &PgPool) {
    const COUNT: usize = 4000;
    const ROUNDS: usize = 5;
    let mut ours = Vec::new();
    let mut rows = Vec::new();
    let mut single = Vec::new();
    let sample: Vec<u8> = {
        let mut tx = pool.begin().await.unwrap();
        let id = append(&mut tx, now(), &record(0)).await.unwrap();
        tx.commit().await.unwrap();
        sqlx::query_scalar("select canonical from evidence_record where id = $1")
            .bind(id)
            .fetch_one(pool)
            .await
            .unwrap()
    };
    for round in 0..ROUNDS {
        let base = 1 + round * COUNT;
        let append_pool = pool.clone();
        ours.push(
            rate(COUNT, move |number| {
                let pool = append_pool.clone();
                async move {
                    let mut tx = pool.begin().await.unwrap();
                    append(&mut tx, now(), &record(base + number)).await.unwrap();
                    tx.commit().await.unwrap();
                }
            })
            .await,
        );
        for (all, rates) in [(true, &mut rows), (false, &mut single)] {
            let (raw_pool, sample) = (pool.clone(), sample.clone());
            rates.push(
                rate(COUNT, move |_| {
                    let (pool, sample) = (raw_pool.clone(), sample.clone());
                    async move { raw(&pool, &sample, all).await }
                })
                .await,
            );
        }
    }
    let (ours, rows, single) = (middle(ours), middle(rows), middle(single));
    let say = |rate: f64| format!("{rate:.0}/s");
    row(
        "append, beside plain inserts of the same rows",
        &say(ours),
        &say(rows),
        &format!("{:.2}", ours / rows),
        "0.90",
    );
    row(
        "append, beside one insert of the record's row alone",
        &say(ours),
        &say(single),
        &format!("{:.2}", ours / single),
        "0.90",
    );
}

/// The record's row, and with `all` its subject's and its disclosures', as one transaction.
async fn raw(pool: &PgPool, canonical: &[u8], all: bool) {
    let id = Uuid::now_v7();
    let subject = format!("raw:{id}");
    let mut tx = pool.begin().await.unwrap();
    if all {
        sqlx::query("insert into evidence_subject (subject, seq) values ($1, 1) on conflict (subject) do update set seq = evidence_subject.seq + 1 returning seq")
            .bind(&subject)
            .fetch_one(&mut *tx)
            .await
            .unwrap();
    }
    sqlx::query(
        "insert into evidence_record (id, at, action, subject, seq, via, request, item, canonical) values ($1, now(), 'bench', $2, 1, 'raw', 1, 1, $3)",
    )
    .bind(id)
    .bind(&subject)
    .bind(canonical)
    .execute(&mut *tx)
    .await
    .unwrap();
    if all {
        sqlx::query("insert into evidence_disclosure (record, path, value, key) select $1, path, 'value', $3 from unnest($2::text[]) as path")
            .bind(id)
            .bind(["/before/displayName", "/before/sAMAccountName", "/after/displayName", "/after/sAMAccountName"].as_slice())
            .bind([7u8; 32].as_slice())
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
}

fn middle(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// From a record's commit to the published checkpoint that covers it, at 2,000 records a second for 15 seconds.
async fn lag(pool: &PgPool) {
    const RATE: u32 = 2000;
    const SECONDS: u32 = 15;
    const PACED: u32 = 8;
    let dir = tempfile::tempdir_in(std::env::var("TENURE_BENCH_DIR").unwrap_or_else(|_| ".".to_owned())).unwrap();
    let keeper = Keeper::new(dir.path().join("signer"));
    keeper.make("bench.example.com/evidence/1").unwrap();
    let mut sequencer = Sequencer::new(dir.path().join("log"), Line::Here(keeper));
    // What was appended before is old news.
    while sequencer.turn(pool, now()).await.unwrap().sequenced > 0 {}
    let stop = Arc::new(AtomicBool::new(false));
    let sequencing = tokio::spawn({
        let (pool, stop) = (pool.clone(), stop.clone());
        async move {
            let mut published = Vec::new();
            while !stop.load(Ordering::SeqCst) {
                let turn = sequencer.turn(&pool, now()).await.unwrap();
                published.push((turn.size, Instant::now()));
                if !turn.more {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            published
        }
    });
    let committed: Arc<Mutex<Vec<(Uuid, Instant)>>> = Arc::default();
    let began = Instant::now();
    let writers: Vec<_> = (0..PACED)
        .map(|writer| {
            let (pool, committed) = (pool.clone(), committed.clone());
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for number in (writer..RATE * SECONDS).step_by(PACED as usize) {
                    let due = began + Duration::from_secs(1) * number / RATE;
                    tokio::time::sleep_until(due.into()).await;
                    let mut tx = pool.begin().await.unwrap();
                    let id = append(&mut tx, now(), &record(1_000_000 + number as usize)).await.unwrap();
                    tx.commit().await.unwrap();
                    mine.push((id, Instant::now()));
                }
                committed.lock().await.extend(mine);
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let took = began.elapsed();
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop.store(true, Ordering::SeqCst);
    let published = sequencing.await.unwrap();
    let places: Vec<(Uuid, i64)> =
        sqlx::query_as("select record_id, leaf_index from evidence_leaf").fetch_all(pool).await.unwrap();
    let places: std::collections::HashMap<Uuid, i64> = places.into_iter().collect();
    let mut lags: Vec<Duration> = committed
        .lock()
        .await
        .iter()
        .map(|(id, at)| {
            let index = u64::try_from(places[id]).unwrap();
            let covering = published.partition_point(|(size, _)| *size <= index);
            published[covering].1.saturating_duration_since(*at)
        })
        .collect();
    lags.sort_unstable();
    let at = |part: f64| lags[((lags.len() - 1) as f64 * part) as usize].as_millis();
    let rate = lags.len() as f64 / took.as_secs_f64();
    row(
        &format!("from commit to a published checkpoint, at {rate:.0} records/s"),
        &format!("p50 {} ms, p99 {} ms, most {} ms", at(0.5), at(0.99), at(1.0)),
        "-",
        "-",
        "p99 1,000 ms",
    );
}

/// A log of so many records as the worker writes them, and how long it takes to verify; beside `sha256sum` of its entries.
fn verifying() {
    let mut seconds = Vec::new();
    for size in [100_000u64, 1_000_000] {
        let dir = tempfile::tempdir_in(std::env::var("TENURE_BENCH_DIR").unwrap_or_else(|_| ".".to_owned())).unwrap();
        made(dir.path(), size);
        let mut best = f64::MAX;
        for _ in 0..2 {
            let began = Instant::now();
            let report = verify::path(dir.path(), &Trust::default()).pop().unwrap();
            best = best.min(began.elapsed().as_secs_f64());
            assert!(report.holds(), "{report}");
        }
        let began = Instant::now();
        let files =
            format!("find {} -path '*tile/entries*' -type f -print0 | xargs -0 cat | sha256sum", dir.path().display());
        assert!(Command::new("sh").args(["-c", &files]).stdout(Stdio::null()).status().unwrap().success());
        let plain = began.elapsed().as_secs_f64();
        seconds.push(best);
        let bar = if size == 1_000_000 { "15 s; 4.00" } else { "4.00" };
        let (ours, limit) = (format!("{best:.2} s"), format!("{plain:.2} s"));
        row(
            &format!("verify {size} records, beside sha256sum of their bytes"),
            &ours,
            &limit,
            &format!("{:.2}", best / plain),
            bar,
        );
    }
    row(
        "verify 10 times as many records",
        &format!("{:.1} times as long", seconds[1] / seconds[0]),
        "-",
        "-",
        "linear",
    );
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown").trim().to_owned();
    row("memory at most, this whole run", &peak, "-", "-", "-");
}

fn made(dir: &Path, size: u64) {
    let keeper = Keeper::new(dir.join("signer"));
    let key = keeper.make("bench.example.com/evidence/1").unwrap();
    let signing = keeper.key().unwrap();
    std::fs::remove_dir_all(dir.join("signer")).unwrap();
    let folder = Folder(dir.to_owned());
    let mut edge = Edge::empty();
    let hmac = hex::encode([0xab; 32]);
    let begin = now() - TimeDelta::days(30);
    for from in (0..size).step_by(256) {
        let entries: Vec<Vec<u8>> = (from..(from + 256).min(size))
            .map(|index| {
                let at = (begin + TimeDelta::milliseconds(i64::try_from(index).unwrap())).to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
                format!(
                    r#"{{"action":"step.applied","actor":{{"via":"worker:28633-e22aa5"}},"after":{{"displayName":{{"hmac":"{hmac}"}},"enabled":true,"mail":{{"hmac":"{hmac}"}},"present":true,"sAMAccountName":{{"hmac":"{hmac}"}}}},"at":"{at}","attempt":1,"before":{{"displayName":{{"hmac":"{hmac}"}},"enabled":false,"present":true}},"id":"{}","item":1,"native":{{"server":"dc1.example.com","usn":"{index}"}},"plan_digest":"{hmac}","request":{index},"seq":1,"software":{{"version":"0.1.0"}},"step":"{}","subject":"request:{index}","target":{{"id":"{}","kind":"user","server":"dc1.example.com","system":"ad:corp.example.com"}},"v":1}}"#,
                    Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()
                )
                .into_bytes()
            })
            .collect();
        let last = from + 256 >= size;
        for file in edge.append(&entries).into_iter().filter(|file| last || file.width == 256) {
            let path = folder.tile(file.kind, file.number, file.width);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file.bytes).unwrap();
        }
    }
    let Ok(root) = tree::root(&mut edge, size);
    let text = Checkpoint::new("bench.example.com/evidence/1", size, root).to_string();
    let note = Note { signatures: vec![signing.sign(&text)], text };
    std::fs::create_dir_all(dir.join("keys")).unwrap();
    std::fs::write(dir.join("keys/log.vkey"), format!("{key}\n")).unwrap();
    std::fs::write(folder.checkpoint(), note.to_string()).unwrap();
}
