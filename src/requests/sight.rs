//! Gathering what parsing and planning need to know, so that both stay pure.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{RequestError, sight_mail as mail};
use crate::catalog::{self, BirthrightInput, NameInput, Rules, Separation};
use crate::ids::{EntitlementId, PersonId, RequestId};
use crate::people;
use crate::plan::field::{FieldError, Raw};
use crate::plan::{AccountSight, Answers, GroupSight, Holds, Known, MailSight, RequestKind, Sight};
use crate::target::{State, SystemKey};

/// What the answers as typed may refer to.
///
/// # Errors
/// Where the database does not answer.
pub async fn known(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (kind, raw): (RequestKind, &Raw),
    own: Option<RequestId>,
) -> Result<Known, RequestError> {
    let mut known = Known {
        now,
        sites: people::sites(conn).await?,
        departments: people::departments(conn).await?,
        ..Known::default()
    };
    for field in ["person", "manager", "owner", "new_owner", "delegate", "forward_to", "lists_to"] {
        somebody(conn, &mut known, raw.first(field)).await?;
    }
    if kind.needs_exchange() || kind == RequestKind::Leaver {
        mail::known(conn, &mut known, (kind, raw), own).await?;
    }
    for field in ["groups", "leave"] {
        for typed in raw.all(field) {
            if let Some(id) = entitlement(conn, typed).await?
                && let Some(found) = catalog::find(conn, id).await?
            {
                known.entitlements.insert(typed.to_owned(), found);
            }
        }
    }
    if let Some(person) = known.people.get(raw.first("person")) {
        known.accounts = accounts(conn, person.id).await?;
        known.held = mail::held(conn, person.id).await?;
        known.open_twin = sqlx::query_scalar!(
            "select number from request
              where kind = $1 and subject = $2 and settled_at is null and id is distinct from $3
              order by number limit 1",
            kind.as_str(),
            person.id.0,
            own.map(|own| own.0)
        )
        .fetch_optional(&mut *conn)
        .await?;
    }
    let number = raw.first("employee_number");
    if !number.is_empty() {
        let holder = sqlx::query!(
            r#"select p.id as "id: PersonId", p.display_name from person p
                where p.employee_number = $1 and p.state not in ('withdrawn', 'erased')
                  and not exists (select from request r where r.id = $2 and r.subject = p.id)"#,
            number,
            own.map(|own| own.0)
        )
        .fetch_optional(&mut *conn)
        .await?;
        known.number_taken_by = holder.map(|row| (row.id, row.display_name));
    }
    Ok(known)
}

/// Looks up somebody who was typed.
pub(super) async fn somebody(conn: &mut PgConnection, known: &mut Known, typed: &str) -> Result<bool, sqlx::Error> {
    if typed.is_empty() {
        return Ok(false);
    }
    if !known.people.contains_key(typed)
        && let Some(id) = person(conn, typed).await?
        && let Some(person) = people::find(conn, id).await?
    {
        known.people.insert(typed.to_owned(), person);
    }
    Ok(known.people.contains_key(typed))
}

/// Whom that text means, if anybody.
///
/// # Errors
/// Where the database does not answer.
pub async fn somebody_typed(conn: &mut PgConnection, typed: &str) -> Result<Option<PersonId>, sqlx::Error> {
    if typed.is_empty() { Ok(None) } else { person(conn, typed).await }
}

/// Somebody by id, Tenure user name, account name or employee number.
async fn person(conn: &mut PgConnection, typed: &str) -> Result<Option<PersonId>, sqlx::Error> {
    if let Ok(id) = typed.parse::<PersonId>() {
        return Ok(Some(id));
    }
    sqlx::query_scalar!(
        r#"select person as "person!: PersonId" from (
               select s.person, 1 as rank from sign_in s where s.user_name_folded = lower($1)
               union all
               select p.id, 2 from person p where p.employee_number = $1 and p.state not in ('withdrawn', 'erased')
               union all
               select a.person, 3 from account a
                where lower(a.user_name) = lower($1) and a.person is not null and a.gone_at is null
           ) found order by rank limit 1"#,
        typed
    )
    .fetch_optional(conn)
    .await
}

async fn entitlement(conn: &mut PgConnection, typed: &str) -> Result<Option<EntitlementId>, sqlx::Error> {
    if let Ok(id) = typed.parse::<EntitlementId>() {
        return Ok(Some(id));
    }
    sqlx::query_scalar!(
        r#"select id as "id: EntitlementId" from entitlement where lower(name) = lower($1) order by id limit 1"#,
        typed
    )
    .fetch_optional(conn)
    .await
}

