//! What somebody can do who owns the database, the published folder and the log's own key, and how it is found.

use std::path::Path;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::evidence::checkpoint::Checkpoint;
use tenure::evidence::note::Note;
use tenure::evidence::tiles::{Edge, Folder, Stored};
use tenure::evidence::tree;
use tenure::evidence::verify::{self, Trust};
use tenure::evidence::witness::{Memory, judge};

use super::bundle::{all, run};
use super::outside::Outside;
use super::{Log, now};

/// What keeps the tables together is gone: with its owner's rights alone one can do to them whatever a superuser can.
async fn unguarded(log: &Log) {
    for statement in [
        "alter table evidence_leaf drop constraint evidence_leaf_record_id_fkey, drop constraint evidence_leaf_log_fkey",
        "alter table evidence_disclosure drop constraint evidence_disclosure_record_fkey",
        "alter table evidence_anchor drop constraint evidence_anchor_record_id_fkey",
        "alter table evidence_record disable trigger user",
        "alter table evidence_leaf disable trigger user",
        "alter table evidence_disclosure disable trigger user",
        "alter table evidence_log disable trigger user",
    ] {
        sqlx::raw_sql(statement).execute(&log.owner).await.unwrap();
    }
}

async fn superuser(log: &Log, statements: &[&str]) {
    let mut tx = log.owner.begin().await.unwrap();
    for statement in statements {
        let done = sqlx::raw_sql(sqlx::AssertSqlSafe((*statement).to_owned())).execute(&mut *tx).await.unwrap();
        assert!(done.rows_affected() > 0, "{statement}");
    }
    tx.commit().await.unwrap();
}

/// What each attack does to the database.
const ATTACKS: [(&str, &[&str]); 7] = [
    (
        "update",
        &["update evidence_record set canonical = convert_to(replace(convert_from(canonical, 'UTF8'), '\"enabled\":true', '\"enabled\":false'), 'UTF8')
            where id = (select record_id from evidence_leaf where leaf_index = 3)"],
    ),
    ("update of a column alone", &["update evidence_record set action = 'person.expected' where id = (select record_id from evidence_leaf where leaf_index = 3)"]),
    ("delete", &["delete from evidence_disclosure where record = (select record_id from evidence_leaf where leaf_index = 5)",
        "delete from evidence_record where id = (select record_id from evidence_leaf where leaf_index = 5)"]),
    ("swap", &["update evidence_leaf set leaf_index = leaf_index + 1000000 where leaf_index in (4, 7)",
        "update evidence_leaf set leaf_index = case leaf_index when 1000004 then 7 else 4 end where leaf_index > 999999"]),
    ("insert in the middle", &["update evidence_leaf set leaf_index = leaf_index + 1000000 where leaf_index >= 6",
        "insert into evidence_record select gen_random_uuid(), at, action, 'person:99', 1, actor, via, on_behalf_of, request, item, step, attempt, system, kind, object, canonical
           from evidence_record where id = (select record_id from evidence_leaf where leaf_index = 2)",
        "insert into evidence_leaf select 1, 6, id from evidence_record where subject = 'person:99'",
        "update evidence_leaf set leaf_index = leaf_index - 999999 where leaf_index >= 1000000",
        "update evidence_log set leaves = leaves + 1"]),
    ("cut the tail", &["delete from evidence_leaf where leaf_index >= 20", "update evidence_log set leaves = 20, size = 20"]),
    ("another value under the same commitment", &["update evidence_disclosure set value = '\"Somebody else\"' where path = '/after/displayName'"]),
];

#[sqlx::test]
async fn what_a_superuser_changes_in_the_database_is_found(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut log = Log::start(options, connect).await;
    log.records(30).await;
    log.settle().await;
    let bundle = log.bundle("before", all()).await;
    unguarded(&log).await;
    for (number, (attack, statements)) in ATTACKS.iter().enumerate() {
        // Each attack alone: the database is put back from a copy.
        for table in ["evidence_record", "evidence_leaf", "evidence_disclosure", "evidence_log"] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create table copy_{number}_{table} as table {table}")))
                .execute(&log.owner)
                .await
                .unwrap();
        }
        assert!(log.live().await.holds(), "before {attack}: {}", log.live().await);
        superuser(&log, statements).await;
        let report = log.live().await;
        assert!(!report.holds(), "{attack}: {report}");
        assert!(log.verify_bundle(&bundle).holds(), "the bundle that was taken before stands by itself");
        let mut tx = log.owner.begin().await.unwrap();
        for table in ["evidence_leaf", "evidence_disclosure", "evidence_record", "evidence_log"] {
            sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
                "delete from {table}; insert into {table} table copy_{number}_{table}"
            )))
            .execute(&mut *tx)
            .await
            .unwrap();
        }
        tx.commit().await.unwrap();
    }
}

