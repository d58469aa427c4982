//! Timestamps by authorities that openssl makes: what is accepted, and everything that is not.

mod lab;

use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{CertificateSet, SignedData, SignerIdentifier, SignerInfos};
use der::asn1::OctetString;
use der::{Decode as _, Encode as _};
use lab::{ALWAYS, ED25519, Lab, P256, P384, PAST, RSA};
use proptest::prelude::*;
use ring::digest;
use tenure::evidence::timestamp::{LONGEST, Response, Stamp, TimestampError as E, request, verify, verify_digest};
use x509_cert::Certificate;
use x509_cert::attr::Attributes;

const DATA: &[u8] = b"example.com/log\n42\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
const NONCE: u64 = 0x00ff_1234_5678_9abc;

fn sha256(data: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, data).as_ref().try_into().unwrap()
}

fn question() -> Vec<u8> {
    request(sha256(DATA), NONCE)
}

/// A root, an authority below it (perhaps with one between), and the authority's answer.
fn answered(kind: &[&str], between: Option<&str>, digest: &str) -> (Lab, Vec<u8>) {
    let lab = Lab::new();
    lab.issue("root", kind, "root", "root", ALWAYS);
    if let Some(extensions) = between {
        lab.issue("between", kind, "root", extensions, ALWAYS);
    }
    lab.issue("tsa", kind, between.map_or("root", |_| "between"), "tsa", ALWAYS);
    let answer = lab.reply("tsa", between.map(|_| "between"), digest, &question());
    (lab, answer)
}

fn check(lab: &Lab, answer: &[u8]) -> Result<Stamp, E> {
    verify(answer, DATA, &lab.pem("root"), Some(NONCE))
}

#[test]
fn what_openssl_answers_is_accepted_by_both() {
    let kinds: [(&[&str], Option<&str>, &str); 8] = [
        (RSA, None, "sha256"),
        (RSA, None, "sha384"),
        (RSA, Some("root"), "sha512"),
        (P256, Some("root"), "sha256"),
        (P256, Some("between_any"), "sha384"),
        (P384, None, "sha256"),
        (P384, Some("root"), "sha384"),
        (P256, None, "sha256"),
    ];
    for (kind, between, digest) in kinds {
        let (lab, answer) = answered(kind, between, digest);
        let stamp = check(&lab, &answer).unwrap_or_else(|error| panic!("{kind:?} {between:?} {digest}: {error}"));
        assert_eq!(lab.refused_by_openssl(&answer, DATA, "root"), None);
        assert_eq!(stamp.authority, "CN=tsa");
        assert_eq!(stamp.policy, "1.2.3.4.1");
        assert_eq!(stamp.serial, "0abd");
        assert_eq!(stamp.accuracy, Some(std::time::Duration::from_micros(1_500_100)));
        // openssl shows the same time, to the microsecond.
        lab.write("shown", &answer);
        let text = String::from_utf8(lab.openssl(&["ts", "-reply", "-in", "shown", "-text"])).unwrap();
        let seconds = stamp.gen_time.format("%b %e %H:%M:%S").to_string();
        let digits = format!("{:06}", stamp.gen_time.timestamp_subsec_micros());
        assert!(text.contains(&seconds) && text.contains(digits.trim_end_matches('0')), "{digits}: {text}");
        // The token alone says the same, and so does the digest in place of the data.
        let token = lab.token(&answer);
        assert_eq!(Response::parse(&answer).unwrap().token(), token);
        assert_eq!(check(&lab, &token).unwrap(), stamp);
        assert_eq!(lab.refused_by_openssl(&token, DATA, "root"), None);
        assert_eq!(verify_digest(&token, sha256(DATA), &lab.pem("root"), None).unwrap(), stamp);
    }
}

