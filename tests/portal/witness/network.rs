//! Over sockets: the router, the log's side of the exchange, and the process itself.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use chrono::{DateTime, Utc};
use tenure::clock::Clock;
use tenure::evidence::checkpoint::Checkpoint;
use tenure::evidence::note::{Algorithm, Note, SigningKey};
use tenure::evidence::witness::client::{self, SubmitError, WitnessAddress, submit};
use tenure::evidence::witness::{Memory, Witness, open, origin_hash};
use tenure::web;
use tokio_util::sync::CancellationToken;

use super::{Log, NOW, ORIGIN, folder};

/// The witness behind its router on a socket of its own, and how the log reaches it.
struct Site {
    address: WitnessAddress,
    http: reqwest::Client,
    stop: CancellationToken,
}

async fn site(witness: Witness, clock: Clock) -> Site {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let address = WitnessAddress { name: "outside".to_owned(), url, key: witness.verifier().clone() };
    let stop = CancellationToken::new();
    tokio::spawn(web::serve(listener, web::witness::router(witness, clock), stop.clone()));
    Site { address, http: client::http().unwrap(), stop }
}

#[expect(clippy::disallowed_methods, reason = "what the cosignature states is compared with the machine's clock")]
fn machine_time() -> DateTime<Utc> {
    Utc::now()
}

#[tokio::test]
async fn a_growing_log_is_cosigned_over_the_network() {
    let mut log = Log::new("a");
    let dir = folder(&log);
    let site = site(open(dir.path(), &[]).unwrap(), Clock::System).await;
    let Site { address, http, .. } = &site;
    let mut known = 0;
    for size in [0, 1, 2, 255, 256, 257, 700, 70_000, 70_001] {
        let note = log.grow(size);
        let signature = submit(http, address, &note, &mut log.tree(), known).await.unwrap();
        let cosigned = Note { text: note.text, signatures: vec![signature] };
        let time = cosigned.verify(&address.key).unwrap().unwrap();
        assert!(machine_time().timestamp().abs_diff(i64::try_from(time).unwrap()) < 10, "{time}");
        known = size;
    }
    // It does not know, or thinks less: the witness says where it is.
    for thought in [0, 300] {
        submit(http, address, &log.note(70_001), &mut log.tree(), thought).await.unwrap();
    }
    // The witness's own view, for auditors.
    let url = |path: &str| format!("{}{path}", address.url);
    let view = http.get(url(&format!("{}/checkpoint", origin_hash(ORIGIN)))).send().await.unwrap();
    let view: Note = view.text().await.unwrap().parse().unwrap();
    assert!(view.verify(&address.key).is_ok() && view.verify(log.key.verifier()).is_ok());
    assert_eq!(view.text, log.note(70_001).text);
    assert_eq!(http.get(url("healthz")).send().await.unwrap().status(), 200);
    for (path, status) in [("00/checkpoint", 404), ("%2e%2e/checkpoint", 404), ("add-checkpoint", 405), ("", 404)] {
        assert_eq!(http.get(url(path)).send().await.unwrap().status(), status, "{path}");
    }
    for (body, status) in [(vec![b'a'; 70_000], 413), (vec![0xff; 9], 400), (vec![], 400)] {
        assert_eq!(http.post(url("add-checkpoint")).body(body).send().await.unwrap().status(), status);
    }
    let behind = http.post(url("add-checkpoint")).body(log.submission(7, 70_001)).send().await.unwrap();
    assert_eq!(
        (behind.status().as_u16(), &behind.headers()["content-type"]),
        (409, &"text/x.tlog.size".parse().unwrap())
    );
    assert_eq!(behind.text().await.unwrap(), "70001\n");
    site.stop.cancel();
}

