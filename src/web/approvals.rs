//! Approvals: what waits for the viewer's decision, and deciding about one item.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum_extra::extract::Query;
use sqlx::PgConnection;

use super::requests::find;
use super::view::approval::{ApprovalPage, DecisionForm};
use super::view::errors::Wrong;
use super::view::forms::FormErrors;
use super::view::lists::{ApprovalRow, ApprovalsPage, Tab};
use super::view::parts::{Badge, Crumb, Empty, Fact, Facts, Link, Pager};
use super::view::plan::{ItemView, PlanView};
use super::view::progress::Stages;
use super::view::shell::Nav;
use super::view::states;
use super::viewer::{self, Posted, Said, SignedIn};
use super::{AppState, Error, Fields, plans, requests, words};
use crate::access::{Object, Operation, Role, delegation, op, permit, scope};
use crate::changes;
use crate::requests::decide::{self, Deciding, Verdict};
use crate::requests::{self as asking, Item, Request, RequestError};

/// `GET /approvals`
pub async fn list(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    if !me.may(Operation::Decide) {
        return Err(Error::wrong(Wrong::NotForYou, Operation::Decide.refusal()));
    }
    let decided = Fields(query).text("view") == "decided";
    let mut conn = state.pool.acquire().await?;
    let waiting = asking::list::waiting_for(&mut conn, me.now, me.viewer().person, 200).await?;
    let count = u64::try_from(waiting.len()).ok();
    let rows = if decided {
        decided_rows(&mut conn, &me).await?
    } else {
        waiting.iter().map(|w| waiting_row(&me, w)).collect()
    };
    let standing = delegation::list(&mut conn, me.viewer().person, me.today()).await?;
    let standing = standing.iter().find(|d| d.delegate == me.viewer().person && d.from_day <= me.today());
    let page = ApprovalsPage {
        shell: me.shell(&state, &mut conn, "Approvals", Nav::Approvals).await?,
        tabs: vec![
            Tab::new("Waiting for you", count, "/approvals", !decided),
            Tab::new("You decided", None, "/approvals?view=decided", decided),
        ],
        rows,
        waiting: !decided,
        pager: Pager { csv: (!decided).then(|| "/exports/approvals.csv".to_owned()), ..Pager::default() },
        empty: if decided {
            Empty::new("Nothing decided yet", "What you decide is kept here, with what you saw.")
        } else {
            Empty::new("Nothing waits for you", "When policy asks you to decide, it appears here and in a mail.")
        },
        standing_in: standing.map(|d| {
            Link::new(format!("You stand in for {} until {}", d.person_name, me.day(d.last_day).relative), "/me")
        }),
    };
    viewer::page(&page)
}

fn waiting_row(me: &SignedIn, waiting: &asking::list::Waiting) -> ApprovalRow {
    let changes = usize::try_from(waiting.changes).unwrap_or(0);
    let role = match &waiting.for_whom {
        Some(name) => format!("{} · for {name}", waiting.stage),
        None => waiting.stage.clone(),
    };
    ApprovalRow {
        number: format!("{} · item {}", waiting.number, waiting.item),
        href: format!("/requests/{}/items/{}/decision", waiting.number.0, waiting.item),
        title: waiting.title.clone(),
        item: waiting.label.clone(),
        sox: waiting.sox,
        role,
        size: words::count(changes, "step", "steps"),
        asked_by: waiting.asked_by.clone().unwrap_or_default(),
        when: me.when(waiting.opened_at.unwrap_or(me.now)),
        state: Badge::warn("waits for you"),
    }
}

