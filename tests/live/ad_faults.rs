//! Servers that are away, silent or not trusted; passwords that are wrong or rotated; rights that are missing.

use std::time::{Duration, Instant};

use tenure::connectors::ad::{AdConnector, BindPassword};
use tenure::target::*;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::ad_lab::{Lab, change, env, in_own_unit, secrets, settings};

fn user(id: Uuid) -> Resource {
    Resource { system: settings().system, kind: Kind::User, address: Address::Native(id) }
}

#[tokio::test]
async fn a_server_that_is_away_or_silent_is_tried_again_soon() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = closed.local_addr().expect("bound");
    drop(closed);
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    for address in [address, silent.local_addr().expect("bound")] {
        let mut settings = settings();
        let url = format!("ldaps://{address}");
        settings.urls = vec![url.clone()];
        settings.connect_timeout = Duration::from_secs(1);
        let connector = AdConnector::new(settings);
        let began = Instant::now();
        let looked = connector.observe(&Server { url, name: "away".into(), directory: None }, &user(Uuid::nil())).await;
        assert!(matches!(looked, Err(Fault::Retry { .. })), "{looked:?}");
        assert!(matches!(connector.server(tenure::target::Wish::default()).await, Err(Fault::Retry { .. })));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn another_server_is_used_once_it_shows_our_last_write() {
    in_own_unit(async |lab: &mut Lab| {
        let id = lab.account("replica").await;
        let mut settings = settings();
        settings.urls = vec!["ldaps://127.0.0.1:1".to_owned(), env("LDAP_URL")];
        let connector = AdConnector::new(settings);
        let gone = Server { url: "ldaps://127.0.0.1:1".to_owned(), name: "gone".to_owned(), directory: None };
        let what = lab.user(Address::Native(id));
        let mut wrote = lab.state(id).await;
        let found = connector
            .server(Wish { preferred: Some(&gone), must_show: Some((&what, &wrote)), directory: None })
            .await
            .expect("it shows it");
        assert_eq!(found, lab.server);
        wrote.0.insert("title".to_owned(), Value::text("not yet replicated"));
        let waiting =
            connector.server(Wish { preferred: Some(&gone), must_show: Some((&what, &wrote)), directory: None }).await;
        assert!(matches!(waiting, Err(Fault::Retry { .. })), "{waiting:?}");
    })
    .await;
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_never_spoken_to() {
    let wrong = tempfile::NamedTempFile::new().expect("a file");
    let mut settings = settings();
    settings.ca_file = Some(wrong.path().to_owned());
    let outcome = AdConnector::new(settings.clone()).server(tenure::target::Wish::default()).await;
    assert!(matches!(&outcome, Err(Fault::Retry { why, .. }) if why.contains("CA file")), "{outcome:?}");
    // Trusting only the system's certificates, the lab's own is refused.
    settings.ca_file = None;
    let outcome = AdConnector::new(settings).server(tenure::target::Wish::default()).await;
    assert!(matches!(&outcome, Err(Fault::Retry { why, .. }) if why.contains("not trusted")), "{outcome:?}");
}

#[tokio::test]
async fn a_wrong_password_is_not_tried_over_and_over_and_a_rotated_one_takes_effect() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "wrong").expect("written");
    let mut settings = settings();
    settings.password = BindPassword::File(file.path().to_owned());
    let connector = AdConnector::new(settings);
    let refused = connector.server(tenure::target::Wish::default()).await;
    assert!(matches!(&refused, Err(Fault::Retry { after: Some(_), .. })), "{refused:?}");
    let held_back = connector.server(tenure::target::Wish::default()).await;
    assert!(matches!(&held_back, Err(Fault::Retry { after: Some(_), .. })), "{held_back:?}");
    std::fs::copy(env("LDAP_PASSWORD_FILE"), file.path()).expect("rotated");
    connector.server(tenure::target::Wish::default()).await.expect("the new password is used at once");
    std::fs::write(file.path(), "").expect("written");
    // The open connection stays; a new connector has none.
    let mut settings = connector.settings().clone();
    settings.password = BindPassword::File(file.path().to_owned());
    let empty = AdConnector::new(settings).server(tenure::target::Wish::default()).await;
    assert!(matches!(&empty, Err(Fault::Retry { why, .. }) if why.contains("empty")), "never bound with: {empty:?}");
}

#[tokio::test]
async fn a_missing_right_needs_a_person_and_names_the_place() {
    in_own_unit(async |lab: &mut Lab| {
        let mut step = lab.joiner("No Right", &format!("noright{}", lab.tag));
        let place = format!("CN=Users,{}", env("LDAP_BASE_DN"));
        step.changes[0] = change("parent", Value::Null, place.as_str());
        let what = lab.user(Address::New { correlation: Uuid::new_v4() });
        let refused = lab.connector.ensure(&lab.server, &what, &step, &secrets()).await;
        assert!(matches!(&refused, Err(Fault::NeedsPerson { why }) if why.contains(&place)), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn observe_only_writes_nothing() {
    in_own_unit(async |lab: &mut Lab| {
        let id = lab.account("watched").await;
        let mut settings = settings();
        settings.observe_only = true;
        let connector = AdConnector::new(settings);
        let step = Difference { presence: None, changes: vec![change("title", Value::Null, "Lead")] };
        let refused = connector.ensure(&lab.server, &user(id), &step, &secrets()).await;
        assert!(matches!(&refused, Err(Fault::NeedsPerson { why }) if why.contains("observe only")), "{refused:?}");
        assert_eq!(lab.state(id).await.get("title"), &Value::Null);
    })
    .await;
}

#[tokio::test]
async fn the_doctor_sees_what_is_well_and_what_is_not() {
    in_own_unit(async |lab: &mut Lab| {
        let users = format!("CN=Users,{}", env("LDAP_BASE_DN"));
        let places = [lab.ou.clone(), users.clone(), "OU=Nowhere,DC=corp,DC=example,DC=com".to_owned()];
        lab.account("sample").await;
        let findings = lab.connector.check(&places, tenure::clock::Clock::System.now()).await;
        let bad: Vec<_> =
            findings.iter().filter(|finding| !finding.good).map(|finding| finding.text.as_str()).collect();
        let told = |text: &str| bad.iter().any(|bad| bad.contains(text));
        assert!(told("OU=Nowhere,DC=corp,DC=example,DC=com is not there"), "{findings:#?}");
        assert!(
            told(&format!("may not create users, nor write msDS-cloudExtensionAttribute20 of users in {users}.")),
            "{findings:#?}"
        );
        assert!(!told(&lab.ou), "{findings:#?}");
    })
    .await;
}
