//! The forms of a draft, filled in, with what is to be mended.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum_extra::extract::Query;
use chrono::{Datelike, NaiveDate, TimeDelta};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Step, asked, gone, mail, step_of};
use crate::access::Operation;
use crate::catalog::{self, BirthrightInput, Consequence, Entitlement, Risk};
use crate::ids::EntitlementId;
use crate::people::{self, EmploymentType};
use crate::plan::RequestKind;
use crate::plan::field::{FieldError, Raw};
use crate::requests::apart::{self, Apart};
use crate::requests::{draft, sight, submit};
use crate::web::view::draft::{
    AccessPage, AccountHelpPage, Chooser, ChooserResults, DraftFrame, EntitlementChoice, FieldsPage, JoinerAccessPage,
    JoinerWhoPage, JoinerWorkPage, LeaverPage,
};
use crate::web::view::forms::{Choice, FormErrors};
use crate::web::view::parts::{Fact, Facts};
use crate::web::view::shell::Nav;
use crate::web::view::states;
use crate::web::viewer::{self, SignedIn};
use crate::web::{AppState, Error, Fields, lookup, words};

/// One form about to be shown.
pub struct Form {
    pub kind: RequestKind,
    /// Everything typed so far.
    pub raw: Raw,
    /// None: nothing is kept yet.
    pub id: Option<Uuid>,
    pub step: Step,
    pub errors: Vec<FieldError>,
    pub from_check: bool,
    /// What is searched for in the catalogue.
    pub find: Option<String>,
}

/// What a form brought, for the answers that it asks for; an answer that was left empty is kept as empty.
pub fn answers(step: Step, fields: &Fields) -> Raw {
    let mut raw = Raw::default();
    for name in step.asks() {
        let boxes = ["day", "month", "year"].map(|part| format!("{name}_{part}"));
        if boxes.iter().any(|part| fields.has(part)) {
            raw.set(name, Vec::new());
            boxes.iter().for_each(|part| raw.set(part, vec![fields.text(part).to_owned()]));
        } else {
            let sent = fields.0.iter().filter(|(sent, _)| sent == name).map(|(_, value)| value.clone()).collect();
            raw.set(name, sent);
        }
    }
    raw
}

/// `GET /drafts/{id}/{step}`
pub async fn form_page(
    State(state): State<AppState>,
    Path((id, word)): Path<(Uuid, String)>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let query = Fields(query);
    let mut conn = state.pool.acquire().await?;
    let draft = draft::find(&mut conn, me.viewer().person, id).await?.ok_or_else(gone)?;
    drop(conn);
    let step = step_of(draft.kind, &word)?;
    let mut form = Form {
        kind: draft.kind,
        raw: draft.raw,
        id: Some(id),
        step,
        errors: Vec::new(),
        from_check: !query.text("check").is_empty(),
        find: query.has("find").then(|| query.text("find").to_owned()),
    };
    if query.text("check") == "mend" {
        form.errors = problems(&state, &me, &form, Some(step)).await?;
    }
    show(&state, &me, form, StatusCode::OK).await
}

/// What is wrong with the answers so far: of one step, or of all.
pub async fn problems(
    state: &AppState,
    me: &SignedIn,
    form: &Form,
    step: Option<Step>,
) -> Result<Vec<FieldError>, Error> {
    let raw = asked(form.kind, &form.raw);
    let mut conn = state.pool.acquire().await?;
    let own = match super::changed_request(&form.raw) {
        Some(number) => crate::requests::find(&mut conn, number).await?.map(|request| request.id),
        None => None,
    };
    let known = sight::known(&mut conn, me.now, (form.kind, &raw), own).await?;
    let mut errors = submit::parse(form.kind, &raw, &known).err().unwrap_or_default();
    if form.step == Step::Leaver && form.raw.first("when").is_empty() {
        errors.push(FieldError::new("when", "Choose when"));
        errors.retain(|error| error.field != "last_day");
    }
    for error in &mut errors {
        error.field = field_of(form.kind, &error.field).to_owned();
    }
    let chosen = if form.kind == RequestKind::Access { "join" } else { "groups" };
    let apart = apart(&mut conn, me, form).await?;
    for entitlement in catalog::find_many(&mut conn, &ids(&form.raw, chosen)).await? {
        let refused = apart.of(&entitlement).into_iter().filter(|choice| choice.consequence == Consequence::Refuse);
        errors.extend(refused.map(|choice| FieldError::new(chosen, choice.why)));
    }
    errors.retain(|error| step.is_none_or(|step| step.asks().contains(&error.field.as_str())));
    Ok(errors)
}