/// The published log again from its entries as `change` leaves them, signed with the real key.
fn rebuild(log: &Log, size: u64, change: impl Fn(u64, Vec<u8>) -> Vec<u8>) -> Note {
    let folder = Folder(log.folder());
    let old = std::fs::read_to_string(folder.checkpoint()).unwrap().parse::<Note>().unwrap();
    let old: Checkpoint = old.text.parse().unwrap();
    let entries: Vec<Vec<u8>> = (0..size).map(|index| change(index, folder.entry(index, old.size).unwrap())).collect();
    std::fs::remove_dir_all(folder.0.join("tile")).unwrap();
    let mut edge = Edge::empty();
    // As the log would have grown: a partial tile for every size that somebody may ask about.
    for entry in entries {
        for file in edge.append(&[entry]) {
            let path = folder.tile(file.kind, file.number, file.width);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file.bytes).unwrap();
        }
    }
    let Ok(root) = tree::root(&mut edge, size);
    let text = Checkpoint::new(old.origin, size, root).to_string();
    let note = Note { signatures: vec![log.keeper.key().unwrap().sign(&text)], text };
    std::fs::write(folder.checkpoint(), note.to_string()).unwrap();
    note
}

fn other(index: u64, entry: Vec<u8>) -> Vec<u8> {
    if index == 9 {
        String::from_utf8(entry).unwrap().replace("\"enabled\":true", "\"enabled\":false").into_bytes()
    } else {
        entry
    }
}

#[sqlx::test]
async fn a_log_rebuilt_with_the_real_key_is_found_from_bundle_and_witness_alone(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let mut log = Log::start(options, connect).await;
    let outside = Outside::start(&log).await;
    log.records(30).await;
    log.settle().await;
    // Once, so that the witness knows this log; without timestamps in the folder, which would give it away by themselves.
    outside.anchoring.turn(&log.pool, now()).await.unwrap();
    log.settle().await;
    let bundle = log.bundle("bundle", all()).await;
    let known: Note = std::fs::read_to_string(bundle.join("checkpoint")).unwrap().parse().unwrap();
    let memory = Memory::new(log.dir.path().join("witness/memory"));
    let judged = |folder: &Path| {
        judge::judge(&memory, &Folder(folder.to_owned())).map(|findings| findings.iter().any(judge::Finding::accuses))
    };
    assert!(!judged(&log.folder()).unwrap(), "the true log is not accused");
    let size = known.text.parse::<Checkpoint>().unwrap().size;
    let kept = log.dir.path().join("kept");
    let copied = std::process::Command::new("cp").arg("-r").arg(log.folder()).arg(&kept).status().unwrap();
    assert!(copied.success());
    for (attack, size) in [("rewritten", size), ("cut and rewritten", size - 5), ("cut", 20)] {
        std::fs::remove_dir_all(log.folder()).unwrap();
        std::process::Command::new("cp").arg("-r").arg(&kept).arg(log.folder()).status().unwrap();
        let change = if attack == "cut" { |_, entry| entry } else { other };
        for trace in ["anchors", "tsa"] {
            std::fs::remove_dir_all(log.folder().join(trace)).unwrap();
        }
        std::fs::remove_file(log.folder().join("checkpoint.cosigned")).unwrap();
        let forged = rebuild(&log, size, |index, entry| {
            // Heartbeats would name timestamps that are not there.
            if String::from_utf8_lossy(&entry).contains("log.anchored") {
                other(9, b"{}".to_vec())
            } else {
                change(index, entry)
            }
        });
        let trust = Trust { keys: vec![log.key.clone()], checkpoints: vec![known.clone()], ..Trust::default() };
        let report = verify::path(&log.folder(), &trust).pop().unwrap();
        assert!(!report.holds(), "{attack}: {report}");
        assert!(judged(&log.folder()).unwrap_or(true), "{attack}: the witness's memory says so by itself");
        // Nor does the witness sign it.
        let forged: Checkpoint = forged.text.parse().unwrap();
        let mut nodes = Stored::new(Folder(log.folder()), forged.size);
        assert!(tree::root(&mut nodes, forged.size).is_ok());
        let answer = outside.anchoring.turn(&log.pool, now()).await;
        let trouble: Option<String> =
            sqlx::query_scalar("select trouble from evidence_outside where kind = 'cosignature'")
                .fetch_one(&log.pool)
                .await
                .unwrap();
        assert!(trouble.is_some(), "{attack}: {answer:?}");
    }
    assert!(run(&bundle, "python3", &["verify.py", "."]).is_ok(), "the bundle needs none of that");
}

