//! The Online transport against a scripted peer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tenure::connectors::exchange::cmdlet::{Anchor, Class, Cmdlet, Param, Transport as _, TransportError};
use tenure::connectors::exchange::online::{Api, Online, Signing};

use crate::peer::{Peer, Reply, TENANT, say, with};

fn write() -> Cmdlet {
    Cmdlet::write("Set-Mailbox").text("Identity", "amelie@example.com").flag("HiddenFromAddressListsEnabled", true)
}

fn read() -> Cmdlet {
    Cmdlet::read("Get-Mailbox").text("Identity", "amelie@example.com")
}

fn failing(code: &str, detail: &str) -> Value {
    json!({"error": {"code": code, "message": "Error executing cmdlet",
        "details": [{"code": "Context", "target": "", "message": detail}]}})
}

fn named(code: &str) -> Value {
    json!({"error": {"code": code, "message": "Error executing cmdlet"}})
}

fn mailbox(name: &str) -> Value {
    json!({"Name": name, "Name@data.type": "System.String", "@odata.id": "x"})
}

#[tokio::test]
async fn a_cmdlet_goes_out_and_objects_come_back() {
    let peer = Peer::start().await;
    let online = peer.client();
    peer.script([with(
        say(200, json!({"@odata.context": "c", "@adminapi.warnings": ["careful"], "value": [mailbox("amelie")]})),
        "request-id",
        "trace-1",
    )]);
    let outcome = online.invoke(&read()).await.unwrap();
    assert_eq!(Value::from(outcome.objects), json!([{"Name": "amelie"}]));
    assert_eq!((outcome.warnings, outcome.errors.len()), (vec!["careful".to_owned()], 0));
    assert_eq!(outcome.trace.as_deref(), Some("trace-1"));
    online.invoke(&read().anchored(Anchor::Smtp("amelie@example.com".to_owned()))).await.unwrap();
    online.invoke(&read().anchored(Anchor::Mailbox("0bb558c3".to_owned()))).await.unwrap();
    online.invoke(&read().anchored(Anchor::Smtp("x\r\nauthorization: none".to_owned()))).await.unwrap();

    let seen = peer.seen();
    assert_eq!(seen[0].path, format!("/adminapi/beta/{TENANT}/InvokeCommand"));
    let parameters = json!({"Identity": "amelie@example.com", "ResultSize": "Unlimited"});
    assert_eq!(seen[0].body, json!({"CmdletInput": {"CmdletName": "Get-Mailbox", "Parameters": parameters}}));
    let organisation = format!("APP:SystemMailbox{{bb558c35-97f1-4cb9-8ff7-d53741dc928c}}@{TENANT}");
    let anchors: Vec<&str> = seen.iter().map(|seen| seen.header("x-anchormailbox")).collect();
    assert_eq!(anchors, [&organisation, "SMTP:amelie@example.com", &format!("MBX:0bb558c3@{TENANT}"), &organisation]);
    let routed: Vec<&str> = seen.iter().map(|seen| seen.header("parameter-based-routing")).collect();
    assert_eq!(routed, ["", "true", "true", ""]);
    assert_ne!(seen[0].header("client-request-id"), seen[1].header("client-request-id"));
    assert_eq!(seen[0].header("connection-id"), seen[1].header("connection-id"));
    assert_eq!(peer.assertions().len(), 1, "one token serves all calls");
}

#[tokio::test]
async fn hostile_text_is_data() {
    let peer = Peer::start().await;
    let text = "'; Remove-Mailbox -Identity * #\u{0}\u{1f} $(calc) \u{202e}\u{1f600} _x0041_ \"\\ </S>\r\n";
    peer.client().invoke(&Cmdlet::read("Test-TenureEcho").text("Text", text)).await.unwrap();
    assert_eq!(peer.seen()[0].body["CmdletInput"]["Parameters"]["Text"], text);
}

#[tokio::test]
async fn names_are_never_anything_else() {
    let peer = Peer::start().await;
    for cmdlet in
        [Cmdlet::read("Get-Mailbox | Remove-Mailbox"), read().text("Identity; x", "1"), read().text("identity", "b")]
    {
        let refused = peer.client().invoke(&cmdlet).await;
        assert!(matches!(refused, Err(TransportError::Refused { .. })), "{cmdlet}");
    }
    assert!(peer.seen().is_empty());
}

