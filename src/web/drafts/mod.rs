//! Asking: the choice of kinds, the steps of a draft, "check your answers", submitting; and changing the answers of a
//! request that was sent back, which goes through the same forms.
//!
//! What is typed is kept in a draft on the server as it was typed, valid or not. The forms of a kind are its *steps*; each
//! knows which answers it asks for, so that an error found later leads back to the step where it can be mended.

mod check;
mod forms;
pub mod mail;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum_extra::extract::Query;
use uuid::Uuid;

pub use check::{page as check_page, submit};
pub use forms::{form_page as page, found};

use super::requests::{find, question};
use super::view::draft::{DraftRow, KindCard, NewRequestPage};
use super::view::errors::{ConfirmPage, Wrong};
use super::view::forms::picked;
use super::view::parts::{Crumb, Fact, Facts};
use super::view::shell::Nav;
use super::viewer::{self, Posted, SignedIn};
use super::{AppState, Error, Fields, words};
use crate::access::{Object, Operation, op, permit};
use crate::ids::{PersonId, RequestNumber};
use crate::plan::RequestKind;
use crate::plan::field::Raw;
use crate::requests::draft::{self, Draft};

/// The answer under which a draft keeps the number of the request whose answers it changes.
const CHANGES: &str = "changes_request";

/// One form of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Who,
    Work,
    Extra,
    Leaver,
    Access,
    Help,
    /// The one form of a kind about mailboxes or lists.
    Fields(RequestKind),
}

impl Step {
    /// The forms of a kind, in order.
    fn of(kind: RequestKind) -> Vec<Self> {
        match kind {
            RequestKind::Joiner => vec![Self::Who, Self::Work, Self::Extra],
            RequestKind::Leaver => vec![Self::Leaver],
            RequestKind::Access => vec![Self::Access],
            RequestKind::PasswordReset | RequestKind::Unlock => vec![Self::Help],
            RequestKind::Expiry => Vec::new(),
            kind => vec![Self::Fields(kind)],
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Who => "who",
            Self::Work => "work",
            Self::Extra => "access",
            Self::Leaver | Self::Access | Self::Help | Self::Fields(_) => "answers",
        }
    }

    /// Names of the answers that it asks for (a date's boxes follow from its name).
    fn asks(self) -> Vec<&'static str> {
        match self {
            Self::Who => vec!["given_name", "family_name", "display_name", "type", "employee_number"],
            Self::Work => vec!["department", "title", "site", "manager", "start_on", "end_on"],
            Self::Extra => vec!["groups", "groups_until", "reason"],
            Self::Leaver => {
                let own = ["person", "when", "last_day"].into_iter();
                own.chain(mail::names(RequestKind::Leaver)).chain(["reason"]).collect()
            }
            Self::Access => vec!["person", "join", "leave", "limited", "until", "reason"],
            Self::Help => vec!["person", "account", "verified", "reason"],
            Self::Fields(kind) => mail::names(kind).collect(),
        }
    }
}

fn step_of(kind: RequestKind, word: &str) -> Result<Step, Error> {
    Step::of(kind).into_iter().find(|step| step.word() == word).ok_or_else(Error::not_found)
}

/// The kinds about mailboxes and lists: shown only where there is an Exchange organisation.
const MAIL: &[RequestKind] = &[
    RequestKind::SharedMailbox,
    RequestKind::MailboxAccess,
    RequestKind::MailboxChange,
    RequestKind::MailingList,
    RequestKind::ListChange,
];

/// The operation that asking for that kind is.
fn operation(kind: RequestKind) -> Operation {
    match kind {
        RequestKind::Joiner => Operation::AskJoiner,
        RequestKind::Leaver => Operation::AskLeaver,
        RequestKind::PasswordReset => Operation::AskPasswordReset,
        RequestKind::Unlock => Operation::AskUnlock,
        _ => Operation::AskAccess,
    }
}

