//! The list of requests, and what lists share: rows, pages by key.

use axum::extract::State;
use axum::response::Response;
use axum_extra::extract::Query;

use crate::access::Operation;
use crate::requests::list::{COUNTED, Filter, Key, Line, Sort};
use crate::requests::{self as asking};
use crate::web::view::forms::Choice;
use crate::web::view::lists::{RequestRow, RequestsPage, Tab};
use crate::web::view::parts::{Count, Empty, Pager};
use crate::web::view::shell::Nav;
use crate::web::view::states;
use crate::web::viewer::{self, SignedIn};
use crate::web::{AppState, Error, Fields, cursor};

/// Rows on a page of a list.
pub const ROWS: i64 = 50;

/// A line of a list as its row.
pub fn row(me: &SignedIn, line: &Line) -> RequestRow {
    let steps = |count: i64| u32::try_from(count).unwrap_or(0);
    let waits = line.waits_for.first().map_or(String::new(), |stage| format!("waits for {}", stage.to_lowercase()));
    let by = line.asked_by.clone().filter(|name| *name != me.viewer().name).unwrap_or_default();
    RequestRow {
        number: line.number.to_string(),
        href: format!("/requests/{}", line.number.0),
        title: line.title.clone(),
        detail: if line.settled_at.is_none() { waits } else { String::new() },
        state: states::request_progress(&line.state, steps(line.steps_done), steps(line.steps)),
        expected: line.resolve_by.filter(|_| line.settled_at.is_none()).map(|at| me.when(at)),
        asked: Some(me.when(line.asked_at)),
        asked_by: by,
        restricted: line.restricted,
    }
}

fn view<'a>(me: &SignedIn, fields: &'a Fields) -> &'a str {
    match fields.text("view") {
        "" if me.may(Operation::AskAccess) => "mine",
        "" => "all",
        other => other,
    }
}

/// What the list's fields ask for.
pub fn filter(me: &SignedIn, fields: &Fields) -> Filter {
    let mut filter =
        Filter { sort: Sort::Number, after: cursor::open(&me.live, fields.text("after")), ..Filter::default() };
    filter.state = Some(fields.text("state").to_owned()).filter(|state| !state.is_empty());
    filter.search = Some(fields.text("q").to_owned());
    match view(me, fields) {
        "mine" => filter.asked_by = Some(me.viewer().person),
        "about" => filter.subject = Some(me.viewer().person),
        "open" => filter.open = Some(true),
        _ => {}
    }
    filter
}

/// `GET /requests`
pub async fn list(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let mut conn = state.pool.acquire().await?;
    let view = view(&me, &fields);
    let filter = filter(&me, &fields);
    let mut lines = asking::list::list(&mut conn, me.viewer(), &filter, ROWS + 1).await?;
    let still = Filter { open: Some(true), after: None, ..filter.clone() };
    let [open] = asking::list::counts(&mut conn, me.viewer(), [&still]).await?;
    let pager = pager(&me, "/requests", &fields, &mut lines);
    let tab = |key: &str, label: &str| Tab::new(label, None, format!("/requests?view={key}"), view == key);
    let mut tabs =
        vec![tab("mine", "I asked for"), tab("about", "About me"), tab("open", "Open"), tab("all", "All I may see")];
    if !viewer::may_ask(&me.viewer().roles) {
        tabs.drain(..2);
    }
    let typed = fields.text("state");
    let state_words = ["deciding", "applying", "sent_back", "needs_person", "done", "rejected", "cancelled"];
    let mut choices = vec![Choice::new("", "All states").chosen_if(typed)];
    choices.extend(state_words.iter().map(|state| Choice::new(*state, states::request(state).word).chosen_if(typed)));
    let page = RequestsPage {
        shell: me.shell(&state, &mut conn, "Requests", Nav::Requests).await?,
        summary: format!("{} open", Count::up_to(open, COUNTED)),
        tabs,
        rows: lines.iter().map(|line| row(&me, line)).collect(),
        pager,
        empty: Empty::new("No requests here", "What you ask for, and what is asked about you, appears here."),
        may_ask: viewer::may_ask(&me.viewer().roles),
        states: choices,
        query: fields.text("q").to_owned(),
    };
    viewer::page(&page)
}

/// Cuts the extra line off and links to what follows; `after` is the place of the last line shown.
pub fn pager(me: &SignedIn, path: &str, fields: &Fields, lines: &mut Vec<Line>) -> Pager {
    let more = lines.len() > usize::try_from(ROWS).unwrap_or(usize::MAX);
    lines.truncate(usize::try_from(ROWS).unwrap_or(usize::MAX));
    let next = lines.last().filter(|_| more).map(|line| cursor::seal(&me.live, &Key::from(line)));
    links(path, fields, next)
}

/// Links around a page of a list: back to its start, on to what follows.
pub fn links(path: &str, fields: &Fields, next: Option<String>) -> Pager {
    let kept: String = fields
        .0
        .iter()
        .filter(|(name, value)| name != "after" && !value.is_empty())
        .map(|(name, value)| format!("&{}={}", crate::web::errors::encoded(name), crate::web::errors::encoded(value)))
        .collect();
    let to = |rest: String| format!("{path}?{}", format!("{rest}{kept}").trim_start_matches('&'));
    let first = (!fields.text("after").is_empty()).then(|| to(String::new()));
    let csv =
        crate::web::exports::of_page(path).map(|list| format!("/exports/{list}.csv?{}", kept.trim_start_matches('&')));
    Pager { csv, ..Pager::by_order(first, next.map(|next| to(format!("&after={next}"))), "") }
}
