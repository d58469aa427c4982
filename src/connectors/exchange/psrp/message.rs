//! Messages (MS-PSRP 2.2.1): who it is for, what it is, then CLIXML.
//!
//! ```text
//! 0   destination  u32, little-endian: 1 the client, 2 the server
//! 4   type         u32, little-endian
//! 8   pool         GUID, little-endian as .NET writes it
//! 24  pipeline     GUID; zero where the message is for the pool
//! 40  CLIXML, UTF-8; a server puts a byte order mark before it
//! ```

use uuid::Uuid;

use super::ProtocolError;

const HEADER: usize = 40;
const CLIENT: u32 = 1;
const SERVER: u32 = 2;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What a message is (MS-PSRP 2.2.1). Those that only concern disconnecting are left out.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Kind {
            $($(#[$doc])* $name,)*
        }

        impl Kind {
            pub(super) fn number(self) -> u32 {
                match self {
                    $(Kind::$name => $number,)*
                }
            }

            fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Kind::$name),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    SessionCapability = 0x0001_0002,
    InitRunspacePool = 0x0001_0004,
    PublicKey = 0x0001_0005,
    EncryptedSessionKey = 0x0001_0006,
    PublicKeyRequest = 0x0001_0007,
    CreatePipeline = 0x0002_1006,
    RunspaceAvailability = 0x0002_1004,
    PoolState = 0x0002_1005,
    UserEvent = 0x0002_1008,
    ApplicationPrivateData = 0x0002_1009,
    PoolInitData = 0x0002_100b,
    PoolHostCall = 0x0002_1100,
    PipelineOutput = 0x0004_1004,
    ErrorRecord = 0x0004_1005,
    PipelineState = 0x0004_1006,
    DebugRecord = 0x0004_1007,
    VerboseRecord = 0x0004_1008,
    WarningRecord = 0x0004_1009,
    ProgressRecord = 0x0004_1010,
    InformationRecord = 0x0004_1011,
    PipelineHostCall = 0x0004_1100,
}

/// A message that came.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) kind: Kind,
    pub(super) pool: Uuid,
    pub(super) pipeline: Option<Uuid>,
    pub(super) body: &'a [u8],
}

/// A message to the server.
pub(super) fn write(kind: Kind, pool: Uuid, pipeline: Option<Uuid>, body: &str) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend_from_slice(&SERVER.to_le_bytes());
    message.extend_from_slice(&kind.number().to_le_bytes());
    message.extend_from_slice(&pool.to_bytes_le());
    message.extend_from_slice(&pipeline.unwrap_or(Uuid::nil()).to_bytes_le());
    message.extend_from_slice(body.as_bytes());
    message
}

/// A message from the server.
///
/// # Errors
/// It is too short, not for a client, or of a kind that this client does not know.
pub(super) fn read(bytes: &[u8]) -> Result<Message<'_>, ProtocolError> {
    let short = || ProtocolError::Message(format!("its header takes {HEADER} bytes and there are {}", bytes.len()));
    let (destination, rest) = bytes.split_first_chunk::<4>().ok_or_else(short)?;
    let (number, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (pool, rest) = rest.split_first_chunk::<16>().ok_or_else(short)?;
    let (pipeline, body) = rest.split_first_chunk::<16>().ok_or_else(short)?;
    let destination = u32::from_le_bytes(*destination);
    if destination != CLIENT {
        return Err(ProtocolError::Message(format!("it is for {destination}, and a client is {CLIENT}")));
    }
    let number = u32::from_le_bytes(*number);
    let kind = Kind::from_number(number)
        .ok_or_else(|| ProtocolError::Message(format!("its type {number:#010x} is not one that a server sends")))?;
    let pipeline = Some(Uuid::from_bytes_le(*pipeline)).filter(|id| !id.is_nil());
    Ok(Message { kind, pool: Uuid::from_bytes_le(*pool), pipeline, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_as_the_protocol_has_it() {
        let (pool, pipeline) = (Uuid::from_u128(0x00112233_4455_6677_8899_aabbccddeeff), Uuid::from_u128(1));
        let mut bytes = write(Kind::PipelineOutput, pool, Some(pipeline), "<Nil />");
        assert_eq!(bytes[..8], [2, 0, 0, 0, 4, 16, 4, 0]);
        assert_eq!(bytes[8..16], [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66]);
        assert!(read(&bytes).unwrap_err().to_string().contains("it is for 2"));
        bytes[0] = 1;
        let message = read(&bytes).unwrap();
        assert_eq!((message.kind, message.pool, message.pipeline), (Kind::PipelineOutput, pool, Some(pipeline)));
        assert_eq!(message.body, b"<Nil />");
        assert!(read(&bytes[..39]).unwrap_err().to_string().contains("there are 39"));
        bytes[7] = 9;
        assert!(read(&bytes).unwrap_err().to_string().contains("0x09041004"));
    }
}
