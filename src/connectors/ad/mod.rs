//! Active Directory over LDAPS: accounts and memberships, and the feed that the mirror follows.
//!
//! What exists is addressed by `<GUID=…>`; names are attributes that change. A look ([`observe`]) never writes. A write
//! ([`user`], [`create`], [`membership`]) starts from a look a moment ago, sends only what differs, and carries the old value
//! where the protocol lets it; the look after it brings the directory's own traces (uSNChanged, attribute versions). What
//! the server answered, or failed to answer, becomes one of five faults ([`fault`]); the worker goes by those alone.
//!
//! The rules of Active Directory are enforced here even where a server is lax ([`naming`]): Samba takes a logon name of 21
//! characters and enables an account without a password; Windows does not, and a plan must not work on one of them only.
//! Accounts and groups that delegated rights do not reach are left to a person ([`protected`]).
//!
//! One server is used for a run of steps; another only after it shows our last write ([`AdConnector::server`]).

mod attributes;
pub mod check;
mod controls;
mod create;
mod dirsync;
mod entry;
pub mod escape;
mod fault;
mod looked;
mod membership;
mod metadata;
mod naming;
mod observe;
mod password;
mod protected;
mod rights;
mod session;
pub mod signin;
mod sweep;
mod user;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Mutex, OnceCell};
use uuid::Uuid;
use zeroize::Zeroizing;

use self::protected::ProtectedGroups;
use self::session::Pool;
use crate::target::{
    Address, Batch, Capability, Connector, Difference, Fault, Kind, Native, Resource, Secrets, Seen, Server, State,
    SystemKey, Wish,
};

/// Where the password of the connector's own account comes from.
#[derive(Clone)]
pub enum BindPassword {
    /// Read at each new connection: a rotated password takes effect by itself. One trailing line break is not part of it.
    File(PathBuf),
    Fixed(Zeroizing<String>),
}

impl BindPassword {
    pub(crate) fn read(&self) -> Result<Zeroizing<String>, String> {
        match self {
            Self::Fixed(password) => Ok(password.clone()),
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map(Zeroizing::new);
                let text = text.map_err(|error| format!("Password file {}: {error}.", path.display()))?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                Ok(Zeroizing::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
            }
        }
    }
}

impl std::fmt::Debug for BindPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Fixed(_) => f.write_str("Fixed(…)"),
        }
    }
}

/// How one directory is reached.
#[derive(Debug, Clone)]
pub struct AdSettings {
    pub system: SystemKey,
    /// Domain controllers, `ldaps://host[:port]`, or `ldap://…`, which is upgraded by StartTLS before anything is said.
    pub urls: Vec<String>,
    /// The connector's own account: a DN or a user principal name.
    pub bind_dn: String,
    pub password: BindPassword,
    /// PEM with the certificates to trust; without it, the system's.
    pub ca_file: Option<PathBuf>,
    /// The domain's own DN, `DC=corp,DC=example,DC=com`.
    pub base_dn: String,
    /// `ldaps://host:3269`: where names are checked over the whole forest; without it, over the domain.
    pub global_catalog: Option<String>,
    /// An attribute that the site gives us for the mark of what we create; indexed, or each creation reads all accounts.
    /// The usual one is meant for a site's own use and indexed since the schema of Windows Server 2012.
    pub correlation_attribute: String,
    /// Plans, compares and reports, and refuses to write.
    pub observe_only: bool,
    pub connect_timeout: Duration,
    /// For one operation, or one entry of a search.
    pub call_timeout: Duration,
}

impl AdSettings {
    /// Settings with the usual choices; the connector's account, its password and the CA file remain to be set.
    pub fn new(system: SystemKey, url: impl Into<String>, base_dn: impl Into<String>) -> Self {
        Self {
            system,
            urls: vec![url.into()],
            bind_dn: String::new(),
            password: BindPassword::Fixed(Zeroizing::default()),
            ca_file: None,
            base_dn: base_dn.into(),
            global_catalog: None,
            correlation_attribute: "msDS-cloudExtensionAttribute20".to_owned(),
            observe_only: false,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(15),
        }
    }
}

/// The connector. Cheap to share; connections are pooled per server.
pub struct AdConnector {
    settings: Arc<AdSettings>,
    pool: Arc<Pool>,
    protected: Mutex<Option<(Arc<ProtectedGroups>, Instant)>>,
    /// The server that answered last, for work without a preference of its own (the feed).
    last: Mutex<Option<Server>>,
    /// Whether the schema has `targetAddress`.
    target_address: OnceCell<bool>,
    /// Relative ids of groups, which never change.
    rids: Mutex<HashMap<Uuid, u32>>,
    policy: Mutex<Option<(password::Policy, Instant)>>,
    sweeping: Mutex<Option<sweep::Sweep>>,
    quiet: Mutex<Option<dirsync::Quiet>>,
    looked: Mutex<looked::Looked>,
}

/// How long the password policy is taken to be what it was.
const POLICY_FRESH: Duration = Duration::from_mins(1);

impl AdConnector {
    pub fn new(settings: AdSettings) -> Self {
        let settings = Arc::new(settings);
        Self {
            pool: Pool::new(settings.clone()),
            settings,
            protected: Mutex::default(),
            last: Mutex::default(),
            target_address: OnceCell::new(),
            rids: Mutex::default(),
            policy: Mutex::default(),
            sweeping: Mutex::default(),
            quiet: Mutex::default(),
            looked: Mutex::default(),
        }
    }