fn ids(raw: &Raw, name: &str) -> Vec<EntitlementId> {
    raw.all(name).iter().filter_map(|id| id.parse().ok()).collect()
}

/// What rules of separation say beside the answers so far. What somebody holds is looked at only where the viewer may see it.
async fn apart(conn: &mut PgConnection, me: &SignedIn, form: &Form) -> Result<Apart, Error> {
    if !matches!(form.kind, RequestKind::Access | RequestKind::Joiner) {
        return Ok(Apart::default());
    }
    let raw = asked(form.kind, &form.raw);
    let own = match super::changed_request(&form.raw) {
        Some(number) => crate::requests::find(conn, number).await?.map(|request| request.id),
        None => None,
    };
    let known = match form.kind {
        RequestKind::Access => sight::somebody_typed(conn, raw.first("person")).await?,
        _ => None,
    };
    let person = match known {
        Some(person) => {
            let object = crate::access::Object::Person(person);
            let may = crate::access::permit::<crate::access::op::SeePersonFully>(conn, &me.actor(), object).await;
            may.is_ok().then_some(person)
        }
        None => None,
    };
    Ok(apart::look(conn, (form.kind, &raw), person, own).await?)
}

/// The form's field of the domain's answer.
fn field_of(kind: RequestKind, answer: &str) -> &str {
    match (kind, answer) {
        (RequestKind::Access, "groups") => "join",
        (_, "account") => "person",
        (_, other) => other,
    }
}

/// Renders the form.
pub async fn show(state: &AppState, me: &SignedIn, form: Form, status: StatusCode) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let frame = frame(&mut conn, &form).await?;
    let shell = me.shell(state, &mut conn, frame.kind_words.clone(), Nav::Requests).await?;
    let mut errors = FormErrors::default();
    form.errors.iter().for_each(|error| errors.add(error.field.clone(), &error.message));
    let text = |name: &str| form.raw.first(name).to_owned();
    let today = me.today();
    match form.step {
        Step::Who => {
            let types = [("employee", "Employee"), ("contractor", "Contractor"), ("intern", "Intern")];
            let page = JoinerWhoPage {
                given_name: text("given_name"),
                family_name: text("family_name"),
                types: types
                    .iter()
                    .map(|(value, label)| Choice::new(*value, *label).chosen_if(&text("type")))
                    .collect(),
                employee_number: text("employee_number"),
                shell,
                frame,
                errors,
            };
            viewer::page_with(status, &page)
        }
        Step::Work => work(&mut conn, me, &form, (shell, frame, errors), status).await,
        Step::Extra => {
            let chooser = chooser(&mut conn, me, &form, "groups").await?;
            let page = JoinerAccessPage { shell, frame, errors, chooser, reason: text("reason") };
            viewer::page_with(status, &page)
        }
        Step::Leaver => {
            let page = LeaverPage {
                person: text("person"),
                suggestions: suggestions(&mut conn, me, today).await?,
                when: text("when"),
                may_be_immediate: me.may(Operation::AskImmediateLeaver),
                last_day: boxes(&form.raw, "last_day"),
                reason: text("reason"),
                mail: if mail::is_here(&mut conn).await? {
                    mail::groups(&mut conn, &form, &errors).await?
                } else {
                    Vec::new()
                },
                shell,
                frame,
                errors,
            };
            viewer::page_with(status, &page)
        }
        Step::Access => {
            let page = AccessPage {
                person: text("person"),
                suggestions: suggestions(&mut conn, me, today).await?,
                chooser: chooser(&mut conn, me, &form, "join").await?,
                held: held(&mut conn, me, &form.raw).await?,
                limited: if text("limited").is_empty() { "no".to_owned() } else { text("limited") },
                until: boxes(&form.raw, "until"),
                reason: text("reason"),
                shell,
                frame,
                errors,
            };
            viewer::page_with(status, &page)
        }
        Step::Help => help(&mut conn, me, &form, (shell, frame, errors), status).await,
        Step::Fields(kind) => {
            let (question, lead) = mail::heading(kind);
            let groups = mail::groups(&mut conn, &form, &errors).await?;
            viewer::page_with(status, &FieldsPage { shell, frame, errors, question, lead, groups })
        }
    }
}

