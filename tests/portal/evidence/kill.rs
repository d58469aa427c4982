//! The sequencer dies: at each of its boundaries, and at any moment by kill -9, while records keep coming.
//!
//! `TENURE_KILLS=1000` for the full number; a run of the suite makes 40.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::evidence::append;
use tenure::evidence::boundary::Boundary;
use tenure::evidence::note::Note;
use tenure::evidence::verify::{self, Trust};

use super::{Log, now, record};

impl Log {
    /// A configuration for a worker as a process of its own.
    fn configure(&self, connect: &PgConnectOptions) -> std::path::PathBuf {
        let url = std::env::var("DATABASE_URL").unwrap();
        let server = url.rsplit_once('/').unwrap().0;
        let (dir, path) = (self.dir.path().display(), self.dir.path().join("tenure.toml"));
        let key = self.dir.path().join("worker-key");
        tenure::evidence::signer::write_private(&key, &hex::encode([7; 32])).unwrap();
        let text = format!(
            "[database]\nurl = \"{server}/{}\"\nmax_connections = 4\n[web]\nbase_url = \"https://tenure.test\"\n\
             [worker]\nkey_file = \"{}\"\nlisten = \"127.0.0.1:0\"\n[evidence]\nlog_dir = \"{dir}/log\"\nsigner_dir = \"{dir}/signer\"\n",
            connect.get_database().unwrap(),
            key.display()
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The newest published checkpoint; None before the first.
    fn newest(&self) -> Option<Note> {
        std::fs::read_to_string(self.folder().join("checkpoint")).ok()?.parse().ok()
    }
}

fn worker(config: &std::path::Path, die_at: &str) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tenure"))
        .arg("work")
        .env("TENURE_CONFIG", config)
        .env("TENURE_DIE_AT", die_at)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// After whatever happened: everything is in the log once, in order, and every checkpoint that was ever published is a
/// beginning of it.
async fn whole(mut log: Log, seen: Vec<Note>, records: u64) {
    log.sequencer = log.another();
    let size = log.settle().await;
    assert_eq!(size, records + 1, "every record once, and the log's own first leaf");
    let trust = Trust { keys: vec![log.key.clone()], checkpoints: seen, ..Trust::default() };
    let report = verify::path(&log.folder(), &trust).pop().unwrap();
    assert!(report.holds(), "{report}");
    let live = log.live().await;
    assert!(live.holds(), "{live}");
}

#[sqlx::test]
async fn it_dies_at_every_boundary(options: PgPoolOptions, connect: PgConnectOptions) {
    let log = Log::start(options, connect.clone()).await;
    let config = log.configure(&connect);
    let mut seen = Vec::new();
    let mut records = 0;
    for round in 0..3 {
        for boundary in Boundary::ALL {
            log.records(5 + round * 100).await;
            records += 5 + round as u64 * 100;
            let mut process = worker(&config, &format!("evidence:{}", boundary.as_str()));
            let began = Instant::now();
            while process.try_wait().unwrap().is_none() {
                assert!(began.elapsed() < Duration::from_secs(60), "{boundary:?}: it does not come there");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            seen.extend(log.newest());
            // Whoever comes next need not wait for the dead one's lease to run out.
            sqlx::query("update routine set lease_until = null").execute(&log.owner).await.unwrap();
        }
    }
    whole(log, seen, records).await;
}

#[sqlx::test]
async fn it_is_killed_at_any_moment(options: PgPoolOptions, connect: PgConnectOptions) {
    let log = Log::start(options, connect.clone()).await;
    let config = log.configure(&connect);
    let kills: u64 = std::env::var("TENURE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let (mut seen, mut records, mut published) = (Vec::new(), 0, 0);
    for kill in 0..kills {
        let mut process = worker(&config, "");
        // Every second life ends anywhere in its first fraction of a second, the others a moment after they published:
        // a machine that is busy with other things takes its time to start. Records come meanwhile.
        let (began, before) = (Instant::now(), log.newest());
        let mut until = (kill % 2 == 0).then(|| began + Duration::from_millis(40 + (kill * 37) % 190));
        while until.is_none_or(|until| Instant::now() < until) {
            let mut tx = log.pool.begin().await.unwrap();
            append(&mut tx, now(), &record(usize::try_from(records).unwrap())).await.unwrap();
            tx.commit().await.unwrap();
            records += 1;
            if until.is_none() && (log.newest() != before || began.elapsed() > Duration::from_secs(20)) {
                until = Some(Instant::now() + Duration::from_millis((kill * 13) % 60));
            }
        }
        process.kill().unwrap();
        process.wait().unwrap();
        sqlx::query("update routine set lease_until = null").execute(&log.owner).await.unwrap();
        if let Some(note) = log.newest().filter(|note| seen.last() != Some(note)) {
            seen.push(note);
            published += 1;
        }
    }
    assert!(published > kills / 4, "{published} of {kills} lives published something");
    println!("{kills} kills, {records} records, {published} checkpoints seen");
    whole(log, seen, records).await;
}
