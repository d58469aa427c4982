//! Carries an envelope over HTTP and its answer back.
//!
//! A Negotiate handshake authenticates a connection, so requests go by lanes: a lane has one connection, one request on it at a time,
//! and does its handshake again when the server has forgotten it. With Basic every request stands for itself and all share one client.
//! Cookies are common to all: a load balancer's cookie keeps a shell's requests on the server that holds it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::cookie::Jar;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use reqwest::tls::TlsInfo;
use reqwest::{Certificate, Client, Response, StatusCode, Url};

use super::super::auth::{self, AuthError, Credentials, Handshake, Scheme};
use super::answer::{Answer, AnswerError};
use super::fault::brief;

const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// A server closes idle connections after two minutes; we let go first, lest a request meet a closing one.
const IDLE: Duration = Duration::from_secs(60);
/// Idle lanes that are kept.
const SPARE_LANES: usize = 8;
const MOST_LEGS: usize = 4;
const SOAP: HeaderValue = HeaderValue::from_static("application/soap+xml;charset=UTF-8");

/// Where to and how.
#[derive(Debug, Clone)]
pub struct WireSettings {
    /// Path and query are sent as they are given.
    pub url: String,
    pub credentials: Credentials,
    /// PEM. The only authorities that are believed, where given; the machine's otherwise.
    pub authorities: Option<Vec<u8>>,
    /// Lets credentials go unencrypted to this very machine. Never to another.
    pub plain_loopback: bool,
    /// Octets of an answer that are read at most.
    pub longest_answer: usize,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The settings cannot work.
    #[error("{0}")]
    Settings(String),
    /// The request did not reach the server, or the server says that it did not take it.
    #[error("{why}")]
    NotSent { why: String, after: Option<Duration> },
    /// The request went out and no answer came.
    #[error("the connection was lost before the answer came: {0}")]
    Lost(String),
    /// Name, password, rights or address: asking again changes nothing.
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// The way to one endpoint.
pub struct Wire {
    settings: WireSettings,
    url: Url,
    jar: Arc<Jar>,
    authorities: Vec<Certificate>,
    /// For Basic; lanes have their own.
    shared: Client,
    lanes: Mutex<Vec<Lane>>,
}

/// One connection with its own handshake.
struct Lane {
    http: Client,
    certificate: Option<Vec<u8>>,
    authenticated: bool,
}

impl Wire {
    /// # Errors
    /// [`WireError::Settings`] where the URL or the authorities cannot be used.
    pub fn new(settings: WireSettings) -> Result<Self, WireError> {
        // Without a provider in this process there would be a panic; where there is one already, this changes nothing.
        drop(rustls::crypto::ring::default_provider().install_default());
        let url =
            Url::parse(&settings.url).map_err(|error| WireError::Settings(format!("{}: {error}", settings.url)))?;
        check_address(&url, settings.plain_loopback)?;
        let authorities = match &settings.authorities {
            Some(pem) => Certificate::from_pem_bundle(pem).map_err(|error| {
                WireError::Settings(format!("the authorities' certificates cannot be read: {error}"))
            })?,
            None => Vec::new(),
        };
        if settings.authorities.is_some() && authorities.is_empty() {
            return Err(WireError::Settings("there is no certificate among the authorities".to_owned()));
        }
        let jar = Arc::new(Jar::default());
        let shared = client(&jar, &authorities)?;
        Ok(Self { settings, url, jar, authorities, shared, lanes: Mutex::new(Vec::new()) })
    }

    /// The URL's host and port.
    #[must_use]
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        self.url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Sends one envelope and waits for its answer for `patience` at most. A fault is an answer.
    ///
    /// # Errors
    /// As [`WireError`] tells apart.
    pub async fn ask(&self, envelope: String, patience: Duration) -> Result<Answer, WireError> {
        if self.settings.credentials.scheme == Scheme::Basic {
            let value = sensitive(&auth::basic(&self.settings.credentials))?;
            let response = self.post(&self.shared, envelope, Some(value), patience).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                return Err(refused(&self.settings.credentials, "Basic", &response));
            }
            return self.read(response).await;
        }
        let lane = self.lanes.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut lane = match lane {
            Some(lane) => lane,
            None => Lane { http: client(&self.jar, &self.authorities)?, certificate: None, authenticated: false },
        };
        let response = self.negotiated(&mut lane, envelope, patience).await?;
        let answer = self.read(response).await;
        // A lane that failed is dropped with its connection.
        if matches!(answer, Ok(_) | Err(WireError::Refused(_) | WireError::NotSent { .. })) {
            let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
            if lanes.len() < SPARE_LANES {
                lanes.push(lane);
            }
        }
        answer
    }

