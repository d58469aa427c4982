//! No state change without a record: every mutating route and API call, every routine and transition of the worker, every
//! command, done once as it succeeds; what each changed and what it recorded stands in a snapshot. What is new in the route
//! table, among the routines or among the words of a state fails here by name until somebody says how it is recorded.

mod asking;
mod own;
mod people;
mod refused;
mod settings;
mod walk;
mod work;

use std::collections::BTreeSet;

use axum::http::Method;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::safety::routes;
use crate::support::recorded;
use walk::Walk;

/// What is done, the action of its record, and how the record's subject begins. A word in brackets tells two ways of one
/// route apart.
const RECORDED: &[(&str, &str, &str)] = &[
    ("POST /signin", "session.opened", "person:"),
    ("POST /signin/demo", "session.opened", "person:"),
    ("POST /signout", "session.ended", "person:"),
    ("POST /me/sessions/{id}/end", "session.ended", "person:"),
    ("POST /me/sessions/end-others", "session.ended", "person:"),
    ("POST /me/tokens", "token.made", "person:"),
    ("POST /me/tokens/{id}/revoke", "token.revoked", "person:"),
    ("POST /me/delegations", "delegation.made", "person:"),
    ("POST /me/delegations/{id}/end", "delegation.ended", "person:"),
    ("POST /people/{id}/delegations", "delegation.made", "person:"),
    ("POST /people/{id}/delegations/{delegation}/end", "delegation.ended", "person:"),
    ("POST /requests", "request.submitted", "request:"),
    ("POST /requests (changed)", "request.changed", "request:"),
    ("POST /requests/{number}/comments", "request.commented", "request:"),
    ("POST /requests/{number}/assignment", "request.assigned", "request:"),
    ("POST /requests/{number}/priority", "request.prioritised", "request:"),
    ("POST /queue/assignment", "request.assigned", "request:"),
    ("POST /requests/{number}/cancellation", "request.cancelled", "request:"),
    ("POST /requests/{number}/steps/{step}/retry", "step.released", "request:"),
    ("POST /requests/{number}/steps/{step}/skip", "step.skipped", "request:"),
    ("POST /requests/{number}/items/{item}/decision (approve)", "approval.granted", "request:"),
    ("POST /requests/{number}/items/{item}/decision (reject)", "approval.rejected", "request:"),
    ("POST /requests/{number}/items/{item}/decision (send back)", "approval.sent_back", "request:"),
    ("POST /secrets/{id}", "secret.revealed", "request:"),
    ("POST /adoption/{account} (person)", "account.linked", "account:"),
    ("POST /adoption/{account} (service)", "account.classified", "account:"),
    ("POST /adoption/{account} (nobody)", "account.classified", "account:"),
    ("POST /adoption/rules/{rule}", "account.linked", "account:"),
    ("POST /adoption/rules/{rule}/switch", "adoption.changed", "setting:"),
    ("POST /people/new", "person.made", "person:"),
    ("POST /people/{id}/edit", "person.changed", "person:"),
    ("POST /people/{id}/employment", "person.changed", "person:"),
    ("POST /people/{id}/roles (give)", "role.given", "person:"),
    ("POST /people/{id}/roles (take)", "role.taken", "person:"),
    ("POST /people/import/{id}", "person.imported", "person:"),
    ("POST /people/{id}/erasure", "erasure.proposed", "erasure:"),
    ("POST /erasures/{id} (approve)", "erasure.approved", "erasure:"),
    ("POST /erasures/{id} (reject)", "erasure.rejected", "erasure:"),
    ("POST /settings/drafts/{id} (propose)", "setting.proposed", "setting:"),
    ("POST /settings/proposals/{id} (release)", "setting.released", "setting:"),
    ("POST /settings/proposals/{id} (schedule)", "setting.approved", "setting:"),
    ("POST /settings/proposals/{id} (reject)", "setting.rejected", "setting:"),
    ("POST /settings/proposals/{id} (withdraw)", "setting.withdrawn", "setting:"),
    ("POST /settings/drafts/{id} (test)", "mail.tested", "setting:"),
    ("POST /settings/proposals/{id} (test)", "mail.tested", "setting:"),
    ("POST /outbox/{id}/retry", "mail.sent_again", "mail:"),
    ("POST /system/{key}/checks", "system.check_asked", "system:"),
    ("POST /history/bundle", "report.taken", ""),
    ("POST /api/v1/requests", "request.submitted", "request:"),
    ("POST /api/v1/requests/{number}/items/{item}/decisions", "approval.rejected", "request:"),
    ("POST /api/v1/requests/{number}/comments", "request.commented", "request:"),
    ("PUT /api/v1/requests/{number}/answers", "request.changed", "request:"),
    ("POST /api/v1/requests/{number}/cancellation", "request.cancelled", "request:"),
    ("command: a sign-in", "sign_in.created", "person:"),
    ("command: a sign-in closed", "sign_in.disabled", "person:"),
    ("command: a role given", "role.given", "person:"),
    ("command: a role taken", "role.taken", "person:"),
    ("command: people imported", "person.imported", "person:"),
    ("command: people imported again", "person.imported", "person:"),
    ("command: a site", "site.changed", "site:"),
    ("command: a target system", "system.changed", "system:"),
    ("command: an entitlement", "entitlement.added", "entitlement:"),
    ("command: an entitlement changed", "entitlement.changed", "entitlement:"),
    ("command: a setting", "setting.released", "setting:"),
    ("command: an account unlinked", "account.unlinked", "account:"),
    ("routine: check-connections", "system.checked", "system:"),
    ("routine: deliver-secrets", "secret.revealed", "request:"),
    ("routine: end-grants", "grant.ended", "person:"),
    ("routine: chase-decisions", "decision.escalated", "request:"),
    ("routine: count-clocks", "clock.moved", "request:"),
    ("routine: settings-in-force", "setting.released", "setting:"),
    ("routine: settings-in-force (overtaken)", "setting.overtaken", "setting:"),
    ("routine: replan-drifted", "step.released", "request:"),
    ("routine: settle-persons", "person.changed", "person:"),
    ("routine: erase-persons", "person.erased", "person:"),
    ("routine: forget", "session.ended", "person:"),
    ("routine: forget (a password)", "secret.expired", "request:"),
];

