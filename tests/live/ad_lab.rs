//! One test's corner of the lab's directory: an organisational unit of its own, the connector as the worker has it, and an
//! administrator's connection to look and meddle with.

use std::collections::HashSet;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use ldap3::controls::RawControl;
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, Mod, Scope, SearchEntry};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use tenure::connectors::ad::{AdConnector, AdSettings, BindPassword};
use tenure::target::*;
use uuid::Uuid;
use zeroize::Zeroizing;

pub const PASSWORD: &str = "Kt7-mQ4-pX9-hR2-vN6";

/// A setting of the lab.
pub fn env(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run scripts/test, or eval \"$(scripts/lab env test)\""))
}

pub fn settings() -> AdSettings {
    let mut settings =
        AdSettings::new(SystemKey("ad:corp.example.com".to_owned()), env("LDAP_URL"), env("LDAP_BASE_DN"));
    settings.bind_dn = env("LDAP_BIND_DN");
    settings.password = BindPassword::File(env("LDAP_PASSWORD_FILE").into());
    settings.ca_file = Some(PathBuf::from(env("LDAP_CA_FILE")));
    settings
}

pub struct Lab {
    pub connector: AdConnector,
    pub server: Server,
    pub admin: Ldap,
    /// This test's own organisational unit, below OU=Staff.
    pub ou: String,
    /// Unique in the directory, for names.
    pub tag: String,
    groups: Vec<String>,
}

/// Runs a test in an organisational unit of its own, and removes that again, also after a failure.
pub async fn in_own_unit(test: impl AsyncFnOnce(&mut Lab)) {
    let mut admin = admin().await;
    let tag = Uuid::new_v4().simple().to_string()[..8].to_owned();
    let ou = format!("OU=test-{tag},OU=Staff,{}", env("LDAP_BASE_DN"));
    add(&mut admin, &ou, &[("objectClass", "organizationalUnit")]).await;
    let connector = AdConnector::new(settings());
    let server = connector.server(tenure::target::Wish::default()).await.expect("the lab's directory answers");
    let mut lab = Lab { connector, server, admin, ou, tag, groups: Vec::new() };
    let outcome = AssertUnwindSafe(test(&mut lab)).catch_unwind().await;
    for dn in lab.groups.iter().chain([&lab.ou]) {
        let subtree = RawControl { ctype: "1.2.840.113556.1.4.805".to_owned(), crit: true, val: None };
        let _ = lab.admin.with_controls(subtree).delete(dn).await;
    }
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

pub async fn admin() -> Ldap {
    let certificates = CertificateDer::pem_file_iter(env("LDAP_CA_FILE")).expect("the lab's CA file");
    let mut roots = rustls::RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.expect("PEM")).expect("a certificate");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("ring speaks TLS").with_root_certificates(roots).with_no_client_auth();
    let options = LdapConnSettings::new().set_config(Arc::new(config)).set_conn_timeout(Duration::from_secs(10));
    let (connection, mut ldap) =
        LdapConnAsync::with_settings(options, &env("LDAP_URL")).await.expect("the lab answers");
    tokio::spawn(connection.drive());
    let password = std::fs::read_to_string(env("LDAP_ADMIN_PASSWORD_FILE")).expect("the administrator's password file");
    let bound = ldap.simple_bind(&env("LDAP_ADMIN_DN"), password.trim_end_matches('\n')).await.expect("an answer");
    bound.success().expect("the administrator signs in");
    ldap
}

pub async fn add(admin: &mut Ldap, dn: &str, attributes: &[(&str, &str)]) {
    let attributes = attributes.iter().map(|(name, value)| (*name, HashSet::from([*value]))).collect();
    admin
        .add(dn, attributes)
        .await
        .expect("an answer")
        .success()
        .unwrap_or_else(|error| panic!("adding {dn}: {error}"));
}

impl Lab {
    pub fn user(&self, address: Address) -> Resource {
        Resource { system: self.connector.system().clone(), kind: Kind::User, address }
    }

    pub fn membership(&self, group: Uuid, member: Uuid) -> Resource {
        let address = Address::Member { group, member };
        Resource { system: self.connector.system().clone(), kind: Kind::Membership, address }
    }

    /// A step that creates an account, as a plan makes it.
    pub fn joiner(&self, cn: &str, logon: &str) -> Difference {
        self.joiner_in(cn, logon, &self.ou)
    }

