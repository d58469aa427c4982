//! Creating an account so that a crash at any point converges.
//!
//! 1. add: disabled (514), all attributes, marked `tenure:new:<correlation>`;
//! 2. the password;
//! 3. one modify: `pwdLastSet` = 0 if it must be changed, enabled if that was asked, and the mark becomes
//!    `tenure:<correlation>`.
//!
//! Only the last write makes the account count as there ([`super::observe`]). A crash or a lost answer before it leaves
//! a marked, disabled account that the next attempt finds by the mark and completes; the password is simply set again.
//! Never 546 at the start: its PASSWD_NOTREQD bit stays behind.

use std::collections::HashSet;

use uuid::Uuid;

use super::attributes::{self, Form};
use super::escape;
use super::fault::{refused, writing};
use super::observe::{Account, mark};
use super::session::{Attribute, Failure, Session};
use super::user::{Swap, equal, set_password, traces};
use super::{AdConnector, naming};
use crate::target::{Change, Difference, Fault, Native, Secrets, Server, Value};

impl AdConnector {
    pub(super) async fn create(
        &self,
        session: &mut Session,
        at: &Server,
        correlation: Uuid,
        step: &Difference,
        secrets: &Secrets,
    ) -> Result<Native, Fault> {
        let changes: Vec<&Change> = step.changes.iter().collect();
        let ours = match self.created_before_write(session, at, correlation).await? {
            Some(ours) => Some(ours),
            None => match self.add(session, correlation, &changes).await {
                Ok(dn) => {
                    self.complete(session, &dn, (correlation, step, secrets)).await?;
                    None
                }
                // A name is taken: perhaps by an earlier attempt whose answer was lost and that was still under way
                // when we looked.
                Err(refused @ Fault::Refused { .. }) => match self.created(session, correlation).await? {
                    Some(ours) => Some(ours),
                    None => return Err(refused),
                },
                Err(fault) => return Err(fault),
            },
        };
        // Made by an earlier attempt.
        if let Some((account, finished)) = ours {
            self.compare(at, &account, &changes, finished)?;
            if !finished {
                self.complete(session, &escape::guid_dn(account.id), (correlation, step, secrets)).await?;
            }
        }
        Ok(traces(at))
    }

    /// The second and the third write.
    async fn complete(
        &self,
        session: &mut Session,
        dn: &str,
        (correlation, step, secrets): (Uuid, &Difference, &Secrets),
    ) -> Result<(), Fault> {
        if step.change("password").is_some() {
            let value = |name: &str| step.change(name).map_or(&Value::Null, |change| &change.to);
            set_password(session, dn, secrets, (value("sAMAccountName"), value("displayName"))).await?;
        }
        self.finish(session, dn, correlation, step).await
    }

    /// Whether what was made before is what is wanted now: it is ours, but somebody may have edited it meanwhile.
    fn compare(&self, at: &Server, account: &Account, changes: &[&Change], finished: bool) -> Result<(), Fault> {
        let state = self.seen_user(at, account).state;
        let fits = changes.iter().all(|change| match attributes::of(&change.attribute).map(|line| line.form) {
            Some(Form::Password | Form::Locked) => true,
            // Written last.
            Some(Form::MustChange | Form::Enabled) if !finished => true,
            _ => equal(&change.attribute, state.get(&change.attribute), &change.to),
        });
        if fits { Ok(()) } else { Err(Fault::Drifted { found: Box::new(Some(state)) }) }
    }

