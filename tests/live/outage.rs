//! The directory or PostgreSQL stops in the middle of the work and comes back: it resumes by itself, nothing lost or doubled.
//! These tests have the machine to themselves (`.config/nextest.toml`).

use std::process::Command;

use tenure::clock::Clock;
use tenure::plan::RequestKind;

use crate::ad_lab::env;
use crate::site::{Site, wait};

/// `scripts/lab WHAT` of the lab that the suite runs against.
fn lab(what: &str) {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/lab");
    let done = Command::new(script).arg(what).arg(env("TENURE_LAB")).output().unwrap();
    assert!(done.status.success(), "scripts/lab {what}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Starts the server again even when the test fails.
struct Started(&'static str);

impl Drop for Started {
    fn drop(&mut self) {
        lab(self.0);
    }
}

#[tokio::test]
async fn the_directory_stops_and_comes_back() {
    let site = Site::open().await;
    let worker = site.worker();
    let number = site.joiner("Ida", "Pause", &[]).await;
    {
        let _again = Started("start-directory");
        lab("stop-directory");
        site.approve("desk", number, 1).await;
        wait(
            "the worker has tried and says why it waits",
            async || site.steps(number).await.iter().any(|step| step.state == "retrying" && step.told.is_some()),
            async || format!("{:?}", site.steps(number).await.iter().map(|step| &step.state).collect::<Vec<_>>()),
        )
        .await;
        wait(
            "the mirror says that the directory does not answer",
            async || {
                sqlx::query_scalar("select failing_since is not null from mirror_cursor where system like 'ad:%'")
                    .fetch_one(&site.pool)
                    .await
                    .unwrap()
            },
            async || String::new(),
        )
        .await;
    }
    site.until(number, "done").await;
    let accounts: i64 = sqlx::query_scalar("select count(*) from step where request = (select id from request where number = $1) and name = 'account' and state = 'applied'")
        .bind(number.0).fetch_one(&site.pool).await.unwrap();
    assert_eq!(accounts, 1);
    worker.end().await;
}

#[tokio::test]
async fn postgres_stops_at_once_and_comes_back() {
    let site = Site::open().await;
    let worker = site.worker();
    let before = site.joiner("Olga", "Strom", &[]).await;
    site.approve("desk", before, 1).await;
    {
        let _again = Started("start-postgres");
        lab("kill-postgres");
        assert!(sqlx::query("select 1").execute(&site.pool).await.is_err());
    }
    site.until(before, "done").await;
    let after = site.joiner("Otto", "Strom", &[]).await;
    site.approve("desk", after, 1).await;
    site.until(after, "done").await;
    assert!(after.0 == before.0 + 1, "numbers without gaps");
    worker.end().await;
}

/// Somebody edits the account between approval and application: found, not overwritten, planned and decided again.
#[tokio::test]
async fn an_edit_in_between_is_planned_and_decided_again() {
    let site = Site::open().await;
    let worker = site.worker();
    let number = site.joiner("Dora", "Drift", &[]).await;
    site.approve("desk", number, 1).await;
    site.until(number, "done").await;
    let person: uuid::Uuid = sqlx::query_scalar("select subject from request where number = $1")
        .bind(number.0)
        .fetch_one(&site.pool)
        .await
        .unwrap();
    let id = site.steps(number).await[0].resolved.unwrap();
    wait(
        "the account is linked",
        async || {
            sqlx::query_scalar("select exists (select from account where native_id = $1 and person is not null)")
                .bind(id)
                .fetch_one(&site.pool)
                .await
                .unwrap()
        },
        async || String::new(),
    )
    .await;
    let tomorrow = (Clock::System.now() + chrono::TimeDelta::days(1)).date_naive().to_string();
    let leaver =
        site.ask("manager", RequestKind::Leaver, &[("person", &person.to_string()), ("last_day", &tomorrow)]).await;
    let first = site.items(leaver).await[0].digest.clone();
    // Somebody moves the account elsewhere by hand; the plan's `from` no longer fits.
    let dn: String =
        sqlx::query_scalar("select dn from account where native_id = $1").bind(id).fetch_one(&site.pool).await.unwrap();
    let mut admin = crate::ad_lab::admin().await;
    let rdn = dn.split(",OU=").next().unwrap().to_owned();
    admin
        .modifydn(&dn, &rdn, true, Some("OU=Rotterdam,OU=Staff,DC=corp,DC=example,DC=com"))
        .await
        .unwrap()
        .success()
        .unwrap();
    site.approve("desk", leaver, 1).await;
    sqlx::query(
        "update step set due_at = now() where request = (select id from request where number = $1) and state = 'ready'",
    )
    .bind(leaver.0)
    .execute(&site.pool)
    .await
    .unwrap();
    // Steps that do not touch the edited attribute are done; later ones become due as they are unlocked.
    wait("the item waits to be decided again", async || {
        sqlx::query("update step set due_at = now() where request = (select id from request where number = $1) and state = 'ready'")
            .bind(leaver.0).execute(&site.pool).await.unwrap();
        site.items(leaver).await[0].state == "deciding"
    }, async || format!("{:?}", site.steps(leaver).await.iter().map(|step| (&step.name, &step.state)).collect::<Vec<_>>()))
    .await;
    let item = &site.items(leaver).await[0];
    assert_eq!(item.plan_number, 2);
    assert_ne!(item.digest, first);
    let rest = site.steps(leaver).await;
    let quarantine = rest.iter().find(|step| step.name.starts_with("quarantine")).unwrap();
    assert!(
        quarantine.difference.change("parent").unwrap().from.as_text().unwrap().contains("Rotterdam"),
        "approved anew from where it is"
    );
    site.approve("desk2", leaver, 1).await;
    wait("it is done", async || {
        sqlx::query("update step set due_at = now() where request = (select id from request where number = $1) and state = 'ready'")
            .bind(leaver.0).execute(&site.pool).await.unwrap();
        site.state(leaver).await == "done"
    }, async || format!("{:?}", site.steps(leaver).await.iter().map(|step| (&step.name, &step.state, &step.told)).collect::<Vec<_>>()))
    .await;
    worker.end().await;
}
