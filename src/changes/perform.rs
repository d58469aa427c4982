//! Performing a leased step: observe, ensure, observe; no transaction is open meanwhile.

use std::time::Duration;

use sqlx::PgPool;

use super::boundary::{Boundary, pass};
use super::lease::Leased;
use super::secret::{self, Vault};
use crate::target::{Connector, Fault, Kind, Native, Resource, Secrets, Seen, Server, Standing, State, Value, Wish};

/// How an attempt ended, with what was seen.
#[derive(Debug, Clone)]
pub enum Outcome {
    Applied {
        server: Server,
        before: Option<Seen>,
        after: Option<Seen>,
        native: Box<Native>,
    },
    Unchanged {
        server: Server,
        seen: Option<Seen>,
    },
    /// Nothing was changed; tried again, not before `after`.
    Retry {
        after: Option<Duration>,
        why: String,
    },
    /// No other attempt would end better; a person must act.
    Refused {
        why: String,
        given: String,
    },
    /// It may have been done: the next attempt looks first.
    Unknown {
        why: String,
    },
    /// The target shows neither `from` nor `to`.
    Drifted {
        server: Option<Server>,
        found: Option<State>,
    },
}

/// Performs the step; gives up before its lease ends, by this machine's monotonic clock.
pub async fn perform(pool: &PgPool, connector: &dyn Connector, vault: &Vault, leased: &Leased) -> Outcome {
    pass(Boundary::Leased, &leased.name);
    let lease = Duration::from_secs(u64::try_from(leased.lease_seconds).unwrap_or(0));
    let patience = lease.mul_f32(0.8).saturating_sub(leased.at.elapsed());
    if patience.is_zero() {
        // Nothing was touched: the steps before it in its run took too long, or this process stood still.
        return Outcome::Retry { after: Some(Duration::ZERO), why: "Its turn did not come in time.".to_owned() };
    }
    match tokio::time::timeout(patience, attempt(pool, connector, vault, leased)).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(fault)) => from_fault(fault),
        Err(_) => Outcome::Unknown { why: format!("No answer within {} s.", patience.as_secs()) },
    }
}

fn from_fault(fault: Fault) -> Outcome {
    match fault {
        Fault::Retry { after, why } => Outcome::Retry { after, why },
        Fault::Refused { why, attribute } => {
            let given = attribute.map_or_else(|| why.clone(), |attribute| format!("{attribute}: {why}"));
            Outcome::Refused { why, given }
        }
        Fault::NeedsPerson { why } => Outcome::Refused { given: why.clone(), why },
        Fault::Unknown { why } => Outcome::Unknown { why },
        Fault::Drifted { found } => Outcome::Drifted { server: None, found: *found },
    }
}

