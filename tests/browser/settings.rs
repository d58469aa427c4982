//! An administrator changes a naming rule, sees what it would have done, and another administrator releases it.

use crate::chrome::{Browser, Look, Portal};
use crate::site::Site;

#[tokio::test]
async fn a_naming_rule_is_changed_by_one_and_released_by_another() {
    let _site = Site::open().await;
    let portal = Portal::start().await;
    let one = Browser::open(&portal, Look::Wide).await;
    one.enter("alindqvist").await;
    one.go("/settings").await;
    one.follow("//main//a[normalize-space(.)='Naming rules']").await;
    one.press("Propose a change").await;

    // Without a way out of a clash it is refused where it is typed, and what was typed stays.
    one.fill("cn", "{{ display|first(64) }}").await;
    one.fill("note", "People of one name at one site").await;
    one.press("Propose this change").await;
    one.see("//*[contains(., 'There is a problem')]").await;
    assert!(one.text().await.contains("needs “{{ n }}”"));
    let kept = one.see("//*[@name='cn']").await.prop("value").await.unwrap();
    assert_eq!(kept.as_deref(), Some("{{ display|first(64) }}"));

    // The department tells two of one name apart; who is there shows what that would have done.
    let rule = "{{ display|first(64) }}\n{{ display|first(40) }} ({{ department|first(15) }})\n{{ display|first(60) }} {{ n }}";
    one.fill("cn", rule).await;
    one.press("Keep and see what changes").await;
    one.see("//h2[normalize-space(.)='What it would have done']").await;
    let text = one.text().await;
    assert!(text.contains("({{ department|first(15) }})") && text.contains("people"), "{text}");
    one.fill("note", "People of one name at one site").await;
    one.press("Propose this change").await;
    one.see("//*[contains(., 'Nothing changes before another administrator has released it')]").await;
    assert!(one.text().await.contains("You proposed this: another administrator releases it."));
    let proposal = one.driver.current_url().await.unwrap().path().to_owned();
    one.close().await;

    // The other finds it waiting, on a phone.
    let other = Browser::open(&portal, Look::Phone).await;
    other.enter("admin").await;
    other.go("/settings").await;
    other.see("//h2[normalize-space(.)='To be released']").await;
    other.go(&proposal).await;
    assert!(other.text().await.contains("People of one name at one site"));
    other.press("Release").await;
    other.see("//*[contains(., 'Released. It counts from the time that is said here.')]").await;
    other.go("/settings/naming").await;
    let text = other.text().await;
    assert!(text.contains("released by Ruth Tanaka, proposed by Anders Lindqvist"), "{text}");
    // And goes on to take it back, which again takes two.
    other.follow("//aside//a[starts-with(normalize-space(.), 'Version 1')]").await;
    other.press("Propose to go back to version 1").await;
    other.see("//h2[normalize-space(.)='What changes']").await;
    other.close().await;
}
