//! Samples: the viewer's own page, handing over secrets, errors.

use super::company::*;
use super::pages::errors_for;
use super::{HOSTILE, LONG, Sample, page};
use crate::web::view::account::*;
use crate::web::view::errors::*;
use crate::web::view::forms::{Choice, FormErrors, PickerOption, SelectField};
use crate::web::view::secrets::*;
use crate::web::view::*;

pub(super) fn all() -> Vec<Sample> {
    [errors(), secrets(), account()].concat()
}

fn errors() -> Vec<Sample> {
    let made = |shell: Shell, wrong, detail: &str| ErrorPage {
        shell: shell.page("Problem", Nav::None),
        wrong,
        detail: text(detail),
        id: text("01JD7Z5Q8W3E"),
        link: Some(Link::new("Back to the request", "/requests/482")),
    };
    let confirm = ConfirmPage {
        shell: manager().page("Cancel REQ-000482", Nav::Requests),
        crumbs: vec![Crumb::to("REQ-000482", "/requests/482"), Crumb::here("Cancel")],
        title: text("Cancel REQ-000482?"),
        text: text("What is not applied yet will not be. What was applied stays; undoing it is a request of its own."),
        facts: Facts(vec![Fact::new("Request", "New joiner: Nguyễn Thị Lan"), Fact::new("Applied", "2 of 5 steps")]),
        errors: errors_for(&[("reason", "Say why, in a sentence")]),
        action: text("/requests/482/cancellation"),
        button: text("Cancel the request"),
        danger: true,
        choose: Some(SelectField::new("priority", "Priority", vec![Choice::new("1", HOSTILE), Choice::new("2", LONG)])),
        reason_label: text("Why?"),
        reason: text(HOSTILE),
        password: true,
        hidden: vec![(text("step"), text("3"))],
        back: text("/requests/482"),
    };
    vec![
        page("error-404", &made(manager(), Wrong::NotFound, "")),
        page("error-role", &made(auditor(), Wrong::NotForYou, "The queue is the service desk’s.")),
        page("error-409", &made(desk(), Wrong::Conflict, "Ravi Menon assigned REQ-000482 to himself a minute ago.")),
        page("error-422", &made(manager(), Wrong::Senseless, HOSTILE)),
        page("error-500", &made(manager(), Wrong::Broken, "")),
        page("error-503", &made(nobody(), Wrong::DatabaseDown, "")),
        page("error-form", &made(manager(), Wrong::StaleForm, "")),
        page("confirm", &confirm),
    ]
}

fn secrets() -> Vec<Sample> {
    let made = |name, state| {
        let secret = SecretPage {
            shell: manager().page("Start password", Nav::Requests),
            action: text("/secrets/1"),
            title: text("Start password of Nguyễn Thị Lan"),
            user_name: text("tlnguyen"),
            request: Link::new("REQ-000482", "/requests/482"),
            state,
        };
        page(name, &secret)
    };
    vec![
        made("secret-ready", SecretState::Ready),
        made("secret-preparing", SecretState::Preparing),
        made("secret-shown", SecretState::Shown { secret: text("kV7#mrTq-92xLp") }),
        made("secret-early", SecretState::NotBefore { from: text("from Monday 30 November, 00:00 Hamburg") }),
        made("secret-used", SecretState::Used { words: text("Maria Keller looked at it on Monday at 08:12.") }),
        made("secret-gone", SecretState::Gone { words: text("The account was disabled meanwhile.") }),
    ]
}

fn account() -> Vec<Sample> {
    let sessions = vec![
        SessionRow {
            end: text("/me/sessions/1/end"),
            client: text("Firefox on Linux"),
            address: text("127.0.0.1"),
            since: ago(9_000),
            used: ago(2),
            current: true,
        },
        SessionRow {
            end: text("/me/sessions/2/end"),
            client: text(HOSTILE),
            address: text("10.0.0.7"),
            since: ago(90_000),
            used: ago(7_000),
            current: false,
        },
    ];
    let token = TokenRow {
        name: text("nightly import"),
        prefix: text("tnr_9f2c…"),
        scope: text("asks"),
        expires: day(2027, 2, 21),
        used: None,
        state: Badge::ok("valid"),
        revoke: Some(text("/me/tokens/1/revoke")),
    };
    let delegation = DelegationRow {
        to: Person::to("Ravi Menon", "/people/2"),
        from: Person::named("Maria Keller"),
        since: day(2026, 12, 1),
        until: day(2026, 12, 14),
        state: Badge::info("planned"),
        made_by: text("Lena Roth"),
        end: Some(text("/me/delegations/1/end")),
    };
    let made = |errors, full: bool| AccountPage {
        shell: manager().page("My account", Nav::None),
        name: text("Maria Keller"),
        facts: Facts(vec![Fact::code("User name", "mkeller"), Fact::new("Roles", "Manager").also("Owner of 2 groups")]),
        sessions: if full { sessions.clone() } else { sessions[..1].to_vec() },
        tokens: if full { vec![token.clone()] } else { Vec::new() },
        new_token: full.then(|| (text("nightly import"), text("tnr_9f2c7a41d0b8e6c35f"))),
        delegations: if full { vec![delegation.clone()] } else { Vec::new() },
        may_delegate: true,
        errors,
        token_name: String::new(),
        scopes: vec![
            Choice::new("ask", "ask"),
            Choice::new("decide", "decide").hint("Only where policy allows a token to"),
        ],
        days: vec![Choice::new("30", "30 days"), Choice::new("90", "90 days")],
        form: StandInForm {
            action: text("/me/delegations"),
            question: text("Who stands in for you?"),
            suggestions: vec![PickerOption::person("Ravi Menon", "rmenon", "Service desk")],
            ..StandInForm::default()
        },
    };
    let other = |errors, full: bool| StandingInPage {
        shell: desk().page("Who stands in for Maria Keller", Nav::People),
        crumbs: vec![
            Crumb::to("People", "/people"),
            Crumb::to("Maria Keller", "/people/1"),
            Crumb::here("Standing in"),
        ],
        name: if full { text(LONG) } else { text("Maria Keller") },
        summary: text("Head of Finance, Finance, Hamburg"),
        works_here: true,
        delegations: if full { vec![delegation.clone()] } else { Vec::new() },
        form: StandInForm {
            action: text("/people/1/delegations"),
            question: format!("Who stands in for {HOSTILE}?"),
            ..StandInForm::default()
        },
        errors,
    };
    let wrong = errors_for(&[
        ("to", "Choose somebody who is here from 1 to 14 December"),
        ("until", "The last day is before the first"),
    ]);
    vec![
        page("me-full", &made(FormErrors::default(), true)),
        page("me-empty", &made(FormErrors::default(), false)),
        page("me-error", &made(wrong.clone(), true)),
        page("standing-in-empty", &other(FormErrors::default(), false)),
        page("standing-in-error", &other(wrong, true)),
    ]
}
