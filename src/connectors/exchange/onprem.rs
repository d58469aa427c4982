//! Exchange on premises: cmdlets over PowerShell remoting ([`super::psrp`]).
//!
//! A cmdlet is one command with named parameters, in a session that takes nothing else (no-language mode). Cmdlets that change
//! something get `Confirm=false` unless they say otherwise: nobody is there to be asked. The session is opened with the
//! first cmdlet and kept; [`Transport::close`] gives it back.

mod objects;
pub mod renewing;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use zeroize::Zeroizing;

use self::objects::object;
use super::classify::{class, short};
use super::cmdlet::{Class, Cmdlet, CmdletError, Effect, Outcome, Param, Transport, TransportError};
use super::psrp::auth::{Credentials, Scheme};
use super::psrp::clixml::Value;
use super::psrp::wsman::{WireSettings, stated_wait};
use super::psrp::{Argument, Client, ClientError, ClientSettings, Command, ErrorRecord, Finished};

/// The session configuration that Exchange offers at `/PowerShell/`.
pub const CONFIGURATION: &str = "Microsoft.Exchange";

/// How often a cmdlet is sent again that never began, or one that only reads, beside what the client does by itself.
const REPEATS: u32 = 2;
const LONGEST_ANSWER: usize = 16 << 20;

/// How to sign in to `/PowerShell/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auth {
    /// Name and password over TLS, where the virtual directory allows it.
    Basic,
    #[default]
    Kerberos,
    /// Kerberos, NTLM where no ticket is to be had.
    Negotiate,
}

/// How to reach an organisation's servers.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `https://mail.example.com/PowerShell/`; path and query are sent as given.
    pub url: String,
    /// `http://schemas.microsoft.com/powershell/Microsoft.Exchange`, see [`resource_uri`].
    pub resource_uri: String,
    /// `user@REALM`, or `DOMAIN\user`.
    pub user: String,
    pub password: Zeroizing<String>,
    pub auth: Auth,
    /// `host` or `host:port` of a KDC; where absent, `krb5.conf` says it.
    pub kdc: Option<String>,
    /// Where the servers' principal is not `HTTP/<the URL's host>`, as behind a load balancer without an account of its own.
    pub service: Option<String>,
    /// Bind sign-ins to the connection's certificate, where the virtual directory asks for it (Extended Protection).
    pub channel_binding: bool,
    /// PEM: the only authorities that are believed, where given.
    pub ca_file: Option<PathBuf>,
    /// How long the server may hold an answer back while a cmdlet runs.
    pub operation_timeout: Duration,
    /// A cmdlet must have ended by then.
    pub deadline: Duration,
    /// How long one cmdlet waits for throttling.
    pub throttle_patience: Duration,
    pub min_runspaces: i32,
    pub max_runspaces: i32,
    /// Lets credentials go unencrypted to this very machine: for tests.
    pub plain_loopback: bool,
}

/// The resource URI of a session configuration.
#[must_use]
pub fn resource_uri(configuration: &str) -> String {
    format!("http://schemas.microsoft.com/powershell/{configuration}")
}

impl Settings {
    #[must_use]
    pub fn new(url: impl Into<String>, user: impl Into<String>, password: Zeroizing<String>) -> Self {
        Self {
            url: url.into(),
            resource_uri: resource_uri(CONFIGURATION),
            user: user.into(),
            password,
            auth: Auth::default(),
            kdc: None,
            service: None,
            channel_binding: false,
            ca_file: None,
            operation_timeout: Duration::from_secs(20),
            deadline: Duration::from_secs(600),
            throttle_patience: Duration::from_secs(120),
            min_runspaces: 1,
            max_runspaces: 3,
            plain_loopback: false,
        }
    }

    fn client(&self) -> Result<ClientSettings, TransportError> {
        let authorities = match &self.ca_file {
            Some(file) => Some(std::fs::read(file).map_err(|error| TransportError::Refused {
                why: format!("the authorities' file {} cannot be read: {error}", file.display()),
            })?),
            None => None,
        };
        let scheme = match self.auth {
            Auth::Basic => Scheme::Basic,
            Auth::Kerberos => Scheme::Kerberos,
            Auth::Negotiate => Scheme::Negotiate,
        };
        let wire = WireSettings {
            url: self.url.clone(),
            credentials: Credentials {
                scheme,
                user: self.user.clone(),
                password: self.password.clone(),
                kdc: self.kdc.clone(),
                service: self.service.clone(),
                channel_binding: self.channel_binding,
            },
            authorities,
            plain_loopback: self.plain_loopback,
            longest_answer: LONGEST_ANSWER,
        };
        Ok(ClientSettings {
            operation_timeout: self.operation_timeout,
            min_runspaces: self.min_runspaces,
            max_runspaces: self.max_runspaces,
            deadline: self.deadline,
            throttle_patience: self.throttle_patience,
            ..ClientSettings::new(wire, self.resource_uri.clone())
        })
    }
}

/// The way to an organisation on premises.
#[derive(Debug)]
pub struct OnPremises {
    client: Client,
    patience: Duration,
}

