//! Envelopes and answers, without a network.

use std::time::Duration;

use proptest::prelude::*;
use tenure::connectors::exchange::psrp::wsman::{
    Answer, Body, Envelopes, Fault, Meaning, Signal, max_fragment, stated_wait,
};
use uuid::Uuid;

const SHELL: &str = "76056A84-51DC-4F24-9262-CA2A55464B2B";

fn envelopes() -> Envelopes {
    Envelopes {
        to: "https://ex01.corp.example.com/PowerShell/?serializationLevel=Full&clientApplication=a<b".to_owned(),
        resource_uri: "http://schemas.microsoft.com/powershell/Microsoft.Exchange".to_owned(),
        max_envelope: 153_600,
        operation_timeout: Duration::from_secs(20),
        session: Uuid::from_u128(7),
    }
}

fn fault(code: &str, subcode: &str, reason: &str) -> Fault {
    let text = format!(
        r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><s:Fault><s:Code><s:Value>s:Receiver</s:Value>
        <s:Subcode><s:Value>{subcode}</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="de-DE">{reason}</s:Text></s:Reason>
        <s:Detail><f:WSManFault xmlns:f="http://schemas.microsoft.com/wbem/wsman/1/wsmanfault" Code="{code}" Machine="x"><f:Message>{reason}</f:Message>
        </f:WSManFault></s:Detail></s:Fault></s:Body></s:Envelope>"#
    );
    match Answer::read(&text).unwrap().body {
        Body::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_shell_is_asked_for_with_the_protocols_version_and_its_address_escaped() {
    let text = envelopes().create(Uuid::from_u128(1), Uuid::from_u128(0xabc), b"fragments");
    assert!(text.contains(r#"<w:Option Name="protocolversion" MustComply="true">2.3</w:Option>"#));
    assert!(text.contains(r#"ShellId="00000000-0000-0000-0000-000000000ABC""#));
    assert!(
        text.contains("<rsp:InputStreams>stdin pr</rsp:InputStreams><rsp:OutputStreams>stdout</rsp:OutputStreams>")
    );
    assert!(text.contains("?serializationLevel=Full&amp;clientApplication=a&lt;b</a:To>"));
    assert!(
        text.contains(r#"<creationXml xmlns="http://schemas.microsoft.com/powershell">ZnJhZ21lbnRz</creationXml>"#)
    );
    assert!(text.contains("<w:OperationTimeout>PT20S</w:OperationTimeout>"));
}

#[test]
fn every_other_request_selects_its_shell_and_pipeline() {
    let all = envelopes();
    let pipeline = Uuid::from_u128(0xfeed);
    let id = "00000000-0000-0000-0000-00000000FEED";
    for text in [
        all.command(Uuid::nil(), SHELL, pipeline, b"x"),
        all.send(Uuid::nil(), SHELL, Some(pipeline), b"x"),
        all.receive(Uuid::nil(), SHELL, Some(pipeline)),
        all.signal(Uuid::nil(), SHELL, pipeline, Signal::Terminate),
    ] {
        assert!(text.contains(&format!(r#"<w:Selector Name="ShellId">{SHELL}</w:Selector>"#)), "{text}");
        assert!(text.contains(&format!(r#"CommandId="{id}""#)), "{text}");
    }
    assert!(!all.receive(Uuid::nil(), SHELL, None).contains("CommandId"));
    assert!(all.delete(Uuid::nil(), SHELL).contains("<s:Body></s:Body>"));
    assert!(all.signal(Uuid::nil(), SHELL, pipeline, Signal::Stop).contains("powershell/signal/crtl_c"));
    assert!(all.delete(Uuid::nil(), "<&\"'>").contains("&lt;&amp;"));
}

#[test]
fn the_largest_fragment_fits_in_the_envelope() {
    let all = envelopes();
    for max in [32_768, 153_600, 512_000] {
        let most = max_fragment(max, &all.to, &all.resource_uri);
        let bytes = vec![0xff; most];
        for text in [
            all.create(Uuid::nil(), Uuid::max(), &bytes),
            all.command(Uuid::nil(), SHELL, Uuid::max(), &bytes),
            all.send(Uuid::nil(), SHELL, Some(Uuid::max()), &bytes),
        ] {
            assert!(text.len() <= max, "{} octets, {max} at most", text.len());
            assert!(text.len() > max - 4_096, "{} of {max}: room is wasted", text.len());
        }
    }
}

#[test]
fn streams_are_decoded_and_the_end_is_seen() {
    let text = r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing">
        <s:Header><a:RelatesTo>uuid:00000000-0000-0000-0000-000000000001</a:RelatesTo></s:Header><s:Body>
        <q:ReceiveResponse xmlns:q="http://schemas.microsoft.com/wbem/wsman/1/windows/shell"><q:Stream Name="stdout"
        CommandId="00000000-0000-0000-0000-00000000FEED">YWJj
        ZGVm</q:Stream><q:Stream Name="stdout"></q:Stream><q:Stream Name="stdout">AA==</q:Stream>
        <q:CommandState CommandId="x" State="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Done"/></q:ReceiveResponse>
        </s:Body></s:Envelope>"#;
    let answer = Answer::read(text).unwrap();
    assert_eq!(answer.relates_to, Some(Uuid::from_u128(1)));
    let Body::Received { streams, done } = answer.body else { panic!("{answer:?}") };
    assert!(done);
    assert_eq!(streams.len(), 2, "an empty stream says nothing");
    assert_eq!(streams[0].bytes, b"abcdef");
    assert_eq!(streams[0].command, Some(Uuid::from_u128(0xfeed)));
    assert_eq!((streams[1].command, streams[1].bytes.as_slice()), (None, [0].as_slice()));
}

#[test]
fn the_server_chooses_the_shells_id() {
    let text = format!(
        r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header/><s:Body><x:ResourceCreated xmlns:x="x"><a:Address xmlns:a="a">z</a:Address>
        <a:ReferenceParameters xmlns:a="a"><w:SelectorSet xmlns:w="w"><w:Selector Name="Other">no</w:Selector><w:Selector Name="ShellId">{SHELL}</w:Selector>
        </w:SelectorSet></a:ReferenceParameters></x:ResourceCreated></s:Body></s:Envelope>"#
    );
    assert_eq!(Answer::read(&text).unwrap().body, Body::Created { shell: SHELL.to_owned() });
}

#[test]
fn faults_are_known_by_their_numbers() {
    assert_eq!(fault("2150858793", "w:TimedOut", "Zeit abgelaufen").meaning(), Meaning::TimedOut);
    assert_eq!(fault("2150858843", "w:InvalidSelectors", "nicht gefunden").meaning(), Meaning::ShellLost);
    assert_eq!(
        fault("1", "w:InternalError", "… FullyQualifiedErrorId: WSMan-InvalidShellID").meaning(),
        Meaning::ShellLost
    );
    assert_eq!(fault("2150858811", "a:DestinationUnreachable", "gibt es nicht").meaning(), Meaning::NoSuchResource);
    assert_eq!(fault("5", "w:AccessDenied", "Zugriff verweigert").meaning(), Meaning::Denied);
    assert_eq!(fault("995", "w:InternalError", "abgebrochen").meaning(), Meaning::ShellLost);
    assert_eq!(fault("77", "w:InternalError", "etwas").meaning(), Meaning::Other);
}

#[test]
fn a_throttling_fault_says_how_long() {
    let text = "The next request from this user will not be approved for at least 1,234 milliseconds.";
    assert_eq!(
        fault("2150859175", "w:QuotaLimit", text).meaning(),
        Meaning::Throttled { after: Some(Duration::from_millis(1234)) }
    );
    assert_eq!(fault("2150859173", "w:QuotaLimit", "zu viele Shells").meaning(), Meaning::Throttled { after: None });
    assert_eq!(stated_wait("für mindestens 20000 Millisekunden nicht genehmigt"), Some(Duration::from_secs(20)));
    assert_eq!(stated_wait("pendant au moins 3000 millisecondes"), Some(Duration::from_secs(3)));
    assert_eq!(stated_wait("al menos 3000 milisegundos"), Some(Duration::from_secs(3)));
    assert_eq!(stated_wait("99999999999999999999999 milliseconds"), None);
    assert_eq!(stated_wait("999999999999 milliseconds"), Some(Duration::from_secs(86_400)), "a day at most");
    assert_eq!(stated_wait("some milliseconds"), None);
}

#[test]
fn hostile_answers_are_refused() {
    let deep = format!("<Envelope><Body>{}</Body></Envelope>", "<a>".repeat(10_000));
    let wide = format!("<Envelope><Body>{}</Body></Envelope>", "<a/>".repeat(100_000));
    let bomb = r#"<!DOCTYPE x [<!ENTITY a "aaaa">]><Envelope><Body>&a;</Body></Envelope>"#;
    for text in [
        "",
        "<",
        "<html><body>It works!</body></html>",
        "<Envelope/>",
        "<Envelope><Body><Something/></Body></Envelope>",
        "<Envelope><Body><ReceiveResponse><Stream>***</Stream></ReceiveResponse></Body></Envelope>",
        "<Envelope><Body>&unknown;</Body></Envelope>",
        bomb,
        &deep,
        &wide,
    ] {
        assert!(Answer::read(text).is_err(), "{}", &text[..text.len().min(80)]);
    }
}

proptest! {
    /// Whatever comes, reading it ends and does not panic.
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,400}") {
        drop(Answer::read(&text));
    }

    #[test]
    fn any_elements_are_read_or_refused(pieces in prop::collection::vec(prop::sample::select(vec![
        "<s:Envelope>", "</s:Envelope>", "<s:Body>", "</s:Body>", "<rsp:ReceiveResponse>", "</rsp:ReceiveResponse>",
        "<rsp:Stream Name=\"stdout\">", "</rsp:Stream>", "AAAA", "<s:Fault>", "</s:Fault>", "<f:WSManFault Code=\"x\">", "&#0;", "&lt;", "<![CDATA[", "]]>",
    ]), 0..40)) {
        drop(Answer::read(&pieces.concat()));
    }
}
