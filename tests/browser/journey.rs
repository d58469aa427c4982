//! The main job in a browser, looked at in the directory with other tools than ours.

use std::process::Command;

use tenure::clock::Clock;
use tenure::connectors::ad::signin::BindResult;
use tenure::ids::RequestNumber;
use tenure::target::Connector as _;

use crate::ad_lab::env;
use crate::chrome::{Browser, Look, Portal};
use crate::site::{self, Site, wait};

/// What `ldapsearch` says about an account, as the lab's administrator.
fn ldapsearch(user_name: &str) -> String {
    let found = Command::new("ldapsearch")
        .args(["-LLL", "-x", "-o", "ldif-wrap=no", "-H", &env("LDAP_URL"), "-D", &env("LDAP_ADMIN_DN")])
        .args(["-y", &env("LDAP_ADMIN_PASSWORD_FILE"), "-b", &env("LDAP_BASE_DN")])
        .args([&format!("(sAMAccountName={user_name})"), "dn", "userAccountControl", "memberOf"])
        .env("LDAPTLS_CACERT", env("LDAP_CA_FILE"))
        .output()
        .unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    // Values that are not ASCII come in base64 (RFC 2849).
    String::from_utf8(found.stdout)
        .unwrap()
        .lines()
        .map(|line| match line.split_once(":: ") {
            Some((name, value)) => {
                use base64::Engine as _;
                let bytes = base64::engine::general_purpose::STANDARD.decode(value).unwrap();
                format!("{name}: {}\n", String::from_utf8_lossy(&bytes))
            }
            None => format!("{line}\n"),
        })
        .collect()
}

/// The four pages of the form, up to "check your answers".
pub async fn fill_joiner(browser: &Browser, given: &str, family: &str, group: Option<&str>) {
    browser.go("/requests/new/joiner").await;
    browser.fill("given_name", given).await;
    browser.fill("family_name", family).await;
    browser.choose("type", "employee").await;
    browser.press("Continue").await;
    browser.see("//h1[contains(., 'What will they do')]").await;
    browser.choose("department", "Finance").await;
    browser.fill("title", "Accountant").await;
    browser.choose("site", "Hamburg").await;
    let today = Clock::System.now().with_timezone(&chrono_tz::Europe::Berlin).date_naive();
    browser.day("start_on", today).await;
    browser.press("Continue").await;
    browser.see("//*[@name='groups']").await;
    if let Some(group) = group {
        browser.click(&format!("//label[contains(., '{group}')]")).await;
    }
    browser.press("Continue").await;
    browser.see("//h1[contains(., 'Check your answers')]").await;
}

async fn decide(browser: &Browser, number: i64, item: i32) {
    browser.go(&format!("/requests/{number}/items/{item}/decision")).await;
    browser.follow("//main//button[starts-with(normalize-space(.), 'Approve')]").await;
}

fn item_is(item: i32, state: &str) -> String {
    format!(
        "//*[@id='plan']//*[starts-with(normalize-space(.), '{item} · ')]/ancestor-or-self::*[.//*[normalize-space(.)='{state}']][1]"
    )
}