/// A kind as its card, where the viewer may ask for it.
fn card(me: &SignedIn, kind: RequestKind) -> Option<KindCard> {
    let (icon, title, text) = match kind {
        RequestKind::Joiner => (
            "user-plus",
            "Someone joins",
            "An account and basic access from the first day on; extra access decided by its owners.",
        ),
        RequestKind::Leaver => {
            ("user-minus", "Someone leaves", "Sign-in ends and access is taken away, on the last day or at once.")
        }
        RequestKind::Access => ("users", "Access", "Join or leave groups, several at once, also until a day."),
        RequestKind::PasswordReset => {
            ("key-round", "Reset a password", "A new one, shown once, to be changed at the next sign-in.")
        }
        RequestKind::Unlock => ("lock-open", "Unlock an account", "The lock is taken off; the password stays."),
        RequestKind::SharedMailbox => {
            ("inbox", "A new mailbox", "Shared by a team, of a room or of equipment, with who may use it.")
        }
        RequestKind::MailboxAccess => {
            ("mail", "Access to a mailbox", "Open it, send as it, see its calendar; also until a day.")
        }
        RequestKind::MailboxChange => (
            "settings",
            "Change a mailbox",
            "Addresses, forwarding, answer while away, size, archive; or take it away.",
        ),
        RequestKind::MailingList => {
            ("send", "A new list", "Distribution, security or dynamic, with owners and moderation.")
        }
        RequestKind::ListChange => ("users", "Change a list", "Members in bulk, owners, who may send; or delete it."),
        RequestKind::Expiry => return None,
    };
    me.may(operation(kind)).then(|| KindCard {
        icon,
        title: title.to_owned(),
        text: text.to_owned(),
        href: format!("/requests/new/{}", kind.as_str()),
    })
}

/// `GET /requests/new`
pub async fn chooser(State(state): State<AppState>, me: SignedIn) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let drafts = draft::of(&mut conn, me.viewer().person).await?;
    let with_mail = mail::is_here(&mut conn).await?;
    let cards = |kinds: &[RequestKind]| kinds.iter().filter_map(|kind| card(&me, *kind)).collect::<Vec<_>>();
    let groups = vec![
        ("People".to_owned(), cards(&[RequestKind::Joiner, RequestKind::Leaver])),
        ("Access".to_owned(), cards(&[RequestKind::Access])),
        ("Accounts".to_owned(), cards(&[RequestKind::PasswordReset, RequestKind::Unlock])),
        ("Mailboxes and lists".to_owned(), if with_mail { cards(MAIL) } else { Vec::new() }),
    ];
    let page = NewRequestPage {
        shell: me.shell(&state, &mut conn, "New request", Nav::Requests).await?,
        groups: groups.into_iter().filter(|(_, cards)| !cards.is_empty()).collect(),
        drafts: drafts.iter().map(|draft| draft_row(&me, draft)).collect(),
    };
    viewer::page(&page)
}

fn draft_row(me: &SignedIn, draft: &Draft) -> DraftRow {
    let name = ["given_name", "family_name", "person", "name", "mailbox", "list"].map(|field| draft.raw.first(field));
    let name = name.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
    let kind = words::kind(draft.kind.as_str());
    DraftRow {
        title: if name.is_empty() { kind.to_owned() } else { format!("{kind}: {name}") },
        href: first_step(draft),
        saved: me.when(draft.updated_at),
        discard: format!("/drafts/{}/discard", draft.id),
    }
}

fn first_step(draft: &Draft) -> String {
    let word = Step::of(draft.kind).first().map_or("check", |step| step.word());
    format!("/drafts/{}/{word}", draft.id)
}

fn kind_of(word: &str) -> Result<RequestKind, Error> {
    RequestKind::parse(word).filter(|kind| *kind != RequestKind::Expiry).ok_or_else(Error::not_found)
}

fn may_ask(me: &SignedIn, kind: RequestKind) -> Result<(), Error> {
    let operation = operation(kind);
    me.may(operation).then_some(()).ok_or_else(|| Error::wrong(Wrong::NotForYou, operation.refusal()))
}

/// `GET /requests/new/{kind}`: the first form, with what the address brings filled in (`person`, `join`). Nothing is kept
/// before it is sent.
pub async fn start(
    State(state): State<AppState>,
    Path(kind): Path<String>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let kind = kind_of(&kind)?;
    may_ask(&me, kind)?;
    let mut conn = state.pool.acquire().await?;
    let mut raw = Raw::from_pairs(
        query.into_iter().filter(|(name, _)| ["person", "join", "mailbox", "list", "type"].contains(&name.as_str())),
    );
    if let Ok(person) = raw.first("person").parse::<PersonId>()
        && let Some(line) = super::lookup::person(&mut conn, person).await?
    {
        raw.set("person", vec![line.typed()]);
    }
    if kind == RequestKind::Joiner && me.may(Operation::SeeTeam) {
        let mine = super::lookup::person(&mut conn, me.viewer().person).await?;
        if let Some(line) = mine {
            raw.set("manager", vec![line.typed()]);
            if let Some(employment) = line.employment {
                raw.set("department", vec![employment.department]);
            }
        }
    }
    drop(conn);
    let step = *Step::of(kind).first().ok_or_else(Error::not_found)?;
    let form = forms::Form { kind, raw, id: None, step, errors: Vec::new(), from_check: false, find: None };
    forms::show(&state, &me, form, StatusCode::OK).await
}

