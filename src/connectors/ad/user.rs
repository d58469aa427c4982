//! Changing an account: rename and move, attributes, enabling and disabling, unlocking, a new password.
//!
//! Order within a step: the name first (modifyDN), then, when the account is being disabled, that; then the password;
//! then everything else in one modify. A crash between two of them leaves a mixture of `from` and `to`, which the next
//! attempt takes up where it is.
//!
//! Compare and swap: each changed attribute is sent as "delete the old value, add the new one" in one modify, which fails as
//! a whole if somebody else changed one (codes 16 and 20). It cannot be had for the name and place (modifyDN), for a
//! password, and for `pwdLastSet` and `lockoutTime`, where only special values may be written.

use std::collections::HashSet;

use ldap3::Mod;
use uuid::Uuid;

use super::attributes::{self, Form};
use super::escape::{self, guid_dn};
use super::fault::{refused, writing};
use super::observe::Account;
use super::session::{Failure, Session};
use super::{AdConnector, metadata, naming, password};
use crate::target::{Change, Difference, Fault, Native, Presence, Secrets, Server, State, Value, same};

/// One guarded modification: the attribute, the values it must have now, and those it shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swap {
    pub ldap: &'static str,
    pub old: Option<Vec<u8>>,
    pub new: Option<Vec<u8>>,
    /// Written as a plain replace: the old value cannot be part of it.
    pub unguarded: bool,
}

impl Swap {
    /// The password must be changed at the next sign-in.
    pub(super) fn must_change() -> Self {
        Self { ldap: "pwdLastSet", old: None, new: Some(b"0".to_vec()), unguarded: true }
    }

    pub(super) fn mods(&self, guarded: bool) -> Vec<Mod<Vec<u8>>> {
        let name = self.ldap.as_bytes().to_vec();
        let set = |value: &Option<Vec<u8>>| value.iter().cloned().collect::<HashSet<_>>();
        if self.unguarded || !guarded {
            return vec![Mod::Replace(name, set(&self.new))];
        }
        let delete = self.old.as_ref().map(|_| Mod::Delete(name.clone(), set(&self.old)));
        let add = self.new.as_ref().map(|_| Mod::Add(name.clone(), set(&self.new)));
        delete.into_iter().chain(add).collect()
    }
}

/// Attributes kept by the security accounts manager. Where a server takes only a replace for those, see [`send`].
const SAM: [&str; 3] = ["userAccountControl", "accountExpires", "sAMAccountName"];

impl AdConnector {
    pub(super) async fn ensure_user(
        &self,
        at: &Server,
        address: &crate::target::Address,
        step: &Difference,
        secrets: &Secrets,
    ) -> Result<Native, Fault> {
        use crate::target::Address;
        let session = &mut self.pool.session(&at.url).await?;
        match (step.presence, address) {
            (Some((Presence::Absent, Presence::Present)), Address::New { correlation }) => {
                self.create(session, at, *correlation, step, secrets).await
            }
            (None, Address::Native(id)) => self.change(session, at, *id, step, secrets).await,
            (None, Address::New { correlation }) => match self.created(session, *correlation).await? {
                Some((account, true)) => self.change(session, at, account.id, step, secrets).await,
                _ => Err(Fault::Drifted { found: Box::new(None) }),
            },
            _ => Err(Fault::Refused {
                why: "Accounts are disabled and moved, not deleted, and a deleted one is not made anew under its id."
                    .to_owned(),
                attribute: None,
            }),
        }
    }

    async fn change(
        &self,
        session: &mut Session,
        at: &Server,
        id: Uuid,
        step: &Difference,
        secrets: &Secrets,
    ) -> Result<Native, Fault> {
        let account = self.account_before_write(session, at, id).await?;
        let account = account.ok_or_else(|| Fault::Drifted { found: Box::new(None) })?;
        if account.protected {
            return Err(super::protected::protected_account());
        }
        let state = self.seen_user(at, &account).state;
        let pending = pending(step, &state)?;
        for change in &pending {
            naming::check(change)?;
        }
        self.check_parent(&pending)?;
        self.check_unique(session, Some(id), &pending).await?;

        self.rename_and_move(session, id, &account, &pending).await?;
        let wants = |name: &str| pending.iter().find(|change| change.attribute == name);
        let disabling = wants("enabled").is_some_and(|change| change.to == Value::Bool(false));
        let enabling = wants("enabled").is_some_and(|change| change.to == Value::Bool(true));
        let new_password = wants("password").is_some();
        if enabling && !new_password && !has_password(&account) {
            return Err(refused("enabled", "The account has no password yet; set one before enabling it."));
        }
        let mut swaps = swaps(&account, &pending)?;
        if new_password {
            // A new password counts as changed now. Where it must be changed (as wanted, also by an attempt before this
            // one, or as it was), that is said again.
            let must = step.change("mustChangePassword").map_or(state.get("mustChangePassword"), |change| &change.to);
            swaps.retain(|swap| swap.ldap != "pwdLastSet");
            swaps.extend((*must == Value::Bool(true)).then(Swap::must_change));
        }
        let (first, rest): (Vec<_>, Vec<_>) =
            swaps.into_iter().partition(|swap| disabling && swap.ldap == "userAccountControl");
        if let Err(fault) = send(session, id, &first).await {
            return Err(self.guard_failed(session, at, id, step, fault).await);
        }
        if new_password {
            let names = (state.get("sAMAccountName"), state.get("displayName"));
            set_password(session, &guid_dn(id), secrets, names).await?;
        }
        if let Err(fault) = send(session, id, &rest).await {
            return Err(self.guard_failed(session, at, id, step, fault).await);
        }
        Ok(traces(at))
    }

