//! One request's page: plan by item, stages, clocks, timeline; and the fragment that moves.

use super::find;
use std::collections::HashMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::{self, Object, Operation, Role, op, permit, scope};
use crate::changes::{self, secret};
use crate::evidence::history;
use crate::ids::PersonId;
use crate::people::Hours;
use crate::requests::clocks::{AT_RISK, Told, WaitsFor};
use crate::requests::{self as asking, Item, Request};
use crate::web::view::forms::{Choice, FormErrors};
use crate::web::view::parts::{Badge, Crumb, Fact, Facts, Link, Meter, Tone};
use crate::web::view::plan::{ItemView, PlanView, StepAction};
use crate::web::view::progress::{ClockView, Clocks, Stage, StageMark, Stages};
use crate::web::view::request::{AssignForm, MenuAction, Moving, Notice, RequestLiveFragment, RequestPage};
use crate::web::view::shell::Nav;
use crate::web::view::states;
use crate::web::viewer::{self, SignedIn};
use crate::web::{AppState, Error, away, plans, timeline, words};

/// Everything that the parts of a request's page are made from.
struct Read {
    request: Request,
    items: Vec<Item>,
    stages: Vec<asking::Stage>,
    steps: Vec<changes::Step>,
    visible: scope::Items,
    /// Ordinals of items that wait for the viewer, and for whom.
    decidable: Vec<(i32, Option<PersonId>)>,
    secrets: Vec<secret::Waiting>,
    entries: Vec<history::Entry>,
    roles: Vec<Role>,
    names: plans::Names,
    clocks: Option<([Told; 2], Hours)>,
    away: away::Away,
}

impl Read {
    async fn read(conn: &mut PgConnection, me: &SignedIn, number: &str) -> Result<Self, Error> {
        let request = find(conn, number).await?;
        let seen = permit::<op::See>(conn, &me.actor(), Object::Request(request.id)).await?;
        let steps = changes::steps(conn, request.id, false).await?;
        Ok(Self {
            items: asking::items(conn, request.id).await?,
            stages: asking::stages(conn, request.id).await?,
            visible: scope::visible_items(conn, me.viewer(), request.id).await?,
            decidable: asking::decide::decidable(conn, me.now, request.id, me.viewer().person).await?,
            secrets: secret::of_request(conn, request.id).await?,
            entries: history::timeline(conn, request.number.0).await?,
            roles: seen.roles().to_vec(),
            clocks: asking::clocks::told(conn, me.now, &request).await?,
            away: away::of_request(conn, me, request.id).await?,
            names: plans::Names::of(conn, steps.iter().map(|step| (&step.difference, &step.key))).await?,
            steps,
            request,
        })
    }

