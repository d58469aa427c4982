//! What can be proposed: rules, an entry of the catalogue, a site, a target system; what each is now, and what makes a
//! new body of it usable.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::settings::{self, CatalogError, Invalid, Setting, invalid};
use super::super::{
    Birthright, Held, Naming, NewEntitlement, Retention, Risk, Routes, Separation, ServiceLevels, UnitScope, Wording,
    entitlements, systems,
};
use super::within;
use crate::evidence::By;
use crate::ids::{EntitlementId, PersonId};
use crate::people::{self, Calendar};
use crate::target::SystemKey;

/// A kind of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Routes,
    Naming,
    Birthright,
    Separation,
    ServiceLevels,
    Retention,
    Mail,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::Routes,
        Self::Naming,
        Self::Birthright,
        Self::Separation,
        Self::ServiceLevels,
        Self::Retention,
        Self::Mail,
    ];

    /// The word in tables, records and addresses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Routes => Routes::KIND,
            Self::Naming => Naming::KIND,
            Self::Birthright => Birthright::KIND,
            Self::Separation => Separation::KIND,
            Self::ServiceLevels => ServiceLevels::KIND,
            Self::Retention => Retention::KIND,
            Self::Mail => Wording::KIND,
        }
    }

    fn wrong(self, body: &Json) -> Vec<Invalid> {
        fn of<T: Setting>(body: &Json) -> Vec<Invalid> {
            read::<T>(body).map_or_else(|wrong| vec![wrong], |setting| setting.wrong())
        }
        match self {
            Self::Routes => of::<Routes>(body),
            Self::Naming => of::<Naming>(body),
            Self::Birthright => of::<Birthright>(body),
            Self::Separation => of::<Separation>(body),
            Self::ServiceLevels => of::<ServiceLevels>(body),
            Self::Retention => of::<Retention>(body),
            Self::Mail => of::<Wording>(body),
        }
    }

    /// The body as its type writes it, so that equal settings are equal JSON.
    fn normal(self, body: &Json) -> Result<Json, Invalid> {
        Ok(match self {
            Self::Routes => json(&read::<Routes>(body)?),
            Self::Naming => json(&read::<Naming>(body)?),
            Self::Birthright => json(&read::<Birthright>(body)?),
            Self::Separation => json(&read::<Separation>(body)?),
            Self::ServiceLevels => json(&read::<ServiceLevels>(body)?),
            Self::Retention => json(&read::<Retention>(body)?),
            Self::Mail => json(&read::<Wording>(body)?),
        })
    }

    /// What counts where no version was ever released.
    fn unset(self) -> Json {
        let body = match self {
            Self::Routes => serde_json::to_value(Routes::default()),
            Self::Naming => serde_json::from_str(include_str!("../defaults/naming.json")),
            Self::Birthright => serde_json::to_value(Birthright::default()),
            Self::Separation => serde_json::to_value(Separation::default()),
            Self::ServiceLevels => serde_json::from_str(include_str!("../defaults/service_levels.json")),
            Self::Retention => serde_json::to_value(Retention::default()),
            Self::Mail => serde_json::to_value(Wording::default()),
        };
        body.unwrap_or_default()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Routes => "Routes",
            Self::Naming => "Naming rules",
            Self::Birthright => "Birthright",
            Self::Separation => "Separation of duties",
            Self::ServiceLevels => "Service levels",
            Self::Retention => "Retention",
            Self::Mail => "Wording of mails",
        })
    }
}

/// What a proposal changes. Its words are those of tables, records and addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Rules(Kind),
    /// `entitlement:<id>`; one that is not in the catalogue yet is added.
    Entitlement(EntitlementId),
    /// `site:<code>`; one that is not there yet is made.
    Site(String),
    /// `system:<key>`
    System(SystemKey),
}

