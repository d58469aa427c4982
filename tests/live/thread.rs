//! The first thread through everything: asked for, decided, done in the real directory, proved.

use std::time::Instant;

use tenure::changes::secret;
use tenure::clock::Clock;
use tenure::connectors::ad::signin::BindResult;
use tenure::plan::RequestKind;
use tenure::target::{Address, Connector as _, Kind, Resource, SystemKey, Value};
use uuid::Uuid;

use crate::site::{Process, Site, mails, wait};

fn account(id: Uuid) -> Resource {
    Resource { system: SystemKey("ad:corp.example.com".to_owned()), kind: Kind::User, address: Address::Native(id) }
}

/// Reads the password of a request as its reader's page does.
async fn read_password(site: &Site, user: &str, number: tenure::ids::RequestNumber) -> String {
    let actor = site.actor(user).await;
    let person = actor.person().unwrap();
    let mut conn = site.pool.acquire().await.unwrap();
    let request = tenure::requests::find(&mut conn, number).await.unwrap().unwrap();
    let waiting = secret::of_request(&mut conn, request.id).await.unwrap().pop().expect("a password waits");
    let (delivery, key) = secret::ask(&mut conn, Clock::System.now(), &actor.by(), (person, waiting.id)).await.unwrap();
    wait(
        "the password is resealed",
        async || secret::progress(&mut conn, person, delivery).await.unwrap() == secret::Progress::Ready,
        async || String::new(),
    )
    .await;
    let mut conn = site.pool.acquire().await.unwrap();
    let password = secret::reveal(&mut conn, Clock::System.now(), &actor.by(), (person, delivery), &key).await.unwrap();
    assert!(
        secret::reveal(&mut conn, Clock::System.now(), &actor.by(), (person, delivery), &key).await.is_err(),
        "once"
    );
    password.to_string()
}

