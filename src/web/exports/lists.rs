//! Which lists can be taken: who may, what their columns are, and their rows page by page.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::access::{Object, Operation, op, permit};
use crate::catalog::{self, Birthright};
use crate::erasure;
use crate::evidence::history;
use crate::grants::together::together;
use crate::grants::{self, beyond};
use crate::ids::{EntitlementId, PersonId};
use crate::requests::list::{self, Filter, Key};
use crate::web::lookup::{self, Find};
use crate::web::view::errors::Wrong;
use crate::web::viewer::SignedIn;
use crate::web::{Error, Fields, adoption, catalogue, history as changes, operations, people, queue, requests, teams};

/// Pages and the lists that they show.
pub const PAGES: [(&str, &str); 8] = [
    ("/history", "history"),
    ("/requests", "requests"),
    ("/queue", "queue"),
    ("/people", "people"),
    ("/catalogue", "catalogue"),
    ("/adoption", "accounts"),
    ("/adoption/beyond", "beyond"),
    ("/outbox", "outbox"),
];

/// A list, opened at its beginning for one viewer.
pub struct List {
    me: SignedIn,
    fields: Fields,
    place: Place,
}

/// What is listed, and the last row that was read.
enum Place {
    History(Box<history::Filter>),
    Requests(Box<Filter>),
    People {
        find: Box<Find>,
        wide: bool,
    },
    Catalogue(Option<(String, Uuid)>),
    Accounts {
        doubts: HashMap<Uuid, &'static str>,
        after: Option<(String, Uuid)>,
    },
    Beyond {
        birthright: Box<Birthright>,
        after: Option<beyond::After>,
    },
    /// Who holds together what rules of separation keep apart.
    Together,
    Outbox(Option<(DateTime<Utc>, Uuid)>),
    Approvals,
    Erasures,
    /// What somebody holds.
    Grants(PersonId),
    /// Who holds something, and the last that was read.
    Holders {
        entitlement: EntitlementId,
        after: Option<(String, Uuid)>,
    },
    End(&'static [&'static str]),
}

const GRANTS: &[&str] =
    &["name", "sox", "reason", "rule", "since", "until", "request", "asked_by", "decided_by", "entitlement"];
