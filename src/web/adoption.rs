//! Accounts that match no person: listed, and linked by hand.

use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum_extra::extract::Query;
use sqlx::{PgConnection, Postgres, QueryBuilder};
use uuid::Uuid;

use super::lookup;
use super::requests::{ROWS, links};
use super::view::adoption::{AdoptPage, AdoptionPage, Candidate, OrphanRow};
use super::view::forms::{FormErrors, picked};
use super::view::lists::Tab;
use super::view::parts::{Badge, Crumb, Empty, Fact, Facts, Link as ViewLink};
use super::view::shell::Nav;
use super::view::states;
use super::viewer::{self, Posted, Said, SignedIn};
use super::{AppState, Error, Fields, cursor, words};
use crate::access::{Object, Operation, op, permit};
use crate::ids::PersonId;
use crate::mirror::adoption::Rule;
use crate::mirror::linking::{self, Kind, Link};
use crate::mirror::look::{self, Account};
use crate::mirror::trial;
use crate::plan::RequestKind;
use crate::plan::field::Raw;
use crate::requests::sight;
use crate::target::SystemKey;

fn state_of(account: &Account) -> Badge {
    states::account(if account.locked {
        "locked"
    } else if account.enabled {
        "enabled"
    } else {
        "disabled"
    })
}

fn decided(account: &Account) -> Option<Badge> {
    match (account.person, account.kind.as_str()) {
        (Some(_), _) => Some(Badge::ok("linked")),
        (None, "unknown") => None,
        (None, "ignored") => Some(Badge::quiet("nobody’s")),
        (None, kind) => Some(Badge::quiet(kind.to_owned())),
    }
}

/// What is in doubt, in all systems: the account, and why.
pub async fn doubts(conn: &mut PgConnection) -> Result<HashMap<Uuid, &'static str>, Error> {
    let mut doubts = HashMap::new();
    for system in trial::systems(conn).await? {
        doubts.extend(trial::trials(conn, &system).await?.doubts);
    }
    Ok(doubts)
}

/// A page of accounts by name, and the cursor of the next.
async fn accounts(
    conn: &mut PgConnection,
    me: &SignedIn,
    fields: &Fields,
    doubts: &HashMap<Uuid, &'static str>,
) -> Result<(Vec<Account>, Option<String>), Error> {
    let after = cursor::open::<(String, Uuid)>(&me.live, fields.text("after"));
    let mut accounts = listed(conn, fields, doubts, (after, ROWS + 1)).await?;
    let more = i64::try_from(accounts.len()).unwrap_or(0) > ROWS;
    accounts.truncate(usize::try_from(ROWS).unwrap_or(50));
    let next = accounts.last().filter(|_| more).map(|last| cursor::seal(&me.live, &(&last.user_name, last.id)));
    Ok((accounts, next))
}

/// Accounts as the list's filter has them, by name, behind that place.
pub async fn listed(
    conn: &mut PgConnection,
    fields: &Fields,
    doubts: &HashMap<Uuid, &'static str>,
    (after, limit): (Option<(String, Uuid)>, i64),
) -> Result<Vec<Account>, Error> {
    let mut query = QueryBuilder::<Postgres>::new(
        "select a.system, a.native_id, a.user_name from account a join target_system t on t.key = a.system
          where a.gone_at is null",
    );
    let ours = if fields.text("view") == "outside" { " and not " } else { " and " };
    query.push(ours).push("(t.scope = '{}' or in_scope(a.dn, t.scope))");
    query.push(match fields.text("view") {
        "linked" => " and a.person is not null",
        "service" => " and a.person is null and a.kind = 'service'",
        "nobody" => " and a.person is null and a.kind not in ('unknown', 'service')",
        "outside" => "",
        _ => " and a.person is null and a.kind = 'unknown'",
    });
    if fields.text("view") == "doubt" {
        query.push(" and a.native_id = any(").push_bind(doubts.keys().copied().collect::<Vec<_>>()).push(")");
    }
    let like = fields.text("q").to_lowercase().replace(['%', '_', '\\', '\0'], "");
    if !like.is_empty() {
        query.push(" and (lower(a.user_name) like ").push_bind(format!("%{like}%"));
        query.push(" or lower(a.display_name) like ").push_bind(format!("%{like}%")).push(")");
    }
    if let Some((name, id)) = after {
        query.push(" and (a.user_name, a.native_id) > (").push_bind(name).push(", ").push_bind(id).push(")");
    }
    query.push(" order by a.user_name, a.native_id limit ").push_bind(limit);
    let found: Vec<(String, Uuid, String)> = query.build_query_as().fetch_all(&mut *conn).await?;
    let mut accounts = Vec::new();
    for (system, id, _) in &found {
        accounts.extend(look::account(conn, system, *id).await?);
    }
    Ok(accounts)
}