#[tokio::test]
async fn pages_are_followed_with_the_same_body() {
    let peer = Peer::start().await;
    let link = format!("{}/adminapi/beta/{TENANT}/InvokeCommand?$skiptoken=1", peer.url);
    peer.script([
        say(200, json!({"value": [mailbox("a")], "@odata.nextLink": link, "@adminapi.warnings": ["one"]})),
        say(503, json!({})),
        say(200, json!({"value": [mailbox("b")], "@odata.nextLink": "InvokeCommand?$skiptoken=2"})),
        say(
            200,
            json!({"value": [mailbox("c")], "@adminapi.warnings": ["two"], "@adminapi.errors":
            ["|Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException|d is gone"]}),
        ),
    ]);
    let outcome = peer.client().invoke(&Cmdlet::read("Get-Mailbox")).await.unwrap();
    let names: Vec<&Value> = outcome.objects.iter().map(|object| &object["Name"]).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(outcome.warnings, ["one", "two"]);
    assert_eq!(outcome.errors[0].class, Class::NotFound);
    let seen = peer.seen();
    assert_eq!(seen.len(), 4);
    for later in &seen[1..] {
        assert_eq!(later.body, seen[0].body);
        assert_eq!(later.header("client-request-id"), seen[0].header("client-request-id"));
        assert!(later.path.contains("skiptoken"), "{}", later.path);
    }
}

#[tokio::test]
async fn the_token_goes_nowhere_else() {
    let (peer, other) = (Peer::start().await, Peer::start().await);
    let elsewhere = [
        format!("{}/adminapi/beta/{TENANT}/InvokeCommand?x", other.url),
        format!("//{}/adminapi/x", other.url.trim_start_matches("http://")),
        format!("{}/elsewhere", peer.url),
        peer.url.replace("http://", "http://user@") + "/adminapi/x",
        "file:///etc/passwd".to_owned(),
    ];
    for link in elsewhere {
        peer.script([say(200, json!({"value": [], "@odata.nextLink": link}))]);
        let refused = peer.client().invoke(&Cmdlet::read("Get-Mailbox")).await;
        assert!(matches!(refused, Err(TransportError::Refused { .. })), "{link}");
    }
    assert!(other.seen().is_empty());
    peer.script([with(say(302, json!({})), "location", &format!("{}/adminapi/x", other.url))]);
    assert!(matches!(peer.client().invoke(&read()).await, Err(TransportError::Refused { .. })));
    assert!(other.seen().is_empty());
}

#[tokio::test]
async fn listings_end() {
    let peer = Peer::start().await;
    let page = |n: usize| say(200, json!({"value": [], "@odata.nextLink": format!("InvokeCommand?{n}")}));
    peer.script([page(1), page(1)]);
    let looped = peer.client().invoke(&Cmdlet::read("Get-Mailbox")).await;
    assert!(matches!(looped, Err(TransportError::Refused { why }) if why.contains("never end")));
    let mut settings = peer.settings();
    settings.most_pages = 3;
    peer.script((1..9).map(page));
    let long = Online::new(settings).unwrap().invoke(&Cmdlet::read("Get-Mailbox")).await;
    assert!(matches!(long, Err(TransportError::Refused { why }) if why.contains("more than 3 pages")));
}

#[tokio::test]
async fn errors_of_a_cmdlet_are_told_by_type_whatever_the_status() {
    let peer = Peer::start().await;
    let online = peer.client();
    let tasks = "Microsoft.Exchange.Configuration.Tasks";
    for (status, detail, class) in [
        (404, format!("Ex6F9304|{tasks}.ManagementObjectNotFoundException|weg"), Class::NotFound),
        (500, format!("Ex6F9304|{tasks}.ManagementObjectNotFoundException|weg"), Class::NotFound),
        (
            400,
            json!({"TypeName": "X.ADObjectAlreadyExistsException", "Message": "da"}).to_string(),
            Class::AlreadyExists,
        ),
        (400, "|X.RecipientTaskException|ServerBusyException is only in the text".to_owned(), Class::Other),
        (403, "ExAB12CD|X.CmdletAccessDeniedException|no".to_owned(), Class::Denied),
        (400, "no type at all".to_owned(), Class::Other),
    ] {
        peer.script([say(status, failing("BadRequest", &detail))]);
        let outcome = online.invoke(&write()).await.unwrap();
        assert_eq!(outcome.errors.len(), 1, "{detail}");
        assert_eq!(outcome.errors[0].class, class, "{detail}");
    }
    assert_eq!(peer.seen().len(), 6, "none of them is sent again");
}

