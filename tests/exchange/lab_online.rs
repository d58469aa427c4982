//! The Online transport against the lab's stand-in, over HTTPS.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tenure::connectors::exchange::cmdlet::{Anchor, Class, Cmdlet, Outcome, Param, Transport as _, TransportError};
use tenure::connectors::exchange::online::{Api, Online, Settings};
use tenure::connectors::exchange::value::{Properties, Quota, quota_text};

fn env(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run scripts/test, or eval \"$(scripts/lab env test)\""))
}

fn settings() -> Settings {
    let mut settings = Settings::new(
        env("EXCHANGE_ONLINE_TENANT"),
        env("EXCHANGE_ONLINE_CLIENT_ID"),
        env("EXCHANGE_ONLINE_CERT_FILE"),
        env("EXCHANGE_ONLINE_KEY_FILE"),
    );
    settings.base = env("EXCHANGE_ONLINE_URL");
    settings.authority = env("EXCHANGE_ONLINE_AUTHORITY");
    settings.ca_file = Some(env("LDAP_CA_FILE").into());
    settings
}

async fn run(settings: Settings, cmdlet: Cmdlet) -> Outcome {
    Online::new(settings).expect("the lab's settings can be").invoke(&cmdlet).await.expect("the lab's Exchange answers")
}

fn names(outcome: &Outcome) -> BTreeSet<String> {
    let name = |object| Properties(object).text("PrimarySmtpAddress").expect("text").unwrap_or_default();
    outcome.objects.iter().map(name).collect()
}

#[tokio::test]
async fn all_pages_of_a_listing() {
    let before = run(settings(), Cmdlet::read("Get-Recipient")).await;
    let mut few = settings();
    few.page_size = 2;
    let paged = run(few, Cmdlet::read("Get-Recipient")).await;
    let after = run(settings(), Cmdlet::read("Get-Recipient")).await;
    assert!(paged.errors.is_empty(), "{:?}", paged.errors);
    // Other tests make and remove recipients meanwhile; whoever was there all the time is on a page, once.
    let (before, after, seen) = (names(&before), names(&after), names(&paged));
    let all_the_time: BTreeSet<_> = before.intersection(&after).collect();
    assert!(all_the_time.len() > 4);
    assert!(all_the_time.iter().all(|name| seen.contains(*name)), "{seen:?}");
    assert_eq!(seen.len(), paged.objects.len());
}

#[tokio::test]
async fn text_arrives_byte_for_byte() {
    let hostile = [
        "'; Remove-Mailbox -Identity * #",
        "$(calc.exe) `n %PATH% ${env:x}",
        "\u{1}\u{8}\u{b}\u{1f}\u{7f}\u{85}\t\r\n",
        "\u{1f600} \u{202e}\u{feff}\u{fffd} \u{10ffff} _x0041_ _x005F_",
        "</S><Obj>&amp;\"\\u0000\\",
        "",
    ];
    for text in hostile {
        let outcome = run(settings(), Cmdlet::read("Test-TenureEcho").text("Text", text)).await;
        assert!(outcome.errors.is_empty(), "{text:?}: {:?}", outcome.errors);
        let hexed = hex::encode(text);
        let told = Value::from(outcome.objects.clone()).to_string().to_lowercase();
        assert!(text.is_empty() || told.contains(&hexed), "{text:?}: {told}");
    }
    let secret = "pässword'\u{1}\u{1f600}";
    let cmdlet =
        Cmdlet::read("Test-TenureEcho").with("Secret", Param::Secret(zeroize::Zeroizing::new(secret.to_owned())));
    let told = Value::from(run(settings(), cmdlet).await.objects).to_string().to_lowercase();
    assert!(told.contains(&hex::encode(secret)), "{told}");
}

#[tokio::test]
async fn what_is_not_there_is_told_by_type() {
    let nobody = run(settings(), Cmdlet::read("Get-Mailbox").text("Identity", "nobody-at-all@example.com")).await;
    assert_eq!(nobody.errors[0].class, Class::NotFound, "{nobody:?}");
    assert_eq!(nobody.errors[0].type_name, "ManagementObjectNotFoundException");
    let cmdlet = run(settings(), Cmdlet::read("Get-TenureNothing")).await;
    assert_eq!(cmdlet.errors[0].type_name, "CommandNotFoundException");
    let parameter = run(settings(), Cmdlet::read("Get-Mailbox").text("TenureNothing", "x")).await;
    assert_eq!(parameter.errors[0].class, Class::Other, "{parameter:?}");
    assert!(parameter.objects.is_empty());
    // Its errors come as JSON in the message, others' with bars between.
    let newer = run(settings(), Cmdlet::read("Get-Recipient").text("Identity", "nobody-at-all@example.com")).await;
    assert_eq!(newer.errors[0].class, Class::NotFound, "{newer:?}");
    // On premises only.
    let flavour = run(settings(), Cmdlet::read("Get-RemoteMailbox")).await;
    assert_eq!(flavour.errors[0].type_name, "CommandNotFoundException");
}

