//! A step that was planned before the units in scope changed: refused when it is due, with a reason that a person can act on.

use std::collections::BTreeMap;

use sqlx::PgPool;
use uuid::Uuid;

use super::lease::Leased;
use super::perform::Outcome;
use crate::catalog::UnitScope;
use crate::db;
use crate::plan::scope::refusal;
use crate::target::Address;

/// For each step of one system the outcome of one that would write outside the units in scope; None where nothing is in its
/// way.
pub async fn refused(pool: &PgPool, steps: &[Leased]) -> Vec<Option<Outcome>> {
    match outside(pool, steps).await {
        Ok(outside) => {
            let refused = |why: String| Outcome::Refused { given: why.clone(), why };
            outside.into_iter().map(|why| why.map(refused)).collect()
        }
        Err(error) => {
            let retry = || Outcome::Retry { after: None, why: error.to_string() };
            steps.iter().map(|_| Some(retry())).collect()
        }
    }
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

async fn outside(pool: &PgPool, steps: &[Leased]) -> Result<Vec<Option<String>>, sqlx::Error> {
    let Some(first) = steps.first() else { return Ok(Vec::new()) };
    let objects: Vec<Uuid> = steps.iter().filter_map(|leased| written(&leased.resource.address)).collect();
    // The system itself, and the directory that an organisation's recipients are objects of.
    let mut tx = pool.begin_with(db::BY_KEY).await?;
    let bounded = sqlx::query!(
        r#"select t.key, t.scope as "scope: sqlx::types::Json<UnitScope>",
                  coalesce((select jsonb_object_agg(o.native_id, o.dn)
                              from (select native_id, dn from account where system = t.key and native_id = any ($2)
                                    union all
                                    select native_id, dn from directory_group
                                     where system = t.key and native_id = any ($2)) o),
                           '{}') as "objects!: sqlx::types::Json<BTreeMap<Uuid, String>>"
             from target_system t
            where t.scope <> '{}'
              and (t.key = $1 or t.key = (select facts->>'directory' from target_system where key = $1))"#,
        first.resource.system.0,
        &objects
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let mut outside = vec![None; steps.len()];
    for (leased, outside) in steps.iter().zip(&mut outside) {
        for row in &bounded {
            let scope = &row.scope.0;
            let object = written(&leased.resource.address);
            let dn = object.and_then(|id| row.objects.get(&id));
            let unit = leased.difference.change("parent").and_then(|change| change.to.as_text());
            if let Some(dn) = dn.filter(|dn| !scope.covers(dn)) {
                *outside = Some(refusal(&format!("“{}” lies at {dn}", leased.label), scope));
            } else if let Some(unit) = unit.filter(|unit| row.key == leased.resource.system.0 && !scope.covers(unit)) {
                *outside = Some(refusal(&format!("This would put “{}” into {unit}", leased.label), scope));
            }
        }
    }
    Ok(outside)
}
