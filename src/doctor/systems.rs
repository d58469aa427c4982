//! The target systems: each connection, and in a directory the rights, unit by unit and group by group.

use sqlx::PgPool;

use super::Found;
use crate::clock::Clock;
use crate::config::{AdTargetConfig, Config, TargetConfig};
use crate::connectors::ad::AdConnector;
use crate::connectors::ad::escape::is_within;
use crate::{catalog, targets};

/// Places outside the units in scope that are named.
const MOST_PLACES: usize = 3;

/// Each finding under the system's key. `units` are checked beside those of the naming rules.
pub(super) async fn all(config: &Config, pool: Option<&PgPool>, units: Vec<String>) -> Vec<(String, Found)> {
    let mut found = Vec::new();
    if config.target.is_empty() {
        found.push(("target systems".to_owned(), Found::Ill("none; add a [[target]]".to_owned())));
    }
    let mut scope = match pool {
        Some(pool) => containers(pool).await,
        None => Vec::new(),
    };
    scope.extend(units);
    if scope.is_empty() && !config.target.is_empty() {
        let text = "no naming rules yet: name the units to be checked, `tenure doctor --unit OU=…`";
        found.push(("organisational units".to_owned(), Found::Doubtful(text.to_owned())));
    }
    for target in &config.target {
        let one = match target {
            TargetConfig::Ad(ad) => directory(ad, pool, &scope).await,
            _ => {
                let said = targets::check(target).await;
                said.into_iter().map(|(good, text)| if good { Found::Well(text) } else { Found::Ill(text) }).collect()
            }
        };
        found.extend(one.into_iter().map(|finding| (target.key().to_owned(), finding)));
    }
    found
}

async fn directory(ad: &AdTargetConfig, pool: Option<&PgPool>, scope: &[String]) -> Vec<Found> {
    let connector = AdConnector::new(targets::ad_settings(ad));
    let mut findings = connector.check(scope, Clock::System.now()).await;
    let answers = findings.iter().any(|finding| finding.good);
    if let (Some(pool), true) = (pool, answers) {
        findings.extend(connector.check_groups(&groups(pool, &ad.key).await).await);
    }
    let mut found: Vec<Found> = findings
        .into_iter()
        .map(|finding| match (finding.good, finding.doubtful) {
            (true, false) => Found::Well(finding.text),
            (true, true) => Found::Doubtful(finding.text),
            (false, _) => Found::Ill(finding.text),
        })
        .collect();
    if let (Some(pool), false) = (pool, scope.is_empty()) {
        found.extend(outside(pool, &ad.key, scope).await);
    }
    found
}

/// The organisational units that the naming rules put accounts into; none before there are rules.
async fn containers(pool: &PgPool) -> Vec<String> {
    let Ok(mut conn) = pool.acquire().await else { return Vec::new() };
    let Ok(rules) = catalog::rules(&mut conn).await else { return Vec::new() };
    let naming = rules.naming.body;
    let mut all: Vec<String> = naming.parent.into_values().chain([naming.quarantine_ou]).collect();
    all.retain(|container| !container.is_empty());
    all.sort();
    all.dedup();
    all
}

/// The groups of a directory that the catalogue offers or gives by rule.
async fn groups(pool: &PgPool, system: &str) -> Vec<uuid::Uuid> {
    let asked = sqlx::query_scalar!(
        "select distinct e.native_id from entitlement e
         where e.system = $1 and e.kind = 'group_membership'
           and not exists (select from directory_group g where g.system = e.system and g.native_id = e.native_id and g.gone_at is not null)",
        system
    );
    asked.fetch_all(pool).await.unwrap_or_default()
}

/// Accounts of people in places that nobody looked at: what is asked for them may be refused.
async fn outside(pool: &PgPool, system: &str, scope: &[String]) -> Option<Found> {
    let places = sqlx::query!(
        r#"select attributes->>'parent' as "parent!", count(*) as "count!" from account
           where system = $1 and person is not null and gone_at is null and attributes->>'parent' is not null
           group by 1 order by 2 desc, 1"#,
        system
    );
    let mut places = places.fetch_all(pool).await.ok()?;
    places.retain(|place| !scope.iter().any(|unit| is_within(&place.parent, unit)));
    let first = places.first()?;
    let (total, units): (i64, usize) = (places.iter().map(|place| place.count).sum(), places.len());
    let mut named = first.parent.clone();
    for place in places.iter().take(MOST_PLACES).skip(1) {
        named.push_str("; ");
        named.push_str(&place.parent);
    }
    let more = if units > MOST_PLACES { format!(" and {} more", units - MOST_PLACES) } else { String::new() };
    Some(Found::Doubtful(format!(
        "{total} account(s) of people lie outside the units in scope, in {named}{more}: they are read, and what is asked for them \
         waits for a person where the rights are not delegated (check with --unit)"
    )))
}