impl Subject {
    pub fn parse(word: &str) -> Option<Self> {
        if let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.as_str() == word) {
            return Some(Self::Rules(kind));
        }
        let (kind, key) = word.split_once(':')?;
        match kind {
            "entitlement" => key.parse().ok().map(Self::Entitlement),
            "site" if !key.is_empty() && key.chars().count() <= 64 => Some(Self::Site(key.to_owned())),
            "system" if !key.is_empty() => Some(Self::System(SystemKey(key.to_owned()))),
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(kind) => f.write_str(kind.as_str()),
            Self::Entitlement(id) => write!(f, "entitlement:{id}"),
            Self::Site(code) => write!(f, "site:{code}"),
            Self::System(key) => write!(f, "system:{}", key.0),
        }
    }
}

/// An entry of the catalogue, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryBody {
    pub system: SystemKey,
    pub held: Held,
    /// The group's, list's or mailbox's immutable id.
    pub native_id: Uuid,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub right: String,
    pub name: String,
    pub description: String,
    pub owner: Option<PersonId>,
    pub risk: Risk,
    pub sox: bool,
    pub requestable: bool,
}

/// A site, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SiteBody {
    pub name: String,
    /// IANA.
    pub zone: String,
    /// Two letters.
    pub country: String,
    pub calendar: Calendar,
}

/// What is set of a target system beside the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemBody {
    /// Observe only: nothing is written to it, whatever the configuration says.
    pub observe_only: bool,
    /// A directory: the organisational units that Tenure works in; none: everything below the base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units_in_scope: Vec<String>,
    /// Units below these that it does not work in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub units_excluded: Vec<String>,
}

impl SystemBody {
    pub fn scope(&self) -> UnitScope {
        UnitScope { units: self.units_in_scope.clone(), excluded: self.units_excluded.clone() }
    }

    fn normal(&self) -> Self {
        let UnitScope { units, excluded } = self.scope().normal();
        Self { units_in_scope: units, units_excluded: excluded, ..self.clone() }
    }
}

/// A body as its kind has it.
///
/// # Errors
/// [`Invalid`] in serde's words, for what no form of ours makes.
pub fn read<T: DeserializeOwned>(body: &Json) -> Result<T, Invalid> {
    serde_json::from_value(body.clone()).map_err(|source| invalid("", format!("This cannot be read: {source}")))
}

/// What counts now: the version in force (0: none) and its body; null for an entry, a site or a system that is not there yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Current {
    pub version: i32,
    pub body: Json,
}

/// What counts now.
///
/// # Errors
/// Where the database does not answer.
pub async fn current(conn: &mut PgConnection, subject: &Subject) -> Result<Current, CatalogError> {
    let kind = subject.to_string();
    let row =
        sqlx::query!("select version, body from setting_version where kind = $1 order by version desc limit 1", kind)
            .fetch_optional(&mut *conn)
            .await?;
    let version = row.as_ref().map_or(0, |row| row.version);
    let body = match subject {
        Subject::Rules(kind) => {
            let body = row.map_or_else(|| kind.unset(), |row| row.body);
            kind.normal(&body).unwrap_or(body)
        }
        // These have rows of their own, which the command line writes as well.
        Subject::Entitlement(id) => entry(conn, *id).await?.map_or(Json::Null, |body| json(&body)),
        Subject::Site(code) => site(conn, code).await?.map_or(Json::Null, |body| json(&body)),
        Subject::System(key) => system(conn, key).await?.map_or(Json::Null, |body| json(&body)),
    };
    Ok(Current { version, body })
}

/// A body of that subject as its type writes it.
///
/// # Errors
/// [`Invalid`] where it is not of its kind.
pub fn normal(subject: &Subject, body: &Json) -> Result<Json, Invalid> {
    match subject {
        Subject::Rules(kind) => kind.normal(body),
        Subject::Entitlement(_) => Ok(json(&read::<EntryBody>(body)?)),
        Subject::Site(_) => Ok(json(&read::<SiteBody>(body)?)),
        Subject::System(_) => Ok(json(&read::<SystemBody>(body)?.normal())),
    }
}

fn json<T: Serialize>(body: &T) -> Json {
    serde_json::to_value(body).unwrap_or_default()
}

