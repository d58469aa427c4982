//! Against a peer whose PowerShell side we did not write: the lab's stand-in Exchange (PyPI `psrpcore` behind WS-Management). Its address
//! comes from `scripts/lab env`; where there is none, these tests say so and pass.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tenure::connectors::exchange::cmdlet::{Class, Cmdlet, Outcome, Param, Transport, TransportError};
use tenure::connectors::exchange::onprem::{Auth, OnPremises, Settings, resource_uri};
use tenure::connectors::exchange::psrp::auth::{Credentials, Scheme};
use tenure::connectors::exchange::psrp::wsman::{Body, Envelopes, Meaning, Wire, WireSettings};
use tenure::connectors::exchange::psrp::{Command, Event, PipelineState, Pool, PoolOptions};
use uuid::Uuid;
use zeroize::Zeroizing;

const SAMPLE: &str = "Grüße, Nguyễn 李 😀 _x0041_ \t\u{1} end";

/// The stand-in, for one test at a time: the faults that it is told to make are for whoever comes next.
struct Peer {
    url: String,
    user: String,
    password: Zeroizing<String>,
    ca_file: Option<PathBuf>,
    lab: String,
    http: reqwest::Client,
    _alone: File,
}

impl Peer {
    async fn there() -> Option<Self> {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (Some(url), Some(user), Some(file)) =
            (read("EXCHANGE_URL"), read("EXCHANGE_USER"), read("EXCHANGE_PASSWORD_FILE"))
        else {
            eprintln!(
                "skipped: EXCHANGE_URL, EXCHANGE_USER and EXCHANGE_PASSWORD_FILE name no stand-in (scripts/lab env)"
            );
            return None;
        };
        let alone = File::create(std::env::temp_dir().join("tenure-psrp-live-peer.lock")).unwrap();
        let alone = tokio::task::spawn_blocking(move || alone.lock().map(|()| alone)).await.unwrap().unwrap();
        let ca_file = read("EXCHANGE_CA_FILE").or_else(|| read("LDAP_CA_FILE")).map(PathBuf::from);
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut http = reqwest::Client::builder();
        if let Some(file) = &ca_file {
            let pem = std::fs::read(file).unwrap();
            http = http.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem).unwrap());
        }
        let lab = read("EXCHANGE_LAB_URL").unwrap_or_else(|| {
            let parsed = reqwest::Url::parse(&url).unwrap();
            format!("{}/lab", parsed.origin().ascii_serialization())
        });
        let password = Zeroizing::new(std::fs::read_to_string(file).unwrap().trim().to_owned());
        let peer = Self { url, user, password, ca_file, lab, http: http.build().unwrap(), _alone: alone };
        peer.faults(json!([])).await;
        Some(peer)
    }

    fn settings(&self) -> Settings {
        Settings {
            auth: Auth::Basic,
            ca_file: self.ca_file.clone(),
            operation_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(60),
            throttle_patience: Duration::from_secs(10),
            ..Settings::new(self.url.clone(), self.user.clone(), self.password.clone())
        }
    }

    fn transport(&self) -> OnPremises {
        OnPremises::new(&self.settings()).unwrap()
    }

    /// What goes wrong next.
    async fn faults(&self, next: Value) {
        let answer = self.http.post(format!("{}/faults", self.lab)).json(&json!({"next": next})).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    async fn no_fault_is_left(&self) {
        let left: Value = self.http.get(format!("{}/faults", self.lab)).send().await.unwrap().json().await.unwrap();
        assert_eq!(left["next"], json!([]), "the fault was never met");
    }

    async fn shells(&self) -> BTreeSet<String> {
        let shells: Value = self.http.get(format!("{}/shells", self.lab)).send().await.unwrap().json().await.unwrap();
        shells.as_array().unwrap().iter().map(|shell| shell["id"].as_str().unwrap().to_owned()).collect()
    }

    /// How often the stand-in ran an echo of this text.
    async fn echoes(&self, text: &str) -> usize {
        let calls: Value = self.http.get(format!("{}/calls", self.lab)).send().await.unwrap().json().await.unwrap();
        let calls = calls.as_array().unwrap().iter();
        calls.filter(|call| call["cmdlet"] == "Test-TenureEcho" && call["parameters"]["Text"]["value"] == text).count()
    }
}