#[tokio::test]
async fn a_joiner_with_a_sox_group_from_asking_to_the_directory() {
    let site = Site::open().await;
    let worker = Process::start(None);
    let number = site.joiner("Lan", "Nguyễn Thị", &[("groups", "Finance – Ledger (read)")]).await;
    let items = site.items(number).await;
    assert_eq!(items.len(), 2);
    assert!(items[1].sox);
    let decided = Instant::now();
    site.approve("desk", number, 1).await;
    site.until_item(number, 1, "done").await;
    eprintln!("from the decision to an enabled account in its groups: {} ms", decided.elapsed().as_millis());
    let steps = site.steps(number).await;
    let id = steps.iter().find(|step| step.name == "account").unwrap().resolved.unwrap();
    let server = site.connector.server(tenure::target::Wish::default()).await.unwrap();
    let seen = site.connector.observe(&server, &account(id)).await.unwrap().unwrap();
    assert_eq!(seen.state.get("enabled"), &Value::Bool(true));
    assert_eq!(
        seen.state.get("parent").as_text().unwrap().to_lowercase(),
        "ou=hamburg,ou=staff,dc=corp,dc=example,dc=com"
    );
    let joined: Vec<&str> = steps
        .iter()
        .filter(|step| step.kind == "membership" && step.state == "applied")
        .map(|step| step.label.as_str())
        .collect();
    assert!(joined.contains(&"All Hamburg") && joined.contains(&"Finance staff"), "{joined:?}");
    let sox = steps.iter().find(|step| step.label == "Finance – Ledger (read)").unwrap();
    assert_eq!(sox.state, "waiting", "its owner has not decided");

    let password = read_password(&site, "manager", number).await;
    let upn = seen.state.get("userPrincipalName").as_text().unwrap();
    let bind = site.connector.verify_password(&server, upn, &password).await.unwrap();
    assert!(matches!(bind, BindResult::MustChange), "{bind:?}");

    site.approve("owner", number, 2).await;
    site.until(number, "done").await;
    let held: Vec<String> = sqlx::query_scalar("select e.name from access_grant g join entitlement e on e.id = g.entitlement where g.account = $1 and g.ended_at is null")
        .bind(id).fetch_all(&site.pool).await.unwrap();
    assert!(
        held.contains(&"Finance – Ledger (read)".to_owned()) && held.contains(&"All Hamburg".to_owned()),
        "{held:?}"
    );
    wait("the account is the joiner's", async || {
        sqlx::query_scalar("select exists (select from account a join request r on r.subject = a.person where a.native_id = $1 and r.number = $2)")
            .bind(id).bind(number.0).fetch_one(&site.pool).await.unwrap()
    }, async || String::new()).await;
    // The password is nowhere in the database, in no form that a search would find.
    let leaked: i64 = sqlx::query_scalar("select (select count(*) from evidence_record where position($1 in encode(canonical, 'escape')) > 0)
        + (select count(*) from evidence_disclosure where position($1 in coalesce(value, '')) > 0)
        + (select count(*) from step where position($1 in coalesce(before::text, '') || coalesce(after_state::text, '') || difference::text) > 0)
        + (select count(*) from attempt where position($1 in coalesce(before::text, '') || coalesce(after_state::text, '') || coalesce(error_given, '')) > 0)
        + (select count(*) from outbox where position($1 in letter::text) > 0)
        + (select count(*) from account where position($1 in attributes::text) > 0)")
        .bind(&password).fetch_one(&site.pool).await.unwrap();
    assert_eq!(leaked, 0);
    // Nor in what the worker logged, at its most talkative, nor in any mail.
    let log = std::fs::read_to_string(worker.log.path()).unwrap();
    assert!(log.contains("step attempted") && !log.contains(&password));
    for (path, mail) in mails() {
        assert!(!mail.contains(&password), "{}", path.display());
    }
}

#[tokio::test]
async fn a_timed_membership_ends_and_a_leaver_is_out() {
    let site = Site::open().await;
    let worker = site.worker();
    let number = site.joiner("Timo", "Kurz", &[]).await;
    site.approve("desk", number, 1).await;
    site.until(number, "done").await;
    let id = site.steps(number).await[0].resolved.unwrap();
    let person: Uuid = sqlx::query_scalar("select subject from request where number = $1")
        .bind(number.0)
        .fetch_one(&site.pool)
        .await
        .unwrap();
    wait(
        "the account is linked",
        async || {
            sqlx::query_scalar("select exists (select from account where native_id = $1 and person = $2)")
                .bind(id)
                .bind(person)
                .fetch_one(&site.pool)
                .await
                .unwrap()
        },
        async || String::new(),
    )
    .await;
    let subject = person.to_string();
    let tomorrow = (Clock::System.now() + chrono::TimeDelta::days(1)).date_naive().to_string();
    let access = site
        .ask(
            "manager",
            RequestKind::Access,
            &[("person", &subject), ("groups", "Finance – Ledger (read)"), ("until", &tomorrow)],
        )
        .await;
    site.approve("owner", access, 1).await;
    site.until(access, "done").await;
    let member = async |site: &Site| {
        let server = site.connector.server(tenure::target::Wish::default()).await.unwrap();
        let group: Uuid =
            sqlx::query_scalar("select native_id from entitlement where name = 'Finance – Ledger (read)'")
                .fetch_one(&site.pool)
                .await
                .unwrap();
        let what = Resource { kind: Kind::Membership, address: Address::Member { group, member: id }, ..account(id) };
        site.connector.observe(&server, &what).await.unwrap().is_some()
    };
    assert!(member(&site).await);
    // The day passes.
    sqlx::query("update access_grant set until_at = now() where account = $1 and until_at is not null")
        .bind(id)
        .execute(&site.pool)
        .await
        .unwrap();
    wait("the membership ends", async || !member(&site).await, async || String::new()).await;
    let cites: bool = sqlx::query_scalar("select exists (select from evidence_record e join request r on r.number = e.request where r.kind = 'expiry' and r.subject = $1 and convert_from(e.canonical, 'UTF8') like '%follows_from%')")
        .bind(person).fetch_one(&site.pool).await.unwrap();
    assert!(cites, "the ending cites what it follows from");

    let leaver = site.ask("desk", RequestKind::Leaver, &[("person", &subject), ("immediate", "true")]).await;
    site.until(leaver, "done").await;
    let server = site.connector.server(tenure::target::Wish::default()).await.unwrap();
    let seen = site.connector.observe(&server, &account(id)).await.unwrap().unwrap();
    assert_eq!(seen.state.get("enabled"), &Value::Bool(false));
    assert!(seen.state.get("parent").as_text().unwrap().to_lowercase().starts_with("ou=quarantine"));
    let standing: i64 = sqlx::query_scalar("select count(*) from access_grant where person = $1 and ended_at is null")
        .bind(person)
        .fetch_one(&site.pool)
        .await
        .unwrap();
    assert_eq!(standing, 0);
    worker.end().await;
}

/// Each becomes a correct account; the directory says the name as it was typed.
#[tokio::test]
async fn names_that_break_things_become_accounts() {
    let site = Site::open().await;
    let worker = site.worker();
    let names = [
        ("Brian", "O'Brien"),
        ("Sam", "Smith, Jr."),
        ("Ada", "#lead"),
        ("Thị", "Nguyễn"),
        ("小龙", "李"),
        ("José-María", "de la Cruz y Vega"),
        ("Trailing ", "Space "),
        ("Back\\slash", "Quo\"te;=<>+"),
        ("Zoë 🙂", "Groß*()"),
    ];
    let mut numbers = Vec::new();
    for (given, family) in names {
        let number = site.joiner(given, family, &[]).await;
        site.approve("desk", number, 1).await;
        numbers.push((given, family, number));
    }
    let server = site.connector.server(tenure::target::Wish::default()).await.unwrap();
    for (given, family, number) in numbers {
        site.until(number, "done").await;
        let id = site.steps(number).await[0].resolved.unwrap();
        let seen = site.connector.observe(&server, &account(id)).await.unwrap().unwrap();
        let shown = format!("{} {} {}", given.trim(), family.trim(), site.tag);
        // Between the two names of this test stands what the family name ended with, then the tag.
        let displayed =
            seen.state.get("displayName").as_text().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(displayed, shown, "{given} {family}");
        assert_eq!(seen.state.get("enabled"), &Value::Bool(true), "{given} {family}");
    }
    worker.end().await;
}

/// Ten people of one name, asked for at the same moment: ten accounts, none lost, no name twice.
#[tokio::test]
async fn ten_people_of_one_name_at_once() {
    let site = std::sync::Arc::new(Site::open().await);
    let worker = site.worker();
    let asked: Vec<_> = (0..10)
        .map(|_| {
            let site = site.clone();
            tokio::spawn(async move { site.joiner("Thomas", "Müller", &[]).await })
        })
        .collect();
    let mut names = std::collections::BTreeSet::new();
    for number in asked {
        let number = number.await.unwrap();
        site.approve("desk", number, 1).await;
        site.until(number, "done").await;
        let steps = site.steps(number).await;
        names.insert(steps[0].after_state.as_ref().unwrap().get("sAMAccountName").as_text().unwrap().to_owned());
    }
    assert_eq!(names.len(), 10, "{names:?}");
    worker.end().await;
}
