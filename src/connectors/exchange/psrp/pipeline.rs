//! One command as a CreatePipeline message (MS-PSRP 2.2.2.10, 2.2.3.11 to 2.2.3.13), and the states of one that runs.

use zeroize::Zeroizing;

use super::clixml::{Base, Object, Value};
use super::secure::SessionKey;
use super::{ErrorRecord, ProtocolError};

/// PSInvocationState (MS-PSRP 2.2.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PipelineState {
    NotStarted,
    Running,
    Stopping,
    Stopped,
    Completed,
    Failed,
    Disconnected,
}

impl PipelineState {
    /// Nothing more comes after it.
    pub fn is_final(self) -> bool {
        matches!(self, PipelineState::Stopped | PipelineState::Completed | PipelineState::Failed)
    }

    /// Of a PipelineState message: the state, and why where the server says so.
    pub(super) fn read(value: &Value) -> Result<(Self, Option<ErrorRecord>), ProtocolError> {
        let number = value.property("PipelineState").and_then(Value::number);
        let state = match number {
            Some(0) => PipelineState::NotStarted,
            Some(1) => PipelineState::Running,
            Some(2) => PipelineState::Stopping,
            Some(3) => PipelineState::Stopped,
            Some(4) => PipelineState::Completed,
            Some(5) => PipelineState::Failed,
            Some(6) => PipelineState::Disconnected,
            _ => return Err(ProtocolError::Message(format!("its pipeline state {number:?} is not one"))),
        };
        Ok((state, reason(value)))
    }
}

/// Why a state was entered, where the server says so.
pub(super) fn reason(value: &Value) -> Option<ErrorRecord> {
    value.property("ExceptionAsErrorRecord").filter(|reason| !reason.is_null()).map(ErrorRecord::read)
}

/// A cmdlet by its name and parameters by theirs, without the dash.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    pub name: String,
    pub parameters: Vec<(String, Argument)>,
}

/// A parameter's value.
#[derive(Clone, PartialEq)]
pub enum Argument {
    Value(Value),
    /// Becomes a SecureString, which needs the session key ([`super::Pool::key_exchange`]).
    Secret(Zeroizing<String>),
}

impl std::fmt::Debug for Argument {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Argument::Value(value) => value.fmt(f),
            Argument::Secret(_) => f.write_str("********"),
        }
    }
}

impl Command {
    /// The message's body for a server that speaks 2.`minor`.
    pub(super) fn create(&self, minor: u32, key: Option<&SessionKey>) -> Result<Value, ProtocolError> {
        let powershell = Object::of(vec![
            ("IsNested", false.into()),
            ("ExtraCmds", Value::Null),
            ("Cmds", list(vec![self.statement(minor, key)?])),
            ("History", Value::Null),
            ("RedirectShellErrorOutputPipe", false.into()),
        ]);
        Ok(Object::of(vec![
            ("NoInput", true.into()),
            ("ApartmentState", apartment_state()),
            ("RemoteStreamOptions", enumeration("RemoteStreamOptions", "0", 0)),
            ("AddToHistory", false.into()),
            ("HostInfo", null_host()),
            ("PowerShell", powershell.into()),
            ("IsNested", false.into()),
        ])
        .into())
    }

    fn statement(&self, minor: u32, key: Option<&SessionKey>) -> Result<Value, ProtocolError> {
        let unmerged = || enumeration("PipelineResultTypes", "None", 0);
        let mut properties = vec![
            ("Cmd", self.name.as_str().into()),
            ("IsScript", false.into()),
            ("UseLocalScope", Value::Null),
            ("MergeMyResult", unmerged()),
            ("MergeToResult", unmerged()),
            ("MergePreviousResults", unmerged()),
            ("Args", list(self.arguments(key)?)),
        ];
        if minor >= 2 {
            let names = ["MergeError", "MergeWarning", "MergeVerbose", "MergeDebug"];
            properties.extend(names.map(|name| (name, unmerged())));
        }
        if minor >= 3 {
            properties.push(("MergeInformation", unmerged()));
        }
        Ok(Object::of(properties).into())
    }

    fn arguments(&self, key: Option<&SessionKey>) -> Result<Vec<Value>, ProtocolError> {
        self.parameters
            .iter()
            .map(|(name, argument)| {
                let value = match argument {
                    Argument::Value(value) => value.clone(),
                    Argument::Secret(secret) => {
                        Value::SecureString(key.ok_or(ProtocolError::NoSessionKey)?.encrypt(secret))
                    }
                };
                Ok(Object::of(vec![("N", name.as_str().into()), ("V", value)]).into())
            })
            .collect()
    }
}

/// A host of which there is nothing: no window, no user interface.
pub(super) fn null_host() -> Value {
    let names = ["_isHostNull", "_isHostUINull", "_isHostRawUINull", "_useRunspaceHost"];
    Object::of(names.map(|name| (name, true.into())).into()).into()
}

/// ApartmentState.UNKNOWN: whatever the server's session configuration says.
pub(super) fn apartment_state() -> Value {
    enumeration("ApartmentState", "UNKNOWN", 2)
}

/// A value of one of PowerShell's runspace enumerations.
pub(super) fn enumeration(name: &str, text: &str, number: i32) -> Value {
    let type_name = format!("System.Management.Automation.Runspaces.{name}");
    let object = Object { to_string: Some(text.to_owned()), base: Base::Primitive(number.into()), ..Object::default() };
    object.typed(&[&type_name, "System.Enum", "System.ValueType", "System.Object"]).into()
}

fn list(items: Vec<Value>) -> Value {
    const TYPE: &str = "System.Collections.Generic.List`1[[System.Management.Automation.PSObject, \
                        System.Management.Automation, Version=1.0.0.0, Culture=neutral, PublicKeyToken=31bf3856ad364e35]]";
    Object { base: Base::List(items), ..Object::default() }.typed(&[TYPE, "System.Object"]).into()
}