#[tokio::test]
async fn an_unknown_cmdlet_is_a_body_that_cannot_be_unpacked() {
    let peer = Peer::start().await;
    for body in [vec![0], vec![0; 40], Vec::new()] {
        peer.script([with(Reply::Say { status: 403, headers: Vec::new(), body }, "content-encoding", "gzip")]);
        let outcome = peer.client().invoke(&Cmdlet::write("Set-Nothing")).await.unwrap();
        assert_eq!(
            (outcome.errors[0].type_name.as_str(), &outcome.errors[0].class),
            ("CommandNotFoundException", &Class::Denied)
        );
        assert!(outcome.errors[0].message.contains("Set-Nothing"));
    }
    peer.script([say(403, named("Forbidden"))]);
    assert!(matches!(peer.client().invoke(&read()).await, Err(TransportError::Refused { .. })));
}

#[tokio::test]
async fn throttling_is_waited_for_as_the_server_says() {
    let peer = Peer::start().await;
    let online = peer.client();
    for cmdlet in [read(), write()] {
        let (before, began) = (peer.seen().len(), Instant::now());
        peer.script([with(say(429, json!({})), "retry-after", "1")]);
        online.invoke(&cmdlet).await.unwrap();
        assert!(began.elapsed() >= Duration::from_secs(1));
        let seen = peer.seen().split_off(before);
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[0].header("client-request-id"), seen[1].header("client-request-id"));
    }
    peer.script([with(say(429, json!({})), "rate-limit-reset", "600")]);
    let later = Some(Duration::from_secs(600));
    assert!(matches!(online.invoke(&write()).await, Err(TransportError::NotSent { after, .. }) if after == later));
}

#[tokio::test]
async fn what_did_not_begin_is_sent_again_even_if_it_writes() {
    let peer = Peer::start().await;
    let busy = failing("ServerBusy", "Ex1|Microsoft.Exchange.X.ServerBusyException|busy");
    peer.script([say(400, named("CmdletProxyNotAvailableFailure")), say(503, json!({})), say(500, busy)]);
    peer.client().invoke(&write()).await.unwrap();
    assert_eq!(peer.seen().len(), 4);
    peer.script((0..20).map(|_| say(503, json!({}))));
    assert!(matches!(peer.client().invoke(&write()).await, Err(TransportError::NotSent { .. })));
    assert_eq!(peer.seen().len(), 4 + 6, "tries are counted");
}

#[tokio::test]
async fn what_may_have_begun_is_sent_again_only_if_it_reads() {
    let passing = || {
        [
            say(500, json!({})),
            say(502, Value::Null),
            say(400, named("BackendCommunicationException")),
            say(400, failing("X", "Ex1|Microsoft.Exchange.Data.TransientException|later")),
            Reply::Break(200),
            Reply::Break(500),
            Reply::Break(403),
            Reply::Hang,
        ]
    };
    for reply in passing() {
        let peer = Peer::start().await;
        let mut settings = peer.settings();
        settings.timeout = Duration::from_millis(400);
        peer.script([reply]);
        let lost = Online::new(settings).unwrap().invoke(&write()).await;
        assert!(matches!(lost, Err(TransportError::Unknown { .. })), "{lost:?}");
        assert_eq!(peer.seen().len(), 1, "a write is never sent twice");
    }
    for reply in passing() {
        let peer = Peer::start().await;
        let mut settings = peer.settings();
        settings.timeout = Duration::from_millis(400);
        peer.script([reply]);
        Online::new(settings).unwrap().invoke(&read()).await.unwrap();
        assert_eq!(peer.seen().len(), 2);
    }
}