/// Reset and unlock: whose account, those who are locked first.
async fn help(
    conn: &mut PgConnection,
    me: &SignedIn,
    form: &Form,
    (shell, frame, errors): (crate::web::view::Shell, DraftFrame, FormErrors),
    status: StatusCode,
) -> Result<Response, Error> {
    let find = lookup::Find { locked: form.kind == RequestKind::Unlock, here: true, ..lookup::Find::default() };
    let likely = lookup::people(conn, &find, 15).await?;
    let page = AccountHelpPage {
        reset: form.kind == RequestKind::PasswordReset,
        person: form.raw.first("person").to_owned(),
        suggestions: likely.iter().map(|line| line.option(me.today())).collect(),
        verified: Vec::new(),
        reason: form.raw.first("reason").to_owned(),
        shell,
        frame,
        errors,
    };
    viewer::page_with(status, &page)
}

async fn suggestions(
    conn: &mut PgConnection,
    me: &SignedIn,
    today: NaiveDate,
) -> Result<Vec<crate::web::view::forms::PickerOption>, Error> {
    if me.may(Operation::SeeTeam) {
        return lookup::team_options(conn, me.viewer().person, today).await;
    }
    let mine = lookup::person(conn, me.viewer().person).await?;
    Ok(mine.iter().map(|line| line.option(today)).collect())
}

async fn work(
    conn: &mut PgConnection,
    me: &SignedIn,
    form: &Form,
    (shell, frame, errors): (crate::web::view::Shell, DraftFrame, FormErrors),
    status: StatusCode,
) -> Result<Response, Error> {
    let text = |name: &str| form.raw.first(name).to_owned();
    let departments = people::departments(conn).await?;
    let sites = people::sites(conn).await?;
    let department = text("department");
    let site = text("site");
    let example = me.today() + TimeDelta::days(7);
    let page = JoinerWorkPage {
        departments: departments.iter().map(|name| Choice::new(name, name).chosen_if(&department)).collect(),
        title: text("title"),
        sites: sites.iter().map(|found| Choice::new(&found.code, &found.name).chosen_if(&site)).collect(),
        manager: text("manager"),
        manager_hint: if me.may(Operation::SeeTeam) {
            "Filled in with you; change it where somebody else leads them".to_owned()
        } else {
            String::new()
        },
        manager_suggestions: suggestions(conn, me, me.today()).await?,
        start_on: boxes(&form.raw, "start_on"),
        end_on: boxes(&form.raw, "end_on"),
        end_required: text("type") == "contractor",
        example_day: format!("{} {} {}", example.day(), example.month(), example.year()),
        shell,
        frame,
        errors,
    };
    viewer::page_with(status, &page)
}

