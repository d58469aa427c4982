//! The desk's queue: everything open, by what breaches next; assigning one or many.

use axum::extract::State;
use axum::response::Response;
use axum_extra::extract::Query;

use super::requests::{ROWS, agents, pager};
use super::view::errors::Wrong;
use super::view::forms::Choice;
use super::view::lists::Tab;
use super::view::parts::{Count, Empty, Meter, Tone};
use super::view::queue::{BulkAssignPage, BulkRow, QueuePage, QueueRow, SortHead};
use super::view::shell::Nav;
use super::view::states;
use super::viewer::{self, Posted, Said, SignedIn};
use super::{AppState, Error, Fields, cursor, words};
use crate::access::{Object, Operation, op, permit};
use crate::ids::{PersonId, RequestNumber};
use crate::plan::RequestKind;
use crate::requests::clocks::{AT_RISK, Board, Left, WaitsFor};
use crate::requests::list::{COUNTED, Filter, Line, Sort, counts, list};
use crate::requests::{desk, find};

/// The queue's views: its key in the address, its words.
const VIEWS: [(&str, &str); 5] = [
    ("", "All open"),
    ("mine", "Mine"),
    ("unassigned", "Unassigned"),
    ("risk", "At risk"),
    ("stuck", "Needs a person"),
];
/// The place of what is at risk among them.
const RISK: usize = 3;

/// What the queue's fields ask for.
pub fn filter(me: &SignedIn, fields: &Fields, view: &str) -> Filter {
    let some = |name: &str| Some(fields.text(name).to_owned()).filter(|text| !text.is_empty());
    let mut filter = Filter {
        open: Some(true),
        state: some("state"),
        kind: some("kind"),
        search: some("q"),
        assignee: fields.text("assignee").parse().ok(),
        sort: match fields.text("sort") {
            "number" => Sort::Number,
            "priority" => Sort::Priority,
            _ => Sort::Clock,
        },
        after: cursor::open(&me.live, fields.text("after")),
        ..Filter::default()
    };
    match view {
        "mine" => filter.assignee = Some(me.viewer().person),
        "unassigned" => filter.unassigned = true,
        "risk" => filter.at_risk = Some(me.now),
        "stuck" => filter.state = Some("needs_person".to_owned()),
        _ => {}
    }
    filter
}

/// `GET /queue`
pub async fn page(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let view = fields.text("view");
    let asked = filter(&me, &fields, view);
    let mut tx = if asked.is_planned_anew() { state.pool.begin().await? } else { state.reading().await? };
    let conn = &mut *tx;
    permit::<op::SeeQueue>(conn, &me.actor(), Object::None).await?;
    let views = VIEWS.map(|(key, _)| filter(&me, &Fields::default(), key));
    let mut lines = list(conn, me.viewer(), &asked, ROWS + 1).await?;
    let counted = counts(conn, me.viewer(), views.each_ref()).await?.map(|found| Count::up_to(found, COUNTED));
    let tabs = VIEWS.iter().zip(counted).map(|((key, label), count)| {
        let href = if key.is_empty() { "/queue".to_owned() } else { format!("/queue?view={key}") };
        Tab::new(label, None, href, view == *key).counted(count)
    });
    let pager = pager(&me, "/queue", &fields, &mut lines);
    let board = Board::read(conn).await?;
    let kinds = RequestKind::ASKABLE.iter().map(|kind| Choice::new(kind.as_str(), words::kind(kind.as_str())));
    let some_states =
        ["deciding", "applying", "sent_back", "needs_person"].map(|s| Choice::new(s, states::request(s).word));
    let chosen = |first: &str, choices: Vec<Choice>, typed: &str| -> Vec<Choice> {
        std::iter::once(Choice::new("", first)).chain(choices).map(|choice| choice.chosen_if(typed)).collect()
    };
    let assignees = agents(conn, None).await?.split_off(1);
    let sort = |label: &str, key: &str, how: &'static str| {
        let current = fields.text("sort") == key;
        SortHead::sorts(label, format!("/queue?view={view}&sort={key}"), if current { how } else { "" })
    };
    let page = QueuePage {
        summary: format!(
            "{} · sorted by {}",
            match view {
                "risk" => format!("{} at risk: {AT_RISK} % or more of their working time is used", counted[RISK]),
                _ => format!("{} open", counted[0]),
            },
            match asked.sort {
                Sort::Clock => "what breaches next",
                Sort::Number => "number, newest first",
                Sort::Priority => "priority",
            }
        ),
        tabs: tabs.collect(),
        query: fields.text("q").to_owned(),
        view: view.to_owned(),
        kinds: chosen("All kinds", kinds.collect(), fields.text("kind")),
        states: chosen("All states", some_states.to_vec(), fields.text("state")),
        assignees: chosen("Everybody", assignees.clone(), fields.text("assignee")),
        heads: vec![
            sort("Number", "number", "descending"),
            SortHead::plain("Request"),
            sort("Priority", "priority", "ascending"),
            SortHead::plain("State"),
            SortHead::plain("Assignee"),
            sort("Next clock", "", "ascending"),
        ],
        rows: lines.iter().map(|line| row(&me, &board, line)).collect(),
        agents: if me.may(Operation::Assign) { assignees } else { Vec::new() },
        here: here(&fields),
        pager,
        empty: match view {
            "risk" => Empty::new("Nothing is at risk here", "Every clock that runs has time left."),
            _ => Empty::new("Nothing is open here", "Look at another view, or take a break."),
        },
        shell: me.shell(&state, conn, "Queue", Nav::Queue).await?,
    };
    viewer::page(&page)
}

