//! The witness: every answer of its protocol, what it refuses and keeps, and that its memory never goes back. No database.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use tenure::clock::Clock;
use tenure::evidence::checkpoint::Checkpoint;
use tenure::evidence::note::{Algorithm, Note, SigningKey};
use tenure::evidence::tiles::{Edge, Folder, Stored};
use tenure::evidence::tree;
use tenure::evidence::witness::client::{self, SubmitError, WitnessAddress, submit};
use tenure::evidence::witness::judge::{Verdict, judge};
use tenure::evidence::witness::{Memory, Refusal, Witness, keygen, open, origin_hash};
use tenure::web;
use tokio_util::sync::CancellationToken;

const ORIGIN: &str = "example.com/tenure/1";
const NOW: u64 = 1_795_420_800;

/// A published log that grows.
struct Log {
    dir: tempfile::TempDir,
    edge: Edge,
    key: SigningKey,
    /// Goes into every entry: two logs of different words are two histories.
    word: &'static str,
}

impl Log {
    fn new(word: &'static str) -> Self {
        let key = SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, [3; 32]).unwrap();
        Self { dir: tempfile::tempdir().unwrap(), edge: Edge::empty(), key, word }
    }

    fn folder(&self) -> Folder {
        Folder(self.dir.path().to_owned())
    }

    /// The tree as it is now: those of smaller sizes are read from its files.
    fn tree(&self) -> Stored {
        Stored::new(self.folder(), self.edge.size())
    }

    /// Appends entries up to that size and signs the checkpoint.
    fn grow(&mut self, size: u64) -> Note {
        let entries: Vec<Vec<u8>> =
            (self.edge.size()..size).map(|index| format!("{} {index}", self.word).into_bytes()).collect();
        let folder = self.folder();
        for file in self.edge.append(&entries) {
            let path = folder.tile(file.kind, file.number, file.width);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file.bytes).unwrap();
        }
        let note = self.note(size);
        fs::write(folder.checkpoint(), note.to_string()).unwrap();
        note
    }

    /// The signed checkpoint of a size that it has, or had.
    fn note(&self, size: u64) -> Note {
        let text = Checkpoint::new(ORIGIN, size, tree::root(&mut self.tree(), size).unwrap()).to_string();
        Note { signatures: vec![self.key.sign(&text)], text }
    }

    /// What a client that knows the witness's size sends.
    fn submission(&self, old: u64, size: u64) -> String {
        body(old, &tree::consistency(&mut self.tree(), old, size).unwrap(), &self.note(size))
    }
}

fn body(old: u64, proof: &[tree::Hash], note: &Note) -> String {
    let lines: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
    format!("old {old}\n{lines}\n{note}")
}

/// A witness's folder that trusts the log.
fn folder(log: &Log) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    keygen(dir.path(), "witness.example/w1").unwrap();
    fs::write(dir.path().join("logs/tenure.vkey"), log.key.verifier().to_string()).unwrap();
    dir
}

/// What the witness remembers, by its size.
fn remembered(witness: &Witness) -> u64 {
    witness.last(&origin_hash(ORIGIN)).unwrap().text.parse::<Checkpoint>().unwrap().size
}

fn forks(dir: &Path) -> Vec<String> {
    let forks = Memory::new(dir.join("memory")).forks().unwrap();
    forks
        .iter()
        .map(|(path, checkpoint)| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(path.with_extension("known").exists(), "what was known then stands beside it");
            format!("{} {}", name[17..].trim_end_matches(|letter: char| letter.is_ascii_hexdigit()), checkpoint.size)
        })
        .collect()
}

