//! A request's timeline: evidence told as sentences.

use std::collections::HashMap;

use uuid::Uuid;

use super::view::parts::{Link, When, initials};
use super::view::progress::{Timeline, TimelineEntry, TimelineMark};
use super::view::states;
use super::{SignedIn, words};
use crate::access::Operation;
use crate::evidence::{action, history::Entry};

/// Entries newest first; `labels` are the steps' labels, `shows` says which items the viewer sees.
pub fn of(
    me: &SignedIn,
    entries: &[Entry],
    labels: &HashMap<Uuid, String>,
    shows: impl Fn(Option<i32>) -> bool,
) -> Timeline {
    let proof = me.may(Operation::SeeHistory);
    let mut told: Vec<TimelineEntry> = entries
        .iter()
        .filter(|entry| shows(entry.item))
        .filter_map(|entry| {
            let mut line = sentence(me, entry, labels)?;
            if proof {
                line.evidence = Some(Link::new("evidence record", format!("/history/{}", entry.id)));
            }
            Some(line)
        })
        .collect();
    told.reverse();
    Timeline { entries: told, older: None }
}

fn sentence(me: &SignedIn, entry: &Entry, labels: &HashMap<Uuid, String>) -> Option<TimelineEntry> {
    let when = When::clock(entry.at, me.now, me.live.zone);
    if entry.action.starts_with("step.") {
        return step(entry, labels, when);
    }
    let who = entry.actor_name.clone().unwrap_or_else(|| "Tenure".to_owned());
    let mark = match &entry.actor_name {
        Some(name) => TimelineMark::Initials(initials(name)),
        None => TimelineMark::note(),
    };
    let item = entry.item.map_or("the request".to_owned(), |item| format!("item {item}"));
    let for_whom = entry.on_behalf_of_name.as_ref().map_or(String::new(), |name| format!(" for {name}"));
    let (rest, comment) = match entry.action.as_str() {
        action::REQUEST_SUBMITTED => ("asked for this".to_owned(), String::new()),
        action::REQUEST_CHANGED => ("changed the answers".to_owned(), String::new()),
        action::REQUEST_CANCELLED => ("took it back".to_owned(), entry.text("/reason")),
        action::REQUEST_COMMENTED => ("wrote".to_owned(), entry.text("/reason")),
        action::REQUEST_ASSIGNED if entry.text("/detail/assignee").is_empty() => {
            ("gave it back to the queue".to_owned(), String::new())
        }
        action::REQUEST_ASSIGNED => ("assigned it".to_owned(), String::new()),
        action::REQUEST_PRIORITISED => {
            let word = |at: &str| states::priority(entry.text(at).parse().unwrap_or(3)).word;
            let (from, to) = (word("/before/priority"), word("/after/priority"));
            (format!("set the priority: {from} → {to}"), entry.text("/reason"))
        }
        action::CLOCK_MOVED => return clocks(me, entry, when),
        action::APPROVAL_GRANTED => (format!("approved {item}{for_whom}"), entry.text("/reason")),
        action::APPROVAL_REJECTED => (format!("rejected {item}{for_whom}"), entry.text("/reason")),
        action::APPROVAL_SENT_BACK => (format!("sent {item} back{for_whom}"), entry.text("/reason")),
        action::SECRET_REVEALED => ("saw the password, once".to_owned(), String::new()),
        action::REQUEST_SETTLED | action::ITEM_SETTLED => return settled(entry, when),
        _ => return None,
    };
    Some(TimelineEntry { comment, ..TimelineEntry::new(mark, who, rest, when) })
}

/// Clocks that moved, and why; after a priority that was set by hand its own entry says so.
fn clocks(me: &SignedIn, entry: &Entry, when: When) -> Option<TimelineEntry> {
    let at = |path: &str| {
        let at = chrono::DateTime::parse_from_rfc3339(&entry.text(path)).ok()?;
        Some(at.with_timezone(&me.live.zone).format("%a %-d %b, %H:%M").to_string())
    };
    let rest = match entry.text("/detail/because").as_str() {
        "requester" => "stand still: it waits for the requester".to_owned(),
        "day" => format!("stand still until {}", at("/detail/until").unwrap_or_default()),
        "runs" => "go on".to_owned(),
        "rules" => "are counted anew: service levels or a calendar changed".to_owned(),
        "answers" => "are counted anew: by the calendar of another site".to_owned(),
        _ => "are counted anew".to_owned(),
    };
    let due = |path: &str, what: &str| at(path).map(|at| format!("{what} by {at}"));
    let lines = [due("/after/respond_by", "first response"), due("/after/resolve_by", "done")];
    let lines = lines.into_iter().flatten().collect();
    Some(TimelineEntry { lines, ..TimelineEntry::new(TimelineMark::waiting(), "The clocks", rest, when) })
}

fn settled(entry: &Entry, when: When) -> Option<TimelineEntry> {
    let state = entry.text("/detail/state").replace('_', " ");
    let what = entry.item.map_or("The request".to_owned(), |item| format!("Item {item}"));
    let mark = match state.as_str() {
        "done" => TimelineMark::done(),
        "needs person" => TimelineMark::alarm(),
        _ => TimelineMark::note(),
    };
    let rest = if state == "needs person" { "needs a person".to_owned() } else { format!("is {state}") };
    (!state.is_empty()).then(|| TimelineEntry::new(mark, what, rest, when))
}

fn step(entry: &Entry, labels: &HashMap<Uuid, String>, when: When) -> Option<TimelineEntry> {
    let told = entry.text("/detail/label");
    let known = entry.step.and_then(|step| labels.get(&step)).cloned();
    let label = if told.is_empty() { known.unwrap_or_else(|| "A step".to_owned()) } else { told };
    let why = ["/detail/told", "/detail/why", "/detail/error", "/reason"]
        .iter()
        .map(|at| entry.text(at))
        .find(|text| !text.is_empty());
    let why = why.unwrap_or_default();
    let by = entry.actor_name.clone();
    let place = entry.system.as_deref().map(words::system).unwrap_or_default();
    let (mark, rest) = match entry.action.as_str() {
        action::STEP_APPLIED => (TimelineMark::done(), format!("applied in {place}")),
        action::STEP_UNCHANGED => (TimelineMark::done(), "was so already".to_owned()),
        action::STEP_REFUSED => (TimelineMark::alarm(), format!("refused by {place}")),
        action::STEP_RETRIED => (TimelineMark::waiting(), "could not be done yet and is tried again".to_owned()),
        action::STEP_UNKNOWN => (TimelineMark::waiting(), "had no answer; the next try looks first".to_owned()),
        action::STEP_DRIFTED => {
            (TimelineMark::alarm(), "was changed by somebody else meanwhile; nothing was done".to_owned())
        }
        action::STEP_SKIPPED => (TimelineMark::note(), format!("left out by {}", by.unwrap_or_default())),
        action::STEP_RELEASED => (TimelineMark::moving(), format!("tried again by {}", by.unwrap_or_default())),
        _ => return None,
    };
    let mut lines = Vec::new();
    if let Some(server) = Some(entry.text("/target/server")).filter(|server| !server.is_empty()) {
        lines.push(format!("on {server}, read back"));
    }
    let comment = if entry.action == action::STEP_SKIPPED { why.clone() } else { String::new() };
    if comment.is_empty() && !why.is_empty() {
        lines.push(why);
    }
    Some(TimelineEntry { lines, comment, ..TimelineEntry::new(mark, label, rest, when) })
}
