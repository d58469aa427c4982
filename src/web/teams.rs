//! The team, the org chart, and searching.

use std::collections::HashMap;

use axum::extract::{OriginalUri, State};
use axum::response::Response;
use axum_extra::extract::Query;
use sqlx::PgConnection;

use super::lookup::{self, Find, Line};
use super::view::forms::PickerOptions;
use super::view::lists::Tab;
use super::view::parts::{Badge, Link, Person, When};
use super::view::people::{Hit, HitGroup, OrgNode, OrgPage, SearchPage, SuggestFragment, TeamPage, TeamRow};
use super::view::shell::Nav;
use super::view::states;
use super::viewer::{self, SignedIn};
use super::{AppState, Error, Fields, drafts, words};
use crate::access::{Object, Operation, op, permit};
use crate::catalog;
use crate::ids::PersonId;

/// Everybody who is or will be here and reports to the viewer, directly or through others.
pub(super) fn below(me: &SignedIn) -> Find {
    Find { team_of: Some(me.viewer().person), here: true, ..Find::default() }
}

/// `GET /team`
pub async fn team(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let all = Fields(query).text("view") == "all";
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeTeam>(&mut conn, &me.actor(), Object::None).await?;
    let lines = lookup::people(&mut conn, &below(&me), 500).await?;
    let direct = lines.iter().filter(|line| line.direct).count();
    let rows = lines.iter().filter(|line| all || line.direct).map(|line| TeamRow {
        person: Person::to(&line.name, line.href()),
        position: line.position(),
        badge: line.badge(me.today()),
        open: if line.open > 0 {
            words::count(usize::try_from(line.open).unwrap_or(0), "open request", "open requests")
        } else {
            String::new()
        },
        held: u32::try_from(line.held).ok(),
        actions: vec![
            Link::new("Access", format!("/requests/new/access?person={}", line.id)),
            Link::new("Leaves", format!("/requests/new/leaver?person={}", line.id)),
        ],
        level: u8::from(!line.direct),
    });
    let count = |number: usize| u64::try_from(number).ok();
    let page = TeamPage {
        summary: format!("{} to you, {} in all", words::count(direct, "person reports", "people report"), lines.len()),
        tabs: vec![
            Tab::new("Direct reports", count(direct), "/team", !all),
            Tab::new("Everybody below", count(lines.len()), "/team?view=all", all),
        ],
        csv: format!("/exports/team.csv{}", if all { "?view=all" } else { "" }),
        rows: rows.collect(),
        may_ask: me.may(Operation::AskJoiner),
        shell: me.shell(&state, &mut conn, "My team", Nav::Team).await?,
    };
    viewer::page(&page)
}

/// `GET /org`
pub async fn org(State(state): State<AppState>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SearchPeople>(&mut conn, &me.actor(), Object::None).await?;
    let lines = lookup::people(&mut conn, &Find { here: true, ..Find::default() }, 5000).await?;
    let known: HashMap<PersonId, &Line> = lines.iter().map(|line| (line.id, line)).collect();
    let mut below: HashMap<Option<PersonId>, Vec<&Line>> = HashMap::new();
    let mut loose = Vec::new();
    for line in &lines {
        let manager = line.employment.as_ref().and_then(|e| e.manager);
        if manager.is_some_and(|manager| !known.contains_key(&manager)) {
            loose.push(Person::to(&line.name, line.href()));
        }
        below.entry(manager.filter(|manager| known.contains_key(manager))).or_default().push(line);
    }
    // The path from the viewer up is unfolded.
    let mut path = vec![me.viewer().person];
    while let Some(manager) =
        path.last().and_then(|id| known.get(id)).and_then(|line| line.employment.as_ref()?.manager)
    {
        if path.contains(&manager) {
            break;
        }
        path.push(manager);
    }
    let roots: Vec<OrgNode> = below.get(&None).into_iter().flatten().map(|line| node(line, &below, &path, 0)).collect();
    let departments: std::collections::BTreeSet<_> =
        lines.iter().filter_map(|line| line.employment.as_ref()).map(|e| &e.department).collect();
    let page = OrgPage {
        summary: format!(
            "{}, {}",
            words::count(lines.len(), "person", "people"),
            words::count(departments.len(), "department", "departments")
        ),
        roots,
        loose,
        shell: me.shell(&state, &mut conn, "Org chart", Nav::People).await?,
    };
    viewer::page(&page)
}

fn node(line: &Line, below: &HashMap<Option<PersonId>, Vec<&Line>>, path: &[PersonId], depth: u8) -> OrgNode {
    // A circle of managers hangs together by itself and is never reached from the top; the depth is a second guard.
    let reports: Vec<OrgNode> = match depth {
        0..30 => {
            below.get(&Some(line.id)).into_iter().flatten().map(|line| node(line, below, path, depth + 1)).collect()
        }
        _ => Vec::new(),
    };
    OrgNode {
        person: Person::to(&line.name, line.href()),
        position: line.position(),
        badge: None,
        below: reports.iter().map(|report| report.below + 1).sum(),
        open: depth == 0 || path.contains(&line.id),
        reports,
    }
}

