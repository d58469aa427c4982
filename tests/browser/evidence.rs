//! An auditor's browser: a record's proof, computed by the page's own script with WebCrypto.

use std::time::{Duration, Instant};

use tenure::evidence::history::{self, Filter};
use tenure::evidence::state;
use uuid::Uuid;

use crate::chrome::{Browser, Look, Portal};
use crate::site::{Site, wait};

/// A record of that request that a signed checkpoint holds.
pub async fn proved(site: &Site, request: i64) -> Uuid {
    let filter = Filter { request: Some(request), ..Filter::default() };
    let record = history::ids(&mut site.pool.acquire().await.unwrap(), &filter, 1).await.unwrap()[0];
    wait(
        &format!("record {record} comes into the log"),
        async || {
            let mut conn = site.pool.acquire().await.unwrap();
            let size = state::logs(&mut conn).await.unwrap().first().map_or(0, |log| log.size);
            let places = state::places(&mut conn, &[record]).await.unwrap();
            places.first().is_some_and(|(_, place)| place.index < size)
        },
        async || format!("{:?}", state::logs(&mut site.pool.acquire().await.unwrap()).await),
    )
    .await;
    record
}

/// What the list says after pressing the button, the last line at its end.
async fn verified(browser: &Browser) -> Vec<String> {
    browser.click("//button[@data-verify-start]").await;
    browser.see("//*[@data-verify-result]/li[contains(@class, 'end')]").await;
    let script = "return [...document.querySelectorAll('[data-verify-result] li')].map(line => line.className + ': ' + line.textContent);";
    let said = browser.driver.execute(script, vec![]).await.unwrap();
    serde_json::from_value(said.json().clone()).unwrap()
}

#[tokio::test]
async fn an_auditor_verifies_a_record_in_the_browser() {
    let site = Site::open().await;
    let portal = Portal::start().await;
    let number = site.joiner("Vera", "Fide", &[]).await;
    let record = proved(&site, number.0).await;
    let browser = Browser::open(&portal, Look::Wide).await;
    browser.enter("auditor").await;
    browser.go(&format!("/history/{record}")).await;
    browser.see("//*[contains(@class, 'badge')][normalize-space(.)='in log']").await;

    let said = verified(&browser).await;
    assert!(said.iter().all(|line| !line.starts_with("bad")), "{said:#?}");
    for part in ["it stands at place", "The log’s signature on the checkpoint", ", as recorded.", "checks hold"] {
        assert!(said.iter().any(|line| line.starts_with("ok") && line.contains(part)), "{part}: {said:#?}");
    }

    // A checkpoint from elsewhere of the same size with another root: two histories were shown. The log grows while we look,
    // and checkpoints of other sizes are not compared: so the script is told the same one again until it meets it.
    let forge = "const done = arguments[arguments.length - 1];
        fetch(location.pathname + '/proof').then(answer => answer.text()).then(text => {
            const note = text.slice(text.indexOf('\\n\\n') + 2).split('\\n');
            note[2] = 'A'.repeat(43) + '=';
            document.querySelector('[data-verify-checkpoint]').value = note.join('\\n');
            done(true);
        });";
    let began = Instant::now();
    loop {
        browser.driver.execute_async(forge, vec![]).await.unwrap();
        let said = verified(&browser).await;
        if said.iter().any(|line| line.starts_with("bad") && line.contains("has another root")) {
            assert!(said.last().is_some_and(|line| line.starts_with("bad end")), "{said:#?}");
            break;
        }
        assert!(said.iter().any(|line| line.contains("not compared")), "{said:#?}");
        assert!(began.elapsed() < Duration::from_secs(30), "{said:#?}");
    }

    // Bytes that are not the record's.
    let swap = "const real = window.fetch;
        window.fetch = async (url, options) => String(url).endsWith('/bytes') ? new Response('{\"a\":1}') : real(url, options);";
    browser.driver.execute(swap, vec![]).await.unwrap();
    let said = verified(&browser).await;
    assert!(
        said.iter().any(|line| line.starts_with("bad") && line.contains("the record or its proof was altered")),
        "{said:#?}"
    );
    browser.close().await;
}
