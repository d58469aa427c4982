//! Doing one thing and looking at everything: which tables it changed, and what it recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::changes::secret::Vault;
use tenure::config::{DemoConfig, EvidenceConfig, MailConfig};
use tenure::evidence::signer::Keeper;
use tenure::ids::PersonId;
use tenure::worker::Worker;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{RECORDED, UNRECORDED};
use crate::support::Portal;
use crate::support::browser::Answer;
use crate::support::company::{Company, SYSTEM, rules};
use crate::support::recorded::{changed, look, watch};
use crate::support::scripted::Scripted;

/// Words in a line; whose turn it is, who lives and how often a letter is tried changes with time alone.
fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let by_time = ["routine", "worker_heartbeat", "mail_try"];
    let words: Vec<&str> = words.into_iter().filter(|word| !by_time.contains(word)).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(" ") }
}

pub struct Walk {
    pub portal: Portal,
    pub company: Company,
    /// Anna's.
    pub account: Uuid,
    pub target: Arc<Scripted>,
    /// What was done, with a line on what it changed and recorded.
    pub done: BTreeMap<String, String>,
    _dir: tempfile::TempDir,
}

impl Walk {
    pub async fn start(options: PgPoolOptions, connect: PgConnectOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Keeper::new(dir.path().join("signer")).make("tenure.test/evidence/1").unwrap();
        let key_file = dir.path().join("worker.key");
        std::fs::write(&key_file, Vault::generate().as_bytes()).unwrap();
        std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
        let evidence = EvidenceConfig {
            log_dir: dir.path().join("log"),
            signer_dir: Some(dir.path().join("signer")),
            signer_socket: None,
            timestamp_minutes: 60,
            timestamp_authority: Vec::new(),
            witness: Vec::new(),
        };
        let portal = Portal::with(options, connect, |config| {
            config.evidence = Some(evidence);
            config.worker.key_file = Some(key_file);
            config.demo = DemoConfig { enabled: true, ..DemoConfig::default() };
            // Nobody listens there: letters are tried and stay.
            config.mail = Some(MailConfig {
                url: "smtp://127.0.0.1:1".to_owned(),
                user: None,
                password_file: None,
                from: "Tenure <t@example.com>".to_owned(),
            });
        })
        .await;
        let company = portal.company().await;
        let (_, account) = rules(&portal, &company).await;
        let target = Arc::new(Scripted::new(SYSTEM));
        target.put(account, serde_json::from_str("{\"enabled\": true}").unwrap());
        watch(&portal.owner).await;
        Self { portal, company, account, target, done: BTreeMap::new(), _dir: dir }
    }

    /// Does it, and finds its record or, where none is needed, nothing else changed.
    pub async fn noted<T>(&mut self, name: &str, doing: impl Future<Output = T>) -> T {
        let owner = self.portal.owner.clone();
        let (before, known) = (look(&owner).await, self.records().await);
        let out = doing.await;
        let tables = changed(&before, &look(&owner).await);
        let new: Vec<(Uuid, String, String)> =
            self.records().await.into_iter().filter(|record| !known.contains(record)).collect();
        if let Some((_, action, subject)) = RECORDED.iter().find(|(recorded, ..)| *recorded == name) {
            assert!(
                new.iter().any(|(_, did, about)| did == action && about.starts_with(subject)),
                "{name} left no {action} about {subject}…: {new:?}; it changed {tables:?}"
            );
        } else {
            let (_, allowed, _) =
                UNRECORDED.iter().find(|(unrecorded, ..)| *unrecorded == name).unwrap_or_else(|| panic!("{name}?"));
            assert!(tables.iter().all(|table| allowed.contains(&table.as_str())), "{name} changed {tables:?}");
            assert!(new.is_empty(), "{name}: {new:?}");
        }
        let line = match RECORDED.iter().find(|(recorded, ..)| *recorded == name && name.starts_with("routine:")) {
            // A worker does more than the one routine.
            Some((_, action, _)) => (*action).to_owned(),
            None => {
                let actions: BTreeSet<&str> = new.iter().map(|(_, action, _)| action.as_str()).collect();
                format!("{}: {}", list(tables.iter().map(String::as_str)), list(actions))
            }
        };
        self.done.entry(name.to_owned()).or_insert(line);
        out
    }

