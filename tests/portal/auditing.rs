//! What an auditor gets from the pages: a record's bytes, proof and values, bundles, and how the log stands.

use std::path::Path;
use std::process::Command;

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::config::{EvidenceConfig, WitnessConfig};
use tenure::evidence::log::Sequencer;
use tenure::evidence::note::VerifierKey;
use tenure::evidence::proof::Proof;
use tenure::evidence::signer::{Keeper, Line};
use tenure::evidence::{By, Facts, Record, action, append, commitment, verify};
use tower::ServiceExt;
use uuid::Uuid;

use crate::support::Portal;
use crate::support::browser::{Answer, Browser, encoded};
use crate::support::company::Company;

/// A portal that knows where the log is published, and the log.
struct Audited {
    portal: Portal,
    company: Company,
    dir: tempfile::TempDir,
    key: VerifierKey,
    sequencer: Sequencer,
}

impl Audited {
    async fn start(options: PgPoolOptions, connect: PgConnectOptions) -> Self {
        Self::with(options, connect, Vec::new()).await
    }

    async fn with(options: PgPoolOptions, connect: PgConnectOptions, witness: Vec<WitnessConfig>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let evidence = EvidenceConfig {
            log_dir: dir.path().join("log"),
            signer_dir: None,
            signer_socket: None,
            timestamp_minutes: 60,
            timestamp_authority: Vec::new(),
            witness,
        };
        let portal = Portal::with(options, connect, |config| config.evidence = Some(evidence)).await;
        let company = portal.company().await;
        let keeper = Keeper::new(dir.path().join("signer"));
        let key = keeper.make("tenure.test/evidence/1").unwrap();
        let sequencer = Sequencer::new(dir.path().join("log"), Line::Here(keeper));
        Self { portal, company, dir, key, sequencer }
    }

    /// A record about that request, with a personal value.
    async fn record(&self, request: i64) -> Uuid {
        let detail = Facts::default().plain("kind", "access").personal("title", format!("Somebody {request}"));
        let record = Record {
            detail,
            request: Some(request),
            ..Record::new(action::REQUEST_SUBMITTED, format!("request:{request}"), By::routine("test"))
        };
        let mut tx = self.portal.pool.begin().await.unwrap();
        let id = append(&mut tx, self.portal.clock.now(), &record).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// Everything there is comes into the log.
    async fn settle(&mut self) {
        while self.sequencer.turn(&self.portal.pool, self.portal.clock.now()).await.unwrap().sequenced > 0 {}
    }

    async fn restricted_request(&self) -> i64 {
        sqlx::query_scalar(
            "insert into request (id, number, kind, state, title, subject, asked_by, asked_at, answers, nonce, restricted)
             values ($1, 77, 'leaver', 'deciding', 'Leaver', $2, $3, now(), '{}', 'n', true) returning number",
        )
        .bind(Uuid::now_v7())
        .bind(self.company.ben)
        .bind(self.company.desk)
        .fetch_one(&self.portal.owner)
        .await
        .unwrap()
    }

    async fn reports(&self) -> Vec<String> {
        sqlx::query_scalar(
            "select convert_from(canonical, 'UTF8') from evidence_record where action = 'report.taken' order by id",
        )
        .fetch_all(&self.portal.owner)
        .await
        .unwrap()
    }

    /// Posts the export's form; the zip, saved.
    async fn bundle(&self, browser: &Browser, fields: &[(&str, &str)], name: &str) -> std::path::PathBuf {
        let csrf = browser.get("/history").await.value("csrf").unwrap();
        let mut fields = fields.to_vec();
        fields.push(("csrf", &csrf));
        let request = browser
            .request(Method::POST, "/history/bundle")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT_ENCODING, "gzip")
            .body(Body::from(encoded(&fields)))
            .unwrap();
        let response = self.portal.app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/zip");
        assert_eq!(response.headers().get(header::CONTENT_ENCODING), None, "a zip is compressed already");
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let disposition = response.headers()[header::CONTENT_DISPOSITION].to_str().unwrap();
        assert_eq!(disposition, "attachment; filename=\"tenure-evidence-20261123-080000.zip\"");
        let bytes = axum::body::to_bytes(response.into_body(), 50 << 20).await.unwrap();
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn verify(&self, path: &Path) -> verify::Report {
        let trust = verify::Trust { keys: vec![self.key.clone()], ..verify::Trust::default() };
        verify::path(path, &trust).pop().unwrap()
    }
}

fn heads(answer: &Answer, name: &str) -> String {
    answer.headers.get(name).map_or(String::new(), |value| value.to_str().unwrap().to_owned())
}

#[sqlx::test]
async fn a_record_gives_its_bytes_its_proof_and_its_values(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut site = Audited::start(options, connect).await;
    let id = site.record(482).await;
    let auditor = site.portal.browser_of(site.company.auditor).await;
    let to = |part: &str| format!("/history/{id}{part}");

    // Before a checkpoint holds it.
    let page = auditor.get(&to("")).await;
    assert_eq!(page.find(".page-head .badge").as_deref(), Some("recorded"), "no log has begun");
    assert_eq!(auditor.get(&to("/proof")).await.status, StatusCode::NOT_FOUND);
    site.settle().await;
    let late = site.record(483).await;
    let page = auditor.get(&format!("/history/{late}")).await;
    assert_eq!(page.find(".page-head .badge").as_deref(), Some("waiting"));
    assert!(page.text.contains("Not in the signed log yet") && !page.text.contains("verify.js"), "{}", page.text);
    let proof = auditor.get(&format!("/history/{late}/proof")).await;
    assert_eq!(proof.status, StatusCode::NOT_FOUND);
    assert!(proof.text.contains("not in the signed log yet"), "{}", proof.text);
    let list = auditor.get("/history?kind=request").await;
    assert_eq!(list.find_all("tr .badge"), ["waiting", "in log"], "newest first");

    // In the log.
    let bytes = auditor.get(&to("/bytes")).await;
    assert_eq!((bytes.status, heads(&bytes, "content-type").as_str()), (StatusCode::OK, "application/json"));
    assert_eq!(heads(&bytes, "content-disposition"), format!("attachment; filename=\"{id}.json\""));
    let canonical: Vec<u8> = sqlx::query_scalar("select canonical from evidence_record where id = $1")
        .bind(id)
        .fetch_one(&site.portal.owner)
        .await
        .unwrap();
    assert_eq!(bytes.text.as_bytes(), canonical);
    let proof = auditor.get(&to("/proof")).await;
    assert!(heads(&proof, "content-type").starts_with("text/plain"));
    let parsed: Proof = proof.text.parse().unwrap();
    assert!(parsed.proves(&canonical).unwrap());
    assert!(!parsed.proves(&canonical[1..]).unwrap());
    parsed.note.verify(&site.key).unwrap();
    let opened = auditor.get(&to("/disclosures")).await;
    let list: Vec<serde_json::Value> = serde_json::from_str(&opened.text).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&canonical).unwrap();
    assert_eq!(list.len(), 1, "{}", opened.text);
    let text = |name: &str| list[0][name].as_str().unwrap().to_owned();
    assert_eq!(text("value"), "\"Somebody 482\"");
    assert!(commitment::fits(&record, &text("path"), &hex::decode(text("key")).unwrap(), text("value").as_bytes()));
    for answer in [&bytes, &proof, &opened] {
        assert_eq!(heads(answer, "cache-control"), "no-store");
    }

