//! What steps saw goes into the mirror at once; the feed says the same a second later.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::changes::lease::Leased;
use crate::changes::perform::Outcome;
use crate::evidence::By;
use crate::mirror;
use crate::mirror::adoption::Rule;
use crate::mirror::linking::{self, Link};
use crate::requests::RequestError;
use crate::target::{Address, Kind, Native, Seen, State};

/// Keeps a run's sightings. An account that a step made is the request's subject's from the start.
pub(super) async fn keep(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    run: &[(&Leased, &Outcome)],
) -> Result<(), RequestError> {
    let mut memberships: Vec<(Uuid, Uuid, bool)> = Vec::new();
    for (leased, outcome) in run {
        let seen = match outcome {
            Outcome::Applied { after, .. } => after.as_ref(),
            Outcome::Unchanged { seen, .. } => seen.as_ref(),
            Outcome::Drifted { found, .. } => {
                drifted(conn, leased, found.as_ref()).await?;
                continue;
            }
            _ => continue,
        };
        match &leased.resource.address {
            Address::Member { group, member } if leased.resource.kind == Kind::Membership => {
                memberships.push((*group, *member, seen.is_some()));
            }
            _ => one(conn, now, leased, seen).await?,
        }
    }
    if let Some((leased, _)) = run.first().filter(|_| !memberships.is_empty()) {
        mirror::saw_memberships(conn, &leased.resource.system, &memberships).await?;
    }
    Ok(())
}

async fn one(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    leased: &Leased,
    seen: Option<&Seen>,
) -> Result<(), RequestError> {
    let what = &leased.resource;
    match (&what.address, seen) {
        (Address::Member { group, member }, seen) => {
            mirror::mail::saw_member(conn, &what.system, (*group, *member), seen.is_some()).await?;
        }
        (Address::Permission { object, trustee, right }, seen) => {
            let right = (what.kind, *object, *trustee, right.as_str());
            mirror::mail::saw_right(conn, &what.system, right, seen.map(|seen| &seen.state)).await?;
        }
        (Address::Native(id), None) => mirror::went(conn, &what.system, *id).await?,
        (_, Some(Seen { id: Some(id), state, native })) => {
            mirror::saw(conn, &what.system, what.kind, *id, state, native).await?;
            if let Some(person) = leased.subject.filter(|_| leased.creates && what.kind == Kind::User) {
                let by = By { via: format!("worker:{}", leased.worker), ..By::default() };
                let kind = linking::Kind::Person;
                let link = Link { system: &what.system, account: *id, person, kind, rule: Rule::Request };
                linking::link(conn, now, &by, &link).await?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// What a step found instead of what was approved is what it is planned again from. A directory's feed tells it in a
/// moment; Exchange has none.
async fn drifted(conn: &mut PgConnection, leased: &Leased, found: Option<&State>) -> Result<(), RequestError> {
    let what = &leased.resource;
    match (&what.address, what.kind, found) {
        (Address::Native(id), Kind::Mailbox | Kind::List, Some(state)) => {
            mirror::saw(conn, &what.system, what.kind, *id, state, &Native::default()).await?;
        }
        (Address::Native(id), Kind::Mailbox | Kind::List, None) => mirror::went(conn, &what.system, *id).await?,
        (Address::Permission { object, trustee, right }, kind, state) => {
            mirror::mail::saw_right(conn, &what.system, (kind, *object, *trustee, right), state).await?;
        }
        _ => {}
    }
    Ok(())
}
