//! The worker is killed at every boundary of every kind of step, as a process of its own; another one finishes the work:
//! nothing lost, nothing twice, and the directory as planned.

use std::time::Duration;

use tenure::changes::boundary::Boundary;
use tenure::connectors::ad::signin::BindResult;
use tenure::ids::RequestNumber;
use tenure::plan::RequestKind;
use tenure::target::{Address, Connector as _, Kind, Resource, SystemKey, Value};
use uuid::Uuid;

use crate::site::{Process, Site, wait};

/// Kills a worker at this boundary of each of these steps, one after the other; then lets one finish.
async fn through(site: &Site, number: RequestNumber, boundary: Boundary, steps: &[String]) {
    for step in steps {
        // Steps of one run have their outcomes in one commit: where the first of them is settled, so are the others.
        if boundary == Boundary::Settled
            && site.steps(number).await.iter().any(|there| there.name == *step && there.is_done())
        {
            continue;
        }
        let at = format!("{}:{step}", boundary.as_str());
        Process::start(Some(&at)).dies(&at).await;
    }
    let _worker = Process::start(None);
    site.until(number, "done").await;
    for step in site.steps(number).await {
        assert!(["applied", "unchanged"].contains(&step.state.as_str()), "{boundary:?} {}: {}", step.name, step.state);
        let done: i64 =
            sqlx::query_scalar("select count(*) from attempt where step = $1 and outcome in ('applied', 'unchanged')")
                .bind(step.id)
                .fetch_one(&site.pool)
                .await
                .unwrap();
        assert_eq!(done, 1, "{boundary:?} {} was done once", step.name);
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

async fn one_life(boundary: Boundary) {
    let site = Site::open().await;
    let number = site.joiner("Kim", "Cut", &[]).await;
    site.approve("desk", number, 1).await;
    through(&site, number, boundary, &owned(&["account", "enable", "mailbox", "all-hamburg"])).await;
    let steps = site.steps(number).await;
    let id = steps[0].resolved.unwrap();
    let name = steps[0].difference.change("sAMAccountName").unwrap().to.as_text().unwrap().to_owned();
    let person: Uuid = sqlx::query_scalar("select subject from request where number = $1")
        .bind(number.0)
        .fetch_one(&site.pool)
        .await
        .unwrap();
    wait_for_mirror(
        &site,
        "the account is linked",
        "select exists (select from account where native_id = $1 and person is not null)",
        id,
    )
    .await;
    let made: i64 =
        sqlx::query_scalar("select count(*) from account where lower(display_name) = lower($1) and gone_at is null")
            .bind(format!("Kim Cut {}", site.tag))
            .fetch_one(&site.pool)
            .await
            .unwrap();
    assert_eq!(made, 1, "one account, not two");

    let subject = person.to_string();
    let reset = site.ask("desk", RequestKind::PasswordReset, &[("person", &subject)]).await;
    through(&site, reset, boundary, &owned(&["reset"])).await;

    lock(&site, id).await;
    let unlock = site.ask("desk", RequestKind::Unlock, &[("person", &subject)]).await;
    through(&site, unlock, boundary, &owned(&["unlock"])).await;

    let leaver = site.ask("desk", RequestKind::Leaver, &[("person", &subject), ("immediate", "true")]).await;
    let who = tenure::plan::slug(&name);
    let leaving = [format!("disable-{who}"), format!("out-of-all-hamburg-{who}"), format!("quarantine-{who}")];
    through(&site, leaver, boundary, &leaving).await;
    let server = site.connector.server(tenure::target::Wish::default()).await.unwrap();
    let what = Resource {
        system: SystemKey("ad:corp.example.com".to_owned()),
        kind: Kind::User,
        address: Address::Native(id),
    };
    let seen = site.connector.observe(&server, &what).await.unwrap().unwrap();
    assert_eq!(seen.state.get("enabled"), &Value::Bool(false));
    assert!(seen.state.get("parent").as_text().unwrap().to_lowercase().starts_with("ou=quarantine"));
    let open: i64 = sqlx::query_scalar("select count(*) from attempt a join step s on s.id = a.step where s.request = any (select id from request where subject = $1) and a.outcome is null")
        .bind(person).fetch_one(&site.pool).await.unwrap();
    assert_eq!(open, 0, "every attempt has an outcome");
}

async fn wait_for_mirror(site: &Site, what: &str, query: &'static str, id: Uuid) {
    let _worker = Process::start(None);
    wait(
        what,
        async || sqlx::query_scalar(query).bind(id).fetch_one(&site.pool).await.unwrap(),
        async || String::new(),
    )
    .await;
}

/// Five wrong passwords, and the mirror has seen it.
async fn lock(site: &Site, id: Uuid) {
    let upn: String = sqlx::query_scalar("select upn from account where native_id = $1")
        .bind(id)
        .fetch_one(&site.pool)
        .await
        .unwrap();
    let server = site.connector.server(tenure::target::Wish::default()).await.unwrap();
    for _ in 0..20 {
        let tried = site.connector.verify_password(&server, &upn, "Wrong-Password-1").await.unwrap();
        if matches!(tried, BindResult::Locked) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    wait_for_mirror(site, "the lock is seen", "select locked from account where native_id = $1", id).await;
}

#[tokio::test]
async fn killed_when_leased() {
    one_life(Boundary::Leased).await;
}

#[tokio::test]
async fn killed_when_observed() {
    one_life(Boundary::Observed).await;
}

#[tokio::test]
async fn killed_when_applied() {
    one_life(Boundary::Applied).await;
}

#[tokio::test]
async fn killed_when_read_back() {
    one_life(Boundary::ReadBack).await;
}

#[tokio::test]
async fn killed_when_settled() {
    one_life(Boundary::Settled).await;
}