    /// The guard may have struck: somebody changed an attribute between our look and our write. What they made of it
    /// decides: still what was approved (try again), or neither (drifted).
    async fn guard_failed(
        &self,
        session: &mut Session,
        at: &Server,
        id: Uuid,
        step: &Difference,
        fault: Fault,
    ) -> Fault {
        if !matches!(&fault, Fault::Drifted { found } if found.is_none()) {
            return fault;
        }
        match self.account(session, id).await {
            Err(fault) => fault,
            Ok(None) => fault,
            Ok(Some(account)) => match pending(step, &self.seen_user(at, &account).state) {
                Err(drifted) => drifted,
                Ok(_) => Fault::Retry {
                    after: None,
                    why: format!(
                        "{} was changed by somebody else at the same moment; looking again.",
                        account.entry.dn
                    ),
                },
            },
        }
    }

    /// `modifyDN` with the new name, the new place, or both at once.
    async fn rename_and_move(
        &self,
        session: &mut Session,
        id: Uuid,
        account: &Account,
        pending: &[&Change],
    ) -> Result<(), Fault> {
        let wanted =
            |name: &str| pending.iter().find(|change| change.attribute == name).and_then(|change| change.to.as_text());
        let (cn, parent) = (wanted("cn"), wanted("parent"));
        if cn.is_none() && parent.is_none() {
            return Ok(());
        }
        let current = escape::split(&account.entry.dn)
            .ok_or_else(|| refused("cn", "The directory gave the account no readable name."))?;
        let name = cn.unwrap_or(&current.rdn_value);
        let rdn = format!("CN={}", escape::rdn_value(name));
        // The place is always named: Samba does not find an object's own when it is addressed by id alone.
        let done = session.rename(&guid_dn(id), &rdn, Some(parent.unwrap_or(&current.parent))).await;
        done.map_err(|failure| match failure {
            Failure::Said { rc: 68, .. } => {
                refused("cn", format!("There is another object called {name} in {}.", parent.unwrap_or("its place")))
            }
            Failure::Said { rc: 32, .. } if parent.is_some() => {
                refused("parent", format!("{} is not there.", parent.unwrap_or_default()))
            }
            other => writing(&other, &format!("renaming or moving {}", account.entry.dn)),
        })
    }
}

/// Where it was written. The directory's own traces, `uSNChanged` and the attributes' versions, come with the look that
/// follows each write.
pub fn traces(at: &Server) -> Native {
    Native { server: Some(at.name.clone()), ..Native::default() }
}

/// The changes still to be made. What shows `to` is left out; what shows neither is drift.
pub fn pending<'a>(step: &'a Difference, state: &State) -> Result<Vec<&'a Change>, Fault> {
    let mut pending = Vec::new();
    for change in &step.changes {
        let seen = state.get(&change.attribute);
        let secret = matches!(change.to, Value::Sealed { .. });
        if secret || (equal(&change.attribute, seen, &change.from) && !equal(&change.attribute, seen, &change.to)) {
            pending.push(change);
        } else if !equal(&change.attribute, seen, &change.to) {
            return Err(Fault::Drifted { found: Box::new(Some(state.clone())) });
        }
    }
    Ok(pending)
}

/// Equality as the attribute understands it.
pub fn equal(attribute: &str, left: &Value, right: &Value) -> bool {
    match (attributes::of(attribute).map(|line| line.form), left, right) {
        (Some(Form::Parent), Value::Text(left), Value::Text(right)) => {
            escape::canonical(left).to_lowercase() == escape::canonical(right).to_lowercase()
        }
        (Some(Form::Expiry), Value::Text(left), Value::Text(right)) => {
            matches!((naming::expiry(left), naming::expiry(right)), (Ok(left), Ok(right)) if left == right)
        }
        (Some(Form::Object), Value::Text(left), Value::Text(right)) => left.eq_ignore_ascii_case(right),
        _ => same(left, right),
    }
}