fn echo(text: &str) -> Cmdlet {
    Cmdlet::read("Test-TenureEcho").text("Text", text)
}

fn utf16(text: &str) -> String {
    text.encode_utf16().flat_map(u16::to_le_bytes).map(|byte| format!("{byte:02x}")).collect()
}

fn echoed(outcome: &Outcome) -> &str {
    assert_eq!(outcome.errors, []);
    outcome.objects[0]["Utf16"].as_str().unwrap()
}

#[tokio::test]
async fn two_hundred_objects_and_every_stream_arrive() {
    let Some(peer) = Peer::there().await else { return };
    let transport = peer.transport();
    let outcome =
        transport.invoke(&Cmdlet::read("Test-TenureStreams").with("Count", Param::Number(200))).await.unwrap();
    assert_eq!(outcome.errors, []);
    assert_eq!(outcome.warnings, [format!("warning: {SAMPLE}")]);
    assert_eq!(outcome.objects.len(), 200);
    for (at, object) in outcome.objects.iter().enumerate() {
        assert_eq!(object["Number"], json!(at));
        assert_eq!(object["Text"], json!(SAMPLE));
        assert_eq!(object["Flag"], json!(at % 2 == 0));
        assert_eq!(object["Nothing"], Value::Null);
        assert_eq!(object["Big"], json!((1_i64 << 40) + i64::try_from(at).unwrap()));
        assert_eq!(object["Many"], json!(["a", "ß", ""]));
        assert!(object["When"].as_str().unwrap().starts_with("2026-02-28T23:59:59.123456"), "{}", object["When"]);
    }
    assert!(outcome.trace.is_some());
    transport.close().await;
}

#[tokio::test]
async fn hostile_text_arrives_as_it_is() {
    let Some(peer) = Peer::there().await else { return };
    let transport = peer.transport();
    let long = "x".repeat(300);
    let texts = [
        "\"",
        "'",
        "''; Remove-Mailbox * #",
        ";",
        "$(Get-Mailbox)",
        "`n",
        "a\r\nb",
        "\r",
        "\n",
        "\t",
        "\u{201d}",
        "“”‘’‚‛„",
        "_x0041_",
        "_x005F_",
        "_X0041_",
        "_x",
        "__x000A_",
        "_xD800_",
        "_xDFFF__xD800_",
        "😀",
        "a😀b",
        "\0",
        "a\0b",
        "\u{fffe}\u{ffff}",
        "\u{85}\u{2028}",
        "<Nil/>",
        "]]>&amp;<!--",
        "  edges  ",
        "",
        "-Identity",
        "@{a=1}",
        &long,
        "e\u{301}",
        "é",
        "\u{202e}rtl",
        "\u{7f}\u{80}\u{9f}",
    ];
    for text in texts {
        let outcome = transport.invoke(&echo(text)).await.unwrap();
        assert_eq!(echoed(&outcome), utf16(text), "{text:?}");
    }
    let items = Cmdlet::read("Test-TenureEcho")
        .with("Items", Param::List(texts.iter().map(|text| (*text).to_owned()).collect()));
    let outcome = transport.invoke(&items).await.unwrap();
    assert_eq!(outcome.objects[0]["Items"], json!(texts.as_slice()));
    transport.close().await;
}

#[tokio::test]
async fn what_does_not_fit_in_one_envelope_is_sent_in_several_both_ways() {
    let Some(peer) = Peer::there().await else { return };
    let transport = peer.transport();
    let text = "Grüße 😀 _x0041_ ".repeat(40_000);
    let outcome = transport.invoke(&echo(&text)).await.unwrap();
    assert!(echoed(&outcome) == utf16(&text), "{} octets came back otherwise", text.len());
    transport.close().await;
}