/// What changes nothing that must be proved: the tables that it may change, and why.
const UNRECORDED: &[(&str, &[&str], &str)] = &[
    ("POST /requests/new/{kind}", &["draft"], "answers before they are asked for"),
    ("POST /drafts/{id}/{step}", &["draft"], "answers before they are asked for"),
    ("POST /drafts/{id}/discard", &["draft"], "answers that are not asked for"),
    ("POST /people/import", &["import_draft"], "a file before it is applied"),
    (
        "POST /people/import/{id}/columns",
        &["import_draft", "import_column"],
        "a file before it is applied, and how headers were read",
    ),
    ("POST /people/import/{id}/discard", &["import_draft"], "a file that is not applied"),
    ("POST /settings/drafts", &["setting_draft"], "a change before it is proposed"),
    ("POST /settings/drafts/{id}", &["setting_draft"], "a change before it is proposed"),
    ("POST /settings/drafts/{id}/rules/{rule}", &["setting_draft"], "a change before it is proposed"),
    ("POST /requests/{number}/answers", &["draft"], "opens the answers as a draft; sending it is recorded"),
];

/// Routines whose doing is another's record.
const OTHER_ROUTINES: &[(&str, &str)] = &[
    ("send-mail", "a letter tells of what is recorded; how far it has come is not proved"),
    ("anchor-evidence", "anchors the log itself: its records are the log's (tests/portal/evidence)"),
];

/// Words of a state that nothing in the program sets: reserved, and found here once something does.
const RESERVED: &[(&str, &str)] = &[("step", "undone"), ("request", "waiting_for_requester")];

fn route_of(name: &str) -> &str {
    name.split(" (").next().unwrap_or(name)
}

#[test]
fn every_mutating_route_says_how_it_is_recorded() {
    let said: BTreeSet<&str> = RECORDED
        .iter()
        .map(|(name, ..)| route_of(name))
        .chain(UNRECORDED.iter().map(|(name, ..)| route_of(name)))
        .filter(|name| name.contains(" /"))
        .collect();
    let there: Vec<String> = routes()
        .into_iter()
        .filter(|(method, _)| *method != Method::GET)
        .map(|(method, path)| format!("{method} {path}"))
        .collect();
    let silent: Vec<&String> = there.iter().filter(|route| !said.contains(route.as_str())).collect();
    assert!(silent.is_empty(), "say in RECORDED which record follows, and walk it: {silent:?}");
    let gone: Vec<&&str> = said.iter().filter(|route| !there.iter().any(|there| there == *route)).collect();
    assert!(gone.is_empty(), "no such route any more: {gone:?}");
}

