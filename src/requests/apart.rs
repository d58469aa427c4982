//! Separation of duties while somebody still chooses: what goes ill with what is held or chosen already.

use std::collections::BTreeSet;

use sqlx::PgConnection;

use super::{RequestError, sight};
use crate::catalog::{self, BirthrightInput, Consequence, Entitlement, Separation};
use crate::ids::{EntitlementId, PersonId, RequestId};
use crate::people::EmploymentType;
use crate::plan::field::Raw;
use crate::plan::{Holds, RequestKind};

/// The rules, and what would be held beside whatever is chosen next.
#[derive(Debug, Clone, Default)]
pub struct Apart {
    rules: Separation,
    with: Holds,
}

/// What one choice would come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub consequence: Consequence,
    /// In words, whole.
    pub why: String,
}

impl Apart {
    /// What choosing that entitlement would come to, rule by rule.
    pub fn of(&self, entitlement: &Entitlement) -> Vec<Choice> {
        let others: BTreeSet<EntitlementId> = self.with.keys().filter(|id| **id != entitlement.id).copied().collect();
        let name = |id: EntitlementId| match id == entitlement.id {
            true => entitlement.name.clone(),
            false => self.with.get(&id).cloned().unwrap_or_default(),
        };
        let found = self.rules.conflicts(entitlement.id, &others);
        found
            .into_iter()
            .map(|conflict| Choice { consequence: conflict.rule.consequence, why: conflict.words(name) })
            .collect()
    }
}

/// What somebody would hold by the answers so far: what they hold without what they leave, what comes by rule, and what is
/// chosen. `person` is whose holdings may be told to whoever asks; `own` the request whose answers these are.
///
/// # Errors
/// Where the database does not answer.
pub async fn look(
    conn: &mut PgConnection,
    (kind, raw): (RequestKind, &Raw),
    person: Option<PersonId>,
    own: Option<RequestId>,
) -> Result<Apart, RequestError> {
    let rules = catalog::separation(conn).await.map_err(super::catalog_error)?;
    if rules.rules.is_empty() {
        return Ok(Apart::default());
    }
    let ids = |name: &str| -> Vec<EntitlementId> { raw.all(name).iter().filter_map(|id| id.parse().ok()).collect() };
    let mut with = match person {
        Some(person) => sight::holds(conn, person, &rules, own).await?,
        None => Holds::new(),
    };
    let leave = ids("leave");
    with.retain(|id, _| !leave.contains(id));
    let mut chosen = ids("groups");
    if let (RequestKind::Joiner, Some(kind)) = (kind, EmploymentType::parse(raw.first("type"))) {
        let (department, site) = (raw.first("department").to_owned(), raw.first("site").to_owned());
        let birthright = catalog::rules(conn).await.map_err(super::catalog_error)?.birthright.body;
        let given = birthright.for_person(&BirthrightInput { department, site, kind });
        chosen.extend(given.into_iter().map(|(id, _)| id));
    }
    with.extend(catalog::find_many(conn, &chosen).await?.into_iter().map(|one| (one.id, one.name)));
    Ok(Apart { rules, with })
}
