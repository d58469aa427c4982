//! What a step that is done means for the books: grants begin and end, new objects go into the catalogue.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::lease::{Leased, record};
use crate::catalog::{self, NewEntitlement, Risk};
use crate::evidence::{By, EvidenceError, action};
use crate::grants::{self, NewGrant, Reason};
use crate::ids::{EntitlementId, PersonId};
use crate::plan::{GrantEffect, Offer};
use crate::target::{Address, Kind};

/// Keeps the books of a run's steps that are done. Beside each the object's immutable id, where its resource is an object.
///
/// # Errors
/// Where the database refuses.
pub(super) async fn keep(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    done: &[(&Leased, Option<Uuid>)],
) -> Result<(), EvidenceError> {
    let mut begin = Vec::new();
    for (leased, made) in done {
        let Some(effect) = &leased.grant else { continue };
        match (effect, leased.subject) {
            (GrantEffect::Give { entitlement, reason, reason_text, until_on, until_at }, Some(person)) => {
                let given = Given { person, entitlement: *entitlement, reason: *reason, text: reason_text };
                begin.extend(grant(leased, &given, until_on.zip(*until_at)));
            }
            _ => other(conn, now, leased, (effect, *made)).await?,
        }
    }
    if let Some((first, _)) = done.first() {
        grants::start_all(conn, now, &record(first, action::GRANT_STARTED).by, &begin).await?;
    }
    Ok(())
}

/// What a step means that does not simply give something from the catalogue.
async fn other(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    leased: &Leased,
    (effect, made): (&GrantEffect, Option<Uuid>),
) -> Result<(), EvidenceError> {
    let by = record(leased, action::GRANT_STARTED).by;
    if let GrantEffect::Offer { owner, offers } = effect {
        let Some(object) = made else { return Ok(()) };
        for offer in offers {
            offered(conn, (now, &by), leased, (object, offer, Some(*owner))).await?;
        }
        return Ok(());
    }
    if let (GrantEffect::Owned { .. } | GrantEffect::Gone, Address::Native(object)) = (effect, &leased.resource.address)
    {
        return entries(conn, (now, &by), leased, (*object, effect)).await;
    }
    let Some(holder) = leased.resource.address.holder() else { return Ok(()) };
    match effect {
        GrantEffect::GiveHere { offer, owner, person, reason_text, until_on, until_at } => {
            let Some(object) = object(&leased.resource.address) else { return Ok(()) };
            let entitlement = offered(conn, (now, &by), leased, (object, offer, *owner)).await?;
            if leased.resource.kind == Kind::FolderPermission {
                // One role on a folder at a time: this one takes the place of what was there.
                end_others(conn, (now, &by), leased, (holder, object, entitlement)).await?;
            }
            let given = Given { person: *person, entitlement, reason: Reason::Request, text: reason_text };
            if let Some(grant) = grant(leased, &given, until_on.zip(*until_at)) {
                grants::start(conn, now, &by, &grant).await?;
            }
            Ok(())
        }
        GrantEffect::Take { entitlement, why } => {
            let why = if why == "leaver" { "leaver" } else { "request" };
            let cause = (Some(leased.item.0), Some(leased.number));
            grants::end_all(conn, now, &by, (holder, *entitlement), why, cause).await?;
            Ok(())
        }
        GrantEffect::TakeHere { .. } => {
            let Some(object) = object(&leased.resource.address) else { return Ok(()) };
            for entitlement in on_object(conn, leased, object).await? {
                let cause = (Some(leased.item.0), Some(leased.number));
                grants::end_all(conn, now, &by, (holder, entitlement), "request", cause).await?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What is held of, in a membership or a right.
fn object(address: &Address) -> Option<Uuid> {
    match address {
        Address::Member { group, .. } => Some(*group),
        Address::Permission { object, .. } => Some(*object),
        Address::New { .. } | Address::Native(_) => None,
    }
}

struct Given<'a> {
    person: PersonId,
    entitlement: EntitlementId,
    reason: Reason,
    text: &'a str,
}

fn grant(leased: &Leased, given: &Given<'_>, until: Option<(NaiveDate, DateTime<Utc>)>) -> Option<NewGrant> {
    let account = leased.resource.address.holder()?;
    Some(NewGrant {
        person: given.person,
        entitlement: given.entitlement,
        account,
        reason: given.reason,
        reason_text: given.text.to_owned(),
        item: Some(leased.item.0),
        request: Some(leased.number),
        until,
    })
}

/// The holding in the catalogue; added where it is not there yet, and otherwise left as its owner has it.
async fn offered(
    conn: &mut PgConnection,
    (now, by): (DateTime<Utc>, &By),
    leased: &Leased,
    (object, offer, owner): (Uuid, &Offer, Option<PersonId>),
) -> Result<EntitlementId, EvidenceError> {
    let system = &leased.resource.system;
    if let Some(known) = catalog::by_native(conn, system, object, (offer.held, &offer.right)).await? {
        return Ok(known);
    }
    let new = NewEntitlement {
        system: system.clone(),
        held: offer.held,
        native_id: object,
        right: offer.right.clone(),
        name: offer.name.clone(),
        description: String::new(),
        owner,
        risk: Risk::Normal,
        sox: false,
        requestable: offer.requestable,
    };
    catalog::add(conn, now, by, &new).await
}

/// An object's entries in the catalogue follow it: to another owner, or out of everybody's reach where it is gone.
async fn entries(
    conn: &mut PgConnection,
    (now, by): (DateTime<Utc>, &By),
    leased: &Leased,
    (object, effect): (Uuid, &GrantEffect),
) -> Result<(), EvidenceError> {
    let cause = (Some(leased.item.0), Some(leased.number));
    for id in catalog::of_object(conn, &leased.resource.system, object).await? {
        let Some(known) = catalog::find(conn, id).await? else { continue };
        let mut entry = NewEntitlement::from(known);
        match effect {
            GrantEffect::Owned { owner } => entry.owner = Some(*owner),
            _ => {
                entry.requestable = false;
                for account in grants::holders(conn, id).await? {
                    grants::end_all(conn, now, by, (account, id), "request", cause).await?;
                }
            }
        }
        catalog::add(conn, now, by, &entry).await?;
    }
    Ok(())
}

/// What the catalogue has of an object for the kind of holding that the step is about.
async fn on_object(conn: &mut PgConnection, leased: &Leased, object: Uuid) -> Result<Vec<EntitlementId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select id as "id: EntitlementId" from entitlement
            where system = $1 and native_id = $2
              and kind = case when $3 = 'membership' then 'group_membership' else $3 end"#,
        leased.resource.system.0,
        object,
        leased.resource.kind.as_str()
    )
    .fetch_all(conn)
    .await
}

async fn end_others(
    conn: &mut PgConnection,
    (now, by): (DateTime<Utc>, &By),
    leased: &Leased,
    (holder, object, kept): (Uuid, Uuid, EntitlementId),
) -> Result<(), EvidenceError> {
    for entitlement in on_object(conn, leased, object).await? {
        if entitlement != kept {
            let cause = (Some(leased.item.0), Some(leased.number));
            grants::end_all(conn, now, by, (holder, entitlement), "request", cause).await?;
        }
    }
    Ok(())
}