    // The page carries what its script needs, and commands that do the same without it.
    let page = auditor.get(&to("")).await;
    assert_eq!(page.find(".page-head .badge").as_deref(), Some("in log"));
    assert!(
        page.text.contains("verify.js?v=") && page.text.contains(&format!("data-key=\"{}\"", site.key)),
        "{}",
        page.text
    );
    let commands = {
        let html = page.html();
        let found = html.select(&scraper::Selector::parse("#elsewhere").unwrap()).next().unwrap();
        found.text().collect::<String>()
    };
    let run = |folder: &Path, record: &[u8]| {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(format!("{id}.json")), record).unwrap();
        std::fs::write(folder.join(format!("{id}.tlog-proof")), &proof.text).unwrap();
        let output =
            Command::new("bash").args(["-euo", "pipefail", "-c", &commands]).current_dir(folder).output().unwrap();
        (output.status.success(), format!("{output:?}"))
    };
    let (holds, said) = run(&site.dir.path().join("good"), &canonical);
    assert!(holds && said.contains("stands under the root") && said.contains("Verified Successfully"), "{said}");
    let mut changed = canonical.clone();
    changed[20] ^= 1;
    let (holds, said) = run(&site.dir.path().join("bad"), &changed);
    assert!(!holds && said.contains("DOES NOT HOLD"), "{said}");

    // What was erased is not opened any more; the commitment stands.
    sqlx::query("update evidence_disclosure set value = null, key = null, erased_at = now() where record = $1")
        .bind(id)
        .execute(&site.portal.owner)
        .await
        .unwrap();
    assert_eq!(auditor.get(&to("/disclosures")).await.text, "[]");
}

