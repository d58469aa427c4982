//! The demo company: people, sign-ins, roles, catalogue and rules from a folder of data files, laid over whatever the lab's
//! directory holds. Done again it changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sqlx::PgPool;
use uuid::Uuid;

use crate::access::{Role, roles, sign_in, token};
use crate::catalog::{
    self, Birthright, BirthrightRule, Condition, Consequence, Held, Naming, NewEntitlement, Retention, Risk, Routes,
    Separation, SeparationRule, ServiceLevels,
};
use crate::clock::Clock;
use crate::config::{AdTargetConfig, Config, TargetConfig};
use crate::evidence::By;
use crate::evidence::signer::{Keeper, SignError};
use crate::ids::EntitlementId;
use crate::target::{Connector, SystemKey};
use crate::{connectors, grants, mirror, people};

#[derive(Deserialize)]
struct Demo {
    people: Vec<DemoPerson>,
}

#[derive(Deserialize)]
struct DemoPerson {
    user_name: String,
    employee_number: String,
    roles: Vec<String>,
}

#[derive(Deserialize)]
struct Group {
    name: String,
    description: String,
    /// Employee number.
    owner: String,
    risk: String,
    sox: bool,
    requestable: bool,
    #[serde(default)]
    birthright: Option<Condition>,
}

#[derive(Deserialize)]
struct SiteRow {
    code: String,
    name: String,
    zone: String,
    country: String,
}

/// Fills the database with the company in `folder`; returns a sentence that says what is there.
///
/// # Errors
/// What could not be read or done, with the file's name.
pub async fn company(pool: &PgPool, config: &Config, clock: Clock, folder: &Path) -> anyhow::Result<String> {
    let by = By { via: "command".to_owned(), ..By::default() };
    let now = clock.now();
    let directory = config.target.iter().find_map(|target| match target {
        TargetConfig::Ad(directory) => Some(directory),
        _ => None,
    });
    let directory = directory.context("no directory is configured: the demo needs one")?;
    let mut tx = pool.begin().await?;
    for site in csv::Reader::from_path(folder.join("sites.csv")).context("sites.csv")?.deserialize() {
        let site: SiteRow = site.context("sites.csv")?;
        let data = people::SiteData { code: &site.code, name: &site.name, zone: &site.zone, country: &site.country };
        people::site(&mut tx, now, &by, &data).await?;
    }
    for (key, name, observe_only, facts) in crate::targets::all(config) {
        catalog::target_system(&mut tx, now, &by, &key, (&name, observe_only), &facts).await?;
    }
    tx.commit().await?;
    let file = fs::File::open(folder.join("people.csv")).context("people.csv")?;
    let imported = people::import(pool, now, &by, file).await?.map_err(|errors| {
        anyhow::anyhow!("people.csv: {}", errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    })?;
    sign_ins(pool, config, &clock, &by, folder).await?;
    log_key(config)?;
    let connector = connectors::ad::AdConnector::new(settings(directory));
    let swept = sweep(pool, &connector, &clock).await?;
    let groups = catalogue(pool, &clock, &by, folder, directory).await?;
    let held = adopt(pool, &clock, &by, directory).await?;
    let mail = mail(pool, config, &clock, &by, folder).await?;
    Ok(format!(
        "People: {imported}. Directory: {swept} objects seen. Catalogue: {groups} groups, {mail} of Exchange. Access found: {held} new grants."
    ))
}

/// The demo makes its own key for the evidence log; a site does so with `tenure evidence keygen`.
fn log_key(config: &Config) -> anyhow::Result<()> {
    let Some(folder) = config.evidence.as_ref().and_then(|evidence| evidence.signer_dir.as_ref()) else {
        return Ok(());
    };
    let keeper = Keeper::new(folder);
    if matches!(keeper.head(), Err(SignError::NoKey(_))) {
        keeper.make("demo.example.com/evidence/1")?;
    }
    Ok(())
}

fn settings(ad: &AdTargetConfig) -> connectors::ad::AdSettings {
    connectors::ad::AdSettings {
        urls: ad.urls.clone(),
        bind_dn: ad.bind_dn.clone(),
        password: connectors::ad::BindPassword::File(ad.password_file.clone()),
        ca_file: ad.ca_file.clone(),
        ..connectors::ad::AdSettings::new(SystemKey(ad.key.clone()), String::new(), ad.base_dn.clone())
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))
}

