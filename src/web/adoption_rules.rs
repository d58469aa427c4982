//! Rules of adoption, tried and applied in bulk; and what people hold that no rule and no request explains.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum_extra::extract::Query;

use super::requests::{ROWS, links};
use super::view::adoption::{BeyondPage, BeyondRow, LinkRow, RuleCard, RulesPage};
use super::view::forms::FormErrors;
use super::view::parts::{Crumb, Empty, Person};
use super::view::shell::Nav;
use super::viewer::{self, Posted, Said, SignedIn};
use super::{AppState, Error, Fields, cursor, words};
use crate::access::{Object, Operation, op, permit};
use crate::catalog::{self, Birthright};
use crate::grants::beyond as report;
use crate::mirror::adoption::Rule;
use crate::mirror::trial::{self, Trial};
use crate::target::SystemKey;

/// Links shown of each rule.
const SHOWN: usize = 25;

fn title(rule: Rule) -> (&'static str, &'static str) {
    match rule {
        Rule::EmployeeNumber => ("Employee number", "The account carries the person’s employee number."),
        Rule::Mail => ("Mail address", "The mail address is the person’s, and no employee number says otherwise."),
        Rule::Name => {
            ("Name", "The name is the person’s and nobody else’s, and neither number nor address says otherwise.")
        }
        Rule::UserName => (
            "User name",
            "The user name is made of the person’s name, as in “pwolf” or “peter.wolf”; for whom nothing else is found.",
        ),
        Rule::Request | Rule::Hand => ("", ""),
    }
}

fn card(me: &SignedIn, system: &SystemKey, trial: Trial) -> RuleCard {
    let (title, explanation) = title(trial.rule);
    let own = trial.links.iter().filter(|link| link.person == me.viewer().person).count();
    let (all, may) = (trial.links.len(), me.may(Operation::LinkAccount));
    let row = |link: &trial::Proposal| LinkRow {
        account: link.user_name.clone(),
        href: format!("/adoption/{}", link.account),
        display_name: link.display_name.clone(),
        person: Person::to(&link.person_name, format!("/people/{}", link.person)),
        note: match (link.person == me.viewer().person, link.admin) {
            (true, _) => "yours: somebody else links it".to_owned(),
            (_, true) => "as their second account".to_owned(),
            _ => String::new(),
        },
    };
    RuleCard {
        id: format!("{}-{}", trial.rule.as_str(), system.0.replace([':', '.'], "-")),
        title: title.to_owned(),
        explanation: explanation.to_owned(),
        word: trial.rule.as_str(),
        system: system.0.clone(),
        system_words: words::system(&system.0),
        automatic: trial.automatic,
        count: match all {
            0 => "It would link nothing now.".to_owned(),
            all => words::count(all, "account", "accounts"),
        },
        links: trial.links.iter().take(SHOWN).map(row).collect(),
        more: if all > SHOWN { format!("the first {SHOWN} are shown") } else { String::new() },
        digest: trial.digest,
        button: if may && all > own {
            format!("Link {}", words::count(all - own, "account", "accounts"))
        } else {
            String::new()
        },
    }
}

/// `GET /adoption/rules`
pub async fn page(State(state): State<AppState>, me: SignedIn) -> Result<Response, Error> {
    show(&state, &me, StatusCode::OK, FormErrors::default()).await
}

async fn show(state: &AppState, me: &SignedIn, status: StatusCode, errors: FormErrors) -> Result<Response, Error> {
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeAdoption>(&mut conn, &me.actor(), Object::None).await?;
    let mut cards = Vec::new();
    for system in trial::systems(&mut conn).await? {
        let trials = trial::trials(&mut conn, &system).await?.trials;
        cards.extend(trials.into_iter().map(|trial| card(me, &system, trial)));
    }
    let page = RulesPage {
        crumbs: vec![Crumb::to("Adoption", "/adoption"), Crumb::here("Rules")],
        errors,
        cards,
        may_switch: me.may(Operation::SwitchAdoption),
        shell: me.shell(state, &mut conn, "Rules of adoption", Nav::Adoption).await?,
    };
    viewer::page_with(status, &page)
}

