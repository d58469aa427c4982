//! What a value must be before it is sent: the rules of Active Directory that a server may be lax about, and the
//! uniqueness it does not check. A refusal names the attribute and says why in plain words.

use ldap3::Scope;
use uuid::Uuid;

use super::AdConnector;
use super::attributes::{self, Form};
use super::escape::{filter_value, is_within};
use super::fault::{reading, refused};
use super::session::Session;
use crate::target::{Change, Fault, Value};

/// Characters that a logon name must not have (MS-SAMR 3.1.1.6, plus `@`, which ends up in mail and UPN).
const NOT_IN_LOGON_NAMES: &str = "\"/\\[]:;|=,+*?<>@";

/// Checks the form of one wanted value.
pub fn check(change: &Change) -> Result<(), Fault> {
    let name = change.attribute.as_str();
    let Some(attribute) = attributes::of(name) else {
        return Err(refused(name, format!("{name} is not an attribute that this connector writes.")));
    };
    match (attribute.form, &change.to) {
        (Form::Parent | Form::Rdn, Value::Null) => Err(refused(name, format!("{name} cannot be empty."))),
        (Form::Text | Form::Rdn | Form::Parent | Form::Object | Form::Expiry, Value::Text(text)) => {
            check_text(attribute, text)
        }
        (Form::Text | Form::Object | Form::Expiry, Value::Null)
        | (Form::Enabled | Form::MustChange, Value::Bool(_))
        | (Form::Locked, Value::Bool(false))
        | (Form::Password, Value::Sealed { .. }) => Ok(()),
        (Form::Locked, Value::Bool(true)) => Err(refused(name, "An account can be unlocked, not locked; disable it.")),
        _ => Err(refused(name, format!("{name} cannot be set to {}.", change.to))),
    }
}

fn check_text(attribute: &attributes::Attribute, text: &str) -> Result<(), Fault> {
    let name = attribute.name;
    if text.trim().is_empty() {
        return Err(refused(name, format!("{name} cannot be blank.")));
    }
    if text.chars().any(char::is_control) {
        return Err(refused(name, format!("{name} must not hold line breaks or other control characters.")));
    }
    let length = text.encode_utf16().count();
    if attribute.longest > 0 && length > attribute.longest {
        let why = format!("{name} has {length} characters; the directory takes {}.", attribute.longest);
        return Err(refused(name, why));
    }
    match name {
        "sAMAccountName" => check_logon_name(text),
        "userPrincipalName" => check_principal_name(text),
        "manager" => Uuid::parse_str(text).map(|_| ()).map_err(|_| refused(name, "manager is given by its object id.")),
        "accountExpires" => expiry(text).map(|_| ()),
        "parent" if super::escape::split(text).is_none() => Err(refused(name, format!("{text} is no directory name."))),
        _ => Ok(()),
    }
}

fn check_logon_name(text: &str) -> Result<(), Fault> {
    let why = if let Some(c) = text.chars().find(|c| NOT_IN_LOGON_NAMES.contains(*c)) {
        format!("A logon name must not contain {c}.")
    } else if text.ends_with('.') {
        "A logon name must not end with a dot.".to_owned()
    } else if text.starts_with(' ') || text.ends_with(' ') {
        "A logon name must not begin or end with a space.".to_owned()
    } else {
        return Ok(());
    };
    Err(refused("sAMAccountName", why))
}

fn check_principal_name(text: &str) -> Result<(), Fault> {
    let well = text.split_once('@').is_some_and(|(user, suffix)| {
        !user.is_empty() && !suffix.is_empty() && !suffix.contains('@') && !text.contains(char::is_whitespace)
    });
    if well { Ok(()) } else { Err(refused("userPrincipalName", "A user principal name is written name@domain.")) }
}

/// The FILETIME of an expiry given as RFC 3339.
pub fn expiry(text: &str) -> Result<i64, Fault> {
    let at = chrono::DateTime::parse_from_rfc3339(text).ok().and_then(|at| attributes::to_filetime(at.to_utc()));
    at.ok_or_else(|| refused("accountExpires", format!("{text} is no moment (2026-11-30T23:00:00Z).")))
}

impl AdConnector {
    /// Refuses names that another object has: the logon name in the domain, the principal name in the forest, the
    /// address over everything that takes mail. `own` is the object that may have them.
    pub(super) async fn check_unique(
        &self,
        session: &mut Session,
        own: Option<Uuid>,
        changes: &[&Change],
    ) -> Result<(), Fault> {
        let (mut here, mut forest) = (Vec::new(), Vec::new());
        for change in changes {
            let Some(text) = change.to.as_text() else { continue };
            let value = filter_value(text);
            match change.attribute.as_str() {
                "sAMAccountName" => here.push((*change, format!("(sAMAccountName={value})"))),
                "userPrincipalName" => forest.push((*change, format!("(userPrincipalName={value})"))),
                "mail" => {
                    // Asking for an attribute that the schema lacks reads every object, to find none.
                    let outside = if self.knows_target_address(session).await? {
                        format!("(targetAddress=smtp:{value})")
                    } else {
                        String::new()
                    };
                    forest.push((*change, format!("(|(mail={value})(proxyAddresses=smtp:{value}){outside})")));
                }
                _ => {}
            }
        }
        match &self.settings.global_catalog {
            Some(url) => {
                self.refuse_taken(session, &self.settings.base_dn, own, &here).await?;
                self.refuse_taken(&mut self.pool.session(url).await?, "", own, &forest).await
            }
            None => {
                here.extend(forest);
                self.refuse_taken(session, &self.settings.base_dn, own, &here).await
            }
        }
    }

