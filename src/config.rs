//! Configuration: one TOML file, then environment variables over it, unknown keys refused.
//!
//! `TENURE_WEB__LISTEN=127.0.0.1:9000` overrides `listen` in `[web]`; for targets the instance's number stands between:
//! `TENURE_TARGET__0__OBSERVE_ONLY=true`. Secrets come from files (`…_file`) or the environment, never from the database.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Everything that `tenure` is told from outside.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub database: DatabaseConfig,
    #[serde(default)]
    pub web: WebConfig,
    #[serde(default)]
    pub worker: WorkerConfig,
    #[serde(default)]
    pub target: Vec<TargetConfig>,
    pub mail: Option<MailConfig>,
    pub evidence: Option<EvidenceConfig>,
    #[serde(default)]
    pub telemetry: TelemetryConfig,
    #[serde(default)]
    pub demo: DemoConfig,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// As the application's role: `postgres://tenure_app@host/tenure`.
    pub url: String,
    /// The password, where it does not stand in `url`. Read again every two seconds: a new one is used by new connections.
    pub password_file: Option<PathBuf>,
    /// As the schema's owner; only `tenure migrate` needs it.
    pub owner_url: Option<String>,
    pub owner_password_file: Option<PathBuf>,
    /// The role that `tenure migrate` gives rights to.
    #[serde(default = "default_app_role")]
    pub app_role: String,
    #[serde(default = "default_connections")]
    pub max_connections: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    pub listen: SocketAddr,
    /// As people type it, without a path: `https://tenure.example.com`.
    pub base_url: String,
    /// The company's name on the sign-in page.
    pub company: String,
    /// Cookies without `Secure` over plain HTTP: for the demo on loopback, refused anywhere else.
    pub insecure_http: bool,
    /// A proxy in front whose `X-Forwarded-For` is believed; none by default.
    pub trusted_proxy: Option<std::net::IpAddr>,
    /// The site has one administrator, who releases the settings that they proposed; each record of it says so.
    pub one_administrator: bool,
    /// Calls of the API that one token may make in a minute.
    pub api_per_minute: std::num::NonZeroU32,
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            base_url: "http://127.0.0.1:8080".to_owned(),
            company: "your company".to_owned(),
            insecure_http: false,
            trusted_proxy: None,
            one_administrator: false,
            api_per_minute: std::num::NonZeroU32::MIN.saturating_add(599),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// Steps done side by side by this process.
    pub concurrency: usize,
    /// How long a step may be held, seconds; at least three times a target's call timeout.
    pub lease_seconds: u32,
    /// The key that start passwords are sealed to: 32 bytes, hex, readable by the worker alone. Made by `tenure worker-key`.
    pub key_file: Option<PathBuf>,
    /// Health and metrics of a worker that runs by itself.
    pub listen: SocketAddr,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self { concurrency: 4, lease_seconds: 60, key_file: None, listen: SocketAddr::from(([127, 0, 0, 1], 8081)) }
    }
}

/// A target system's connection. The tag names the connector family.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "family", rename_all = "snake_case")]
pub enum TargetConfig {
    Ad(AdTargetConfig),
    ExchangeOnPremises(ExchangeOnPremisesConfig),
    ExchangeOnline(ExchangeOnlineConfig),
}

impl TargetConfig {
    pub fn key(&self) -> &str {
        match self {
            Self::Ad(ad) => &ad.key,
            Self::ExchangeOnPremises(exchange) => &exchange.key,
            Self::ExchangeOnline(exchange) => &exchange.key,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Ad(ad) => &ad.name,
            Self::ExchangeOnPremises(exchange) => &exchange.name,
            Self::ExchangeOnline(exchange) => &exchange.name,
        }
    }