/// `GET /adoption`
pub async fn page(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeAdoption>(&mut conn, &me.actor(), Object::None).await?;
    let view = fields.text("view");
    let doubts = doubts(&mut conn).await?;
    let (accounts, next) = accounts(&mut conn, &me, &fields, &doubts).await?;
    let mut rows = Vec::new();
    for account in &accounts {
        rows.push(row(&mut conn, &me, account, doubts.get(&account.id)).await?);
    }
    let counts = trial::coverage(&mut conn).await?;
    let doubtful = i64::try_from(doubts.len()).unwrap_or(0);
    let tab = |key: &str, label: &str, count: i64| {
        let href = if key.is_empty() { "/adoption".to_owned() } else { format!("/adoption?view={key}") };
        Tab::new(label, u64::try_from(count).ok(), href, view == key)
    };
    let decided = counts.all - counts.open;
    let mut tabs = vec![
        tab("", "To look at", counts.open),
        tab("doubt", "Of these in doubt", doubtful),
        tab("linked", "Linked", counts.linked),
        tab("service", "Service", counts.service),
        tab("nobody", "Nobody’s", counts.nobodys),
    ];
    // Where the units are not bounded there is no outside.
    if counts.outside > 0 || view == "outside" {
        tabs.push(tab("outside", "Outside the units in scope", counts.outside));
    }
    let page = AdoptionPage {
        summary: format!("{decided} of {} accounts are decided about; {} to look at", counts.all, counts.open),
        percent: u8::try_from(decided * 100 / counts.all.max(1)).unwrap_or(100),
        tabs,
        places: vec![
            ViewLink::new("Try the rules", "/adoption/rules"),
            ViewLink::new("Held beyond the rules", "/adoption/beyond"),
        ],
        query: fields.text("q").to_owned(),
        view: view.to_owned(),
        rows,
        pager: links("/adoption", &fields, next),
        empty: match view {
            "" => Empty::new("Nothing to look at", "Every account is linked to a person, or known to be nobody’s."),
            _ => Empty::new("None", "No account stands so."),
        },
        shell: me.shell(&state, &mut conn, "Adoption", Nav::Adoption).await?,
    };
    viewer::page(&page)
}

async fn row(
    conn: &mut PgConnection,
    me: &SignedIn,
    account: &Account,
    doubt: Option<&&'static str>,
) -> Result<OrphanRow, Error> {
    let guess = match account.person {
        Some(person) => lookup::person(conn, person).await?.map(|line| line.name),
        None => look::suggestions(conn, account).await?.into_iter().next().map(|(_, name)| format!("{name}, by name")),
    };
    Ok(OrphanRow {
        name: account.user_name.clone(),
        href: format!("/adoption/{}", account.id),
        display_name: account.display_name.clone(),
        system: words::system(&account.system),
        place: account.dn.split_once(',').map_or("", |(_, place)| place).to_owned(),
        state: state_of(account),
        last_sign_in: account.last_sign_in_at.map(|at| me.when(at)),
        guess: guess.unwrap_or_default(),
        doubt: doubt.map_or("", |why| why).to_owned(),
        decided: decided(account),
    })
}

async fn find(conn: &mut PgConnection, id: Uuid) -> Result<Account, Error> {
    let system = sqlx::query_scalar!("select system from account where native_id = $1 and gone_at is null", id)
        .fetch_optional(&mut *conn)
        .await?
        .ok_or_else(Error::not_found)?;
    look::account(conn, &system, id).await?.ok_or_else(Error::not_found)
}

/// `GET /adoption/{account}`
pub async fn account(State(state): State<AppState>, Path(id): Path<Uuid>, me: SignedIn) -> Result<Response, Error> {
    show(&state, &me, id, StatusCode::OK, (FormErrors::default(), Fields::default())).await
}