async fn decided_rows(conn: &mut PgConnection, me: &SignedIn) -> Result<Vec<ApprovalRow>, Error> {
    let rows = sqlx::query!(
        r#"select r.number, i.ordinal, r.title, i.label, i.sox, s.name as stage, d.verdict, d.decided_at,
                  a.display_name as "asked_by?", case when d.stands_for <> d.person then f.display_name end as for_whom
             from decision d join item i on i.id = d.item join request r on r.id = d.request join stage s on s.id = d.stage
             join person f on f.id = d.stands_for
             left join person a on a.id = r.asked_by
            where d.person = $1 order by d.decided_at desc limit 100"#,
        me.viewer().person.0
    )
    .fetch_all(conn)
    .await?;
    let shown = rows.into_iter().map(|row| ApprovalRow {
        number: format!("REQ-{:06} · item {}", row.number, row.ordinal),
        href: format!("/requests/{}", row.number),
        title: row.title,
        item: row.label,
        sox: row.sox,
        role: row.for_whom.map_or_else(|| row.stage.clone(), |name| format!("{} · for {name}", row.stage)),
        size: String::new(),
        asked_by: row.asked_by.unwrap_or_default(),
        when: me.when(row.decided_at),
        state: match row.verdict.as_str() {
            "approve" => Badge::ok("you approved"),
            "reject" => Badge::bad("you rejected"),
            _ => Badge::warn("you sent it back"),
        },
    });
    Ok(shown.collect())
}

/// What came with a decision that was not taken.
#[derive(Default)]
struct Sent {
    comment: String,
    errors: FormErrors,
    changed_since: bool,
}

/// `GET /requests/{number}/items/{item}/decision`
pub async fn page(
    State(state): State<AppState>,
    Path((number, item)): Path<(String, i32)>,
    me: SignedIn,
) -> Result<Response, Error> {
    show(&state, &me, (&number, item), StatusCode::OK, Sent::default()).await
}

async fn show(
    state: &AppState,
    me: &SignedIn,
    (number, ordinal): (&str, i32),
    status: StatusCode,
    sent: Sent,
) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    let request = find(&mut conn, number).await?;
    permit::<op::See>(&mut conn, &me.actor(), Object::Request(request.id)).await?;
    let visible = scope::visible_items(&mut conn, me.viewer(), request.id).await?;
    let items = asking::items(&mut conn, request.id).await?;
    let item =
        items.iter().find(|item| item.ordinal == ordinal && visible.shows(item.id)).ok_or_else(Error::not_found)?;
    let all_stages = asking::stages(&mut conn, request.id).await?;
    let stages: Vec<&asking::Stage> = all_stages.iter().filter(|stage| stage.item == item.id).collect();
    let decidable = decide::decidable(&mut conn, me.now, request.id, me.viewer().person).await?;
    let is_party = decide::is_party(&mut conn, request.id, me.viewer().person).await?;
    let mine = decidable.iter().find(|(decidable, _)| *decidable == ordinal);
    let steps = changes::steps(&mut conn, request.id, false).await?;
    let steps: Vec<&changes::Step> = steps.iter().filter(|step| step.item == item.id).collect();
    let names = plans::Names::of(&mut conn, steps.iter().map(|step| (&step.difference, &step.key))).await?;
    let views = steps.iter().map(|step| plans::step(me, &names, step, Vec::new())).collect();
    let mut plan = PlanView::new(vec![ItemView::bare(views)]);
    plan.title = words::count(plan.count(), "change", "changes");
    let stands_for = match mine {
        Some((_, Some(person))) => super::lookup::person(&mut conn, *person).await?.map(|line| line.name),
        _ => None,
    };
    let open = stages.iter().find(|stage| stage.state == "open");
    let away = super::away::of_request(&mut conn, me, request.id).await?;
    let form = mine.map(|_| DecisionForm {
        comment: sent.comment,
        on_behalf: stands_for.unwrap_or_default(),
        ..decision_form(me, &request, item, (plan.count(), &steps))
    });
    let others = items.len() - 1;
    let page = ApprovalPage {
        crumbs: vec![
            Crumb::to("Approvals", "/approvals"),
            Crumb::to(request.number.to_string(), format!("/requests/{}", request.number.0)),
            Crumb::here(format!("Item {ordinal}")),
        ],
        title: format!("{}: {}", request.title, item.label),
        summary: format!(
            "asked for by {} {}",
            request.asked_by_name.as_deref().unwrap_or("Tenure"),
            me.when(request.asked_at).relative
        ),
        role: open.map_or(String::new(), |stage| format!("You decide {}.", words::decides_as(&stage.role))),
        why: open.map_or(String::new(), |stage| stage.reason.clone()),
        changed_since: sent.changed_since,
        errors: sent.errors,
        plan,
        closed: closed(me, item, &stages, is_party),
        form,
        details: details(me, &request, item),
        stages: Stages(stages.iter().map(|stage| requests::stage(me, &away, 0, stage)).collect()),
        others: if others == 0 {
            String::new()
        } else {
            format!(
                "{} decided separately; none waits for another.",
                words::count(others, "other item of this request is", "other items of this request are")
            )
        },
        shell: me.shell(state, &mut conn, format!("Decide: {}", item.label), Nav::Approvals).await?,
    };
    viewer::page_with(status, &page)
}