#[tokio::test]
async fn a_secret_travels_encrypted_and_arrives() {
    let Some(peer) = Peer::there().await else { return };
    let transport = peer.transport();
    for secret in ["Tr0ub4dor & 3", "Grüße 😀", "_x0041_", ""] {
        let cmdlet = Cmdlet::read("Test-TenureEcho").with("Secret", Param::Secret(Zeroizing::new(secret.to_owned())));
        let outcome = transport.invoke(&cmdlet).await.unwrap();
        assert_eq!(echoed(&outcome), utf16(secret), "{secret:?}");
    }
    transport.close().await;
}

#[tokio::test]
async fn several_commands_run_in_one_pool_at_once() {
    let Some(peer) = Peer::there().await else { return };
    let before = peer.shells().await;
    let transport = Arc::new(peer.transport());
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..12 {
        let transport = transport.clone();
        tasks.spawn(async move {
            let outcome = transport.invoke(&echo(&format!("number {number}"))).await.unwrap();
            assert_eq!(echoed(&outcome), utf16(&format!("number {number}")));
            let many = Cmdlet::read("Test-TenureStreams").with("Count", Param::Number(60));
            assert_eq!(transport.invoke(&many).await.unwrap().objects.len(), 60);
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let ours: BTreeSet<_> = peer.shells().await.difference(&before).cloned().collect();
    assert_eq!(ours.len(), 1, "one pool for all");
    transport.close().await;
    assert!(peer.shells().await.is_disjoint(&ours), "the shell was deleted");
}

#[tokio::test]
async fn a_dropped_client_leaves_no_shell_behind() {
    let Some(peer) = Peer::there().await else { return };
    let before = peer.shells().await;
    let transport = peer.transport();
    transport.open().await.unwrap();
    let ours: BTreeSet<_> = peer.shells().await.difference(&before).cloned().collect();
    assert_eq!(ours.len(), 1);
    drop(transport);
    let until = Instant::now() + Duration::from_secs(10);
    while !peer.shells().await.is_disjoint(&ours) {
        assert!(Instant::now() < until, "the shell is still there");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_shell_lost_beforehand_is_opened_again_and_a_write_is_sent_once() {
    let Some(peer) = Peer::there().await else { return };
    let transport = peer.transport();
    transport.invoke(&echo("first")).await.unwrap();
    peer.faults(json!([{"on": "Command", "do": "lose-shell"}])).await;
    let text = format!("after a loss {}", Uuid::new_v4());
    let outcome = transport.invoke(&Cmdlet::write("Test-TenureEcho").text("Text", &text)).await.unwrap();
    assert_eq!(echoed(&outcome), utf16(&text));
    assert_eq!(peer.echoes(&text).await, 1);
    peer.no_fault_is_left().await;
    transport.close().await;
}

#[tokio::test]
async fn a_shell_lost_in_the_middle_leaves_a_write_unknown_and_repeats_a_read() {
    let Some(peer) = Peer::there().await else { return };
    let transport = peer.transport();
    transport.open().await.unwrap();
    peer.faults(json!([{"on": "Receive", "do": "lose-shell"}])).await;
    let text = format!("half-way {}", Uuid::new_v4());
    let error = transport.invoke(&Cmdlet::write("Test-TenureEcho").text("Text", &text)).await.unwrap_err();
    assert!(matches!(error, TransportError::Unknown { .. }), "{error:?}");
    assert!(peer.echoes(&text).await <= 1, "never twice");
    peer.faults(json!([{"on": "Receive", "do": "lose-shell"}])).await;
    let outcome = transport.invoke(&echo("read again")).await.unwrap();
    assert_eq!(echoed(&outcome), utf16("read again"));
    peer.no_fault_is_left().await;
    transport.close().await;
}

#[tokio::test]
async fn throttling_is_waited_for_as_long_as_the_server_says() {
    let Some(peer) = Peer::there().await else { return };
    for on in ["Create", "Command", "Receive"] {
        let transport = peer.transport();
        if on != "Create" {
            transport.open().await.unwrap();
        }
        peer.faults(json!([{"on": on, "do": "throttle", "ms": 700}])).await;
        let started = Instant::now();
        let text = format!("throttled at {on} {}", Uuid::new_v4());
        let outcome = transport.invoke(&Cmdlet::write("Test-TenureEcho").text("Text", &text)).await.unwrap();
        assert_eq!(echoed(&outcome), utf16(&text));
        assert!(started.elapsed() >= Duration::from_millis(700), "{on}: {:?}", started.elapsed());
        assert_eq!(peer.echoes(&text).await, 1, "{on}");
        peer.no_fault_is_left().await;
        transport.close().await;
    }
}

#[tokio::test]
async fn throttling_for_too_long_is_said_and_nothing_was_sent() {
    let Some(peer) = Peer::there().await else { return };
    let transport = peer.transport();
    peer.faults(json!([{"on": "Create", "do": "throttle", "ms": 3_600_000}])).await;
    let error = transport.invoke(&Cmdlet::write("Test-TenureEcho").text("Text", "x")).await.unwrap_err();
    assert!(
        matches!(error, TransportError::NotSent { after: Some(wait), .. } if wait == Duration::from_secs(3600)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_connection_cut_is_unknown_for_a_write_and_repeated_for_a_read() {
    let Some(peer) = Peer::there().await else { return };
    let transport = peer.transport();
    transport.open().await.unwrap();
    for (on, cut) in [("Command", "cut"), ("Command", "cut-after"), ("Receive", "cut")] {
        peer.faults(json!([{"on": on, "do": cut}])).await;
        let text = format!("{cut} at {on} {}", Uuid::new_v4());
        let error = transport.invoke(&Cmdlet::write("Test-TenureEcho").text("Text", &text)).await.unwrap_err();
        assert!(matches!(error, TransportError::Unknown { .. }), "{on} {cut}: {error:?}");
        assert!(peer.echoes(&text).await <= 1, "{on} {cut}: never twice");
        peer.no_fault_is_left().await;
        peer.faults(json!([{"on": on, "do": cut}])).await;
        let outcome = transport.invoke(&echo(&text)).await.unwrap();
        assert_eq!(echoed(&outcome), utf16(&text), "{on} {cut}");
        peer.no_fault_is_left().await;
    }
    transport.close().await;
}

#[tokio::test]
async fn what_was_cut_before_the_command_was_not_sent() {
    let Some(peer) = Peer::there().await else { return };
    let transport = peer.transport();
    peer.faults(json!([{"on": "Create", "do": "cut", "times": 9}])).await;
    let error = transport.invoke(&Cmdlet::write("Test-TenureEcho").text("Text", "x")).await.unwrap_err();
    assert!(matches!(error, TransportError::NotSent { .. }), "{error:?}");
    peer.faults(json!([])).await;
    transport.invoke(&echo("and then it works")).await.unwrap();
    transport.close().await;
}

#[tokio::test]
async fn a_slow_server_is_waited_for_until_the_deadline() {
    let Some(peer) = Peer::there().await else { return };
    let patient = OnPremises::new(&Settings { operation_timeout: Duration::from_secs(1), ..peer.settings() }).unwrap();
    patient.open().await.unwrap();
    peer.faults(json!([{"on": "Receive", "do": "delay", "ms": 2500}])).await;
    assert_eq!(echoed(&patient.invoke(&echo("slow")).await.unwrap()), utf16("slow"));
    patient.close().await;
    let hasty = OnPremises::new(&Settings { deadline: Duration::from_secs(2), ..peer.settings() }).unwrap();
    hasty.open().await.unwrap();
    peer.faults(json!([{"on": "Receive", "do": "delay", "ms": 8000}])).await;
    let started = Instant::now();
    let error = hasty.invoke(&Cmdlet::write("Test-TenureEcho").text("Text", "hasty")).await.unwrap_err();
    assert!(matches!(error, TransportError::Unknown { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert_eq!(echoed(&hasty.invoke(&echo("still there")).await.unwrap()), utf16("still there"));
    hasty.close().await;
}

#[tokio::test]
async fn who_and_where_that_is_wrong_is_refused() {
    let Some(peer) = Peer::there().await else { return };
    let refused = |settings: Settings| async move {
        let error = OnPremises::new(&settings).unwrap().invoke(&echo("x")).await.unwrap_err();
        match error {
            TransportError::Refused { why } => why,
            other => panic!("{other:?}"),
        }
    };
    let why = refused(Settings { password: Zeroizing::new("wrong".to_owned()), ..peer.settings() }).await;
    assert!(why.contains("was not let in by Basic"), "{why}");
    let why = refused(Settings { resource_uri: resource_uri("Microsoft.PowerShell"), ..peer.settings() }).await;
    assert!(why.contains("2150858811"), "{why}");
    let elsewhere = peer.url.replace("/PowerShell/", "/owa/");
    let why = refused(Settings { url: elsewhere, ..peer.settings() }).await;
    assert!(why.contains("/owa/"), "{why}");
    // The machine's own authorities do not know the lab's.
    let error =
        OnPremises::new(&Settings { ca_file: None, ..peer.settings() }).unwrap().invoke(&echo("x")).await.unwrap_err();
    assert!(matches!(error, TransportError::NotSent { .. }), "{error:?}");
    let plain = OnPremises::new(&Settings {
        url: "http://192.0.2.1/PowerShell/".to_owned(),
        plain_loopback: true,
        ..peer.settings()
    });
    assert!(matches!(plain, Err(TransportError::Refused { .. })));
}

#[tokio::test]
async fn a_cmdlets_errors_are_told_by_type() {
    let Some(peer) = Peer::there().await else { return };
    let transport = peer.transport();
    let outcome = transport.invoke(&Cmdlet::read("Get-TenureNothing")).await.unwrap();
    assert_eq!(outcome.errors.len(), 1);
    assert_eq!(
        (outcome.errors[0].type_name.as_str(), &outcome.errors[0].class),
        ("CommandNotFoundException", &Class::Denied)
    );
    let outcome = transport.invoke(&Cmdlet::read("Test-TenureEcho").text("Nonsense", "x")).await.unwrap();
    assert_eq!(outcome.errors[0].type_name, "ParameterBindingException");
    let outcome = transport
        .invoke(&Cmdlet::read("Get-Mailbox").text("Identity", "nobody-of-this-name@corp.example.com"))
        .await
        .unwrap();
    assert_eq!(outcome.objects.len(), 0);
    assert_eq!(
        (outcome.errors[0].type_name.as_str(), &outcome.errors[0].class),
        ("ManagementObjectNotFoundException", &Class::NotFound)
    );
    transport.close().await;
}

fn by_hand(peer: &Peer) -> (Wire, Envelopes) {
    let wire = WireSettings {
        url: peer.url.clone(),
        credentials: Credentials {
            scheme: Scheme::Basic,
            user: peer.user.clone(),
            password: peer.password.clone(),
            kdc: None,
            service: None,
            channel_binding: false,
        },
        authorities: peer.ca_file.as_ref().map(|file| std::fs::read(file).unwrap()),
        plain_loopback: false,
        longest_answer: 1 << 20,
    };
    let envelopes = Envelopes {
        to: peer.url.clone(),
        resource_uri: resource_uri("Microsoft.Exchange"),
        max_envelope: 153_600,
        operation_timeout: Duration::from_secs(1),
        session: Uuid::new_v4(),
    };
    (Wire::new(wire).unwrap(), envelopes)
}

/// This client cannot send a script; one made by hand out of a command shows that the peer would refuse it, as Exchange does.
#[tokio::test]
async fn a_script_is_refused_and_an_idle_pool_has_nothing_to_say() {
    let Some(peer) = Peer::there().await else { return };
    let (wire, envelopes) = by_hand(&peer);
    let patience = Duration::from_secs(20);
    let id = Uuid::new_v4();
    let mut pool = Pool::new(id, PoolOptions::default());
    let creation = pool.open().unwrap();
    let answer = wire.ask(envelopes.create(Uuid::new_v4(), id, &creation), patience).await.unwrap();
    let Body::Created { shell } = answer.body else { panic!("{answer:?}") };
    let mut opened = false;
    while !opened {
        let answer = wire.ask(envelopes.receive(Uuid::new_v4(), &shell, None), patience).await.unwrap();
        let Body::Received { streams, .. } = answer.body else { panic!("{answer:?}") };
        for stream in streams {
            opened |= pool.receive(&stream.bytes).unwrap().contains(&Event::Opened);
        }
    }
    let answer = wire.ask(envelopes.receive(Uuid::new_v4(), &shell, None), patience).await.unwrap();
    let Body::Fault(fault) = answer.body else { panic!("{answer:?}") };
    assert_eq!((fault.codes[0], fault.meaning()), (2_150_858_793, Meaning::TimedOut));

    let pipeline = Uuid::new_v4();
    let command = Command { name: "Get-Mailbox; 1+1".to_owned(), parameters: vec![] };
    let fragment = pool.pipeline(pipeline, &command).unwrap().remove(0);
    let mark = b"<B N=\"IsScript\">false</B>";
    let at =
        fragment.windows(mark.len()).position(|window| window == mark).expect("commands say that they are no scripts");
    let script = [&fragment[..at], b"<B N=\"IsScript\">true</B >", &fragment[at + mark.len()..]].concat();
    wire.ask(envelopes.command(Uuid::new_v4(), &shell, pipeline, &script), patience).await.unwrap();
    let mut reason = None;
    while reason.is_none() {
        let answer = wire.ask(envelopes.receive(Uuid::new_v4(), &shell, Some(pipeline)), patience).await.unwrap();
        let Body::Received { streams, .. } = answer.body else { panic!("{answer:?}") };
        for stream in streams {
            for event in pool.receive(&stream.bytes).unwrap() {
                if let Event::PipelineState { state: PipelineState::Failed, reason: Some(record), .. } = event {
                    reason = Some(record);
                }
            }
        }
    }
    assert!(reason.unwrap().fully_qualified_id.contains("ScriptsNotAllowed"));
    wire.ask(envelopes.delete(Uuid::new_v4(), &shell), patience).await.unwrap();
}

/// By a ticket of the lab's domain controller, for the stand-in's own principal.
#[tokio::test]
async fn kerberos_signs_in_and_every_connection_does_so_for_itself() {
    let Some(peer) = Peer::there().await else { return };
    let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(user), Some(kdc)) = (read("EXCHANGE_KERBEROS_USER"), read("EXCHANGE_KDC")) else {
        eprintln!("skipped: EXCHANGE_KERBEROS_USER and EXCHANGE_KDC name no account and domain controller");
        return;
    };
    for auth in [Auth::Kerberos, Auth::Negotiate] {
        let settings = Settings {
            auth,
            user: user.clone(),
            kdc: Some(kdc.clone()),
            service: read("EXCHANGE_SERVICE"),
            ..peer.settings()
        };
        let transport = Arc::new(OnPremises::new(&settings).unwrap());
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..4 {
            let transport = transport.clone();
            tasks.spawn(async move {
                let text = format!("{number} by Kerberos");
                assert_eq!(echoed(&transport.invoke(&echo(&text)).await.unwrap()), utf16(&text));
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        transport.close().await;
    }
    let wrong =
        Settings { auth: Auth::Kerberos, user, kdc: Some(kdc), service: read("EXCHANGE_SERVICE"), ..peer.settings() };
    let wrong = Settings { password: Zeroizing::new("not the password".to_owned()), ..wrong };
    let error = OnPremises::new(&wrong).unwrap().invoke(&echo("x")).await.unwrap_err();
    assert!(matches!(error, TransportError::Refused { .. }), "{error:?}");
}
