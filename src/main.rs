//! The command line: thin; every command is a function of the library.

#[path = "main/evidence.rs"]
mod evidence_command;
#[path = "main/exchange.rs"]
mod exchange_command;
#[path = "main/people.rs"]
mod people_command;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tenure::clock::Clock;
use tenure::config::Config;
use tenure::evidence::By;
use tenure::evidence::signer::{self, Keeper};
use tenure::numbers::count;
use tenure::{access, db, doctor, people, seed, telemetry, web, worker};
use tokio_util::sync::CancellationToken;

#[derive(Parser)]
#[command(name = "tenure", version, about = "Identity lifecycle portal")]
struct Cli {
    /// The configuration file; TENURE_… variables lie over it.
    #[arg(long, short, global = true, env = "TENURE_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The portal: pages and API. Holds nothing that can write to a target.
    Serve,
    /// The worker: applies approved steps, keeps the mirror, sends mail.
    Work,
    /// Both in one process, for a small site.
    All,
    /// Both, as a demo on loopback; with a subcommand, what belongs to the demo.
    Demo {
        #[command(subcommand)]
        command: Option<DemoCommand>,
    },
    /// Brings the schema up to date and gives the application's role its rights.
    Migrate,
    /// Checks configuration, database, every connector, mail and clock; says what to mend.
    Doctor {
        /// An organisational unit to check as well, by DN: for a site that has no naming rules yet.
        #[arg(long)]
        unit: Vec<String>,
    },
    /// Brings data in.
    Import {
        #[command(subcommand)]
        what: ImportCommand,
    },
    /// People: erasing their values.
    People {
        #[command(subcommand)]
        command: people_command::PeopleCommand,
    },
    /// Sign-ins.
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// The signed log of evidence: keys, verification, bundles.
    Evidence {
        #[command(subcommand)]
        command: evidence_command::EvidenceCommand,
    },
    /// Exchange: what its servers answer to a reading cmdlet.
    Exchange {
        #[command(subcommand)]
        command: exchange_command::ExchangeCommand,
    },
    /// Signs the log's checkpoints for a worker that has no key itself; answers at a socket.
    Sign {
        /// The signer's folder, with key and head.
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        socket: PathBuf,
    },
    /// Makes the worker's key for start passwords, in a file that only its owner can read.
    WorkerKey {
        file: PathBuf,
    },
    Witness(web::witness::Command),
}

#[derive(Subcommand)]
enum DemoCommand {
    /// Fills an empty database with the small company of the lab.
    Seed {
        /// The folder with the company's data.
        #[arg(long)]
        company: PathBuf,
    },
    /// Makes an API token for a demo user and prints it alone.
    Token { user: String },
}

#[derive(Subcommand)]
enum ImportCommand {
    /// Sites from a CSV file (code,name,zone,country): people are at one of them. All of it, or nothing.
    Sites { file: PathBuf },
    /// People from a CSV file: all of it, or nothing and every error by line and field.
    People { file: PathBuf },
}

#[derive(Subcommand)]
enum UserCommand {
    /// Gives a person a local sign-in. The password is read from standard input.
    Create {
        user_name: String,
        /// The person's employee number.
        #[arg(long)]
        employee_number: String,
        /// desk, desk_lead, security, auditor, administrator
        #[arg(long)]
        role: Vec<String>,
    },
}