    fn shown(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| self.visible.shows(item.id))
    }

    fn moving(&self, me: &SignedIn, csrf: &str) -> Moving {
        let done =
            self.steps.iter().filter(|step| matches!(step.state.as_str(), "applied" | "unchanged" | "skipped")).count();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Moving {
            state: Some(states::request_progress(&self.request.state, count(done), count(self.steps.len()))),
            notices: self.notices(me),
            stages: self.stages(me),
            clocks: clocks(me, self.clocks.as_ref()),
            plan: PlanView {
                id: "plan".to_owned(),
                csrf: csrf.to_owned(),
                ..PlanView::new(self.shown().map(|item| self.item(me, item)).collect())
            },
        }
    }

    fn item(&self, me: &SignedIn, item: &Item) -> ItemView {
        let steps = self.steps.iter().filter(|step| step.item == item.id);
        let steps = steps.map(|step| plans::step(me, &self.names, step, self.actions(step))).collect();
        let waits = self.decidable.iter().any(|(ordinal, _)| *ordinal == item.ordinal);
        let decide = format!("/requests/{}/items/{}/decision", self.request.number.0, item.ordinal);
        let open = self.stages.iter().find(|stage| stage.item == item.id && stage.state == "open");
        let note = match (&item.why, open) {
            (Some(why), _) => why.clone(),
            (None, Some(stage)) => format!("{} decides: {}", stage.name, stage.reason.trim_end_matches('.')),
            (None, None) => String::new(),
        };
        ItemView {
            ordinal: u32::try_from(item.ordinal).unwrap_or(0),
            label: item.label.clone(),
            sox: item.sox,
            note,
            digest_short: words::short(&item.digest),
            badge: Some(states::item(&item.state)),
            action: waits.then(|| Link::new("Decide", decide)),
            ..ItemView::bare(steps)
        }
    }

    fn actions(&self, step: &changes::Step) -> Vec<StepAction> {
        let base = format!("/requests/{}/steps/{}", self.request.number.0, step.id);
        let stopped = matches!(step.state.as_str(), "blocked" | "retrying");
        let mut actions = Vec::new();
        if stopped && Operation::RetryStep.may(&self.roles) {
            actions.push(StepAction::post("Try again now", format!("{base}/retry")));
        }
        if stopped && Operation::SkipStep.may(&self.roles) {
            actions.push(StepAction::ask("Leave it out …", format!("{base}/skip")));
        }
        actions
    }

    fn notices(&self, me: &SignedIn) -> Vec<Notice> {
        let number = self.request.number.0;
        let mut notices = Vec::new();
        for (ordinal, _) in &self.decidable {
            let label = self.items.iter().find(|item| item.ordinal == *ordinal).map_or("", |item| &item.label);
            notices.push(Notice {
                tone: Tone::Warn,
                lead: "This waits for you.".to_owned(),
                text: format!("Item {ordinal}, {label}, needs your decision."),
                action: Some(Link::new("Decide", format!("/requests/{number}/items/{ordinal}/decision"))),
            });
        }
        let mine = me.viewer().person;
        for waiting in self
            .secrets
            .iter()
            .filter(|secret| secret.reader == mine && secret.revealed_at.is_none() && !secret.expired)
        {
            let ready = waiting.usable && waiting.readable_from <= me.now;
            let text = match (ready, waiting.usable) {
                (true, _) => "It is shown once, to you.".to_owned(),
                (false, true) => format!("You can see it from {} on.", plans::later(me, Some(waiting.readable_from))),
                (false, false) => "It is there as soon as the account has it.".to_owned(),
            };
            notices.push(Notice {
                tone: if ready { Tone::Ok } else { Tone::Quiet },
                lead: if ready { "The password is ready." } else { "The password will be handed to you." }.to_owned(),
                text,
                action: ready.then(|| Link::new("Reveal", format!("/secrets/{}", waiting.id))),
            });
        }
        if self.request.state == "sent_back" && self.request.asked_by == Some(mine) {
            notices.push(Notice {
                tone: Tone::Warn,
                lead: "This was sent back to you.".to_owned(),
                text: "Read the question in the timeline, then change the answers; what comes out the same keeps its decisions.".to_owned(),
                action: Some(Link::new("Change the answers", format!("/requests/{number}/answers"))),
            });
        }
        if let Some(step) = self.steps.iter().find(|step| step.state == "blocked") {
            notices.push(Notice {
                tone: Tone::Bad,
                lead: format!("{} needs a person.", step.label),
                text: step.told.clone().unwrap_or_default(),
                action: None,
            });
        }
        notices
    }

    fn stages(&self, me: &SignedIn) -> Stages {
        let several = self.items.len() > 1;
        let mut shown = Vec::new();
        for item in self.shown() {
            let ordinal = if several { u32::try_from(item.ordinal).unwrap_or(0) } else { 0 };
            let of_item: Vec<_> = self.stages.iter().filter(|stage| stage.item == item.id).collect();
            if of_item.is_empty() {
                shown.push(Stage::new(
                    StageMark::NotNeeded,
                    ordinal,
                    "Nobody is asked",
                    &["Policy asks for no decision here."],
                ));
            }
            shown.extend(of_item.into_iter().map(|found| stage(me, &self.away, ordinal, found)));
        }
        Stages(shown)
    }

    fn timeline(&self, me: &SignedIn) -> crate::web::view::Timeline {
        let labels: HashMap<Uuid, String> = self.steps.iter().map(|step| (step.id.0, step.label.clone())).collect();
        let ordinals: Vec<i32> = self.shown().map(|item| item.ordinal).collect();
        let all = self.visible == scope::Items::All;
        timeline::of(me, &self.entries, &labels, |item| all || item.is_none_or(|item| ordinals.contains(&item)))
    }

    fn more(&self, me: &SignedIn, state: &AppState) -> Vec<MenuAction> {
        let number = self.request.number.0;
        let (open, mine) = (self.request.settled_at.is_none(), self.request.asked_by == Some(me.viewer().person));
        let mut more = Vec::new();
        if open && mine && self.request.kind != "expiry" {
            more.push(MenuAction::link("Change the answers …", format!("/requests/{number}/answers")));
        }
        if open && Operation::Prioritise.may(&self.roles) {
            more.push(MenuAction::link("Set the priority …", format!("/requests/{number}/priority")));
        }
        if open && (mine || self.roles.contains(&Role::Desk)) {
            more.push(MenuAction::link("Cancel the request …", format!("/requests/{number}/cancellation")).danger());
        }
        if Operation::SeeHistory.may(&self.roles) {
            more.push(MenuAction::link("In the change history", format!("/history?q={}", self.request.number)));
        }
        let discreet = self.request.restricted && self.request.settled_at.is_none();
        if Operation::TakeReport.may(&self.roles) && state.config.evidence.is_some() && !discreet {
            more.push(MenuAction::post("Take as evidence bundle", format!("/history/bundle?request={number}")));
        }
        more
    }
}