/// A day's three boxes as typed; a whole day (of a request's answers) is taken apart.
pub fn boxes(raw: &Raw, name: &str) -> [String; 3] {
    let typed = ["day", "month", "year"].map(|part| raw.first(&format!("{name}_{part}")).to_owned());
    match raw.first(name).parse::<NaiveDate>() {
        Ok(day) if typed.iter().all(String::is_empty) => {
            [day.day().to_string(), day.month().to_string(), day.year().to_string()]
        }
        _ => typed,
    }
}

async fn frame(conn: &mut PgConnection, form: &Form) -> Result<DraftFrame, Error> {
    let steps = Step::of(form.kind);
    let at = steps.iter().position(|step| *step == form.step).unwrap_or(0);
    let count = |number: usize| u32::try_from(number).unwrap_or(0);
    let several = steps.len() > 1;
    let base = form.id.map(|id| format!("/drafts/{id}"));
    let action = match &base {
        Some(base) if form.from_check => format!("{base}/{}?check=1", form.step.word()),
        Some(base) => format!("{base}/{}", form.step.word()),
        None => format!("/requests/new/{}", form.kind.as_str()),
    };
    let back = match (&base, at) {
        (Some(base), _) if form.from_check => Some(format!("{base}/check")),
        (Some(base), 1..) => Some(format!("{base}/{}", steps[at - 1].word())),
        _ => Some("/requests/new".to_owned()),
    };
    let mut frame = DraftFrame {
        action,
        kind_words: words::kind(form.kind.as_str()).to_owned(),
        step: if several { count(at + 1) } else { 0 },
        steps: if several { count(steps.len() + 1) } else { 0 },
        back,
        nonce: form.id.map_or(String::new(), |id| id.to_string()),
        from_check: form.from_check,
        ..DraftFrame::default()
    };
    if form.kind == RequestKind::Joiner && at > 0 {
        frame.so_far = so_far(&form.raw);
        frame.comes_with = comes_with(conn, &form.raw).await?;
        frame.comes_note = "From department, site and contract; you need not ask for these.".to_owned();
    }
    Ok(frame)
}

fn so_far(raw: &Raw) -> Facts {
    let name = format!("{} {}", raw.first("given_name"), raw.first("family_name"));
    let mut facts = vec![Fact::new("Name", name.trim())];
    for (field, term) in [("type", "Contract"), ("title", "Job title"), ("department", "Department"), ("site", "Site")]
    {
        if !raw.first(field).is_empty() {
            facts.push(Fact::new(term, raw.first(field)));
        }
    }
    Facts(facts)
}

/// Names of what comes by rule, as far as the answers say.
async fn comes_with(conn: &mut PgConnection, raw: &Raw) -> Result<Vec<String>, Error> {
    let Some(kind) = EmploymentType::parse(raw.first("type")) else { return Ok(Vec::new()) };
    let Ok(rules) = catalog::rules(conn).await else { return Ok(Vec::new()) };
    let input =
        BirthrightInput { department: raw.first("department").to_owned(), site: raw.first("site").to_owned(), kind };
    let given: Vec<EntitlementId> = rules.birthright.body.for_person(&input).into_iter().map(|(id, _)| id).collect();
    Ok(catalog::find_many(conn, &given).await?.into_iter().map(|entitlement| entitlement.name).collect())
}

async fn chooser(conn: &mut PgConnection, me: &SignedIn, form: &Form, name: &str) -> Result<Chooser, Error> {
    let ids = ids(&form.raw, name);
    let apart = apart(conn, me, form).await?;
    let chosen = catalog::find_many(conn, &ids).await?;
    let query = form.find.clone().unwrap_or_default();
    let found = catalog::list(conn, &query, true, None, 12).await?;
    let found: Vec<Entitlement> = found.into_iter().filter(|found| !ids.contains(&found.id)).collect();
    Ok(Chooser {
        name: name.to_owned(),
        label: if name == "join" { "What should they join?" } else { "Extra access" }.to_owned(),
        error: form.errors.iter().find(|error| error.field == name).map(|error| error.message.clone()),
        source: match form.id {
            Some(id) => format!("/drafts/choices?name={name}&draft={id}"),
            None => format!("/drafts/choices?name={name}"),
        },
        found_title: if query.is_empty() {
            "In the catalogue".to_owned()
        } else {
            words::count(found.len(), "found", "found")
        },
        query,
        chosen: chosen.iter().map(|entitlement| choice(entitlement, true, &apart)).collect(),
        found: found.iter().map(|entitlement| choice(entitlement, false, &apart)).collect(),
    })
}

