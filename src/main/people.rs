//! `tenure people …`: the command line proposes, somebody of security decides in the portal.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use tenure::access::Actor;
use tenure::clock::Clock;
use tenure::config::Config;
use tenure::db;
use tenure::erasure::{self, Basis, Which};
use tenure::evidence::By;
use tenure::people::{self, SiteData};

/// A line of the file of sites.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct SiteRow {
    code: String,
    name: String,
    zone: String,
    country: String,
}

/// Brings the file's sites in; those that are there are brought up to date.
pub async fn import_sites(config: &Config, file: &std::path::Path) -> anyhow::Result<()> {
    let pool = db::pool(&config.database)?;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(file)?;
    let by = By { via: "command".to_owned(), ..By::default() };
    let mut tx = pool.begin().await?;
    let mut count = 0;
    for row in reader.deserialize() {
        let row: SiteRow = row.with_context(|| format!("{}: nothing was imported", file.display()))?;
        let line = format!("{}, site {}: nothing was imported", file.display(), count + 1);
        anyhow::ensure!(!row.code.is_empty() && !row.name.is_empty(), "{line}: code or name is empty");
        let letters = row.country.len() == 2 && row.country.bytes().all(|byte| byte.is_ascii_uppercase());
        anyhow::ensure!(letters, "{line}: country is two capital letters, such as DE");
        let data = SiteData { code: &row.code, name: &row.name, zone: &row.zone, country: &row.country };
        people::site(&mut tx, Clock::System.now(), &by, &data).await.context(line)?;
        count += 1;
    }
    tx.commit().await?;
    println!("{count} sites.");
    Ok(())
}

#[derive(Subcommand)]
pub enum PeopleCommand {
    /// Proposes to erase the personal values of somebody who has left; or lists what is proposed.
    Erase(Erase),
}

#[derive(Args)]
pub struct Erase {
    /// Whom, by employee number (or the id at the end of the address of their page).
    #[arg(required_unless_present = "list")]
    employee_number: Option<String>,
    /// retention: kept long enough. lawful_request: before that, with a reason.
    #[arg(long, required_unless_present = "list", value_parser = ["retention", "lawful_request"])]
    basis: Option<String>,
    /// Who asks for it and on what ground; stays in the evidence, so name the case, not the person.
    #[arg(long, default_value = "")]
    reason: String,
    /// Lists what is proposed, approved and done.
    #[arg(long, conflicts_with_all = ["employee_number", "basis", "reason"])]
    list: bool,
}

/// Runs the command.
///
/// # Errors
/// What stands in the way, each thing with its mend.
pub async fn run(config: &Config, command: PeopleCommand) -> anyhow::Result<()> {
    let PeopleCommand::Erase(erase) = command;
    let pool = db::pool(&config.database)?;
    if erase.list {
        let mut conn = pool.acquire().await?;
        for erasure in erasure::list(&mut conn, Which::default()).await? {
            let by = erasure.proposed_by_name.as_deref().unwrap_or("the command line");
            let at = erasure.proposed_at.format("%Y-%m-%d");
            println!("{}  {:<9} {at}  {}  by {by}, {}", erasure.id, erasure.state, erasure.person_name, erasure.basis);
            erasure.held_back.iter().for_each(|why| println!("    held back: {why}"));
        }
        return Ok(());
    }
    let number = erase.employee_number.unwrap_or_default();
    let basis = erase.basis.as_deref().and_then(Basis::parse).context("--basis is retention or lawful_request")?;
    let mut conn = pool.acquire().await?;
    let person = erasure::by_number(&mut conn, &number)
        .await?
        .with_context(|| format!("nobody has the employee number {number}"))?;
    drop(conn);
    let id = erasure::propose(&pool, Clock::System.now(), &Actor::Routine("command"), (person, basis, &erase.reason))
        .await?;
    println!(
        "Proposed as {id}. Nothing is erased yet: somebody of security approves it at {}/erasures/{id}",
        config.web.base_url.trim_end_matches('/')
    );
    Ok(())
}
