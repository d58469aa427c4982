//! Who is on the other side: the session read from its cookie, the surroundings of their pages, and forms that prove to
//! be theirs.

use askama::Template;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, SET_COOKIE};
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum_extra::extract::Form;
use axum_extra::extract::cookie::CookieJar;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

use super::guard::Address;
use super::view::errors::Wrong;
use super::view::parts::initials;
use super::view::shell::{Flash, Nav, NavItem, Shell};
use super::view::{self, When};
use super::{AppState, Error, Fields, status};
use crate::access::session::Live;
use crate::access::{Actor, Operation, Role, Viewer, session};

/// The signed-in viewer of this HTTP request.
#[derive(Debug, Clone)]
pub struct SignedIn {
    pub live: Live,
    pub now: DateTime<Utc>,
    /// What the action before this page did, told once.
    said: Option<Said>,
}

/// What an action did, told on the next page. A cookie carries the word, so nobody can put a sentence of their own there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Asked,
    Changed,
    Approved,
    Rejected,
    SentBack,
    Cancelled,
    Assigned,
    Prioritised,
    StandsIn,
    Commented,
    Linked,
    Saved,
    ErasureProposed,
    ErasureDecided,
    Imported,
    Discarded,
    RoleGiven,
    RoleTaken,
    PersonMade,
    PersonChanged,
    Adopted,
    Switched,
    SettingProposed,
    SettingReleased,
    SettingRejected,
    SettingWithdrawn,
    TestsSent,
    MailAgain,
}

/// The cookie of [`Said`].
pub const SAID: &str = "said";

impl Said {
    const ALL: [(Self, &'static str, &'static str); 28] = [
        (Self::Asked, "asked", "Asked for. You see here what becomes of it, and are told by mail."),
        (Self::Changed, "changed", "The answers are changed; what comes out differently is decided again."),
        (Self::Approved, "approved", "Approved. Exactly what you saw is what will be applied."),
        (Self::Rejected, "rejected", "Rejected. Whoever asked is told why."),
        (Self::SentBack, "sent_back", "Sent back with your question."),
        (Self::Cancelled, "cancelled", "Cancelled. What was done stays done."),
        (Self::Assigned, "assigned", "Assigned."),
        (Self::Prioritised, "prioritised", "The priority is set, and the clocks are counted anew."),
        (Self::StandsIn, "stands_in", "Saved. Both are told by mail."),
        (Self::Commented, "commented", "Your comment is in the timeline."),
        (Self::Linked, "linked", "Saved, with your reason in the evidence."),
        (Self::Saved, "saved", "Saved."),
        (
            Self::ErasureProposed,
            "erasure_proposed",
            "Proposed. Nothing is erased before somebody else has approved it.",
        ),
        (Self::ErasureDecided, "erasure_decided", "Decided. What is approved is carried out within a minute."),
        (Self::Imported, "imported", "Imported, exactly as you saw it. Each change is in the evidence."),
        (Self::Discarded, "discarded", "Thrown away. Nothing was changed."),
        (Self::RoleGiven, "role_given", "Given. They sign in again and see what the role sees."),
        (Self::RoleTaken, "role_taken", "Taken away. Their sessions have ended."),
        (Self::PersonMade, "person_made", "Here they are. Their account is asked for by a request."),
        (
            Self::Adopted,
            "adopted",
            "Linked, each with its record. What the accounts hold becomes “before Tenure” within a minute.",
        ),
        (Self::Switched, "switched", "Changed, and in the evidence. The worker looks at all accounts once more."),
        (
            Self::SettingProposed,
            "setting_proposed",
            "Proposed. Nothing changes before another administrator has released it.",
        ),
        (Self::SettingReleased, "setting_released", "Released. It counts from the time that is said here."),
        (Self::SettingRejected, "setting_rejected", "Rejected. What is in force stays."),
        (Self::SettingWithdrawn, "setting_withdrawn", "Withdrawn. What is in force stays."),
        (Self::TestsSent, "tests_sent", "Sent to you, and to nobody else. They stand in the outbox as well."),
        (Self::MailAgain, "mail_again", "On its way again, with all its tries before it."),
        (Self::PersonChanged, "person_changed", "Changed, and in the evidence."),
    ];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(said, _, _)| *said == self).map_or("", |(_, word, _)| word)
    }

    fn sentence(self) -> &'static str {
        Self::ALL.iter().find(|(said, _, _)| *said == self).map_or("", |(_, _, sentence)| sentence)
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, _)| *known == word).map(|(said, _, _)| *said)
    }
}

