//! Mailboxes, lists and rights asked for in a browser, and seen in the directory and through the connector.

use std::process::Command;

use tenure::ids::RequestNumber;
use tenure::target::{Connector as _, Kind, Resource, SystemKey, Wish};

use crate::ad_lab::env;
use crate::chrome::{Browser, Look, Portal};
use crate::site::Site;

/// What the directory shows of the object with that address.
fn by_address(address: &str) -> String {
    let found = Command::new("ldapsearch")
        .args(["-LLL", "-x", "-o", "ldif-wrap=no", "-H", &env("LDAP_URL"), "-D", &env("LDAP_ADMIN_DN")])
        .args(["-y", &env("LDAP_ADMIN_PASSWORD_FILE"), "-b", &env("LDAP_BASE_DN"), &format!("(mail={address})")])
        .env("LDAPTLS_CACERT", env("LDAP_CA_FILE"))
        .output()
        .unwrap();
    String::from_utf8(found.stdout).unwrap()
}

async fn submit(browser: &Browser) -> i64 {
    browser.press("Continue to check").await;
    browser.see("//h1[contains(., 'Check your answers')]").await;
    browser.press("Ask for this").await;
    browser.see("//*[@id='plan']").await;
    browser.request_number().await
}

async fn approve(browser: &Browser, number: i64) {
    browser.go(&format!("/requests/{number}/items/1/decision")).await;
    browser.follow("//main//button[starts-with(normalize-space(.), 'Approve')]").await;
}

/// The commands of the plan that the page shows, without what only the moment of sending knows.
async fn commands(browser: &Browser) -> Vec<String> {
    let script = "return [...document.querySelectorAll('#plan pre')].map(pre => pre.textContent.trim());";
    let shown = browser.driver.execute(script, vec![]).await.unwrap();
    let shown: Vec<String> = serde_json::from_value(shown.json().clone()).unwrap();
    let known_late =
        |part: &&str| part.starts_with('<') || part.starts_with("tenure") || part.parse::<uuid::Uuid>().is_ok();
    let without = |text: &String| {
        let parts: Vec<&str> = text.split('\'').map(|part| if known_late(&part) { "…" } else { part }).collect();
        parts.join("'")
    };
    shown.iter().map(without).collect()
}

/// Every right and membership of the request is held, as the connector sees it.
async fn all_held(site: &Site, number: i64) -> usize {
    let target = site.config.target.iter().find(|target| target.key() == "exchange:onprem").unwrap();
    let exchange = tenure::targets::exchange_connector(target).unwrap();
    let at = exchange.server(Wish::default()).await.unwrap();
    let steps = site.steps(RequestNumber(number)).await;
    let made = steps.iter().filter_map(|step| Some((step.name.clone(), step.resolved?))).collect();
    let mut held = 0;
    for step in steps.iter().filter(|step| step.kind == "mailbox_permission" || step.kind == "list_membership") {
        let address = tenure::plan::address(&step.key, uuid::Uuid::nil(), &made).unwrap();
        let system = SystemKey(step.system.clone());
        let what = Resource { system, kind: Kind::parse(&step.kind), address };
        assert!(exchange.observe(&at, &what).await.unwrap().is_some(), "{}", step.name);
        held += 1;
    }
    held
}

#[tokio::test]
async fn a_shared_mailbox_a_moderated_list_and_send_as_until_a_day() {
    let site = Site::open().await;
    let portal = Portal::start().await;
    let manager = Browser::open(&portal, Look::Wide).await;
    let desk = Browser::open(&portal, Look::Wide).await;
    manager.enter("manager").await;
    desk.enter("desk").await;

    // A shared mailbox with two delegates.
    let (mailbox, list) = (format!("claims.{}", site.tag), format!("wire.{}", site.tag));
    manager.go("/requests/new").await;
    manager.follow("//main//a[contains(., 'A new mailbox')]").await;
    manager.fill("name", "Claims").await;
    manager.fill("address", "not an address").await;
    manager.fill("owner", "manager").await;
    manager.fill("full_access", "owner\npwolf").await;
    manager.press("Continue to check").await;
    manager.see("//*[contains(@class, 'wrong')]//input[@name='address']").await;
    manager.fill("address", &mailbox).await;
    let number = submit(&manager).await;
    manager.click("(//*[@id='plan']//summary[contains(., 'Show commands')])[1]").await;
    assert!(manager.text().await.contains("New-Mailbox"), "the exact cmdlet is shown");
    let planned = commands(&manager).await;
    approve(&desk, number).await;
    site.until(RequestNumber(number), "done").await;
    manager.see("//*[@id='plan']//*[normalize-space(.)='done']").await;
    manager.see("//*[@id='plan']//summary[contains(., 'What was sent')]").await;
    assert_eq!(planned, commands(&manager).await, "what was shown is what was sent");
    assert_eq!(all_held(&site, number).await, 2);
    let entry = by_address(&format!("{mailbox}@example.com"));
    assert!(entry.contains("msExchRecipientTypeDetails: 4") && entry.contains("displayName: Claims"), "{entry}");

    // A list with moderation.
    manager.go("/requests/new/mailing_list").await;
    manager.fill("name", "Wire").await;
    manager.fill("address", &list).await;
    manager.fill("owner", "manager").await;
    manager.fill("members", "owner\npwolf").await;
    manager.click("//details/summary[contains(., 'moderation')]").await;
    manager.click("//input[@name='moderated'][@value='yes']").await;
    manager.fill("moderators", "manager").await;
    let number = submit(&manager).await;
    approve(&desk, number).await;
    site.until(RequestNumber(number), "done").await;
    assert_eq!(all_held(&site, number).await, 2);
    let entry = by_address(&format!("{list}@example.com"));
    assert!(entry.contains("msExchEnableModeration: TRUE") && entry.contains("msExchModeratedByLink"), "{entry}");

    // Send as until a day: asked by the desk, decided on a phone by whoever answers for the mailbox.
    desk.go("/requests/new/mailbox_access").await;
    desk.fill("person", "desk").await;
    desk.fill("mailbox", &format!("{mailbox}@example.com")).await;
    desk.click("//input[@name='rights'][@value='send_as']").await;
    let today = tenure::clock::Clock::System.now().with_timezone(&chrono_tz::Europe::Berlin).date_naive();
    desk.day("until", today + chrono::Days::new(30)).await;
    let number = submit(&desk).await;
    let phone = Browser::open(&portal, Look::Phone).await;
    phone.enter("manager").await;
    approve(&phone, number).await;
    site.until(RequestNumber(number), "done").await;
    assert_eq!(all_held(&site, number).await, 1);
    let until: Option<chrono::NaiveDate> = sqlx::query_scalar(
        "select g.until_on from access_grant g join item i on i.id = g.item join request r on r.id = i.request where r.number = $1",
    )
    .bind(number)
    .fetch_one(&site.pool)
    .await
    .unwrap();
    assert_eq!(until, Some(today + chrono::Days::new(30)), "the grant ends by itself");
    for browser in [manager, desk, phone] {
        browser.close().await;
    }
}
