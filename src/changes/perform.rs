//! Performing leased steps: observe, ensure, observe; no transaction is open meanwhile.

use std::time::Duration;

use sqlx::PgPool;

use super::boundary::{Boundary, pass};
use super::lease::Leased;
use super::secret::{self, Vault};
use crate::target::{
    Connector, Difference, Fault, Kind, Native, Resource, Secrets, Seen, Server, Standing, State, Value, Wish,
};

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

/// Performs steps of one run that one system looks at together, in their order; gives up before their lease ends, by this
/// machine's monotonic clock. An outcome for each.
pub async fn perform(pool: &PgPool, connector: &dyn Connector, vault: &Vault, steps: &[&Leased]) -> Vec<Outcome> {
    let Some(first) = steps.first() else { return Vec::new() };
    for leased in steps {
        pass(Boundary::Leased, &leased.name);
    }
    let lease = Duration::from_secs(u64::try_from(first.lease_seconds).unwrap_or(0));
    let patience = lease.mul_f32(0.8).saturating_sub(first.at.elapsed());
    if patience.is_zero() {
        // Nothing was touched: the steps before these in their run took too long, or this process stood still.
        let late = || Outcome::Retry { after: Some(Duration::ZERO), why: "Its turn did not come in time.".to_owned() };
        return steps.iter().map(|_| late()).collect();
    }
    match tokio::time::timeout(patience, attempt(pool, connector, vault, (first, steps))).await {
        Ok(Ok(outcomes)) => outcomes,
        Ok(Err(fault)) => steps.iter().map(|_| from_fault(fault.clone())).collect(),
        Err(_) => {
            let why = format!("No answer within {} s.", patience.as_secs());
            steps.iter().map(|_| Outcome::Unknown { why: why.clone() }).collect()
        }
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

/// Where a step stands between its two looks.
enum Way {
    /// Nothing more is to be done, or can be.
    Ended(Outcome),
    /// The target took the write.
    Written { before: Option<Seen>, difference: Difference, native: Native },
}

/// Looks at all, writes one after another, looks at all that was written. A fault of a write is that step's own.
async fn attempt(
    pool: &PgPool,
    connector: &dyn Connector,
    vault: &Vault,
    (first, steps): (&Leased, &[&Leased]),
) -> Result<Vec<Outcome>, Fault> {
    // What a request did before is the same for all of a run.
    let last = &first.last;
    let wish = Wish {
        preferred: last.server.as_ref(),
        must_show: last.wrote.as_ref().map(|(resource, state)| (resource, state)),
        directory: last.beside.as_ref().map(|server| server.name.as_str()),
    };
    let server = connector.server(wish).await?;
    let looked = connector.observe_all(&server, &resources(steps.iter().copied())).await?;
    let mut ways = Vec::with_capacity(steps.len());
    for (leased, before) in steps.iter().zip(looked) {
        ways.push(match write(pool, connector, vault, (&server, leased), before).await {
            Ok(way) => way,
            Err(Fault::Drifted { found }) => {
                Way::Ended(Outcome::Drifted { server: Some(server.clone()), found: *found })
            }
            Err(fault) => Way::Ended(from_fault(fault)),
        });
    }
    let written = steps.iter().zip(&ways).filter(|(_, way)| matches!(way, Way::Written { .. }));
    let written = resources(written.map(|(leased, _)| *leased));
    let looked = if written.is_empty() { Ok(Vec::new()) } else { connector.observe_all(&server, &written).await };
    let mut after = match looked {
        Ok(after) => Ok(after.into_iter()),
        Err(fault) => Err(format!("The change was sent, but looking at it failed: {fault}")),
    };
    let each = steps.iter().zip(ways).map(|(leased, way)| match (way, &mut after) {
        (Way::Ended(outcome), _) => outcome,
        (Way::Written { .. }, Err(why)) => Outcome::Unknown { why: why.clone() },
        (Way::Written { before, difference, native }, Ok(after)) => {
            pass(Boundary::ReadBack, &leased.name);
            let unreadable = unreadable(connector, &leased.resource);
            read_back((leased, unreadable), (&difference, native), (server.clone(), before, after.next().flatten()))
        }
    });
    Ok(each.collect())
}

fn resources<'a>(steps: impl Iterator<Item = &'a Leased>) -> Vec<&'a Resource> {
    steps.map(|leased| &leased.resource).collect()
}

/// Sends what the look calls for.
async fn write(
    pool: &PgPool,
    connector: &dyn Connector,
    vault: &Vault,
    (server, leased): (&Server, &Leased),
    before: Option<Seen>,
) -> Result<Way, Fault> {
    let what = &leased.resource;
    let unreadable = unreadable(connector, what);
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
            let server = server.clone();
            return Ok(Way::Ended(if leased.maybe_done {
                let native = before.as_ref().map(|seen| seen.native.clone()).unwrap_or_default();
                Outcome::Applied { server, before: None, after: before, native: Box::new(native) }
            } else {
                Outcome::Unchanged { server, seen: before }
            }));
        }
        Standing::Neither if !finish_own => {
            let found = before.map(|seen| seen.state);
            return Ok(Way::Ended(Outcome::Drifted { server: Some(server.clone()), found }));
        }
        _ => {}
    }
    let secrets = secrets(pool, connector, vault, leased, server).await?;
    pass(Boundary::Observed, &leased.name);
    let native = connector.ensure(server, what, &difference, &secrets).await?;
    pass(Boundary::Applied, &leased.name);
    Ok(Way::Written { before, difference, native })
}

/// The outcome of a write by the look after it.
fn read_back(
    (leased, unreadable): (&Leased, &[&str]),
    (difference, written): (&Difference, Native),
    (server, before, after): (Server, Option<Seen>, Option<Seen>),
) -> Outcome {
    let read_back = difference.standing(after.as_ref().map(|seen| &seen.state), unreadable);
    let shown =
        read_back == Standing::Already || writes(leased, unreadable) && reads_back(leased, after.as_ref(), unreadable);
    if !shown {
        return Outcome::Unknown { why: "The target accepted the change, but does not show it yet.".to_owned() };
    }
    let native = Box::new(merged(written, after.as_ref()));
    Outcome::Applied { server, before, after, native }
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
