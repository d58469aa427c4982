//! The lab's stand-in Exchange (PyPI `psrpcore` behind WS-Management). Its address comes from `scripts/lab env`; where there is none,
//! tests say so and pass.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tenure::connectors::exchange::cmdlet::{Cmdlet, Outcome};
use tenure::connectors::exchange::onprem::{Auth, OnPremises, Settings};
use zeroize::Zeroizing;

/// The stand-in, for one test at a time: the faults that it is told to make are for whoever comes next.
pub struct Peer {
    pub url: String,
    pub user: String,
    pub password: Zeroizing<String>,
    pub ca_file: Option<PathBuf>,
    lab: String,
    http: reqwest::Client,
    _alone: File,
}

impl Peer {
    pub async fn there() -> Option<Self> {
        let read = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (Some(url), Some(user), Some(file)) =
            (read("EXCHANGE_URL"), read("EXCHANGE_USER"), read("EXCHANGE_PASSWORD_FILE"))
        else {
            eprintln!(
                "skipped: EXCHANGE_URL, EXCHANGE_USER and EXCHANGE_PASSWORD_FILE name no stand-in (scripts/lab env)"
            );
            return None;
        };
        let alone = File::create(std::env::temp_dir().join("tenure-psrp-live-peer.lock")).unwrap();
        let alone = tokio::task::spawn_blocking(move || alone.lock().map(|()| alone)).await.unwrap().unwrap();
        let ca_file = read("EXCHANGE_CA_FILE").or_else(|| read("LDAP_CA_FILE")).map(PathBuf::from);
        drop(rustls::crypto::ring::default_provider().install_default());
        let mut http = reqwest::Client::builder();
        if let Some(file) = &ca_file {
            let pem = std::fs::read(file).unwrap();
            http = http.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem).unwrap());
        }
        let lab = read("EXCHANGE_LAB_URL").unwrap_or_else(|| {
            let parsed = reqwest::Url::parse(&url).unwrap();
            format!("{}/lab", parsed.origin().ascii_serialization())
        });
        let password = Zeroizing::new(std::fs::read_to_string(file).unwrap().trim().to_owned());
        let peer = Self { url, user, password, ca_file, lab, http: http.build().unwrap(), _alone: alone };
        peer.faults(json!([])).await;
        Some(peer)
    }

    pub fn settings(&self) -> Settings {
        Settings {
            auth: Auth::Basic,
            ca_file: self.ca_file.clone(),
            operation_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(60),
            throttle_patience: Duration::from_secs(10),
            ..Settings::new(self.url.clone(), self.user.clone(), self.password.clone())
        }
    }

    pub fn transport(&self) -> OnPremises {
        OnPremises::new(&self.settings()).unwrap()
    }

    /// What goes wrong next.
    pub async fn faults(&self, next: Value) {
        let answer = self.http.post(format!("{}/faults", self.lab)).json(&json!({"next": next})).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    pub async fn no_fault_is_left(&self) {
        let left: Value = self.http.get(format!("{}/faults", self.lab)).send().await.unwrap().json().await.unwrap();
        assert_eq!(left["next"], json!([]), "the fault was never met");
    }

    pub async fn shells(&self) -> BTreeSet<String> {
        let shells: Value = self.http.get(format!("{}/shells", self.lab)).send().await.unwrap().json().await.unwrap();
        shells.as_array().unwrap().iter().map(|shell| shell["id"].as_str().unwrap().to_owned()).collect()
    }

    /// How often the stand-in ran an echo of this text.
    pub async fn echoes(&self, text: &str) -> usize {
        let calls: Value = self.http.get(format!("{}/calls", self.lab)).send().await.unwrap().json().await.unwrap();
        let calls = calls.as_array().unwrap().iter();
        calls.filter(|call| call["cmdlet"] == "Test-TenureEcho" && call["parameters"]["Text"]["value"] == text).count()
    }
}

pub fn echo(text: &str) -> Cmdlet {
    Cmdlet::read("Test-TenureEcho").text("Text", text)
}

pub fn utf16(text: &str) -> String {
    text.encode_utf16().flat_map(u16::to_le_bytes).map(|byte| format!("{byte:02x}")).collect()
}

pub fn echoed(outcome: &Outcome) -> &str {
    assert_eq!(outcome.errors, []);
    outcome.objects[0]["Utf16"].as_str().unwrap()
}
