//! The connection is cut at every request of a step, before it reaches the server and after: what is left behind is
//! completed by the next attempt, and nothing is done twice.

use std::net::ToSocketAddrs as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ldap3::Scope;
use tenure::connectors::ad::AdConnector;
use tenure::connectors::ad::signin::BindResult;
use tenure::target::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::ad_lab::{Lab, PASSWORD, change, env, in_own_unit, secrets, settings};

/// Where to cut: after this many requests went through, with the last one delivered (its answer lost) or not.
#[derive(Clone, Copy)]
struct Cut {
    records: usize,
    delivered: bool,
}

/// A proxy in front of the directory on the same address, so that its certificate holds. Requests are counted as TLS
/// records from the client, over all connections. Returns its address and the counter.
async fn cutting_proxy(cut: Cut) -> (String, Arc<AtomicUsize>) {
    let url = env("LDAP_URL");
    let host = url.trim_start_matches("ldaps://").trim_end_matches('/').split(':').next().expect("a host").to_owned();
    let target = (host.as_str(), 636).to_socket_addrs().expect("resolves").next().expect("an address");
    let listener = TcpListener::bind((target.ip(), 0)).await.expect("the lab's address is ours");
    let address = format!("ldaps://{host}:{}", listener.local_addr().expect("bound").port());
    let counter = Arc::new(AtomicUsize::new(0));
    let counted = counter.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(target).await.expect("the directory answers");
            tokio::spawn(relay(client, server, cut, counted.clone()));
        }
    });
    (address, counter)
}

async fn relay(client: TcpStream, server: TcpStream, cut: Cut, counter: Arc<AtomicUsize>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let back = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut head = [0; 5];
    while from_client.read_exact(&mut head).await.is_ok() {
        let mut body = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
        if from_client.read_exact(&mut body).await.is_err() {
            break;
        }
        // Application data. Counted from the first after the handshake's own.
        let number = if head[0] == 23 { counter.fetch_add(1, Ordering::SeqCst) } else { 0 };
        if number >= cut.records {
            // Answers stop before the request goes out, so that its answer is lost for certain.
            back.abort();
            if cut.delivered && number == cut.records {
                let _ = to_server.write_all(&[&head[..], &body].concat()).await;
                let _ = to_server.flush().await;
                // Half-close: the server reads what came and answers into the void.
                let _ = to_server.shutdown().await;
            }
            return;
        }
        if to_server.write_all(&[&head[..], &body].concat()).await.is_err() {
            break;
        }
    }
}

#[tokio::test]
async fn a_creation_cut_anywhere_is_completed_by_the_next_attempt() {
    in_own_unit(async |lab: &mut Lab| {
        for delivered in [false, true] {
            let mut unknown = 0;
            for records in 1..60 {
                let cut = Cut { records, delivered };
                let what = lab.user(Address::New { correlation: Uuid::new_v4() });
                let logon = format!("c{records}{}{}", if delivered { "d" } else { "n" }, lab.tag);
                let step = lab.joiner(&format!("Cut {logon}"), &logon);
                let outcome = through(&what, &step, cut, &lab.server.name).await;
                let done = outcome.is_ok();
                assert!(
                    matches!(outcome, Ok(_) | Err(Fault::Retry { .. } | Fault::Unknown { .. })),
                    "{records}: {outcome:?}"
                );
                unknown += usize::from(matches!(outcome, Err(Fault::Unknown { .. })));

                complete(lab, &what, &step).await;
                let seen = lab.seen(&what).await;
                assert_eq!(step.standing(Some(&seen.state), &["password"]), Standing::Already);
                let filter = format!("(sAMAccountName={logon})");
                assert_eq!(lab.raw(&env("LDAP_BASE_DN"), Scope::Subtree, &filter, &["cn"]).await.len(), 1);
                let id = seen.id.expect("an id");
                lab.ensure(id, vec![change("enabled", false, true)]).await.expect("enabled");
                let bound =
                    lab.connector.verify_password(&lab.server, &format!("{logon}@corp.example.com"), PASSWORD).await;
                assert_eq!(bound, Ok(BindResult::MustChange), "{records} {delivered}");
                if done {
                    break;
                }
            }
            assert!(unknown >= 3, "add, password and last write were each cut: {unknown}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_change_cut_anywhere_is_completed_by_the_next_attempt() {
    in_own_unit(async |lab: &mut Lab| {
        let id = lab.account("move").await;
        let what = lab.user(Address::Native(id));
        let mut name = lab.state(id).await.get("cn").to_string();
        let mut title = Value::Null;
        for records in 1..60 {
            let (next, job) = (format!("Moved {records} {}", lab.tag), Value::text(format!("Job {records}")));
            let changes = vec![change("cn", name.as_str(), next.as_str()), change("title", title, job.clone())];
            let step = Difference { presence: None, changes };
            let outcome = through(&what, &step, Cut { records, delivered: records % 2 == 0 }, &lab.server.name).await;
            let seen = lab.seen(&what).await;
            assert_ne!(step.standing(Some(&seen.state), &[]), Standing::Neither);
            complete(lab, &what, &step).await;
            assert_eq!(step.standing(Some(&lab.seen(&what).await.state), &[]), Standing::Already);
            (name, title) = (next, job);
            if outcome.is_ok() {
                return;
            }
        }
        panic!("the step never came through");
    })
    .await;
}

/// The next attempts of the worker: an earlier request may still be under way at the server and change the object under
/// our feet, which is noticed and looked at again.
async fn complete(lab: &Lab, what: &Resource, step: &Difference) {
    for _ in 0..10 {
        match lab.connector.ensure(&lab.server, what, step, &secrets()).await {
            Ok(_) => return,
            Err(Fault::Retry { .. }) => {}
            Err(fault) => panic!("{fault:?}"),
        }
    }
    panic!("never completed");
}

async fn through(what: &Resource, step: &Difference, cut: Cut, name: &str) -> Result<Native, Fault> {
    let (url, _) = cutting_proxy(cut).await;
    let mut settings = settings();
    settings.urls = vec![url.clone()];
    let connector = AdConnector::new(settings);
    connector.ensure(&Server { url, name: name.to_owned(), directory: None }, what, step, &secrets()).await
}