#[tokio::test]
async fn each_failure_has_its_own_name() {
    let (mut log, mut rebuilt) = (Log::new("a"), Log::new("b"));
    log.grow(600);
    rebuilt.grow(900);
    let dir = folder(&log);
    let site = site(open(dir.path(), &[]).unwrap(), Clock::System).await;
    let Site { address, http, .. } = &site;
    let of = async |log: &Log, size, known| submit(http, address, &log.note(size), &mut log.tree(), known).await;
    of(&log, 500, 0).await.unwrap();
    // Restored from a backup: whether the caller knows how far it was or not.
    for known in [0, 300, 500] {
        assert_eq!(of(&log, 300, known).await, Err(SubmitError::KnowsLarger { known: 500, ours: 300 }));
    }
    // Rebuilt.
    for (size, known) in [(500, 0), (500, 500), (900, 0), (900, 500)] {
        assert!(matches!(of(&rebuilt, size, known).await, Err(SubmitError::Inconsistent(_))), "{size} {known}");
    }
    // A log that this witness was not told of, and a key that it does not know.
    let mut stranger = Log::new("a");
    stranger.grow(3);
    stranger.key = SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, [8; 32]).unwrap();
    assert!(matches!(of(&stranger, 3, 0).await, Err(SubmitError::KeyRefused { status: 403, .. })));
    let text = Checkpoint::new("example.com/x", 3, [0; 32]).to_string();
    let note = Note { signatures: vec![stranger.key.sign(&text)], text };
    let unknown = submit(http, address, &note, &mut stranger.tree(), 0).await;
    assert!(matches!(unknown, Err(SubmitError::KeyRefused { status: 404, .. })));
    // Somebody else answers at its address: the cosignature is not by the key that was agreed upon.
    let other = SigningKey::from_seed("witness.example/w1", Algorithm::CosignatureV1, [9; 32]).unwrap();
    let expected = WitnessAddress { key: other.verifier().clone(), ..address.clone() };
    let answer = submit(http, &expected, &log.note(600), &mut log.tree(), 0).await;
    assert!(matches!(answer, Err(SubmitError::BadAnswer(_))), "{answer:?}");
    // Its memory is gone: no cosignature, and the failure is the witness's.
    fs::remove_dir_all(dir.path().join("memory")).unwrap();
    assert!(matches!(of(&log, 600, 600).await, Err(SubmitError::Failing { status: 500, .. })));
    // Nobody there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = WitnessAddress { url: format!("http://{free}"), ..address.clone() };
    let answer = submit(http, &nobody, &log.note(600), &mut log.tree(), 0).await;
    assert!(matches!(answer, Err(SubmitError::Unreachable(_))), "{answer:?}");
    // The log itself cannot be read.
    fs::remove_dir_all(log.dir.path().join("tile")).unwrap();
    let note = rebuilt.note(600);
    let answer = submit(http, address, &note, &mut log.tree(), 300).await;
    assert!(matches!(answer, Err(SubmitError::Log(_))), "{answer:?}");
    site.stop.cancel();
}

type Fits = fn(&SubmitError) -> bool;

