//! Looking whether a target system is reached, and what our account may do there: what `tenure doctor` says at the command
//! line and a worker answers to the browser. It connects anew, so that a password that was changed shows. Never writes.

use std::collections::BTreeSet;

use sqlx::PgPool;
use uuid::Uuid;

use crate::catalog::{self, UnitScope};
use crate::checks::{Finding, Health};
use crate::clock::Clock;
use crate::config::{AdTargetConfig, TargetConfig};
use crate::connectors::ad::AdConnector;
use crate::connectors::ad::check::Finding as Said;
use crate::connectors::ad::escape::is_within;
use crate::target::SystemKey;

/// Places outside the units in scope that are named.
const MOST_PLACES: usize = 3;

/// Where in a directory to look.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Units that Tenure works in, by its settings.
    set: UnitScope,
    /// Units that the naming rules put accounts into.
    named: Vec<String>,
    /// Units asked about besides.
    asked: Vec<String>,
}

impl Scope {
    /// Every unit to be looked at, those in another left out.
    fn units(&self) -> Vec<String> {
        let all: Vec<&String> = self.set.units.iter().chain(&self.named).chain(&self.asked).collect();
        let mut units: Vec<String> = Vec::new();
        for unit in &all {
            let above = all.iter().any(|other| is_within(unit, other) && !is_within(other, unit));
            if !above && !units.iter().any(|known| is_within(known, unit)) {
                units.push((*unit).clone());
            }
        }
        units
    }

    fn covers(&self, dn: &str) -> bool {
        let looked_at = || self.named.iter().chain(&self.asked).any(|unit| is_within(dn, unit));
        if self.set.is_whole() { looked_at() } else { self.set.covers(dn) }
    }

    /// Units of the naming rules where nothing may be written.
    fn contradicted(&self) -> Option<Finding> {
        let outside: Vec<&str> = self.named.iter().map(String::as_str).filter(|unit| !self.set.covers(unit)).collect();
        let text = format!(
            "the naming rules put accounts into {}, outside the units in scope: put the unit in scope, or change the rules",
            outside.join("; ")
        );
        (!outside.is_empty()).then(|| Finding::new(Health::Ill, text))
    }
}

/// Where to look in that system: its units in scope, those of the naming rules, and those asked about.
pub async fn scope(pool: Option<&PgPool>, system: &str, asked: &[String]) -> Scope {
    let mut scope = Scope { asked: asked.to_vec(), ..Scope::default() };
    let Some(pool) = pool else { return scope };
    let Ok(mut conn) = pool.acquire().await else { return scope };
    if let Ok(Some(known)) = catalog::find_system(&mut conn, &SystemKey(system.to_owned())).await {
        scope.set = known.scope;
    }
    if let Ok(rules) = catalog::rules(&mut conn).await {
        let naming = rules.naming.body;
        let named: BTreeSet<String> = naming.parent.into_values().chain([naming.quarantine_ou]).collect();
        scope.named = named.into_iter().filter(|unit| !unit.is_empty()).collect();
    }
    scope
}

/// Looks at one target system.
pub async fn look(target: &TargetConfig, pool: Option<&PgPool>, scope: &Scope) -> Vec<Finding> {
    match target {
        TargetConfig::Ad(ad) => directory(ad, pool, scope).await,
        exchange => {
            let said = super::check_exchange(exchange).await;
            let state = |good| if good { Health::Well } else { Health::Ill };
            said.into_iter().map(|(good, text)| Finding::new(state(good), text)).collect()
        }
    }
}

impl From<Said> for Finding {
    fn from(said: Said) -> Self {
        let state = match (said.good, said.doubtful) {
            (true, false) => Health::Well,
            (true, true) => Health::Doubtful,
            (false, _) => Health::Ill,
        };
        Self { state, text: said.text, mend: said.mend }
    }
}

async fn directory(ad: &AdTargetConfig, pool: Option<&PgPool>, scope: &Scope) -> Vec<Finding> {
    let connector = AdConnector::new(super::ad_settings(ad));
    let units = scope.units();
    let mut said = connector.check(&units, Clock::System.now()).await;
    let answers = said.iter().any(|finding| finding.good);
    if let (Some(pool), true) = (pool, answers) {
        said.extend(connector.check_groups(&groups(pool, &ad.key).await).await);
    }
    let mut found: Vec<Finding> = said.into_iter().map(Finding::from).collect();
    if units.is_empty() {
        let text = "neither units in scope nor naming rules yet: name the units to be checked (with --unit at the command line)";
        found.push(Finding::new(Health::Doubtful, text));
    }
    found.extend(scope.contradicted());
    if let (Some(pool), false) = (pool, units.is_empty()) {
        found.extend(outside(pool, &ad.key, scope).await);
    }
    found
}