#[sqlx::test]
async fn whatever_is_changed_in_the_files_is_found(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut log = Log::start(options, connect).await;
    log.records(600).await;
    log.settle().await;
    let bundle = log.bundle("bundle", all()).await;
    let cases: usize = std::env::var("TENURE_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(600);
    // One folder after the other, so that a mutation's failure cannot be another one's.
    let mut found = 0;
    let mut random = fixed();
    for (root, files) in [(log.folder(), listed(&log.folder())), (bundle.clone(), listed(&bundle))] {
        for _ in 0..cases / 2 {
            let path = &files[random(files.len())];
            let good = std::fs::read(path).unwrap();
            let mut bad = good.clone();
            match random(4) {
                0 if !bad.is_empty() => {
                    let place = random(bad.len());
                    bad[place] ^= 1 << random(8);
                }
                1 if !bad.is_empty() => bad.truncate(random(bad.len())),
                2 => bad.insert(random(bad.len() + 1), b'0'),
                _ => bad = std::fs::read(&files[random(files.len())]).unwrap(),
            }
            if bad == good {
                found += 1;
                continue;
            }
            std::fs::write(path, &bad).unwrap();
            let trust = Trust { keys: vec![log.key.clone()], ..Trust::default() };
            let report = verify::path(&root, &trust).pop().unwrap();
            assert!(!report.holds(), "{}: {report}", path.display());
            found += 1;
            std::fs::write(path, &good).unwrap();
        }
        assert!(verify::path(&root, &Trust::default()).pop().unwrap().holds());
    }
    println!("{found} of {} mutations found", cases / 2 * 2);
}

/// The files whose every byte counts: not the bundle's own partial tiles of earlier sizes.
fn listed(root: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        for path in names {
            if path.is_dir() { open.push(path) } else { files.push(path) }
        }
    }
    let size =
        std::fs::read_to_string(root.join("checkpoint")).unwrap().lines().nth(1).unwrap().parse::<u64>().unwrap();
    let current = |path: &std::path::PathBuf| {
        let text = path.to_string_lossy().into_owned();
        let Some((_, width)) = text.rsplit_once(".p/") else { return true };
        // A partial tile that this checkpoint needs.
        let level = if text.contains("/tile/1/") { 8 } else { 0 };
        width.parse() == Ok((size >> level) % 256)
    };
    files.retain(current);
    files
}

/// Numbers below a bound, the same in every run.
fn fixed() -> impl FnMut(usize) -> usize {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move |below| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below.max(1)
    }
}
