//! From what a transport or a cmdlet said to one of the five faults that a worker goes by.

use super::cmdlet::{Class, CmdletError, TransportError};
use super::value::ValueError;
use crate::target::Fault;

/// No outcome at all. `writes`: the cmdlet may have changed something.
pub(super) fn of_transport(error: TransportError, writes: bool) -> Fault {
    match error {
        TransportError::NotSent { after, why } => Fault::Retry { after, why },
        TransportError::Unknown { why } if writes => Fault::Unknown { why },
        TransportError::Unknown { why } => Fault::Retry { after: None, why },
        TransportError::Refused { why } => Fault::NeedsPerson { why },
    }
}

/// An error that the caller has no use for.
pub(super) fn of_error(error: &CmdletError, writes: bool) -> Fault {
    let why = match error.type_name.as_str() {
        "" => error.message.clone(),
        name => format!("{} ({name})", error.message),
    };
    match error.class {
        Class::Denied => Fault::NeedsPerson { why },
        Class::Throttled { after } => Fault::Retry { after, why },
        Class::Transient => Fault::Retry { after: None, why },
        Class::SessionLost if writes => Fault::Unknown { why },
        Class::SessionLost => Fault::Retry { after: None, why },
        _ => Fault::Refused { attribute: attribute(error), why },
    }
}

/// The attribute that an error is about, where its type tells.
fn attribute(error: &CmdletError) -> Option<String> {
    let names = [&error.type_name, &error.reason];
    names.iter().any(|name| name.contains("ProxyAddressExists")).then(|| "primaryAddress".to_owned())
}

/// A property that is not what it should be: nothing is guessed.
pub(super) fn of_value(error: &ValueError) -> Fault {
    Fault::NeedsPerson { why: format!("Exchange answered something that is not understood: {error}.") }
}