/// The empty form, bound to the digest shown.
fn decision_form(
    me: &SignedIn,
    request: &Request,
    item: &Item,
    (changes, steps): (usize, &[&changes::Step]),
) -> DecisionForm {
    let last = steps.iter().filter_map(|step| step.not_before).max();
    DecisionForm {
        action: format!("/requests/{}/items/{}/decision", request.number.0, item.ordinal),
        digest: item.digest.clone(),
        digest_short: words::short(&item.digest),
        what: if changes == 1 { "this change".to_owned() } else { format!("these {changes} changes") },
        comment: String::new(),
        until: last.map_or(String::new(), |at| plans::later(me, Some(at))),
        on_behalf: String::new(),
    }
}

fn closed(me: &SignedIn, item: &Item, stages: &[&asking::Stage], is_party: bool) -> String {
    if is_party {
        return "You asked for this, it is about you, or you gain by it: somebody else decides.".to_owned();
    }
    let last = stages.iter().flat_map(|stage| &stage.decisions).last();
    match last {
        Some(decision) => {
            let did = match decision.verdict.as_str() {
                "approve" => "approved",
                "reject" => "rejected",
                _ => "sent back",
            };
            format!(
                "{} {did} this {}. It is {}.",
                decision.name,
                me.when(decision.decided_at).relative,
                states::item(&item.state).word
            )
        }
        None => format!("There is nothing for you to decide here. It is {}.", states::item(&item.state).word),
    }
}

fn details(me: &SignedIn, request: &Request, item: &Item) -> Facts {
    let mut facts =
        vec![Fact::new("Asked for by", request.asked_by_name.clone().unwrap_or_else(|| "Tenure".to_owned()))];
    if let (Some(person), Some(name)) = (request.subject, &request.subject_name) {
        facts.push(Fact::new("About", name).href(format!("/people/{person}")));
    }
    if item.sox {
        facts.push(Fact::new("In scope of SOX", "yes: its owner always decides"));
    }
    if let Some(by) = request.resolve_by {
        facts.push(Fact::new("To be done by", me.when(by).relative));
    }
    Facts(facts)
}

/// `POST /requests/{number}/items/{item}/decision`
pub async fn decide(
    State(state): State<AppState>,
    Path((number, item)): Path<(String, i32)>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let verdict = Verdict::parse(fields.text("decision"))
        .ok_or_else(|| Error::wrong(Wrong::Senseless, "A decision is to approve, to reject or to send back."))?;
    let deciding = Deciding {
        number: number.parse().map_err(|_| Error::not_found())?,
        item,
        verdict,
        digest: fields.text("digest").to_owned(),
        comment: fields.raw("comment").to_owned(),
    };
    let sent = |errors, changed_since| Sent { comment: deciding.comment.clone(), errors, changed_since };
    match decide::decide(&state.pool, me.now, &me.actor(), &deciding).await {
        Ok(()) => {
            let more = me.viewer().roles.contains(&Role::Desk);
            let said = match verdict {
                Verdict::Approve => Said::Approved,
                Verdict::Reject => Said::Rejected,
                Verdict::SendBack => Said::SentBack,
            };
            viewer::see_saying(
                &state,
                &if more { format!("/requests/{number}") } else { "/approvals".to_owned() },
                said,
            )
        }
        Err(RequestError::Fields(fields)) => {
            let sent = sent(requests::form_errors(fields), false);
            show(&state, &me, (&number, item), StatusCode::UNPROCESSABLE_ENTITY, sent).await
        }
        Err(RequestError::Stale) => {
            show(&state, &me, (&number, item), StatusCode::CONFLICT, sent(FormErrors::default(), true)).await
        }
        Err(other) => Err(Error::from(other).link("Back to the request", format!("/requests/{number}"))),
    }
}
