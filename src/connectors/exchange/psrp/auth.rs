//! Who we are to the endpoint: Basic over TLS, or Kerberos (with or without falling back to NTLM) by SPNEGO tokens, as RFC 4559 puts
//! them into `Authorization: Negotiate`.
//!
//! A Negotiate handshake belongs to one connection. It can be bound to that connection's TLS certificate (RFC 5929
//! `tls-server-end-point`), so that a token cannot be carried to another server. That is off unless asked for: beside the binding
//! the library writes KERB_AP_OPTIONS_CBT in two octets where MS-KILE has four, and MIT's acceptor refuses such a ticket. The server
//! itself is known by its TLS certificate; its own proof at the handshake's end is not looked at.

use std::fmt;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256, Sha384, Sha512};
use sspi::generator::NetworkRequest;
use sspi::network_client::NetworkClient;
use sspi::{
    AuthIdentity, BufferType, ClientRequestFlags, CredentialUse, CredentialsBuffers, DataRepresentation, Error,
    ErrorKind, KdcResolution, KerberosConfig, Negotiate, NegotiateConfig, SecurityBuffer, SecurityStatus, Sspi,
    SspiImpl, Username,
};
use x509_cert::der::Decode;
use zeroize::Zeroizing;

/// Longest answer of a KDC that is read. Tickets with many groups come near 64 KiB.
const LONGEST_TICKET: usize = 1 << 20;
const KDC_PATIENCE: Duration = Duration::from_secs(10);

/// How to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Name and password with every request: over TLS alone.
    Basic,
    /// Kerberos and nothing else.
    Kerberos,
    /// Kerberos, NTLM where no ticket is to be had.
    Negotiate,
}

/// An account and how it signs in.
#[derive(Clone)]
pub struct Credentials {
    pub scheme: Scheme,
    /// `user@REALM`, or `DOMAIN\user`.
    pub user: String,
    pub password: Zeroizing<String>,
    /// `host` or `host:port` of a KDC. Where absent, `krb5.conf` says it.
    pub kdc: Option<String>,
    /// Where the service's principal is not `HTTP/<the URL's host>`.
    pub service: Option<String>,
    /// Bind handshakes to the connection's certificate, where a server asks for it (Extended Protection).
    pub channel_binding: bool,
}

/// Never the password.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("scheme", &self.scheme).field("user", &self.user).finish_non_exhaustive()
    }
}

/// Why signing in failed, before the server said anything about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    #[error("the KDC cannot be reached or does not know the account's realm: {0}")]
    NoKdc(String),
    #[error("signing in as this account failed: {0}")]
    Refused(String),
}

impl From<Error> for AuthError {
    fn from(error: Error) -> Self {
        match error.error_type {
            ErrorKind::NoAuthenticatingAuthority => Self::NoKdc(error.description),
            _ => Self::Refused(format!("{:?}: {}", error.error_type, error.description)),
        }
    }
}

/// The value of `Authorization` for Basic (RFC 7617, UTF-8).
#[must_use]
pub fn basic(credentials: &Credentials) -> Zeroizing<String> {
    let pair = Zeroizing::new(format!("{}:{}", credentials.user, credentials.password.as_str()));
    Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
}

/// A token to send, and whether the server needs nothing more than it.
pub struct Step {
    pub token: Vec<u8>,
    /// Our part of the handshake is complete with this token: a request may ride on it.
    pub last: bool,
}

/// One handshake on one connection. Every step may speak to a KDC and blocks while it does.
pub struct Handshake {
    negotiate: Negotiate,
    handle: Option<CredentialsBuffers>,
    service: String,
    /// `SEC_CHANNEL_BINDINGS`, where the connection is TLS.
    binding: Option<Vec<u8>>,
    done: bool,
}

impl Handshake {
    /// `host` is the URL's, `certificate` the connection's own, in DER.
    ///
    /// # Errors
    /// Where the name cannot be one of an account.
    pub fn new(credentials: &Credentials, host: &str, certificate: Option<&[u8]>) -> Result<Self, AuthError> {
        // What to call ourselves in tickets and NTLM messages: logged by servers, believed by none.
        let workstation = "workstation".to_owned();
        let kerberos = match &credentials.kdc {
            Some(kdc) => KerberosConfig::new_with_kdc_url(kdc, workstation.clone()),
            None => KerberosConfig {
                kdc_resolution: KdcResolution::KdcUrl(None),
                client_computer_name: workstation.clone(),
            },
        };
        let packages = match credentials.scheme {
            Scheme::Negotiate => "kerberos,ntlm",
            Scheme::Basic | Scheme::Kerberos => "kerberos,!ntlm",
        };
        let config = NegotiateConfig::new(Box::new(kerberos), Some(packages.to_owned()), workstation);
        let mut negotiate = Negotiate::new_client(config)?;
        let username = Username::parse(&credentials.user).map_err(|error| AuthError::Refused(error.to_string()))?;
        let identity = AuthIdentity { username, password: credentials.password.as_str().to_owned().into() };
        let acquired = negotiate
            .acquire_credentials_handle()
            .with_credential_use(CredentialUse::Outbound)
            .with_auth_data(&identity.into())
            .execute(&mut negotiate)?;
        Ok(Self {
            negotiate,
            handle: acquired.credentials_handle,
            service: credentials.service.clone().unwrap_or_else(|| format!("HTTP/{host}")),
            binding: certificate.filter(|_| credentials.channel_binding).and_then(channel_binding),
            done: false,
        })
    }

