//! The catalogue: what can be asked for, and what could be added to it.

use axum::extract::{Path, State};
use axum::response::Response;
use axum_extra::extract::Query;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::requests::{ROWS, links};
use super::view::catalogue::{CataloguePage, EntitlementPage, EntitlementRow, GroupRow, HolderRow, NewEntryPage};
use super::view::forms::Choice;
use super::view::lists::Tab;
use super::view::parts::{Crumb, Empty, Fact, Facts, Link, Pager, Person};
use super::view::progress::{Stage, StageMark, Stages};
use super::view::shell::Nav;
use super::view::states;
use super::viewer::{self, SignedIn};
use super::{AppState, Error, Fields, cursor, words};
use crate::access::{Object, Operation, op, permit, scope};
use crate::catalog::{self, About, Entitlement, RouteInput};
use crate::ids::{EntitlementId, PersonId};

/// Entitlements as the list's filter has them, by name, behind that place.
pub async fn listed(
    conn: &mut PgConnection,
    me: &SignedIn,
    fields: &Fields,
    (after, limit): (Option<(String, Uuid)>, i64),
) -> Result<Vec<EntitlementId>, Error> {
    let mut query = QueryBuilder::<Postgres>::new("select e.id from entitlement e where true");
    match fields.text("view") {
        "sox" => drop(query.push(" and e.sox")),
        "mine" => drop(query.push(" and e.owner = ").push_bind(me.viewer().person)),
        "orphan" => drop(query.push(" and e.owner is null")),
        _ => {}
    }
    let risk = fields.text("risk");
    if ["low", "normal", "high"].contains(&risk) {
        query.push(" and e.risk = ").push_bind(risk.to_owned());
    }
    let like = deunicode::deunicode(fields.text("q")).to_lowercase().replace(['%', '_', '\\', '\0'], "");
    if !like.is_empty() {
        query.push(" and e.folded like ").push_bind(format!("%{like}%"));
    }
    if let Some((name, id)) = after {
        query.push(" and (e.name, e.id) > (").push_bind(name).push(", ").push_bind(id).push(")");
    }
    query.push(" order by e.name, e.id limit ").push_bind(limit);
    Ok(query.build_query_scalar().fetch_all(conn).await?)
}

