//! Connections: TLS with a verified certificate, sign-in, a small pool per server, timeouts, and what a failure means.
//!
//! A session is used for one run of operations and goes back to the pool only if its last operation came to an end: what
//! is dropped in the middle (a timeout, a cancelled worker) is closed. Reads before a write happen on the same session, so
//! that a connection gone stale shows itself while nothing has been sent yet.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ldap3::controls::{Control, RawControl};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, LdapResult, Mod, Scope};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use zeroize::Zeroizing;

use super::AdSettings;
use super::controls;
use super::entry::Entry;
use crate::target::Fault;

/// A session older than this is not used again: group changes and a new password of our own account take effect.
const OLDEST: Duration = Duration::from_mins(10);
const MOST_IDLE: usize = 8;
const PATIENT: Duration = Duration::from_mins(5);
/// A server that answered on a session so short a time ago is taken to be there still.
const JUST_ANSWERED: Duration = Duration::from_secs(1);
/// After a refused sign-in the same password is not tried again for this long, or our own account would lock itself out.
const AFTER_REFUSAL: Duration = Duration::from_mins(1);

/// An attribute's name and its values, as they are sent.
pub type Attribute = (Vec<u8>, HashSet<Vec<u8>>);

/// Why an operation did not come to a good end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// It never left: nothing was changed.
    NotSent(String),
    /// It was sent, or may have been, and no answer came.
    Broken(String),
    /// The server answered with a result code other than success (RFC 4511 appendix A).
    Said { rc: u32, text: String },
}

impl Failure {
    fn from_error(error: &LdapError) -> Self {
        match error {
            LdapError::LdapResult { result } => Self::from_result(result),
            LdapError::OpSend { .. } | LdapError::FilterParsing | LdapError::AddNoValues => {
                Self::NotSent(error.to_string())
            }
            other => Self::Broken(other.to_string()),
        }
    }

    fn from_result(result: &LdapResult) -> Self {
        Self::Said { rc: result.rc, text: result.text.trim_end_matches('\0').trim().to_owned() }
    }
}

/// An open, signed-in connection to one server.
pub struct Session {
    ldap: Ldap,
    pool: Arc<Pool>,
    url: String,
    born: Instant,
    /// How the server names itself, once it was asked.
    name: Option<String>,
    answered: Instant,
    /// How long an answer may take.
    patience: Duration,
    /// An operation is under way or broke: not to be used again.
    unsettled: bool,
}

/// A session that nobody uses at the moment.
struct Idle {
    ldap: Ldap,
    born: Instant,
    name: Option<String>,
    answered: Instant,
}

impl Session {
    /// For reading a large directory: a server takes a while before its first page.
    #[must_use]
    pub fn patient(mut self) -> Self {
        self.patience = self.patience.max(PATIENT);
        self
    }

    /// The server's own name (`dnsHostName`). It is asked, unless it answered a moment ago and said it before.
    pub async fn server_name(&mut self) -> Result<String, Failure> {
        if let Some(name) = self.name.as_ref().filter(|_| self.answered.elapsed() < JUST_ANSWERED) {
            return Ok(name.clone());
        }
        let root = self.read("", &["dnsHostName"]).await?.unwrap_or_default();
        let name = root.text("dnsHostName").unwrap_or_else(|| self.url.clone());
        self.name = Some(name.clone());
        Ok(name)
    }

    /// All entries below `base`, without paging; for what is known to be few.
    pub async fn search(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
    ) -> Result<Vec<Entry>, Failure> {
        let controls = vec![controls::no_referrals(), controls::extended_dn()];
        Ok(self.search_with(base, scope, filter, attributes, controls).await?.0)
    }

    /// As [`Self::search`], with controls of the caller's choice and those of the answer.
    pub async fn search_with(
        &mut self,
        base: &str,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
        controls: Vec<RawControl>,
    ) -> Result<(Vec<Entry>, Vec<Control>), Failure> {
        self.unsettled = true;
        self.ldap.with_timeout(self.patience).with_controls(controls);
        let answer = self.ldap.search(base, scope, filter, attributes).await;
        let found = answer.map_err(|error| Failure::from_error(&error))?;
        self.settled();
        if found.1.rc != 0 {
            return Err(Failure::from_result(&found.1));
        }
        let entries = found.0.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
        Ok((entries.map(Entry::new).collect(), found.1.ctrls))
    }

