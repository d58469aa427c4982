//! Requests for access: asked, sent back, changed, decided, refused by the target, cancelled, given until a day.

use super::walk::Walk;
use crate::support::browser::{Answer, Browser};
use crate::support::scripted::Next;

pub fn hidden(page: &Answer, name: &str) -> Vec<String> {
    let html = page.html();
    let selector = scraper::Selector::parse(&format!("input[name=\"{name}\"]")).unwrap();
    html.select(&selector).filter_map(|input| input.value().attr("value").map(str::to_owned)).collect()
}

/// Sends what "check your answers" shows.
pub async fn send(walk: &mut Walk, name: &str, browser: &Browser, check: &str) -> Answer {
    let page = browser.get(check).await;
    let draft = page.value("draft").unwrap_or_else(|| panic!("{check}: {}", page.text));
    let digests = hidden(&page, "digest");
    let mut fields = vec![("draft", draft.as_str()), ("nonce", draft.as_str())];
    fields.extend(digests.iter().map(|digest| ("digest", digest.as_str())));
    walk.did(name, browser.post("/requests", &fields)).await
}

fn until<'a>(ledger: &'a str, month: &'a str) -> Vec<(&'static str, &'a str)> {
    vec![
        ("person", "Anna Vogel (avogel)"),
        ("join", ledger),
        ("limited", "yes"),
        ("until_day", "1"),
        ("until_month", month),
        ("until_year", "2027"),
        ("reason", "Cover"),
        ("go", "continue"),
    ]
}

/// Anna's manager asks for the ledger; the request's address.
async fn ledger(walk: &mut Walk) -> String {
    let (manager, ledger) = (walk.portal.browser_of(walk.company.manager).await, walk.company.ledger.to_string());
    let begun = walk.did("POST /requests/new/{kind}", manager.post("/requests/new/access", &until(&ledger, "3"))).await;
    send(walk, "POST /requests", &manager, begun.location()).await.location().to_owned()
}

pub async fn sent_back_and_changed(walk: &mut Walk) {
    let (manager, desk) =
        (walk.portal.browser_of(walk.company.manager).await, walk.portal.browser_of(walk.company.desk).await);
    let owner = walk.portal.browser_of(walk.company.owner).await;
    let address = ledger(walk).await;
    let own = [("comment", "On it")];
    walk.did("POST /requests/{number}/comments", desk.post(&format!("{address}/comments"), &own)).await;
    let me = [("assignee", "me")];
    walk.did("POST /requests/{number}/assignment", desk.post(&format!("{address}/assignment"), &me)).await;
    let nobody = [("number", "1"), ("assignee", "")];
    walk.did("POST /queue/assignment", desk.post("/queue/assignment", &nobody)).await;
    let urgent = [("priority", "2"), ("reason", "Month end")];
    walk.did("POST /requests/{number}/priority", desk.post(&format!("{address}/priority"), &urgent)).await;
    let decision = format!("{address}/items/1/decision");
    let digest = owner.get(&decision).await.value("digest").unwrap();
    let back = [("decision", "send_back"), ("digest", digest.as_str()), ("comment", "Until when?")];
    let name = "POST /requests/{number}/items/{item}/decision (send back)";
    walk.did(name, owner.post(&decision, &back)).await;
    let draft = walk.did("POST /requests/{number}/answers", manager.post(&format!("{address}/answers"), &[])).await;
    let ledger = walk.company.ledger.to_string();
    let form = draft.location().to_owned();
    let changed = walk.did("POST /drafts/{id}/{step}", manager.post(&form, &until(&ledger, "2"))).await;
    send(walk, "POST /requests (changed)", &manager, changed.location()).await;
    // Another draft is thrown away.
    let begun = walk.did("POST /requests/new/{kind}", manager.post("/requests/new/access", &until(&ledger, "4"))).await;
    let draft = begun.location().trim_end_matches("/check").to_owned();
    walk.did("POST /drafts/{id}/discard", manager.post(&format!("{draft}/discard"), &[])).await;
}