/// What a hostile or broken witness may say.
#[tokio::test]
async fn no_answer_is_believed_unseen() {
    let mut log = Log::new("a");
    let note = log.grow(9);
    let key = SigningKey::from_seed("witness.example/w1", Algorithm::CosignatureV1, [9; 32]).unwrap();
    let mut wrong = key.cosign(&note.text, NOW);
    wrong.bytes[7] ^= 1;
    let elsewhere = key.cosign(&log.note(8).text, NOW);
    let mut unknown = key.cosign(&note.text, NOW);
    unknown.name = "witness.example/w2".to_owned();
    let good = key.cosign(&note.text, NOW);
    let size = "text/x.tlog.size";
    let cases: [(u16, &str, String, Fits); 10] = [
        (200, "", String::new(), |error| matches!(error, SubmitError::BadAnswer(_))),
        (200, "", "x".repeat(100_000), |error| matches!(error, SubmitError::BadAnswer(_))),
        (200, "", wrong.to_string(), |error| matches!(error, SubmitError::BadAnswer(_))),
        (200, "", elsewhere.to_string(), |error| matches!(error, SubmitError::BadAnswer(_))),
        (200, "", unknown.to_string(), |error| matches!(error, SubmitError::BadAnswer(_))),
        (409, size, "a few\n".to_owned(), |error| matches!(error, SubmitError::BadAnswer(_))),
        (409, size, "0\n".to_owned(), |error| matches!(error, SubmitError::Inconsistent(_))),
        (409, size, "10\n".to_owned(), |error| *error == SubmitError::KnowsLarger { known: 10, ours: 9 }),
        (302, "", String::new(), |error| matches!(error, SubmitError::Failing { status: 302, .. })),
        (503, "", "busy".to_owned(), |error| matches!(error, SubmitError::Failing { status: 503, .. })),
    ];
    let answer = std::sync::Arc::new(std::sync::Mutex::new((200, "", String::new())));
    let app = axum::Router::new().fallback({
        let answer = answer.clone();
        async move || {
            let (status, kind, body) = answer.lock().unwrap().clone();
            let kind = [(axum::http::header::CONTENT_TYPE, kind)];
            (axum::http::StatusCode::from_u16(status).unwrap(), kind, body)
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let address = WitnessAddress { name: "hostile".to_owned(), url, key: key.verifier().clone() };
    let stop = CancellationToken::new();
    tokio::spawn(web::serve(listener, app, stop.clone()));
    let http = client::http().unwrap();
    for (status, kind, body, fits) in cases {
        *answer.lock().unwrap() = (status, kind, body.clone());
        let error = submit(&http, &address, &note, &mut log.tree(), 0).await.unwrap_err();
        assert!(fits(&error), "{status} {}: {error}", body.chars().take(40).collect::<String>());
    }
    *answer.lock().unwrap() = (200, "", format!("{unknown}{good}"));
    assert_eq!(submit(&http, &address, &note, &mut log.tree(), 0).await, Ok(good), "unknown keys are ignored");
    stop.cancel();
}

/// `tenure witness` as a process, and the address that it says it answers on.
fn process(dir: &Path) -> (Child, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tenure"))
        .args(["witness", "--listen", "127.0.0.1:0", "--dir"])
        .arg(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let url = line.trim().rsplit(' ').next().unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{line}");
    (child, url)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_forgets_nothing_that_it_said() {
    let mut log = Log::new("a");
    log.grow(5_000);
    let dir = folder(&log);
    let key = open(dir.path(), &[]).unwrap().verifier().clone();
    let http = client::http().unwrap();
    let mut said = 0;
    for round in 0..12u64 {
        let (mut child, url) = process(dir.path());
        let address = WitnessAddress { name: "outside".to_owned(), url, key: key.clone() };
        let (progress, mut answered) = tokio::sync::watch::channel(said);
        // As fast as it goes, until it is killed in the middle.
        let fast = async {
            let mut known = said;
            for size in said + 1..=5_000 {
                match submit(&http, &address, &log.note(size), &mut log.tree(), known).await {
                    Ok(_) => {
                        known = size;
                        progress.send_replace(size);
                    }
                    // If only the answer was lost: the next round asks for the same size again.
                    Err(SubmitError::Unreachable(_)) => break,
                    Err(other) => panic!("{other}"),
                }
            }
            known
        };
        let kill = async {
            answered.wait_for(|size| *size >= said + 1 + round % 4).await.unwrap();
            for _ in 0..round * 3 {
                tokio::task::yield_now().await;
            }
            child.kill().unwrap();
            child.wait().unwrap();
        };
        let (known, ()) = tokio::join!(fast, kill);
        assert!(known >= said, "round {round}");
        said = known;
        let remembered = Memory::new(dir.path().join("memory")).last(ORIGIN).unwrap().map_or(0, |(last, _)| last.size);
        assert!(remembered >= said && remembered <= said + 1, "{remembered} after {said}");
        assert_eq!(log.note(remembered).text.parse::<Checkpoint>().unwrap().size, remembered);
    }
    assert!(said > 12, "it got on in between: {said}");
}

#[test]
fn the_command_says_what_is_wrong() {
    let tenure = |args: &[&str]| {
        let out = Command::new(env!("CARGO_BIN_EXE_tenure")).arg("witness").args(args).output().unwrap();
        let text = [out.stdout, out.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (out.status.success(), text)
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w");
    let path = path.to_str().unwrap();
    assert!(!tenure(&[]).0);
    assert!(!tenure(&["--dir", path]).0);
    let (ok, text) = tenure(&["--dir", path, "--listen", "127.0.0.1:0"]);
    assert!(!ok && text.contains("tenure witness keygen"), "{text}");
    let (ok, vkey) = tenure(&["keygen", "--dir", path, "--name", "witness.example/w1"]);
    assert!(ok && vkey.starts_with("witness.example/w1+"), "{vkey}");
    let (ok, text) = tenure(&["--dir", path, "--listen", "127.0.0.1:0"]);
    assert!(!ok && text.contains("one a line"), "{text}");
    // The check by hand.
    let (mut log, mut rebuilt) = (Log::new("a"), Log::new("b"));
    log.grow(9);
    rebuilt.grow(9);
    fs::write(format!("{path}/logs/tenure.vkey"), log.key.verifier().to_string()).unwrap();
    let witness = open(Path::new(path), &[]).unwrap();
    let published = log.dir.path().to_str().unwrap();
    assert!(!tenure(&["check", "--dir", path, published]).0, "nothing was cosigned yet");
    witness.add_checkpoint(&log.submission(0, 9), NOW).unwrap();
    let (ok, text) = tenure(&["check", "--dir", path, published]);
    assert!(ok && text.contains("9 leaves, cosigned last, is of this log"), "{text}");
    witness.add_checkpoint(&rebuilt.submission(9, 9), NOW).unwrap_err();
    let (ok, text) = tenure(&["check", "--dir", path, published]);
    assert!(!ok && text.contains("refused checkpoint of 9 leaves IS OF ANOTHER HISTORY"), "{text}");
}