    /// Refuses where another object has one of the names. They are asked for together; which one it was, only where there
    /// is such an object.
    async fn refuse_taken(
        &self,
        session: &mut Session,
        base: &str,
        own: Option<Uuid>,
        names: &[(&Change, String)],
    ) -> Result<(), Fault> {
        let all: String = names.iter().map(|(_, filter)| filter.as_str()).collect();
        if names.is_empty() || holder(session, base, own, &format!("(|{all})")).await?.is_none() {
            return Ok(());
        }
        for (change, filter) in names {
            if let Some(other) = holder(session, base, own, filter).await? {
                let what = match change.attribute.as_str() {
                    "sAMAccountName" => "logon name",
                    "userPrincipalName" => "user principal name",
                    _ => "mail address",
                };
                let text = &change.to;
                return Err(refused(&change.attribute, format!("The {what} {text} already belongs to {other}.")));
            }
        }
        Ok(())
    }

    /// Whether the schema has `targetAddress` (mail contacts; came with Exchange).
    async fn knows_target_address(&self, session: &mut Session) -> Result<bool, Fault> {
        let known = self.target_address.get_or_try_init(|| async {
            let failed = |failure| reading(&failure, "reading the schema");
            let root = session.read("", &["schemaNamingContext"]).await.map_err(failed)?.unwrap_or_default();
            let schema = root.text("schemaNamingContext").map(|text| super::escape::ExtendedDn::parse(&text).dn);
            let filter = "(lDAPDisplayName=targetAddress)";
            let found = session.search(&schema.unwrap_or_default(), Scope::OneLevel, filter, &["1.1"]).await;
            Ok(!found.map_err(failed)?.is_empty())
        });
        known.await.copied()
    }

    /// Refuses a container outside the directory part that this connector is for.
    pub(super) fn check_parent(&self, changes: &[&Change]) -> Result<(), Fault> {
        let parent = changes.iter().find(|change| change.attribute == "parent").and_then(|change| change.to.as_text());
        match parent {
            Some(dn) if !is_within(dn, &self.settings.base_dn) => {
                Err(refused("parent", format!("{dn} is not below {}.", self.settings.base_dn)))
            }
            _ => Ok(()),
        }
    }
}

/// The DN of another object that the filter finds.
async fn holder(session: &mut Session, base: &str, own: Option<Uuid>, filter: &str) -> Result<Option<String>, Fault> {
    let found = session.search(base, Scope::Subtree, filter, &["objectGUID"]).await;
    let found = found.map_err(|failure| reading(&failure, "checking that a name is free"))?;
    Ok(found.into_iter().find(|entry| own.is_none() || entry.guid() != own).map(|entry| entry.dn))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(attribute: &str, to: impl Into<Value>) -> Result<(), Fault> {
        check(&Change { attribute: attribute.to_owned(), from: Value::Null, to: to.into() })
    }

    #[test]
    fn what_the_directory_would_choke_on_is_refused_by_name() {
        let long = "x".repeat(300);
        for (attribute, value) in [
            ("sAMAccountName", "a".repeat(21).as_str()),
            ("sAMAccountName", "smith, jr"),
            ("sAMAccountName", "dot."),
            ("userPrincipalName", "nobody"),
            ("userPrincipalName", "a b@c"),
            ("givenName", long.as_str()),
            ("cn", "  "),
            ("cn", "line\nbreak"),
            ("manager", "CN=Somebody"),
            ("accountExpires", "tomorrow"),
            ("memberOf", "CN=Domain Admins"),
        ] {
            let refused = wanted(attribute, value);
            assert!(
                matches!(&refused, Err(Fault::Refused { attribute: Some(name), .. }) if name == attribute),
                "{attribute} {value}: {refused:?}"
            );
        }
    }

    #[test]
    fn ordinary_and_unusual_names_pass() {
        for cn in ["O'Brien", "Smith, Jr.", "#lead", "Nguyễn Thị Lan", "李小龙", "🙂", "ends "] {
            assert_eq!(wanted("cn", cn), Ok(()));
        }
        assert_eq!(wanted("enabled", true), Ok(()));
        assert_eq!(wanted("accountExpires", "2026-11-30T23:00:00Z"), Ok(()));
        assert_eq!(wanted("accountExpires", Value::Null), Ok(()));
        assert!(wanted("locked", true).is_err());
        assert!(wanted("enabled", "yes").is_err());
    }
}
