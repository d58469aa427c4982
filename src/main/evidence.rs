//! `tenure evidence …`

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use tenure::clock::Clock;
use tenure::config::{Config, EvidenceConfig};
use tenure::db;
use tenure::evidence::bundle::{self, Selection};
use tenure::evidence::history::Filter;
use tenure::evidence::note::{Note, VerifierKey};
use tenure::evidence::signer::Keeper;
use tenure::evidence::verify::{self, Report, Trust};
use tenure::evidence::{By, log, renewal};
use tenure::ids::RequestNumber;
use tenure::numbers::count;

#[derive(Subcommand)]
pub enum EvidenceCommand {
    /// Makes the log's key and head in a new folder that only its owner can read; prints the public key.
    Keygen {
        #[arg(long)]
        dir: PathBuf,
        /// What the log is called in its checkpoints: `tenure.example.com/evidence`, without number and scheme.
        #[arg(long)]
        origin: String,
    },
    /// Checks a bundle (folder or zip) or a published log from its files alone; with --live the database against the log.
    Verify(Verify),
    /// Writes a bundle: records with proofs, opened values, anchors, and the means to check them elsewhere.
    Export(Export),
    /// Takes a new key into use; the old one signs that it does.
    RotateKey,
    /// Begins a new log where the old one cannot go on: after a restore from an older backup.
    NewOrigin {
        /// Why, for those who read it in a year.
        #[arg(long)]
        reason: String,
    },
}

#[derive(clap::Args)]
pub struct Verify {
    /// A bundle's folder or zip, a log's folder, or the published directory.
    #[arg(required_unless_present = "live")]
    path: Option<PathBuf>,
    /// The database against the published log, as configured.
    #[arg(long)]
    live: bool,
    /// For machines.
    #[arg(long)]
    json: bool,
    /// The log's public key as you were told it, or a file of keys; without it the folder's own is taken.
    #[arg(long)]
    key: Vec<String>,
    /// A witness's public key, or a file of keys.
    #[arg(long)]
    witness: Vec<String>,
    /// A checkpoint from other hands: a witness's memory, the checkpoint of an older bundle.
    #[arg(long)]
    checkpoint: Vec<PathBuf>,
}

#[derive(clap::Args)]
pub struct Export {
    /// Everything about one request: 482 or REQ-000482.
    #[arg(long, conflicts_with_all = ["query", "sample"])]
    request: Option<RequestNumber>,
    /// What of the history: action=step.applied&from=2026-10-01&until=2027-01-01&sox=yes; also kind=step, actor, system, object, subject.
    #[arg(long, required_unless_present = "request")]
    query: Option<String>,
    /// A sample of so many of the query's records, each with everything about its request.
    #[arg(long, requires = "query")]
    sample: Option<usize>,
    /// What the sample is drawn by: the same seed draws the same. Made up and printed where none is given.
    #[arg(long, requires = "sample")]
    seed: Option<String>,
    /// A folder to be made, or a file ending with .zip.
    #[arg(long)]
    out: PathBuf,
}

impl EvidenceCommand {
    /// Needs neither configuration nor database.
    pub fn stands_alone(&self) -> bool {
        matches!(self, Self::Keygen { .. } | Self::Verify(Verify { live: false, .. }))
    }
}

/// What needs neither configuration nor database.
pub fn alone(command: &EvidenceCommand) -> anyhow::Result<()> {
    match command {
        EvidenceCommand::Keygen { dir, origin } => {
            anyhow::ensure!(
                !origin.is_empty() && !origin.contains("://") && !origin.ends_with('/'),
                "--origin is like tenure.example.com/evidence: without https:// and without a slash at its end"
            );
            let key = Keeper::new(dir).make(&format!("{origin}/1"))?;
            println!("{key}");
            Ok(())
        }
        EvidenceCommand::Verify(wanted) => {
            let path = wanted.path.as_deref().context("no path")?;
            say(&verify::path(path, &trust(wanted)?), wanted.json)
        }
        _ => Ok(()),
    }
}