pub fn stage(me: &SignedIn, away: &away::Away, item: u32, stage: &asking::Stage) -> Stage {
    let mark = match stage.state.as_str() {
        "approved" => StageMark::Approved,
        "open" => StageMark::Asked,
        "rejected" | "sent_back" => StageMark::Refused,
        _ => StageMark::Later,
    };
    let mut lines = Vec::new();
    if mark == StageMark::Asked {
        if !stage.deciders.is_empty() {
            lines.push(format!("asked: {}", stage.deciders.join(", ")));
        }
        lines.extend(away.lines(me, stage.id));
        lines.extend(stage.opened_at.map(|at| format!("asked {}", me.when(at).relative)));
    }
    let mut comment = String::new();
    for decision in &stage.decisions {
        let did = match decision.verdict.as_str() {
            "approve" => "approved",
            "reject" => "rejected",
            _ => "sent it back",
        };
        let for_whom = decision.stands_for.as_ref().map_or(String::new(), |name| format!(" for {name}"));
        lines.push(format!("{} {did}{for_whom}, {}", decision.name, me.when(decision.decided_at).relative));
        comment.clone_from(&decision.comment);
    }
    lines.push(stage.reason.clone());
    Stage { mark, item, name: stage.name.clone(), lines, comment }
}

fn clocks(me: &SignedIn, told: Option<&([Told; 2], Hours)>) -> Clocks {
    let Some(([response, resolution], hours)) = told else { return Clocks::default() };
    let shown = [("First response", response), ("Resolution", resolution)].map(|(name, told)| clock(me, name, told));
    let mut shown = shown.to_vec();
    if let Some(last) = shown.last_mut() {
        last.sub.push(match hours.calendar {
            Some(_) if !hours.name.is_empty() => format!("Working time of {}", hours.name),
            Some(_) => "Working time".to_owned(),
            None => "Counted around the clock".to_owned(),
        });
    }
    Clocks(shown)
}

fn clock(me: &SignedIn, name: &str, told: &Told) -> ClockView {
    let at = |at: DateTime<Utc>| at.with_timezone(&me.live.zone).format("%a %-d %b, %H:%M").to_string();
    let used = format!("{} of working time; {} in all", words::hours(told.worked), words::span(told.elapsed));
    let late = told.due.is_some_and(|due| told.stopped.unwrap_or(me.now) > due);
    let view =
        |words: String, sub: Vec<String>| ClockView { name: name.to_owned(), words, sub, badge: None, meter: None };
    let over = || words::hours(told.over);
    if told.stopped.is_some() {
        let badge = if late { Badge::bad(format!("missed by {}", over())) } else { Badge::ok("met") };
        return ClockView { badge: Some(badge), ..view(String::new(), vec![used]) };
    }
    let share = i64::min(told.worked.num_minutes() * 100 / told.within.num_minutes().max(1), 100);
    let share = u8::try_from(share).unwrap_or(0);
    let by = told.due.map(|due| format!("by {}", at(due)));
    let (words, tone) = match told.waits {
        _ if late => (format!("overdue by {}", over()), Tone::Bad),
        Some((WaitsFor::Requester, _)) => ("stands still: waits for the requester".to_owned(), Tone::Quiet),
        Some((WaitsFor::Day, until)) => {
            (format!("stands still until {}", until.map_or_else(|| "its day".to_owned(), at)), Tone::Quiet)
        }
        None => {
            let left = (told.within - told.worked).max(TimeDelta::zero());
            (format!("{} left", words::hours(left)), if share >= AT_RISK { Tone::Warn } else { Tone::Ok })
        }
    };
    ClockView { meter: Some(Meter::new(share, tone)), ..view(words, by.into_iter().chain([used]).collect()) }
}

/// What came back with a comment that was not accepted.
#[derive(Default)]
pub(super) struct Sent {
    pub comment: String,
    pub errors: FormErrors,
}

