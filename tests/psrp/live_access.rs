//! Who is let in and what is refused, at the lab's stand-in Exchange.

use std::sync::Arc;
use std::time::Duration;

use tenure::connectors::exchange::cmdlet::{Class, Cmdlet, Transport, TransportError};
use tenure::connectors::exchange::onprem::{Auth, OnPremises, Settings, resource_uri};
use tenure::connectors::exchange::psrp::auth::{Credentials, Scheme};
use tenure::connectors::exchange::psrp::wsman::{Body, Envelopes, Meaning, Wire, WireSettings};
use tenure::connectors::exchange::psrp::{Command, Event, PipelineState, Pool, PoolOptions};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::lab::{Peer, echo, echoed, utf16};

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