    pub fn settings(&self) -> &AdSettings {
        &self.settings
    }

    /// Whether the server shows the state we wrote last.
    async fn shows(&self, at: &Server, must: (&Resource, &State)) -> Result<bool, Fault> {
        let seen = self.look(at, must.0).await?;
        let state = seen.map(|seen| seen.state).unwrap_or_default();
        Ok(must.1.0.iter().all(|(name, value)| user::equal(name, state.get(name), value)))
    }
}

const WRITABLE: &[&str] = &[
    "parent",
    "cn",
    "sAMAccountName",
    "userPrincipalName",
    "givenName",
    "sn",
    "displayName",
    "mail",
    "employeeID",
    "department",
    "title",
    "company",
    "physicalDeliveryOfficeName",
    "telephoneNumber",
    "description",
    "manager",
    "enabled",
    "locked",
    "accountExpires",
    "password",
    "mustChangePassword",
];

/// What Active Directory can be planned for.
pub const CAPABILITIES: &[Capability] = &[
    Capability {
        kind: Kind::User,
        writable: WRITABLE,
        unreadable: &["password"],
        unguarded: &["parent", "cn", "locked", "password", "mustChangePassword"],
    },
    Capability { kind: Kind::Group, writable: &[], unreadable: &[], unguarded: &[] },
    Capability { kind: Kind::Membership, writable: &[], unreadable: &[], unguarded: &[] },
];

#[async_trait]
impl Connector for AdConnector {
    fn system(&self) -> &SystemKey {
        &self.settings.system
    }

    fn capabilities(&self) -> &'static [Capability] {
        CAPABILITIES
    }

    fn run(&self) -> i64 {
        16
    }

    async fn server(&self, wish: Wish<'_>) -> Result<Server, Fault> {
        let preferred = match wish.preferred {
            Some(server) => Some(server.clone()),
            None => self.last.lock().await.clone(),
        };
        let first = preferred.iter().map(|server| server.url.clone());
        let others = self.settings.urls.iter().filter(|url| preferred.as_ref().is_none_or(|p| p.url != **url)).cloned();
        let mut trouble = None;
        for url in first.chain(others) {
            let server = match self.greet(&url).await {
                Ok(server) => server,
                Err(fault) => {
                    trouble.get_or_insert(fault);
                    continue;
                }
            };
            let same = preferred.as_ref().is_some_and(|preferred| preferred.url == server.url);
            if let Some(must) = wish.must_show.filter(|_| !same)
                && !self.shows(&server, must).await?
            {
                let why = format!("{} does not show our last change yet; waiting for replication.", server.name);
                trouble = Some(Fault::Retry { after: Some(Duration::from_secs(15)), why });
                continue;
            }
            *self.last.lock().await = Some(server.clone());
            return Ok(server);
        }
        Err(trouble.unwrap_or_else(|| Fault::NeedsPerson {
            why: format!("{} has no server: name at least one.", self.settings.system),
        }))
    }

    async fn observe(&self, at: &Server, what: &Resource) -> Result<Option<Seen>, Fault> {
        self.look(at, what).await
    }

    async fn observe_all(&self, at: &Server, whats: &[&Resource]) -> Result<Vec<Option<Seen>>, Fault> {
        self.look_at_all(at, whats).await
    }

    async fn ensure(
        &self,
        at: &Server,
        what: &Resource,
        step: &Difference,
        secrets: &Secrets,
    ) -> Result<Native, Fault> {
        if self.settings.observe_only {
            return Err(Fault::NeedsPerson {
                why: format!("{} is set to observe only: nothing is written there.", self.settings.system),
            });
        }
        match (what.kind, &what.address) {
            (Kind::User, address) => self.ensure_user(at, address, step, secrets).await,
            (Kind::Membership, Address::Member { group, member }) => {
                self.ensure_membership(at, *group, *member, step).await
            }
            (kind, _) => Err(Fault::Refused {
                why: format!("This connector does not write a {kind} given that way."),
                attribute: None,
            }),
        }
    }

    async fn new_password(&self, at: &Server) -> Result<Zeroizing<String>, Fault> {
        let known = *self.policy.lock().await;
        if let Some((policy, _)) = known.filter(|(_, read)| read.elapsed() < POLICY_FRESH) {
            return Ok(password::generate(policy));
        }
        let session = &mut self.pool.session(&at.url).await?;
        let policy = password::policy(session, &self.settings.base_dn).await;
        let policy = policy.map_err(|failure| fault::reading(&failure, "reading the password policy"))?;
        *self.policy.lock().await = Some((policy, Instant::now()));
        Ok(password::generate(policy))
    }

    async fn changes(&self, cursor: Option<&[u8]>) -> Result<Batch, Fault> {
        let at = self.server(Wish::default()).await?;
        self.next_changes(at, cursor).await
    }

    async fn all_ids(&self) -> Result<Vec<Uuid>, Fault> {
        let at = self.server(Wish::default()).await?;
        self.every_id(&at).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_written_is_what_the_table_holds() {
        let table: Vec<_> = attributes::USER.iter().map(|attribute| attribute.name).collect();
        assert_eq!(WRITABLE, table);
    }
}
