//! Authorities of every kind, made with the openssl command line.

use std::path::PathBuf;
use std::process::{Command, Output};

pub const ALWAYS: (&str, &str) = ("20200101000000Z", "20491231000000Z");
pub const PAST: (&str, &str) = ("20200101000000Z", "20210101000000Z");
pub const RSA: &[&str] = &["RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
pub const P256: &[&str] = &["EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
pub const P384: &[&str] = &["EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
pub const ED25519: &[&str] = &["ED25519"];

const CONFIG: &str = "
[req]
distinguished_name = dn
[dn]
[ca]
default_ca = here
[here]
database = index.txt
new_certs_dir = .
default_md = sha256
policy = named
rand_serial = yes
unique_subject = no
[named]
commonName = supplied
[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[between_any]
basicConstraints = critical, CA:TRUE
extendedKeyUsage = anyExtendedKeyUsage
[between_web]
basicConstraints = critical, CA:TRUE
extendedKeyUsage = serverAuth
[tsa]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa_no_purpose]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
[tsa_web]
extendedKeyUsage = critical, serverAuth
[tsa_more]
extendedKeyUsage = critical, timeStamping, serverAuth
[tsa_not_critical]
extendedKeyUsage = timeStamping
[tsa_ca_usage]
keyUsage = critical, digitalSignature, keyCertSign
extendedKeyUsage = critical, timeStamping
";

pub struct Lab {
    dir: tempfile::TempDir,
}

impl Lab {
    pub fn new() -> Self {
        let lab = Self { dir: tempfile::tempdir().unwrap() };
        lab.write("ca.cnf", CONFIG.as_bytes());
        lab.write("index.txt", b"");
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub fn pem(&self, name: &str) -> String {
        String::from_utf8(self.read(&format!("{name}.pem"))).unwrap()
    }

    pub fn try_openssl(&self, arguments: &[&str]) -> Output {
        Command::new("openssl").args(arguments).current_dir(self.dir.path()).output().unwrap()
    }

    pub fn openssl(&self, arguments: &[&str]) -> Vec<u8> {
        let done = self.try_openssl(arguments);
        assert!(done.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    }

    /// A certificate NAME.pem by ISSUER (itself, where they are the same) with the extensions of that section.
    pub fn issue(&self, name: &str, kind: &[&str], issuer: &str, extensions: &str, valid: (&str, &str)) {
        let (key, request, out) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        if !self.path(&key).exists() {
            let mut arguments = vec!["genpkey", "-out", &key, "-algorithm"];
            arguments.extend_from_slice(kind);
            self.openssl(&arguments);
        }
        let subject = format!("/CN={name}");
        self.openssl(&["req", "-new", "-config", "ca.cnf", "-key", &key, "-subj", &subject, "-out", &request]);
        let (issuer_key, issuer_pem) = (format!("{issuer}.key"), format!("{issuer}.pem"));
        let mut arguments = vec!["ca", "-batch", "-notext", "-config", "ca.cnf", "-extensions", extensions];
        arguments.extend(["-startdate", valid.0, "-enddate", valid.1, "-in", &request, "-out", &out]);
        arguments.extend(["-keyfile", &issuer_key]);
        if issuer == name {
            arguments.push("-selfsign")
        } else {
            arguments.extend(["-cert", &issuer_pem])
        }
        self.openssl(&arguments);
    }

    /// The authority's answer to a question.
    pub fn reply(&self, signer: &str, between: Option<&str>, digest: &str, question: &[u8]) -> Vec<u8> {
        let chain = between.map(|name| format!("certs = {name}.pem\n")).unwrap_or_default();
        let config = format!(
            "[tsa]\ndefault_tsa = one\n[one]\nserial = serial\nsigner_cert = {signer}.pem\nsigner_key = {signer}.key\n{chain}\
             signer_digest = {digest}\ndefault_policy = 1.2.3.4.1\ndigests = sha256\naccuracy = secs:1, millisecs:500, microsecs:100\n\
             clock_precision_digits = 6\ness_cert_id_alg = sha256\n"
        );
        self.write("ts.cnf", config.as_bytes());
        self.write("serial", b"0ABC\n");
        self.write("question", question);
        self.openssl(&["ts", "-reply", "-config", "ts.cnf", "-queryfile", "question", "-out", "answer"]);
        self.read("answer")
    }

    /// The token in an answer.
    pub fn token(&self, answer: &[u8]) -> Vec<u8> {
        self.write("whole", answer);
        self.openssl(&["ts", "-reply", "-in", "whole", "-token_out", "-out", "token"]);
        self.read("token")
    }

    /// What a token states (TSTInfo), without its signature.
    pub fn stated(&self, token: &[u8]) -> Vec<u8> {
        self.write("token", token);
        self.openssl(&["cms", "-verify", "-noverify", "-inform", "DER", "-in", "token", "-out", "stated", "-binary"]);
        self.read("stated")
    }

    /// A token made by hand, which `openssl ts` would refuse to make.
    pub fn sign(&self, signer: &str, stated: &[u8], more: &[&str]) -> Vec<u8> {
        self.write("stated", stated);
        let (certificate, key) = (format!("{signer}.pem"), format!("{signer}.key"));
        let mut arguments =
            vec!["cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-in", "stated", "-out", "made"];
        arguments.extend(["-signer", &certificate, "-inkey", &key, "-nosmimecap"]);
        arguments.extend_from_slice(more);
        self.openssl(&arguments);
        self.read("made")
    }

    /// Whether openssl accepts it (None), or what it says.
    pub fn refused_by_openssl(&self, answer: &[u8], data: &[u8], root: &str) -> Option<String> {
        self.write("check", answer);
        self.write("data", data);
        let root = format!("{root}.pem");
        let mut arguments = vec!["ts", "-verify", "-data", "data", "-in", "check", "-CAfile", &root];
        let token = tenure::evidence::timestamp::Response::parse(answer).is_err();
        if token {
            arguments.push("-token_in");
        }
        let done = self.try_openssl(&arguments);
        if done.status.success() { None } else { Some(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }
}