const TOGETHER: &[&str] = &["person", "rule", "one", "other"];
const APPROVALS: &[&str] = &["request", "item", "title", "label", "stage", "sox", "asked_by", "for", "since"];
const ERASURES: &[&str] =
    &["person", "basis", "state", "proposed_by", "proposed_at", "decided_by", "decided_at", "done_at"];

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or(String::new(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

impl List {
    /// The list of that name, for whoever may see its page.
    ///
    /// # Errors
    /// As its page.
    pub async fn open(conn: &mut PgConnection, me: &SignedIn, name: &str, fields: &Fields) -> Result<Self, Error> {
        let actor = me.actor();
        let place = match name {
            "history" => {
                permit::<op::SeeHistory>(conn, &actor, Object::None).await?;
                permit::<op::TakeReport>(conn, &actor, Object::None).await?;
                let (filter, error) = changes::filter(conn, me, fields).await?;
                if !error.is_empty() {
                    return Err(Error::wrong(Wrong::Senseless, error));
                }
                Place::History(Box::new(history::Filter { before: None, ..filter }))
            }
            "requests" => Place::Requests(Box::new(requests::filter(me, fields))),
            "queue" => {
                permit::<op::SeeQueue>(conn, &actor, Object::None).await?;
                Place::Requests(Box::new(queue::filter(me, fields, fields.text("view"))))
            }
            "people" => {
                permit::<op::SearchPeople>(conn, &actor, Object::None).await?;
                let (wide, _, find) = people::find(me, fields);
                Place::People { find: Box::new(Find { by_name: true, ..find }), wide }
            }
            "catalogue" => {
                permit::<op::SeeCatalogue>(conn, &actor, Object::None).await?;
                Place::Catalogue(None)
            }
            "accounts" => {
                permit::<op::SeeAdoption>(conn, &actor, Object::None).await?;
                Place::Accounts { doubts: adoption::doubts(conn).await?, after: None }
            }
            "beyond" => {
                permit::<op::SeeAdoption>(conn, &actor, Object::None).await?;
                let released = catalog::history::<Birthright>(conn, 1).await?.pop();
                let birthright = released.map(|version| version.body).unwrap_or_default();
                Place::Beyond { birthright: Box::new(birthright), after: None }
            }
            "together" => {
                permit::<op::SeeSettings>(conn, &actor, Object::None).await?;
                Place::Together
            }
            "outbox" => {
                permit::<op::SeeOutbox>(conn, &actor, Object::None).await?;
                Place::Outbox(None)
            }
            "approvals" if me.may(Operation::Decide) => Place::Approvals,
            "erasures" => {
                permit::<op::SeeErasures>(conn, &actor, Object::None).await?;
                Place::Erasures
            }
            "team" => {
                permit::<op::SeeTeam>(conn, &actor, Object::None).await?;
                let find = Find { direct: fields.text("view") != "all", by_name: true, ..teams::below(me) };
                Place::People { find: Box::new(find), wide: true }
            }
            "grants" => {
                let person = named(fields, "person").map(PersonId)?;
                permit::<op::SeePersonFully>(conn, &actor, Object::Person(person)).await?;
                Place::Grants(person)
            }
            "holders" => {
                let entitlement = named(fields, "entitlement").map(EntitlementId)?;
                permit::<op::SeeHolders>(conn, &actor, Object::Entitlement(entitlement)).await?;
                Place::Holders { entitlement, after: None }
            }
            _ => return Err(Error::not_found()),
        };
        Ok(Self { me: me.clone(), fields: fields.clone(), place })
    }

    /// The columns' names.
    pub fn header(&self) -> &'static [&'static str] {
        match self.place {
            Place::History(_) => &[
                "at",
                "action",
                "subject",
                "seq",
                "request",
                "item",
                "actor",
                "on_behalf_of",
                "via",
                "system",
                "kind",
                "object",
                "reason",
                "record",
            ],
            Place::Requests(_) => &[
                "number",
                "kind",
                "title",
                "state",
                "priority",
                "asked_by",
                "asked_at",
                "assignee",
                "respond_by",
                "resolve_by",
                "settled_at",
                "waits_for",
                "restricted",
            ],
            Place::People { .. } => {
                &["name", "user_name", "state", "title", "department", "site", "manager", "first_day", "last_day"]
            }
            Place::Catalogue(_) => &["name", "description", "system", "owner", "risk", "sox", "requestable", "id"],
            Place::Accounts { .. } => &[
                "user_name",
                "display_name",
                "system",
                "kind",
                "linked",
                "enabled",
                "mail",
                "employee_number",
                "dn",
                "doubt",
                "id",
            ],
            Place::Beyond { .. } => &["person", "account", "group", "in_catalogue", "sox"],
            Place::Together => TOGETHER,
            Place::Outbox(_) => &["written_at", "to", "subject", "request", "tries", "sent_at", "failed_at", "error"],
            Place::Approvals => APPROVALS,
            Place::Erasures => ERASURES,
            Place::Grants(_) => GRANTS,
            Place::Holders { .. } => &["person", "how", "since", "until", "request"],
            Place::End(header) => header,
        }
    }

    /// The next rows; none at the end.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn next(&mut self, conn: &mut PgConnection, limit: i64) -> Result<Vec<Vec<String>>, Error> {
        Ok(match &mut self.place {
            Place::History(filter) => {
                let found = history::list(conn, filter, limit).await?;
                if let Some(last) = found.last() {
                    filter.before = Some((last.at, last.id));
                }
                found.iter().map(record).collect()
            }
            Place::Requests(filter) => {
                let found = list::list(conn, self.me.viewer(), filter, limit).await?;
                if let Some(last) = found.last() {
                    filter.after = Some(Key::from(last));
                }
                found.iter().map(request).collect()
            }
            Place::People { find, wide } => {
                let found = lookup::people(conn, find, limit).await?;
                if let Some(last) = found.last() {
                    find.after = Some((last.name.clone(), last.id.0));
                }
                found.iter().map(|line| person(line, *wide)).collect()
            }
            Place::Catalogue(after) => {
                let ids = catalogue::listed(conn, &self.me, &self.fields, (after.take(), limit)).await?;
                let found = catalog::find_many(conn, &ids).await?;
                *after = found.last().map(|last| (last.name.clone(), last.id.0));
                found.iter().map(entitlement).collect()
            }
            Place::Accounts { doubts, after } => {
                let found = adoption::listed(conn, &self.fields, doubts, (after.take(), limit)).await?;
                *after = found.last().map(|last| (last.user_name.clone(), last.id));
                found.iter().map(|one| account(one, doubts.get(&one.id).copied())).collect()
            }
            Place::Beyond { birthright, after } => {
                let found = beyond::list(conn, birthright, self.fields.text("q"), (after.take(), limit)).await?;
                *after = found.last().map(|last| (last.person_name.clone(), last.account, last.group.clone()));
                found.into_iter().map(membership).collect()
            }
            Place::Together => {
                self.place = Place::End(TOGETHER);
                let rules = catalog::separation(conn).await?;
                let found = together(conn, &rules, None).await?;
                found.into_iter().map(|one| vec![one.person_name, one.rule, one.one, one.other]).collect()
            }
            Place::Outbox(after) => {
                let found = operations::listed(conn, &self.me, &self.fields, (after.take(), limit)).await?;
                *after = found.last().map(|last| (last.created_at, last.id));
                found.iter().map(mail).collect()
            }
            Place::Approvals => {
                self.place = Place::End(APPROVALS);
                let found = list::waiting_for(conn, self.me.now, self.me.viewer().person, 10_000).await?;
                found.iter().map(waiting).collect()
            }
            Place::Erasures => {
                self.place = Place::End(ERASURES);
                let found = erasure::list(conn, erasure::Which::default()).await?;
                found.iter().map(forgotten).collect()
            }
            Place::Grants(person) => {
                let found = grants::held_by(conn, *person).await?;
                self.place = Place::End(GRANTS);
                found.into_iter().map(grant).collect()
            }
            Place::Holders { entitlement, after } => {
                let found = catalogue::held(conn, *entitlement, (after.take(), limit)).await?;
                *after = found.last().map(|last| (last.display_name.clone(), last.id));
                found.iter().map(holding).collect()
            }
            Place::End(_) => Vec::new(),
        })
    }
}

