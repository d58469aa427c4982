//! Those outside: a real timestamp authority (the lab's, openssl behind HTTP) and a witness on sockets of their own.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tenure::clock::Clock;
use tenure::config::{EvidenceConfig, TimestampAuthorityConfig, WitnessConfig};
use tenure::evidence::anchoring::Anchoring;
use tenure::evidence::note::VerifierKey;
use tenure::evidence::witness;
use tenure::web;
use tokio_util::sync::CancellationToken;

use super::Log;

/// The lab's authority, ended with the test.
pub struct Authority {
    process: Child,
    pub url: String,
}

impl Authority {
    pub fn start(dir: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/timestamps.py");
        let mut process = Command::new("python3")
            .arg(script)
            .args(["--listen", "127.0.0.1:0", "--dir"])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("timestamps at ").expect("the authority says where it is").to_owned();
        Self { process, url }
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// One authority and one witness, and what asks them. Every turn asks both.
pub struct Outside {
    pub anchoring: Anchoring,
    pub witness: VerifierKey,
    _authority: Authority,
    stop: CancellationToken,
}

impl Outside {
    pub async fn start(log: &Log) -> Self {
        let (stamps, outside) = (log.dir.path().join("stamps"), log.dir.path().join("witness"));
        let authority = Authority::start(&stamps);
        let key = witness::keygen(&outside, "witness.test/w").unwrap();
        std::fs::write(outside.join("logs/tenure.vkey"), format!("{}\n", log.key)).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let router = web::witness::router(witness::open(&outside, &[]).unwrap(), Clock::System);
        tokio::spawn(web::serve(listener, router, stop.clone()));
        let config = EvidenceConfig {
            log_dir: log.published(),
            signer_dir: None,
            signer_socket: None,
            timestamp_minutes: 0,
            timestamp_authority: vec![TimestampAuthorityConfig {
                name: "lab".to_owned(),
                url: authority.url.clone(),
                roots_file: stamps.join("tsa.pem"),
            }],
            witness: vec![WitnessConfig { url, key: key.to_string() }],
        };
        Self { anchoring: Anchoring::new(&config).unwrap(), witness: key, _authority: authority, stop }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