    /// Sends on an authenticated connection; the server does nothing with a request that it answers 401.
    async fn negotiated(&self, lane: &mut Lane, envelope: String, patience: Duration) -> Result<Response, WireError> {
        if lane.authenticated {
            let response = self.post(&lane.http, envelope.clone(), None, patience).await?;
            if response.status() != StatusCode::UNAUTHORIZED {
                return Ok(response);
            }
            lane.authenticated = false;
            lane.learn(&response);
            drained(response).await;
        } else if self.settings.credentials.channel_binding && self.url.scheme() == "https" {
            // Only to see this connection's certificate, which the token is bound to.
            let response = self.post(&lane.http, String::new(), None, patience).await.map_err(not_begun)?;
            lane.learn(&response);
            drained(response).await;
        }
        self.handshake(lane, envelope, patience).await
    }

    async fn handshake(&self, lane: &mut Lane, envelope: String, patience: Duration) -> Result<Response, WireError> {
        let credentials = self.settings.credentials.clone();
        let host = self.url.host_str().unwrap_or_default().to_owned();
        let certificate = lane.certificate.clone();
        let mut handshake = blocking(move || Handshake::new(&credentials, &host, certificate.as_deref())).await?;
        let mut input = Vec::new();
        for _ in 0..MOST_LEGS {
            let step;
            (handshake, step) = blocking(move || {
                let step = handshake.step(&input)?;
                Ok((handshake, step))
            })
            .await?;
            let value = sensitive(&format!("Negotiate {}", STANDARD.encode(&step.token)))?;
            let body = if step.last { envelope.clone() } else { String::new() };
            let response = self.post(&lane.http, body, Some(value), patience).await;
            let response = if step.last { response? } else { response.map_err(not_begun)? };
            let token = offered(&response);
            if response.status() != StatusCode::UNAUTHORIZED {
                lane.authenticated = true;
                tracing::debug!(protocol = handshake.protocol(), "signed in to the PowerShell endpoint");
                return Ok(response);
            }
            let Some(token) = token else {
                return Err(refused(&self.settings.credentials, handshake.protocol(), &response));
            };
            drained(response).await;
            input = token;
        }
        Err(WireError::Refused(format!("{} does not come to an end of signing in", self.host())))
    }

    async fn post(
        &self,
        http: &Client,
        body: String,
        authorization: Option<HeaderValue>,
        patience: Duration,
    ) -> Result<Response, WireError> {
        let mut request = http.post(self.url.clone()).timeout(patience).header(CONTENT_TYPE, SOAP).body(body);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        request.send().await.map_err(|error| {
            let why = causes(&error);
            if error.is_connect() || error.is_builder() {
                WireError::NotSent { why: format!("{} cannot be reached: {why}", self.host()), after: None }
            } else {
                WireError::Lost(why)
            }
        })
    }

    /// Reads an answer. SOAP comes with 200, with 500 (a fault) and, from some servers, with 400.
    async fn read(&self, response: Response) -> Result<Answer, WireError> {
        let status = response.status();
        let after = response.headers().get(reqwest::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after
            .and_then(|seconds| seconds.trim().parse().ok())
            .map(|seconds: u64| Duration::from_secs(seconds.min(86_400)));
        match status.as_u16() {
            200 | 400 | 500 => {}
            301..=308 => {
                return Err(WireError::Refused(format!(
                    "{} leads elsewhere (HTTP {status}): give the address that it leads to",
                    self.host()
                )));
            }
            403 => return Err(WireError::Refused(format!("{} does not let this account in (HTTP 403)", self.host()))),
            404 | 405 => {
                return Err(WireError::Refused(format!(
                    "there is no PowerShell endpoint at {} (HTTP {status})",
                    self.url.path()
                )));
            }
            429 | 503 => {
                let why = format!("{} is too busy or not ready (HTTP {status})", self.host());
                return Err(WireError::NotSent { why, after });
            }
            _ => return Err(WireError::Lost(format!("{} answered with HTTP {status}", self.host()))),
        }
        let text = self.text(response).await?;
        match Answer::read(&text) {
            Ok(answer) => Ok(answer),
            Err(_) if status != StatusCode::OK => Err(WireError::Lost(format!("HTTP {status}: {}", brief(&text)))),
            Err(error) => Err(error.into()),
        }
    }

    async fn text(&self, mut response: Response) -> Result<String, WireError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| WireError::Lost(causes(&error)))? {
            if bytes.len() + chunk.len() > self.settings.longest_answer {
                return Err(WireError::Lost("the answer is far too long".to_owned()));
            }
            bytes.extend_from_slice(&chunk);
        }
        decode(&bytes).ok_or_else(|| WireError::Lost("the answer is not text".to_owned()))
    }
}

