//! What `tenure doctor` says of this connector: does it connect, is all there, which rights has the account.

use chrono::{DateTime, TimeDelta, Utc};
use ldap3::Scope;

use super::attributes::Form;
use super::session::{Failure, Session};
use super::{AdConnector, attributes, controls, password};
use crate::target::{Fault, Server};

/// One finding. `good` false: something to mend, and `text` says what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub good: bool,
    pub text: String,
}

fn good(text: String) -> Finding {
    Finding { good: true, text }
}

fn bad(text: String) -> Finding {
    Finding { good: false, text }
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
        for container in containers {
            findings.push(self.rights(session, container).await);
        }
        findings.push(match self.next_changes(server.clone(), None).await {
            Ok(batch) => good(format!("The change feed answers ({} objects in its first piece).", batch.changed.len())),
            Err(fault) => bad(format!("The change feed (DirSync) does not work: {fault}")),
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

    /// What the account may do in a container, as the server computes it for whoever asks.
    async fn rights(&self, session: &mut Session, container: &str) -> Finding {
        let creates = match session.read(container, &["allowedChildClassesEffective"]).await {
            Ok(None) => return bad(format!("{container} is not there: create it, or change the naming rules.")),
            Ok(Some(entry)) => entry.texts("allowedChildClassesEffective").any(|class| class == "user"),
            Err(failure) => return bad(super::fault::reading(&failure, &format!("reading {container}")).to_string()),
        };
        if self.settings.observe_only {
            return good(format!("{container} is there."));
        }
        if !creates {
            return bad(format!("{container}: the account may not create users here: delegate that right."));
        }
        match self.unwritable(session, container).await {
            Ok(missing) if missing.is_empty() => {
                good(format!("{container}: users can be created and their attributes written."))
            }
            Ok(missing) => bad(format!(
                "{container}: the account may not write {} of users here: delegate that right.",
                missing.join(", ")
            )),
            Err(failure) => bad(super::fault::reading(&failure, &format!("reading {container}")).to_string()),
        }
    }

    /// Attributes that we write and may not, judged by one account below the container; none where there is no account.
    /// The right to set passwords is no attribute's and not told.
    async fn unwritable(&self, session: &mut Session, container: &str) -> Result<Vec<&str>, Failure> {
        let filter = "(&(objectCategory=person)(objectClass=user)(!(adminCount=1)))";
        let controls = vec![controls::no_referrals(), controls::page(1, Vec::new())];
        let attributes = ["allowedAttributesEffective"];
        let found = session.search_with(container, Scope::Subtree, filter, &attributes, controls).await?.0;
        let Some(account) = found.first() else { return Ok(Vec::new()) };
        let may: Vec<String> = account.texts("allowedAttributesEffective").map(|name| name.to_lowercase()).collect();
        let table = attributes::USER.iter().filter(|line| !matches!(line.form, Form::Parent | Form::Password));
        let ours = table.map(|line| line.ldap).chain([self.settings.correlation_attribute.as_str()]);
        Ok(ours.filter(|name| !may.contains(&name.to_lowercase())).collect())
    }

    /// Connects and asks for the server's name.
    pub(super) async fn greet(&self, url: &str) -> Result<Server, Fault> {
        let mut session = self.pool.session(url).await?;
        let root = session.read("", &["dnsHostName"]).await;
        let root = root.map_err(|failure| super::fault::reading(&failure, "greeting a server"))?.unwrap_or_default();
        let name = root.text("dnsHostName").unwrap_or_else(|| url.to_owned());
        Ok(Server { url: url.to_owned(), name, directory: None })
    }
}
