//! The application's access token: OAuth 2.0 client credentials with a signed assertion (RFC 7523) instead of a secret, as
//! Microsoft Entra takes it ("Microsoft identity platform application authentication certificate credentials").
//! One request serves everybody who waits. Certificate and key are read from their files each time, so that new ones take
//! effect by themselves.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use der::Decode as _;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use ring::rand::SystemRandom;
use ring::signature::{self, RsaKeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::super::cmdlet::TransportError;
use super::{Settings, Signing, wait, wire};

/// How long an assertion is good for.
const ASSERTION_SECONDS: i64 = 300;
/// A clock here may be ahead of theirs.
const SKEW_SECONDS: i64 = 60;
/// A token is renewed this long before it ends, or after nine tenths of a shorter life.
const MARGIN: Duration = Duration::from_secs(300);
/// An application's certificate that ends within this many days is worth a word in the log, with each new token.
const SOON_DAYS: i64 = 30;
/// The longest answer of a token endpoint, in bytes.
const LONGEST: usize = 256 * 1024;

/// Gives access tokens.
pub(super) struct Tokens {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// Those who waited while this failed have their answer.
    failed: Option<(Instant, TransportError)>,
}

#[derive(Clone)]
struct Token {
    bearer: HeaderValue,
    until: Instant,
}

impl Tokens {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::default()) }
    }

    /// An `Authorization` header that is good for a while; `refused` is one that the server no longer took.
    pub(super) async fn bearer(
        &self,
        http: &reqwest::Client,
        settings: &Settings,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, TransportError> {
        let came = Instant::now();
        let mut state = self.state.lock().await;
        if let Some(token) = &state.token
            && token.until > Instant::now()
            && refused != Some(&token.bearer)
        {
            return Ok(token.bearer.clone());
        }
        if let Some((at, error)) = &state.failed
            && *at > came
        {
            return Err(error.clone());
        }
        state.token = None;
        match fetch(http, settings).await {
            Ok(token) => {
                state.failed = None;
                state.token = Some(token.clone());
                Ok(token.bearer)
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

/// Where tokens of the tenant are given.
fn address(settings: &Settings) -> String {
    format!("{}/{}/oauth2/v2.0/token", settings.authority.trim_end_matches('/'), settings.tenant)
}

async fn fetch(http: &reqwest::Client, settings: &Settings) -> Result<Token, TransportError> {
    let address = address(settings);
    let refused = |why: String| TransportError::Refused { why };
    let identity = Identity::read(&settings.cert_file, &settings.key_file).map_err(refused)?;
    identity.in_time(settings).map_err(refused)?;
    let assertion = identity.assertion(settings, &address).map_err(refused)?;
    let asked = Instant::now();
    let sent = http
        .post(&address)
        .timeout(settings.timeout.min(Duration::from_secs(30)))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form(settings, &assertion))
        .send()
        .await;
    let unreachable = |error: reqwest::Error| TransportError::NotSent {
        after: None,
        why: format!("The token endpoint {address} does not answer ({}).", super::causes(&error)),
    };
    let mut response = sent.map_err(unreachable)?;
    let (status, after) = (response.status().as_u16(), wait::asked(response.headers()));
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > LONGEST {
            return Err(refused(format!("The token endpoint {address} answered far too much.")));
        }
        body.extend_from_slice(&chunk);
    }
    match status {
        200 => token(&body, asked).map_err(|why| refused(format!("The token endpoint {address} answered, but {why}."))),
        429 | 500.. => Err(TransportError::NotSent {
            after,
            why: format!("The token endpoint {address} is not able to answer now (HTTP {status})."),
        }),
        _ => Err(refused(trouble(&body, status))),
    }
}

/// RFC 7523 section 2.2. The parameters of a made-up address, because they are encoded like a form.
fn form(settings: &Settings, assertion: &str) -> String {
    let pairs = [
        ("client_id", settings.client_id.as_str()),
        ("scope", &settings.scope),
        ("grant_type", "client_credentials"),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", assertion),
    ];
    let encoded = reqwest::Url::parse_with_params("https://form.invalid/", pairs).expect("a constant address is one");
    encoded.query().unwrap_or_default().to_owned()
}

fn token(body: &[u8], asked: Instant) -> Result<Token, String> {
    let read: Value = serde_json::from_slice(body).map_err(|_| "not with JSON".to_owned())?;
    let text = read.get("access_token").and_then(Value::as_str).ok_or("without a token")?;
    let kind = read.get("token_type").and_then(Value::as_str).unwrap_or("Bearer");
    if !kind.eq_ignore_ascii_case("bearer") {
        return Err(format!("with a token of another kind ({})", wire::brief(kind)));
    }
    let life = read.get("expires_in").and_then(|life| life.as_u64().or_else(|| life.as_str()?.parse().ok()));
    let life = Duration::from_secs(life.ok_or("without saying how long the token lives")?.min(86_400));
    let line = Zeroizing::new(format!("Bearer {text}"));
    let mut bearer = HeaderValue::from_str(&line).map_err(|_| "with a token that is no text")?;
    bearer.set_sensitive(true);
    Ok(Token { bearer, until: asked + life.saturating_sub(MARGIN).max(life.mul_f64(0.9).min(MARGIN)) })
}

/// What the commonest refusals mean, and their mend. Codes as in Microsoft's "AADSTS error codes".
const MEANINGS: &[(u64, &str)] = &[
    (50_034, "the tenant does not know this account"),
    (53_003, "a conditional access policy blocks the application"),
    (90_002, "there is no such tenant: check tenant and authority"),
    (500_011, "the tenant does not know the resource of the scope: check scope and national cloud"),
    (700_016, "the tenant does not know this application: check client_id and tenant, and that consent was given"),
    (700_024, "the assertion is not within its time: check this machine's clock"),
    (700_027, "the certificate is not registered with the application, or has ended: upload it in its registration"),
    (700_211, "the tenant trusts no such issuer: check authority and tenant"),
    (1_002_012, "the scope is wrong: it ends with /.default"),
    (7_000_112, "the application is disabled in the tenant"),
    (7_000_215, "the credential is not valid"),
    (7_000_222, "the credential has ended"),
];

/// A refusal (RFC 6749 section 5.2) in words, with the codes to look up.
fn trouble(body: &[u8], status: u16) -> String {
    let read: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let text = |name: &str| read.get(name).and_then(Value::as_str).unwrap_or_default();
    let codes: Vec<u64> =
        read.get("error_codes").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_u64).collect();
    let description = text("error_description").lines().next().unwrap_or_default();
    let stated = description.strip_prefix("AADSTS").and_then(|rest| rest.split(':').next()?.parse().ok());
    let all: Vec<u64> = codes.into_iter().chain(stated).collect();
    let meaning = MEANINGS.iter().find(|(code, _)| all.contains(code)).map(|(_, meaning)| *meaning);
    let said = match (text("error"), wire::brief(description)) {
        ("", _) => wire::brief(&String::from_utf8_lossy(body)),
        (error, said) if said.is_empty() => error.to_owned(),
        (error, said) => format!("{error}: {said}"),
    };
    let meaning = meaning.map_or_else(String::new, |meaning| format!(": {meaning}"));
    format!("The token endpoint refuses the application{meaning}. It says (HTTP {status}): {said}")
}

/// The application's certificate and key.
struct Identity {
    /// `x5t#S256`.
    thumbprint: String,
    key: RsaKeyPair,
    /// The certificate's last moment.
    ends: DateTime<Utc>,
}

impl Identity {
    fn read(cert_file: &Path, key_file: &Path) -> Result<Self, String> {
        let (cert_name, key_name) = (cert_file.display(), key_file.display());
        let certificate = CertificateDer::from_pem_file(cert_file)
            .map_err(|error| format!("Certificate file {cert_name}: {error}."))?;
        let read = PrivateKeyDer::from_pem_file(key_file);
        let key = match read.map_err(|error| {
            format!("Key file {key_name}: {error}; it has to be an RSA key in PEM form, without a passphrase.")
        })? {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(format!("Key file {key_name} holds no RSA key.")),
        }
        .map_err(|error| format!("Key file {key_name} holds no RSA key of at least 2048 bits ({error})."))?;
        let parsed = x509_cert::Certificate::from_der(&certificate)
            .map_err(|error| format!("Certificate file {cert_name}: {error}."))?;
        let public = parsed.tbs_certificate.subject_public_key_info.subject_public_key;
        // Half of a pair that was just exchanged would be refused elsewhere, in words that do not tell why.
        if public.raw_bytes() != key.public().as_ref() {
            return Err(format!("The key in {key_name} does not belong to the certificate in {cert_name}."));
        }
        let ends = parsed.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
        let ends = i64::try_from(ends).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let ends = ends.unwrap_or(DateTime::<Utc>::MAX_UTC);
        Ok(Self { ends, thumbprint: URL_SAFE_NO_PAD.encode(Sha256::digest(&certificate)), key })
    }

    fn in_time(&self, settings: &Settings) -> Result<(), String> {
        let days = (self.ends - (settings.now)()).num_days();
        let (file, ends) = (settings.cert_file.display(), self.ends.format("%Y-%m-%d"));
        if self.ends <= (settings.now)() {
            return Err(format!(
                "The certificate in {file} ended on {ends}: register a new one with the application and put it there."
            ));
        }
        if days < SOON_DAYS {
            tracing::warn!(%file, %ends, days, "the certificate of the application for Exchange Online ends soon");
        }
        Ok(())
    }

    /// A signed assertion for this token endpoint, good for a few minutes and for one use.
    fn assertion(&self, settings: &Settings, audience: &str) -> Result<String, String> {
        let (name, padding): (_, &dyn signature::RsaEncoding) = match settings.signing {
            Signing::Ps256 => ("PS256", &signature::RSA_PSS_SHA256),
            Signing::Rs256 => ("RS256", &signature::RSA_PKCS1_SHA256),
        };
        let now = (settings.now)().timestamp();
        let header = json!({"alg": name, "typ": "JWT", "x5t#S256": self.thumbprint});
        let claims = json!({
            "aud": audience,
            "iss": settings.client_id,
            "sub": settings.client_id,
            "jti": uuid::Uuid::new_v4().to_string(),
            "iat": now,
            "nbf": now - SKEW_SECONDS,
            "exp": now + ASSERTION_SECONDS,
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(padding, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| "The assertion cannot be signed with this key.".to_owned())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_mend_and_keep_the_code() {
        let body = br#"{"error":"invalid_client","error_description":"AADSTS700027: The certificate with identifier used to sign the client assertion is not registered on application.\r\nTrace ID: 1","error_codes":[700027]}"#;
        let said = trouble(body, 401);
        assert!(said.contains("upload it in its registration") && said.contains("AADSTS700027"), "{said}");
        assert!(!said.contains("Trace ID"), "{said}");
        assert!(trouble(b"<html>", 404).contains("HTTP 404"));
    }

    #[test]
    fn tokens_are_renewed_before_they_end() {
        let asked = Instant::now();
        let until = |life: u64| {
            let body = json!({"access_token": "x", "expires_in": life, "token_type": "Bearer"}).to_string();
            token(body.as_bytes(), asked).unwrap().until - asked
        };
        assert_eq!(until(3600), Duration::from_secs(3300));
        assert_eq!(until(100), Duration::from_secs(90));
        assert_eq!(until(0), Duration::ZERO);
        assert!(token(br#"{"access_token":"x"}"#, asked).is_err());
        assert!(token(b"{\"access_token\":\"x\\n\",\"expires_in\":1}", asked).is_err());
        assert!(
            !format!("{:?}", token(br#"{"access_token":"hush","expires_in":1}"#, asked).unwrap().bearer)
                .contains("hush")
        );
    }
}