/// The id in a field of the address.
fn named(fields: &Fields, field: &str) -> Result<Uuid, Error> {
    fields.text(field).parse().map_err(|_| Error::not_found())
}

fn grant(one: grants::Held) -> Vec<String> {
    vec![
        one.name,
        yes(one.sox),
        one.reason,
        one.reason_text,
        time(Some(one.starts_at)),
        one.until_on.map_or(String::new(), |day| day.to_string()),
        number(one.request),
        one.asked_by.unwrap_or_default(),
        one.decided_by.unwrap_or_default(),
        one.entitlement.to_string(),
    ]
}

fn holding(one: &catalogue::Holding) -> Vec<String> {
    vec![
        one.display_name.clone(),
        one.how(),
        time(Some(one.starts_at)),
        one.until_on.map_or(String::new(), |day| day.to_string()),
        number(one.number),
    ]
}

fn number(number: Option<i64>) -> String {
    number.map_or(String::new(), |number| crate::ids::RequestNumber(number).to_string())
}

fn record(entry: &history::Entry) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    vec![
        entry.at.to_rfc3339_opts(SecondsFormat::Micros, true),
        entry.action.clone(),
        entry.subject.clone(),
        entry.seq.to_string(),
        number(entry.request),
        entry.item.map_or(String::new(), |item| item.to_string()),
        text(&entry.actor_name),
        text(&entry.on_behalf_of_name),
        entry.via.clone(),
        text(&entry.system),
        text(&entry.kind),
        text(&entry.object),
        entry.text("/reason"),
        entry.id.to_string(),
    ]
}

