//! Exchange Online through the admin REST endpoint that Microsoft's own PowerShell module speaks (`InvokeCommand`), which
//! is not documented for others; or, for the little that it can do, through the public Admin API v2.0 (preview).
//!
//! One call is one cmdlet: a token, the cmdlet as JSON, page after page. What the server throttled or never began is sent
//! again for a bounded time; a writing cmdlet whose answer was lost is [`TransportError::Unknown`] and never sent again here.

mod call;
mod table;
mod token;
mod wait;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use reqwest::Url;
use uuid::Uuid;

use self::token::Tokens;
use super::cmdlet::{Cmdlet, Outcome, Transport, TransportError};

/// Which of Microsoft's two interfaces is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Api {
    /// `/adminapi/beta/{tenant}/InvokeCommand`: every cmdlet.
    #[default]
    Beta,
    /// `/adminapi/v2.0/{tenant}/{endpoint}`: documented, a preview, a few cmdlets.
    V2,
}

impl Api {
    /// `beta` or `v2.0`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "beta" => Some(Self::Beta),
            "v2.0" => Some(Self::V2),
            _ => None,
        }
    }
}

/// How the assertion is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Signing {
    /// What Microsoft recommends.
    #[default]
    Ps256,
    /// For authorities that know no other.
    Rs256,
}

impl Signing {
    /// `PS256` or `RS256`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "PS256" => Some(Self::Ps256),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}

/// An organisation in Exchange Online. Holds no secret: the key stays in its file.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://outlook.office365.com`, without a path; another in a national cloud.
    pub base: String,
    pub api: Api,
    /// The tenant's GUID, or one of its domains.
    pub tenant: String,
    /// The application's GUID.
    pub client_id: String,
    /// PEM; the first certificate in it is the application's.
    pub cert_file: PathBuf,
    /// PEM, RSA, PKCS #8 (or PKCS #1), not encrypted.
    pub key_file: PathBuf,
    /// `https://login.microsoftonline.com`.
    pub authority: String,
    /// `https://outlook.office365.com/.default`.
    pub scope: String,
    pub signing: Signing,
    /// PEM. Instead of the machine's trusted roots, for both hosts.
    pub ca_file: Option<PathBuf>,
    /// For one request and its answer.
    pub timeout: Duration,
    /// For all tries of one page together.
    pub patience: Duration,
    /// Tries of one page.
    pub tries: u32,
    /// Before the second try where the server does not say; doubled each time.
    pub first_wait: Duration,
    /// Objects on one page, as is asked for; 1000 is the most that is given.
    pub page_size: u16,
    /// The longest page, unpacked, in bytes.
    pub longest_page: usize,
    /// The longest answer in pages.
    pub most_pages: usize,
    /// The machine's clock: assertions carry the time.
    pub now: fn() -> DateTime<Utc>,
}

impl Settings {
    /// An organisation in the worldwide cloud.
    pub fn new(
        tenant: impl Into<String>,
        client_id: impl Into<String>,
        cert_file: impl Into<PathBuf>,
        key_file: impl Into<PathBuf>,
    ) -> Self {
        Self {
            base: "https://outlook.office365.com".to_owned(),
            api: Api::default(),
            tenant: tenant.into(),
            client_id: client_id.into(),
            cert_file: cert_file.into(),
            key_file: key_file.into(),
            authority: "https://login.microsoftonline.com".to_owned(),
            scope: "https://outlook.office365.com/.default".to_owned(),
            signing: Signing::default(),
            ca_file: None,
            timeout: Duration::from_secs(120),
            patience: Duration::from_secs(180),
            tries: 6,
            first_wait: Duration::from_secs(1),
            page_size: 1000,
            longest_page: 64 * 1024 * 1024,
            most_pages: 2000,
            now: machine_time,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "an assertion's time is the machine's, compared with Microsoft's clock")]
fn machine_time() -> DateTime<Utc> {
    Utc::now()
}

/// A client of one organisation.
pub struct Online {
    settings: Settings,
    base: Url,
    http: reqwest::Client,
    tokens: Tokens,
    /// The same for every call of this client: Microsoft's traces hang together by it.
    connection: Uuid,
}

impl Online {
    /// A client; nothing is sent yet.
    ///
    /// # Errors
    /// [`TransportError::Refused`] in words where a setting cannot be.
    pub fn new(settings: Settings) -> Result<Self, TransportError> {
        let built = Self::build(settings);
        built.map_err(|why| TransportError::Refused { why })
    }