/// The demo people's sign-ins, all with the one password, and their roles.
async fn sign_ins(pool: &PgPool, config: &Config, clock: &Clock, by: &By, folder: &Path) -> anyhow::Result<()> {
    let demo: Demo = read(&folder.join("demo.json"))?;
    let password = config.demo.password.as_deref().context("demo.password is not set")?;
    for person in demo.people {
        let mut tx = pool.begin().await?;
        let id = people::by_employee_number(&mut tx, &person.employee_number)
            .await?
            .with_context(|| format!("demo.json: nobody has the number {}", person.employee_number))?;
        if people::by_user_name(&mut tx, &person.user_name).await?.is_none() {
            sign_in::create(&mut tx, clock.now(), by, id, (&person.user_name, password)).await?;
        }
        for role in &person.roles {
            let role = Role::parse(role).with_context(|| format!("demo.json: “{role}” is not a role"))?;
            roles::give(&mut tx, clock.now(), by, id, role).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Looks at the whole directory once, so that the catalogue finds its groups.
async fn sweep(pool: &PgPool, connector: &dyn Connector, clock: &Clock) -> anyhow::Result<usize> {
    let mut seen = 0;
    for _ in 0..100 {
        let refreshed = mirror::refresh(pool, connector, clock.now()).await.context("looking at the directory")?;
        seen += refreshed.changed;
        if refreshed.changed == 0 {
            break;
        }
    }
    Ok(seen)
}

/// Groups as entitlements, and the rules, with the directory's own ids and places.
async fn catalogue(
    pool: &PgPool,
    clock: &Clock,
    by: &By,
    folder: &Path,
    directory: &AdTargetConfig,
) -> anyhow::Result<usize> {
    let groups: Vec<Group> = read(&folder.join("groups.json"))?;
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let found = sqlx::query!(
        "select name, native_id from directory_group where system = $1 and gone_at is null",
        directory.key
    )
    .fetch_all(&mut *tx)
    .await?;
    let native: BTreeMap<String, Uuid> = found.into_iter().map(|row| (row.name, row.native_id)).collect();
    let mut rules = Vec::new();
    let mut added = 0;
    for group in groups {
        let Some(native_id) = native.get(&group.name) else { continue };
        let new = NewEntitlement {
            system: SystemKey(directory.key.clone()),
            held: Held::GroupMembership,
            native_id: *native_id,
            right: String::new(),
            name: group.name.clone(),
            description: group.description,
            owner: people::by_employee_number(&mut tx, &group.owner).await?,
            risk: Risk::parse(&group.risk).with_context(|| format!("groups.json: risk of {}", group.name))?,
            sox: group.sox,
            requestable: group.requestable,
        };
        let id = catalog::add(&mut tx, now, by, &new).await?;
        added += 1;
        if let Some(when) = group.birthright {
            rules.push(BirthrightRule { name: rule_name(&when), when, entitlements: vec![id] });
        }
    }
    let routes: Routes = serde_json::from_str(include_str!("catalog/defaults/routes.json"))?;
    let levels: ServiceLevels = serde_json::from_str(include_str!("catalog/defaults/service_levels.json"))?;
    let note = "As it comes with the demo";
    catalog::release(&mut tx, now, by, &routes, note).await?;
    catalog::release(&mut tx, now, by, &levels, note).await?;
    catalog::release(&mut tx, now, by, &Retention::default(), note).await?;
    let naming = naming(&mut tx, directory).await?;
    catalog::release(&mut tx, now, by, &naming, note).await?;
    if !rules.is_empty() {
        catalog::release(&mut tx, now, by, &Birthright { rules }, note).await?;
    }
    let apart = separation(&mut tx, folder).await?;
    if !apart.rules.is_empty() {
        catalog::release(&mut tx, now, by, &apart, note).await?;
    }
    tx.commit().await?;
    Ok(added)
}

/// A rule of separation, its sides by name.
#[derive(Deserialize)]
struct Kept {
    name: String,
    reason: String,
    one: Vec<String>,
    other: Vec<String>,
    then: Consequence,
}

/// What nobody holds together, as far as the directory has it.
async fn separation(conn: &mut sqlx::PgConnection, folder: &Path) -> anyhow::Result<Separation> {
    let mut rules = Vec::new();
    for kept in read::<Vec<Kept>>(&folder.join("separation.json"))? {
        let (one, other) = (entries(conn, &kept.one).await?, entries(conn, &kept.other).await?);
        if !one.is_empty() && !other.is_empty() {
            let Kept { name, reason, then: consequence, .. } = kept;
            rules.push(SeparationRule { name, reason, one, other, consequence });
        }
    }
    Ok(Separation { rules })
}

async fn entries(conn: &mut sqlx::PgConnection, names: &[String]) -> anyhow::Result<Vec<EntitlementId>> {
    let mut ids = Vec::new();
    for name in names {
        ids.extend(catalog::by_name(conn, name).await?);
    }
    Ok(ids)
}

/// A shared mailbox or a room, and who answers for it.
#[derive(Deserialize)]
struct SharedMailbox {
    address: String,
    owner: String,
}

/// What Exchange has, and what of it can be asked for: rights on shared mailboxes, places on lists.
async fn mail(pool: &PgPool, config: &Config, clock: &Clock, by: &By, folder: &Path) -> anyhow::Result<usize> {
    let mut added = 0;
    for target in config.target.iter().filter(|target| !matches!(target, TargetConfig::Ad(_))) {
        let connector = crate::targets::exchange_connector(target)?;
        sweep(pool, &connector, clock).await?;
        let mut tx = pool.begin().await?;
        for shared in read::<Vec<SharedMailbox>>(&folder.join("mailboxes.json"))? {
            let Some(object) = mirror::mail::by_typed(&mut tx, &shared.address).await? else { continue };
            let owner = people::by_employee_number(&mut tx, &shared.owner).await?;
            if object.recipient.system.0 == target.key() {
                for (right, name) in crate::plan::mail::RIGHTS {
                    let name = format!("{name} – {}", object.recipient.name);
                    let held = (Held::MailboxPermission, right);
                    added += offer(&mut tx, (clock, by), (&object.recipient, held, name), owner).await?;
                }
            }
        }
        for object in mirror::mail::search(&mut tx, ("", Some(true)), 100).await? {
            let recipient = &object.recipient;
            if recipient.system.0 != target.key() || recipient.kind == "dynamic" {
                continue;
            }
            let owners = crate::plan::mail::ids_in(object.state.get("owners"));
            let ids: Vec<Uuid> = owners.iter().filter_map(|id| id.parse().ok()).collect();
            let owner = mirror::mail::by_ids(&mut tx, &ids).await?.into_iter().find_map(|owner| owner.recipient.person);
            let held = (Held::ListMembership, "");
            added += offer(&mut tx, (clock, by), (recipient, held, recipient.name.clone()), owner).await?;
        }
        tx.commit().await?;
    }
    Ok(added)
}

async fn offer(
    conn: &mut sqlx::PgConnection,
    (clock, by): (&Clock, &By),
    (recipient, (held, right), name): (&mirror::mail::Recipient, (Held, &str), String),
    owner: Option<crate::ids::PersonId>,
) -> anyhow::Result<usize> {
    let new = NewEntitlement {
        system: recipient.system.clone(),
        held,
        native_id: recipient.id,
        right: right.to_owned(),
        name,
        description: recipient.address.clone(),
        owner,
        risk: Risk::Normal,
        sox: false,
        requestable: true,
    };
    catalog::add(conn, clock.now(), by, &new).await?;
    Ok(1)
}

/// “location”, “department”, “type”: what a birthright rule looks at.
fn rule_name(when: &Condition) -> String {
    let parts = [
        when.site.is_some().then_some("location"),
        when.department.is_some().then_some("department"),
        when.kind.is_some().then_some("type"),
    ];
    let name = parts.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    if name.is_empty() { "everybody".to_owned() } else { name }
}

/// The naming rules that come with Tenure, with this directory's domain and one organisational unit per site.
async fn naming(conn: &mut sqlx::PgConnection, directory: &AdTargetConfig) -> anyhow::Result<Naming> {
    let mut naming: Naming = serde_json::from_str(include_str!("catalog/defaults/naming.json"))?;
    let base = &directory.base_dn;
    naming.upn_domain = SystemKey(directory.key.clone()).instance().to_owned();
    naming.parent = people::sites(conn)
        .await?
        .into_iter()
        .map(|site| (site.code.clone(), format!("OU={},OU=Staff,{base}", site.code)))
        .collect();
    naming.quarantine_ou = format!("OU=Quarantine,{base}");
    Ok(naming)
}

/// What newly linked accounts hold already becomes grants "before Tenure"; each account is adopted once.
async fn adopt(pool: &PgPool, clock: &Clock, by: &By, directory: &AdTargetConfig) -> anyhow::Result<u64> {
    let system = SystemKey(directory.key.clone());
    let mut tx = pool.begin().await?;
    let mut made = 0;
    for linked in mirror::linking::to_adopt(&mut tx, &system, i64::MAX).await? {
        let account = (system.0.as_str(), linked.account);
        made += grants::adopt(&mut tx, clock.now(), by, linked.person, account).await?;
        mirror::linking::adopted(&mut tx, clock.now(), &linked).await?;
    }
    tx.commit().await?;
    Ok(made)
}

/// An API token for one of the demo's people.
///
/// # Errors
/// Where there is no such user.
pub async fn token(pool: &PgPool, config: &Config, clock: Clock, user: &str) -> anyhow::Result<String> {
    let mut tx = pool.begin().await?;
    let person = people::by_user_name(&mut tx, user)
        .await?
        .with_context(|| format!("“{user}” is not a demo user; the sign-in page lists them"))?;
    let token = token::for_demo(&mut tx, clock.now(), &config.demo, person).await?;
    tx.commit().await?;
    Ok(token)
}