fn request(line: &list::Line) -> Vec<String> {
    vec![
        line.number.to_string(),
        line.kind.clone(),
        line.title.clone(),
        line.state.clone(),
        line.priority.to_string(),
        line.asked_by.clone().unwrap_or_default(),
        time(Some(line.asked_at)),
        line.assignee.clone().unwrap_or_default(),
        time(line.respond_by),
        time(line.resolve_by),
        time(line.settled_at),
        line.waits_for.join(", "),
        yes(line.restricted),
    ]
}

fn person(line: &lookup::Line, wide: bool) -> Vec<String> {
    let employment = line.employment.as_ref();
    let text = |of: fn(&lookup::Employment) -> String| employment.map_or(String::new(), of);
    // What the page does not show to everybody is not in everybody's file.
    let told = |text: String| if wide { text } else { String::new() };
    vec![
        line.name.clone(),
        line.key.clone().unwrap_or_default(),
        told(line.state.clone()),
        text(|e| e.title.clone()),
        text(|e| e.department.clone()),
        text(|e| e.site.clone()),
        text(|e| e.manager_name.clone().unwrap_or_default()),
        told(text(|e| e.first_day.to_string())),
        told(text(|e| e.last_day.map_or(String::new(), |day| day.to_string()))),
    ]
}

fn entitlement(one: &catalog::Entitlement) -> Vec<String> {
    vec![
        one.name.clone(),
        one.description.clone(),
        one.system.0.clone(),
        one.owner_name.clone().unwrap_or_default(),
        one.risk.as_str().to_owned(),
        yes(one.sox),
        yes(one.requestable),
        one.id.to_string(),
    ]
}

fn account(one: &crate::mirror::look::Account, doubt: Option<&str>) -> Vec<String> {
    vec![
        one.user_name.clone(),
        one.display_name.clone(),
        one.system.clone(),
        one.kind.clone(),
        yes(one.person.is_some()),
        yes(one.enabled),
        one.mail.clone().unwrap_or_default(),
        one.employee_number.clone().unwrap_or_default(),
        one.dn.clone(),
        doubt.unwrap_or_default().to_owned(),
        one.id.to_string(),
    ]
}

fn membership(one: beyond::Beyond) -> Vec<String> {
    vec![one.person_name, one.user_name, one.group, yes(one.entitlement.is_some()), yes(one.sox)]
}

fn mail(one: &operations::Mail) -> Vec<String> {
    vec![
        time(Some(one.created_at)),
        one.address.clone(),
        one.subject.clone(),
        number(one.request),
        one.tries.to_string(),
        time(one.sent_at),
        time(one.failed_at),
        one.error.clone().unwrap_or_default(),
    ]
}

fn waiting(one: &list::Waiting) -> Vec<String> {
    vec![
        one.number.to_string(),
        one.item.to_string(),
        one.title.clone(),
        one.label.clone(),
        one.stage.clone(),
        yes(one.sox),
        one.asked_by.clone().unwrap_or_default(),
        one.for_whom.clone().unwrap_or_default(),
        time(one.opened_at),
    ]
}

fn forgotten(one: &erasure::Erasure) -> Vec<String> {
    vec![
        one.person_name.clone(),
        one.basis.clone(),
        one.state.clone(),
        one.proposed_by_name.clone().unwrap_or_default(),
        time(Some(one.proposed_at)),
        one.decided_by_name.clone().unwrap_or_default(),
        time(one.decided_at),
        time(one.done_at),
    ]
}