impl SignedIn {
    pub fn viewer(&self) -> &Viewer {
        &self.live.viewer
    }

    pub fn actor(&self) -> Actor {
        Actor::Person(self.live.viewer.clone())
    }

    pub fn may(&self, operation: Operation) -> bool {
        operation.may(&self.live.viewer.roles)
    }

    /// Today, where the viewer works.
    pub fn today(&self) -> NaiveDate {
        self.now.with_timezone(&self.live.zone).date_naive()
    }

    /// An instant in words relative to now, in the viewer's zone.
    pub fn when(&self, at: DateTime<Utc>) -> When {
        When::at(at, self.now, self.live.zone)
    }

    /// A local day in words.
    pub fn day(&self, day: NaiveDate) -> When {
        When::day(day, self.today())
    }

    /// The surroundings of a page.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn shell(
        &self,
        state: &AppState,
        conn: &mut PgConnection,
        title: impl Into<String>,
        active: Nav,
    ) -> Result<Shell, Error> {
        let viewer = self.viewer();
        let counts = status::waiting(conn, viewer).await?;
        let problem = status::problem(state, conn, viewer).await?;
        Ok(Shell {
            viewer: Some(header_viewer(viewer, &counts)),
            csrf: self.live.form_token(),
            flash: self.said.map(|said| Flash::ok(said.sentence())).into_iter().collect(),
            problem,
            ..bare_shell(state)
        }
        .page(title, active))
    }
}

impl FromRequestParts<AppState> for SignedIn {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Error> {
        let address = parts.extensions.get::<Address>().and_then(|address| address.0.clone());
        read(state, &parts.headers, address).await?.ok_or(Error::SignIn)
    }
}

async fn read(state: &AppState, headers: &HeaderMap, address: Option<String>) -> Result<Option<SignedIn>, Error> {
    let jar = CookieJar::from_headers(headers);
    let Some(cookie) = jar.get(state.cookie_name()) else { return Ok(None) };
    let mut conn = state.pool.acquire().await?;
    let live = session::resume(&mut conn, cookie.value(), address).await?;
    let said = jar.get(SAID).and_then(|cookie| Said::parse(cookie.value()));
    Ok(live.map(|live| SignedIn { live, now: state.clock.now(), said }))
}

/// A form of a signed-in viewer that carries its session's token. Every handler that changes something takes this.
#[derive(Debug, Clone)]
pub struct Posted {
    pub me: SignedIn,
    pub fields: Fields,
}

impl FromRequest<AppState> for Posted {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        let (mut parts, body) = request.into_parts();
        let me = SignedIn::from_request_parts(&mut parts, state).await?;
        let fields = form(Request::from_parts(parts, body), state).await?;
        if !me.live.accepts(fields.text("csrf")) {
            return Err(Error::wrong(Wrong::StaleForm, ""));
        }
        Ok(Self { me, fields })
    }
}

/// A form of a signed-in viewer with a file in it, or with the same fields and none. As [`Posted`] otherwise.
#[derive(Debug, Clone)]
pub struct Uploaded {
    pub me: SignedIn,
    pub fields: Fields,
    /// The file's name and bytes; None where none was chosen.
    pub file: Option<(String, Vec<u8>)>,
}