#[test]
fn a_question_is_what_openssl_asks() {
    let lab = Lab::new();
    lab.write("data", DATA);
    for nonce in [0, 1, 0x7f, 0x80, 0xff, 0x0100, NONCE, u64::MAX >> 1, u64::MAX] {
        lab.write("ours", &request(sha256(DATA), nonce));
        let text = String::from_utf8(lab.openssl(&["ts", "-query", "-in", "ours", "-text"])).unwrap();
        assert!(text.contains("Hash Algorithm: sha256") && text.contains("Certificate required: yes"), "{text}");
        let shown = text.lines().find(|line| line.starts_with("Nonce")).unwrap().to_lowercase();
        let digits = shown.rsplit("0x").next().unwrap().trim_start_matches('0').to_owned();
        assert_eq!(digits, format!("{nonce:x}").trim_start_matches('0'), "{shown}");
    }
    lab.openssl(&["ts", "-query", "-data", "data", "-sha256", "-cert", "-no_nonce", "-out", "theirs"]);
    let (theirs, ours) = (lab.read("theirs"), request(sha256(DATA), 5));
    // Version, imprint and certReq are the same bytes; ours has a nonce of three bytes more.
    assert_eq!(theirs[2..theirs.len() - 3], ours[2..ours.len() - 6]);
    assert_eq!(theirs[theirs.len() - 3..], ours[ours.len() - 3..]);
    // A nonce of any size comes back.
    lab.issue("root", P256, "root", "root", ALWAYS);
    lab.issue("tsa", P256, "root", "tsa", ALWAYS);
    for nonce in [0, 1, 0x80, NONCE, u64::MAX] {
        let answer = lab.reply("tsa", None, "sha256", &request(sha256(DATA), nonce));
        verify(&answer, DATA, &lab.pem("root"), Some(nonce)).unwrap();
    }
    // A question of openssl's, nonce and all, which is not known here.
    lab.openssl(&["ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "theirs"]);
    let answer = lab.reply("tsa", None, "sha256", &lab.read("theirs"));
    verify(&answer, DATA, &lab.pem("root"), None).unwrap();
    assert_eq!(check(&lab, &answer), Err(E::OtherNonce));
}

#[test]
fn other_data_nonce_and_roots_are_refused() {
    let (lab, answer) = answered(P256, None, "sha256");
    let roots = lab.pem("root");
    assert_eq!(verify(&answer, b"other", &roots, Some(NONCE)), Err(E::OtherData));
    assert_eq!(verify(&answer, DATA, &roots, Some(NONCE + 1)), Err(E::OtherNonce));
    assert_eq!(verify(&answer, DATA, "", Some(NONCE)), Err(E::NoRoots));
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(verify(&answer, DATA, broken, Some(NONCE)), Err(E::Roots(_))));
    // A root of the same name with another key; beside the right one it does no harm.
    let other = Lab::new();
    other.issue("root", P256, "root", "root", ALWAYS);
    let wrong = other.pem("root");
    assert!(matches!(verify(&answer, DATA, &wrong, Some(NONCE)), Err(E::Chain(_))));
    verify(&answer, DATA, &format!("{wrong}{roots}"), Some(NONCE)).unwrap();
    // Without the certificate.
    lab.write("data", DATA);
    lab.openssl(&["ts", "-query", "-data", "data", "-sha256", "-out", "bare"]);
    let bare = lab.reply("tsa", None, "sha256", &lab.read("bare"));
    assert_eq!(verify(&bare, DATA, &roots, None), Err(E::NoCertificate));
    // The data named by another digest.
    lab.openssl(&["ts", "-query", "-data", "data", "-sha512", "-cert", "-out", "longer"]);
    let longer = lab.reply("tsa", None, "sha256", &lab.read("longer"));
    let said = verify(&longer, DATA, &roots, None).unwrap_err();
    // The lab's authority takes SHA-256 alone, and says why.
    assert_eq!(
        said.to_string(),
        "the authority refused: rejection: Message digest algorithm is not supported. (badAlg)"
    );
    assert!(matches!(Response::parse(&longer), Err(E::Refused(_))));
    // Between is missing.
    let (lab, _) = answered(P256, Some("root"), "sha256");
    let short = lab.reply("tsa", None, "sha256", &question());
    assert!(matches!(check(&lab, &short), Err(E::Chain(_))));
    // Found among what is trusted instead.
    verify(&short, DATA, &lab.pem("between"), Some(NONCE)).unwrap();
}

#[test]
fn what_is_not_an_answer_is_refused() {
    let (lab, answer) = answered(P256, None, "sha256");
    assert_eq!(check(&lab, &vec![0x30; LONGEST + 1]), Err(E::TooLong(LONGEST + 1)));
    for bytes in [&b""[..], b"\x30", b"\x30\x00", b"<html>not found</html>", &answer[..answer.len() - 1]] {
        assert!(matches!(check(&lab, bytes), Err(E::Malformed { .. })), "{bytes:?}");
    }
    let longer = [&answer[..], b"\0"].concat();
    assert!(matches!(check(&lab, &longer), Err(E::Malformed { .. })));
    // Granted (0), and nothing else.
    assert_eq!(check(&lab, b"\x30\x05\x30\x03\x02\x01\x00"), Err(E::NoToken));
    let refused = |bytes: &[u8]| check(&lab, bytes).unwrap_err().to_string();
    assert_eq!(refused(b"\x30\x05\x30\x03\x02\x01\x02"), "the authority refused: rejection");
    assert_eq!(refused(b"\x30\x05\x30\x03\x02\x01\x03"), "the authority refused: waiting");
    assert_eq!(refused(b"\x30\x05\x30\x03\x02\x01\x2a"), "the authority refused: status 42");
    let words = b"\x30\x10\x30\x0e\x02\x01\x02\x30\x05\x0c\x03a\x1bb\x03\x02\x05\x20";
    assert_eq!(refused(words), "the authority refused: rejection: ab (badRequest)");
    // Signed, but no timestamp.
    let token = lab.token(&answer);
    let plain = lab.sign("tsa", b"hello", &["-cades"]);
    assert!(matches!(check(&lab, &plain), Err(E::NotStamp(_))));
    let stated = lab.stated(&token);
    let stamped = ["-econtent_type", "1.2.840.113549.1.9.16.1.4", "-cades"];
    check(&lab, &lab.sign("tsa", &stated, &stamped)).unwrap();
    assert!(matches!(check(&lab, &lab.sign("tsa", b"hello", &stamped)), Err(E::Malformed { .. })));
    // The certificate not bound, no attributes, two signatures.
    let unbound = lab.sign("tsa", &stated, &stamped[..2]);
    assert_eq!(check(&lab, &unbound), Err(E::Attribute("signing certificate")));
    let bare = lab.sign("tsa", &stated, &["-econtent_type", "1.2.840.113549.1.9.16.1.4", "-noattr"]);
    assert_eq!(check(&lab, &bare), Err(E::Attribute("content type")));
    let twice = lab.sign("tsa", &stated, &[&stamped[..], &["-signer", "root.pem", "-inkey", "root.key"]].concat());
    assert_eq!(check(&lab, &twice), Err(E::Signers(2)));
    // The signer named by its key.
    check(&lab, &lab.sign("tsa", &stated, &[&stamped[..], &["-keyid"]].concat())).unwrap();
    // An extension that must be understood: 2.5.29.19, critical, appended to what is stated.
    let extension = b"\xa1\x0e\x30\x0c\x06\x03\x55\x1d\x13\x01\x01\xff\x04\x02\x05\x00";
    let inside = &stated[if stated[1] == 0x81 { 3 } else { 2 }..];
    let length = u8::try_from(inside.len() + extension.len()).unwrap();
    let header: &[u8] = if length < 0x80 { &[0x30, length] } else { &[0x30, 0x81, length] };
    let more = [header, inside, extension].concat();
    let said = check(&lab, &lab.sign("tsa", &more, &stamped));
    assert!(matches!(said, Err(E::Extension(_))), "{said:?}");
}

#[test]
fn other_algorithms() {
    let lab = Lab::new();
    lab.issue("root", P256, "root", "root", ALWAYS);
    lab.issue("tsa", P256, "root", "tsa", ALWAYS);
    let stated = lab.stated(&lab.token(&lab.reply("tsa", None, "sha256", &question())));
    let stamped = ["-econtent_type", "1.2.840.113549.1.9.16.1.4", "-cades", "-md"];
    let sign = |name: &str, more: &[&str]| lab.sign(name, &stated, &[&stamped[..], more].concat());
    let theirs = sign("tsa", &["sha512"]);
    let ed25519 = by_ed25519(&lab, &theirs);
    check(&lab, &ed25519).unwrap();
    let mut other = ed25519.clone();
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(check(&lab, &other), Err(E::Signature));
    // Not with ring: ECDSA with SHA-512. Not here: PSS, SHA-1.
    assert!(matches!(check(&lab, &theirs), Err(E::Algorithm { .. })));
    lab.issue("rsa", RSA, "root", "tsa", ALWAYS);
    assert!(matches!(check(&lab, &sign("rsa", &["sha1"])), Err(E::Algorithm { .. })));
    let pss = sign("rsa", &["sha256", "-keyopt", "rsa_padding_mode:pss"]);
    assert!(matches!(check(&lab, &pss), Err(E::Algorithm { .. })));
    // RSA with the digest in the signature's name, and without it; a name with another digest is refused.
    let plain = sign("rsa", &["sha256"]);
    check(&lab, &plain).unwrap();
    let oid = b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01";
    let place = plain.windows(oid.len()).rposition(|bytes| bytes == oid).unwrap() + oid.len();
    for (last, holds) in [(0x01, true), (0x0b, true), (0x0c, false), (0x0d, false), (0x05, false)] {
        let mut other = plain.clone();
        other[place] = last;
        assert_eq!(check(&lab, &other).is_ok(), holds, "{last:#x}");
    }
}

/// The token with another signer: openssl 3.0 makes no CMS with Ed25519.
fn by_ed25519(lab: &Lab, token: &[u8]) -> Vec<u8> {
    lab.issue("ed", ED25519, "root", "tsa", ALWAYS);
    let der = |name: &str| lab.openssl(&["x509", "-in", &format!("{name}.pem"), "-outform", "DER"]);
    let (new, old) = (der("ed"), der("tsa"));
    let (certificate, mut info) = (Certificate::from_der(&new).unwrap(), ContentInfo::from_der(token).unwrap());
    let mut signed: SignedData = info.content.decode_as().unwrap();
    signed.certificates =
        Some(CertificateSet(vec![CertificateChoices::Certificate(certificate.clone())].try_into().unwrap()));
    let mut signer = signed.signer_infos.0.get(0).unwrap().clone();
    let SignerIdentifier::IssuerAndSerialNumber(named) = &mut signer.sid else { panic!() };
    named.serial_number = certificate.tbs_certificate.serial_number.clone();
    // The attributes with the other certificate's digest (by -md, as openssl has it) in place of the first one's.
    let mut attributes = signer.signed_attrs.unwrap().to_der().unwrap();
    let sha512 = |bytes: &[u8]| digest::digest(&digest::SHA512, bytes).as_ref().to_vec();
    let place = attributes.windows(64).position(|bytes| bytes == sha512(&old)).unwrap();
    attributes[place..place + 64].copy_from_slice(&sha512(&new));
    let attributes = Attributes::from_der(&attributes).unwrap();
    let key = lab.openssl(&["pkcs8", "-topk8", "-nocrypt", "-in", "ed.key", "-outform", "DER"]);
    let key = ring::signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(&key).unwrap();
    signer.signature = OctetString::new(key.sign(&attributes.to_der().unwrap()).as_ref()).unwrap();
    signer.signed_attrs = Some(attributes);
    signer.signature_algorithm.oid = der::asn1::ObjectIdentifier::new_unwrap("1.3.101.112");
    signed.signer_infos = SignerInfos(vec![signer].try_into().unwrap());
    info.content = der::Any::encode_from(&signed).unwrap();
    info.to_der().unwrap()
}

#[test]
fn certificates_that_do_not_hold_are_refused() {
    let lab = Lab::new();
    lab.issue("root", P256, "root", "root", ALWAYS);
    lab.issue("tsa", P256, "root", "tsa", ALWAYS);
    let stated = lab.stated(&lab.token(&lab.reply("tsa", None, "sha256", &question())));
    let stamped = ["-econtent_type", "1.2.840.113549.1.9.16.1.4", "-cades"];
    let sign = |name: &str, more: &[&str]| lab.sign(name, &stated, &[&stamped[..], more].concat());
    let both = |token: &[u8], root: &str| {
        let ours = verify(token, DATA, &lab.pem(root), Some(NONCE)).unwrap_err();
        assert!(lab.refused_by_openssl(token, DATA, root).is_some(), "openssl takes what is refused here: {ours}");
        ours
    };
    lab.issue("late", P256, "root", "tsa", PAST);
    assert_eq!(
        both(&sign("late", &[]), "root").to_string(),
        "the authority's certificate did not lead to a given root at the stated time: a certificate had expired"
    );
    lab.issue("early", P256, "root", "tsa", ("20400101000000Z", "20410101000000Z"));
    assert!(both(&sign("early", &[]), "root").to_string().ends_with("a certificate was not valid yet"));
    for section in ["tsa_no_purpose", "tsa_web", "tsa_more", "tsa_not_critical", "tsa_ca_usage"] {
        lab.issue(section, P256, "root", section, ALWAYS);
        assert!(matches!(both(&sign(section, &[]), "root"), E::Purpose(_)), "{section}");
    }
    // The root had expired.
    lab.issue("old", P256, "old", "root", PAST);
    lab.issue("by_old", P256, "old", "tsa", ALWAYS);
    let token = sign("by_old", &[]);
    assert_eq!(both(&token, "old"), E::RootExpired("CN=old".to_owned()));
    // The same key in a renewed root: either order.
    let old = lab.pem("old");
    lab.issue("old", P256, "old", "root", ALWAYS);
    let renewed = lab.pem("old");
    for roots in [format!("{old}{renewed}"), format!("{renewed}{old}")] {
        verify(&token, DATA, &roots, Some(NONCE)).unwrap();
    }
    // Between: expired, no authority, for other purposes.
    for (name, section, valid) in
        [("between_late", "root", PAST), ("between_leaf", "tsa", ALWAYS), ("between_web", "between_web", ALWAYS)]
    {
        lab.issue(name, P256, "root", section, valid);
        let below = format!("below_{name}");
        lab.issue(&below, P256, name, "tsa", ALWAYS);
        let token = sign(&below, &["-certfile", &format!("{name}.pem")]);
        let said = verify(&token, DATA, &lab.pem("root"), Some(NONCE));
        assert!(matches!(said, Err(E::Chain(_))), "{name}: {said:?}");
    }
    // Other certificates beside the signer's change nothing.
    check(&lab, &sign("tsa", &["-certfile", "late.pem"])).unwrap();
    // Nor does the bound certificate's name and number under another key: the digest binds the whole of it.
    let token = sign("tsa", &[]);
    let old = lab.openssl(&["x509", "-in", "tsa.pem", "-outform", "DER"]);
    let place = token.windows(old.len()).position(|bytes| bytes == old).unwrap();
    let mut other = token.clone();
    other[place + old.len() - 1] ^= 1;
    assert_eq!(check(&lab, &other), Err(E::NoCertificate));
}

/// Each bit, and each byte turned over.
const TURNS: [u8; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 255];

#[test]
fn every_byte_counts() {
    let kinds: [(&[&str], Option<&str>); 3] = [(RSA, None), (P256, Some("root")), (P384, None)];
    for (kind, between) in kinds {
        let (lab, answer) = answered(kind, between, "sha256");
        let roots = lab.pem("root");
        for (what, bytes) in [("answer", answer.clone()), ("token", lab.token(&answer))] {
            let good = verify(&bytes, DATA, &roots, Some(NONCE)).unwrap();
            let mut same = Vec::new();
            for place in 0..bytes.len() {
                for turn in TURNS {
                    let mut other = bytes.clone();
                    other[place] ^= turn;
                    if let Ok(stamp) = verify(&other, DATA, &roots, Some(NONCE)) {
                        assert_eq!(stamp, good, "byte {place}");
                        same.push(place);
                    }
                }
            }
            let changes = bytes.len() * TURNS.len();
            let accepted = same.len();
            same.dedup();
            println!(
                "{kind:?} {what}: {} bytes, {changes} changes, {} refused, {accepted} state the same (bytes {same:?})",
                bytes.len(),
                changes - accepted
            );
            // What nobody signs: granted with modifications or without, the version numbers of CMS.
            assert!(same.len() <= 8 && accepted <= 16, "{same:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = Response::parse(&bytes);
        prop_assert!(verify(&bytes, DATA, "", None).is_err());
    }

    #[test]
    fn arbitrary_parts_do_no_harm(parts in prop::collection::vec((0usize..4000, any::<u8>(), 0u8..3), 1..20)) {
        let (roots, answer) = sample();
        let mut bytes = answer.clone();
        for (place, byte, how) in parts {
            let place = place % bytes.len();
            match how {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => { bytes.remove(place); }
            }
        }
        let (good, said) = (verify(answer, DATA, roots, None), verify(&bytes, DATA, roots, None));
        prop_assert!(said.is_err() || said == good);
        let _ = verify(answer, DATA, &String::from_utf8_lossy(&bytes), None);
    }
}

/// Made once: the root and an answer.
fn sample() -> &'static (String, Vec<u8>) {
    static SAMPLE: std::sync::OnceLock<(String, Vec<u8>)> = std::sync::OnceLock::new();
    SAMPLE.get_or_init(|| {
        let (lab, answer) = answered(P256, Some("root"), "sha256");
        (lab.pem("root"), answer)
    })
}
