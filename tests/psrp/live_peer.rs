//! The client against a peer whose PowerShell side we did not write: what arrives, and what becomes of a cmdlet when something breaks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tenure::connectors::exchange::cmdlet::{Cmdlet, Param, Transport, TransportError};
use tenure::connectors::exchange::onprem::{OnPremises, Settings};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::lab::{Peer, echo, echoed, utf16};

const SAMPLE: &str = "Grüße, Nguyễn 李 😀 _x0041_ \t\u{1} end";

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
async fn a_shell_lost_while_keys_are_exchanged_is_opened_again() {
    let Some(peer) = Peer::there().await else { return };
    for on in ["Send", "Receive"] {
        let transport = peer.transport();
        transport.open().await.unwrap();
        peer.faults(json!([{"on": on, "do": "lose-shell"}])).await;
        let secret = Zeroizing::new("Grüße".to_owned());
        let cmdlet = Cmdlet::write("Test-TenureEcho").with("Secret", Param::Secret(secret));
        assert_eq!(echoed(&transport.invoke(&cmdlet).await.unwrap()), utf16("Grüße"), "{on}");
        peer.no_fault_is_left().await;
        transport.close().await;
    }
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