    pub fn observe_only(&self) -> bool {
        match self {
            Self::Ad(ad) => ad.observe_only,
            Self::ExchangeOnPremises(exchange) => exchange.observe_only,
            Self::ExchangeOnline(exchange) => exchange.observe_only,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JoinerMailboxConfig {
    #[default]
    None,
    Mailbox,
    Remote,
    Licence,
}

/// Exchange on premises, by PowerShell remoting.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeOnPremisesConfig {
    /// `exchange:onprem`, `exchange:online`
    pub key: String,
    /// Shown to people: "Exchange".
    #[serde(default = "default_exchange_name")]
    pub name: String,
    /// The key of the directory whose accounts its mailboxes belong to: `ad:corp.example.com`.
    pub directory: Option<String>,
    /// What stands behind the @ of new addresses: `example.com`.
    pub mail_domain: Option<String>,
    /// How joiners get their mailbox here: `none`, `mailbox`, `remote`, `licence`.
    #[serde(default)]
    pub joiner_mailbox: JoinerMailboxConfig,
    /// The directory group whose members get a licence, by name.
    pub licence_group: Option<String>,
    #[serde(default)]
    pub observe_only: bool,
    /// `https://exchange.corp.example.com/PowerShell/`
    pub url: String,
    #[serde(default = "default_resource_uri")]
    pub resource_uri: String,
    /// `basic` over HTTPS, `kerberos`, `negotiate`
    #[serde(default = "default_exchange_auth")]
    pub auth: String,
    pub user: String,
    pub password_file: PathBuf,
    /// PEM of the authority that signed the server's certificate; the system's store where absent.
    pub ca_file: Option<PathBuf>,
    /// Kerberos: the key distribution centre, `tcp://dc1.corp.example.com:88`, where DNS does not tell.
    pub kdc: Option<String>,
    /// Kerberos: the servers' principal, where it is not `HTTP/` with the URL's host.
    pub service: Option<String>,
    /// Where shared mailboxes and lists are made: an organisational unit's canonical name or DN.
    pub organizational_unit: Option<String>,
    /// The mailbox database; Exchange chooses where absent.
    pub database: Option<String>,
    /// Hybrid: what stands behind the @ of a remote mailbox's routing address.
    pub remote_routing_domain: Option<String>,
    /// Cmdlets side by side, at most three.
    #[serde(default = "default_runspaces")]
    pub runspaces: u8,
}

/// Exchange Online, by the admin REST endpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExchangeOnlineConfig {
    /// `exchange:onprem`, `exchange:online`
    pub key: String,
    /// Shown to people: "Exchange".
    #[serde(default = "default_exchange_name")]
    pub name: String,
    /// The key of the directory whose accounts its mailboxes belong to: `ad:corp.example.com`.
    pub directory: Option<String>,
    /// What stands behind the @ of new addresses: `example.com`.
    pub mail_domain: Option<String>,
    /// How joiners get their mailbox here: `none`, `mailbox`, `remote`, `licence`.
    #[serde(default)]
    pub joiner_mailbox: JoinerMailboxConfig,
    /// The directory group whose members get a licence, by name.
    pub licence_group: Option<String>,
    #[serde(default)]
    pub observe_only: bool,
    /// The tenant's id.
    pub tenant: String,
    pub client_id: String,
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    /// `https://outlook.office365.com`; national clouds have their own.
    #[serde(default = "default_online_base")]
    pub base: String,
    #[serde(default = "default_online_authority")]
    pub authority: String,
    #[serde(default = "default_online_scope")]
    pub scope: String,
    /// `beta`, what Microsoft's own module speaks; `v2.0`, the public Admin API with its few cmdlets.
    #[serde(default = "default_online_api")]
    pub api: String,
    /// How the assertion is signed: `PS256`; `RS256` where the authority knows no other.
    #[serde(default = "default_online_signing")]
    pub signing: String,
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdTargetConfig {
    /// `ad:corp.example.com`
    pub key: String,
    /// Shown to people: "Active Directory".
    #[serde(default = "default_ad_name")]
    pub name: String,
    /// `ldaps://dc1.corp.example.com:636`, several for fail-over.
    pub urls: Vec<String>,
    pub bind_dn: String,
    pub password_file: PathBuf,
    /// PEM of the authority that signed the servers' certificates; the system's store where absent.
    pub ca_file: Option<PathBuf>,
    /// The domain's naming context: `DC=corp,DC=example,DC=com`.
    pub base_dn: String,
    /// Where a created account carries its step's id.
    #[serde(default = "default_correlation")]
    pub correlation_attribute: String,
    #[serde(default)]
    pub observe_only: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// `smtp://127.0.0.1:2525`, `smtps://mail.example.com`, `smtp://mail.example.com:587?tls=required`
    pub url: String,
    /// Who signs in at the mail server, where that is wanted; with `password_file`.
    pub user: Option<String>,
    /// Read again for each batch of mail.
    pub password_file: Option<PathBuf>,
    /// `Tenure <tenure@example.com>`
    pub from: String,
}

/// The signed log. Without this section records are kept but not signed, and `doctor` says so.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvidenceConfig {
    /// Where tiles and checkpoints are published: a share that is written once, a folder that a web server shows. The
    /// worker writes there, the portal reads.
    pub log_dir: PathBuf,
    /// The signer's folder with key and head, made by `tenure evidence keygen`; where the worker signs itself.
    pub signer_dir: Option<PathBuf>,
    /// The socket of `tenure sign`, where another process and user signs.
    pub signer_socket: Option<PathBuf>,
    /// How often a timestamp is fetched for the log's newest state. Half of the back-dating that must be found.
    #[serde(default = "default_stamp_minutes")]
    pub timestamp_minutes: u32,
    #[serde(default)]
    pub timestamp_authority: Vec<TimestampAuthorityConfig>,
    #[serde(default)]
    pub witness: Vec<WitnessConfig>,
}

/// An RFC 3161 authority.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampAuthorityConfig {
    /// Its file names in the log: letters, digits, dots and hyphens.
    pub name: String,
    pub url: String,
    /// PEM of the certificates that its own is to lead to.
    pub roots_file: PathBuf,
}

