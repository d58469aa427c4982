//! Somebody is ill: the desk's lead says who decides for them, the delegate does, and every page and record says for whom.

use chrono::TimeDelta;
use tenure::clock::Clock;
use tenure::ids::RequestNumber;

use crate::chrome::{Browser, Look, Portal};
use crate::pages::picture;
use crate::site::{Site, wait};

async fn person_page(site: &Site, user: &str) -> String {
    let id: uuid::Uuid = sqlx::query_scalar("select person from sign_in where user_name_folded = $1")
        .bind(user)
        .fetch_one(&site.pool)
        .await
        .unwrap();
    format!("/people/{id}")
}

#[tokio::test]
async fn a_delegate_decides_and_it_is_said_for_whom() {
    let site = Site::open().await;
    let portal = Portal::start().await;
    let owner = person_page(&site, "owner").await;
    let lead = Browser::open(&portal, Look::Wide).await;
    lead.enter("lead").await;
    lead.go(&owner).await;
    lead.click("//main//summary[contains(., 'Request a change')]").await;
    lead.follow("//main//a[normalize-space(.)='Who stands in …']").await;
    lead.see("//h1[normalize-space(.)='Who stands in for Jonas Berg']").await;
    lead.fill("to", "desk").await;
    let today = Clock::System.now().with_timezone(&chrono_tz::Europe::Berlin).date_naive();
    lead.day("from", today).await;
    lead.day("until", today + TimeDelta::days(14)).await;
    lead.press("Let them stand in").await;
    lead.see("//main//*[contains(., 'in force')]").await;
    picture(&lead, "standing-in-1360-light.png").await;

    let number = site.joiner("Vera", "Vertretung", &[("groups", "Finance – Ledger (read)")]).await;
    let manager = Browser::open(&portal, Look::Wide).await;
    manager.enter("manager").await;
    manager.go(&format!("/requests/{}", number.0)).await;
    manager.see("//*[@id='stages'][contains(., 'Jonas Berg is away until')]").await;
    picture(&manager, "request-away-1360-light.png").await;

    let delegate = Browser::open(&portal, Look::Phone).await;
    delegate.enter("desk").await;
    delegate.go("/approvals").await;
    let text = delegate.text().await;
    assert!(text.contains("You stand in for Jonas Berg") && text.contains("for Jonas Berg"), "{text}");
    picture(&delegate, "approvals-standing-in-390-light.png").await;
    delegate.go(&format!("/requests/{}/items/2/decision", number.0)).await;
    delegate.see("//main//p[contains(., 'You stand in for Jonas Berg')]").await;
    picture(&delegate, "decision-standing-in-390-light.png").await;
    delegate.follow("//main//button[starts-with(normalize-space(.), 'Approve')]").await;
    wait("the decision is there", async || site.items(number).await[1].state != "deciding", async || String::new())
        .await;
    manager.go(&format!("/requests/{}", number.0)).await;
    manager.see("//*[@id='stages'][contains(., 'approved for Jonas Berg')]").await;
    manager.see("//*[@id='timeline'][contains(., 'approved item 2 for Jonas Berg')]").await;

    evidence_names_both(&site, &portal, number).await;
    lead.go(&format!("{owner}/delegations")).await;
    lead.follow("(//main//form[contains(@action, '/end')]//button)[1]").await;
    lead.see("//main//*[contains(., 'Nobody stands in for')]").await;
    lead.close().await;
    manager.close().await;
    delegate.close().await;
}

/// The record of that decision, as the auditor finds it.
async fn evidence_names_both(site: &Site, portal: &Portal, number: RequestNumber) {
    let record: uuid::Uuid = sqlx::query_scalar(
        "select id from evidence_record where request = $1 and action = 'approval.granted' and on_behalf_of is not null",
    )
    .bind(number.0)
    .fetch_one(&site.pool)
    .await
    .unwrap();
    let auditor = Browser::open(portal, Look::Wide).await;
    auditor.enter("auditor").await;
    auditor.go(&format!("/history/{record}")).await;
    let text = auditor.text().await;
    assert!(text.contains("Jonas Berg"), "{text}");
    picture(&auditor, "record-on-behalf-1360-light.png").await;
    auditor.close().await;
}
