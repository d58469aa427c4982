//! The whole product on the lab: its own PostgreSQL seeded with the company, the real directory, a worker in this process or
//! as a process of its own, and the lab's people as actors.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection, PgPool};
use tenure::access::{Actor, token};
use tenure::changes::{self, Step};
use tenure::clock::Clock;
use tenure::config::{Config, TargetConfig};
use tenure::connectors::ad::AdConnector;
use tenure::ids::RequestNumber;
use tenure::plan::RequestKind;
use tenure::plan::field::Raw;
use tenure::requests::decide::{Deciding, Verdict};
use tenure::requests::submit::Asked;
use tenure::requests::{self, Item};
use tenure::worker::Worker;
use tenure::{db, people, seed};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::ad_lab::env;

/// Seeding is done once, whichever test comes first (each test is a process of its own under nextest: a lock in the
/// database keeps them from doing it at the same time).
static SEEDED: OnceCell<()> = OnceCell::const_new();

pub struct Site {
    pub config: Config,
    pub pool: PgPool,
    pub connector: Arc<AdConnector>,
    /// Unique, for names.
    pub tag: String,
}

/// Every mail that was sent so far, and its file. One that is just being written has a name with a dot.
pub fn mails() -> Vec<(PathBuf, String)> {
    let all = std::fs::read_dir(env("MAIL_DIR")).unwrap().map(|entry| entry.unwrap().path());
    let whole = all.filter(|path| path.is_file() && !path.file_name().unwrap().to_string_lossy().starts_with('.'));
    whole.map(|path| (path.clone(), String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned())).collect()
}

/// A worker as a process; killed when dropped.
pub struct Process {
    child: Child,
    /// What it logged.
    pub log: tempfile::NamedTempFile,
}

impl Process {
    pub fn start(die_at: Option<&str>) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenure"));
        command
            .arg("work")
            .env("TENURE_WORKER__LEASE_SECONDS", "3")
            // One at a time: steps come in their order, and the one to die at is not done beside another.
            .env("TENURE_WORKER__CONCURRENCY", "1")
            .env("TENURE_WORKER__LISTEN", "127.0.0.1:0")
            .env("TENURE_TELEMETRY__FILTER", "debug")
            .stdout(Stdio::null())
            .stderr(log.reopen().unwrap());
        if let Some(at) = die_at {
            command.env("TENURE_DIE_AT", at);
        }
        Self { child: command.spawn().unwrap(), log }
    }

    /// Waits for its death at the boundary.
    pub async fn dies(mut self, at: &str) {
        wait(
            &format!("the worker dies at {at}"),
            async || self.child.try_wait().unwrap().is_some(),
            async || String::new(),
        )
        .await;
        // The shell that it leaves behind at Exchange counts among the eighteen that a user may have; it runs out by itself
        // after a quarter of an hour, which no test waits for.
        let forgotten = Command::new("curl")
            .args([
                "-fsS",
                "--cacert",
                &env("LDAP_CA_FILE"),
                "-X",
                "DELETE",
                &format!("{}/shells", env("EXCHANGE_LAB_URL")),
            ])
            .status()
            .unwrap();
        assert!(forgotten.success(), "the stand-in Exchange forgets shells");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A worker at work.
pub struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// Stops it and waits until it has: the next test's worker takes over at once.
    pub async fn end(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }
}