    /// Adds it; its DN.
    async fn add(&self, session: &mut Session, correlation: Uuid, changes: &[&Change]) -> Result<String, Fault> {
        for change in changes {
            naming::check(change)?;
        }
        let wanted = |name: &str| {
            let change = changes.iter().find(|change| change.attribute == name);
            change.and_then(|change| change.to.as_text()).ok_or_else(|| refused(name, format!("{name} is missing.")))
        };
        let (cn, parent) = (wanted("cn")?, wanted("parent")?);
        wanted("sAMAccountName")?;
        self.check_parent(changes)?;
        self.check_unique(session, None, changes).await?;
        let dn = format!("CN={},{parent}", escape::rdn_value(cn));
        let attributes = self.first_attributes(correlation, changes)?;
        match session.add(&dn, attributes).await {
            Ok(()) => Ok(dn),
            Err(Failure::Said { rc: 68, text }) => Err(collision(cn, parent, &text)),
            Err(Failure::Said { rc: 32, .. }) => Err(refused("parent", format!("{parent} is not there."))),
            Err(Failure::Said { rc: 50, text }) => Err(Fault::NeedsPerson {
                why: format!(
                    "The connector's account may not create users in {parent}: delegate \"create user objects\" \
                     there, then retry ({text})."
                ),
            }),
            Err(failure) => Err(writing(&failure, &format!("creating {dn}"))),
        }
    }

    fn first_attributes(&self, correlation: Uuid, changes: &[&Change]) -> Result<Vec<Attribute>, Fault> {
        let one = |name: &str, value: String| (name.as_bytes().to_vec(), HashSet::from([value.into_bytes()]));
        let disabled = attributes::NORMAL_ACCOUNT | attributes::ACCOUNT_DISABLED;
        let mut all = vec![
            one("objectClass", "user".to_owned()),
            one("userAccountControl", disabled.to_string()),
            one(&self.settings.correlation_attribute, mark(correlation, false)),
        ];
        for change in changes {
            let Some(attribute) = attributes::of(&change.attribute) else { continue };
            let value = match (attribute.form, &change.to) {
                (Form::Text, Value::Text(text)) => text.clone(),
                (Form::Object, Value::Text(id)) => format!("<GUID={id}>"),
                (Form::Expiry, Value::Text(at)) => naming::expiry(at)?.to_string(),
                _ => continue,
            };
            all.push(one(attribute.ldap, value));
        }
        Ok(all)
    }

    /// The last write of a creation.
    async fn finish(&self, session: &mut Session, dn: &str, correlation: Uuid, step: &Difference) -> Result<(), Fault> {
        let wants = |name: &str| step.change(name).and_then(|change| change.to.as_bool());
        let replace = |ldap: &'static str, value: &str| Swap {
            ldap,
            old: None,
            new: Some(value.as_bytes().to_vec()),
            unguarded: true,
        };
        let mut swaps = Vec::new();
        match wants("mustChangePassword") {
            Some(true) => swaps.push(Swap::must_change()),
            // Without this an account without a password of its own would have to change it.
            Some(false) if step.change("password").is_none() => swaps.push(replace("pwdLastSet", "-1")),
            _ => {}
        }
        if wants("enabled") == Some(true) {
            if step.change("password").is_none() {
                return Err(refused("enabled", "An account is not enabled without a password."));
            }
            swaps.push(replace("userAccountControl", &attributes::NORMAL_ACCOUNT.to_string()));
        }
        self.finish_mark(session, dn, correlation, &swaps).await
    }

    async fn finish_mark(
        &self,
        session: &mut Session,
        dn: &str,
        correlation: Uuid,
        swaps: &[Swap],
    ) -> Result<(), Fault> {
        // The mark's attribute is the site's choice, so it is not in the table of attributes.
        let name = self.settings.correlation_attribute.as_bytes().to_vec();
        let value = HashSet::from([mark(correlation, true).into_bytes()]);
        let mut mods: Vec<_> = swaps.iter().flat_map(|swap| swap.mods(true)).collect();
        mods.push(ldap3::Mod::Replace(name, value));
        let done = session.modify(dn, mods).await;
        done.map_err(|failure| writing(&failure, "finishing a new account"))
    }
}

/// Code 68 says that some name is taken, and not always which.
fn collision(cn: &str, parent: &str, text: &str) -> Fault {
    if text.contains("sAMAccountName") {
        return refused("sAMAccountName", format!("The logon name is taken ({text})."));
    }
    refused("cn", format!("There is another object called {cn} in {parent}."))
}