impl Lane {
    fn learn(&mut self, response: &Response) {
        self.certificate =
            response.extensions().get::<TlsInfo>().and_then(|tls| tls.peer_certificate().map(<[u8]>::to_vec));
    }
}

/// UTF-8; WinRM answers in UTF-16 where it feels like it, with its mark.
fn decode(bytes: &[u8]) -> Option<String> {
    let units = |pairs: &[u8], unit: fn([u8; 2]) -> u16| {
        String::from_utf16(&pairs.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect::<Vec<_>>()).ok()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => units(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => units(rest, u16::from_be_bytes),
        _ => std::str::from_utf8(bytes).ok().map(str::to_owned),
    }
}

fn client(jar: &Arc<Jar>, authorities: &[Certificate]) -> Result<Client, WireError> {
    let mut builder = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .http1_only()
        .user_agent("PowerShell remoting")
        .tls_info(true)
        .connect_timeout(CONNECT_PATIENCE)
        .pool_idle_timeout(IDLE)
        .tcp_keepalive(Duration::from_secs(30))
        .cookie_provider(jar.clone());
    if !authorities.is_empty() {
        builder = builder.tls_certs_only(authorities.iter().cloned());
    }
    builder.build().map_err(|error| WireError::Settings(causes(&error)))
}

/// Credentials and what they do go over TLS; unencrypted only to this machine, and only where that was asked for.
fn check_address(url: &Url, plain_loopback: bool) -> Result<(), WireError> {
    let host = url.host_str().unwrap_or_default();
    let loopback = host == "localhost"
        || host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    match url.scheme() {
        "https" => Ok(()),
        "http" if plain_loopback && loopback => Ok(()),
        "http" => {
            Err(WireError::Settings(format!("{host}: credentials do not go unencrypted; give an https:// address")))
        }
        other => {
            Err(WireError::Settings(format!("{other}:// is not an address of PowerShell; give an https:// address")))
        }
    }
}

/// The server's token, out of `WWW-Authenticate: Negotiate …`.
fn offered(response: &Response) -> Option<Vec<u8>> {
    response.headers().get_all(WWW_AUTHENTICATE).iter().find_map(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Negotiate") {
            return None;
        }
        STANDARD.decode(token.trim()).ok()
    })
}

fn refused(credentials: &Credentials, protocol: &str, response: &Response) -> WireError {
    let offers: Vec<&str> = response
        .headers()
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok()?.split_whitespace().next())
        .collect();
    let offers = if offers.is_empty() { "nothing".to_owned() } else { offers.join(", ") };
    WireError::Refused(format!(
        "{} was not let in by {protocol}; the server offers {}",
        credentials.user,
        brief(&offers)
    ))
}

/// What went wrong before the request itself was on its way.
fn not_begun(error: WireError) -> WireError {
    match error {
        WireError::Lost(why) => WireError::NotSent { why, after: None },
        other => other,
    }
}

/// Reads the rest, so that the connection can be used again; a long rest costs the connection.
async fn drained(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > 1 << 20 {
            return;
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AuthError> + Send + 'static,
) -> Result<T, WireError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(AuthError::NoKdc(why))) => {
            Err(WireError::NotSent { why: AuthError::NoKdc(why).to_string(), after: None })
        }
        Ok(Err(error)) => Err(WireError::Refused(error.to_string())),
        Err(error) => Err(WireError::NotSent { why: format!("signing in broke off: {error}"), after: None }),
    }
}

fn sensitive(value: &str) -> Result<HeaderValue, WireError> {
    let mut value = HeaderValue::from_str(value).map_err(|error| WireError::Settings(error.to_string()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// An error and what caused it, in one line.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    brief(&text)
}
