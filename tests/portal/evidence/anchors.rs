//! Time and witnesses: what others say bounds each record on both sides, and their statements cannot be altered.

use std::path::{Path, PathBuf};
use std::process::Command;

use chrono::TimeDelta;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::evidence::timestamp;
use tenure::evidence::{append, renewal, verify};

use super::bundle::{all, run};
use super::outside::Outside;
use super::{Log, now, record};

/// A log with two anchors, records before, between and behind them.
async fn anchored(options: PgPoolOptions, connect: PgConnectOptions) -> (Log, Outside) {
    let mut log = Log::start(options, connect).await;
    let outside = Outside::start(&log).await;
    for _ in 0..2 {
        log.records(10).await;
        log.settle().await;
        assert_eq!(outside.anchoring.turn(&log.pool, now()).await.unwrap(), 2, "a cosignature and a token");
    }
    log.records(3).await;
    log.settle().await;
    (log, outside)
}

fn tokens(log: &Log) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(log.folder().join("anchors"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("lab.tsr"))
        .collect();
    found.sort();
    found
}

/// The old log's heartbeats come into a new one as records; their timestamps stay where they are.
#[sqlx::test]
async fn a_log_begun_anew_holds_beside_the_anchored_one(options: PgPoolOptions, connect: PgConnectOptions) {
    let (mut log, outside) = anchored(options, connect).await;
    renewal::new_origin(&log.pool, now(), &log.published(), &log.keeper, "tried").await.unwrap();
    log.sequencer = log.another();
    log.records(3).await;
    log.settle().await;
    outside.anchoring.turn(&log.pool, now()).await.unwrap();
    log.settle().await;
    let reports = verify::path(&log.published(), &verify::Trust::default());
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(verify::Report::holds), "{} {}", reports[0], reports[1]);
}

#[sqlx::test]
async fn a_log_and_a_bundle_with_anchors_hold_by_every_tool(options: PgPoolOptions, connect: PgConnectOptions) {
    let (mut log, outside) = anchored(options, connect).await;
    let report = log.verify();
    assert!(report.holds(), "{report}");
    let count = |report: &verify::Report, what: &str| {
        report.checked.iter().filter(|check| check.what.contains(what)).map(|check| check.count).sum::<u64>()
    };
    assert_eq!((count(&report, "timestamps, their"), count(&report, "heartbeats")), (2, 2), "{report}");
    for token in tokens(&log) {
        let root = log.folder().join("tsa/lab.pem");
        let data = token.with_file_name("checkpoint");
        let arguments = [
            "ts",
            "-verify",
            "-in",
            token.to_str().unwrap(),
            "-data",
            data.to_str().unwrap(),
            "-CAfile",
            root.to_str().unwrap(),
        ];
        assert!(Command::new("openssl").args(arguments).output().unwrap().status.success());
    }
    let path = log.bundle("bundle", all()).await;
    let report = log.verify_bundle(&path);
    assert!(report.holds() && count(&report, "timestamps, their") == 2, "{report}");
    assert!(std::fs::read_to_string(path.join("keys/witnesses.vkey")).unwrap().contains(&outside.witness.to_string()));
    run(&path, "python3", &["verify.py", "."]).unwrap();
    run(&path, "go", &["run", "verify.go", "."]).unwrap();
    assert_eq!(readme(&path), Vec::<String>::new(), "every block of the bundle's README, as it stands there");
}

/// Runs each block of the README as an auditor would; gives those that fail.
pub fn readme(bundle: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(bundle.join("README.md")).unwrap();
    let blocks: Vec<&str> = text.split("```sh\n").skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect();
    assert!(blocks.len() >= 8, "{} blocks", blocks.len());
    let tenure = Path::new(env!("CARGO_BIN_EXE_tenure")).parent().unwrap().to_owned();
    let paths =
        std::env::join_paths(std::iter::once(tenure).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap())))
            .unwrap();
    let failed = |block: &&&str| {
        let done = Command::new("bash")
            .args(["-euo", "pipefail", "-c", block])
            .current_dir(bundle)
            .env("PATH", &paths)
            .env("GOCACHE", std::env::temp_dir().join("tenure-go-cache"))
            .output()
            .unwrap();
        !done.status.success()
    };
    blocks.iter().filter(failed).map(|block| (*block).to_owned()).collect()
}