/// `POST /requests/new/{kind}`: the first form comes back; from now on there is a draft.
pub async fn begin(
    State(state): State<AppState>,
    Path(kind): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let kind = kind_of(&kind)?;
    may_ask(&me, kind)?;
    let mut raw =
        Raw::from_pairs(query.into_iter().filter(|(name, _)| ["manager", "department"].contains(&name.as_str())));
    let step = *Step::of(kind).first().ok_or_else(Error::not_found)?;
    // The manager's own name and department were filled in for later steps; they come back with the form's address.
    raw.0.extend(forms::answers(step, &fields).0);
    if kind == RequestKind::Joiner && me.may(Operation::SeeTeam) && raw.first("manager").is_empty() {
        let mut conn = state.pool.acquire().await?;
        if let Some(line) = super::lookup::person(&mut conn, me.viewer().person).await? {
            raw.set("manager", vec![line.typed()]);
            raw.set("department", line.employment.iter().map(|employment| employment.department.clone()).collect());
        }
    }
    let mut conn = state.pool.acquire().await?;
    let id = draft::start(&mut conn, me.viewer().person, kind, &raw).await?;
    drop(conn);
    let draft = Draft { id, kind, raw, updated_at: me.now };
    after(&state, &me, draft, step, &fields, false).await
}

/// `POST /drafts/{id}/{step}`
pub async fn answer(
    State(state): State<AppState>,
    Path((id, word)): Path<(Uuid, String)>,
    Query(query): Query<Vec<(String, String)>>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let mut draft = draft::find(&mut conn, me.viewer().person, id).await?.ok_or_else(gone)?;
    let step = step_of(draft.kind, &word)?;
    let typed = forms::answers(step, &fields);
    draft::keep(&mut conn, me.viewer().person, id, &typed).await?;
    drop(conn);
    draft.raw.0.extend(typed.0);
    let from_check = !Fields(query).text("check").is_empty();
    after(&state, &me, draft, step, &fields, from_check).await
}

/// Where a form leads: on, back to the check, to the list, or to itself with what is to be mended.
async fn after(
    state: &AppState,
    me: &SignedIn,
    draft: Draft,
    step: Step,
    fields: &Fields,
    from_check: bool,
) -> Result<Response, Error> {
    let go = fields.text("go");
    if go == "save" {
        return Ok(viewer::see("/requests/new"));
    }
    let mut form = forms::Form {
        kind: draft.kind,
        raw: draft.raw,
        id: Some(draft.id),
        step,
        errors: Vec::new(),
        from_check,
        find: None,
    };
    if go == "find" || go == "person" {
        form.find = Some(fields.text("find").to_owned());
        return forms::show(state, me, form, StatusCode::OK).await;
    }
    form.errors = forms::problems(state, me, &form, Some(step)).await?;
    if !form.errors.is_empty() {
        return forms::show(state, me, form, StatusCode::UNPROCESSABLE_ENTITY).await;
    }
    let steps = Step::of(draft.kind);
    let next = steps.iter().skip_while(|other| **other != step).nth(1).filter(|_| !from_check);
    let word = next.map_or("check", |step| step.word());
    Ok(viewer::see(&format!("/drafts/{}/{word}", draft.id)))
}

fn gone() -> Error {
    Error::wrong(Wrong::NotFound, "This draft is not here: it was submitted or thrown away, or it is somebody else’s.")
        .link("New request", "/requests/new")
}

/// `POST /drafts/{id}/discard`
pub async fn discard(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Posted { me, .. }: Posted,
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    if !draft::discard(&mut conn, me.viewer().person, id).await? {
        return Err(gone());
    }
    Ok(viewer::see("/requests/new"))
}

