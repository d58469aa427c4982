//! What real Windows hosts said is understood, and what a host may say instead is taken for what it is.

use std::sync::Mutex;
use std::time::Duration;

use tenure::connectors::exchange::psrp::clixml::Value;
use tenure::connectors::exchange::psrp::wsman::{Answer, Body, Meaning};
use tenure::connectors::exchange::psrp::{Argument, ClientError, Command, PipelineState};

use super::tape::{Tape, host};

fn any_command() -> Command {
    Command {
        name: "Get-Anything".to_owned(),
        parameters: vec![("Identity".to_owned(), Argument::Value(Value::from("x")))],
    }
}

fn nothing_differed(tape: &Mutex<Tape>) {
    let tape = tape.lock().unwrap();
    assert!(tape.wrong.is_empty(), "{:#?}", tape.wrong);
    assert_eq!(tape.next, tape.exchanges.len(), "the recording goes on: {:?}", tape.seen);
}

#[tokio::test]
async fn a_pool_opens_and_is_deleted() {
    let Some((client, tape)) = host("open_runspace").await else { return };
    client.open().await.unwrap();
    client.open().await.unwrap();
    client.close().await;
    nothing_differed(&tape);
    assert_eq!(tape.lock().unwrap().seen, ["Create", "Receive", "Receive", "Delete"]);
}

#[tokio::test]
async fn a_dictionary_comes_back() {
    let Some((client, tape)) = host("application_args").await else { return };
    let finished = client.run(&any_command()).await.unwrap();
    assert!(finished.completed());
    assert_eq!(finished.output.len(), 1);
    assert_eq!(finished.output[0].property("test_var"), Some(&Value::from("abcdef12345")));
    client.close().await;
    nothing_differed(&tape);
}

#[tokio::test]
async fn a_pipeline_that_failed_says_why() {
    let Some((client, tape)) = host("error_failed").await else { return };
    let finished = client.run(&any_command()).await.unwrap();
    assert_eq!(finished.state, Some(PipelineState::Failed));
    assert_eq!(finished.output, [Value::from("before")]);
    let failures = finished.failures();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].message, "error");
    assert_eq!(failures[0].exception_types[0], "Microsoft.PowerShell.Commands.WriteErrorException");
    client.close().await;
    nothing_differed(&tape);
}

#[tokio::test]
async fn every_stream_arrives() {
    let Some((client, tape)) = host("merge_commands").await else { return };
    let finished = client.run(&any_command()).await.unwrap();
    assert!(finished.completed());
    assert_eq!(finished.warnings, ["warning stream"]);
    assert_eq!(finished.verbose, ["verbose stream"]);
    assert_eq!(finished.debug, ["debug stream"]);
    assert_eq!(finished.information.len(), 1);
    assert_eq!(finished.information[0].message, Value::from("information stream"));
    assert_eq!(finished.errors.iter().map(|record| record.message.as_str()).collect::<Vec<_>>(), ["error stream"]);
    assert!(!finished.progress.is_empty());
    assert_eq!(finished.output.last(), Some(&Value::from("output stream")));
    client.close().await;
    nothing_differed(&tape);
}

#[tokio::test]
async fn one_pool_runs_one_command_after_another() {
    let Some((client, tape)) = host("multiple_invocations").await else { return };
    for _ in 0..2 {
        let finished = client.run(&any_command()).await.unwrap();
        assert_eq!(finished.output, [Value::I32(2)]);
    }
    client.close().await;
    nothing_differed(&tape);
}

#[tokio::test]
async fn lists_and_numbers_keep_their_kinds() {
    for (name, errors) in [("run_protocol_version_2.3", 1), ("with_input", 0)] {
        let Some((client, tape)) = host(name).await else { return };
        let finished = client.run(&any_command()).await.unwrap();
        assert!(finished.completed());
        assert_eq!(finished.output.iter().filter(|value| **value == Value::I32(2)).count(), 1);
        assert!(finished.output.iter().any(|value| value.items().is_some_and(|items| items.len() == 2)));
        assert_eq!(finished.debug, ["Start Block", "End Block"]);
        let merged = finished
            .output
            .iter()
            .filter(|value| value.object().is_some_and(|object| object.is("System.Management.Automation.ErrorRecord")));
        assert_eq!(merged.count(), errors);
        client.close().await;
        nothing_differed(&tape);
    }
}