/// A person's accounts as the mirror last saw them, with direct memberships; ignored ones left out.
///
/// # Errors
/// Where the database does not answer or a row does not decode.
pub async fn accounts(conn: &mut PgConnection, person: PersonId) -> Result<Vec<AccountSight>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select a.system, a.native_id, a.user_name, a.display_name, a.kind,
                  a.attributes as "attributes: sqlx::types::Json<State>",
                  coalesce(json_agg(json_build_object('id', g.native_id, 'name', g.name, 'entitlement', e.id) order by g.name)
                           filter (where g.native_id is not null), '[]') as "groups!: sqlx::types::Json<Vec<GroupRow>>"
             from account a
             left join membership m on m.system = a.system and m.member_id = a.native_id
             left join directory_group g on g.system = m.system and g.native_id = m.group_id and g.gone_at is null
             left join entitlement e on e.system = g.system and e.native_id = g.native_id
            where a.person = $1 and a.gone_at is null and a.kind in ('person', 'admin')
            group by a.system, a.native_id
            order by a.kind desc, a.user_name"#,
        person.0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| AccountSight {
            system: SystemKey(row.system),
            id: row.native_id,
            user_name: row.user_name,
            display_name: row.display_name,
            kind: row.kind,
            state: row.attributes.0,
            groups: row.groups.0.into_iter().map(GroupSight::from).collect(),
        })
        .collect())
}

#[derive(Debug, serde::Deserialize)]
struct GroupRow {
    id: Uuid,
    name: String,
    entitlement: Option<EntitlementId>,
}

impl From<GroupRow> for GroupSight {
    fn from(row: GroupRow) -> Self {
        Self { id: row.id, name: row.name, entitlement: row.entitlement }
    }
}

/// What of the entitlements that rules of separation name somebody holds: by a grant, by the mirror, or by a request that is
/// on its way (`own` apart).
///
/// # Errors
/// Where the database does not answer.
pub async fn holds(
    conn: &mut PgConnection,
    person: PersonId,
    rules: &Separation,
    own: Option<RequestId>,
) -> Result<Holds, sqlx::Error> {
    let named: Vec<Uuid> = rules.named().into_iter().map(|id| id.0).collect();
    if named.is_empty() {
        return Ok(Holds::new());
    }
    let rows = sqlx::query!(
        r#"select e.id as "id: EntitlementId", e.name
             from entitlement e
            where e.id = any ($2)
              and (exists (select from access_grant g where g.person = $1 and g.entitlement = e.id and g.ended_at is null)
                   or exists (select from account a join membership m on m.system = a.system and m.member_id = a.native_id
                               where a.person = $1 and a.gone_at is null and e.kind = 'group_membership'
                                 and m.system = e.system and m.group_id = e.native_id)
                   or exists (select from request r
                                join item i on i.request = r.id and i.settled_at is null
                                join step s on s.item = i.id and s.state not in ('superseded', 'skipped', 'undone')
                               where r.subject = $1 and r.settled_at is null and r.id is distinct from $3
                                 and s.grant_effect->'give'->>'entitlement' = e.id::text))"#,
        person.0,
        &named,
        own.map(|own| own.0)
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut holds: Holds = rows.into_iter().map(|row| (row.id, row.name)).collect();
    let mail = mail::held(conn, person).await?;
    holds.extend(mail.into_iter().filter(|(id, _)| named.contains(&id.0)));
    Ok(holds)
}

/// What planning sees. `own`: the request whose reservations do not count as taken (it plans again).
///
/// # Errors
/// A field error where no directory is managed; else where the database does not answer.
pub async fn sight<'a>(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (answers, asked_by): (&Answers, PersonId),
    rules: &'a Rules,
    own: Option<RequestId>,
) -> Result<Sight<'a>, RequestError> {
    let systems = catalog::target_systems(conn).await?;
    let directory = systems.iter().map(|system| &system.key).find(|key| key.family() == "ad").cloned();
    let directory = directory.ok_or_else(|| {
        RequestError::Conflict("No directory is set up yet: an administrator adds a [[target]].".to_owned())
    })?;
    let position = sqlx::query!("select system, position from mirror_cursor").fetch_all(&mut *conn).await?;
    let mut sight = Sight {
        now,
        directory,
        position: position.into_iter().map(|row| (row.system, row.position)).collect(),
        scopes: super::sight_scope::scopes(&systems),
        left: Vec::new(),
        rules,
        taken: BTreeSet::new(),
        subject: None,
        accounts: Vec::new(),
        asked_by,
        manager: None,
        manager_account: None,
        site: None,
        holds: Holds::new(),
        entitlements: BTreeMap::new(),
        exchange: mail::organisations_of(systems),
        licence_groups: BTreeMap::new(),
        objects: BTreeMap::new(),
        owners: BTreeMap::new(),
        guarded: BTreeMap::new(),
        mail: MailSight::default(),
    };
    if let Some(subject) = answers.subject() {
        sight.subject = people::find(conn, subject).await?;
        sight.accounts = accounts(conn, subject).await?;
        if matches!(answers, Answers::Access(_)) && !rules.separation.body.rules.is_empty() {
            // Two who ask for one person at the same moment see each other's request.
            crate::evidence::hold(conn, &format!("person:{subject}")).await?;
            sight.holds = holds(conn, subject, &rules.separation.body, own).await?;
        }
    }
    mail::see(conn, &mut sight, answers).await?;
    super::sight_scope::leave(conn, &mut sight, answers).await?;
    let mut wanted: Vec<EntitlementId> = Vec::new();
    match answers {
        Answers::Joiner(joiner) => {
            sight.site = people::sites(conn).await?.into_iter().find(|site| site.code == joiner.site);
            sight.manager = people::find(conn, joiner.manager).await?;
            sight.manager_account = accounts(conn, joiner.manager)
                .await?
                .into_iter()
                .find(|account| account.kind == "person" && account.system == sight.directory)
                .map(|account| account.id);
            let birthright = BirthrightInput {
                department: joiner.department.clone(),
                site: joiner.site.clone(),
                kind: joiner.employment_type,
            };
            wanted.extend(rules.birthright.body.for_person(&birthright).into_iter().map(|(id, _)| id));
            wanted.extend(&joiner.groups);
            sight.taken = taken(conn, &sight, joiner, own).await?;
        }
        Answers::Access(access) => wanted.extend(access.groups.iter().chain(&access.leave)),
        _ => {}
    }
    sight.entitlements =
        catalog::find_many(conn, &wanted).await?.into_iter().map(|entitlement| (entitlement.id, entitlement)).collect();
    Ok(sight)
}

