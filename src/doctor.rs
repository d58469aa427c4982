//! `tenure doctor`: is everything there that is needed? Each line says what was looked at, and what to mend.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::checks::Health;
use crate::clock::Clock;
use crate::config::{Config, read_secret};
use crate::evidence::anchoring::Anchoring;
use crate::evidence::state;
use crate::numbers::count;
use crate::{db, mail, targets, worker};

/// How one check came out.
enum Found {
    Well(String),
    /// Works, but not as it should.
    Doubtful(String),
    /// Must be mended.
    Ill(String),
}

/// Runs every check and prints a line for each. `units` are checked beside those of the naming rules.
///
/// # Errors
/// Where something must be mended; the lines say what.
pub async fn run(config: &Config, path: Option<&Path>, units: Vec<String>) -> anyhow::Result<()> {
    let mut ill = 0;
    let mut say = |what: &str, found: Found| {
        let (mark, text) = match found {
            Found::Well(text) => ("ok   ", text),
            Found::Doubtful(text) => ("look ", text),
            Found::Ill(text) => {
                ill += 1;
                ("MEND ", text)
            }
        };
        println!("{mark} {what}: {text}");
    };
    let file = path.map_or_else(|| "environment only".to_owned(), |path| path.display().to_string());
    say("configuration", Found::Well(file));
    let pool = db::pool(&config.database)?;
    let reachable = database(&pool).await;
    let up = matches!(reachable, Found::Well(_));
    say("database", reachable);
    if up {
        say("schema", schema(&pool).await);
        say("rights", rights(&pool).await);
        say("durability", durability(&pool).await);
        say("clock", clock(&pool).await);
        say("worker", workers(&pool).await);
    }
    say("worker key", key(config));
    for (what, found) in evidence(config, up.then_some(&pool)).await {
        say(what, found);
    }
    for (what, found) in systems(config, up.then_some(&pool), units).await {
        say(&what, found);
    }
    match &config.mail {
        Some(mail) => say(
            "mail",
            match mail::check(mail).await {
                Ok(()) => Found::Well(format!("{} answers", mail_host(&mail.url))),
                Err(error) => Found::Ill(format!("{error}; mail waits in the outbox meanwhile")),
            },
        ),
        None => say("mail", Found::Doubtful("no [mail] section: messages stay in the outbox".to_owned())),
    }
    anyhow::ensure!(ill == 0, "{} to mend", count(ill, "thing", "things"));
    Ok(())
}

/// The target systems: each connection, and in a directory the rights, unit by unit and group by group.
async fn systems(config: &Config, pool: Option<&PgPool>, units: Vec<String>) -> Vec<(String, Found)> {
    if config.target.is_empty() {
        return vec![("target systems".to_owned(), Found::Ill("none; add a [[target]]".to_owned()))];
    }
    let mut found = Vec::new();
    for target in &config.target {
        let scope = targets::check::scope(pool, target.key(), &units).await;
        for finding in targets::check::look(target, pool, &scope).await {
            let mend = finding.mend.iter().map(|command| format!("\n        {command}"));
            let text = std::iter::once(finding.text.clone()).chain(mend).collect();
            let found_so = match finding.state {
                Health::Well => Found::Well(text),
                Health::Doubtful => Found::Doubtful(text),
                Health::Ill => Found::Ill(text),
            };
            found.push((target.key().to_owned(), found_so));
        }
    }
    found
}

/// The address without a password in it.
fn mail_host(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, host)| host)
}