fn here(fields: &Fields) -> String {
    let pairs: Vec<String> = fields
        .0
        .iter()
        .map(|(name, value)| format!("{}={}", super::errors::encoded(name), super::errors::encoded(value)))
        .collect();
    if pairs.is_empty() { "/queue".to_owned() } else { format!("/queue?{}", pairs.join("&")) }
}

fn row(me: &SignedIn, board: &Board, line: &Line) -> QueueRow {
    let steps = |count: i64| u32::try_from(count).unwrap_or(0);
    let (clock, meter) = clock(me, board, line);
    let waits = line.waits_for.first().map_or(String::new(), |stage| format!(" · waits for {}", stage.to_lowercase()));
    QueueRow {
        id: line.number.0.to_string(),
        number: line.number.to_string(),
        title: line.title.clone(),
        detail: format!(
            "{}{waits}",
            line.asked_by.as_deref().map_or(String::new(), |name| format!("asked for by {name}"))
        ),
        restricted: line.restricted,
        priority: states::priority(u8::try_from(line.priority).unwrap_or(3)),
        state: states::request_progress(&line.state, steps(line.steps_done), steps(line.steps)),
        assignee: line.assignee.clone().unwrap_or_default(),
        clock,
        meter,
    }
}

/// The clock that runs out first, in working time.
fn clock(me: &SignedIn, board: &Board, line: &Line) -> (String, Option<Meter>) {
    match board.next(me.now, line) {
        None => (String::new(), None),
        Some(Left::Stands(WaitsFor::Requester, _)) => ("waits for the requester".to_owned(), None),
        Some(Left::Stands(WaitsFor::Day, until)) => {
            let until = until.map_or_else(|| "its day".to_owned(), |until| me.when(until).relative);
            (format!("waits until {until}"), None)
        }
        Some(Left::Over(by)) => (format!("overdue by {}", words::hours(by)), Some(Meter::new(100, Tone::Bad))),
        Some(Left::Runs { left, within }) => {
            let used = ((within - left).num_seconds() * 100 / within.num_seconds().max(1)).clamp(0, 100);
            let used = u8::try_from(used).unwrap_or(100);
            let tone = if used >= AT_RISK { Tone::Warn } else { Tone::Ok };
            (words::hours(left), Some(Meter::new(used, tone)))
        }
    }
}

/// `POST /queue/assignment`: several at once, after a preview where more than one is chosen.
pub async fn assign(State(state): State<AppState>, Posted { me, fields }: Posted) -> Result<Response, Error> {
    let back =
        Some(fields.text("back")).filter(|back| *back == "/queue" || back.starts_with("/queue?")).unwrap_or("/queue");
    let typed = match fields.text("assignee") {
        "me" => me.viewer().person.to_string(),
        "chosen" => fields.text("to").to_owned(),
        other => other.to_owned(),
    };
    let assignee: Option<PersonId> = match typed.as_str() {
        "" => None,
        id => Some(id.parse().map_err(|_| Error::wrong(Wrong::Senseless, "That is nobody of the desk."))?),
    };
    let numbers: Vec<RequestNumber> =
        fields.all("number").iter().filter_map(|number| number.parse().ok()).take(100).collect();
    if numbers.len() > 1 && fields.text("sure") != "yes" {
        return preview(&state, &me, &numbers, (assignee, back)).await;
    }
    for number in numbers {
        desk::assign(&state.pool, me.now, &me.actor(), number, assignee).await?;
    }
    viewer::see_saying(&state, back, Said::Assigned)
}

async fn preview(
    state: &AppState,
    me: &SignedIn,
    numbers: &[RequestNumber],
    (assignee, back): (Option<PersonId>, &str),
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let name = match assignee {
        Some(person) => super::lookup::person(&mut conn, person).await?.map_or("nobody".to_owned(), |line| line.name),
        None => "nobody".to_owned(),
    };
    let mut rows = Vec::new();
    for number in numbers {
        let Some(request) = find(&mut conn, *number).await? else { continue };
        if permit::<op::Assign>(&mut conn, &me.actor(), Object::Request(request.id)).await.is_err() {
            continue;
        }
        let included = request.settled_at.is_none();
        let before = request.assignee_name.unwrap_or_else(|| "unassigned".to_owned());
        rows.push(BulkRow {
            number: number.to_string(),
            title: request.title,
            effect: if included { format!("{before} → {name}") } else { "has ended already".to_owned() },
            included,
            id: number.0.to_string(),
        });
    }
    let included = rows.iter().filter(|row| row.included).count();
    let page = BulkAssignPage {
        shell: me.shell(state, &mut conn, "Assign", Nav::Queue).await?,
        title: format!("Assign {} to {name}?", words::count(included, "request", "requests")),
        rows,
        assignee: assignee.map_or(String::new(), |person| person.to_string()),
        back: back.to_owned(),
    };
    viewer::page(&page)
}