/// How many names are looked up beyond the first free one, at least.
const AHEAD: usize = 4;

/// Which of the names that the naming rule would try are taken.
///
/// The rule is run against what is known so far, and whatever it asks about is looked up, until it asks nothing new. It asks for
/// one name after another, so each time it is told of more unknown ones that they were taken, four times as many as before:
/// the thousandth of a name takes six rounds.
async fn taken(
    conn: &mut PgConnection,
    sight: &Sight<'_>,
    joiner: &crate::plan::joiner::Answers,
    own: Option<RequestId>,
) -> Result<BTreeSet<(String, String)>, RequestError> {
    let input = NameInput {
        given_name: joiner.given_name.clone(),
        family_name: joiner.family_name.clone(),
        display_name: joiner.display_name.clone(),
        kind: joiner.employment_type,
        site: joiner.site.clone(),
        department: joiner.department.clone(),
        employee_number: joiner.employee_number.clone(),
    };
    let mut known: BTreeMap<(String, String), bool> = BTreeMap::new();
    let mut ahead = AHEAD;
    loop {
        let asked: RefCell<BTreeMap<(String, String), bool>> = RefCell::default();
        let proposed = sight.rules.naming.body.propose(&input, &|namespace: &str, value: &str| {
            let name = (namespace.to_owned(), value.to_owned());
            if let Some(is_taken) = known.get(&name) {
                return *is_taken;
            }
            let mut asked = asked.borrow_mut();
            let beyond = asked.len() < ahead;
            *asked.entry(name).or_insert(beyond)
        });
        let new: Vec<(String, String)> = asked.into_inner().into_keys().collect();
        if new.is_empty() {
            proposed.map_err(|error| RequestError::Fields(vec![FieldError::new(&error.field, error.message)]))?;
            return Ok(known.into_iter().filter(|(_, is_taken)| *is_taken).map(|(name, _)| name).collect());
        }
        let found: BTreeSet<_> = look_up(conn, sight.directory.0.as_str(), &new, own).await?.into_iter().collect();
        known.extend(new.into_iter().map(|name| (name.clone(), found.contains(&name))));
        ahead *= 4;
    }
}

/// Those of the names (namespace, value) that somebody or something has, or that another request than `own` has reserved.
pub(super) async fn look_up(
    conn: &mut PgConnection,
    system: &str,
    names: &[(String, String)],
    own: Option<RequestId>,
) -> Result<Vec<(String, String)>, sqlx::Error> {
    let (namespaces, values): (Vec<&str>, Vec<&str>) =
        names.iter().map(|(namespace, value)| (namespace.as_str(), value.as_str())).unzip();
    let rows = sqlx::query!(
        r#"select n.namespace as "namespace!", n.value as "value!"
             from unnest($2::text[], $3::text[]) as n (namespace, value)
            where name_taken($1, n.namespace, n.value, $4)"#,
        system,
        &namespaces as &[&str],
        &values as &[&str],
        own.map(|own| own.0),
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.namespace, row.value)).collect())
}

/// What the plan was made from: the mirror's position and the versions of the rules. In evidence, not in the digest.
pub fn basis(sight: &Sight<'_>) -> serde_json::Value {
    let rules = sight.rules;
    let version = |version: i32, digest: &str| serde_json::json!({"version": version, "digest": digest});
    serde_json::json!({
        "mirror": sight.position,
        "settings": {
            "routes": version(rules.routes.version, &rules.routes.digest),
            "naming": version(rules.naming.version, &rules.naming.digest),
            "birthright": version(rules.birthright.version, &rules.birthright.digest),
            "separation": version(rules.separation.version, &rules.separation.digest),
            "service_levels": version(rules.service_levels.version, &rules.service_levels.digest),
        },
    })
}