fn main() -> ExitCode {
    // ldap3, lettre and sqlx find the one provider of this process here.
    drop(rustls::crypto::ring::default_provider().install_default());
    let cli = Cli::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
        .and_then(|runtime| runtime.block_on(run(cli)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tenure: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    // These need neither configuration nor database.
    match &cli.command {
        Command::WorkerKey { file } => return worker_key(file),
        Command::Sign { dir, socket } => return sign(dir, socket).await,
        Command::Evidence { command } if command.stands_alone() => return evidence_command::alone(command),
        _ => {}
    }
    let command = match cli.command {
        Command::Witness(command) => return witness(command).await,
        Command::Exchange { command } if command.stands_alone() => return exchange_command::run(None, command).await,
        other => other,
    };
    let config = Config::load(cli.config.as_deref(), std::env::vars())?;
    telemetry::logs(&config.telemetry);
    match command {
        Command::Serve => processes(config, true, false).await,
        Command::Work => processes(config, false, true).await,
        Command::All => processes(config, true, true).await,
        Command::Demo { command } => demo(config, command).await,
        Command::Migrate => migrate(&config).await,
        Command::Doctor { unit } => doctor::run(&config, cli.config.as_deref(), unit).await,
        Command::Import { what: ImportCommand::Sites { file } } => people_command::import_sites(&config, &file).await,
        Command::Import { what: ImportCommand::People { file } } => import_people(&config, &file).await,
        Command::People { command } => people_command::run(&config, command).await,
        Command::User { command: UserCommand::Create { user_name, employee_number, role } } => {
            create_user(&config, &user_name, &employee_number, &role).await
        }
        Command::Evidence { command } => evidence_command::run(&config, command).await,
        Command::Exchange { command } => exchange_command::run(Some(&config), command).await,
        Command::WorkerKey { .. } | Command::Witness(_) | Command::Sign { .. } => Ok(()),
    }
}

/// Runs the portal, the worker, or both, until Ctrl-C or SIGTERM.
async fn processes(config: Config, with_web: bool, with_worker: bool) -> anyhow::Result<()> {
    let config = Arc::new(config);
    let pool = db::pool(&config.database)?;
    let stop = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    telemetry::metrics();
    tokio::spawn(db::follow_password(pool.clone(), config.database.clone(), stop.clone()));
    if with_worker {
        let worker = Arc::new(worker::Worker::new(&config, pool.clone(), Clock::System)?);
        let stop = stop.clone();
        tasks.spawn(async move {
            worker.run(stop).await;
            Ok(())
        });
    }
    if with_web {
        let (config, pool, stop) = (config.clone(), pool.clone(), stop.clone());
        tasks.spawn(async move { portal(&config, pool, stop).await });
    } else {
        let (config, pool, stop) = (config.clone(), pool.clone(), stop.clone());
        tasks.spawn(async move { health(&config, pool, stop).await });
    }
    tokio::select! {
        signal = stop_signal() => signal?,
        ended = tasks.join_next() => {
            if let Some(ended) = ended {
                stop.cancel();
                ended.context("a task panicked")??;
            }
        }
    }
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended.context("a task panicked")??;
    }
    pool.close().await;
    Ok(())
}

async fn witness(command: web::witness::Command) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let signal = stop.clone();
    tokio::spawn(async move {
        drop(stop_signal().await);
        signal.cancel();
    });
    command.run(stop).await
}

async fn portal(config: &Config, pool: sqlx::PgPool, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = listen(config.web.listen).await?;
    tracing::info!(address = %config.web.listen, "portal started");
    println!("Tenure answers on {}", config.web.base_url);
    if let (true, Some(password)) = (config.demo.enabled, &config.demo.password) {
        println!("The demo people are on the sign-in page, one click each; their password is {password}");
    }
    let state = web::AppState::new(pool, config.clone(), Clock::System, stop.clone());
    Ok(web::run(state, listener).await?)
}

/// A worker that runs by itself answers for its health and its numbers, and nothing else.
async fn health(config: &Config, pool: sqlx::PgPool, stop: CancellationToken) -> anyhow::Result<()> {
    let listener = listen(config.worker.listen).await?;
    let state = web::AppState::new(pool, config.clone(), Clock::System, stop.clone());
    Ok(web::serve(listener, web::health_router(state), stop).await?)
}

async fn listen(address: std::net::SocketAddr) -> anyhow::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on; is something else there?"))
}