/// `GET /catalogue`
pub async fn page(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeCatalogue>(&mut conn, &me.actor(), Object::None).await?;
    let (view, risk) = (fields.text("view"), fields.text("risk"));
    let after = cursor::open::<(String, Uuid)>(&me.live, fields.text("after"));
    let mut ids = listed(&mut conn, &me, &fields, (after, ROWS + 1)).await?;
    let more = i64::try_from(ids.len()).unwrap_or(0) > ROWS;
    ids.truncate(usize::try_from(ROWS).unwrap_or(50));
    let found = catalog::find_many(&mut conn, &ids).await?;
    let next = found.last().filter(|_| more).map(|last| cursor::seal(&me.live, &(&last.name, last.id.0)));
    let counts = sqlx::query!(r#"select count(*) as "all!", count(*) filter (where sox) as "sox!" from entitlement"#)
        .fetch_one(&mut *conn)
        .await?;
    let tab = |key: &str, label: &str| {
        let href = if key.is_empty() { "/catalogue".to_owned() } else { format!("/catalogue?view={key}") };
        Tab::new(label, None, href, view == key)
    };
    let mut risks = vec![Choice::new("", "All risks").chosen_if(risk)];
    risks.extend(["low", "normal", "high"].map(|word| Choice::new(word, format!("{word} risk")).chosen_if(risk)));
    let rows = rows(&mut conn, &me, &found).await?;
    let (adds, settings) = (me.may(Operation::ProposeSetting), me.may(Operation::SeeSettings));
    let page = CataloguePage {
        summary: format!(
            "{}, {} in scope of SOX",
            words::count(usize::try_from(counts.all).unwrap_or(0), "entitlement", "entitlements"),
            counts.sox
        ),
        tabs: vec![tab("", "All"), tab("sox", "SOX"), tab("mine", "Mine to decide"), tab("orphan", "Without an owner")],
        query: fields.text("q").to_owned(),
        view: view.to_owned(),
        risks,
        rows,
        pager: links("/catalogue", &fields, next),
        empty: Empty::new("Nothing found", "Try another word, or another view."),
        places: [(adds, "Add an entry", "/catalogue/new"), (settings, "Settings", "/settings")]
            .into_iter()
            .filter(|(shown, _, _)| *shown)
            .map(|(_, label, href)| Link::new(label, href))
            .collect(),
        shell: me.shell(&state, &mut conn, "Catalogue", Nav::Catalogue).await?,
    };
    viewer::page(&page)
}

fn owner(entitlement: &Entitlement) -> Option<Person> {
    Some(Person::to(entitlement.owner_name.clone()?, format!("/people/{}", entitlement.owner?)))
}

/// Rows, with how many hold each where the viewer may know.
async fn rows(conn: &mut PgConnection, me: &SignedIn, found: &[Entitlement]) -> Result<Vec<EntitlementRow>, Error> {
    let ids: Vec<Uuid> = found.iter().map(|entitlement| entitlement.id.0).collect();
    let counted = sqlx::query!(
        r#"select entitlement as "id: EntitlementId", count(distinct person) as "holders!",
                  bool_or(person = $2) as "held!"
             from access_grant where entitlement = any($1) and ended_at is null group by entitlement"#,
        &ids,
        me.viewer().person.0
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut query = QueryBuilder::<Postgres>::new("select e.id from entitlement e where e.id = any(");
    query.push_bind(ids).push(") and ");
    scope::entitlements(&mut query, &scope::Who::of(me.viewer()), &Operation::SeeHolders.reaches(&me.viewer().roles));
    let told: Vec<EntitlementId> = query.build_query_scalar().fetch_all(conn).await?;
    let rows = found.iter().map(|entitlement| {
        let count = counted.iter().find(|count| count.id == entitlement.id);
        let holders = count.map_or(0, |count| u64::try_from(count.holders).unwrap_or(0));
        EntitlementRow {
            name: entitlement.name.clone(),
            href: format!("/catalogue/{}", entitlement.id),
            description: entitlement.description.clone(),
            kind: format!("{} · group", words::system(&entitlement.system.0)),
            owner: owner(entitlement),
            risk: states::risk(entitlement.risk.as_str()),
            sox: entitlement.sox,
            holders: told.contains(&entitlement.id).then_some(holders),
            held: count.is_some_and(|count| count.held),
        }
    });
    Ok(rows.collect())
}

/// `GET /catalogue/{id}`
pub async fn entitlement(
    State(state): State<AppState>,
    Path(id): Path<EntitlementId>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeCatalogue>(&mut conn, &me.actor(), Object::Entitlement(id)).await?;
    let found = catalog::find(&mut conn, id).await?.ok_or_else(Error::not_found)?;
    let holders_shown = permit::<op::SeeHolders>(&mut conn, &me.actor(), Object::Entitlement(id)).await.is_ok();
    let (holders, holders_summary, pager) = match holders_shown {
        true => holders(&mut conn, &me, id, &fields).await?,
        false => (Vec::new(), String::new(), Pager::default()),
    };
    let rules = catalog::rules(&mut conn).await.ok();
    let route = rules.as_ref().map_or(Stages::default(), |rules| route(&rules.routes.body, &found));
    let by_rule =
        rules.iter().flat_map(|rules| &rules.birthright.body.rules).filter(|rule| rule.entitlements.contains(&id));
    let facts = vec![
        match owner(&found) {
            Some(owner) => Fact::new("Owner", owner.name).href(owner.href.unwrap_or_default()),
            None => Fact::new("Owner", "nobody: a finding"),
        },
        Fact::new("System", words::system(&found.system.0)),
        Fact::code("Object id", found.native_id.to_string()),
    ];
    let may_ask = found.requestable && me.may(Operation::AskAccess);
    let page = EntitlementPage {
        crumbs: vec![Crumb::to("Catalogue", "/catalogue"), Crumb::here(&found.name)],
        name: found.name.clone(),
        description: found.description.clone(),
        sox: found.sox,
        risk: states::risk(found.risk.as_str()),
        facts: Facts(facts),
        route,
        by_rule: by_rule.map(|rule| format!("{}: {}", rule.name, condition(&rule.when))).collect(),
        holders_shown,
        holders,
        holders_summary,
        pager,
        ask: may_ask.then(|| Link::new("Ask for this", format!("/requests/new/access?join={id}"))),
        settings: me.may(Operation::SeeSettings).then(|| {
            Link::new(
                if me.may(Operation::ProposeSetting) { "Change" } else { "Versions" },
                format!("/settings/entitlement:{id}"),
            )
        }),
        shell: me.shell(&state, &mut conn, found.name.clone(), Nav::Catalogue).await?,
    };
    viewer::page(&page)
}

fn condition(when: &catalog::Condition) -> String {
    let parts = [
        when.department.as_ref().map(|name| format!("department {name}")),
        when.site.as_ref().map(|name| format!("site {name}")),
        when.kind.map(|kind| format!("contract {}", kind.as_str())),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "everybody".to_owned() } else { parts.join(", ") }
}

fn route(routes: &catalog::Routes, entitlement: &Entitlement) -> Stages {
    let about = About::Entitlement { risk: entitlement.risk, sox: entitlement.sox };
    let input = RouteInput {
        kind: "access".to_owned(),
        about,
        asked_by_manager: false,
        asked_by_owner: false,
        privileged: false,
    };
    let stages = routes.stages(&input);
    if stages.is_empty() {
        return Stages(vec![Stage::new(
            StageMark::NotNeeded,
            0,
            "Nobody is asked",
            &["Policy asks for no decision here."],
        )]);
    }
    let shown = stages.iter().map(|stage| {
        let name = match stage.role {
            catalog::DeciderRole::Manager => "Line manager",
            catalog::DeciderRole::Owner => "Owner",
            catalog::DeciderRole::Desk => "Service desk",
            catalog::DeciderRole::Security => "Security",
        };
        Stage::new(StageMark::Later, 0, name, &[stage.reason.as_str()])
    });
    Stages(shown.collect())
}

/// A grant of an entitlement, as its page tells it.
pub(super) struct Holding {
    pub id: Uuid,
    pub person: PersonId,
    pub display_name: String,
    reason: String,
    reason_text: String,
    pub starts_at: DateTime<Utc>,
    pub until_on: Option<NaiveDate>,
    pub number: Option<i64>,
}

impl Holding {
    /// What it follows from, in words.
    pub fn how(&self) -> String {
        match self.reason.as_str() {
            "rule" => format!("birthright: {}", self.reason_text),
            "before_tenure" => "before Tenure".to_owned(),
            _ => "asked for".to_owned(),
        }
    }
}

/// Who holds it now, by name.
pub(super) async fn held(
    conn: &mut PgConnection,
    id: EntitlementId,
    (after, limit): (Option<(String, Uuid)>, i64),
) -> Result<Vec<Holding>, sqlx::Error> {
    sqlx::query_as!(
        Holding,
        r#"select g.id, g.person as "person: PersonId", p.display_name, g.reason, g.reason_text, g.starts_at, g.until_on,
                  r.number as "number?"
             from access_grant g join person p on p.id = g.person
             left join item i on i.id = g.item left join request r on r.id = i.request
            where g.entitlement = $1 and g.ended_at is null
              and ($2::text is null or (p.display_name, g.id) > ($2, $3))
            order by p.display_name, g.id limit $4"#,
        id.0,
        after.as_ref().map(|(name, _)| name.as_str()),
        after.as_ref().map(|(_, id)| *id),
        limit
    )
    .fetch_all(conn)
    .await
}

async fn holders(
    conn: &mut PgConnection,
    me: &SignedIn,
    id: EntitlementId,
    fields: &Fields,
) -> Result<(Vec<HolderRow>, String, Pager), Error> {
    let mut rows = held(conn, id, (cursor::open(&me.live, fields.text("after")), ROWS + 1)).await?;
    let more = i64::try_from(rows.len()).unwrap_or(0) > ROWS;
    rows.truncate(usize::try_from(ROWS).unwrap_or(50));
    let next = rows.last().filter(|_| more).map(|row| cursor::seal(&me.live, &(&row.display_name, row.id)));
    let count = sqlx::query_scalar!(
        r#"select count(distinct person) as "count!" from access_grant where entitlement = $1 and ended_at is null"#,
        id.0
    )
    .fetch_one(conn)
    .await?;
    let holders = rows.into_iter().map(|row| HolderRow {
        how: row.how(),
        person: Person::to(row.display_name, format!("/people/{}", row.person)),
        since: Some(me.when(row.starts_at)),
        until: row.until_on.map(|day| me.day(day)),
        reason: row.number.map(|number| Link::new(format!("REQ-{number:06}"), format!("/requests/{number}"))),
    });
    let summary = words::count(usize::try_from(count).unwrap_or(0), "person", "people");
    let pager = links(&format!("/catalogue/{id}"), fields, next);
    let csv = (count > 0).then(|| format!("/exports/holders.csv?entitlement={id}"));
    Ok((holders.collect(), summary, Pager { csv, ..pager }))
}

/// `GET /catalogue/new`
pub async fn new(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let mut conn = state.pool.acquire().await?;
    permit::<op::ProposeSetting>(&mut conn, &me.actor(), Object::None).await?;
    let like = fields.text("q").to_lowercase().replace(['%', '_', '\\', '\0'], "");
    let after: Option<(String, Uuid)> = cursor::open(&me.live, fields.text("after"));
    let mut rows = sqlx::query!(
        r#"select g.system, g.native_id, g.name, g.description, g.dn,
                  (select count(*) from membership m where m.system = g.system and m.group_id = g.native_id) as "members!"
             from directory_group g
            where g.gone_at is null
              and not exists (select from entitlement e where e.system = g.system and e.native_id = g.native_id
                                 and e.kind = 'group_membership')
              and ($1 = '' or lower(g.name) like '%' || $1 || '%' or lower(g.description) like '%' || $1 || '%')
              and ($2::text is null or (g.name, g.native_id) > ($2, $3))
            order by g.name, g.native_id limit $4"#,
        like,
        after.as_ref().map(|(name, _)| name.as_str()),
        after.as_ref().map(|(_, id)| *id),
        ROWS + 1
    )
    .fetch_all(&mut *conn)
    .await?;
    let more = i64::try_from(rows.len()).unwrap_or(0) > ROWS;
    rows.truncate(usize::try_from(ROWS).unwrap_or(50));
    let next = rows.last().filter(|_| more).map(|row| cursor::seal(&me.live, &(&row.name, row.native_id)));
    let rows = rows.into_iter().map(|row| GroupRow {
        text: if row.description.is_empty() { row.dn } else { format!("{} · {}", row.description, row.dn) },
        name: row.name,
        system: row.system,
        native_id: row.native_id.to_string(),
        members: words::count(usize::try_from(row.members).unwrap_or(0), "member", "members"),
    });
    let page = NewEntryPage {
        crumbs: vec![Crumb::to("Catalogue", "/catalogue"), Crumb::here("Add an entry")],
        summary: "Groups of the directory that are not in the catalogue. An entry is proposed by you and released by another administrator.".to_owned(),
        query: fields.text("q").to_owned(),
        rows: rows.collect(),
        pager: links("/catalogue/new", &fields, next),
        empty: Empty::new("No such group", "Every group that fits is in the catalogue already, or was not seen in the directory yet."),
        shell: me.shell(&state, &mut conn, "Add to the catalogue", Nav::Catalogue).await?,
    };
    viewer::page(&page)
}