#[tokio::test]
async fn answers_that_are_none() {
    let peer = Peer::start().await;
    let html = || Reply::Say { status: 200, headers: Vec::new(), body: b"<html>Sign in".to_vec() };
    peer.script([html(), html()]);
    assert!(matches!(peer.client().invoke(&read()).await, Err(TransportError::Refused { .. })));
    assert!(matches!(peer.client().invoke(&write()).await, Err(TransportError::Unknown { .. })));
    let mut settings = peer.settings();
    settings.longest_page = 64 * 1024;
    let online = Online::new(settings).unwrap();
    // A megabyte of zeros travels packed in a kilobyte.
    let huge = || say(200, json!({"value": [{"Name": "0".repeat(1024 * 1024)}]}));
    peer.script([huge(), huge()]);
    let before = peer.seen().len();
    assert!(matches!(online.invoke(&read()).await, Err(TransportError::Refused { why }) if why.contains("longer")));
    assert!(matches!(online.invoke(&write()).await, Err(TransportError::Unknown { .. })));
    assert_eq!(peer.seen().len(), before + 2);
}

#[tokio::test]
async fn nobody_there() {
    let peer = Peer::start().await;
    let mut settings = peer.settings();
    settings.base = "http://127.0.0.1:9".to_owned();
    settings.tries = 2;
    let refused = Online::new(settings).unwrap().invoke(&write()).await;
    assert!(matches!(refused, Err(TransportError::NotSent { .. })), "{refused:?}");
}

#[tokio::test]
async fn fifty_calls_fetch_one_token() {
    let peer = Peer::start().await;
    let (online, cmdlet) = (peer.client(), read());
    let all = futures_util::future::join_all((0..50).map(|_| online.invoke(&cmdlet))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!((peer.assertions().len(), peer.seen().len()), (1, 50));
}

#[tokio::test]
async fn fifty_calls_share_one_refusal() {
    let peer = Peer::start().await;
    let body = json!({"error": "unauthorized_client", "error_codes": [700_016],
        "error_description": "AADSTS700016: Application not found in the directory.\r\nTrace ID: 5"});
    peer.token_script([say(400, body)]);
    let (online, cmdlet) = (peer.client(), read());
    let all = futures_util::future::join_all((0..50).map(|_| online.invoke(&cmdlet))).await;
    for refused in all {
        let Err(TransportError::Refused { why }) = refused else { panic!("{refused:?}") };
        assert!(why.contains("AADSTS700016") && why.contains("check client_id and tenant"), "{why}");
    }
    assert!(peer.assertions().is_empty() && peer.seen().is_empty());
    online.invoke(&cmdlet).await.unwrap();
}

#[tokio::test]
async fn a_token_that_ends_in_mid_use_is_fetched_once_more() {
    let peer = Peer::start().await;
    let online = peer.client();
    online.invoke(&write()).await.unwrap();
    peer.revoke();
    online.invoke(&write()).await.unwrap();
    assert_eq!((peer.assertions().len(), peer.seen().len()), (2, 3));
    // And where even a fresh one is not taken, that is said.
    peer.script([say(401, named("Unauthorized")), say(401, named("Unauthorized"))]);
    let refused = online.invoke(&write()).await;
    assert!(
        matches!(&refused, Err(TransportError::Refused { why }) if why.contains("Exchange.ManageAsApp")),
        "{refused:?}"
    );
    assert_eq!(peer.assertions().len(), 3);
}

#[tokio::test]
async fn a_spent_token_is_not_used() {
    let peer = Peer::start().await;
    peer.token_life(0);
    let online = peer.client();
    online.invoke(&read()).await.unwrap();
    online.invoke(&read()).await.unwrap();
    assert_eq!((peer.assertions().len(), peer.seen().len()), (2, 2));
}

#[tokio::test]
async fn a_busy_token_endpoint_is_asked_again() {
    let peer = Peer::start().await;
    peer.token_script([say(503, json!({})), with(say(429, json!({})), "retry-after", "0")]);
    peer.client().invoke(&write()).await.unwrap();
    peer.token_script([with(say(429, json!({})), "retry-after", "300")]);
    let later = Some(Duration::from_secs(300));
    assert!(
        matches!(peer.client().invoke(&write()).await, Err(TransportError::NotSent { after, .. }) if after == later)
    );
    peer.token_script([say(200, json!({"token_type": "Bearer"}))]);
    assert!(matches!(peer.client().invoke(&write()).await, Err(TransportError::Refused { .. })));
}

#[tokio::test]
async fn either_signature_is_the_certificates() {
    for (signing, name) in [(Signing::Ps256, "PS256"), (Signing::Rs256, "RS256")] {
        let peer = Peer::start().await;
        let mut settings = peer.settings();
        settings.signing = signing;
        Online::new(settings).unwrap().invoke(&read()).await.unwrap();
        assert_eq!(peer.assertions()[0]["alg"], name);
    }
}

#[tokio::test]
async fn new_certificate_files_take_effect() {
    let peer = Peer::start().await;
    let online = peer.client();
    online.invoke(&read()).await.unwrap();
    peer.new_pair("app");
    peer.revoke();
    online.invoke(&read()).await.unwrap();
    let assertions = peer.assertions();
    assert_ne!(assertions[0]["x5t#S256"], assertions[1]["x5t#S256"]);
    // Half of a new pair.
    peer.new_pair("other");
    std::fs::copy(peer.file("other.key"), peer.file("app.key")).unwrap();
    peer.revoke();
    let refused = online.invoke(&read()).await;
    assert!(matches!(&refused, Err(TransportError::Refused { why }) if why.contains("does not belong")), "{refused:?}");
    std::fs::write(peer.file("app.key"), "nothing").unwrap();
    let refused = online.invoke(&read()).await;
    assert!(matches!(&refused, Err(TransportError::Refused { why }) if why.contains("Key file")), "{refused:?}");
}

#[tokio::test]
async fn a_certificate_that_ended_is_told_before_anything_is_sent() {
    let peer = Peer::start().await;
    let mut settings = peer.settings();
    settings.now = || tenure::clock::Clock::System.now() + chrono::TimeDelta::days(3);
    let refused = Online::new(settings).unwrap().invoke(&read()).await;
    assert!(matches!(&refused, Err(TransportError::Refused { why }) if why.contains("ended on")), "{refused:?}");
    assert!(peer.assertions().is_empty() && peer.seen().is_empty());
}

#[tokio::test]
async fn the_public_interface_where_it_has_the_cmdlet() {
    let peer = Peer::start().await;
    let mut settings = peer.settings();
    settings.api = Api::V2;
    let online = Online::new(settings).unwrap();
    online.invoke(&read()).await.unwrap();
    let delegate = Cmdlet::write("Set-Mailbox")
        .text("Identity", "a")
        .with("GrantSendOnBehalfTo", Param::Delta { add: vec!["b".to_owned()], remove: Vec::new() });
    online.invoke(&delegate).await.unwrap();
    assert!(matches!(online.invoke(&write()).await, Err(TransportError::Refused { why }) if why.contains("beta")));
    let paths: Vec<String> = peer.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, vec![format!("/adminapi/v2.0/{TENANT}/Mailbox"); 2]);
}

