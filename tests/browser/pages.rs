//! Every page, as whoever it is for, at both widths, light and dark: a picture of each under target/screenshots/, no axe
//! violation, nothing that the content security policy stopped, nothing to scroll sideways.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use tenure::plan::RequestKind;

use crate::chrome::{Browser, Look, Portal};
use crate::site::Site;

const AXE: &str = include_str!("axe.min.js");

/// Whose browser, which page, what the picture is called. `{n}`: a request that waits to be decided; `{r}`: a record in
/// the log.
const PAGES: &[(&str, &str, &str)] = &[
    ("", "/signin", "sign-in"),
    ("", "/nowhere", "not-found"),
    ("manager", "/", "home-manager"),
    ("manager", "/requests/new", "new-request"),
    ("manager", "/requests/new/joiner", "joiner"),
    ("manager", "/requests/new/leaver", "leaver"),
    ("manager", "/requests/new/access", "access"),
    ("manager", "/requests/new/shared_mailbox", "new-mailbox"),
    ("manager", "/requests/new/mailbox_access", "mailbox-access"),
    ("manager", "/requests/new/mailbox_change", "mailbox-change"),
    ("manager", "/requests/new/mailing_list", "new-list"),
    ("manager", "/requests/new/list_change", "list-change"),
    ("manager", "/requests", "requests"),
    ("manager", "/requests/{n}", "request"),
    ("manager", "/approvals", "approvals-empty"),
    ("manager", "/team", "team"),
    ("manager", "/org", "org"),
    ("manager", "/catalogue", "catalogue"),
    ("manager", "/me", "me"),
    ("desk", "/", "home-desk"),
    ("desk", "/queue", "queue"),
    ("desk", "/queue?view=risk", "queue-at-risk"),
    ("desk", "/approvals", "approvals"),
    ("desk", "/requests/{n}/items/1/decision", "decision"),
    ("desk", "/people", "people"),
    ("desk", "/people?q=wolf", "people-search"),
    ("desk", "/requests/new/password_reset", "reset"),
    ("desk", "/requests/new/unlock", "unlock"),
    ("owner", "/", "home-owner"),
    ("owner", "/requests/{n}/items/2/decision", "decision-sox"),
    ("auditor", "/", "home-auditor"),
    ("auditor", "/history", "history"),
    ("auditor", "/history/{r}", "record"),
    ("auditor", "/evidence", "evidence"),
    ("auditor", "/requests/{n}", "request-auditor"),
    ("admin", "/", "home-admin"),
    ("admin", "/people/new", "person-new"),
    ("admin", "/people/import", "import"),
    ("admin", "/adoption", "adoption"),
    ("admin", "/adoption/rules", "adoption-rules"),
    ("admin", "/adoption/beyond", "adoption-beyond"),
    ("admin", "/settings", "settings"),
    ("admin", "{naming}", "draft-naming"),
    ("admin", "{routes}", "draft-routes"),
    ("admin", "{routes}/rules/3", "rule"),
    ("admin", "{mail}", "draft-mail"),
    ("admin", "{proposal}", "proposal"),
    ("admin", "/catalogue/new", "catalogue-new"),
    ("admin", "/settings/routes", "routes"),
    ("admin", "/settings/naming", "naming"),
    ("admin", "/settings/birthright", "birthright"),
    ("admin", "/settings/separation", "separation"),
    ("admin", "{apart}", "draft-separation"),
    ("admin", "{apart}/rules/0", "rule-separation"),
    ("admin", "/settings/system:ad:corp.example.com", "units"),
    ("admin", "/system", "system"),
    ("admin", "/system/ad:corp.example.com", "target-directory"),
    ("admin", "/system/exchange:onprem", "target-exchange"),
    ("desk", "/system/ad:corp.example.com", "target-read-only"),
    ("admin", "{units}", "draft-units"),
    ("admin", "/outbox", "outbox"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/screenshots")
}

/// What axe finds wrong, a line each. In the dark it is the same page in other colours.
async fn violations(browser: &Browser, look: Look) -> Vec<String> {
    let rules = if look.is_dark() { ", runOnly: ['color-contrast']" } else { "" };
    let script = format!(
        "{AXE}; const done = arguments[arguments.length - 1];
         axe.run(document, {{resultTypes: ['violations']{rules}}}).then(found => done(found.violations.map(one =>
             one.id + ': ' + one.nodes.slice(0, 3).map(node => node.target.join(' ')).join(' | '))), error => done([String(error)]));"
    );
    let found = browser.driver.execute_async(script, vec![]).await.unwrap();
    serde_json::from_value(found.json().clone()).unwrap()
}

pub async fn picture(browser: &Browser, name: &str) {
    fs::create_dir_all(folder()).unwrap();
    let taken = browser.driver.screenshot_as_png().await.unwrap();
    fs::write(folder().join(name), taken).unwrap();
}

#[tokio::test]
async fn every_page_is_good_to_look_at() {
    let site = Site::open().await;
    let portal = Portal::start().await;
    fs::create_dir_all(folder()).unwrap();
    let number = site.joiner("Nguyễn Thị", "Bild", &[("groups", "Finance – Ledger (read)")]).await;
    let _ = site.ask("desk", RequestKind::Access, &[("person", "pwolf"), ("groups", "Contracts archive")]).await;
    let record = crate::evidence::proved(&site, number.0).await;
    let settings = settings(&portal).await;
    tested(&portal).await;
    let mut places = vec![("{n}", number.0.to_string()), ("{r}", record.to_string())];
    places.extend(settings);
    let [wide, dark, phone, phone_dark] = Look::ALL;
    // Two browsers side by side: as many as there are processors.
    let (first, second) = tokio::join!(
        async { [looked_at(&portal, wide, &places).await, looked_at(&portal, dark, &places).await].concat() },
        async { [looked_at(&portal, phone, &places).await, looked_at(&portal, phone_dark, &places).await].concat() },
    );
    sheet();
    let wrong = [first, second].concat();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every page in one look; what is wrong, a line each.
async fn looked_at(portal: &Portal, look: Look, places: &[(&str, String)]) -> Vec<String> {
    let mut wrong = Vec::new();
    let browser = Browser::open(portal, look).await;
    let mut whose = "";
    for (user, path, name) in PAGES {
        if *user != whose {
            browser.enter_again(user).await;
            whose = user;
        }
        let path = places.iter().fold((*path).to_owned(), |path, (name, page)| path.replace(name, page));
        browser.go(&path).await;
        browser.see("//h1").await;
        picture(&browser, &format!("{name}-{}.png", look.word())).await;
        for violation in violations(&browser, look).await {
            wrong.push(format!("{name} {}: {violation}", look.word()));
        }
        let sideways = browser
            .driver
            .execute("return document.documentElement.scrollWidth > window.innerWidth + 1;", vec![])
            .await
            .unwrap();
        if sideways.json() == &serde_json::json!(true) {
            wrong.push(format!("{name} {}: scrolls sideways", look.word()));
        }
    }
    error_page(&browser, look, &mut wrong).await;
    browser.close().await;
    wrong
}

/// The directory's connection, tested: its page shows findings.
async fn tested(portal: &Portal) {
    let browser = Browser::open(portal, Look::Wide).await;
    browser.enter("admin").await;
    browser.go("/system/ad:corp.example.com").await;
    browser.press("Test the connection").await;
    browser.see("//*[@id='check']//li").await;
    browser.close().await;
}

/// Drafts and a proposal to look at: the placeholders of [`PAGES`] and their pages.
async fn settings(portal: &Portal) -> Vec<(&'static str, String)> {
    let browser = Browser::open(portal, Look::Wide).await;
    browser.enter("admin").await;
    let mut pages = Vec::new();
    for (name, subject) in [
        ("{naming}", "naming"),
        ("{routes}", "routes"),
        ("{mail}", "mail"),
        ("{units}", "system:ad:corp.example.com"),
        ("{proposal}", "retention"),
        ("{apart}", "separation"),
    ] {
        browser.go(&format!("/settings/{subject}")).await;
        browser.press("Propose a change").await;
        browser.see("//h2[normalize-space(.)='Propose']").await;
        match subject {
            "naming" => browser.fill("user_name", "{{ family|ascii|lower|letters }}{{ given|ascii|lower|first(1) }}\n{{ family|ascii|lower|letters|first(15) }}{{ n }}").await,
            "mail" => browser.fill("letters.done.opening", "Dear {{ to }},\nwhat you asked for is done.").await,
            "system:ad:corp.example.com" => {
                browser.fill("units_in_scope", &format!("OU=Staff,{}", crate::ad_lab::env("LDAP_BASE_DN"))).await;
            }
            "retention" => {
                browser.fill("years", "8").await;
                browser.fill("note", "As the new law has it").await;
            }
            _ => {}
        }
        let button = match subject {
            "retention" => "//button[@value='propose']",
            "routes" => "//button[@value='down:2']",
            "separation" => "//button[@value='remove:2']",
            _ => "//button[normalize-space(.)='Keep and see what changes']",
        };
        browser.follow(button).await;
        browser.see("//h2[normalize-space(.)='What changes']").await;
        pages.push((name, browser.driver.current_url().await.unwrap().path().to_owned()));
    }
    browser.close().await;
    pages
}

/// A form sent empty: errors in place, nothing lost.
async fn error_page(browser: &Browser, look: Look, wrong: &mut Vec<String>) {
    browser.enter_again("manager").await;
    browser.go("/requests/new/joiner").await;
    browser.fill("given_name", "Kept").await;
    browser.press("Continue").await;
    browser.see("//*[contains(., 'There is a problem')]").await;
    let kept = browser.see("//*[@name='given_name']").await.prop("value").await.unwrap();
    assert_eq!(kept.as_deref(), Some("Kept"), "nothing typed is lost");
    picture(browser, &format!("joiner-errors-{}.png", look.word())).await;
    for violation in violations(browser, look).await {
        wrong.push(format!("joiner-errors {}: {violation}", look.word()));
    }
}

/// One page with every picture, so that the whole product can be looked at in a minute.
fn sheet() {
    let mut names: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.ends_with(".png"))
        .collect();
    names.sort();
    let mut html = String::from(
        "<!doctype html><meta charset=utf-8><title>Every page</title><style>body{font:13px sans-serif}figure{display:inline-block;margin:8px;vertical-align:top}img{height:320px;border:1px solid #ccc}</style>",
    );
    for name in names {
        let bytes = fs::read(folder().join(&name)).unwrap();
        let data = base64::engine::general_purpose::STANDARD.encode(bytes);
        write!(html, "<figure><img loading=lazy alt='{name}' src='data:image/png;base64,{data}'><figcaption>{name}</figcaption></figure>").unwrap();
    }
    fs::write(folder().join("index.html"), html).unwrap();
}