async fn stop_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = term.recv() => {}
    }
    tracing::info!("stopping: what has begun comes to its end");
    Ok(())
}

async fn demo(config: Config, command: Option<DemoCommand>) -> anyhow::Result<()> {
    anyhow::ensure!(config.demo.enabled, "demo.enabled is not set: this belongs to the demo alone");
    match command {
        None => processes(config, true, true).await,
        Some(DemoCommand::Seed { company }) => {
            let pool = db::pool(&config.database)?;
            let summary = seed::company(&pool, &config, Clock::System, &company).await?;
            println!("{summary}");
            Ok(())
        }
        Some(DemoCommand::Token { user }) => {
            let pool = db::pool(&config.database)?;
            println!("{}", seed::token(&pool, &config, Clock::System, &user).await?);
            Ok(())
        }
    }
}

async fn migrate(config: &Config) -> anyhow::Result<()> {
    let url = config.database.owner_url.as_deref().context(
        "database.owner_url is not set: migrations are done by the schema's owner (TENURE_DATABASE__OWNER_URL=postgres://…)",
    )?;
    let options = db::address(url, config.database.owner_password_file.as_deref())?;
    let mut owner = sqlx::ConnectOptions::connect(&options).await.context("connecting as the schema's owner")?;
    db::migrate(&mut owner, &config.database.app_role).await
}

async fn import_people(config: &Config, file: &std::path::Path) -> anyhow::Result<()> {
    let pool = db::pool(&config.database)?;
    let reader = std::fs::File::open(file).with_context(|| format!("opening {}", file.display()))?;
    let by = By { via: "command".to_owned(), ..By::default() };
    match people::import(&pool, Clock::System.now(), &by, reader).await? {
        Ok(imported) => {
            println!("{imported}");
            Ok(())
        }
        Err(errors) => {
            for error in &errors {
                eprintln!("{error}");
            }
            anyhow::bail!("nothing was imported: {} in {}", count(errors.len(), "error", "errors"), file.display())
        }
    }
}

async fn create_user(config: &Config, user_name: &str, number: &str, roles: &[String]) -> anyhow::Result<()> {
    let mut password = zeroize::Zeroizing::new(String::new());
    std::io::stdin().read_line(&mut password)?;
    let pool = db::pool(&config.database)?;
    let mut tx = pool.begin().await?;
    let by = By { via: "command".to_owned(), ..By::default() };
    let now = Clock::System.now();
    let person = people::by_employee_number(&mut tx, number)
        .await?
        .with_context(|| format!("nobody has the employee number {number}; import people first"))?;
    let password = password.trim_end_matches(['\r', '\n']);
    access::sign_in::create(&mut tx, now, &by, person, (user_name, password)).await?;
    for role in roles {
        let role = access::Role::parse(role).with_context(|| format!("“{role}” is not a role"))?;
        access::roles::give(&mut tx, now, &by, person, role).await?;
    }
    tx.commit().await?;
    println!("{user_name} can sign in.");
    Ok(())
}

/// Answers the worker's questions to the signer until Ctrl-C or SIGTERM.
async fn sign(dir: &std::path::Path, socket: &std::path::Path) -> anyhow::Result<()> {
    telemetry::logs(&tenure::config::TelemetryConfig::default());
    let keeper = Keeper::new(dir);
    let (head, _) = keeper.head()?;
    println!("Signing {} from {} leaves on, at {}", head.origin, head.size, socket.display());
    let stop = CancellationToken::new();
    tokio::select! {
        served = signer::serve(keeper, socket, stop.clone()) => served?,
        signal = stop_signal() => { signal?; drop(std::fs::remove_file(socket)); }
    }
    Ok(())
}

fn worker_key(file: &std::path::Path) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut out = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("making {} (an existing key is not overwritten)", file.display()))?;
    writeln!(out, "{}", tenure::changes::secret::Vault::generate().as_str())?;
    Ok(())
}