    pub fn joiner_in(&self, cn: &str, logon: &str, unit: &str) -> Difference {
        let text = |attribute: &str, value: &str| change(attribute, Value::Null, value);
        Difference {
            presence: Some((Presence::Absent, Presence::Present)),
            changes: vec![
                text("parent", unit),
                text("cn", cn),
                text("sAMAccountName", logon),
                text("userPrincipalName", &format!("{logon}@corp.example.com")),
                text("displayName", cn.trim()),
                text("mail", &format!("{logon}@corp.example.com")),
                text("department", "Sales"),
                change("enabled", Value::Null, false),
                change("password", Value::Null, Value::SEALED),
                change("mustChangePassword", Value::Null, true),
            ],
        }
    }

    /// An account that is there, made by the connector.
    pub async fn account(&self, name: &str) -> Uuid {
        let logon = format!("{name}{}", self.tag);
        let what = self.user(Address::New { correlation: Uuid::new_v4() });
        let step = self.joiner(&format!("{name} {}", self.tag), &logon);
        self.connector.ensure(&self.server, &what, &step, &secrets()).await.expect("created");
        self.seen(&what).await.id.expect("accounts have ids")
    }

    /// A group, made by the administrator.
    pub async fn group(&mut self, name: &str) -> Uuid {
        self.group_in(name, &format!("OU=Groups,{}", env("LDAP_BASE_DN"))).await
    }

    pub async fn group_in(&mut self, name: &str, unit: &str) -> Uuid {
        let cn = format!("{name}-{}", self.tag);
        let dn = format!("CN={cn},{unit}");
        add(&mut self.admin, &dn, &[("objectClass", "group"), ("sAMAccountName", &cn)]).await;
        self.groups.push(dn.clone());
        self.id_of(&dn).await
    }

    /// Changes attributes one by one, with no regard to whether all changes fit.
    pub async fn ensure(&self, id: Uuid, changes: Vec<Change>) -> Result<Native, Fault> {
        let step = Difference { presence: None, changes };
        self.connector.ensure(&self.server, &self.user(Address::Native(id)), &step, &secrets()).await
    }

    pub async fn seen(&self, what: &Resource) -> Seen {
        let seen = self.connector.observe(&self.server, what).await.expect("a look");
        seen.unwrap_or_else(|| panic!("{what:?} is not there"))
    }

    pub async fn state(&self, id: Uuid) -> State {
        self.seen(&self.user(Address::Native(id))).await.state
    }

    pub async fn id_of(&mut self, dn: &str) -> Uuid {
        let found = self.raw(dn, Scope::Base, "(objectClass=*)", &["objectGUID"]).await;
        let entry = found.into_iter().next().unwrap_or_else(|| panic!("{dn} is not there"));
        let text = entry.attrs.get("objectGUID").map(|values| values[0].clone().into_bytes());
        let bytes = text.or_else(|| entry.bin_attrs.get("objectGUID").map(|values| values[0].clone())).expect("an id");
        Uuid::from_bytes_le(bytes.try_into().expect("16 bytes"))
    }

    /// What the administrator finds.
    pub async fn raw(&mut self, base: &str, scope: Scope, filter: &str, attributes: &[&str]) -> Vec<SearchEntry> {
        let found = self.admin.search(base, scope, filter, attributes.to_vec()).await.expect("an answer");
        found.success().expect("found").0.into_iter().map(SearchEntry::construct).collect()
    }

    /// What somebody else does to the directory.
    pub async fn meddle(&mut self, dn: &str, attribute: &str, value: &str) {
        let mods = vec![Mod::Replace(attribute, HashSet::from([value]))];
        let done = self.admin.modify(dn, mods).await.expect("an answer");
        done.success().unwrap_or_else(|error| panic!("{attribute} of {dn}: {error}"));
    }
}

pub fn guid(id: Uuid) -> String {
    format!("<GUID={id}>")
}

pub fn change(attribute: &str, from: impl Into<Value>, to: impl Into<Value>) -> Change {
    Change { attribute: attribute.to_owned(), from: from.into(), to: to.into() }
}

pub fn secrets() -> Secrets {
    Secrets { password: Some(Zeroizing::new(PASSWORD.to_owned())) }
}