    /// The same for what a browser sends, which must succeed.
    pub async fn did(&mut self, name: &str, sending: impl Future<Output = Answer>) -> Answer {
        let answer = self.noted(name, sending).await;
        assert!(answer.status.is_success() || answer.status.is_redirection(), "{name}: {}", answer.text);
        answer
    }

    async fn records(&self) -> BTreeSet<(Uuid, String, String)> {
        let rows: Vec<(Uuid, String, String)> = sqlx::query_as("select id, action, subject from evidence_record")
            .fetch_all(&self.portal.owner)
            .await
            .unwrap();
        rows.into_iter().collect()
    }

    /// A worker runs until that query, as the schema's owner, says true.
    pub async fn work(&self, until: &'static str) {
        let (stop, working) = self.worker();
        self.wait(until).await;
        stop.cancel();
        working.await.unwrap();
        let failing: Vec<(String, String)> =
            sqlx::query_as("select name, failure from routine where failure is not null and name not like 'mirror:%'")
                .fetch_all(&self.portal.owner)
                .await
                .unwrap();
        assert!(failing.is_empty(), "{failing:?}");
    }

    /// A worker of this portal's, with the scripted target.
    pub fn prepared(&self) -> Arc<Worker> {
        let portal = &self.portal;
        let worker = Worker::new(&portal.config, portal.pool.clone(), portal.clock.clone()).unwrap();
        Arc::new(worker.with(self.target.clone()))
    }

    pub fn worker(&self) -> (CancellationToken, tokio::task::JoinHandle<()>) {
        let stop = CancellationToken::new();
        (stop.clone(), tokio::spawn(self.prepared().run(stop)))
    }

    pub async fn wait(&self, until: &'static str) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            // Nobody waits for a retry's time here.
            self.set("update step set due_at = now() where state = 'retrying' and due_at > now()").await;
            if sqlx::query_scalar::<_, bool>(until).fetch_one(&self.portal.owner).await.unwrap() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let steps: Vec<(i64, String, String, Option<String>)> = sqlx::query_as(
            "select r.number, s.name, s.state, s.told from step s join request r on r.id = s.request order by 1, s.ordinal",
        )
        .fetch_all(&self.portal.owner)
        .await
        .unwrap();
        panic!("the worker does not come to: {until}\n{steps:?}");
    }

    /// Sets the stage, as the schema's owner.
    pub async fn set(&self, query: &'static str) {
        sqlx::query(query).execute(&self.portal.owner).await.unwrap_or_else(|error| panic!("{query}: {error}"));
    }

    pub async fn id(&self, query: &'static str) -> Uuid {
        sqlx::query_scalar(query).fetch_one(&self.portal.owner).await.unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// Approves every item of the newest request, stage by stage, by whoever may.
    pub async fn approve(&mut self) {
        let company = self.company;
        let deciders: [PersonId; 6] =
            [company.owner, company.security, company.desk, company.lead, company.manager, company.admin];
        let (number, items): (i64, i64) = sqlx::query_as(
            "select r.number, count(*) from request r join item i on i.request = r.id
              where r.number = (select max(number) from request) group by 1",
        )
        .fetch_one(&self.portal.owner)
        .await
        .unwrap();
        for item in 1..=items {
            let decision = format!("/requests/{number}/items/{item}/decision");
            for _ in 0..3 {
                for decider in deciders {
                    let browser = self.portal.browser_of(decider).await;
                    let asks = browser.get(&decision).await;
                    let (Some(digest), Some(_)) = (asks.value("digest"), asks.find("form.decision")) else { continue };
                    let fields = [("decision", "approve"), ("digest", digest.as_str()), ("comment", "Looked at")];
                    self.did(
                        "POST /requests/{number}/items/{item}/decision (approve)",
                        browser.post(&decision, &fields),
                    )
                    .await;
                }
            }
        }
        let open: i64 = sqlx::query_scalar(
            "select count(*) from item i join request r on r.id = i.request where r.number = $1 and i.state = 'deciding'",
        )
        .bind(number)
        .fetch_one(&self.portal.owner)
        .await
        .unwrap();
        assert_eq!(open, 0, "REQ-{number} is decided");
    }
}