/// `GET /requests/{number}/answers`: asks before the answers of a request are changed.
pub async fn change_page(
    State(state): State<AppState>,
    Path(number): Path<String>,
    me: SignedIn,
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let request = find(&mut conn, &number).await?;
    permit::<op::Change>(&mut conn, &me.actor(), Object::Request(request.id)).await?;
    let address = format!("/requests/{}", request.number.0);
    let page = ConfirmPage {
        shell: me.shell(&state, &mut conn, "Change the answers", Nav::Requests).await?,
        crumbs: vec![
            Crumb::to("Requests", "/requests"),
            Crumb::to(request.number.to_string(), address.clone()),
            Crumb::here("Change the answers"),
        ],
        facts: Facts(vec![Fact::new("Request", request.title.clone())]),
        back: address.clone(),
        ..question(
            "Change the answers?".to_owned(),
            "You get the same forms, filled in. Everything is planned again: items that come out the same keep their decisions, the others are decided again.",
            format!("{address}/answers"),
            "Go to the answers",
        )
    };
    viewer::page(&page)
}

/// `POST /requests/{number}/answers`: a draft with the answers as they are.
pub async fn change(
    State(state): State<AppState>,
    Path(number): Path<String>,
    Posted { me, .. }: Posted,
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let request = find(&mut conn, &number).await?;
    permit::<op::Change>(&mut conn, &me.actor(), Object::Request(request.id)).await?;
    let kind = kind_of(&request.kind)?;
    let mut raw = Raw::from_json(&mail::typed(&request.answers["answers"]))
        .map_err(|_| Error::broken("answers of a request are no object"))?;
    for name in ["manager", "person", "owner", "delegate", "forward_to", "lists_to"] {
        if let Ok(id) = raw.first(name).parse::<PersonId>()
            && let Some(line) = super::lookup::person(&mut conn, id).await?
        {
            raw.set(name, vec![line.typed()]);
        }
    }
    if kind == RequestKind::Access {
        let groups = raw.0.remove("groups").unwrap_or_default();
        raw.set("join", groups);
        raw.set("limited", vec![if raw.first("until").is_empty() { "no" } else { "yes" }.to_owned()]);
    }
    if kind == RequestKind::Leaver {
        raw.set("when", vec![if raw.checked("immediate") { "immediate" } else { "planned" }.to_owned()]);
    }
    raw.set(CHANGES, vec![request.number.0.to_string()]);
    let id = draft::start(&mut conn, me.viewer().person, kind, &raw).await?;
    Ok(viewer::see(&first_step(&Draft { id, kind, raw, updated_at: me.now })))
}

/// The answers as the domain reads them: names as in the API, pickers' texts reduced to their keys.
pub fn asked(kind: RequestKind, typed: &Raw) -> Raw {
    let mut raw = typed.clone();
    for name in ["manager", "person"] {
        let key = picked(typed.first(name)).to_owned();
        raw.set(name, vec![key]);
    }
    mail::asked(kind, &mut raw);
    match kind {
        RequestKind::Access => {
            let join = raw.0.remove("join").unwrap_or_default();
            raw.set("groups", join);
            if raw.first("limited") != "yes" {
                for name in ["until", "until_day", "until_month", "until_year"] {
                    raw.0.remove(name);
                }
            }
        }
        RequestKind::Leaver => {
            let immediate = raw.first("when") == "immediate";
            raw.set("immediate", vec![immediate.to_string()]);
        }
        _ => {}
    }
    raw
}

/// The request that a draft changes, if it changes one.
fn changed_request(raw: &Raw) -> Option<RequestNumber> {
    raw.first(CHANGES).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_become_the_domains_answers() {
        let typed = Raw::from_pairs(
            [("person", "Peter Wolf (pwolf)"), ("join", "a"), ("join", "b"), ("limited", "no"), ("until_day", "3")]
                .map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let raw = asked(RequestKind::Access, &typed);
        assert_eq!(raw.first("person"), "pwolf");
        assert_eq!(raw.all("groups"), ["a", "b"]);
        assert_eq!(raw.day("until"), "", "a day that was not meant is not sent");
        let leaver = Raw::from_pairs([("when".to_owned(), "immediate".to_owned())]);
        assert!(asked(RequestKind::Leaver, &leaver).checked("immediate"));
    }
}