/// The groups of a directory that the catalogue offers or gives by rule, in scope.
async fn groups(pool: &PgPool, system: &str) -> Vec<Uuid> {
    let asked = sqlx::query_scalar!(
        "select distinct e.native_id from entitlement e join target_system t on t.key = e.system
         where e.system = $1 and e.kind = 'group_membership'
           and not exists (select from directory_group g where g.system = e.system and g.native_id = e.native_id
                              and (g.gone_at is not null or not in_scope(g.dn, t.scope)))",
        system
    );
    asked.fetch_all(pool).await.unwrap_or_default()
}

/// Accounts of people in places that are not ours, or that nobody looked at: what is asked for them may be refused.
async fn outside(pool: &PgPool, system: &str, scope: &Scope) -> Option<Finding> {
    let places = sqlx::query!(
        r#"select attributes->>'parent' as "parent!", count(*) as "count!" from account
           where system = $1 and person is not null and gone_at is null and attributes->>'parent' is not null
           group by 1 order by 2 desc, 1"#,
        system
    );
    let mut places = places.fetch_all(pool).await.ok()?;
    places.retain(|place| !scope.covers(&place.parent));
    let first = places.first()?;
    let (total, units): (i64, usize) = (places.iter().map(|place| place.count).sum(), places.len());
    let mut named = first.parent.clone();
    for place in places.iter().take(MOST_PLACES).skip(1) {
        named.push_str("; ");
        named.push_str(&place.parent);
    }
    let more = if units > MOST_PLACES { format!(" and {} more", units - MOST_PLACES) } else { String::new() };
    Some(Finding::new(Health::Doubtful, lie_outside(total, &format!("{named}{more}"), scope.set.is_whole())))
}

fn lie_outside(accounts: i64, places: &str, whole: bool) -> String {
    let (accounts, they, them) = match accounts {
        1 => ("1 account of a person lies".to_owned(), "it is", "it"),
        many => (format!("{many} accounts of people lie"), "they are", "them"),
    };
    let what = if whole {
        "waits for a person where the rights are not delegated (name the unit to check it)"
    } else {
        "is refused"
    };
    format!("{accounts} outside the units in scope, in {places}: {they} read, and what is asked for {them} {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_is_told_as_one() {
        assert_eq!(
            lie_outside(1, "OU=Werk", false),
            "1 account of a person lies outside the units in scope, in OU=Werk: it is read, and what is asked for it is refused"
        );
        assert!(lie_outside(3, "OU=Werk and 2 more", true).starts_with("3 accounts of people lie outside the units"));
    }

    fn own(units: &[&str]) -> Vec<String> {
        units.iter().map(|unit| (*unit).to_owned()).collect()
    }

    #[test]
    fn a_unit_is_looked_at_once() {
        let set = UnitScope { units: own(&["OU=Staff,DC=corp", "OU=Gone,DC=corp"]), excluded: Vec::new() };
        let scope = Scope {
            set,
            named: own(&["OU=Hamburg,OU=Staff,DC=corp", "OU=gone,DC=corp"]),
            asked: own(&["OU=Other,DC=corp"]),
        };
        assert_eq!(scope.units(), own(&["OU=Staff,DC=corp", "OU=Gone,DC=corp", "OU=Other,DC=corp"]));
        assert!(scope.contradicted().is_none());
        assert!(scope.covers("CN=a,OU=Staff,DC=corp") && !scope.covers("CN=a,OU=Other,DC=corp"));
    }

    #[test]
    fn naming_rules_that_lead_outside_are_told() {
        let set = UnitScope { units: own(&["OU=Staff,DC=corp"]), excluded: Vec::new() };
        let scope = Scope { set, named: own(&["OU=Gone,DC=corp"]), asked: Vec::new() };
        assert!(scope.contradicted().is_some_and(|finding| finding.text.contains("OU=Gone,DC=corp")));
    }
}