async fn entry(conn: &mut PgConnection, id: EntitlementId) -> Result<Option<EntryBody>, CatalogError> {
    Ok(entitlements::find(conn, id).await?.map(|known| EntryBody {
        system: known.system,
        held: known.held,
        native_id: known.native_id,
        right: known.right,
        name: known.name,
        description: known.description,
        owner: known.owner,
        risk: known.risk,
        sox: known.sox,
        requestable: known.requestable,
    }))
}

async fn site(conn: &mut PgConnection, code: &str) -> Result<Option<SiteBody>, CatalogError> {
    let found = people::whole_site(conn, code).await?;
    Ok(found.map(|site| SiteBody {
        name: site.name,
        zone: site.zone,
        country: site.country,
        calendar: site.calendar.unwrap_or_default(),
    }))
}

async fn system(conn: &mut PgConnection, key: &SystemKey) -> Result<Option<SystemBody>, CatalogError> {
    Ok(systems::find_system(conn, key).await?.map(|known| SystemBody {
        observe_only: known.held_back,
        units_in_scope: known.scope.units,
        units_excluded: known.scope.excluded,
    }))
}

/// Whether that body can come into force for that subject.
///
/// # Errors
/// [`CatalogError::Invalid`] naming each field and its mend.
pub async fn check(conn: &mut PgConnection, subject: &Subject, body: &Json) -> Result<(), CatalogError> {
    let kind = match subject {
        Subject::Rules(kind) => kind.as_str(),
        Subject::Entitlement(_) => "catalogue",
        Subject::Site(_) => "site",
        Subject::System(_) => "target system",
    };
    let mut wrong = match subject {
        Subject::Rules(kind) => kind.wrong(body),
        Subject::Entitlement(id) => match read::<EntryBody>(body) {
            Ok(entry) => wrong_entry(conn, *id, &entry).await?,
            Err(wrong) => vec![wrong],
        },
        Subject::Site(_) => read::<SiteBody>(body).map_or_else(|wrong| vec![wrong], |site| wrong_site(&site)),
        Subject::System(key) => match read::<SystemBody>(body) {
            Ok(system) => wrong_units(conn, key, &system).await?.into_iter().collect(),
            Err(wrong) => vec![wrong],
        },
    };
    // What it names, where it can be read.
    match subject {
        Subject::Rules(Kind::Birthright) => {
            let rules = read::<Birthright>(body).unwrap_or_default();
            let named = rules.rules.iter().map(|rule| [("entitlements", rule.entitlements.clone())]);
            wrong.extend(unknown(conn, named).await?);
            wrong.extend(within::birthright(conn, &rules).await?);
        }
        Subject::Rules(Kind::Separation) => {
            let rules = read::<Separation>(body).map(|body| body.rules).unwrap_or_default();
            let named = rules.into_iter().map(|rule| [("one", rule.one), ("other", rule.other)]);
            wrong.extend(unknown(conn, named).await?);
        }
        Subject::Rules(Kind::Naming) => wrong.extend(within::naming(conn, body).await?),
        _ => {}
    }
    settings::usable(kind, wrong)
}

fn wrong_site(site: &SiteBody) -> Vec<Invalid> {
    let mut wrong = Vec::new();
    if site.name.trim().is_empty() {
        wrong.push(invalid("name", "Give the site a name"));
    }
    if site.zone.parse::<chrono_tz::Tz>().is_err() {
        wrong.push(invalid("zone", format!("“{}” is not a time zone such as Europe/Berlin", site.zone)));
    }
    if !site.country.is_empty() && (site.country.len() != 2 || !site.country.bytes().all(|b| b.is_ascii_uppercase())) {
        wrong.push(invalid("country", "A country is two capital letters, such as DE"));
    }
    let calendar = site.calendar.check().err();
    wrong.extend(calendar.map(|(field, message)| invalid(format!("calendar.{field}"), message)));
    wrong
}