#[sqlx::test]
async fn an_open_restricted_request_is_shown_nowhere(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut site = Audited::start(options, connect).await;
    let number = site.restricted_request().await;
    let id = site.record(number).await;
    site.record(482).await;
    site.settle().await;
    let auditor = site.portal.browser_of(site.company.auditor).await;
    for part in ["", "/bytes", "/proof", "/disclosures"] {
        assert_eq!(auditor.get(&format!("/history/{id}{part}")).await.status, StatusCode::NOT_FOUND, "{part}");
    }
    let asked = auditor.post("/history/bundle", &[("request", "77")]).await;
    assert_eq!(asked.status, StatusCode::NOT_FOUND, "{}", asked.text);
    let path = site.bundle(&auditor, &[("kind", "request")], "others.zip").await;
    let listing = Command::new("python3").args(["-m", "zipfile", "-l"]).arg(&path).output().unwrap();
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    assert_eq!(listing.matches("records/").count(), 1, "{listing}");
    // Once it is settled it is history like any other.
    sqlx::query("update request set settled_at = now(), state = 'done' where number = 77")
        .execute(&site.portal.owner)
        .await
        .unwrap();
    assert_eq!(auditor.get(&format!("/history/{id}/bytes")).await.status, StatusCode::OK);
}

#[sqlx::test]
async fn a_bundle_is_taken_verifies_and_is_recorded(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut site = Audited::start(options, connect).await;
    for number in 1..=30 {
        site.record(number).await;
    }
    site.settle().await;
    let auditor = site.portal.browser_of(site.company.auditor).await;
    let page = auditor.get("/history?kind=request").await;
    assert!(page.text.contains("Take 30 records as evidence bundle"), "{}", page.text);
    assert_eq!(page.value("kind").as_deref(), Some("request"), "the filter goes with the form");

    let report = site.verify(&site.bundle(&auditor, &[("kind", "request")], "all.zip").await);
    assert!(report.holds(), "{report}");
    assert!(report.checked.iter().any(|check| check.what.starts_with("records") && check.count == 30), "{report}");
    let report = site.verify(&site.bundle(&auditor, &[("request", "REQ-000007")], "one.zip").await);
    assert!(report.holds() && report.checked.iter().any(|check| check.count == 1), "{report}");

    let place = site.dir.path().to_owned();
    let drawn = |name: &str| {
        let program = "import json,sys,zipfile
found = zipfile.ZipFile(sys.argv[1])
print(json.loads(found.read(next(name for name in found.namelist() if name.endswith('bundle.json'))))['sampled'])";
        let output = Command::new("python3").args(["-c", program]).arg(place.join(name)).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    for (name, seed) in [("a.zip", "2026-Q4"), ("b.zip", "2026-Q4"), ("c.zip", "other")] {
        // A sample comes with everything about its requests: the export of one of them too.
        site.settle().await;
        let path = site.bundle(&auditor, &[("kind", "request"), ("size", "5"), ("seed", seed)], name).await;
        assert!(site.verify(&path).holds(), "{name}");
    }
    assert_eq!(drawn("a.zip"), drawn("b.zip"), "the same seed draws the same");
    assert_ne!(drawn("a.zip"), drawn("c.zip"));

    // Each left its record: who, what, from how many; nobody's name in it.
    let reports = site.reports().await;
    assert_eq!(reports.len(), 5);
    let auditor_id = site.company.auditor.to_string();
    assert!(
        reports.iter().all(|report| report.contains(&auditor_id) && report.contains("\"population\"")),
        "{reports:?}"
    );
    assert!(reports[2].contains("2026-Q4") && reports[1].contains("REQ-000007"), "{reports:?}");

    // What makes no sense is said, and leaves none.
    for (fields, why) in [
        (vec![("size", "0"), ("seed", "x")], "Sample size"),
        (vec![("size", "many"), ("seed", "x")], "Sample size"),
        (vec![("size", "5"), ("seed", " ")], "Seed"),
        (vec![("from", "soon")], "is not a day"),
    ] {
        let answer = auditor.post("/history/bundle", &fields).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{fields:?}");
        assert!(answer.text.contains(why), "{}", answer.text);
    }
    assert_eq!(auditor.post("/history/bundle", &[("request", "REQ-000999")]).await.status, StatusCode::NOT_FOUND);
    assert_eq!(auditor.post_raw("/history/bundle", &[("kind", "request")]).await.status, StatusCode::FORBIDDEN);
    for person in [site.company.employee, site.company.manager, site.company.desk] {
        let other = site.portal.browser_of(person).await;
        assert_eq!(other.post("/history/bundle", &[("kind", "request")]).await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(site.reports().await.len(), 5);
}

#[sqlx::test]
async fn a_filter_by_name_leaves_no_name_in_the_record(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut site = Audited::start(options, connect).await;
    let anna = site.company.anna;
    let record = Record::new(
        action::REQUEST_SUBMITTED,
        "request:5",
        By { person: Some(anna.0), via: "person".to_owned(), ..By::default() },
    );
    let mut tx = site.portal.pool.begin().await.unwrap();
    append(&mut tx, site.portal.clock.now(), &record).await.unwrap();
    tx.commit().await.unwrap();
    site.settle().await;
    let auditor = site.portal.browser_of(site.company.auditor).await;
    site.bundle(&auditor, &[("q", "Anna Vogel (avogel)")], "anna.zip").await;
    let reports = site.reports().await;
    assert!(reports[0].contains(&format!("by person {anna}")), "{reports:?}");
    assert!(!reports[0].contains("Anna") && !reports[0].contains("avogel"), "{reports:?}");
}

#[sqlx::test]
async fn the_logs_page_says_how_it_stands(options: PgPoolOptions, connect: PgConnectOptions) {
    let witness = "audit.example.com/witness+";
    let keeper = tenure::evidence::note::SigningKey::from_seed(
        witness.trim_end_matches('+'),
        tenure::evidence::note::Algorithm::CosignatureV1,
        [7; 32],
    )
    .unwrap();
    let asked = WitnessConfig { url: "http://127.0.0.1:9/".to_owned(), key: keeper.verifier().to_string() };
    let mut site = Audited::with(options, connect, vec![asked]).await;
    let auditor = site.portal.browser_of(site.company.auditor).await;
    site.record(1).await;
    let badge = |page: &Answer| page.find(".page-head .badge").unwrap();

    let page = auditor.get("/evidence").await;
    assert_eq!(badge(&page), "not begun");
    assert!(page.text.contains("tenure work"), "{}", page.text);

    site.settle().await;
    let page = auditor.get("/evidence").await;
    assert_eq!(badge(&page), "up to date", "{}", page.text);
    for part in [
        "tenure.test/evidence/1",
        &site.key.to_string(),
        "tenure evidence verify",
        "audit.example.com/witness",
        "not yet asked",
    ] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert!(page.text.contains("No timestamp authority is set up"));
    let checkpoint = std::fs::read_to_string(site.dir.path().join("log/1/checkpoint")).unwrap();
    assert!(page.html().root_element().text().collect::<String>().contains(checkpoint.trim()));

    // A witness that has not signed for longer than twice its minute.
    sqlx::query("update evidence_log set started_at = $1")
        .bind(site.portal.clock.now() - chrono::TimeDelta::seconds(130))
        .execute(&site.portal.owner)
        .await
        .unwrap();
    let page = auditor.get("/evidence").await;
    assert!(page.text.contains("overdue") && badge(&page) == "anchor overdue", "{}", page.text);

    // It stands still, and the folder cannot be read.
    sqlx::query("update evidence_log set trouble = '<b>restored</b> from an older backup', trouble_since = now()")
        .execute(&site.portal.owner)
        .await
        .unwrap();
    std::fs::rename(site.dir.path().join("log"), site.dir.path().join("gone")).unwrap();
    let page = auditor.get("/evidence").await;
    assert_eq!((page.status, badge(&page).as_str()), (StatusCode::OK, "stands still"), "{}", page.text);
    assert!(page.text.contains("restored&#60;/b&#62; from an older backup"), "{}", page.text);
    assert!(page.text.contains("cannot read the published log"), "{}", page.text);
    let record = auditor.get("/history?kind=request").await;
    let link = record
        .html()
        .select(&scraper::Selector::parse("td.code a").unwrap())
        .next()
        .unwrap()
        .attr("href")
        .unwrap()
        .to_owned();
    let page = auditor.get(&link).await;
    assert!(page.status == StatusCode::OK && page.text.contains("cannot be read from here"), "{}", page.text);
    let proof = auditor.get(&format!("{link}/proof")).await;
    assert_eq!(proof.status, StatusCode::SERVICE_UNAVAILABLE);
    let bundle = auditor.post("/history/bundle", &[("kind", "request")]).await;
    assert_eq!(bundle.status, StatusCode::SERVICE_UNAVAILABLE, "{}", bundle.text);
}

#[sqlx::test]
async fn without_a_log_the_pages_say_so(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let auditor = portal.browser_of(company.auditor).await;
    let page = auditor.get("/evidence").await;
    assert!(page.text.contains("Set up the log") && page.text.contains("tenure evidence keygen"), "{}", page.text);
    assert!(!auditor.get("/history").await.text.contains("evidence bundle"), "there is nothing to take");
    let taken = auditor.post("/history/bundle", &[]).await;
    assert_eq!(taken.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", taken.text);
}
