//! The rules, without HTTP.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tenure::evidence::checkpoint::Checkpoint;
use tenure::evidence::note::{Algorithm, Note, SigningKey};
use tenure::evidence::tree;
use tenure::evidence::witness::judge::{Verdict, judge};
use tenure::evidence::witness::{Memory, Refusal, Witness, open, origin_hash};

use super::{Log, NOW, ORIGIN, body, folder, forks, remembered};

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

/// By somebody else's program: a cosignature is Ed25519 over a text that the specification spells out.
#[test]
fn openssl_verifies_a_cosignature() {
    let mut log = Log::new("a");
    log.grow(10);
    let dir = folder(&log);
    let witness = open(dir.path(), &[]).unwrap();
    let line = witness.add_checkpoint(&log.submission(0, 10), NOW).unwrap();
    let bytes = STANDARD.decode(line.trim_end().rsplit(' ').next().unwrap()).unwrap();
    let (id, rest) = bytes.split_at(4);
    let (time, signature) = rest.split_at(8);
    assert_eq!((id, time), (&witness.verifier().id()[..], &NOW.to_be_bytes()[..]));
    let [key, text, signed] = ["key.pem", "text", "signature"].map(|name| dir.path().join(name));
    fs::write(&key, witness.verifier().pem()).unwrap();
    fs::write(&signed, signature).unwrap();
    for (time, holds) in [(NOW, true), (NOW - 3600, false)] {
        fs::write(&text, format!("cosignature/v1\ntime {time}\n{}", log.note(10).text)).unwrap();
        let mut openssl = Command::new("openssl");
        openssl.args(["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey"]).arg(&key);
        let out = openssl.arg("-in").arg(&text).arg("-sigfile").arg(&signed).output().unwrap();
        assert_eq!(out.status.success(), holds, "{}", String::from_utf8_lossy(&out.stderr));
    }
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
    // Its clock had been years ahead: the way out that the guide tells.
    assert_eq!(stated(5, 6, NOW * 2), Ok(NOW * 2));
    assert_eq!(stated(6, 7, NOW + 2), Err(Refusal::Clock));
    let file = dir.path().join("memory").join(origin_hash(ORIGIN));
    let kept = fs::read_to_string(&file).unwrap();
    let own = kept.lines().last().unwrap();
    assert!(own.starts_with("— witness.example/w1 "));
    fs::write(&file, kept.replace(&format!("{own}\n"), "")).unwrap();
    assert_eq!(stated(6, 7, NOW + 2), Ok(NOW + 2));
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

    // It cannot be read or written: a folder stands where the file is.
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    failing("a folder");
    fs::remove_dir(&file).unwrap();
    fs::write(&file, &kept).unwrap();
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