/// `GET /search/people?q=`: for pickers.
pub async fn pick(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let mut conn = state.pool.acquire().await?;
    permit::<op::SearchPeople>(&mut conn, &me.actor(), Object::None).await?;
    let find = Find { search: fields.text("q").to_owned(), here: true, ..Find::default() };
    let lines = lookup::people(&mut conn, &find, 8).await?;
    let options = lines.iter().map(|line| line.option(me.today())).collect();
    viewer::page(&PickerOptions { options, query: find.search })
}

/// `GET /search/mailboxes?q=` and `GET /search/lists?q=`: for pickers.
pub async fn pick_mail(
    State(state): State<AppState>,
    _me: SignedIn,
    OriginalUri(uri): OriginalUri,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let text = Fields(query).text("q").to_owned();
    let mut conn = state.pool.acquire().await?;
    let options = drafts::mail::options(&mut conn, &text, uri.path().ends_with("lists")).await?;
    viewer::page(&PickerOptions { options, query: text })
}

/// `GET /search?q=`
pub async fn search(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let text = Fields(query).text("q").to_owned();
    let mut conn = state.pool.acquire().await?;
    let groups = hits(&mut conn, &me, &text, 12).await?;
    let mut shell = me.shell(&state, &mut conn, "Search", Nav::None).await?;
    shell.search = text;
    viewer::page(&SearchPage { shell, groups })
}

/// `GET /search/suggest?q=`
pub async fn suggest(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let text = Fields(query).text("q").to_owned();
    let mut conn = state.pool.acquire().await?;
    let groups = hits(&mut conn, &me, &text, 4).await?;
    viewer::page(&SuggestFragment { query: text, groups })
}

/// What the viewer may find: people, requests that they may see, the catalogue.
async fn hits(conn: &mut PgConnection, me: &SignedIn, text: &str, limit: i64) -> Result<Vec<HitGroup>, Error> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let wide = me.may(Operation::SeeQueue) || me.may(Operation::SeeSettings);
    let people = lookup::people(conn, &Find { search: text.to_owned(), here: !wide, ..Find::default() }, limit).await?;
    let people = people.iter().map(|line| Hit {
        href: line.href(),
        title: line.name.clone(),
        detail: line.position(),
        badge: if wide { line.badge(me.today()) } else { None },
    });
    let requests = requests(conn, me, text, limit).await?;
    let catalogue = catalog::list(conn, text, false, None, limit).await?;
    let catalogue = catalogue.iter().map(|entitlement| Hit {
        href: format!("/catalogue/{}", entitlement.id),
        title: entitlement.name.clone(),
        detail: entitlement.description.clone(),
        badge: entitlement.sox.then(|| Badge::info("SOX")),
    });
    let group = |title: &str, hits: Vec<Hit>| HitGroup { title: title.to_owned(), hits };
    let groups =
        [group("People", people.collect()), group("Requests", requests), group("Catalogue", catalogue.collect())];
    Ok(groups.into_iter().filter(|group| !group.hits.is_empty()).collect())
}

/// The newest requests, which are looked through first. One or two letters are looked for in no others: no index has what is so
/// short, and in a million titles two letters that are in none take a second to find out.
const NEWEST: i64 = 1_000;

/// A word that many titles have is among the newest; one that few have is found by its index. Left to itself the planner goes
/// back from the newest for both, however old the last one is that has it.
async fn requests(conn: &mut PgConnection, me: &SignedIn, text: &str, limit: i64) -> Result<Vec<Hit>, Error> {
    let words = text.replace(['%', '_', '\\', '\0'], "");
    let newest = requests_among(conn, me, (text, &words), (limit, Some(NEWEST))).await?;
    if words.chars().count() < 3 || i64::try_from(newest.len()).is_ok_and(|found| found >= limit) {
        return Ok(newest);
    }
    requests_among(conn, me, (text, &words), (limit, None)).await
}

async fn requests_among(
    conn: &mut PgConnection,
    me: &SignedIn,
    (text, words): (&str, &str),
    (limit, newest): (i64, Option<i64>),
) -> Result<Vec<Hit>, Error> {
    let mut query = sqlx::QueryBuilder::<sqlx::Postgres>::new(
        "select r.number, r.title, r.state, r.asked_at from request r where ",
    );
    crate::access::scope::visible_requests(&mut query, me.viewer());
    let number = text.parse::<crate::ids::RequestNumber>().map_or(0, |number| number.0);
    let like = format!("%{words}%");
    query.push(" and r.number = any (array(select n.number from request n where n.title ilike ").push_bind(like);
    if let Some(newest) = newest {
        query.push(format_args!(" and n.number > (select max(number) - {newest} from request)"));
    }
    query.push(") || ").push_bind(number).push(")");
    query.push(format_args!(" order by r.number desc limit {limit}"));
    // Planned anew for each word: how many titles have it decides the way.
    let rows: Vec<(i64, String, String, chrono::DateTime<chrono::Utc>)> =
        query.build_query_as().persistent(false).fetch_all(conn).await?;
    let hits = rows.into_iter().map(|(number, title, state, asked_at)| Hit {
        href: format!("/requests/{number}"),
        title,
        detail: format!("REQ-{number:06} · asked {}", When::at(asked_at, me.now, me.live.zone).relative),
        badge: Some(states::request(&state)),
    });
    Ok(hits.collect())
}