async fn attempt(pool: &PgPool, connector: &dyn Connector, vault: &Vault, leased: &Leased) -> Result<Outcome, Fault> {
    let last = &leased.last;
    let wish = Wish {
        preferred: last.server.as_ref(),
        must_show: last.wrote.as_ref().map(|(resource, state)| (resource, state)),
        directory: last.beside.as_ref().map(|server| server.name.as_str()),
    };
    let server = connector.server(wish).await?;
    let what = &leased.resource;
    let unreadable = unreadable(connector, what);
    let before = connector.observe(&server, what).await?;
    let state = before.as_ref().map(|seen| &seen.state);
    let difference =
        if what.kind.is_mirrored() { leased.difference.clone() } else { leased.difference.from_seen(state) };
    let standing = difference.standing(state, unreadable);
    // A new object that we find by its correlation is our own earlier attempt's: finished by ensuring again.
    // An account counts as there only once it is whole; what Exchange makes in several writes is there from the first on.
    let in_parts = what.kind != Kind::User && standing != Standing::Already;
    let finish_own = leased.creates && before.is_some() && (in_parts || writes(leased, unreadable));
    match standing {
        Standing::Already if !finish_own => {
            let before = before.clone();
            return Ok(if leased.maybe_done {
                let native = before.as_ref().map(|seen| seen.native.clone()).unwrap_or_default();
                Outcome::Applied { server, before: None, after: before, native: Box::new(native) }
            } else {
                Outcome::Unchanged { server, seen: before }
            });
        }
        Standing::Neither if !finish_own => {
            return Ok(Outcome::Drifted { server: Some(server), found: before.map(|seen| seen.state) });
        }
        _ => {}
    }
    let secrets = secrets(pool, connector, vault, leased, &server).await?;
    pass(Boundary::Observed, &leased.name);
    let written = match connector.ensure(&server, what, &difference, &secrets).await {
        Ok(native) => native,
        Err(Fault::Drifted { found }) => return Ok(Outcome::Drifted { server: Some(server), found: *found }),
        Err(fault) => return Err(fault),
    };
    pass(Boundary::Applied, &leased.name);
    let after = connector
        .observe(&server, what)
        .await
        .map_err(|fault| Fault::Unknown { why: format!("The change was sent, but looking at it failed: {fault}") })?;
    pass(Boundary::ReadBack, &leased.name);
    let read_back = difference.standing(after.as_ref().map(|seen| &seen.state), unreadable);
    let shown =
        read_back == Standing::Already || writes(leased, unreadable) && reads_back(leased, after.as_ref(), unreadable);
    if !shown {
        return Ok(Outcome::Unknown { why: "The target accepted the change, but does not show it yet.".to_owned() });
    }
    let native = Box::new(merged(written, after.as_ref()));
    Ok(Outcome::Applied { server, before, after, native })
}

fn unreadable(connector: &dyn Connector, what: &Resource) -> &'static [&'static str] {
    connector
        .capabilities()
        .iter()
        .find(|capability| capability.kind == what.kind)
        .map_or(&[], |capability| capability.unreadable)
}

fn writes(leased: &Leased, attributes: &[&str]) -> bool {
    leased.difference.changes.iter().any(|change| attributes.contains(&change.attribute.as_str()))
}

/// For a step that writes what cannot be read: everything else it changes shows `to`.
fn reads_back(leased: &Leased, after: Option<&Seen>, unreadable: &[&str]) -> bool {
    let Some(seen) = after else { return false };
    leased
        .difference
        .changes
        .iter()
        .filter(|change| !unreadable.contains(&change.attribute.as_str()))
        .all(|change| crate::target::same(seen.state.get(&change.attribute), &change.to))
}

/// The traces of the write where the connector gave them, else those of the sighting after it.
fn merged(written: Native, after: Option<&Seen>) -> Native {
    let Some(seen) = after else { return written };
    Native {
        server: written.server.or_else(|| seen.native.server.clone()),
        usn: written.usn.or_else(|| seen.native.usn.clone()),
        versions: if written.versions.is_empty() { seen.native.versions.clone() } else { written.versions },
        ..written
    }
}

/// A password where the step sets one: the one made at the first attempt, so that a repetition sets the same.
async fn secrets(
    pool: &PgPool,
    connector: &dyn Connector,
    vault: &Vault,
    leased: &Leased,
    server: &Server,
) -> Result<Secrets, Fault> {
    if !leased.difference.changes.iter().any(|change| change.to == Value::SEALED) {
        return Ok(Secrets::default());
    }
    if leased.secret.is_none() {
        return Ok(Secrets { password: Some(connector.new_password(server).await?) });
    }
    let database = |error: secret::SecretError| Fault::Retry { after: None, why: error.to_string() };
    // The first attempt finds none.
    if leased.attempt > 1
        && let Some(password) = secret::kept(pool, vault, leased.step).await.map_err(database)?
    {
        return Ok(Secrets { password: Some(password) });
    }
    let password = connector.new_password(server).await?;
    secret::keep(pool, vault, leased, &password).await.map_err(database)?;
    Ok(Secrets { password: Some(password) })
}