#[tokio::test]
async fn from_asking_to_a_working_account() {
    let site = Site::open().await;
    let portal = Portal::start().await;
    let manager = Browser::open(&portal, Look::Wide).await;
    let desk = Browser::open(&portal, Look::Wide).await;
    manager.enter("manager").await;
    fill_joiner(&manager, "Lan", &format!("Nguyễn {}", site.tag), Some("Finance – Ledger (read)")).await;
    let text = manager.text().await;
    assert!(text.contains("1 · Account and basic access") && text.contains("2 · Finance – Ledger (read)"), "{text}");
    assert!(text.contains("OU=Hamburg,OU=Staff") && text.contains("All Hamburg"), "the plan is shown by item");
    // A double click: the form is sent twice, and one request is made.
    manager
        .driver
        .execute("const form = document.querySelector(\"main form[action='/requests']\"); form.requestSubmit(); form.requestSubmit();", vec![])
        .await
        .unwrap();
    manager.see("//h1[contains(., 'New joiner')]").await;
    let number = manager.request_number().await;
    let asked: i64 = sqlx::query_scalar("select count(*) from request where title like $1")
        .bind(format!("%{}%", site.tag))
        .fetch_one(&site.pool)
        .await
        .unwrap();
    assert_eq!(asked, 1);

    // The manager's page stays open and is not loaded again.
    manager.driver.execute("window.stillTheSame = true;", vec![]).await.unwrap();
    desk.enter("desk").await;
    decide(&desk, number, 1).await;
    manager.see(&item_is(1, "done")).await;
    let same = manager.driver.execute("return window.stillTheSame === true;", vec![]).await.unwrap();
    assert_eq!(same.json(), &serde_json::json!(true), "the timeline moved by itself");

    let request = RequestNumber(number);
    let steps = site.steps(request).await;
    let user_name = steps[0].difference.change("sAMAccountName").unwrap().to.as_text().unwrap().to_owned();
    let found = ldapsearch(&user_name);
    assert!(found.contains(",OU=Hamburg,OU=Staff,DC=corp,DC=example,DC=com"), "{found}");
    assert!(found.contains("userAccountControl: 512"), "{found}");
    assert!(found.contains("CN=All Hamburg,") && found.contains("CN=Finance staff,"), "{found}");
    assert!(!found.contains("Ledger"), "the owner has not decided: {found}");

    let password = reveal(&manager, number).await;
    let server = site.connector.server(tenure::target::Wish::default()).await.unwrap();
    let upn = steps[0].difference.change("userPrincipalName").unwrap().to.as_text().unwrap().to_owned();
    let bind = site.connector.verify_password(&server, &upn, &password).await.unwrap();
    assert!(matches!(bind, BindResult::MustChange), "{bind:?}");

    let owner = Browser::open(&portal, Look::Phone).await;
    owner.enter("owner").await;
    decide(&owner, number, 2).await;
    site.until(request, "done").await;
    assert!(ldapsearch(&user_name).contains("CN=Finance – Ledger (read),"));

    mails(&site, number).await;
    leave(&site, &desk, number, &user_name).await;
    manager.close().await;
    desk.close().await;
    owner.close().await;
}

/// Reads the start password in the page: once.
async fn reveal(manager: &Browser, number: i64) -> String {
    manager.go(&format!("/requests/{number}")).await;
    manager.follow("(//main//button[contains(., 'Reveal')] | //main//a[contains(., 'Reveal')])[1]").await;
    // The worker reseals it; a page that has waited long enough for that comes back with the same button.
    let shown = loop {
        manager.press("Reveal it now").await;
        let next = "//main//output | //main//button[normalize-space(.)='Reveal it now']";
        let next = manager.see(next).await;
        if next.tag_name().await.unwrap() == "output" {
            break next;
        }
    };
    let password = shown.text().await.unwrap();
    assert!(password.len() >= 12, "a password is shown: {password:?}");
    manager.go(&format!("/requests/{number}")).await;
    assert!(!manager.text().await.contains("The password is ready"), "once");
    password
}

/// Asker and deciders were told, in text and HTML.
async fn mails(site: &Site, number: i64) {
    wait(
        "the mails are sent",
        async || {
            sqlx::query_scalar("select count(*) = 0 from outbox where request = $1 and sent_at is null")
                .bind(number)
                .fetch_one(&site.pool)
                .await
                .unwrap()
        },
        async || String::new(),
    )
    .await;
    let subject = format!("[{}]", RequestNumber(number));
    let mut told = Vec::new();
    for (path, mail) in site::mails() {
        if mail.contains(&subject) || mail.contains(&format!("REQ-{number:06}")) {
            assert!(mail.contains("text/plain") && mail.contains("text/html"), "{}", path.display());
            told.extend(mail.lines().find(|line| line.starts_with("To:")).map(str::to_owned));
        }
    }
    for whom in ["maria.keller@", "amira.said@", "jonas.berg@"] {
        assert!(told.iter().any(|to| to.to_lowercase().contains(whom)), "{whom} in {told:?}");
    }
}

