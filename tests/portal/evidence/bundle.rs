//! A bundle is what an auditor has: it verifies by our own program and by others' tools, and nothing can be changed in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::evidence::By;
use tenure::evidence::bundle::{self, FolderSink, Selection};
use tenure::evidence::history::Filter;
use tenure::evidence::verify::{self, Report, Trust};

use super::{Log, now};

impl Log {
    /// A bundle of these records, in a folder.
    pub async fn bundle(&mut self, name: &str, selection: Selection) -> PathBuf {
        let mut tx = self.pool.begin().await.unwrap();
        let chosen = bundle::choose(&mut tx, now(), &By::routine("test"), selection).await.unwrap();
        tx.commit().await.unwrap();
        self.settle().await;
        let gathered = bundle::gather(&self.pool, &self.published(), chosen).await.unwrap();
        let path = self.dir.path().join(name);
        bundle::write(&self.pool, &gathered, FolderSink::new(path.clone()).unwrap()).await.unwrap();
        path
    }

    pub fn verify_bundle(&self, path: &Path) -> Report {
        let trust = Trust { keys: vec![self.key.clone()], ..Trust::default() };
        verify::path(path, &trust).pop().unwrap()
    }
}

pub fn all() -> Selection {
    let filter = Filter { action: Some("person".to_owned()), ..Filter::default() };
    Selection::Filter { filter, words: "changed persons".to_owned() }
}

/// Runs a program in the bundle; its output where it failed.
pub fn run(folder: &Path, program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("GOCACHE", std::env::temp_dir().join("tenure-go-cache"))
        .env("GOFLAGS", "-mod=mod")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}; scripts/test installs it"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text) } else { Err(text) }
}

#[sqlx::test]
async fn a_bundle_verifies_by_our_own_program_by_python_and_by_go(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut log = Log::start(options, connect).await;
    log.records(40).await;
    log.settle().await;
    let path = log.bundle("bundle", all()).await;
    let report = log.verify_bundle(&path);
    assert!(report.holds(), "{report}");
    assert!(report.checked.iter().any(|check| check.what.starts_with("records") && check.count == 40), "{report}");
    assert!(report.checked.iter().any(|check| check.what.starts_with("values") && check.count == 80), "{report}");
    run(&path, "python3", &["verify.py", "."]).unwrap();
    run(&path, "go", &["run", "verify.go", "."]).unwrap();
}