#[test]
fn every_answer_of_the_protocol() {
    let mut log = Log::new("a");
    log.grow(10);
    let dir = folder(&log);
    let witness = open(dir.path(), &[]).unwrap();
    let ask = |body: &str| witness.add_checkpoint(body, NOW).map_err(|refusal| (refusal.status(), refusal));
    let unknown = witness.last(&origin_hash(ORIGIN)).unwrap_err();
    assert_eq!(unknown.status(), 404, "nothing was cosigned yet");

    // 200: the line is a cosignature on exactly this text, at that time.
    let line = ask(&log.submission(0, 5)).unwrap();
    assert!(line.starts_with("— witness.example/w1 ") && line.ends_with('\n') && line.lines().count() == 1);
    let cosigned = Note { text: log.note(5).text, signatures: vec![line.trim_end().parse().unwrap()] };
    assert_eq!(cosigned.verify(witness.verifier()), Ok(Some(NOW)));
    let last = witness.last(&origin_hash(ORIGIN)).unwrap();
    assert_eq!(last.text, cosigned.text);
    assert_eq!(last.verify(log.key.verifier()), Ok(None));
    assert_eq!(last.verify(witness.verifier()), Ok(Some(NOW)));

    // 400: not a submission; an old size above the new one.
    assert_eq!(ask("old 5\n").unwrap_err().0, 400);
    assert_eq!(ask(&log.submission(0, 8).replace("old 0", "old 9")).unwrap_err().0, 400);
    // 403: nobody's signature, another key under the same name, a forged one.
    let mallory = SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, [4; 32]).unwrap();
    let note = log.note(8);
    let foreign = Note { signatures: vec![mallory.sign(&note.text)], text: note.text.clone() };
    assert_eq!(ask(&body(5, &[], &foreign)).unwrap_err().0, 403);
    let mut forged = note.clone();
    forged.signatures[0].bytes[9] ^= 1;
    assert_eq!(ask(&body(5, &[], &forged)).unwrap_err().0, 403);
    // 404: a log that nobody told this witness of, its signature in order or not.
    let text = Checkpoint::new("example.com/other", 8, [1; 32]).to_string();
    let other = SigningKey::from_seed("example.com/other", Algorithm::Ed25519, [5; 32]).unwrap();
    assert_eq!(ask(&body(0, &[], &Note { signatures: vec![other.sign(&text)], text })).unwrap_err().0, 404);
    // 409 with the size: the proof begins elsewhere, on either side.
    for old in [0, 4, 6] {
        let refusal = ask(&log.submission(old, 8)).unwrap_err().1;
        assert_eq!((&refusal, refusal.to_string()), (&Refusal::Behind(5), "5".to_owned()));
        assert_eq!(refusal.content_type(), "text/x.tlog.size");
    }
    // 422: a proof that does not prove, lacks a hash, has one too many.
    let proof = tree::consistency(&mut log.tree(), 5, 8).unwrap();
    for wrong in [&proof[1..], &[proof.clone(), vec![[0; 32]]].concat(), &vec![[0; 32]; proof.len()]] {
        assert_eq!(ask(&body(5, wrong, &log.note(8))).unwrap_err().0, 422);
    }
    assert_eq!(remembered(&witness), 5, "nothing of that was believed");
    assert_eq!(forks(dir.path()), ["inconsistent- 8"], "signed, and not shown to go on");

    // Once it is shown, the doubt is gone. Signatures of unknown keys are ignored and not kept.
    let mut many = log.note(8);
    many.signatures.insert(0, other.sign("anything"));
    many.signatures.push(mallory.sign(&many.text));
    ask(&body(5, &proof, &many)).unwrap();
    assert_eq!(witness.last(&origin_hash(ORIGIN)).unwrap().signatures.len(), 2);
    assert!(forks(dir.path()).is_empty());
    // The same again, with the time of asking; a proof is out of place then.
    let again = witness.add_checkpoint(&log.submission(8, 8), NOW + 60).unwrap();
    let again = Note { text: note.text, signatures: vec![again.trim_end().parse().unwrap()] };
    assert_eq!(again.verify(witness.verifier()), Ok(Some(NOW + 60)));
    assert_eq!(ask(&body(8, &[[0; 32]], &log.note(8))).unwrap_err().0, 422);
}

#[test]
fn an_empty_log_is_witnessed_too() {
    let mut log = Log::new("a");
    let empty = log.grow(0);
    let dir = folder(&log);
    let witness = open(dir.path(), &[]).unwrap();
    witness.add_checkpoint(&body(0, &[], &empty), NOW).unwrap();
    assert_eq!(remembered(&witness), 0);
    log.grow(3);
    assert_eq!(witness.add_checkpoint(&body(0, &[[0; 32]], &log.note(3)), NOW).unwrap_err().status(), 422);
    witness.add_checkpoint(&log.submission(0, 3), NOW).unwrap();
    assert_eq!(remembered(&witness), 3);
}