    /// The next token; `input` is the server's, empty at first.
    ///
    /// # Errors
    /// Where the KDC or the server's token does not let us go on.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, AuthError> {
        if self.done {
            return Err(AuthError::Refused("the server wants more after the end of the handshake".to_owned()));
        }
        let mut inputs = vec![SecurityBuffer::new(input.to_vec(), BufferType::Token)];
        if let Some(binding) = &self.binding {
            inputs.push(SecurityBuffer::new(binding.clone(), BufferType::ChannelBindings));
        }
        let mut outputs = vec![SecurityBuffer::new(Vec::new(), BufferType::Token)];
        let service = self.service.clone();
        let mut builder = self
            .negotiate
            .initialize_security_context()
            .with_credentials_handle(&mut self.handle)
            .with_context_requirements(ClientRequestFlags::MUTUAL_AUTH | ClientRequestFlags::INTEGRITY)
            .with_target_data_representation(DataRepresentation::Native)
            .with_target_name(&service)
            .with_input(&mut inputs)
            .with_output(&mut outputs);
        let result = self.negotiate.initialize_security_context_impl(&mut builder)?.resolve_with_client(&Kdc)?;
        self.done = result.status == SecurityStatus::Ok;
        let token = outputs.into_iter().next().map(|buffer| buffer.buffer).unwrap_or_default();
        // Kerberos says everything at once and hears a proof back; NTLM is challenged first.
        let last = self.done || !input.is_empty() || self.negotiate.negotiated_protocol().is_kerberos();
        Ok(Step { token, last })
    }

    /// Which protocol it came to: `Kerberos` or `NTLM`.
    #[must_use]
    pub fn protocol(&self) -> &str {
        self.negotiate.negotiated_protocol().protocol_name()
    }
}

/// `tls-server-end-point` for this certificate, as Windows lays it out: eight 32-bit numbers, then the data. The hash is that of the
/// certificate's signature, SHA-256 where that is older (RFC 5929 4.1); none where the algorithm names no hash.
fn channel_binding(certificate: &[u8]) -> Option<Vec<u8>> {
    let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
    let hash = match parsed.signature_algorithm.oid.to_string().as_str() {
        // sha384WithRSAEncryption, ecdsa-with-SHA384
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Sha384::digest(certificate).to_vec(),
        // sha512WithRSAEncryption, ecdsa-with-SHA512
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Sha512::digest(certificate).to_vec(),
        // Ed25519 and Ed448 name no hash that the RFC would know.
        "1.3.101.112" | "1.3.101.113" => return None,
        _ => Sha256::digest(certificate).to_vec(),
    };
    let mut data = b"tls-server-end-point:".to_vec();
    data.extend_from_slice(&hash);
    let mut structure = vec![0_u8; 24];
    structure.extend_from_slice(&u32::try_from(data.len()).ok()?.to_le_bytes());
    structure.extend_from_slice(&32_u32.to_le_bytes());
    structure.extend_from_slice(&data);
    Some(structure)
}

/// Speaks to KDCs over TCP, with bounds that the library's own client lacks.
struct Kdc;

impl NetworkClient for Kdc {
    fn send(&self, request: &NetworkRequest) -> sspi::Result<Vec<u8>> {
        let failed = |why: String| Error::new(ErrorKind::NoAuthenticatingAuthority, why);
        if request.url.scheme() != "tcp" {
            return Err(failed(format!("a KDC is spoken to over tcp, not {}", request.url.scheme())));
        }
        let host = request.url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = request.url.port().unwrap_or(88);
        let addresses = (host, port).to_socket_addrs().map_err(|error| failed(format!("{host}: {error}")))?;
        let mut last = failed(format!("{host} has no address"));
        for address in addresses.take(4) {
            match ask(&address, &request.data) {
                Ok(answer) => return Ok(answer),
                Err(error) => last = failed(format!("{host} ({address}): {error}")),
            }
        }
        Err(last)
    }
}

/// RFC 4120 7.2.2: a length of four octets, then the message, both ways. The library's data has its length already.
fn ask(address: &std::net::SocketAddr, data: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(address, KDC_PATIENCE)?;
    stream.set_read_timeout(Some(KDC_PATIENCE))?;
    stream.set_write_timeout(Some(KDC_PATIENCE))?;
    stream.write_all(data)?;
    let mut length = [0_u8; 4];
    stream.read_exact(&mut length)?;
    let size = u32::from_be_bytes(length) as usize;
    if size > LONGEST_TICKET {
        return Err(std::io::Error::other("the answer is far too long"));
    }
    let mut answer = vec![0_u8; size + 4];
    answer[..4].copy_from_slice(&length);
    stream.read_exact(&mut answer[4..])?;
    Ok(answer)
}