fn fault(code: u32, subcode: &str, reason: &str) -> String {
    format!(
        "<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value xmlns:w=\"w\">w:{subcode}</s:Value></s:Subcode></s:Code>\
         <s:Reason><s:Text xml:lang=\"de-DE\">{reason}</s:Text></s:Reason><s:Detail>\
         <f:WSManFault xmlns:f=\"f\" Code=\"{code}\"><f:Message>{reason}</f:Message></f:WSManFault></s:Detail></s:Fault>"
    )
}

/// What a host says instead of what was recorded, and how often each action is then asked for.
async fn despite(instead: Vec<(&'static str, u16, String)>) -> Option<Vec<String>> {
    let (client, tape) = host("application_args").await?;
    client.open().await.unwrap();
    tape.lock().unwrap().instead = instead;
    let finished = client.run(&any_command()).await.unwrap();
    assert!(finished.completed());
    client.close().await;
    nothing_differed(&tape);
    let seen = tape.lock().unwrap().seen.clone();
    Some(seen.into_iter().skip(3).filter(|action| action != "Signal").collect())
}

#[tokio::test]
async fn a_long_poll_without_news_is_asked_again() {
    let quiet = || ("Receive", 500, fault(2_150_858_793, "TimedOut", "Zeit abgelaufen"));
    let Some(seen) = despite(vec![quiet(), quiet(), quiet()]).await else { return };
    assert_eq!(seen, ["Command", "Receive", "Receive", "Receive", "Receive", "Delete"]);
}

#[tokio::test]
async fn a_command_that_is_throttled_is_sent_again_when_it_may_be() {
    let wait = "Die nächste Anforderung dieses Benutzers wird für mindestens 300 Millisekunden nicht genehmigt.";
    let started = std::time::Instant::now();
    let Some(seen) = despite(vec![("Command", 500, fault(2_150_859_175, "QuotaLimit", wait))]).await else { return };
    assert_eq!(seen, ["Command", "Command", "Receive", "Delete"]);
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn output_is_asked_for_again_where_the_server_was_not_ready() {
    let Some(seen) = despite(vec![("Receive", 503, String::new())]).await else { return };
    assert_eq!(seen, ["Command", "Receive", "Receive", "Delete"]);
}

#[tokio::test]
async fn a_command_that_may_have_begun_is_not_sent_again() {
    for instead in [
        ("Receive", 502, String::new()),
        ("Command", 500, "<nonsense/>".to_owned()),
        ("Receive", 200, "<nonsense/>".to_owned()),
    ] {
        let Some((client, tape)) = host("application_args").await else { return };
        client.open().await.unwrap();
        tape.lock().unwrap().instead = vec![instead];
        let error = client.run(&any_command()).await.unwrap_err();
        assert!(matches!(error, ClientError::Unknown { .. }), "{error:?}");
        let seen = tape.lock().unwrap().seen.clone();
        assert_eq!(seen.iter().filter(|action| *action == "Command").count(), 1, "{seen:?}");
    }
}

#[tokio::test]
async fn a_shell_that_is_gone_is_opened_again_and_then_given_up() {
    let Some((client, tape)) = host("is_alive_invalid_selectors").await else { return };
    let error = client.run(&any_command()).await.unwrap_err();
    assert!(matches!(error, ClientError::NotSent { shell_lost: true, .. }), "{error:?}");
    let tape = tape.lock().unwrap();
    assert!(tape.wrong.is_empty(), "{:#?}", tape.wrong);
    assert_eq!(tape.seen.iter().filter(|action| *action == "Create").count(), 4, "{:?}", tape.seen);
    let fault = Answer::read(&tape.exchanges.last().unwrap().response).unwrap();
    let Body::Fault(fault) = fault.body else { panic!("{fault:?}") };
    assert_eq!((fault.codes[0], fault.subcode.as_str()), (2_150_858_843, "InvalidSelectors"));
    assert_eq!(fault.meaning(), Meaning::ShellLost);
}
