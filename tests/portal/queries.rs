//! How many statements a page sends: as many for a hundred rows as for one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::StatusCode;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::ids::PersonId;
use tenure::plan::RequestKind;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::mail::Stage;
use crate::support::browser::Browser;
use crate::support::company::person;

/// Counts what sqlx says that it sent.
#[derive(Clone, Default)]
struct Statements(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Each page with whom it is looked at by.
const PAGES: [(&str, &str); 12] = [
    ("desk", "/"),
    ("desk", "/queue"),
    ("desk", "/requests"),
    ("lead", "/approvals"),
    ("desk", "/people"),
    ("desk", "/catalogue"),
    ("manager", "/team"),
    ("manager", "/org"),
    ("auditor", "/history"),
    ("auditor", "/outbox"),
    ("admin", "/adoption"),
    ("admin", "/settings"),
];

async fn counted(stage: &Stage, statements: &Statements, request: i64) -> Vec<(String, usize)> {
    let company = stage.company;
    let whose = |word: &str| -> PersonId {
        match word {
            "desk" => company.desk,
            "lead" => company.lead,
            "manager" => company.manager,
            "auditor" => company.auditor,
            _ => company.admin,
        }
    };
    let mut counts = Vec::new();
    let own = format!("/requests/{request}");
    let pages = PAGES.into_iter().map(|(who, path)| (who, path.to_owned()));
    for (who, path) in pages.chain([("desk", own.clone()), ("desk", format!("/people/{}", company.anna))]) {
        let browser: Browser = stage.portal.browser_of(whose(who)).await;
        // Once, so that what is asked the first time only is not counted.
        browser.get(&path).await;
        // The fewest of three: what every page says of the site is looked up every few seconds, whichever page it meets.
        let mut fewest = usize::MAX;
        for _ in 0..3 {
            let before = statements.0.load(Ordering::Relaxed);
            let answer = browser.get(&path).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
            fewest = fewest.min(statements.0.load(Ordering::Relaxed) - before);
        }
        let name = if path.starts_with("/requests/") { "/requests/{number}".to_owned() } else { path };
        counts.push((name, fewest));
    }
    counts
}

#[sqlx::test]
async fn a_page_sends_as_many_statements_for_many_rows_as_for_one(options: PgPoolOptions, connect: PgConnectOptions) {
    let statements = Statements::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(statements.clone())).unwrap();
    let stage = Stage::new(options, connect).await;
    let company = stage.company;
    let list = |name: &'static str, address: &'static str| [("name", name), ("address", address), ("owner", "bvogt")];
    let one = stage.ask(company.manager, RequestKind::MailingList, &list("One", "one")).await;
    let few = counted(&stage, &statements, one.0).await;

    for at in 0..40 {
        let (name, address) = (format!("List {at}"), format!("list.{at}"));
        let asked = [("name", name.as_str()), ("address", address.as_str()), ("owner", "bvogt")];
        stage.ask(company.manager, RequestKind::MailingList, &asked).await;
        let user = format!("more{at}");
        let place = (company.site, company.department);
        person(&stage.portal.owner, place, ("More", &format!("Person{at}"), &user), Some(company.manager)).await;
    }
    let members: Vec<String> = ["avogel", "bvogt", "elang", "obrandt"].map(str::to_owned).to_vec();
    let typed = members.join("\n");
    let asked = [("name", "Big"), ("address", "big"), ("owner", "bvogt"), ("members", typed.as_str())];
    let big = stage.ask(company.manager, RequestKind::MailingList, &asked).await;
    let many = counted(&stage, &statements, big.0).await;

    let sum: usize = few.iter().map(|(_, count)| count).sum();
    assert!(sum > 30, "statements are seen: {few:?}");
    let grown: Vec<String> = few
        .iter()
        .zip(&many)
        // One or two more where something is there to look up at all; forty rows more are forty statements more.
        .filter(|((_, few), (_, many))| *many > few + 2)
        .map(|((page, few), (_, many))| format!("{page}: {few} → {many}"))
        .collect();
    assert!(grown.is_empty(), "statements grow with the rows: {grown:#?}");
    // The person page, with everything that is known of somebody, sends the most.
    assert!(many.iter().all(|(_, count)| *count <= 32), "{many:?}");
}
