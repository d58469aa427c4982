//! People from a file, in a browser: brought, read, mended, left half-way and found again, applied; and lists taken away.

use std::path::PathBuf;

use crate::chrome::{Browser, DOWNLOADS, Look, Portal};
use crate::pages::picture;
use crate::site::{Site, wait};

/// A file that somebody picks.
fn file(tag: &str, start: &str) -> tempfile::NamedTempFile {
    use std::io::Write as _;
    let mut file = tempfile::Builder::new().prefix("hr-").suffix(".csv").tempfile().unwrap();
    let text = format!(
        "Personnel number;First name;Last name;Contract;Department;Job title;Haus;Manager;Start date;Colour\n\
         N-{tag};Nora;Nordmann {tag};employee;Finance;Clerk;Hamburg;10110;{start};red\n"
    );
    file.write_all(text.as_bytes()).unwrap();
    file
}

async fn bring(browser: &Browser, file: &tempfile::NamedTempFile) {
    browser.go("/people/import").await;
    let field = browser.see("//main//input[@type='file']").await;
    field.send_keys(file.path().to_str().unwrap()).await.unwrap();
    browser.press("Continue").await;
    browser.see("//h1[contains(., 'hr-')]").await;
}

#[tokio::test]
async fn people_come_from_a_file() {
    let site = Site::open().await;
    let portal = Portal::start().await;
    let admin = Browser::open(&portal, Look::Wide).await;
    admin.enter("admin").await;
    // A column that nobody knows, and a day as it is written in Germany.
    let wrong = file(&site.tag, "01.12.2026");
    bring(&admin, &wrong).await;
    let text = admin.text().await;
    assert!(text.contains("Which column is which"), "{text}");
    picture(&admin, "import-columns-1360-light.png").await;
    admin.click("//main//select[@name='site']/option[normalize-space(.)='Haus']").await;
    admin.press("Use these columns").await;
    admin.see("//h2[normalize-space(.)='To mend in the file']").await;
    let cells = admin.see("//main//section[@aria-labelledby='cells']").await.text().await.unwrap();
    assert!(cells.contains("Start date") && cells.contains('2'), "line and column: {cells}");
    picture(&admin, "import-cells-1360-light.png").await;

    // Mended in the file, and left half-way: it is found again where it was.
    let mended = file(&site.tag, "2026-12-01");
    bring(&admin, &mended).await;
    let place = admin.driver.current_url().await.unwrap().path().to_owned();
    let name = mended.path().file_name().unwrap().to_str().unwrap().to_owned();
    admin.enter_again("admin").await;
    admin.go("/people/import").await;
    admin.follow(&format!("//aside//a[contains(., '{name}')]")).await;
    admin.see("//h1[contains(., 'hr-')]").await;
    assert_eq!(admin.driver.current_url().await.unwrap().path(), place);
    let text = admin.text().await;
    assert!(text.contains(&format!("Nora Nordmann {}", site.tag)), "the difference, person by person: {text}");
    assert!(!text.contains("To mend in the file"), "the column is remembered: {text}");
    picture(&admin, "import-difference-1360-light.png").await;
    admin.follow("//aside//button[contains(@class, 'chief')]").await;
    admin.see("//main//h1[normalize-space(.)='People']").await;
    admin.go(&format!("/people?q=Nordmann {}", site.tag)).await;
    admin.follow(&format!("//main//a[contains(., 'Nora Nordmann {}')]", site.tag)).await;
    admin.see(&format!("//h1[contains(., 'Nora Nordmann {}')]", site.tag)).await;
    let state: String = sqlx::query_scalar("select state from person where employee_number = $1")
        .bind(format!("N-{}", site.tag))
        .fetch_one(&site.pool)
        .await
        .unwrap();
    assert!(state == "expected" || state == "active", "{state}");
    admin.close().await;
}

/// What a click on that page's "Download as CSV" leaves on the disk.
async fn downloaded(browser: &Browser, page: &str, list: &str) -> String {
    browser.go(page).await;
    let folder = PathBuf::from(DOWNLOADS);
    let fresh = || -> Vec<PathBuf> {
        let all = std::fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
        all.filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            name.starts_with(list) && name.ends_with(".csv")
        })
        .collect()
    };
    for old in fresh() {
        std::fs::remove_file(old).unwrap();
    }
    let link = browser.see("//main//a[contains(@href, '/exports/') and contains(., 'CSV')]").await;
    assert!(link.is_displayed().await.unwrap(), "{page}: it can be seen");
    link.scroll_into_view().await.unwrap();
    picture(browser, &format!("csv-{list}-1360-light.png")).await;
    link.click().await.unwrap();
    wait(
        &format!("{list} is downloaded"),
        async || fresh().iter().any(|path| std::fs::metadata(path).is_ok_and(|about| about.len() > 0)),
        async || format!("{:?}", std::fs::read_dir(&folder).map(|all| all.count())),
    )
    .await;
    std::fs::read_to_string(&fresh()[0]).unwrap()
}

#[tokio::test]
async fn lists_are_taken_away_as_files() {
    let site = Site::open().await;
    let portal = Portal::start().await;
    let manager = Browser::open(&portal, Look::Wide).await;
    manager.enter("manager").await;
    let team = downloaded(&manager, "/team", "team").await;
    assert!(team.lines().count() > 3 && team.contains("Peter Wolf"), "{team}");
    let (peter, entry): (uuid::Uuid, uuid::Uuid) = (
        sqlx::query_scalar("select id from person where employee_number = '10482'")
            .fetch_one(&site.pool)
            .await
            .unwrap(),
        sqlx::query_scalar("select id from entitlement where name = 'All Hamburg'")
            .fetch_one(&site.pool)
            .await
            .unwrap(),
    );
    wait(
        "what accounts hold is known",
        async || {
            sqlx::query_scalar("select exists (select from access_grant where person = $1 and entitlement = $2)")
                .bind(peter)
                .bind(entry)
                .fetch_one(&site.pool)
                .await
                .unwrap()
        },
        async || String::new(),
    )
    .await;
    let held = downloaded(&manager, &format!("/people/{peter}"), "grants").await;
    assert!(held.contains("All Hamburg"), "{held}");
    let desk = Browser::open(&portal, Look::Wide).await;
    desk.enter("desk").await;
    let holders = downloaded(&desk, &format!("/catalogue/{entry}"), "holders").await;
    assert!(holders.contains("Peter Wolf"), "{holders}");
    manager.close().await;
    desk.close().await;
}
