//! What the server asks PostgreSQL, read from PostgreSQL's own log, and how fast `pgbench` gets the same answered.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::process::Stdio;

use sqlx::PgPool;

use crate::ad_lab::env;

/// The statements, with their values, that PostgreSQL runs for the application while `doing` is done.
pub async fn of(doing: impl Future<Output = ()>) -> Vec<String> {
    let path = env("TENURE_BENCH_POSTGRES_LOG");
    let mut log = std::fs::File::open(&path).unwrap();
    let start = log.seek(SeekFrom::End(0)).unwrap();
    doing.await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    log.seek(SeekFrom::Start(start)).unwrap();
    let mut text = String::new();
    log.read_to_string(&mut text).unwrap();
    let mut found: Vec<String> = Vec::new();
    // A line begins with its time; what follows with a tab belongs to it.
    for line in text.replace("\n\t", " ").lines() {
        if let Some((_, statement)) = line.split_once("LOG:  execute ") {
            found.push(statement.split_once(": ").unwrap().1.to_owned());
        } else if let Some((_, statement)) = line.split_once("LOG:  statement: ") {
            found.push(statement.to_owned());
        } else if let Some((_, values)) =
            line.split_once("DETAIL:  parameters: ").or(line.split_once("DETAIL:  Parameters: "))
        {
            let last = found.last_mut().unwrap();
            *last = filled(last, &parsed(values));
        }
    }
    found
}

/// New connections to this database log what they run, or no longer do.
pub async fn logged(owner: &PgPool, on: bool) {
    let text = if on {
        "alter database tenure set log_statement = 'all'"
    } else {
        "alter database tenure reset log_statement"
    };
    sqlx::query(text).execute(owner).await.unwrap();
}

/// `$1 = 'a', $2 = NULL` as literals.
fn parsed(mut text: &str) -> Vec<String> {
    let mut values = Vec::new();
    while let Some((_, rest)) = text.split_once(" = ") {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let mut end = 0;
            while let Some(at) = quoted[end..].find('\'') {
                end += at + 1;
                if quoted[end..].starts_with('\'') {
                    end += 1;
                } else {
                    break;
                }
            }
            values.push(format!("'{}", &quoted[..end]));
            text = &quoted[end..];
        } else {
            values.push("NULL".to_owned());
            text = rest;
        }
    }
    values
}

/// The statement with its values in their places.
fn filled(statement: &str, values: &[String]) -> String {
    let mut text = statement.to_owned();
    for (at, value) in values.iter().enumerate().rev() {
        text = text.replace(&format!("${}", at + 1), value);
    }
    text
}

/// How often a second `pgbench` gets these answered in turn, on that many connections of the application's.
pub async fn rate(statements: &[String], connections: usize, seconds: u32) -> f64 {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines: Vec<String> = statements.iter().map(|text| format!("{};\n", text.trim_end_matches(';'))).collect();
    std::fs::write(file.path(), lines.concat()).unwrap();
    let output = tokio::process::Command::new("pgbench")
        .args(["-n", "-M", "prepared", "-j", "2", "-c", &connections.to_string(), "-T", &seconds.to_string(), "-f"])
        .arg(file.path())
        .arg(env("DATABASE_URL"))
        // As our connections have it (`db::pool`).
        .env("PGOPTIONS", "-c jit=off -c max_parallel_workers_per_gather=0")
        .stderr(Stdio::piped())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !told.contains("ERROR"), "pgbench: {told}\n{}", lines.concat());
    let (_, rest) = text.split_once("tps = ").unwrap_or_else(|| panic!("{text} {told}"));
    rest.split(' ').next().unwrap().parse().unwrap()
}