impl FromRequest<AppState> for Uploaded {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let Ok(boundary) = multer::parse_boundary(kind) else {
            let Posted { me, fields } = Posted::from_request(request, state).await?;
            return Ok(Self { me, fields, file: None });
        };
        let (mut parts, body) = request.into_parts();
        let me = SignedIn::from_request_parts(&mut parts, state).await?;
        let (fields, file) = parts_of(multer::Multipart::new(body.into_data_stream(), boundary)).await?;
        if !me.live.accepts(fields.text("csrf")) {
            return Err(Error::wrong(Wrong::StaleForm, ""));
        }
        Ok(Self { me, fields, file })
    }
}

/// The fields and the first file of a form in parts. The body's limit bounds them all.
async fn parts_of(mut form: multer::Multipart<'_>) -> Result<(Fields, Option<(String, Vec<u8>)>), Error> {
    let unreadable = |error: multer::Error| {
        tracing::debug!(%error, "a form in parts cannot be read");
        Error::wrong(Wrong::TooLarge, "The file is too large, or was cut off on its way.")
    };
    let (mut fields, mut file) = (Vec::new(), None);
    while let Some(part) = form.next_field().await.map_err(unreadable)? {
        let name = part.name().unwrap_or_default().to_owned();
        let file_name = part.file_name().map(str::to_owned);
        let bytes = part.bytes().await.map_err(unreadable)?;
        match file_name {
            Some(file_name) if !bytes.is_empty() || !file_name.is_empty() => {
                file.get_or_insert((file_name, bytes.to_vec()));
            }
            Some(_) => {}
            None => fields.push((name, String::from_utf8_lossy(&bytes).into_owned())),
        }
        if fields.len() > 1000 {
            return Err(Error::wrong(Wrong::TooLarge, "The form has more than 1000 fields."));
        }
    }
    Ok((Fields(fields), file))
}

/// Reads a form's fields, of which there may be a thousand.
pub async fn form(request: Request, state: &AppState) -> Result<Fields, Error> {
    let Form(fields) = Form::<Vec<(String, String)>>::from_request(request, state).await.map_err(|rejection| {
        let status = rejection.into_response().status();
        let wrong = if status == StatusCode::PAYLOAD_TOO_LARGE { Wrong::TooLarge } else { Wrong::Senseless };
        Error::with_status(status, wrong, "This is not a form that we can read.")
    })?;
    if fields.len() > 1000 {
        return Err(Error::wrong(Wrong::TooLarge, "The form has more than 1000 fields."));
    }
    Ok(Fields(fields))
}

/// Surroundings without a viewer.
pub fn bare_shell(state: &AppState) -> Shell {
    Shell { demo: state.config.demo.enabled, company: state.config.web.company.clone(), ..Shell::default() }
}

/// Surroundings for an error page: with the viewer where one is signed in and the database answers.
pub async fn shell_for(state: &AppState, headers: &HeaderMap) -> Option<Shell> {
    let me = read(state, headers, None).await.ok().flatten()?;
    let mut conn = state.pool.acquire().await.ok()?;
    me.shell(state, &mut conn, "", Nav::None).await.ok()
}