async fn show(
    state: &AppState,
    me: &SignedIn,
    id: Uuid,
    status: StatusCode,
    (errors, fields): (FormErrors, Fields),
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeAdoption>(&mut conn, &me.actor(), Object::None).await?;
    let account = find(&mut conn, id).await?;
    let mut candidates = Vec::new();
    if account.person.is_none() {
        for (person, _) in look::suggestions(&mut conn, &account).await? {
            if let Some(line) = lookup::person(&mut conn, person).await? {
                candidates.push(Candidate { id: line.typed(), name: line.name.clone(), detail: line.position() });
            }
        }
    }
    let whose = match account.person {
        Some(person) => lookup::person(&mut conn, person).await?,
        None => None,
    };
    let groups = look::groups_of(&mut conn, &account.system, account.id).await?;
    let mut facts = vec![Fact::code("Place", &account.dn), Fact::code("Object id", account.id.to_string())];
    facts.extend(account.mail.as_ref().map(|mail| Fact::code("Mail", mail)));
    facts.extend(account.employee_number.as_ref().map(|number| Fact::code("Employee number", number)));
    facts.extend(whose.as_ref().map(|line| Fact::new("Linked to", &line.name).href(line.href())));
    facts.extend(account.linked_by_rule.as_ref().map(|rule| Fact::new("Linked by", rule.replace('_', " "))));
    let read_only = if !me.may(Operation::LinkAccount) {
        "You may look; linking is for the desk lead and administrators.".to_owned()
    } else if let Some(line) = &whose {
        format!("It is {}’s.", line.name)
    } else {
        String::new()
    };
    let page = AdoptPage {
        crumbs: vec![Crumb::to("Adoption", "/adoption"), Crumb::here(&account.user_name)],
        name: account.user_name.clone(),
        summary: [
            Some(words::system(&account.system)),
            Some(account.display_name.clone()),
            account.last_sign_in_at.map(|at| format!("last sign-in {}", me.when(at).relative)),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" · "),
        state: state_of(&account),
        facts: Facts(facts),
        groups: groups.into_iter().map(|group| group.name).collect(),
        candidates: if read_only.is_empty() { candidates } else { Vec::new() },
        errors,
        action: format!("/adoption/{id}"),
        link: fields.text("link").to_owned(),
        person: fields.text("person").to_owned(),
        comment: fields.raw("comment").to_owned(),
        read_only,
        shell: me.shell(state, &mut conn, account.user_name.clone(), Nav::Adoption).await?,
    };
    viewer::page_with(status, &page)
}

/// Somebody as typed into a picker.
async fn somebody(conn: &mut PgConnection, me: &SignedIn, typed: &str) -> Result<Option<PersonId>, Error> {
    let raw = Raw::from_pairs([("person".to_owned(), picked(typed).to_owned())]);
    let known = sight::known(conn, me.now, (RequestKind::Access, &raw), None).await?;
    Ok(known.people.values().next().map(|person| person.id))
}

/// `POST /adoption/{account}`
pub async fn link(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let account = find(&mut tx, id).await?;
    let mut errors = FormErrors::default();
    let person =
        if fields.text("person").is_empty() { None } else { somebody(&mut tx, &me, fields.text("person")).await? };
    let choice = fields.text("link");
    if !["person", "service", "nobody"].contains(&choice) {
        errors.add("link", "Choose whose it is");
    }
    if choice == "person" && person.is_none() {
        errors.add("person", "Choose a person from the list, or enter their user name or employee number");
    }
    if fields.text("comment").is_empty() && choice != "nobody" {
        errors.add("comment", "Say how you know; it goes into the evidence");
    }
    // Also before the form is shown again: whoever may not link is told so, not what to mend.
    let object = person.filter(|_| choice == "person").map_or(Object::None, Object::Person);
    let permit = permit::<op::LinkAccount>(&mut tx, &me.actor(), object).await?;
    if !errors.is_empty() {
        drop(tx);
        return show(&state, &me, id, StatusCode::UNPROCESSABLE_ENTITY, (errors, fields)).await;
    }
    let system = SystemKey(account.system.clone());
    let by = permit.by();
    let done = match (choice, person) {
        ("person", Some(person)) => {
            let rest = sqlx::query_scalar!(
                r#"select exists (select from account where person = $1 and kind = 'person' and gone_at is null) as "has!""#,
                person.0
            )
            .fetch_one(&mut *tx)
            .await?;
            let kind = if rest { Kind::Admin } else { Kind::Person };
            let link = Link { system: &system, account: id, person, kind, rule: Rule::Hand };
            linking::link(&mut tx, me.now, &by, &link).await.map_err(sqlx::Error::from)?
        }
        ("service", _) => {
            linking::classify(&mut tx, me.now, &by, (&system, id), Kind::Service).await.map_err(sqlx::Error::from)?
        }
        _ => linking::classify(&mut tx, me.now, &by, (&system, id), Kind::Ignored).await.map_err(sqlx::Error::from)?,
    };
    if !done {
        return Err(Error::wrong(
            super::view::errors::Wrong::Conflict,
            "Somebody has decided about this account meanwhile.",
        ));
    }
    tx.commit().await?;
    viewer::see_saying(&state, "/adoption", Said::Linked)
}
