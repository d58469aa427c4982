//! A strict peer in this process: a token endpoint that verifies assertions, and an admin API that plays a script.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use der::Decode as _;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tenure::connectors::exchange::online::{Online, Settings};
use tower_http::compression::CompressionLayer;

pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub const CLIENT: &str = "99999999-8888-7777-6666-555555555555";

/// What the peer does with one request.
pub enum Reply {
    Say {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Begins an answer and breaks off.
    Break(u16),
    /// Takes the request and never answers.
    Hang,
}

pub fn say(status: u16, body: Value) -> Reply {
    Reply::Say { status, headers: Vec::new(), body: body.to_string().into_bytes() }
}

pub fn with(reply: Reply, name: &'static str, value: &str) -> Reply {
    match reply {
        Reply::Say { status, mut headers, body } => {
            headers.push((name, value.to_owned()));
            Reply::Say { status, headers, body }
        }
        other => other,
    }
}

/// One request to the admin API, as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

#[derive(Default)]
struct Kept {
    script: VecDeque<Reply>,
    token_script: VecDeque<Reply>,
    seen: Vec<Seen>,
    /// The headers of verified assertions.
    assertions: Vec<Value>,
    used: Vec<String>,
    /// The only token that is taken.
    token: String,
    life: u64,
}

/// The peer, and the application's files.
#[derive(Clone)]
pub struct Peer {
    pub url: String,
    kept: Arc<Mutex<Kept>>,
    folder: Arc<tempfile::TempDir>,
}

impl Peer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        let peer = Self { url, kept: Arc::new(Mutex::new(Kept { life: 3600, ..Kept::default() })), folder };
        peer.new_pair("app");
        let router = Router::new()
            .route(&format!("/{TENANT}/oauth2/v2.0/token"), post(token))
            .fallback(api)
            .layer(CompressionLayer::new())
            .with_state(peer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        peer
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new certificate and key, over those that were there.
    pub fn new_pair(&self, name: &str) {
        let (key, cert) = (self.file(&format!("{name}.key")), self.file(&format!("{name}.pem")));
        let done = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tenure", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&cert)
            .output()
            .expect("openssl runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new(TENANT, CLIENT, self.file("app.pem"), self.file("app.key"));
        settings.base.clone_from(&self.url);
        settings.authority.clone_from(&self.url);
        settings.first_wait = Duration::from_millis(5);
        settings.patience = Duration::from_secs(10);
        settings
    }

    pub fn client(&self) -> Online {
        Online::new(self.settings()).expect("settings that can be")
    }

    fn kept<T>(&self, with: impl FnOnce(&mut Kept) -> T) -> T {
        with(&mut self.kept.lock().expect("nobody panicked"))
    }

    pub fn script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.kept(|kept| kept.script.extend(replies));
    }

    pub fn token_script(&self, replies: impl IntoIterator<Item = Reply>) {
        self.kept(|kept| kept.token_script.extend(replies));
    }

    pub fn token_life(&self, seconds: u64) {
        self.kept(|kept| kept.life = seconds);
    }

    /// No token that was given is taken any longer.
    pub fn revoke(&self) {
        self.kept(|kept| kept.token = String::from("none"));
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.kept(|kept| kept.seen.clone())
    }

    /// Headers of the assertions that tokens were given for.
    pub fn assertions(&self) -> Vec<Value> {
        self.kept(|kept| kept.assertions.clone())
    }
}

async fn play(reply: Reply) -> Response<Body> {
    match reply {
        Reply::Say { status, headers, body } => {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).expect("a response")
        }
        Reply::Break(status) => {
            let parts = [Ok(Bytes::from_static(b"{\"value\":[")), Err(std::io::Error::other("broken"))];
            let stream = futures_util::stream::iter(parts);
            Response::builder().status(status).body(Body::from_stream(stream)).expect("a response")
        }
        Reply::Hang => std::future::pending().await,
    }
}