#[test]
fn a_tree_rebuilt_with_the_real_key_is_refused_and_kept() {
    let (mut log, mut rebuilt) = (Log::new("a"), Log::new("b"));
    log.grow(600);
    rebuilt.grow(900);
    let dir = folder(&log);
    let witness = open(dir.path(), &[]).unwrap();
    witness.add_checkpoint(&log.submission(0, 600), NOW).unwrap();
    let status = |body: &str| witness.add_checkpoint(body, NOW).unwrap_err().status();
    // Of the same size, once with an old size that is beside the point; larger; smaller.
    assert_eq!(status(&rebuilt.submission(600, 600)), 409);
    assert_eq!(witness.add_checkpoint(&rebuilt.submission(600, 600), NOW), Err(Refusal::OtherRoot(600)));
    assert_eq!(witness.add_checkpoint(&rebuilt.submission(300, 600), NOW), Err(Refusal::Behind(600)));
    assert_eq!(status(&rebuilt.submission(600, 900)), 422);
    assert_eq!(witness.add_checkpoint(&rebuilt.submission(300, 500), NOW), Err(Refusal::Behind(600)));
    assert_eq!(forks(dir.path()), ["inconsistent- 900", "other-root- 600", "smaller- 500"]);
    assert_eq!(remembered(&witness), 600);
    // An honest old checkpoint looks alike: the published log says what is what.
    witness.add_checkpoint(&log.submission(0, 400), NOW).unwrap_err();
    log.grow(1000);
    witness.add_checkpoint(&log.submission(600, 1000), NOW).unwrap();
    let verdicts = |log: &Log| -> Vec<(u64, Verdict)> {
        let findings = judge(&Memory::new(dir.path().join("memory")), &log.folder()).unwrap();
        let mut verdicts: Vec<_> = findings.into_iter().map(|finding| (finding.size, finding.verdict)).collect();
        verdicts.sort_by_key(|(size, _)| *size);
        verdicts
    };
    let (same, other) = (Verdict::Same, Verdict::Other);
    assert_eq!(
        verdicts(&log),
        [(400, same.clone()), (500, other.clone()), (600, other.clone()), (900, other.clone()), (1000, same.clone())]
    );
    // And where the rebuilt tree is the one that is published, so is the witness's own word against it.
    let beyond = Verdict::Beyond;
    assert_eq!(
        verdicts(&rebuilt),
        [(400, other), (500, same.clone()), (600, same.clone()), (900, same), (1000, beyond)]
    );
}

#[test]
fn what_is_kept_has_an_end() {
    let (mut log, mut rebuilt) = (Log::new("a"), Log::new("b"));
    log.grow(300);
    rebuilt.grow(299);
    let dir = folder(&log);
    let witness = open(dir.path(), &[]).unwrap();
    witness.add_checkpoint(&log.submission(0, 300), NOW).unwrap();
    for size in 1..=210 {
        for _ in 0..2 {
            assert_eq!(witness.add_checkpoint(&rebuilt.submission(0, size), NOW), Err(Refusal::Behind(300)));
        }
    }
    assert_eq!(forks(dir.path()).len(), 200);
    assert_eq!(fs::read_dir(dir.path().join("memory/forks")).unwrap().count(), 400, "each beside what was known");
}

#[test]
fn after_a_rotation_both_keys_are_trusted() {
    let mut log = Log::new("a");
    log.grow(9);
    let dir = folder(&log);
    let new = SigningKey::from_seed(ORIGIN, Algorithm::Ed25519, [6; 32]).unwrap();
    open(dir.path(), &[]).unwrap().add_checkpoint(&log.submission(0, 4), NOW).unwrap();
    log.key = new;
    assert_eq!(open(dir.path(), &[]).unwrap().add_checkpoint(&log.submission(4, 9), NOW).unwrap_err().status(), 403);
    fs::write(dir.path().join("logs/new.vkey"), log.key.verifier().to_string()).unwrap();
    open(dir.path(), &[]).unwrap().add_checkpoint(&log.submission(4, 9), NOW).unwrap();
}

#[test]
fn a_time_is_never_stated_before_the_last_one() {
    let mut log = Log::new("a");
    log.grow(9);
    let dir = folder(&log);
    let witness = open(dir.path(), &[]).unwrap();
    let stated = |old, size, now| {
        let line = witness.add_checkpoint(&log.submission(old, size), now)?;
        let note = Note { text: log.note(size).text, signatures: vec![line.trim_end().parse().unwrap()] };
        Ok::<_, Refusal>(note.verify(witness.verifier()).unwrap().unwrap())
    };
    assert_eq!(stated(0, 3, NOW), Ok(NOW));
    assert_eq!(stated(3, 4, NOW - 5), Ok(NOW), "a small correction of the clock");
    for back in [3600, 30 * 86_400, NOW] {
        assert_eq!(stated(4, 5, NOW - back), Err(Refusal::Clock));
    }
    assert_eq!(stated(4, 5, NOW + 1), Ok(NOW + 1));
}

#[test]
fn what_was_kept_before_a_crash_is_answered_after_it() {
    let mut log = Log::new("a");
    log.grow(9);
    let dir = folder(&log);
    // The answer of this one never arrives.
    open(dir.path(), &[]).unwrap().add_checkpoint(&log.submission(0, 9), NOW).unwrap();
    // A file that was being written when the power went is of no account.
    fs::write(dir.path().join("memory").join(format!(".{}.new", origin_hash(ORIGIN))), "half of a no").unwrap();
    let witness = open(dir.path(), &[]).unwrap();
    assert_eq!(witness.add_checkpoint(&log.submission(0, 9), NOW), Err(Refusal::Behind(9)));
    witness.add_checkpoint(&log.submission(9, 9), NOW).unwrap();
}

