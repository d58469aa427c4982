//! A target system's connection tested from the portal's side: a row is left, a worker on the lab answers it as `doctor` would.

use std::time::Instant;

use tenure::access::{Object, op, permit};
use tenure::checks::{self, Check, Finding, Health};
use tenure::clock::Clock;
use tenure::config::TargetConfig;
use tenure::target::SystemKey;
use tenure::targets;

use crate::ad_lab::env;
use crate::site::{Site, wait};

const DIRECTORY: &str = "ad:corp.example.com";

impl Site {
    /// Asks as an administrator, and waits for the answer.
    async fn tested(&self, system: &str, units: &[String]) -> Check {
        let key = SystemKey(system.to_owned());
        let actor = self.administrator().await;
        let mut tx = self.pool.begin().await.unwrap();
        let permit = permit::<op::CheckSystem>(&mut tx, &actor, Object::None).await.unwrap();
        let id = checks::ask(&mut tx, Clock::System.now(), &permit, (&key, units)).await.unwrap();
        tx.commit().await.unwrap();
        let mut conn = self.pool.acquire().await.unwrap();
        let mut found = None;
        wait(
            &format!("{system} is tested"),
            async || {
                let last = checks::latest(&mut conn, &key, 1).await.unwrap().pop().unwrap();
                assert_eq!(last.id, id);
                let done = !last.is_open();
                found = Some(last);
                done
            },
            async || String::new(),
        )
        .await;
        found.unwrap()
    }

    /// An administrator in a browser: a token is not enough for this.
    async fn administrator(&self) -> tenure::access::Actor {
        use tenure::access::{Actor, session};
        let mut conn = self.pool.acquire().await.unwrap();
        let person = tenure::people::by_user_name(&mut conn, "admin").await.unwrap().unwrap();
        let token = session::open(&mut conn, Clock::System.now(), person, &session::From::default()).await.unwrap();
        Actor::Person(session::resume(&mut conn, &token, None).await.unwrap().unwrap().viewer)
    }
}

fn texts(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("{:?} {}\n", finding.state, finding.text)).collect()
}

#[tokio::test]
async fn a_worker_answers_for_directory_and_exchange() {
    let site = Site::open().await;
    let worker = site.worker();
    let unit = format!("OU=nowhere-{},{}", site.tag, env("LDAP_BASE_DN"));
    let asked = Instant::now();
    let directory = site.tested(DIRECTORY, std::slice::from_ref(&unit)).await;
    println!("the directory was answered for within {:?}", asked.elapsed());
    let found = texts(directory.findings());
    for part in [
        "Well ldaps://",
        "its certificate is trusted by",
        "Well The directory's clock and ours agree",
        "Well Create accounts: allowed in",
        "Follow changes (DirSync): the feed answers",
        "Change group memberships: allowed in",
    ] {
        assert!(found.contains(part), "{part}: {found}");
    }
    assert!(found.contains(&format!("Ill {unit} is not there")), "{found}");
    let exchange = site.tested("exchange:onprem", &[]).await;
    let found = texts(exchange.findings());
    assert!(found.contains("answers and lets us in") && found.contains("is an accepted domain"), "{found}");
    worker.end().await;
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_mend() {
    let site = Site::open().await;
    let TargetConfig::Ad(mut ad) = site.config.target[0].clone() else { panic!("a directory first") };
    let wrong = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(wrong.path(), "not the password").unwrap();
    ad.password_file = wrong.path().to_owned();
    let scope = targets::check::scope(Some(&site.pool), &ad.key, &[]).await;
    let findings = targets::check::look(&TargetConfig::Ad(ad.clone()), Some(&site.pool), &scope).await;
    assert!(findings.iter().any(|finding| finding.state == Health::Ill), "{}", texts(&findings));
    // Nobody listens there.
    ad.urls = vec!["ldaps://127.0.0.1:1".to_owned()];
    let findings = targets::check::look(&TargetConfig::Ad(ad), None, &scope).await;
    assert!(
        findings[0].state == Health::Ill && findings[0].text.contains("ldaps://127.0.0.1:1"),
        "{}",
        texts(&findings)
    );
}

/// Names as the mirror has them are what the schema's function takes.
#[tokio::test]
async fn the_lab_s_accounts_lie_where_both_say() {
    let site = Site::open().await;
    let staff = format!("OU=Staff,{}", env("LDAP_BASE_DN"));
    let scope = tenure::catalog::UnitScope { units: vec![staff], excluded: Vec::new() };
    let rows: Vec<(String, bool)> =
        sqlx::query_as("select dn, in_scope(dn, $1) from account where system like 'ad:%' and gone_at is null")
            .bind(serde_json::to_value(&scope).unwrap())
            .fetch_all(&site.pool)
            .await
            .unwrap();
    assert!(rows.iter().any(|(_, inside)| *inside) && rows.iter().any(|(_, inside)| !inside), "{}", rows.len());
    for (dn, inside) in rows {
        assert_eq!(inside, scope.covers(&dn), "{dn}");
    }
}
