//! One notion for both legs: a cmdlet with parameters goes out, objects, warnings and errors come back.
//!
//! What a person typed is only ever a parameter's value; a cmdlet's and a parameter's name come from the tables in this
//! folder (or, for `tenure exchange invoke`, from an administrator, checked to be a name). Nothing is ever code.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// What a cmdlet does to the organisation: a reading one may be sent again at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Read,
    Write,
    Destructive,
}

/// Online routes a cmdlet to the server that holds this mailbox. On premises it has no meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anchor {
    /// A primary or proxy address.
    Smtp(String),
    /// A mailbox's GUID.
    Mailbox(String),
}

/// A parameter's value. Text is data on both legs, whatever characters it holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Param {
    /// `$null`: takes a value away.
    Null,
    Text(String),
    Bool(bool),
    /// A switch that is set; one that is not is left out.
    Switch,
    Number(i64),
    /// Replaces a multi-valued property, or is a list of identities.
    List(Vec<String>),
    /// Adds to and removes from a multi-valued property: `@{Add=…; Remove=…}`.
    Delta {
        add: Vec<String>,
        remove: Vec<String>,
    },
    /// A SecureString: encrypted with the session's key on premises, in the TLS body Online. Never shown.
    Secret(Zeroizing<String>),
}

impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// As an administrator would type it in a PowerShell window, to be read and never to be run; secrets masked.
impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |text: &String| format!("'{}'", text.replace('\'', "''"));
        let list = |values: &[String]| values.iter().map(quoted).collect::<Vec<_>>().join(",");
        match self {
            Param::Null => f.write_str("$null"),
            Param::Text(text) => f.write_str(&quoted(text)),
            Param::Bool(true) => f.write_str("$true"),
            Param::Bool(false) => f.write_str("$false"),
            Param::Switch => f.write_str("$true"),
            Param::Number(number) => write!(f, "{number}"),
            Param::List(values) => write!(f, "@({})", list(values)),
            Param::Delta { add, remove } => write!(f, "@{{Add=@({}); Remove=@({})}}", list(add), list(remove)),
            Param::Secret(_) => f.write_str("********"),
        }
    }
}

/// One cmdlet with its parameters, in the order they are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cmdlet {
    pub name: String,
    /// Names without the dash.
    pub params: Vec<(String, Param)>,
    pub effect: Effect,
    pub anchor: Option<Anchor>,
}

impl Cmdlet {
    pub fn new(name: impl Into<String>, effect: Effect) -> Self {
        Self { name: name.into(), params: Vec::new(), effect, anchor: None }
    }

    pub fn read(name: impl Into<String>) -> Self {
        Self::new(name, Effect::Read)
    }

    pub fn write(name: impl Into<String>) -> Self {
        Self::new(name, Effect::Write)
    }

    pub fn destructive(name: impl Into<String>) -> Self {
        Self::new(name, Effect::Destructive)
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: Param) -> Self {
        self.params.push((name.to_owned(), value));
        self
    }

    #[must_use]
    pub fn text(self, name: &str, value: impl Into<String>) -> Self {
        self.with(name, Param::Text(value.into()))
    }

    #[must_use]
    pub fn flag(self, name: &str, value: bool) -> Self {
        self.with(name, Param::Bool(value))
    }

    #[must_use]
    pub fn switch(self, name: &str) -> Self {
        self.with(name, Param::Switch)
    }

    #[must_use]
    pub fn anchored(mut self, anchor: Anchor) -> Self {
        self.anchor = Some(anchor);
        self
    }

    pub fn param(&self, name: &str) -> Option<&Param> {
        self.params.iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// `Set-Mailbox -Identity 'amelie@example.com' -HiddenFromAddressListsEnabled:$true`, secrets masked.
impl fmt::Display for Cmdlet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (name, value) in &self.params {
            match value {
                Param::Switch => write!(f, " -{name}")?,
                Param::Bool(_) => write!(f, " -{name}:{value}")?,
                _ => write!(f, " -{name} {value}")?,
            }
        }
        Ok(())
    }
}

/// An object as the server gave it, by property name. On premises CLIXML becomes: numbers and booleans themselves, GUIDs,
/// dates and enumerations their text, lists and collections arrays, nested objects objects, anything else its `ToString`.
pub type Object = Map<String, Value>;

/// What an error means to us. Found by type name, reason or id, never by the message, which comes in the server's language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    NotFound,
    AlreadyExists,
    AlreadyMember,
    NotMember,
    Ambiguous,
    Denied,
    /// The server said how long, where it did.
    Throttled {
        after: Option<Duration>,
    },
    Transient,
    /// The session is gone; a new one is opened, and a write is looked at before it is repeated.
    SessionLost,
    Other,
}

/// One error of a cmdlet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CmdletError {
    /// `ManagementObjectNotFoundException`, without its namespace; empty where the server gave none.
    pub type_name: String,
    /// `ErrorCategory_Reason` on premises; Online the full type name.
    pub reason: String,
    pub fully_qualified_id: String,
    /// For people, as the server gave it.
    pub message: String,
    pub class: Class,
}

/// What came back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    pub objects: Vec<Object>,
    pub warnings: Vec<String>,
    pub errors: Vec<CmdletError>,
    /// The transport's own trace of the call: Online `request-id`, on premises the pipeline's id.
    pub trace: Option<String>,
}

/// Why there is no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Nothing reached the server: it may be asked again.
    #[error("{why}")]
    NotSent { after: Option<Duration>, why: String },
    /// It may have been done: look before anything else.
    #[error("{why}")]
    Unknown { why: String },
    /// The endpoint refuses us (credentials, certificate, rights, address): a person must act.
    #[error("{why}")]
    Refused { why: String },
}

/// Carries cmdlets to an organisation.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Runs one cmdlet to its end, all pages of its output included. Retries what the server throttled or never began, for a
    /// bounded time; a writing cmdlet is never sent twice once it may have begun.
    ///
    /// # Errors
    /// Where there is no outcome, as [`TransportError`] tells apart.
    async fn invoke(&self, cmdlet: &Cmdlet) -> Result<Outcome, TransportError>;

    /// The host that cmdlets go to, for people and evidence.
    fn endpoint(&self) -> String;

    /// Gives back what the server keeps for us, if it keeps anything. The next cmdlet opens it again.
    async fn close(&self) {}
}
