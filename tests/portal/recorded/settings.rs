//! Settings drafted, proposed, released, rejected, withdrawn, put in force at their time, overtaken.

use super::walk::Walk;
use crate::support::browser::Browser;
use crate::support::company::SYSTEM;
use crate::support::company::administrator;

const DRAFT: &str = "POST /settings/drafts/{id}";
const DECIDE: &str = "POST /settings/proposals/{id}";

async fn proposed(walk: &mut Walk, admin: &Browser, years: &str, from: &[(&'static str, &str)]) -> String {
    let begun = walk.did("POST /settings/drafts", admin.post("/settings/drafts", &[("subject", "retention")])).await;
    let page = begun.location().to_owned();
    walk.did(DRAFT, admin.post(&page, &[("years", years), ("what", "keep")])).await;
    let base = admin.get(&page).await.value("base").unwrap();
    let mut fields = vec![("years", years), ("what", "propose"), ("note", "As the law has it"), ("base", &base)];
    fields.extend(from);
    let made = walk.did(&format!("{DRAFT} (propose)"), admin.post(&page, &fields)).await;
    made.location().to_owned()
}

async fn answer(walk: &mut Walk, by: &Browser, proposal: &str, (answer, name): (&str, &str)) {
    // Whoever cannot release it has no digest on their page, and needs none to withdraw.
    let digest = by.get(proposal).await.value("digest").unwrap_or_default();
    let fields = [("answer", answer), ("digest", digest.as_str()), ("comment", "Looked at it")];
    walk.did(&format!("{DECIDE} ({name})"), by.post(proposal, &fields)).await;
}

pub async fn proposals(walk: &mut Walk) {
    administrator(&walk.portal.owner, walk.company.lead).await;
    let admin = walk.portal.browser_of(walk.company.admin).await;
    let other = walk.portal.browser_of(walk.company.lead).await;
    let proposal = proposed(walk, &admin, "8", &[]).await;
    answer(walk, &other, &proposal, ("release", "release")).await;
    let proposal = proposed(walk, &admin, "9", &[]).await;
    answer(walk, &other, &proposal, ("reject", "reject")).await;
    let proposal = proposed(walk, &admin, "10", &[]).await;
    answer(walk, &admin, &proposal, ("withdraw", "withdraw")).await;
    // Two for a later time; the first makes the second one overtaken.
    let day = [("from_day", "1"), ("from_month", "1"), ("from_year", "2040")];
    for years in ["11", "12"] {
        let proposal = proposed(walk, &admin, years, &day).await;
        answer(walk, &other, &proposal, ("release", "schedule")).await;
    }
    let first = "select id from setting_proposal where state = 'scheduled' order by proposed_at limit 1";
    let due = format!(
        "alter table setting_proposal disable trigger user; update setting_proposal set from_at = '2026-02-01T00:00:00Z' where id = ({first}); alter table setting_proposal enable trigger user"
    );
    for (name, until) in [
        (
            "routine: settings-in-force",
            "select exists (select from setting_version where kind = 'retention' and body ->> 'years' = '11')",
        ),
        (
            "routine: settings-in-force (overtaken)",
            "select exists (select from setting_proposal where state = 'overtaken')",
        ),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(due.clone())).execute(&walk.portal.owner).await.unwrap();
        walk.working(name, until).await;
    }
    let begun = walk.did("POST /settings/drafts", admin.post("/settings/drafts", &[("subject", "routes")])).await;
    let rule = format!("{}/rules/0", begun.location());
    let form = admin.get(&rule).await.filled("main form");
    let fields = crate::support::browser::with(&form, &[("name", "Renamed")]);
    walk.did("POST /settings/drafts/{id}/rules/{rule}", admin.post(&rule, &fields)).await;
}

/// A wording tried as mail from its draft and from its proposal; a letter that was given up sent again.
pub async fn letters(walk: &mut Walk) {
    let admin = walk.portal.browser_of(walk.company.admin).await;
    let begun = walk.did("POST /settings/drafts", admin.post("/settings/drafts", &[("subject", "mail")])).await;
    let page = begun.location().to_owned();
    let form = admin.get(&page).await.filled("main form");
    let typed = [("letters.done.opening", "Dear {{ to }},"), ("letter", "done")];
    let fields = crate::support::browser::with(&form, &typed);
    let test = [fields, vec![("what", "test")]].concat();
    walk.did("POST /settings/drafts/{id} (test)", admin.post(&page, &test)).await;
    let propose = [typed[0], ("what", "propose"), ("note", "Friendlier")];
    let propose = crate::support::browser::with(&form, &propose);
    let made = walk.did("POST /settings/drafts/{id} (propose)", admin.post(&page, &propose)).await;
    let proposal = made.location().to_owned();
    let test = [("answer", "test"), ("letter", "")];
    walk.did("POST /settings/proposals/{id} (test)", admin.post(&proposal, &test)).await;
    walk.set("update outbox set failed_at = now(), error = '550 no such user' where test and template = 'done'").await;
    let id = walk.id("select id from outbox where failed_at is not null order by id limit 1").await;
    walk.did("POST /outbox/{id}/retry", admin.post(&format!("/outbox/{id}/retry"), &[])).await;
}

/// A connection is tested, and answered by a worker.
pub async fn connections(walk: &mut Walk) {
    let admin = walk.portal.browser_of(walk.company.admin).await;
    let address = format!("/system/{SYSTEM}/checks");
    walk.did("POST /system/{key}/checks", admin.post(&address, &[("units", "")])).await;
    walk.working(
        "routine: check-connections",
        "select exists (select from connection_check where finished_at is not null)",
    )
    .await;
}