async fn database(pool: &PgPool) -> Found {
    match tokio::time::timeout(
        Duration::from_secs(5),
        sqlx::query_scalar!(r#"select version() as "version!""#).fetch_one(pool),
    )
    .await
    {
        Ok(Ok(version)) => Found::Well(version.split(" on ").next().unwrap_or_default().to_owned()),
        Ok(Err(error)) => Found::Ill(format!("{error}; is it running, and database.url right?")),
        Err(_) => Found::Ill("no answer within 5 s".to_owned()),
    }
}

async fn schema(pool: &PgPool) -> Found {
    let newest = db::MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
    let found: Result<Option<i64>, _> =
        sqlx::query_scalar("select max(version) from _sqlx_migrations where success").fetch_one(pool).await;
    match found {
        Ok(Some(version)) if version == newest => Found::Well(format!("up to date ({version})")),
        Ok(version) => Found::Ill(format!("at {version:?}, this program wants {newest}: run `tenure migrate`")),
        Err(error) => Found::Ill(format!("{error}: run `tenure migrate`")),
    }
}

async fn rights(pool: &PgPool) -> Found {
    let may = sqlx::query_scalar!(
        r#"select has_table_privilege('evidence_record', 'UPDATE') or has_table_privilege('evidence_record', 'DELETE')
               or has_table_privilege('decision', 'UPDATE') or has_table_privilege('decision', 'DELETE') as "may!""#
    )
    .fetch_one(pool)
    .await;
    match may {
        Ok(false) => Found::Well("evidence and decisions can be added to, not changed".to_owned()),
        Ok(true) => Found::Ill(
            "database.url connects as a role that may change evidence: use the application's role, not the owner"
                .to_owned(),
        ),
        Err(error) => Found::Ill(error.to_string()),
    }
}

/// Whether an acknowledged commit survives a crash of the server.
async fn durability(pool: &PgPool) -> Found {
    let settings: Result<(String, String), _> =
        sqlx::query_as("select current_setting('fsync'), current_setting('synchronous_commit')").fetch_one(pool).await;
    match settings {
        Ok((fsync, commit)) if fsync == "on" && commit != "off" => {
            Found::Well(format!("synchronous_commit is {commit}"))
        }
        Ok((fsync, commit)) => Found::Ill(format!(
            "fsync is {fsync}, synchronous_commit is {commit}: a crash of the server would lose decisions that were acknowledged; set both on"
        )),
        Err(error) => Found::Ill(error.to_string()),
    }
}

async fn clock(pool: &PgPool) -> Found {
    let before = Clock::System.now();
    let theirs: Result<DateTime<Utc>, _> =
        sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(pool).await;
    match theirs {
        Ok(theirs) => {
            let apart = (theirs - before).num_milliseconds().abs();
            if apart < 2000 {
                Found::Well(format!("{apart} ms from the database's"))
            } else {
                Found::Ill(format!("{apart} ms from the database's: set both by NTP"))
            }
        }
        Err(error) => Found::Ill(error.to_string()),
    }
}

async fn workers(pool: &PgPool) -> Found {
    let alive: Result<i64, _> = sqlx::query_scalar!(
        r#"select count(distinct worker) as "count!" from routine where finished_at > now() - interval '1 minute'"#
    )
    .fetch_one(pool)
    .await;
    match alive {
        Ok(0) => Found::Doubtful("none has been at work in the last minute".to_owned()),
        Ok(count) => Found::Well(format!("{count} at work")),
        Err(error) => Found::Ill(error.to_string()),
    }
}

/// How far behind its records the log may be, seconds.
const LAG: i64 = 5;

/// The signer, the published folder, how far behind the log is, and whether those outside answer.
async fn evidence(config: &Config, pool: Option<&PgPool>) -> Vec<(&'static str, Found)> {
    let Some(evidence) = &config.evidence else {
        return vec![(
            "evidence log",
            Found::Doubtful("no [evidence] section: records are kept, but nothing is signed".to_owned()),
        )];
    };
    let mut found = Vec::new();
    match worker::signing(evidence) {
        None => found.push((
            "signer",
            Found::Doubtful("neither signer_dir nor signer_socket: this process does not sign".to_owned()),
        )),
        Some((_, line)) => match line.head().await {
            Ok((head, _)) => found.push(("signer", Found::Well(format!("{} at {} leaves", head.origin, head.size)))),
            Err(error) => found.push(("signer", Found::Ill(error.to_string()))),
        },
    }
    if evidence.witness.is_empty() {
        found.push((
            "witness",
            Found::Doubtful(
                "none: whoever holds the log's key could rewrite it unseen; see docs/witness.md".to_owned(),
            ),
        ));
    }
    if evidence.timestamp_authority.is_empty() {
        found.push((
            "timestamps",
            Found::Doubtful("no authority: nobody outside says when a record was there".to_owned()),
        ));
    }
    if let Err(error) = Anchoring::new(evidence) {
        found.push(("evidence log", Found::Ill(error.to_string())));
    }
    if let Some(pool) = pool {
        match log_state(pool, &evidence.log_dir).await {
            Ok(more) => found.extend(more),
            Err(error) => found.push(("evidence log", Found::Ill(error.to_string()))),
        }
    }
    found
}

async fn log_state(pool: &PgPool, published: &Path) -> Result<Vec<(&'static str, Found)>, sqlx::Error> {
    let mut conn = pool.acquire().await?;
    let logs = state::logs(&mut conn).await?;
    let Some(log) = logs.first() else {
        return Ok(vec![("evidence log", Found::Doubtful("not begun; the worker begins it".to_owned()))]);
    };
    let mut found = Vec::new();
    let waiting = state::waiting(&mut conn).await?;
    let lag = waiting.oldest.map_or(0, |oldest| (Clock::System.now() - oldest).num_seconds());
    found.push((
        "evidence log",
        match &log.trouble {
            Some(trouble) => Found::Ill(trouble.clone()),
            None if lag > LAG => {
                Found::Ill(format!("{} records wait, the oldest for {lag} s: does the worker run?", waiting.records))
            }
            None => Found::Well(format!("{} at {} leaves, {lag} s behind", log.origin, log.size)),
        },
    ));
    match state::published(&crate::evidence::log::folder(published, log.id)) {
        Ok((checkpoint, _)) if checkpoint.size >= log.size => {
            found.push(("published log", Found::Well(published.display().to_string())))
        }
        Ok((checkpoint, _)) => found.push((
            "published log",
            Found::Ill(format!("it has {} leaves and {} were signed", checkpoint.size, log.size)),
        )),
        Err(error) => found.push(("published log", Found::Ill(error.to_string()))),
    }
    for party in state::outside(&mut conn, log.id).await? {
        let what = if party.kind == "timestamp" { "timestamps" } else { "witness" };
        found.push((
            what,
            match (party.trouble, party.at) {
                (Some(trouble), _) => Found::Ill(format!("{}: {trouble}", party.name)),
                (None, Some(at)) => Found::Well(format!("{} at {at}", party.name)),
                (None, None) => Found::Doubtful(format!("{} was not asked yet", party.name)),
            },
        ));
    }
    Ok(found)
}

fn key(config: &Config) -> Found {
    match &config.worker.key_file {
        None => Found::Ill("worker.key_file is not set: `tenure worker-key FILE` makes one".to_owned()),
        Some(path) => match read_secret(path) {
            Ok(text) => match crate::changes::secret::Vault::from_hex(&text) {
                Ok(_) => Found::Well(path.display().to_string()),
                Err(error) => Found::Ill(format!("{}: {error}", path.display())),
            },
            Err(error) => Found::Ill(error.to_string()),
        },
    }
}