#[tokio::test]
async fn settings_that_cannot_be() {
    let peer = Peer::start().await;
    let wrong = |change: fn(&mut tenure::connectors::exchange::online::Settings)| {
        let mut settings = peer.settings();
        change(&mut settings);
        Online::new(settings).map(|_| ()).unwrap_err().to_string()
    };
    assert!(wrong(|settings| settings.base = "http://outlook.office365.com".to_owned()).contains("https://"));
    assert!(wrong(|settings| settings.base = "https://outlook.office365.com/adminapi".to_owned()).contains("path"));
    assert!(wrong(|settings| settings.authority = "login".to_owned()).contains("authority"));
    assert!(wrong(|settings| settings.tenant = "a/../b".to_owned()).contains("tenant"));
    assert!(wrong(|settings| settings.ca_file = Some("/nowhere.pem".into())).contains("CA file"));
}

#[tokio::test]
async fn nothing_secret_is_shown() {
    let secret =
        Cmdlet::write("New-Mailbox").with("Password", Param::Secret(zeroize::Zeroizing::new("hush".to_owned())));
    assert!(!format!("{secret} {secret:?}").contains("hush"));
    let peer = Peer::start().await;
    peer.script([say(500, json!({}))]);
    let lost = peer.client().invoke(&secret).await;
    assert!(!format!("{lost:?}").contains("hush"));
    assert_eq!(peer.seen()[0].body["CmdletInput"]["Parameters"]["Password"], "hush");
}