/// A witness that speaks tlog-witness.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessConfig {
    /// Its submission prefix; `/add-checkpoint` is put behind it.
    pub url: String,
    /// Its verifier key, `name+id+key`, as `tenure witness keygen` prints it.
    pub key: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Json,
    Text,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    pub format: LogFormat,
    /// As in RUST_LOG: `info,sqlx=warn`.
    pub filter: String,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { format: LogFormat::Json, filter: "info,sqlx=warn,ldap3=error".to_owned() }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DemoConfig {
    /// Lists the demo people on the sign-in page with one click each. Only on loopback.
    pub enabled: bool,
    /// The one password of the demo people.
    pub password: Option<String>,
}

fn default_app_role() -> String {
    "tenure_app".to_owned()
}

fn default_stamp_minutes() -> u32 {
    30
}

fn default_connections() -> u32 {
    20
}

fn default_ad_name() -> String {
    "Active Directory".to_owned()
}

fn default_exchange_name() -> String {
    "Exchange".to_owned()
}

fn default_resource_uri() -> String {
    "http://schemas.microsoft.com/powershell/Microsoft.Exchange".to_owned()
}

fn default_exchange_auth() -> String {
    "kerberos".to_owned()
}

fn default_runspaces() -> u8 {
    2
}

fn default_online_base() -> String {
    "https://outlook.office365.com".to_owned()
}

fn default_online_authority() -> String {
    "https://login.microsoftonline.com".to_owned()
}

fn default_online_scope() -> String {
    "https://outlook.office365.com/.default".to_owned()
}

fn default_online_api() -> String {
    "beta".to_owned()
}

fn default_online_signing() -> String {
    "PS256".to_owned()
}

fn default_correlation() -> String {
    "msDS-cloudExtensionAttribute20".to_owned()
}

/// Why the configuration cannot be used; says where and what to mend.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} is not TOML: {source}")]
    Syntax { path: PathBuf, source: Box<toml::de::Error> },
    #[error("configuration: {0}")]
    Shape(Box<toml::de::Error>),
    #[error("environment variable {0} does not fit the configuration file's structure")]
    Override(String),
    #[error("{0}")]
    Unsafe(String),
}

impl Config {
    /// Reads `path` where given, lays the environment's `TENURE_…` variables over it, and refuses what is unsafe.
    ///
    /// # Errors
    /// An unreadable file, wrong TOML, an unknown key, a value of the wrong type, or unsafe settings.
    pub fn load(path: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut table = toml::Table::new();
        if let Some(path) = path {
            let text =
                std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
            table = text
                .parse()
                .map_err(|source| ConfigError::Syntax { path: path.to_owned(), source: Box::new(source) })?;
        }
        let mut root = toml::Value::Table(table);
        for (name, value) in environment {
            if let Some(key) = name.strip_prefix("TENURE_").filter(|key| key.contains("__")) {
                set(&mut root, &key.to_lowercase(), &value).ok_or_else(|| ConfigError::Override(name.clone()))?;
            }
        }
        let config: Self = root.try_into().map_err(|source| ConfigError::Shape(Box::new(source)))?;
        config.refuse_unsafe()?;
        Ok(config)
    }