    fn build(mut settings: Settings) -> Result<Self, String> {
        let base = https("url", &settings.base)?;
        https("authority", &settings.authority)?;
        if base.path() != "/" || base.query().is_some() {
            return Err(format!(
                "url: {} has a path; only the host is set, as https://outlook.office365.com.",
                settings.base
            ));
        }
        for (name, value) in [("tenant", &mut settings.tenant), ("client_id", &mut settings.client_id)] {
            *value = value.trim().to_owned();
            if value.is_empty() || !value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-') {
                return Err(format!("{name}: “{value}” is neither a GUID nor a domain."));
            }
        }
        // Without a provider in this process there would be a panic; where there is one already, this changes nothing.
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(settings.timeout.min(Duration::from_secs(15)))
            .timeout(settings.timeout)
            .user_agent(concat!("tenure/", env!("CARGO_PKG_VERSION")));
        if let Some(file) = &settings.ca_file {
            let shown = file.display();
            let pem = std::fs::read(file).map_err(|error| format!("CA file {shown}: {error}."))?;
            let roots =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| format!("CA file {shown}: {error}."))?;
            if roots.is_empty() {
                return Err(format!("CA file {shown} holds no certificate."));
            }
            builder = builder.tls_certs_only(roots);
        }
        let http = builder.build().map_err(|error| format!("No client can be made: {}.", causes(&error)))?;
        Ok(Self { settings, base, http, tokens: Tokens::new(), connection: Uuid::new_v4() })
    }

    /// Where a cmdlet is posted to.
    fn address(&self, cmdlet: &Cmdlet) -> Result<Url, TransportError> {
        let tenant = &self.settings.tenant;
        let path = match self.settings.api {
            Api::Beta => format!("/adminapi/beta/{tenant}/InvokeCommand"),
            Api::V2 => {
                let params = cmdlet.params.iter().map(|(name, _)| name.as_str());
                let endpoint = table::public(&cmdlet.name, params).ok_or_else(|| TransportError::Refused {
                    why: format!(
                        "The public Admin API v2.0 has no endpoint for {} with these parameters: set api = \"beta\" for this organisation.",
                        cmdlet.name
                    ),
                })?;
                format!("/adminapi/v2.0/{tenant}/{endpoint}")
            }
        };
        let mut address = self.base.clone();
        address.set_path(&path);
        Ok(address)
    }
}

/// An address over TLS; plain HTTP only to this machine, for tests.
fn https(name: &str, text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{name}: “{text}” is no address ({error})."))?;
    let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if url.scheme() == "https" || (url.scheme() == "http" && here) {
        Ok(url)
    } else {
        Err(format!("{name}: {text} has to begin with https://."))
    }
}

/// An error with what caused it, without the address.
fn causes(error: &reqwest::Error) -> String {
    let mut words = Vec::new();
    let mut cause: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(inner) = cause {
        words.push(inner.to_string());
        cause = inner.source();
    }
    if words.is_empty() {
        if error.is_timeout() { "it took too long".to_owned() } else { "no answer".to_owned() }
    } else {
        words.join(": ")
    }
}

#[async_trait]
impl Transport for Online {
    async fn invoke(&self, cmdlet: &Cmdlet) -> Result<Outcome, TransportError> {
        self.call(cmdlet).await
    }

    fn endpoint(&self) -> String {
        self.base.host_str().unwrap_or_default().to_owned()
    }
}