/// The modifications for everything but name, place and password.
pub fn swaps(account: &Account, pending: &[&Change]) -> Result<Vec<Swap>, Fault> {
    pending.iter().filter_map(|change| swap(account, change).transpose()).collect()
}

fn swap(account: &Account, change: &Change) -> Result<Option<Swap>, Fault> {
    let Some(attribute) = attributes::of(&change.attribute) else { return Ok(None) };
    let old = account.entry.bytes(attribute.ldap).map(<[u8]>::to_vec);
    let number = |value: i64| Some(value.to_string().into_bytes());
    let (new, unguarded) = match (attribute.form, &change.to) {
        (Form::Parent | Form::Rdn | Form::Password, _) => return Ok(None),
        (Form::Object, Value::Text(id)) => (Some(format!("<GUID={id}>").into_bytes()), false),
        (Form::Enabled, Value::Bool(enabled)) => {
            let current = account.entry.number("userAccountControl").unwrap_or(attributes::ACCOUNT_DISABLED);
            (number(attributes::account_control(current, *enabled)), false)
        }
        (Form::Expiry, Value::Text(at)) => (number(naming::expiry(at)?), false),
        (Form::Expiry, _) => (number(attributes::NEVER), false),
        (Form::Locked, _) => (number(0), true),
        // Only 0 and -1 may be written (MS-ADTS 3.1.1.5.3.2): must change now, or changed now.
        (Form::MustChange, to) => (number(if *to == Value::Bool(true) { 0 } else { -1 }), true),
        (_, Value::Text(text)) => (Some(text.clone().into_bytes()), false),
        _ => (None, false),
    };
    // A DN is guarded by the id in front of it: the name behind it may change at any time.
    let old = if attribute.form == Form::Object {
        account.entry.ids(attribute.ldap).first().map(|id| format!("<GUID={id}>").into_bytes())
    } else {
        old
    };
    Ok((old != new || unguarded).then_some(Swap { ldap: attribute.ldap, old, new, unguarded }))
}

/// Sends the modifications in one modify. A server that takes only a plain replace for the accounts manager's attributes
/// (53) gets one: it was read in this very session, and `busy` keeps our own workers apart.
pub async fn send(session: &mut Session, id: Uuid, swaps: &[Swap]) -> Result<(), Fault> {
    if swaps.is_empty() {
        return Ok(());
    }
    let dn = guid_dn(id);
    let mods = |guarded: fn(&Swap) -> bool| swaps.iter().flat_map(|swap| swap.mods(guarded(swap))).collect::<Vec<_>>();
    let mut done = session.modify(&dn, mods(|_| true)).await;
    let sam = swaps.iter().any(|swap| SAM.contains(&swap.ldap) && !swap.unguarded);
    if matches!(done, Err(Failure::Said { rc: 53, .. })) && sam {
        done = session.modify(&dn, mods(|swap| !SAM.contains(&swap.ldap))).await;
    }
    done.map_err(|failure| match failure {
        Failure::Said { rc: 16 | 20, .. } => Fault::Drifted { found: Box::new(None) },
        other => writing(&other, &format!("changing {}", names(swaps))),
    })
}

fn names(swaps: &[Swap]) -> String {
    swaps.iter().map(|swap| swap.ldap).collect::<Vec<_>>().join(", ")
}

/// Sets the password as an administrator does: one replace of `unicodePwd` in a modify of its own.
pub async fn set_password(
    session: &mut Session,
    dn: &str,
    secrets: &Secrets,
    names: (&Value, &Value),
) -> Result<(), Fault> {
    let secret = secrets.password.as_ref().filter(|password| !password.is_empty());
    let Some(secret) = secret else {
        return Err(refused("password", "No password was handed over for this step."));
    };
    let [logon, display] = [names.0, names.1].map(|value| value.as_text().unwrap_or_default());
    if password::contains_name(secret, logon, display) {
        return Err(refused("password", "The password contains a part of the person's name."));
    }
    let value = HashSet::from([password::encode(secret).to_vec()]);
    let done = session.modify(dn, vec![Mod::Replace(b"unicodePwd".to_vec(), value)]).await;
    done.map_err(|failure| writing(&failure, "setting a password"))
}

/// Whether a password was ever set. Samba enables an account without one, Windows does not (53). A creation writes
/// `unicodePwd` once, empty; so we ask the version accounting for a second writing, and leave it to the directory where
/// that cannot be read.
fn has_password(account: &Account) -> bool {
    let Some(blob) = account.entry.bytes("replPropertyMetaData") else { return true };
    let written = metadata::named(blob).get("password").copied().unwrap_or_default();
    account.entry.number("pwdLastSet").unwrap_or_default() != 0 || written > 1
}