fn rule_of(word: &str) -> Result<Rule, Error> {
    Rule::parse(word).ok_or_else(Error::not_found)
}

/// `POST /adoption/rules/{rule}`
pub async fn link(
    State(state): State<AppState>,
    Path(rule): Path<String>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::LinkAccount>(&mut tx, &me.actor(), Object::None).await?;
    let (system, rule) = (SystemKey(fields.text("system").to_owned()), rule_of(&rule)?);
    let linked = trial::link_all(&mut tx, me.now, &permit, (&system, rule), fields.text("digest"))
        .await
        .map_err(sqlx::Error::from)?;
    if linked.is_some() {
        tx.commit().await?;
        return viewer::see_saying(&state, "/adoption", Said::Adopted);
    }
    drop(tx);
    let mut errors = FormErrors::default();
    errors.add("", "Accounts or people have changed since you looked. Nothing was linked; this is how it is now.");
    show(&state, &me, StatusCode::CONFLICT, errors).await
}

/// `POST /adoption/rules/{rule}/switch`
pub async fn switch(
    State(state): State<AppState>,
    Path(rule): Path<String>,
    Posted { me, fields }: Posted,
) -> Result<Response, Error> {
    let mut tx = state.pool.begin().await?;
    let permit = permit::<op::SwitchAdoption>(&mut tx, &me.actor(), Object::None).await?;
    let rule = rule_of(&rule)?;
    let automatic = fields.text("automatic") == "yes";
    trial::switch(&mut tx, me.now, &permit, (rule, automatic)).await.map_err(sqlx::Error::from)?;
    tx.commit().await?;
    viewer::see_saying(&state, "/adoption/rules", Said::Switched)
}

/// `GET /adoption/beyond`
pub async fn beyond(
    State(state): State<AppState>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let fields = Fields(query);
    let mut conn = state.pool.acquire().await?;
    permit::<op::SeeAdoption>(&mut conn, &me.actor(), Object::None).await?;
    let released = catalog::history::<Birthright>(&mut conn, 1).await.map_err(Error::broken)?.pop();
    let birthright = released.map(|version| version.body).unwrap_or_default();
    let (memberships, people) = report::count(&mut conn, &birthright).await?;
    let after = cursor::open::<report::After>(&me.live, fields.text("after"));
    let mut found = report::list(&mut conn, &birthright, fields.text("q"), (after, ROWS + 1)).await?;
    let more = i64::try_from(found.len()).unwrap_or(0) > ROWS;
    found.truncate(usize::try_from(ROWS).unwrap_or(50));
    let next = found
        .last()
        .filter(|_| more)
        .map(|last| cursor::seal(&me.live, &(&last.person_name, last.account, &last.group)));
    let rows = found.into_iter().map(|one| BeyondRow {
        person: Person::to(&one.person_name, format!("/people/{}", one.person)),
        account: one.user_name,
        group: one.group,
        href: one.entitlement.map(|id| format!("/catalogue/{id}")),
        sox: one.sox,
        standing: match one.entitlement {
            Some(_) => "In the catalogue; held before Tenure".to_owned(),
            None => "Not in the catalogue".to_owned(),
        },
    });
    let number = |count: i64| usize::try_from(count).unwrap_or(0);
    let page = BeyondPage {
        crumbs: vec![Crumb::to("Adoption", "/adoption"), Crumb::here("Beyond the rules")],
        summary: format!(
            "{} of {} that no rule of birthright gives and nobody asked for here",
            words::count(number(memberships), "membership", "memberships"),
            words::count(number(people), "person", "people")
        ),
        query: fields.text("q").to_owned(),
        rows: rows.collect(),
        pager: links("/adoption/beyond", &fields, next),
        empty: Empty::new("Nothing", "Everything that people hold is given by a rule, or was asked for."),
        shell: me.shell(&state, &mut conn, "Held beyond the rules", Nav::Adoption).await?,
    };
    viewer::page(&page)
}