impl OnPremises {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`TransportError::Refused`] where the settings cannot work.
    pub fn new(settings: &Settings) -> Result<Self, TransportError> {
        let client = Client::new(settings.client()?).map_err(transport_error)?;
        Ok(Self { client, patience: settings.throttle_patience })
    }

    /// Signs in and opens the session, without running anything: says whether a cmdlet would get through.
    ///
    /// # Errors
    /// As [`Transport::invoke`].
    pub async fn open(&self) -> Result<(), TransportError> {
        self.client.open().await.map_err(transport_error)
    }

    /// How long to wait before a cmdlet that only reads is sent again after this outcome.
    fn again_after(&self, outcome: &Outcome, repeats: u32) -> Option<Duration> {
        outcome.errors.iter().find_map(|error| match error.class {
            Class::Throttled { after } => Some(after.unwrap_or(pause(repeats))).filter(|wait| *wait <= self.patience),
            Class::Transient | Class::SessionLost => Some(pause(repeats)),
            _ => None,
        })
    }
}

#[async_trait]
impl Transport for OnPremises {
    async fn invoke(&self, cmdlet: &Cmdlet) -> Result<Outcome, TransportError> {
        let command = command(cmdlet)?;
        let reads = cmdlet.effect == Effect::Read;
        let mut repeats = 0;
        loop {
            let result = self.client.run(&command).await.map_err(transport_error).and_then(outcome);
            let wait = match &result {
                Ok(outcome) if reads => self.again_after(outcome, repeats),
                Err(TransportError::NotSent { after: None, .. }) => Some(pause(repeats)),
                Err(TransportError::Unknown { .. }) if reads => Some(pause(repeats)),
                _ => None,
            };
            let Some(wait) = wait.filter(|_| repeats < REPEATS) else { return result };
            repeats += 1;
            tracing::info!(cmdlet = cmdlet.name, endpoint = self.endpoint(), ?wait, "a cmdlet is sent again");
            tokio::time::sleep(wait).await;
        }
    }

    fn endpoint(&self) -> String {
        self.client.host()
    }

    async fn close(&self) {
        self.client.close().await;
    }
}

fn pause(repeats: u32) -> Duration {
    Duration::from_millis(500 << repeats.min(6))
}

/// A cmdlet as a command. Values are data; names are checked to be names.
fn command(cmdlet: &Cmdlet) -> Result<Command, TransportError> {
    let mut parameters = Vec::with_capacity(cmdlet.params.len() + 1);
    let named = cmdlet.name.split_once('-').is_some_and(|(verb, noun)| is_name(verb) && is_name(noun));
    if !named {
        return Err(TransportError::Refused { why: format!("“{}” is not a cmdlet's name", cmdlet.name) });
    }
    for (name, param) in &cmdlet.params {
        if !is_name(name) {
            return Err(TransportError::Refused { why: format!("“{name}” is not a parameter's name") });
        }
        parameters.push((name.clone(), argument(param)));
    }
    if cmdlet.effect != Effect::Read && cmdlet.param("Confirm").is_none() {
        parameters.push(("Confirm".to_owned(), Argument::Value(Value::Bool(false))));
    }
    Ok(Command { name: cmdlet.name.clone(), parameters })
}

fn is_name(text: &str) -> bool {
    text.len() <= 100
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric())
}

fn argument(param: &Param) -> Argument {
    let list = |values: &[String]| Value::List(values.iter().cloned().map(Value::String).collect());
    Argument::Value(match param {
        Param::Null => Value::Null,
        Param::Text(text) => Value::String(text.clone()),
        Param::Bool(flag) => Value::Bool(*flag),
        // The server's binder makes a SwitchParameter of it.
        Param::Switch => Value::Bool(true),
        Param::Number(number) => i32::try_from(*number).map_or(Value::I64(*number), Value::I32),
        Param::List(values) => list(values),
        Param::Delta { add, remove } => {
            let sides = [("Add", add), ("Remove", remove)];
            let given = sides.into_iter().filter(|(_, values)| !values.is_empty());
            Value::Dict(given.map(|(side, values)| (Value::from(side), list(values))).collect())
        }
        Param::Secret(secret) => return Argument::Secret(secret.clone()),
    })
}

fn outcome(finished: Finished) -> Result<Outcome, TransportError> {
    let mut errors: Vec<CmdletError> = finished.failures().into_iter().map(cmdlet_error).collect();
    if !finished.completed() && errors.is_empty() {
        let why = "the server ended the command without saying why".to_owned();
        return Err(TransportError::Unknown { why });
    }
    errors.dedup();
    Ok(Outcome {
        objects: finished.output.iter().map(object).collect(),
        warnings: finished.warnings,
        errors,
        trace: Some(finished.pipeline.to_string()),
    })
}

fn cmdlet_error(record: &ErrorRecord) -> CmdletError {
    // What remoting wraps an exception into says nothing; the wrapped one's name stands in the reason.
    let thrown = record.exception_types.iter().find(|name| short(name) != "RemoteException");
    let by_type = record.exception_types.iter().map(|name| class(name, "", "")).find(|class| *class != Class::Other);
    let mut class = by_type.unwrap_or_else(|| class("", &record.reason, &record.fully_qualified_id));
    if let Class::Throttled { after } = &mut class {
        *after = stated_wait(&record.message);
    }
    CmdletError {
        type_name: short(thrown.map_or(record.reason.as_str(), String::as_str)).to_owned(),
        reason: record.reason.clone(),
        fully_qualified_id: record.fully_qualified_id.clone(),
        message: record.message.clone(),
        class,
    }
}

fn transport_error(error: ClientError) -> TransportError {
    match error {
        ClientError::NotSent { why, after, .. } => TransportError::NotSent { after, why },
        ClientError::Unknown { why } => TransportError::Unknown { why },
        ClientError::Refused { why } => TransportError::Refused { why },
    }
}

#[cfg(test)]
mod tests;