#[test]
fn without_its_memory_it_does_not_cosign() {
    let (mut log, mut rebuilt) = (Log::new("a"), Log::new("b"));
    log.grow(9);
    rebuilt.grow(9);
    let dir = folder(&log);
    let memory = dir.path().join("memory");
    let witness = open(dir.path(), &[]).unwrap();
    witness.add_checkpoint(&log.submission(0, 5), NOW).unwrap();
    let file = memory.join(origin_hash(ORIGIN));
    let kept = fs::read(&file).unwrap();
    let failing = |what: &str| {
        let refusal = witness.add_checkpoint(&log.submission(5, 9), NOW).unwrap_err();
        assert_eq!((&refusal, refusal.status()), (&Refusal::Memory, 500), "{what}");
    };

    // It cannot be written: a folder stands where the new file is to be written.
    let beside = memory.join(format!(".{}.new", origin_hash(ORIGIN)));
    fs::create_dir(&beside).unwrap();
    failing("not writable");
    assert_eq!(fs::read(&file).unwrap(), kept);
    fs::remove_dir(&beside).unwrap();
    // It is not what was written.
    for wrong in
        ["", "half of a no", "example.com/other\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— a AAAAAAAA\n"]
    {
        fs::write(&file, wrong).unwrap();
        failing(wrong);
    }
    // It has gone with its folder: neither does the running one go on, nor does a new one start.
    fs::remove_dir_all(&memory).unwrap();
    failing("no folder");
    assert!(open(dir.path(), &[]).unwrap_err().to_string().contains("bring it back from a backup"));
    // Emptied by hand, it begins anew and trusts what it is shown first: also another history. So it has to be kept.
    fs::create_dir(&memory).unwrap();
    witness.add_checkpoint(&rebuilt.submission(0, 9), NOW).unwrap();
}

#[test]
fn fifty_at_once_and_the_memory_never_goes_back() {
    let mut log = Log::new("a");
    log.grow(400);
    let dir = folder(&log);
    // Half of them through one process's witness, half through another's on the same folder.
    let witnesses = [open(dir.path(), &[]).unwrap(), open(dir.path(), &[]).unwrap()];
    let (log, witnesses) = (&log, &witnesses);
    let granted: Vec<Vec<u64>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..50usize)
            .map(|n| {
                scope.spawn(move || {
                    let witness = &witnesses[n % 2];
                    let mut granted = Vec::new();
                    // Each goes from what it is told to its own next size, until somebody else is beyond it.
                    let mut old = 0;
                    for size in (1..8).map(|round| round * 50 + n as u64) {
                        for _ in 0..100 {
                            if old > size {
                                break;
                            }
                            match witness.add_checkpoint(&log.submission(old, size), NOW) {
                                Ok(_) => {
                                    assert!(remembered(witness) >= size, "kept before it was answered");
                                    granted.push(size);
                                    old = size;
                                    break;
                                }
                                Err(Refusal::Behind(known)) => {
                                    assert!(known >= old, "{known} after {old}");
                                    old = known;
                                }
                                Err(other) => panic!("{other}"),
                            }
                        }
                    }
                    granted
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let most = granted.iter().flatten().copied().max().unwrap();
    assert_eq!((remembered(&witnesses[0]), most), (399, 399));
    assert!(judge(&Memory::new(dir.path().join("memory")), &log.folder()).unwrap().iter().all(|it| !it.accuses()));
}

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
    let cases: Vec<(u16, &str, String, fn(&SubmitError) -> bool)> = vec![
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

#[test]
fn two_logs_do_not_touch_each_other() {
    let mut log = Log::new("a");
    log.grow(9);
    let other = SigningKey::from_seed("example.com/other", Algorithm::Ed25519, [5; 32]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let key = SigningKey::from_seed("w", Algorithm::CosignatureV1, [2; 32]).unwrap();
    let logs = [&log.key, &other].map(|key| (key.verifier().name.clone(), vec![key.verifier().clone()]));
    let witness = Witness::new(key, BTreeMap::from(logs), Memory::new(dir.path()));
    witness.add_checkpoint(&log.submission(0, 9), NOW).unwrap();
    let text = Checkpoint::new("example.com/other", 4, [1; 32]).to_string();
    let note = Note { signatures: vec![other.sign(&text)], text };
    witness.add_checkpoint(&body(0, &[], &note), NOW).unwrap();
    // The one's key signs nothing of the other's.
    let note = Note { signatures: vec![log.key.sign(&note.text)], text: note.text };
    assert_eq!(witness.add_checkpoint(&body(4, &[], &note), NOW).unwrap_err().status(), 403);
    assert_eq!(remembered(&witness), 9);
}
