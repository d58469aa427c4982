//! An administrator tests the directory's connection and sees what is found; another releases the units that Tenure works in, and
//! what lies elsewhere cannot be asked for.

use crate::ad_lab::env;
use crate::chrome::{Browser, Look, Portal};
use crate::journey::fill_joiner;
use crate::site::Site;

const SETTING: &str = "/settings/system:ad:corp.example.com";

/// Proposes units as one administrator and has the other release them; returns the proposal's text as the other saw it.
async fn bound(portal: &Portal, units: &str) -> String {
    let one = Browser::open(portal, Look::Wide).await;
    one.enter("alindqvist").await;
    one.go(SETTING).await;
    one.press("Propose a change").await;
    one.fill("units_in_scope", units).await;
    one.fill("note", "Groups are looked after by the other team").await;
    one.press("Propose this change").await;
    one.see("//*[contains(., 'Nothing changes before another administrator has released it')]").await;
    let proposal = one.driver.current_url().await.unwrap().path().to_owned();
    one.close().await;
    let other = Browser::open(portal, Look::Wide).await;
    other.enter("admin").await;
    other.go(&proposal).await;
    let seen = other.text().await;
    other.press("Release").await;
    other.see("//*[contains(., 'Released. It counts from the time that is said here.')]").await;
    other.close().await;
    seen
}

#[tokio::test]
async fn a_connection_is_tested_and_units_are_kept_to() {
    let site = Site::open().await;
    let portal = Portal::start().await;
    let admin = Browser::open(&portal, Look::Wide).await;
    admin.enter("admin").await;
    admin.go("/system").await;
    admin.follow("//main//a[contains(., 'ad:corp.example.com')]").await;
    admin.press("Test the connection").await;
    // Without loading the page again: the findings come when the worker has them.
    admin.see("//*[@id='check']//li[contains(., 'Create accounts: allowed in')]").await;
    let text = admin.text().await;
    assert!(text.contains("its certificate is trusted by") && text.contains("Asked by Ruth Tanaka"), "{text}");
    admin.close().await;

    let base = env("LDAP_BASE_DN");
    let seen = bound(&portal, &format!("OU=Staff,{base}\nOU=Quarantine,{base}")).await;
    assert!(seen.contains("Group ") && seen.contains("outside: CN="), "{seen}");
    let manager = Browser::open(&portal, Look::Wide).await;
    manager.enter("manager").await;
    fill_joiner(&manager, "Out", &format!("Side {}", site.tag), None).await;
    let told = manager.text().await;
    assert!(told.contains("outside the units that Tenure works in") && told.contains("OU=Groups"), "{told}");
    manager.close().await;
    // And back, for whoever comes next.
    bound(&portal, "").await;
}