    fn refuse_unsafe(&self) -> Result<(), ConfigError> {
        let loopback = self.web.listen.ip().is_loopback();
        if self.web.insecure_http && !loopback {
            return Err(ConfigError::Unsafe(format!(
                "web.insecure_http sends session cookies in clear and web.listen is {}: listen on 127.0.0.1, or put TLS in front and remove insecure_http",
                self.web.listen
            )));
        }
        if self.demo.enabled && !loopback {
            return Err(ConfigError::Unsafe(
                "demo.enabled lets anyone sign in as anyone: only on 127.0.0.1".to_owned(),
            ));
        }
        if let Some(evidence) = &self.evidence {
            evidence.refuse_unsafe()?;
        }
        if self.mail.as_ref().is_some_and(|mail| mail.user.is_some() != mail.password_file.is_some()) {
            return Err(ConfigError::Unsafe("mail.user and mail.password_file belong together: set both".to_owned()));
        }
        if !self.web.insecure_http && !self.web.base_url.starts_with("https://") {
            return Err(ConfigError::Unsafe(format!(
                "web.base_url is {}: people must reach Tenure over https (set web.insecure_http = true only to try it on loopback)",
                self.web.base_url
            )));
        }
        Ok(())
    }
}

impl EvidenceConfig {
    fn refuse_unsafe(&self) -> Result<(), ConfigError> {
        if self.signer_dir.is_some() && self.signer_socket.is_some() {
            return Err(ConfigError::Unsafe(
                "evidence.signer_dir and evidence.signer_socket are both set: name the folder where the worker signs itself, or the socket of `tenure sign`".to_owned(),
            ));
        }
        let plain = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '.' || letter == '-')
        };
        if let Some(odd) = self.timestamp_authority.iter().find(|authority| !plain(&authority.name)) {
            return Err(ConfigError::Unsafe(format!(
                "evidence.timestamp_authority name “{}” names files: letters, digits, dots and hyphens only",
                odd.name
            )));
        }
        if self.timestamp_minutes == 0 {
            return Err(ConfigError::Unsafe("evidence.timestamp_minutes is 0: at least 1".to_owned()));
        }
        Ok(())
    }
}

/// Sets `a__b__0__c` in the tree; numbers and booleans as such where they parse.
fn set(root: &mut toml::Value, key: &str, text: &str) -> Option<()> {
    let mut place = root;
    for part in key.split("__") {
        place = match place {
            toml::Value::Array(values) => values.get_mut(part.parse::<usize>().ok()?)?,
            toml::Value::Table(table) => {
                table.entry(part.to_owned()).or_insert_with(|| toml::Value::Table(toml::Table::new()))
            }
            _ => return None,
        };
    }
    *place = if let Ok(value) = text.parse::<bool>() {
        toml::Value::Boolean(value)
    } else if let Ok(value) = text.parse::<i64>() {
        toml::Value::Integer(value)
    } else {
        toml::Value::String(text.to_owned())
    };
    Some(())
}

/// Reads a secret from its file: without the line's end, and only if nobody else on the machine can.
///
/// # Errors
/// An unreadable or empty file, or one that others may read.
pub fn read_secret(path: &Path) -> Result<zeroize::Zeroizing<String>, ConfigError> {
    use std::os::unix::fs::PermissionsExt;
    let fail = |source| ConfigError::Read { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(fail)?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(ConfigError::Unsafe(format!(
            "{} holds a secret and everyone on this machine may read it: chmod 600 {0}",
            path.display()
        )));
    }
    let text = zeroize::Zeroizing::new(std::fs::read_to_string(path).map_err(fail)?);
    let trimmed = zeroize::Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if trimmed.is_empty() {
        return Err(ConfigError::Unsafe(format!("{} is empty", path.display())));
    }
    Ok(trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(Some(file.path()), environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    const MINIMAL: &str =
        "[database]\nurl = \"postgres://localhost/tenure\"\n[web]\nbase_url = \"https://t.example.com\"\n";

    #[test]
    fn environment_lies_over_the_file() {
        let config = load(MINIMAL, &[("TENURE_WEB__LISTEN", "127.0.0.1:9"), ("TENURE_DATABASE__MAX_CONNECTIONS", "3")]);
        let config = config.unwrap();
        assert_eq!(config.web.listen.port(), 9);
        assert_eq!(config.database.max_connections, 3);
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let error = load(&format!("{MINIMAL}colour = \"red\"\n"), &[]).unwrap_err().to_string();
        assert!(error.contains("colour"), "{error}");
    }

    #[test]
    fn unsafe_settings_do_not_start() {
        let demo = format!("{MINIMAL}listen = \"0.0.0.0:80\"\n[demo]\nenabled = true\n");
        assert!(matches!(load(&demo, &[]), Err(ConfigError::Unsafe(_))));
        let plain = MINIMAL.replace("https", "http");
        assert!(matches!(load(&plain, &[]), Err(ConfigError::Unsafe(_))));
    }
}