/// The desk lets them go at once, by the form.
async fn leave(site: &Site, desk: &Browser, joiner: i64, user_name: &str) {
    wait(
        "the account is linked",
        async || {
            sqlx::query_scalar(
                "select exists (select from account a join request r on r.subject = a.person where r.number = $1)",
            )
            .bind(joiner)
            .fetch_one(&site.pool)
            .await
            .unwrap()
        },
        async || String::new(),
    )
    .await;
    desk.go("/requests/new/leaver").await;
    desk.fill("person", user_name).await;
    desk.click("//main//input[@name='when'][@value='immediate']").await;
    desk.press("Continue to check").await;
    desk.see("//h1[contains(., 'Check your answers')]").await;
    desk.press("Ask for this").await;
    desk.see("//h1[contains(., 'eaver')]").await;
    let number = desk.request_number().await;
    site.until(RequestNumber(number), "done").await;
    let found = ldapsearch(user_name);
    assert!(found.contains("OU=Quarantine") && found.contains("userAccountControl: 514"), "{found}");
    assert!(!found.contains("memberOf:"), "{found}");
}

/// The same without a script: asked for, decided, seen.
#[tokio::test]
async fn it_works_without_a_script() {
    let site = Site::open().await;
    let portal = Portal::start().await;
    let manager = Browser::open(&portal, Look::WithoutScript).await;
    manager.enter("manager").await;
    fill_joiner(&manager, "Ohne", &format!("Skript {}", site.tag), None).await;
    manager.press("Ask for this").await;
    manager.see("//h1[contains(., 'New joiner')]").await;
    let number = manager.request_number().await;
    let desk = Browser::open(&portal, Look::WithoutScript).await;
    desk.enter("desk").await;
    decide(&desk, number, 1).await;
    site.until(RequestNumber(number), "done").await;
    manager.go(&format!("/requests/{number}")).await;
    manager.see(&item_is(1, "done")).await;
    reveal(&manager, number).await;
    manager.close().await;
    desk.close().await;
}

/// The same by the API, with the tokens that the demo prints.
#[tokio::test]
async fn the_same_by_the_api() {
    let site = Site::open().await;
    let portal = Portal::start().await;
    let token = |user: &str| {
        let printed = Command::new(env!("CARGO_BIN_EXE_tenure")).args(["demo", "token", user]).output().unwrap();
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        String::from_utf8(printed.stdout).unwrap().trim().to_owned()
    };
    let (manager, desk) = (token("manager"), token("desk"));
    let client = reqwest::Client::new();
    let url = format!("{}/api/v1/requests", portal.base);
    let today = Clock::System.now().with_timezone(&chrono_tz::Europe::Berlin).date_naive();
    let body = serde_json::json!({"kind": "joiner", "answers": {
        "given_name": "Api", "family_name": format!("Weg {}", site.tag), "type": "employee", "department": "Finance",
        "title": "Accountant", "site": "Hamburg", "manager": "manager", "start_on": today, "groups": ["Finance – Ledger (read)"]}});
    let answer = client.post(&url).bearer_auth(&manager).json(&body).send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let made: serde_json::Value = answer.json().await.unwrap();
    let number = made["number"].as_i64().unwrap();
    let item = &made["items"][0];
    assert_eq!(item["steps"][0]["id"], "account");
    assert_eq!(item["steps"][0]["presence"], serde_json::json!(["absent", "present"]));
    let decision = serde_json::json!({"decision": "approve", "digest": item["digest"], "comment": ""});
    let own = client
        .post(format!("{url}/{number}/items/1/decisions"))
        .bearer_auth(&manager)
        .json(&decision)
        .send()
        .await
        .unwrap();
    assert!(own.status().is_client_error(), "nobody decides about what they asked for: {}", own.status());
    let decided = client
        .post(format!("{url}/{number}/items/1/decisions"))
        .bearer_auth(&desk)
        .json(&decision)
        .send()
        .await
        .unwrap();
    assert!(decided.status().is_success(), "{}", decided.text().await.unwrap());
    let again = client
        .post(format!("{url}/{number}/items/1/decisions"))
        .bearer_auth(&desk)
        .json(&decision)
        .send()
        .await
        .unwrap();
    assert!([403, 404, 409].contains(&again.status().as_u16()), "decided once: {}", again.status());
    wait(
        "item 1 is done",
        async || {
            let now: serde_json::Value =
                client.get(format!("{url}/{number}")).bearer_auth(&manager).send().await.unwrap().json().await.unwrap();
            now["items"][0]["state"] == "done" && now["items"][1]["state"] == "deciding"
        },
        async || String::new(),
    )
    .await;
    let user_name = item["steps"][0]["changes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|change| change["attribute"] == "sAMAccountName")
        .unwrap()["to"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(ldapsearch(&user_name).contains("userAccountControl: 512"));
}