async fn wrong_entry(
    conn: &mut PgConnection,
    id: EntitlementId,
    entry: &EntryBody,
) -> Result<Vec<Invalid>, CatalogError> {
    let mut wrong = Vec::new();
    if entry.name.trim().is_empty() {
        wrong.push(invalid("name", "Give it a name that people understand"));
    } else if entitlements::by_name(conn, &entry.name).await?.is_some_and(|same| same != id) {
        wrong.push(invalid("name", format!("“{}” is in the catalogue already", entry.name)));
    }
    // An entry is its object: what it stands for never changes under those who hold it.
    let there = entitlements::by_native(conn, &entry.system, entry.native_id, (entry.held, &entry.right)).await?;
    if there.is_some_and(|there| there != id) {
        wrong.push(invalid("native_id", "This is in the catalogue already: change that entry"));
    } else if let Some(known) = entitlements::find(conn, id).await?
        && (&known.system, known.native_id, known.held) != (&entry.system, entry.native_id, entry.held)
    {
        wrong.push(invalid("native_id", "An entry stays what it is: add another for another object"));
    }
    let owner = match entry.owner {
        Some(owner) => people::find(conn, owner).await?,
        None => None,
    };
    wrong.extend(match (entry.owner, owner) {
        (None, _) if entry.sox => Some(invalid("owner", "What is in scope of SOX needs an owner, who decides")),
        (Some(_), None) => Some(invalid("owner", "Nobody of that name is known")),
        (Some(_), Some(person)) if person.state != "active" => {
            Some(invalid("owner", format!("{} does not work here now: choose somebody who does", person.display_name)))
        }
        _ => None,
    });
    Ok(wrong)
}

/// Entries that rules name and the catalogue does not have; by rule, the fields that name them.
async fn unknown<const FIELDS: usize>(
    conn: &mut PgConnection,
    rules: impl Iterator<Item = [(&'static str, Vec<EntitlementId>); FIELDS]>,
) -> Result<Vec<Invalid>, CatalogError> {
    let mut wrong = Vec::new();
    for (at, fields) in rules.enumerate() {
        for (field, named) in fields {
            let known = entitlements::find_many(conn, &named).await?;
            if let Some(missing) = named.iter().find(|id| !known.iter().any(|known| known.id == **id)) {
                wrong.push(invalid(format!("rules.{at}.{field}"), format!("{missing} is not in the catalogue")));
            }
        }
    }
    Ok(wrong)
}

async fn wrong_units(
    conn: &mut PgConnection,
    key: &SystemKey,
    body: &SystemBody,
) -> Result<Option<Invalid>, CatalogError> {
    let scope = body.scope();
    if key.family() != "ad" {
        let wrong = || invalid("units_in_scope", "Only a directory has organisational units");
        return Ok((!scope.is_whole()).then(wrong));
    }
    let base = systems::find_system(conn, key).await?.and_then(|known| known.facts.base);
    Ok(scope.check(base.as_deref()).err())
}

/// Brings what has rows of its own into the state that the body says.
pub(super) async fn apply(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    subject: &Subject,
    body: &Json,
) -> Result<(), CatalogError> {
    let unreadable = |wrong| CatalogError::Invalid { kind: "proposed", wrong: vec![wrong] };
    match subject {
        Subject::Rules(_) => {}
        Subject::Entitlement(id) => {
            let entry: EntryBody = read(body).map_err(unreadable)?;
            let new = NewEntitlement {
                system: entry.system,
                held: entry.held,
                native_id: entry.native_id,
                right: entry.right,
                name: entry.name,
                description: entry.description,
                owner: entry.owner,
                risk: entry.risk,
                sox: entry.sox,
                requestable: entry.requestable,
            };
            entitlements::put(conn, now, by, *id, &new).await?;
        }
        Subject::Site(code) => {
            let site: SiteBody = read(body).map_err(unreadable)?;
            let data = people::SiteData { code, name: &site.name, zone: &site.zone, country: &site.country };
            people::site(conn, now, by, &data).await?;
            people::site_calendar(conn, now, by, code, &site.calendar).await?;
        }
        Subject::System(key) => {
            let system: SystemBody = read(body).map_err(unreadable)?;
            systems::set(conn, now, by, key, (system.observe_only, &system.scope())).await?;
        }
    }
    Ok(())
}
