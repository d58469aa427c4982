//! Sequencing: everything once, each subject in its order, one history, and what refuses to go on.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::evidence::checkpoint::Checkpoint;
use tenure::evidence::log::LogError;
use tenure::evidence::note::Note;
use tenure::evidence::{append, renewal, verify};

use super::{Log, now, record};

#[sqlx::test]
async fn every_record_gets_its_place_and_the_log_verifies(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut log = Log::start(options, connect).await;
    log.records(20).await;
    assert_eq!(log.settle().await, 21, "with the log's own first leaf");
    let first = log.verify();
    assert!(first.holds(), "{first}");
    assert!(log.live().await.holds(), "{}", log.live().await);

    // More than one tile, in several checkpoints.
    for _ in 0..5 {
        log.records(60).await;
        log.settle().await;
    }
    let report = log.verify();
    assert!(report.holds() && report.size == 321, "{report}");
    assert!(log.folder().join("tile/0/000").exists() && !log.folder().join("tile/0/000.p").exists());

    // A sequencer that knows nothing goes on where the signer is.
    log.sequencer = log.another();
    log.records(3).await;
    assert_eq!(log.settle().await, 324);
    assert!(log.verify().holds());
}

#[sqlx::test]
async fn a_transaction_that_commits_late_is_not_left_out(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut log = Log::start(options, connect).await;
    let mut late = log.pool.begin().await.unwrap();
    let id = append(&mut late, now(), &record(6)).await.unwrap();
    log.records(5).await;
    assert_eq!(log.settle().await, 6);
    late.commit().await.unwrap();
    assert_eq!(log.settle().await, 7, "{id} is older than others that are in the log, and comes in all the same");
    assert!(log.verify().holds() && log.live().await.holds());
}

#[sqlx::test]
async fn two_sequencers_make_one_log(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut log = Log::start(options, connect).await;
    log.settle().await;
    let mut other = log.another();
    let mut overtaken = 0;
    for round in 0..12 {
        log.records(10).await;
        let (one, two) = tokio::join!(log.sequencer.turn(&log.pool, now()), other.turn(&log.pool, now()));
        for turn in [one, two] {
            match turn {
                Ok(_) => {}
                // Whoever lost begins again at the head.
                Err(LogError::Overtaken | LogError::Refused(_) | LogError::Database(_)) => overtaken += 1,
                Err(error) => panic!("round {round}: {error}"),
            }
        }
    }
    let size = loop {
        if let Ok(turn) = log.turn().await
            && turn.sequenced == 0
        {
            break turn.size;
        }
    };
    assert_eq!(size, 121);
    assert!(overtaken > 0, "the two met");
    let report = log.verify();
    assert!(report.holds(), "{report}");
    assert!(log.live().await.holds());
}

