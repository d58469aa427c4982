//! A step that was planned before the units in scope changed: refused when it is due, with a reason that a person can act on.

use sqlx::PgPool;
use uuid::Uuid;

use super::lease::Leased;
use super::perform::Outcome;
use crate::catalog::UnitScope;
use crate::plan::scope::refusal;
use crate::target::Address;

/// The outcome of a step that would write outside the units in scope; None where nothing is in its way.
pub async fn refused(pool: &PgPool, leased: &Leased) -> Option<Outcome> {
    let why = match outside(pool, leased).await {
        Ok(why) => why?,
        Err(error) => return Some(Outcome::Retry { after: None, why: error.to_string() }),
    };
    Some(Outcome::Refused { given: why.clone(), why })
}

/// The existing object that it writes to.
fn written(address: &Address) -> Option<Uuid> {
    match address {
        Address::New { .. } => None,
        Address::Native(id) => Some(*id),
        Address::Member { group, .. } => Some(*group),
        Address::Permission { object, .. } => Some(*object),
    }
}

async fn outside(pool: &PgPool, leased: &Leased) -> Result<Option<String>, sqlx::Error> {
    // The system itself, and the directory that an organisation's recipients are objects of.
    let bounded = sqlx::query!(
        r#"select t.key, t.scope as "scope: sqlx::types::Json<UnitScope>",
                  coalesce((select dn from account where system = t.key and native_id = $2),
                           (select dn from directory_group where system = t.key and native_id = $2)) as dn
             from target_system t
            where t.scope <> '{}'
              and (t.key = $1 or t.key = (select facts->>'directory' from target_system where key = $1))"#,
        leased.resource.system.0,
        written(&leased.resource.address)
    )
    .fetch_all(pool)
    .await?;
    for row in bounded {
        let scope = row.scope.0;
        if let Some(dn) = row.dn.filter(|dn| !scope.covers(dn)) {
            return Ok(Some(refusal(&format!("“{}” lies at {dn}", leased.label), &scope)));
        }
        let unit = leased.difference.change("parent").and_then(|change| change.to.as_text());
        if let Some(unit) = unit.filter(|unit| row.key == leased.resource.system.0 && !scope.covers(unit)) {
            return Ok(Some(refusal(&format!("This would put “{}” into {unit}", leased.label), &scope)));
        }
    }
    Ok(None)
}