/// What needs them.
pub async fn run(config: &Config, command: EvidenceCommand) -> anyhow::Result<()> {
    let evidence = config.evidence.as_ref().context("the configuration has no [evidence] section")?;
    let pool = db::pool(&config.database)?;
    match command {
        EvidenceCommand::Keygen { .. } => Ok(()),
        EvidenceCommand::Verify(wanted) => {
            let mut reports = match &wanted.path {
                Some(path) => verify::path(path, &trust(&wanted)?),
                None => Vec::new(),
            };
            reports.push(tenure::evidence::live::verify(&pool, &evidence.log_dir).await?);
            say(&reports, wanted.json)
        }
        EvidenceCommand::Export(wanted) => export(&pool, evidence, wanted).await,
        EvidenceCommand::RotateKey => {
            let key = renewal::rotate_key(&pool, Clock::System.now(), &evidence.log_dir, &keeper(evidence)?).await?;
            println!("{key}");
            println!("Tell it to the witnesses and to those who verify; the old key is kept beside it.");
            Ok(())
        }
        EvidenceCommand::NewOrigin { reason } => {
            anyhow::ensure!(reason.trim().len() >= 10, "--reason: a sentence that explains it to an auditor");
            let started =
                renewal::new_origin(&pool, Clock::System.now(), &evidence.log_dir, &keeper(evidence)?, reason.trim())
                    .await?;
            let folder = log::folder(&evidence.log_dir, started.log.id);
            println!(
                "{}\nnow goes to {}. Tell this key to the witnesses and to those who verify:\n{}",
                started.log.origin,
                folder.0.display(),
                started.key
            );
            Ok(())
        }
    }
}

async fn export(pool: &sqlx::PgPool, evidence: &EvidenceConfig, wanted: Export) -> anyhow::Result<()> {
    let words = wanted.query.clone().unwrap_or_default();
    let filter = Filter::parse(&words).map_err(anyhow::Error::msg)?;
    let selection = match (wanted.request, wanted.sample) {
        (Some(number), _) => Selection::Request(number.0),
        (None, Some(size)) => {
            let seed = wanted.seed.unwrap_or_else(|| hex::encode(rand::random::<[u8; 8]>()));
            println!("seed {seed}");
            Selection::Sample { filter, words, size, seed }
        }
        (None, None) => Selection::Filter { filter, words },
    };
    let mut tx = pool.begin().await?;
    let by = By { via: "command".to_owned(), ..By::default() };
    let chosen = bundle::choose(&mut tx, Clock::System.now(), &by, selection).await?;
    tx.commit().await?;
    let gathered = bundle::gather(pool, &evidence.log_dir, chosen).await?;
    if wanted.out.extension().is_some_and(|ending| ending == "zip") {
        let (sender, mut pieces) = tokio::sync::mpsc::channel(4);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&wanted.out)?;
        let writing = bundle::zip(pool, &gathered, sender);
        let saving = async {
            while let Some(piece) = pieces.recv().await {
                std::io::Write::write_all(&mut file, &piece?)?;
            }
            file.sync_all()
        };
        tokio::join!(writing, saving).1?;
    } else {
        bundle::write(pool, &gathered, bundle::FolderSink::new(wanted.out.clone())?).await?;
    }
    println!(
        "{} in {}; check the bundle with: tenure evidence verify {1}",
        count(gathered.records(), "record", "records"),
        wanted.out.display()
    );
    Ok(())
}

fn keeper(evidence: &EvidenceConfig) -> anyhow::Result<Keeper> {
    let dir = evidence.signer_dir.as_ref().context(
        "evidence.signer_dir is not set: this is done by somebody who can read the signer's folder (TENURE_EVIDENCE__SIGNER_DIR=…)",
    )?;
    Ok(Keeper::new(dir))
}

fn trust(wanted: &Verify) -> anyhow::Result<Trust> {
    let note = |path: &PathBuf| -> anyhow::Result<Note> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        text.parse().with_context(|| format!("{} is not a signed checkpoint", path.display()))
    };
    Ok(Trust {
        keys: keys(&wanted.key)?,
        witnesses: keys(&wanted.witness)?,
        checkpoints: wanted.checkpoint.iter().map(note).collect::<Result<_, _>>()?,
    })
}

/// Keys as typed, or from files with one on each line.
fn keys(given: &[String]) -> anyhow::Result<Vec<VerifierKey>> {
    let mut keys = Vec::new();
    for given in given {
        let text = if Path::new(given).is_file() { std::fs::read_to_string(given)? } else { given.clone() };
        for line in text.lines().filter(|line| !line.is_empty()) {
            keys.push(line.parse().with_context(|| format!("“{line}” is not a verifier key"))?);
        }
    }
    Ok(keys)
}

/// Prints what was found; an error where something does not hold.
fn say(reports: &[Report], json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(reports)?);
    } else {
        for report in reports {
            println!("{report}");
        }
    }
    anyhow::ensure!(reports.iter().all(Report::holds), "verification failed");
    Ok(())
}