#[tokio::test]
async fn changes_are_made_and_read_back() {
    let tag = format!("rest-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]);
    let address = format!("{tag}@example.com");
    let anchor = || Anchor::Smtp(address.clone());
    let make = Cmdlet::write("New-Mailbox")
        .switch("Shared")
        .text("Name", tag.as_str())
        .text("Alias", tag.as_str())
        .text("DisplayName", "Straße “\u{1f600}” <b>")
        .text("PrimarySmtpAddress", address.as_str());
    let made = run(settings(), make.clone()).await;
    assert!(made.errors.is_empty(), "{made:?}");
    let again = run(settings(), make).await;
    assert!(!again.errors.is_empty() && again.objects.is_empty(), "{again:?}");

    let alias = format!("smtp:also-{address}");
    let delta = |add: &[&str], remove: &[&str]| Param::Delta {
        add: add.iter().map(ToString::to_string).collect(),
        remove: remove.iter().map(ToString::to_string).collect(),
    };
    let set = || Cmdlet::write("Set-Mailbox").text("Identity", address.as_str()).anchored(anchor());
    let get = || Cmdlet::read("Get-Mailbox").text("Identity", address.as_str()).anchored(anchor());
    let change = set()
        .with("EmailAddresses", delta(&[&alias], &[]))
        .flag("HiddenFromAddressListsEnabled", true)
        .text("IssueWarningQuota", quota_text(Quota::Bytes(1_073_741_824)))
        .text("ForwardingSmtpAddress", "elsewhere@example.net");
    let done = run(settings(), change).await;
    assert!(done.errors.is_empty(), "{done:?}");
    let seen = run(settings(), get()).await;
    let read = Properties(&seen.objects[0]);
    assert_eq!(read.text("DisplayName").unwrap().as_deref(), Some("Straße “\u{1f600}” <b>"));
    assert!(read.addresses("EmailAddresses").unwrap().has(&format!("also-{address}")));
    assert_eq!(read.flag("HiddenFromAddressListsEnabled"), Ok(Some(true)));
    assert_eq!(read.bytes("IssueWarningQuota"), Ok(Some(Quota::Bytes(1_073_741_824))));
    assert!(read.text("ForwardingSmtpAddress").unwrap().is_some_and(|text| text.contains("elsewhere@example.net")));

    let back = set().with("EmailAddresses", delta(&[], &[&alias])).with("ForwardingSmtpAddress", Param::Null);
    assert!(run(settings(), back).await.errors.is_empty());
    let seen = run(settings(), get()).await;
    let read = Properties(&seen.objects[0]);
    assert!(!read.addresses("EmailAddresses").unwrap().has(&format!("also-{address}")));
    assert_eq!(read.text("ForwardingSmtpAddress"), Ok(None));

    let gone = run(settings(), Cmdlet::destructive("Remove-Mailbox").text("Identity", address.as_str())).await;
    assert!(gone.errors.is_empty(), "{gone:?}");
    assert_eq!(run(settings(), get()).await.errors[0].class, Class::NotFound);
}

/// Tells the stand-in what to do with the next calls of a cmdlet.
async fn fault(fault: Value) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let roots = std::fs::read(env("LDAP_CA_FILE")).expect("the lab's CA file");
    let roots = reqwest::Certificate::from_pem_bundle(&roots).expect("certificates");
    let http = reqwest::Client::builder().tls_certs_only(roots).build().expect("a client");
    let body = json!({"next": [fault]}).to_string();
    let told = http.post(format!("{}/faults", env("EXCHANGE_LAB_URL"))).body(body).send().await.expect("an answer");
    assert_eq!(told.status(), 204);
}

/// One after the other: the stand-in has one list of faults.
#[tokio::test]
async fn faults_on_the_way() {
    let organisation = || Cmdlet::read("Get-AcceptedDomain");
    let began = Instant::now();
    fault(json!({"on": "Invoke", "do": "throttle", "ms": 1000, "cmdlet": "Get-AcceptedDomain"})).await;
    assert!(run(settings(), organisation()).await.errors.is_empty());
    assert!(began.elapsed() >= Duration::from_secs(1), "the server's wait is kept to");
    fault(json!({"on": "Invoke", "do": "status", "status": 500, "cmdlet": "Get-AcceptedDomain"})).await;
    assert!(run(settings(), organisation()).await.errors.is_empty());
    fault(json!({"on": "Invoke", "do": "cut-after", "cmdlet": "Get-AcceptedDomain"})).await;
    assert!(run(settings(), organisation()).await.errors.is_empty());
    // The same loss, of a cmdlet that says it writes: nobody knows whether it was done.
    fault(json!({"on": "Invoke", "do": "cut-after", "cmdlet": "Get-AcceptedDomain"})).await;
    let lost = Online::new(settings()).unwrap().invoke(&Cmdlet::write("Get-AcceptedDomain")).await;
    assert!(matches!(lost, Err(TransportError::Unknown { .. })), "{lost:?}");
}

#[tokio::test]
async fn another_key_gets_no_token() {
    let mut settings = settings();
    settings.client_id = "00000000-0000-0000-0000-00000000dead".to_owned();
    let refused = Online::new(settings).unwrap().invoke(&Cmdlet::read("Get-Mailbox")).await;
    assert!(matches!(&refused, Err(TransportError::Refused { why }) if why.contains("AADSTS")), "{refused:?}");
}

#[tokio::test]
async fn the_public_interface_gives_the_same() {
    let one = || Cmdlet::read("Get-Mailbox").with("ResultSize", Param::Number(1));
    let mut public = settings();
    public.api = Api::V2;
    assert_eq!(run(public, one()).await.objects, run(settings(), one()).await.objects);
}

#[tokio::test]
async fn properties_are_read() {
    let outcome = run(settings(), Cmdlet::read("Get-Mailbox").with("ResultSize", Param::Number(3))).await;
    assert!(!outcome.objects.is_empty(), "{outcome:?}");
    for object in &outcome.objects {
        let read = Properties(object);
        assert!(read.addresses("EmailAddresses").unwrap().primary().is_some());
        assert!(read.guid("ExchangeGuid").unwrap().is_some());
        read.bytes("ProhibitSendQuota").unwrap();
        read.timespan("RetainDeletedItemsFor").unwrap();
        read.flag("HiddenFromAddressListsEnabled").unwrap();
        read.identity("ForwardingAddress").unwrap();
    }
}