    /// All entries below `base`, in pages of 1000 (a domain controller returns no more at once).
    pub async fn search_all(&mut self, base: &str, filter: &str, attributes: &[&str]) -> Result<Vec<Entry>, Failure> {
        let (mut all, mut cookie) = (Vec::new(), Vec::new());
        loop {
            let controls = vec![controls::no_referrals(), controls::extended_dn(), controls::page(1000, cookie)];
            let (entries, answer) = self.search_with(base, Scope::Subtree, filter, attributes, controls).await?;
            all.extend(entries);
            cookie = controls::next_page(&answer);
            if cookie.is_empty() {
                return Ok(all);
            }
        }
    }

    /// One entry by its DN or `<GUID=…>`; `None` when it is not there.
    pub async fn read(&mut self, dn: &str, attributes: &[&str]) -> Result<Option<Entry>, Failure> {
        if dn.is_empty() {
            // The root DSE is no object of the directory: it has no id, and not every control is taken there.
            let found = self.search_with("", Scope::Base, "(objectClass=*)", attributes, Vec::new()).await?;
            return Ok(found.0.into_iter().next());
        }
        match self.search(dn, Scope::Base, "(objectClass=*)", attributes).await {
            Ok(entries) => Ok(entries.into_iter().next()),
            Err(Failure::Said { rc: 32, .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub async fn add(&mut self, dn: &str, attributes: Vec<Attribute>) -> Result<(), Failure> {
        self.unsettled = true;
        let timeout = self.pool.settings.call_timeout;
        let answer = self.ldap.with_timeout(timeout).add(dn, attributes).await;
        self.settle(answer)
    }

    pub async fn modify(&mut self, dn: &str, mods: Vec<Mod<Vec<u8>>>) -> Result<(), Failure> {
        self.unsettled = true;
        let timeout = self.pool.settings.call_timeout;
        let answer = self.ldap.with_timeout(timeout).modify(dn, mods).await;
        self.settle(answer)
    }

    /// Renames, and moves below `parent` when given.
    pub async fn rename(&mut self, dn: &str, rdn: &str, parent: Option<&str>) -> Result<(), Failure> {
        self.unsettled = true;
        let timeout = self.pool.settings.call_timeout;
        let answer = self.ldap.with_timeout(timeout).modifydn(dn, rdn, true, parent).await;
        self.settle(answer)
    }

    fn settle(&mut self, answer: Result<LdapResult, LdapError>) -> Result<(), Failure> {
        let result = answer.map_err(|error| Failure::from_error(&error))?;
        self.settled();
        if result.rc == 0 { Ok(()) } else { Err(Failure::from_result(&result)) }
    }

    /// The server answered, whatever it said.
    fn settled(&mut self) {
        self.unsettled = false;
        self.answered = Instant::now();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.unsettled || self.born.elapsed() > OLDEST {
            return;
        }
        let mut idle = self.pool.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let sessions = idle.entry(self.url.clone()).or_default();
        if sessions.len() < MOST_IDLE {
            let (ldap, name) = (self.ldap.clone(), self.name.take());
            sessions.push(Idle { ldap, born: self.born, name, answered: self.answered });
        }
    }
}

/// The connections of one directory, and what was learnt while opening them.
pub struct Pool {
    pub settings: Arc<AdSettings>,
    idle: Mutex<HashMap<String, Vec<Idle>>>,
    refused: Mutex<Option<(Zeroizing<String>, Instant)>>,
}

impl Pool {
    pub fn new(settings: Arc<AdSettings>) -> Arc<Self> {
        Arc::new(Self { settings, idle: Mutex::default(), refused: Mutex::default() })
    }

    /// A session with the server, from the pool or new.
    ///
    /// # Errors
    /// [`Fault::Retry`] when the server does not answer, refuses us, or the connection is not set up as it should be.
    pub async fn session(self: &Arc<Self>, url: &str) -> Result<Session, Fault> {
        while let Some(Idle { mut ldap, born, name, answered }) = self.take_idle(url) {
            if !ldap.is_closed() && born.elapsed() < OLDEST {
                let (pool, url, patience) = (self.clone(), url.to_owned(), self.settings.call_timeout);
                return Ok(Session { ldap, pool, url, born, name, answered, patience, unsettled: false });
            }
        }
        let password = self.settings.password.read().map_err(not_as_set_up)?;
        self.hold_back(&password)?;
        let mut ldap = connect(&self.settings, url).await?;
        self.sign_in(&mut ldap, url, &password).await?;
        let (pool, url, now, patience) = (self.clone(), url.to_owned(), Instant::now(), self.settings.call_timeout);
        Ok(Session { ldap, pool, url, born: now, name: None, answered: now, patience, unsettled: false })
    }

    fn take_idle(&self, url: &str) -> Option<Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(url)?.pop()
    }

    fn hold_back(&self, password: &Zeroizing<String>) -> Result<(), Fault> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        match refused.as_ref() {
            Some((same, at)) if **same == **password && at.elapsed() < AFTER_REFUSAL => {
                Err(refused_sign_in(&self.settings.bind_dn, AFTER_REFUSAL.saturating_sub(at.elapsed())))
            }
            _ => Ok(()),
        }
    }

    async fn sign_in(&self, ldap: &mut Ldap, url: &str, password: &Zeroizing<String>) -> Result<(), Fault> {
        let dn = &self.settings.bind_dn;
        if dn.is_empty() || password.is_empty() {
            // An empty password is an anonymous bind that "succeeds" (RFC 4513 section 5.1.2).
            return Err(not_as_set_up("The directory connector has no account or an empty password: set both."));
        }
        let answer = ldap.with_timeout(self.settings.call_timeout).simple_bind(dn, password).await;
        let result = answer.map_err(|error| unreachable_server(url, &error.to_string()))?;
        if result.rc == 49 {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            *refused = Some((password.clone(), Instant::now()));
            return Err(refused_sign_in(dn, AFTER_REFUSAL));
        }
        if result.rc != 0 {
            let said = Failure::from_result(&result);
            return Err(super::fault::reading(&said, &format!("sign-in to {url}")));
        }
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(())
    }
}

fn refused_sign_in(dn: &str, after: Duration) -> Fault {
    Fault::Retry {
        after: Some(after),
        why: format!("The directory refuses the connector's own sign-in as {dn}: check its password file."),
    }
}

/// Something about the connection itself has to be mended: a file, a certificate. No step is to blame, and work resumes by
/// itself once it is.
fn not_as_set_up(why: impl Into<String>) -> Fault {
    Fault::Retry { after: Some(AFTER_REFUSAL), why: why.into() }
}

fn unreachable_server(url: &str, error: &str) -> Fault {
    Fault::Retry { after: None, why: format!("The directory server {url} does not answer ({error}).") }
}

/// Opens a connection over TLS, certificate verified; nobody is signed in yet.
pub async fn connect(settings: &AdSettings, url: &str) -> Result<Ldap, Fault> {
    let plain = url.starts_with("ldap://");
    if !plain && !url.starts_with("ldaps://") {
        let why = format!("{url} is no address of a directory server: ldaps://… or ldap://… (StartTLS).");
        return Err(not_as_set_up(why));
    }
    // A plain address is upgraded before anything else is said: no password ever travels in clear.
    let mut options = LdapConnSettings::new().set_conn_timeout(settings.connect_timeout).set_starttls(plain);
    if let Some(file) = &settings.ca_file {
        options = options.set_config(trusting(file).map_err(not_as_set_up)?);
    }
    let opened = LdapConnAsync::with_settings(options, url).await;
    let (connection, ldap) = opened.map_err(|error| {
        let text = error.to_string();
        if text.contains("certificate") {
            not_as_set_up(format!("The certificate of {url} is not trusted ({text}): check it and the CA file."))
        } else {
            unreachable_server(url, &text)
        }
    })?;
    tokio::spawn(async move {
        if let Err(error) = connection.drive().await {
            tracing::debug!(%error, "a directory connection ended");
        }
    });
    Ok(ldap)
}

/// TLS that trusts exactly the certificates in the PEM file. Read at each connection, so that a new file takes effect.
fn trusting(file: &Path) -> Result<Arc<rustls::ClientConfig>, String> {
    let shown = file.display();
    let pem = CertificateDer::pem_file_iter(file).map_err(|error| format!("CA file {shown}: {error}."))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in pem {
        let certificate = certificate.map_err(|error| format!("CA file {shown}: {error}."))?;
        roots.add(certificate).map_err(|error| format!("CA file {shown}: {error}."))?;
    }
    if roots.is_empty() {
        return Err(format!("CA file {shown} holds no certificate."));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}