fn choice(entitlement: &Entitlement, chosen: bool, apart: &Apart) -> EntitlementChoice {
    let found = apart.of(entitlement);
    let refused = found.iter().find(|choice| choice.consequence == Consequence::Refuse);
    let asked = found.iter().find(|choice| choice.consequence == Consequence::AskSecurity);
    // What is chosen already can be taken back: its box stays.
    let warning = match (refused.filter(|_| chosen), asked) {
        (Some(refused), _) => refused.why.clone(),
        (None, Some(asked)) => format!("{}. Security decides as well.", asked.why),
        (None, None) => String::new(),
    };
    let owner = entitlement.owner_name.as_deref();
    EntitlementChoice {
        id: entitlement.id.to_string(),
        name: entitlement.name.clone(),
        description: entitlement.description.clone(),
        decides: owner.map_or("has no owner yet".to_owned(), |name| format!("owned by {name}")),
        sox: entitlement.sox,
        risk: (entitlement.risk == Risk::High).then(|| states::risk(entitlement.risk.as_str())),
        chosen,
        not_because: refused.filter(|_| !chosen).map_or(String::new(), |refused| refused.why.clone()),
        warning,
    }
}

/// `GET /drafts/choices?name=&find=&draft=`: found while typing.
pub async fn found(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let name = if fields.text("name") == "join" { "join" } else { "groups" };
    let mut conn = state.pool.acquire().await?;
    let text = fields.text("find");
    let found = catalog::list(&mut conn, text, true, None, 12).await?;
    let draft = match fields.text("draft").parse() {
        Ok(id) => draft::find(&mut conn, me.viewer().person, id).await?,
        Err(_) => None,
    };
    let apart = match draft {
        Some(draft) => {
            let step = *Step::of(draft.kind).first().ok_or_else(gone)?;
            let form = Form {
                kind: draft.kind,
                raw: draft.raw,
                id: Some(draft.id),
                step,
                errors: Vec::new(),
                from_check: false,
                find: None,
            };
            apart(&mut conn, &me, &form).await?
        }
        None => Apart::default(),
    };
    let page = ChooserResults {
        name: name.to_owned(),
        title: if text.is_empty() {
            "In the catalogue".to_owned()
        } else {
            words::count(found.len(), "found", "found")
        },
        found: found.iter().map(|entitlement| choice(entitlement, false, &apart)).collect(),
        query: text.to_owned(),
    };
    viewer::page(&page)
}

/// What the person holds in the directory and may give up, where the viewer may see that.
async fn held(conn: &mut PgConnection, me: &SignedIn, raw: &Raw) -> Result<Vec<Choice>, Error> {
    let asked = asked(RequestKind::Access, raw);
    let known = sight::known(conn, me.now, (RequestKind::Access, &asked), None).await?;
    let Some(person) = known.people.get(asked.first("person")) else { return Ok(Vec::new()) };
    let object = crate::access::Object::Person(person.id);
    if crate::access::permit::<crate::access::op::SeePersonFully>(conn, &me.actor(), object).await.is_err() {
        return Ok(Vec::new());
    }
    let chosen = raw.all("leave");
    let Some(account) = crate::plan::access::primary(&known.accounts) else { return Ok(Vec::new()) };
    let choices = account.groups.iter().filter_map(|group| {
        let id = group.entitlement?.to_string();
        Some(Choice { chosen: chosen.contains(&id.as_str()), ..Choice::new(id, &group.name) })
    });
    Ok(choices.collect())
}