#[test]
fn every_routine_says_how_it_is_recorded() {
    let source = include_str!("../../../src/worker/routines.rs");
    let names: Vec<&str> =
        source.split("Routine { name: \"").skip(1).filter_map(|part| part.split('"').next()).collect();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let recorded = RECORDED.iter().any(|(said, ..)| route_of(said) == format!("routine: {name}"));
        assert!(recorded || OTHER_ROUTINES.iter().any(|(other, _)| *other == name), "{name} is not walked");
    }
}

#[sqlx::test]
async fn every_operation_leaves_its_record(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut walk = Walk::start(options, connect).await;
    own::signing_in(&mut walk).await;
    own::tokens_and_delegations(&mut walk).await;
    own::commands(&mut walk).await;
    people::file(&mut walk).await;
    people::by_hand(&mut walk).await;
    settings::proposals(&mut walk).await;
    settings::letters(&mut walk).await;
    settings::connections(&mut walk).await;
    asking::sent_back_and_changed(&mut walk).await;
    asking::refused_by_the_target(&mut walk).await;
    asking::cancelled(&mut walk).await;
    asking::nobody_decides(&mut walk).await;
    asking::given_until_a_day(&mut walk).await;
    work::passwords(&mut walk).await;
    work::unlocked_already(&mut walk).await;
    work::a_leaver_who_drifts(&mut walk).await;
    work::joiners(&mut walk).await;
    own::adoption(&mut walk).await;
    people::rules_of_adoption(&mut walk).await;
    own::erasures(&mut walk).await;
    own::bundle(&mut walk).await;
    own::forgotten(&mut walk).await;

    let missing: Vec<&str> = RECORDED
        .iter()
        .map(|(name, ..)| *name)
        .chain(UNRECORDED.iter().map(|(name, ..)| *name))
        .filter(|name| !walk.done.contains_key(*name))
        .collect();
    assert!(missing.is_empty(), "not walked: {missing:?}");

    every_word_is_walked(&walk).await;
    the_rules_stand_in_the_record(&walk).await;
    let mut text = String::from("What is done: the tables that it changed: what it recorded\n");
    for (name, line) in &walk.done {
        text.push_str(&format!("{name}: {line}\n"));
    }
    insta::assert_snapshot!(text);
}

/// Each word that a state may have was come to, by a transaction that left a record.
async fn every_word_is_walked(walk: &Walk) {
    let moves = recorded::moves(&walk.portal.owner).await;
    let mut wrong = Vec::new();
    for (table, column) in [
        ("person", "state"),
        ("request", "state"),
        ("item", "state"),
        ("stage", "state"),
        ("step", "state"),
        ("attempt", "outcome"),
        ("erasure", "state"),
        ("decision", "verdict"),
    ] {
        let words = recorded::words(&walk.portal.owner, table, column).await;
        assert!(words.len() >= 3, "{table}: {words:?}");
        for word in words {
            let seen = moves.keys().any(|(of, _, now)| of == table && *now == word);
            if seen == RESERVED.contains(&(table, word.as_str())) {
                wrong.push(format!("{table} {word}: {}", if seen { "seen, though reserved" } else { "not walked" }));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What was planned, decided or applied says by which rules; an ending follows from what was decided before.
async fn the_rules_stand_in_the_record(walk: &Walk) {
    let without: Vec<(String, String)> = sqlx::query_as(
        "select e.action, e.subject from evidence_record e join request r on r.number = e.request and r.kind <> 'expiry'
          where (e.action in ('item.planned', 'step.intended', 'step.applied') or e.action like 'approval.%')
            and not coalesce(convert_from(e.canonical, 'UTF8')::jsonb #> '{software,rules}'
                                 ?& '{routes,naming,birthright,service_levels}', false)",
    )
    .fetch_all(&walk.portal.owner)
    .await
    .unwrap();
    assert!(without.is_empty(), "{without:?}");
}