impl Site {
    pub async fn open() -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let path = env("TENURE_CONFIG");
        let config = Config::load(Some(Path::new(&path)), std::env::vars()).unwrap();
        let pool = db::pool(&config.database).unwrap();
        SEEDED.get_or_init(|| seeded(&config, &pool)).await;
        let TargetConfig::Ad(ad) = &config.target[0] else { panic!("the lab's first target is its directory") };
        let connector = Arc::new(AdConnector::new(tenure::targets::ad_settings(ad)));
        // Letters alone: names of people have no digits.
        let tag: String =
            Uuid::new_v4().simple().to_string().bytes().take(8).map(|byte| char::from(b'a' + byte % 26)).collect();
        Self { config, pool, connector, tag }
    }

    /// A worker in this process.
    pub fn worker(&self) -> Running {
        let stop = CancellationToken::new();
        let worker = Arc::new(Worker::new(&self.config, self.pool.clone(), Clock::System).unwrap());
        Running { task: tokio::spawn(worker.run(stop.clone())), stop }
    }

    pub async fn actor(&self, user: &str) -> Actor {
        let text = seed::token(&self.pool, &self.config, Clock::System, user).await.unwrap();
        let mut conn = self.pool.acquire().await.unwrap();
        Actor::Person(token::resume(&mut conn, &text, None).await.unwrap().expect("a fresh token holds"))
    }

    pub async fn ask(&self, user: &str, kind: RequestKind, answers: &[(&str, &str)]) -> RequestNumber {
        let raw = Raw::from_pairs(answers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let asked = Asked { kind, raw, nonce: Uuid::new_v4().to_string(), sent: None, seen: None };
        let actor = self.actor(user).await;
        match requests::submit::submit(&self.pool, Clock::System.now(), &actor, &asked).await {
            Ok(number) => number,
            Err(requests::RequestError::Fields(errors)) => panic!("{errors:?}"),
            Err(error) => panic!("{error:?}"),
        }
    }

    pub async fn items(&self, number: RequestNumber) -> Vec<Item> {
        let mut conn = self.pool.acquire().await.unwrap();
        let request = requests::find(&mut conn, number).await.unwrap().unwrap();
        requests::items(&mut conn, request.id).await.unwrap()
    }

    pub async fn steps(&self, number: RequestNumber) -> Vec<Step> {
        let mut conn = self.pool.acquire().await.unwrap();
        let request = requests::find(&mut conn, number).await.unwrap().unwrap();
        changes::steps(&mut conn, request.id, false).await.unwrap()
    }

    pub async fn state(&self, number: RequestNumber) -> String {
        let mut conn = self.pool.acquire().await.unwrap();
        requests::find(&mut conn, number).await.unwrap().unwrap().state
    }

    pub async fn approve(&self, user: &str, number: RequestNumber, item: i32) {
        self.decide(user, number, item, (Verdict::Approve, "")).await;
    }

    #[allow(dead_code, reason = "the benches use it")]
    pub async fn reject(&self, user: &str, number: RequestNumber, item: i32) {
        self.decide(user, number, item, (Verdict::Reject, "Not now")).await;
    }

    async fn decide(&self, user: &str, number: RequestNumber, item: i32, (verdict, comment): (Verdict, &str)) {
        let digest = self.items(number).await[usize::try_from(item - 1).unwrap()].digest.clone();
        let deciding = Deciding { number, item, verdict, digest, comment: comment.to_owned() };
        let actor = self.actor(user).await;
        requests::decide::decide(&self.pool, Clock::System.now(), &actor, &deciding).await.unwrap();
    }

    /// Waits for a request's state; bounded, and says what stood in the way.
    pub async fn until(&self, number: RequestNumber, state: &str) {
        wait(
            &format!("{number} {state}"),
            async || self.state(number).await == state,
            async || {
                let steps = self.steps(number).await;
                let told: Vec<_> = steps.iter().map(|step| (&step.name, &step.state, &step.told)).collect();
                format!("{} {told:?}", self.state(number).await)
            },
        )
        .await;
    }

    pub async fn until_item(&self, number: RequestNumber, item: usize, state: &str) {
        wait(
            &format!("{number} item {item} {state}"),
            async || self.items(number).await[item - 1].state == state,
            async || {
                let steps = self.steps(number).await;
                format!("{:?}", steps.iter().map(|step| (&step.name, &step.state, &step.told)).collect::<Vec<_>>())
            },
        )
        .await;
    }

    /// A joiner's answers with names of this test's own.
    pub async fn joiner(&self, given: &str, family: &str, more: &[(&str, &str)]) -> RequestNumber {
        let family = format!("{family} {}", self.tag);
        let today = Clock::System.now().with_timezone(&chrono_tz::Europe::Berlin).date_naive().to_string();
        let mut answers = vec![
            ("given_name", given),
            ("family_name", family.as_str()),
            ("type", "employee"),
            ("department", "Finance"),
            ("title", "Accountant"),
            ("site", "Hamburg"),
            ("manager", "manager"),
            ("start_on", today.as_str()),
        ];
        answers.extend(more);
        self.ask("manager", RequestKind::Joiner, &answers).await
    }
}

async fn seeded(config: &Config, pool: &PgPool) {
    let mut owner = PgConnection::connect(config.database.owner_url.as_deref().unwrap()).await.unwrap();
    sqlx::query("select pg_advisory_lock(20261123)").execute(&mut owner).await.unwrap();
    db::migrate(&mut owner, &config.database.app_role).await.unwrap();
    let known: Option<i64> =
        sqlx::query_scalar("select count(*) from setting_version").fetch_optional(pool).await.unwrap();
    if known.unwrap_or(0) == 0 {
        let company = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/company");
        seed::company(pool, config, Clock::System, &company).await.unwrap();
    }
    let mut conn = pool.acquire().await.unwrap();
    assert!(people::by_user_name(&mut conn, "manager").await.unwrap().is_some());
}

/// Waits until something is so; at most a minute.
pub async fn wait(what: &str, mut so: impl AsyncFnMut() -> bool, found: impl AsyncFn() -> String) {
    let started = Instant::now();
    while !so().await {
        assert!(started.elapsed() < Duration::from_secs(60), "not within a minute: {what}; found: {}", found().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