#[sqlx::test]
async fn every_byte_of_a_token_counts(options: PgPoolOptions, connect: PgConnectOptions) {
    let (log, _outside) = anchored(options, connect).await;
    let path = tokens(&log).pop().unwrap();
    let token = std::fs::read(&path).unwrap();
    let data = std::fs::read(path.with_file_name("checkpoint")).unwrap();
    let roots = std::fs::read_to_string(log.folder().join("tsa/lab.pem")).unwrap();
    let good = timestamp::verify(&token, &data, &roots, None).unwrap();
    let mut same = 0;
    for place in 0..token.len() {
        for bit in [0x01, 0x80] {
            let mut other = token.clone();
            other[place] ^= bit;
            if let Ok(stamp) = timestamp::verify(&other, &data, &roots, None) {
                // What nobody signs: the status (0 and 1 both mean granted), the CMS version numbers.
                assert_eq!(stamp, good, "byte {place}");
                same += 1;
            }
        }
    }
    assert!(same < 24, "{same} of {} changes make no difference to what is stated", token.len() * 2);
    assert!(timestamp::verify(&token, b"other", &roots, None).is_err());
    assert!(timestamp::verify(&token, &data, &roots, Some(1)).is_err());
    assert!(timestamp::verify(&token, &data, "", None).is_err());
    // A root of the same name that is another key.
    let dir = tempfile::tempdir().unwrap();
    let _other = super::outside::Authority::start(dir.path());
    let other = std::fs::read_to_string(dir.path().join("tsa.pem")).unwrap();
    assert!(timestamp::verify(&token, &data, &other, None).is_err());
    // In the log any change is found: the heartbeat holds the token's digest.
    for place in (0..token.len()).step_by(97) {
        let mut other = token.clone();
        other[place] ^= 1;
        std::fs::write(&path, &other).unwrap();
        assert!(!log.verify().holds(), "byte {place}");
    }
}

#[sqlx::test]
async fn a_record_that_is_dated_back_or_ahead_is_refused(options: PgPoolOptions, connect: PgConnectOptions) {
    for (distance, word) in [
        (TimeDelta::hours(-1), "back-dated"),
        (TimeDelta::days(-30), "back-dated"),
        (TimeDelta::hours(1), "post-dated"),
    ] {
        let database = connect.get_database().unwrap().to_owned();
        let (mut log, outside) = {
            let owner = sqlx::PgPool::connect_with(connect.clone()).await.unwrap();
            sqlx::raw_sql("drop schema public cascade; create schema public").execute(&owner).await.unwrap();
            tenure::db::MIGRATOR.run(&owner).await.unwrap();
            owner.close().await;
            anchored(options.clone(), connect.clone().database(&database)).await
        };
        // The machine's clock was moved: everything is done as ever, with the real key.
        let mut tx = log.pool.begin().await.unwrap();
        append(&mut tx, now() + distance, &record(6)).await.unwrap();
        tx.commit().await.unwrap();
        log.settle().await;
        outside.anchoring.turn(&log.pool, now()).await.unwrap();
        log.settle().await;
        let failure = log.verify().failure.unwrap();
        assert!(failure.what.contains(word), "{distance}: {failure}");
        let path = log.bundle("bundle", all()).await;
        let failure = log.verify_bundle(&path).failure.unwrap();
        assert!(failure.what.contains(word), "{distance}: {failure}");
        assert!(run(&path, "python3", &["verify.py", "."]).is_err());
        log.pool.close().await;
        log.owner.close().await;
    }
}
