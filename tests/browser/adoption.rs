//! An account that was there before Tenure and is nobody's gets its person, and what it holds is theirs.

use crate::chrome::{Browser, Look, Portal};
use crate::site::Site;

#[tokio::test]
async fn an_orphan_is_adopted() {
    let site = Site::open().await;
    let portal = Portal::start().await;
    let admin = Browser::open(&portal, Look::Wide).await;
    admin.enter("admin").await;

    // HR forgot her: she is written down first.
    admin.go("/people/new").await;
    for (name, value) in [
        ("given_name", "Lauren"),
        ("family_name", "Marsh-Levy"),
        ("employee_number", &site.tag),
        ("department", "Sales"),
        ("title", "Account Executive"),
        ("first_day_day", "1"),
        ("first_day_month", "3"),
        ("first_day_year", "2021"),
    ] {
        admin.fill(name, value).await;
    }
    admin.choose("type", "employee").await;
    admin.choose("site", "New York").await;
    admin.press("Write them down").await;
    admin.see("//h1[contains(., 'Lauren Marsh-Levy')]").await;
    admin.see("//*[contains(., 'No account')]").await;
    let person = admin.driver.current_url().await.unwrap().path().to_owned();

    // No rule is sure of it; a person is.
    admin.go("/adoption?q=lmarsh").await;
    admin.follow("//main//table//a[normalize-space(.)='lmarsh']").await;
    admin.see("//h2[contains(., 'Who it could be')]").await;
    admin.follow("//button[contains(., 'Link') and contains(., 'Lauren Marsh-Levy')]").await;
    admin.see("//*[contains(., 'Saved, with your reason in the evidence')]").await;
    admin.go("/adoption?view=linked&q=lmarsh").await;
    admin.see("//main//tr[contains(., 'lmarsh') and contains(., 'Lauren Marsh-Levy')]").await;

    // The worker makes grants of what it holds: found before Tenure.
    for _ in 0..60 {
        admin.go(&person).await;
        if admin.text().await.contains("before Tenure") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
    let text = admin.text().await;
    assert!(text.contains("lmarsh") && text.contains("CRM users") && text.contains("found at adoption"), "{text}");
    admin.go("/adoption/beyond?q=lmarsh").await;
    admin.see("//main//tr[contains(., 'CRM users') and contains(., 'held before Tenure')]").await;
    admin.close().await;
}