/// The target says no; tried again by a person, then left out.
pub async fn refused_by_the_target(walk: &mut Walk) {
    walk.approve().await;
    walk.target.script([Next::Refuse]);
    walk.work("select exists (select from request where number = 1 and state = 'needs_person')").await;
    let lead = walk.portal.browser_of(walk.company.lead).await;
    let step = walk
        .id("select s.id from step s join request r on r.id = s.request where r.number = 1 and s.state = 'blocked'")
        .await;
    let name = "POST /requests/{number}/steps/{step}/retry";
    walk.did(name, lead.post(&format!("/requests/1/steps/{step}/retry"), &[])).await;
    walk.target.script([Next::Refuse]);
    walk.work("select exists (select from request where number = 1 and state = 'needs_person')").await;
    let name = "POST /requests/{number}/steps/{step}/skip";
    walk.did(name, lead.post(&format!("/requests/1/steps/{step}/skip"), &[("reason", "Done by hand")])).await;
}

pub async fn cancelled(walk: &mut Walk) {
    let address = ledger(walk).await;
    let manager = walk.portal.browser_of(walk.company.manager).await;
    let reason = [("reason", "Not needed")];
    let name = "POST /requests/{number}/cancellation";
    walk.did(name, manager.post(&format!("{address}/cancellation"), &reason)).await;
    let address = ledger(walk).await;
    let owner = walk.portal.browser_of(walk.company.owner).await;
    let decision = format!("{address}/items/1/decision");
    let digest = owner.get(&decision).await.value("digest").unwrap();
    let no = [("decision", "reject"), ("digest", digest.as_str()), ("comment", "Not for Cover")];
    walk.did("POST /requests/{number}/items/{item}/decision (reject)", owner.post(&decision, &no)).await;
}

/// Asked one step higher, and lapsed.
pub async fn nobody_decides(walk: &mut Walk) {
    ledger(walk).await;
    // Another calendar, by which it is counted anew.
    walk.set("update site set calendar = '{\"working_days\": [\"Mon\", \"Tue\", \"Wed\", \"Thu\", \"Fri\"], \"opens\": \"08:00:00\", \"closes\": \"16:00:00\", \"holidays\": []}'").await;
    let counted = "select exists (select from evidence_record where action = 'clock.moved' and convert_from(canonical, 'UTF8') like '%\"because\":\"rules\"%')";
    walk.working("routine: count-clocks", counted).await;
    // Three working days ago.
    walk.set("update stage set opened_at = '2026-11-17T08:00:00Z' where state = 'open'").await;
    walk.working("routine: chase-decisions", "select exists (select from stage where escalated_at is not null)").await;
    walk.set("update stage set opened_at = '2026-10-23T08:00:00Z' where state = 'open'").await;
    walk.work("select exists (select from request where state = 'lapsed')").await;
}

/// Given on the third try, after a worker froze; taken away when its day has come.
pub async fn given_until_a_day(walk: &mut Walk) {
    use tenure::changes::lease::{Lease, Terms, lease};
    use tenure::changes::perform::Outcome;
    use tenure::changes::settle;
    ledger(walk).await;
    walk.approve().await;
    let (pool, now) = (walk.portal.pool.clone(), walk.portal.clock.now());
    let mut tx = pool.begin().await.unwrap();
    let terms = Terms { worker: "frozen", lease_seconds: 60, run: &1 };
    let Lease::Taken(mut run) = lease(&mut tx, now, terms).await.unwrap() else { panic!("nothing is due") };
    let frozen = run.remove(0);
    tenure::requests::begun(&mut tx, frozen.request, &[frozen.item]).await.unwrap();
    tx.commit().await.unwrap();
    walk.set("update step set lease_until = now() - interval '1 second' where state = 'running'").await;
    walk.set("update busy set lease_until = now() - interval '1 second'").await;
    walk.target.script([Next::Busy, Next::LostBefore, Next::LostAfter]);
    walk.work("select exists (select from access_grant where ended_at is null and until_on is not null)").await;
    let mut tx = pool.begin().await.unwrap();
    let late = Outcome::Unknown { why: "frozen".to_owned() };
    assert_eq!(settle::settle(&mut tx, now, &[(&frozen, &late)]).await.unwrap(), [settle::Settled::Superseded]);
    tx.rollback().await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    settle::superseded(&mut tx, now, &frozen).await.unwrap();
    tx.commit().await.unwrap();
    walk.set("update access_grant set until_at = starts_at where until_on is not null").await;
    walk.working(
        "routine: end-grants",
        "select not exists (select from access_grant where ended_at is null and until_on is not null)
            and not exists (select from request where kind = 'expiry' and state <> 'done')",
    )
    .await;
}