async fn token(State(peer): State<Peer>, headers: HeaderMap, body: String) -> Response<Body> {
    assert_eq!(headers["content-type"], "application/x-www-form-urlencoded");
    if let Some(reply) = peer.kept(|kept| kept.token_script.pop_front()) {
        return play(reply).await;
    }
    let form: Vec<(String, String)> =
        reqwest::Url::parse(&format!("http://x/?{body}")).expect("a form").query_pairs().into_owned().collect();
    let get = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let plain = get("grant_type") == "client_credentials"
        && get("client_id") == CLIENT
        && get("scope") == "https://outlook.office365.com/.default"
        && get("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let audience = format!("{}/{TENANT}/oauth2/v2.0/token", peer.url);
    match verified(get("client_assertion"), &peer.file("app.pem"), &audience).filter(|_| plain) {
        None => {
            play(say(
                401,
                json!({"error": "invalid_client", "error_codes": [700_027],
            "error_description": "AADSTS700027: The certificate is not registered."}),
            ))
            .await
        }
        Some((header, id)) => {
            let answer = peer.kept(|kept| {
                assert!(!kept.used.contains(&id), "an assertion is used once");
                kept.used.push(id);
                kept.assertions.push(header);
                kept.token = format!("token-{}", kept.assertions.len());
                json!({"token_type": "Bearer", "expires_in": kept.life, "access_token": kept.token})
            });
            play(say(200, answer)).await
        }
    }
}

/// The assertion's header and id, where certificate, signature, audience and times are right.
fn verified(assertion: &str, certificate: &Path, audience: &str) -> Option<(Value, String)> {
    let (signed, signature) = assertion.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    let part = |text: &str| -> Option<Value> { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok() };
    let (header, claims) = (part(header)?, part(claims)?);
    let pem = std::fs::read(certificate).ok()?;
    let (_, der) = der::Document::from_pem(std::str::from_utf8(&pem).ok()?).ok()?;
    let parsed = x509_cert::Certificate::from_der(der.as_bytes()).ok()?;
    let algorithm: &dyn VerificationAlgorithm = match header["alg"].as_str()? {
        "PS256" => &RSA_PSS_2048_8192_SHA256,
        "RS256" => &RSA_PKCS1_2048_8192_SHA256,
        _ => return None,
    };
    let public = parsed.tbs_certificate.subject_public_key_info.subject_public_key;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    UnparsedPublicKey::new(algorithm, public.raw_bytes()).verify(signed.as_bytes(), &signature).ok()?;
    let now = tenure::clock::Clock::System.now().timestamp();
    let (from, until) = (claims["nbf"].as_i64()?, claims["exp"].as_i64()?);
    let right = header["x5t#S256"] == URL_SAFE_NO_PAD.encode(Sha256::digest(der.as_bytes()))
        && claims["aud"] == audience
        && claims["iss"] == CLIENT
        && claims["sub"] == CLIENT
        && (from..until).contains(&now)
        && until - now <= 600;
    right.then(|| (header, claims["jti"].as_str().unwrap_or_default().to_owned()))
}

async fn api(State(peer): State<Peer>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let seen = Seen { path, headers, body };
    let strict =
        [("prefer", "odata.maxpagesize=1000"), ("x-responseformat", "json"), ("content-type", "application/json")];
    let complete = strict.iter().all(|(name, value)| seen.header(name) == *value)
        && !seen.header("x-anchormailbox").is_empty()
        && uuid::Uuid::parse_str(seen.header("client-request-id")).is_ok()
        && uuid::Uuid::parse_str(seen.header("connection-id")).is_ok()
        && seen.body["CmdletInput"]["Parameters"].is_object();
    let authorised = seen.header("authorization") == format!("Bearer {}", peer.kept(|kept| kept.token.clone()));
    peer.kept(|kept| kept.seen.push(seen));
    if !authorised {
        return play(say(401, json!({"error": {"code": "TokenExpired", "message": "Lifetime validation failed"}})))
            .await;
    }
    if !complete {
        return Response::builder().status(StatusCode::BAD_REQUEST).body(Body::from("incomplete")).expect("a response");
    }
    let reply = peer.kept(|kept| kept.script.pop_front());
    play(reply.unwrap_or_else(|| say(200, json!({"@odata.context": "x", "value": []})))).await
}