/// Brings the database back to what it was when `leaves` leaves had their places, as a restore would.
async fn restore(log: &Log, leaves: i64) {
    let mut tx = log.owner.begin().await.unwrap();
    for statement in [
        "alter table evidence_leaf disable trigger user",
        "alter table evidence_record disable trigger user",
        "create temporary table later on commit drop as select record_id from evidence_leaf where leaf_index >= $1",
        "delete from evidence_leaf where leaf_index >= $1",
        "delete from evidence_disclosure where record in (select record_id from later) and $1 >= 0",
        "delete from evidence_record where id in (select record_id from later) and $1 >= 0",
        "update evidence_subject s set seq = coalesce((select max(seq) from evidence_record r where r.subject = s.subject), 0) where $1 >= 0",
        "update evidence_log set leaves = $1, size = least(size, $1)",
        "alter table evidence_leaf enable trigger user",
        "alter table evidence_record enable trigger user",
    ] {
        let query = sqlx::query(statement);
        let query = if statement.contains("$1") { query.bind(leaves) } else { query };
        query.execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
}

#[sqlx::test]
async fn a_restored_older_backup_is_refused_until_an_administrator_says_so(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let mut log = Log::start(options, connect).await;
    log.records(30).await;
    log.settle().await;
    let before = std::fs::read_to_string(log.folder().join("checkpoint")).unwrap();
    restore(&log, 20).await;
    // Every time, also after other records came in the place of those that were lost.
    for round in 0..5 {
        log.sequencer = log.another();
        let error = log.turn().await.unwrap_err();
        assert!(matches!(&error, LogError::Refused(why) if why.contains("new-origin")), "{round}: {error}");
        log.records(5).await;
    }
    // With the fence pushed on by hand the places below the head are taken by other records: seen all the same.
    let mut conn = log.owner.acquire().await.unwrap();
    sqlx::query(
        "with new as (select id, row_number() over (order by id) as place from evidence_record r
                       where not exists (select from evidence_leaf where record_id = r.id))
         insert into evidence_leaf select 1, 19 + place, id from new",
    )
    .execute(&mut *conn)
    .await
    .unwrap();
    sqlx::query("update evidence_log set leaves = (select count(*) from evidence_leaf)")
        .execute(&mut *conn)
        .await
        .unwrap();
    drop(conn);
    log.sequencer = log.another();
    let error = log.turn().await.unwrap_err();
    assert!(matches!(&error, LogError::Refused(why) if why.contains("another record")), "{error}");
    assert_eq!(std::fs::read_to_string(log.folder().join("checkpoint")).unwrap(), before, "nothing was published");

    let started = renewal::new_origin(&log.pool, now(), &log.published(), &log.keeper, "restored from Sunday's backup")
        .await
        .unwrap();
    assert_eq!(started.log.origin, format!("{}/2", super::ORIGIN));
    log.sequencer = log.another();
    let size = log.settle().await;
    let reports = verify::path(&log.published(), &verify::Trust::default());
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(verify::Report::holds), "{} {}", reports[0], reports[1]);
    assert_eq!(size, reports[1].size);
    let leaf = tenure::evidence::log::folder(&log.published(), 2).entry(0, size).unwrap();
    let leaf: serde_json::Value = serde_json::from_slice(&leaf).unwrap();
    assert_eq!(
        leaf["detail"]["previous_checkpoint"].as_str(),
        Some(before.as_str()),
        "the old state is in the first leaf"
    );
    assert_eq!(leaf["detail"]["reason"], "restored from Sunday's backup");
    assert!(log.live().await.holds());
    assert!(reports[0].checked.iter().any(|check| check.what.contains("that you brought")), "{}", reports[0]);
}

#[sqlx::test]
async fn a_new_key_goes_on_with_the_old_ones_word(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut log = Log::start(options, connect).await;
    log.records(3).await;
    log.settle().await;
    let new = renewal::rotate_key(&log.pool, now(), &log.published(), &log.keeper).await.unwrap();
    log.records(3).await;
    let size = log.settle().await;
    let report = log.verify();
    assert!(report.holds() && report.checked.iter().any(|check| check.what.contains("rotation")), "{report}");
    let text = std::fs::read_to_string(log.folder().join("checkpoint")).unwrap();
    let note: Note = text.parse().unwrap();
    assert!(note.verify(&new).is_ok());
    assert_eq!(note.text.parse::<Checkpoint>().unwrap().size, size);
    // Without the statement nobody has to believe the new key.
    let statement = log.folder().join("keys").join(format!("rotation-{}", hex::encode(new.id())));
    let text = std::fs::read_to_string(&statement).unwrap();
    std::fs::write(&statement, text.replace("\n6\n", "\n7\n").replace("\n4\n", "\n5\n")).unwrap();
    assert!(!log.verify().holds());
}

#[sqlx::test]
async fn without_its_head_or_tiles_the_log_stops_and_says_so(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut log = Log::start(options, connect).await;
    log.records(10).await;
    log.settle().await;
    let head = log.dir.path().join("signer/head");
    let kept = std::fs::read(&head).unwrap();
    std::fs::remove_file(&head).unwrap();
    log.sequencer = log.another();
    assert!(log.turn().await.unwrap_err().to_string().contains("head"));
    std::fs::write(&head, kept).unwrap();
    let tile = log.folder().join("tile/0/000.p/11");
    let mut bytes = std::fs::read(&tile).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&tile, &bytes).unwrap();
    assert!(log.turn().await.unwrap_err().to_string().contains("tiles"));
    assert!(!log.verify().holds());
    bytes[40] ^= 1;
    std::fs::write(&tile, &bytes).unwrap();
    log.records(1).await;
    assert_eq!(log.settle().await, 12);
}
