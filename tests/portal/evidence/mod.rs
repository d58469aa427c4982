//! The signed log: sequencing, what a superuser of the database cannot hide, crashes, and third parties' tools.

mod anchors;
mod bundle;
mod differential;
mod kill;
mod log;
mod outside;
mod tamper;
mod timestamps;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::clock::Clock;
use tenure::evidence::log::{LogError, Sequencer, Turn};
use tenure::evidence::note::VerifierKey;
use tenure::evidence::signer::{Keeper, Line};
use tenure::evidence::verify::{self, Report, Trust};
use tenure::evidence::{By, Facts, Record, action, append};
use uuid::Uuid;

use crate::support;

/// A log in a folder of its own over a database of its own.
pub struct Log {
    /// As the application's role.
    pub pool: PgPool,
    /// Who may do anything to the database.
    pub owner: PgPool,
    pub dir: tempfile::TempDir,
    pub keeper: Keeper,
    pub key: VerifierKey,
    pub sequencer: Sequencer,
}

pub const ORIGIN: &str = "tenure.test/evidence";

impl Log {
    pub async fn start(options: PgPoolOptions, connect: PgConnectOptions) -> Self {
        let (owner, pool) = support::pools(options, connect).await;
        let dir = tempfile::tempdir().unwrap();
        let keeper = Keeper::new(dir.path().join("signer"));
        let key = keeper.make(&format!("{ORIGIN}/1")).unwrap();
        let sequencer = Sequencer::new(dir.path().join("log"), Line::Here(keeper.clone()));
        Self { pool, owner, dir, keeper, key, sequencer }
    }

    /// The published directory.
    pub fn published(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The first log's folder.
    pub fn folder(&self) -> PathBuf {
        self.published().join("1")
    }

    /// Another sequencer on the same database, folder and signer.
    pub fn another(&self) -> Sequencer {
        Sequencer::new(self.published(), Line::Here(self.keeper.clone()))
    }

    /// Records about some subjects, in transactions of their own.
    pub async fn records(&self, count: usize) -> Vec<Uuid> {
        let mut ids = Vec::new();
        for number in 0..count {
            let mut tx = self.pool.begin().await.unwrap();
            ids.push(append(&mut tx, now(), &record(number)).await.unwrap());
            tx.commit().await.unwrap();
        }
        ids
    }

    pub async fn turn(&mut self) -> Result<Turn, LogError> {
        self.sequencer.turn(&self.pool, now()).await
    }

    /// Turns until nothing is left to do; the log's size.
    pub async fn settle(&mut self) -> u64 {
        loop {
            let turn = self.turn().await.unwrap();
            if turn.sequenced == 0 {
                return turn.size;
            }
        }
    }

    /// The published files, under the key that was told.
    pub fn verify(&self) -> Report {
        let trust = Trust { keys: vec![self.key.clone()], ..Trust::default() };
        verify::path(&self.folder(), &trust).pop().unwrap()
    }

    pub async fn live(&self) -> Report {
        tenure::evidence::live::verify(&self.pool, &self.published()).await.unwrap()
    }
}

/// The machine's time: ids carry it.
pub fn now() -> DateTime<Utc> {
    Clock::System.now()
}

pub fn record(number: usize) -> Record {
    let facts =
        Facts::default().plain("enabled", number.is_multiple_of(2)).personal("displayName", format!("Person {number}"));
    Record {
        after: Some(facts),
        reason: Some(format!("because {number}")),
        ..Record::new(action::PERSON_CHANGED, format!("person:{}", number % 7), By::routine("test"))
    }
}