fn header_viewer(viewer: &Viewer, counts: &status::Waiting) -> view::Viewer {
    let may = |operation: Operation| operation.may(&viewer.roles);
    let mut nav = vec![NavItem::new(Nav::Home)];
    let mut add = |shown: bool, item: NavItem| nav.extend(shown.then_some(item));
    add(may(Operation::SeeQueue), NavItem::waiting(Nav::Queue, counts.queue));
    add(may(Operation::SeeRequest), NavItem::new(Nav::Requests));
    // Anybody may be asked to stand in; the place is shown to those who are asked as what they are, or once something waits.
    let decides = [Role::Manager, Role::Owner, Role::Desk, Role::Security].iter().any(|role| viewer.has(*role));
    add(
        may(Operation::Decide) && (decides || counts.approvals.number > 0),
        NavItem::waiting(Nav::Approvals, counts.approvals),
    );
    add(may(Operation::SeeTeam), NavItem::new(Nav::Team));
    add(may(Operation::SearchPeople), NavItem::new(Nav::People));
    add(may(Operation::SeeCatalogue), NavItem::new(Nav::Catalogue));
    add(may(Operation::SeeHistory), NavItem::new(Nav::History));
    add(may(Operation::SeeHistory), NavItem::new(Nav::Evidence));
    add(may(Operation::SeeAdoption), NavItem::new(Nav::Adoption));
    // The desk finds settings from the catalogue, and everybody mail from the system's page: nine entries fit a line.
    add(may(Operation::SeeSettings) && !may(Operation::SeeQueue), NavItem::new(Nav::Settings));
    add(may(Operation::SeeSystem), NavItem::new(Nav::System));
    view::Viewer {
        name: viewer.name.clone(),
        initials: initials(&viewer.name),
        role_label: role_label(&viewer.roles).to_owned(),
        nav,
        may_ask: may_ask(&viewer.roles),
    }
}

/// Whether there is anything that these roles may ask for.
pub fn may_ask(roles: &[Role]) -> bool {
    [
        Operation::AskJoiner,
        Operation::AskLeaver,
        Operation::AskAccess,
        Operation::AskUnlock,
        Operation::AskPasswordReset,
    ]
    .iter()
    .any(|operation| operation.may(roles))
}

/// The most telling role in words.
pub fn role_label(roles: &[Role]) -> &'static str {
    let telling = [
        (Role::Auditor, "Auditor · read only"),
        (Role::Administrator, "Administrator"),
        (Role::DeskLead, "Service desk lead"),
        (Role::Desk, "Service desk"),
        (Role::Security, "Security"),
        (Role::Owner, "Owner"),
        (Role::Manager, "Manager"),
    ];
    telling.iter().find(|(role, _)| roles.contains(role)).map_or("Employee", |(_, label)| label)
}

/// A rendered page.
///
/// # Errors
/// Where a template fails, which tests rule out.
pub fn page(template: &impl Template) -> Result<Response, Error> {
    page_with(StatusCode::OK, template)
}

/// A rendered page with a status of its own: 422 for a form to be mended.
///
/// # Errors
/// As [`page`].
pub fn page_with(status: StatusCode, template: &impl Template) -> Result<Response, Error> {
    Ok((status, Html(template.render()?)).into_response())
}

/// After a form: the browser loads that address (303), so that loading again sends nothing twice.
pub fn see(target: &str) -> Response {
    Redirect::to(target).into_response()
}

/// The same, and the next page tells what was done.
///
/// # Errors
/// Never for our own words.
pub fn see_saying(state: &AppState, target: &str, said: Said) -> Result<Response, Error> {
    let mut response = see(target);
    response.headers_mut().append(SET_COOKIE, cookie(state, SAID, said.word(), Some(60))?);
    Ok(response)
}

/// Takes back what was told, where this request brought it and this answer is a page.
pub fn told(state: &AppState, brought: bool, response: &mut Response) {
    let page = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if brought && page && response.status().is_success() {
        response.headers_mut().extend(cookie(state, SAID, "", Some(0)).map(|gone| (SET_COOKIE, gone)));
    }
}

/// `Set-Cookie` of a cookie of ours that scripts cannot read: for the session where `seconds` is None, else for so long.
///
/// # Errors
/// Where the value has characters that a header cannot carry, which our tokens do not.
pub fn cookie(state: &AppState, name: &str, value: &str, seconds: Option<u32>) -> Result<HeaderValue, Error> {
    let secure = if state.config.web.insecure_http { "" } else { "; Secure" };
    let age = seconds.map_or(String::new(), |seconds| format!("; Max-Age={seconds}"));
    HeaderValue::from_str(&format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}"))
        .map_err(Error::broken)
}