/// `GET /requests/{number}`
pub async fn page(State(state): State<AppState>, Path(number): Path<String>, me: SignedIn) -> Result<Response, Error> {
    show(&state, &me, &number, StatusCode::OK, Sent::default()).await
}

pub(super) async fn show(
    state: &AppState,
    me: &SignedIn,
    number: &str,
    status: StatusCode,
    sent: Sent,
) -> Result<Response, Error> {
    let mut tx = state.reading().await?;
    let conn = &mut *tx;
    let told = Read::read(conn, me, number).await?;
    let request = &told.request;
    let shell = me.shell(state, conn, request.title.clone(), Nav::Requests).await?;
    let moving = told.moving(me, &shell.csrf);
    let assign = assign_form(conn, me, request).await?;
    let actor = me.actor();
    let may_comment = permit::<op::Comment>(conn, &actor, Object::Request(request.id)).await.is_ok();
    let page = RequestPage {
        number: request.number.to_string(),
        id: request.number.0.to_string(),
        crumbs: vec![Crumb::to("Requests", "/requests"), Crumb::here(request.number.to_string())],
        title: request.title.clone(),
        summary: summary(me, request),
        restricted: request.restricted,
        details: details(request),
        timeline: told.timeline(me),
        buttons: moving.notices.iter().filter_map(|notice| notice.action.clone()).take(1).collect(),
        more: told.more(me, state),
        assign,
        may_comment,
        comment: sent.comment,
        errors: sent.errors,
        finished: request.settled_at.is_some(),
        version: request.version,
        moving,
        shell,
    };
    viewer::page_with(status, &page)
}

fn summary(me: &SignedIn, request: &Request) -> String {
    let asker = request.asked_by_name.as_deref().unwrap_or("Tenure");
    let mut parts = vec![words::kind(&request.kind).to_owned()];
    let answer = |name: &str| request.answers["answers"][name].as_str().map(str::to_owned);
    if let (Some(title), Some(department), Some(site)) = (answer("title"), answer("department"), answer("site")) {
        parts.push(format!("{title}, {department}, {site}"));
    }
    for (name, word) in [("start_on", "starts"), ("last_day", "last day"), ("until", "until")] {
        if let Some(day) = answer(name).and_then(|day| day.parse().ok()) {
            parts.push(format!("{word} {}", crate::web::view::parts::long_day(day)));
        }
    }
    parts.push(format!("asked for by {asker} {}", me.when(request.asked_at).relative));
    parts.join(" · ")
}

fn details(request: &Request) -> Facts {
    let mut facts =
        vec![Fact::new("Number", request.number.to_string()), Fact::new("Kind", words::kind(&request.kind))];
    facts.push(Fact::new("Priority", states::priority(u8::try_from(request.priority).unwrap_or(3)).word));
    if let (Some(person), Some(name)) = (request.subject, &request.subject_name) {
        facts.push(Fact::new("About", name).href(format!("/people/{person}")));
    }
    facts.push(Fact::new("Assignee", request.assignee_name.clone().unwrap_or_else(|| "unassigned".to_owned())));
    Facts(facts)
}

async fn assign_form(conn: &mut PgConnection, me: &SignedIn, request: &Request) -> Result<Option<AssignForm>, Error> {
    if !me.may(Operation::Assign) || request.settled_at.is_some() {
        return Ok(None);
    }
    let agents = agents(conn, request.assignee).await?;
    Ok(Some(AssignForm { action: format!("/requests/{}/assignment", request.number.0), agents }))
}

/// Those of the desk, with "unassigned" first.
pub async fn agents(conn: &mut PgConnection, chosen: Option<PersonId>) -> Result<Vec<Choice>, Error> {
    let chosen = chosen.map_or(String::new(), |person| person.to_string());
    let mut agents = vec![Choice::new("", "Unassigned").chosen_if(&chosen)];
    for (person, name) in access::roles::holders(conn, Role::Desk).await? {
        agents.push(Choice::new(person.to_string(), name).chosen_if(&chosen));
    }
    Ok(agents)
}

/// `GET /requests/{number}/timeline`: what moved.
pub async fn moved(State(state): State<AppState>, Path(number): Path<String>, me: SignedIn) -> Result<Response, Error> {
    let mut tx = state.reading().await?;
    let told = Read::read(&mut tx, &me, &number).await?;
    let mut moving = told.moving(&me, &me.live.form_token());
    moving.plan.replaces = true;
    viewer::page(&RequestLiveFragment { timeline: told.timeline(&me), moving })
}
