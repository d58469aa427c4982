//! What `tenure doctor` says of this connector: does it connect, is all there, which rights has the account.

use chrono::{DateTime, TimeDelta, Utc};
use ldap3::Scope;

use super::rights::CHANGES;
use super::session::Session;
use super::{AdConnector, attributes, password};
use crate::target::{Fault, Server};

/// One finding. `good` false: something to mend, and `text` says what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub good: bool,
    /// Works, but not as well as it could.
    pub doubtful: bool,
    pub text: String,
    /// Commands that mend it, as an administrator of the domain types them: for Windows (`dsacls`) and for Samba
    /// (`samba-tool`). Empty where words alone say what to do.
    pub mend: Vec<String>,
}

impl Finding {
    pub(super) fn mend(self, mend: impl IntoIterator<Item = String>) -> Self {
        Self { mend: mend.into_iter().collect(), ..self }
    }
}

pub(super) fn good(text: String) -> Finding {
    Finding { good: true, doubtful: false, text, mend: Vec::new() }
}

pub(super) fn doubtful(text: String) -> Finding {
    Finding { good: true, doubtful: true, text, mend: Vec::new() }
}

pub(super) fn bad(text: String) -> Finding {
    Finding { good: false, doubtful: false, text, mend: Vec::new() }
}

impl AdConnector {
    /// Looks at each server and at the account's rights in `containers` (DNs of the organisational units in use).
    /// `now` is compared with the directory's clock. Never writes.
    pub async fn check(&self, containers: &[String], now: DateTime<Utc>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut working: Option<Server> = None;
        for url in &self.settings.urls {
            match self.greet(url).await {
                Ok(server) => {
                    let trusted = match &self.settings.ca_file {
                        Some(file) => format!("the certificates in {}", file.display()),
                        None => "the system's certificates".to_owned(),
                    };
                    findings.push(good(format!(
                        "{url} answers as {}; its certificate is trusted by {trusted}; signed in as {}.",
                        server.name, self.settings.bind_dn
                    )));
                    working.get_or_insert(server);
                }
                Err(fault) => findings.push(bad(fault.to_string())),
            }
        }
        if let Some(server) = working {
            match self.pool.session(&server.url).await {
                Ok(mut session) => findings.extend(self.look_around(&mut session, &server, containers, now).await),
                Err(fault) => findings.push(bad(fault.to_string())),
            }
        }
        if self.settings.observe_only {
            findings.push(good(format!("{} is set to observe only: nothing is written.", self.settings.system)));
        }
        findings
    }

    async fn look_around(
        &self,
        session: &mut Session,
        server: &Server,
        containers: &[String],
        now: DateTime<Utc>,
    ) -> Vec<Finding> {
        let mut findings = vec![self.clock(session, now).await, self.policy_finding(session).await];
        let base = &self.settings.base_dn;
        findings.push(match session.read(base, &["objectSid"]).await {
            Ok(Some(entry)) if entry.bytes("objectSid").is_some() => good(format!("The domain {base} is there.")),
            Ok(_) => bad(format!("{base} is not a domain on {}: set base_dn to the domain's own DN.", server.name)),
            Err(failure) => bad(super::fault::reading(&failure, "reading the domain").to_string()),
        });
        findings.push(self.correlation(session).await);
        findings.extend(self.rights(session, containers).await);
        findings.push(match self.next_changes(server.clone(), None).await {
            Ok(batch) => {
                good(format!("{CHANGES}: the feed answers ({} objects in its first piece).", batch.changed.len()))
            }
            Err(fault) => bad(format!("{CHANGES}: {fault}")),
        });
        findings
    }

    async fn clock(&self, session: &mut Session, now: DateTime<Utc>) -> Finding {
        let root = session.read("", &["currentTime"]).await.ok().flatten().unwrap_or_default();
        let Some(theirs) = root.text("currentTime").and_then(|text| attributes::from_generalized(&text)) else {
            return bad("The directory does not tell its time.".to_owned());
        };
        let apart = (theirs - now).abs();
        if apart > TimeDelta::seconds(60) {
            bad(format!("The clocks differ by {} s: have both follow the same time servers.", apart.num_seconds()))
        } else {
            good("The directory's clock and ours agree.".to_owned())
        }
    }

    async fn policy_finding(&self, session: &mut Session) -> Finding {
        match password::policy(session, &self.settings.base_dn).await {
            Ok(policy) => good(format!("Passwords have at least {} characters there.", policy.min_length)),
            Err(failure) => bad(super::fault::reading(&failure, "reading the password policy").to_string()),
        }
    }

    /// The attribute that carries the mark of what we create: there, and indexed in a large directory.
    async fn correlation(&self, session: &mut Session) -> Finding {
        let name = &self.settings.correlation_attribute;
        let root = session.read("", &["schemaNamingContext"]).await.ok().flatten().unwrap_or_default();
        let schema = root.text("schemaNamingContext").map(|text| super::escape::ExtendedDn::parse(&text).dn);
        let filter = format!("(lDAPDisplayName={})", super::escape::filter_value(name));
        let found = session.search(&schema.unwrap_or_default(), Scope::OneLevel, &filter, &["searchFlags"]).await;
        match found.as_deref() {
            Ok([entry]) if entry.number("searchFlags").unwrap_or_default() & 1 == 1 => {
                good(format!("New accounts are marked in {name}, which is indexed."))
            }
            Ok([_]) => good(format!(
                "New accounts are marked in {name}, which is not indexed: above some ten thousand accounts, index it \
                 (searchFlags 1) or choose another attribute."
            )),
            _ => bad(format!("The directory knows no attribute {name}: choose another correlation_attribute.")),
        }
    }

    /// Connects and asks for the server's name.
    pub(super) async fn greet(&self, url: &str) -> Result<Server, Fault> {
        let mut session = self.pool.session(url).await?;
        let name = session.server_name().await;
        let name = name.map_err(|failure| super::fault::reading(&failure, "greeting a server"))?;
        Ok(Server { url: url.to_owned(), name, directory: None })
    }
}
