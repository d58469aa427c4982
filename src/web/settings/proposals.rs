//! A proposal's page: what it changes, what it would have done, and its release by another administrator.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use uuid::Uuid;

use super::{badge, changes, letters, named};
use crate::access::{Object, Operation, op, permit};
use crate::catalog::CatalogError;
use crate::catalog::proposals::{self as proposed, Answer, Deciding, Proposal, Wanted};
use crate::mail;
use crate::web::view::errors::Wrong;
use crate::web::view::forms::FormErrors;
use crate::web::view::parts::{Crumb, Fact, Facts, Link};
use crate::web::view::settings::ProposalPage;
use crate::web::view::shell::Nav;
use crate::web::viewer::{self, Posted, Said, SignedIn};
use crate::web::{AppState, Error, Fields, words as shared};

/// `GET /settings/proposals/{id}`
pub async fn page(State(state): State<AppState>, Path(id): Path<Uuid>, me: SignedIn) -> Result<Response, Error> {
    show(&state, &me, id, StatusCode::OK, (FormErrors::default(), Fields::default())).await
}

async fn show(
    state: &AppState,
    me: &SignedIn,
    id: Uuid,
    status: StatusCode,
    (errors, fields): (FormErrors, Fields),
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeSettings>(&mut conn, &me.actor(), Object::None).await?;
    let found = proposed::list(&mut conn, Wanted { one: Some(id), ..Wanted::default() }).await?;
    let proposal = found.into_iter().next().ok_or_else(Error::not_found)?;
    let title = named(&mut conn, &proposal.subject).await?;
    let setting = format!("/settings/{}", shared::segment(&proposal.subject.to_string()));
    let releases = me.may(Operation::ReleaseSetting);
    let closed = match releases {
        false => Some("An administrator releases it."),
        true => proposed::closed_to(&proposal, me.viewer().person, state.config.web.one_administrator),
    };
    let own = proposal.state == "proposed" && proposal.proposed_by == me.viewer().person;
    let page = ProposalPage {
        crumbs: vec![Crumb::to("Settings", "/settings"), Crumb::to(&title, setting.clone()), Crumb::here("Proposal")],
        state: badge(&proposal, me),
        summary: format!("{}: {}", proposal.proposed_by_name, proposal.note),
        errors,
        action: format!("/settings/proposals/{id}"),
        digest: proposal.digest.clone(),
        facts: facts(&proposal, me),
        changes: changes(&mut conn, me, &proposal.subject, (&proposal.base, &proposal.body)).await?,
        comment: fields.raw("comment").to_owned(),
        closed: closed.unwrap_or_default().to_owned(),
        may_withdraw: releases && (own || proposal.state == "scheduled"),
        tests: releases.then(|| letters::offered(&proposal.subject, "")).flatten(),
        again: (!proposal.is_open()).then(|| Link::new("The setting as it is now", setting)),
        shell: me.shell(state, &mut conn, format!("{title}: proposal"), Nav::Settings).await?,
        title,
    };
    viewer::page_with(status, &page)
}

fn facts(proposal: &Proposal, me: &SignedIn) -> Facts {
    let mut facts = vec![
        Fact::new("Proposed by", &proposal.proposed_by_name).also(me.when(proposal.proposed_at).exact),
        Fact::new(
            "In force",
            proposal.from_at.map_or("as soon as it is released".to_owned(), |from| me.when(from).exact),
        ),
        Fact::new(
            "Compared with",
            match proposal.base_version {
                0 => "what was set up".to_owned(),
                version => format!("version {version}"),
            },
        ),
        Fact::code("Digest", shared::short(&proposal.digest)),
    ];
    if let (Some(name), Some(at)) = (&proposal.decided_by_name, proposal.decided_at) {
        let alone = if proposal.alone { "alone: this site has one administrator" } else { "" };
        let mut fact = Fact::new("Decided by", name).also(me.when(at).exact);
        if !alone.is_empty() {
            fact = fact.also(alone);
        }
        facts.push(fact);
    }
    if !proposal.comment.is_empty() {
        facts.push(Fact::new("Comment", &proposal.comment));
    }
    Facts(facts)
}

/// `POST /settings/proposals/{id}`
pub async fn decide(
    State(state): State<AppState>,
    Path(id): Path<Uuid>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    if fields.text("answer") == "test" {
        permit::<op::SeeSettings>(&mut tx, &me.actor(), Object::None).await?;
        let found = proposed::list(&mut tx, Wanted { one: Some(id), ..Wanted::default() }).await?;
        let proposal = found.into_iter().next().ok_or_else(Error::not_found)?;
        let here = format!("/settings/proposals/{id}");
        letters::send(&mut tx, &me, (&proposal.subject, &proposal.body), (fields.text("letter"), &here)).await?;
        tx.commit().await?;
        return viewer::see_saying(&state, &here, Said::TestsSent);
    }
    let permit = permit::<op::ReleaseSetting>(&mut tx, &me.actor(), Object::None).await?;
    let answer = Answer::parse(fields.text("answer"))
        .ok_or_else(|| Error::wrong(Wrong::Senseless, "Choose to release, reject or withdraw."))?;
    let deciding = Deciding {
        id,
        answer,
        digest: fields.text("digest"),
        comment: fields.raw("comment"),
        one_administrator: state.config.web.one_administrator,
    };
    let mut errors = FormErrors::default();
    match proposed::decide(&mut tx, me.now, &permit, &deciding).await {
        Ok(proposal) => {
            mail::settings::answered(&mut tx, me.now, &proposal).await?;
            tx.commit().await?;
            let said = match answer {
                Answer::Release => Said::SettingReleased,
                Answer::Reject => Said::SettingRejected,
                Answer::Withdraw => Said::SettingWithdrawn,
            };
            return viewer::see_saying(&state, &format!("/settings/proposals/{id}"), said);
        }
        Err(CatalogError::Invalid { wrong, .. }) => {
            for wrong in wrong {
                match wrong.field.as_str() {
                    "comment" => errors.add("comment", wrong.message),
                    _ => errors.add("", format!("It cannot come into force as it is: {}", wrong.message)),
                }
            }
        }
        Err(CatalogError::Conflict(why)) => errors.add("", why),
        Err(other) => return Err(other.into()),
    }
    drop(tx);
    show(&state, &me, id, StatusCode::CONFLICT, (errors, fields)).await
}
