//! RFC 3161 timestamps: the question, and everything about an answer that can be checked without a network.
//!
//! An answer holds a signed statement (CMS, RFC 5652) that some bytes existed at some time. Checked are: the status,
//! that it is about these bytes and this question, the signature over the signed attributes and what they bind (the
//! content, its type, the signer's certificate), and the certificate's way to a trusted root, as of the stated time,
//! with the purpose "time stamping". Revocation is not looked at: it cannot be known offline.

mod authority;
mod signature;

use chrono::{DateTime, NaiveDate, Utc};
use der::asn1::{Any, AnyRef, BitStringRef, Int, ObjectIdentifier, OctetString, Uint, Utf8StringRef};
use der::{Decode as _, Encode as _, Reader as _, Sequence, SliceReader, Tag, TagNumber, Tagged as _};
use ring::digest;
use std::time::Duration;
use x509_cert::spki::AlgorithmIdentifierOwned;

/// The longest answer that is read, in bytes.
pub const LONGEST: usize = 64 * 1024;

const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
/// PKIFailureInfo (RFC 3161, 2.4.2): the bits that have a name.
const FAILURES: [(usize, &str); 8] = [
    (0, "badAlg"),
    (2, "badRequest"),
    (5, "badDataFormat"),
    (14, "timeNotAvailable"),
    (15, "unacceptedPolicy"),
    (16, "unacceptedExtension"),
    (17, "addInfoNotAvailable"),
    (25, "systemFailure"),
];

/// What a timestamp states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// To the microsecond; finer digits are cut off.
    pub gen_time: DateTime<Utc>,
    /// How far off the time may be, either way, where the authority says so.
    pub accuracy: Option<Duration>,
    /// Of this token among the authority's, hex.
    pub serial: String,
    /// The authority's policy, an object identifier.
    pub policy: String,
    /// The signing certificate's subject (RFC 4514).
    pub authority: String,
}

/// Why a timestamp does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    #[error("the answer has {0} bytes; at most {LONGEST} are read")]
    TooLong(usize),
    #[error("not a timestamp: {part} cannot be read ({why})")]
    Malformed { part: &'static str, why: String },
    #[error("the authority refused: {0}")]
    Refused(String),
    #[error("the authority granted the timestamp, but sent none")]
    NoToken,
    #[error("not a timestamp: the token is of type {0}, not signed data")]
    NotSigned(ObjectIdentifier),
    #[error("not a timestamp: what is signed is of type {0}, not a timestamp")]
    NotStamp(ObjectIdentifier),
    #[error("the timestamp names its data by the digest {0}, not by SHA-256")]
    Imprint(ObjectIdentifier),
    #[error("the timestamp is about other bytes")]
    OtherData,
    #[error("the timestamp answers another question: it has no nonce, or not the one that was sent")]
    OtherNonce,
    #[error("the timestamp has an extension ({0}) that must be understood and is not")]
    Extension(ObjectIdentifier),
    #[error("the timestamp has {0} signatures; exactly one is expected")]
    Signers(usize),
    #[error("the signature is made with an algorithm that is not read (signature {signature}, digest {digest})")]
    Algorithm { signature: ObjectIdentifier, digest: ObjectIdentifier },
    #[error("the signature's {0} attribute is not there exactly once, or cannot be read")]
    Attribute(&'static str),
    #[error("the signature is for content of type {0}, not for a timestamp")]
    OtherType(ObjectIdentifier),
    #[error("the signature is over other content than the timestamp's (message digest)")]
    OtherContent,
    #[error("the certificate that the signature binds is not in the token")]
    NoCertificate,
    #[error("the signature names one certificate as its signer's and binds another")]
    OtherSigner,
    #[error("the signature does not fit the certificate's key")]
    Signature,
    #[error("no root certificate to lead to was given")]
    NoRoots,
    #[error("the root certificates cannot be read: {0}")]
    Roots(String),
    #[error("the authority's certificate is not for timestamps alone: {0}")]
    Purpose(&'static str),
    #[error("the authority's certificate did not lead to a given root at the stated time: {0}")]
    Chain(String),
    #[error("the root certificate {0} was not valid at the stated time")]
    RootExpired(String),
}

use TimestampError as E;

fn malformed<T: std::fmt::Display>(part: &'static str) -> impl Fn(T) -> E {
    move |why| E::Malformed { part, why: why.to_string() }
}

#[derive(Sequence)]
struct Imprint {
    algorithm: AlgorithmIdentifierOwned,
    hashed: OctetString,
}

#[derive(Sequence)]
struct Question {
    version: u8,
    imprint: Imprint,
    nonce: Uint,
    certificates: bool,
}

/// A DER TimeStampReq for a SHA-256 digest, asking for the certificate.
pub fn request(data_digest: [u8; 32], nonce: u64) -> Vec<u8> {
    let algorithm = AlgorithmIdentifierOwned { oid: SHA_256, parameters: Some(Any::null()) };
    let question = || {
        let imprint = Imprint { algorithm, hashed: OctetString::new(data_digest.to_vec())? };
        // Uint drops leading zeros itself.
        Question { version: 1, imprint, nonce: Uint::new(&nonce.to_be_bytes())?, certificates: true }.to_der()
    };
    question().expect("a question of fixed shape can be encoded")
}

/// An authority's answer (TimeStampResp) that was granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    token: Vec<u8>,
}

impl Response {
    /// Reads an answer; looks at the status alone.
    ///
    /// # Errors
    /// Too long, malformed, refused (with the authority's words), or granted without a token.
    pub fn parse(der: &[u8]) -> Result<Self, TimestampError> {
        granted(bounded(der)?).map(|token| Self { token: token.to_vec() })
    }

    /// The token (a CMS ContentInfo) in DER.
    pub fn token(&self) -> &[u8] {
        &self.token
    }
}

/// Looks through an authority's answer (TimeStampResp), or the token in it, about these bytes. `roots` are PEM
/// certificates, to one of which its own must lead; `nonce` is the question's, where it is still known.
///
/// # Errors
/// As [`TimestampError`] lists.
pub fn verify(answer: &[u8], data: &[u8], roots: &str, nonce: Option<u64>) -> Result<Stamp, TimestampError> {
    let mut imprint = [0; 32];
    imprint.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    verify_digest(answer, imprint, roots, nonce)
}

/// As [`verify`], where only the data's SHA-256 is at hand.
///
/// # Errors
/// As [`TimestampError`] lists.
pub fn verify_digest(
    answer: &[u8],
    data_digest: [u8; 32],
    roots: &str,
    nonce: Option<u64>,
) -> Result<Stamp, TimestampError> {
    let signed = signature::Signed::read(token(bounded(answer)?)?)?;
    let info = Info::read(signed.content)?;
    if info.imprint.algorithm.oid != SHA_256 {
        return Err(E::Imprint(info.imprint.algorithm.oid));
    }
    if info.imprint.hashed.as_bytes() != data_digest {
        return Err(E::OtherData);
    }
    if nonce.is_some_and(|nonce| info.nonce.as_deref() != Some(trimmed(&nonce.to_be_bytes()))) {
        return Err(E::OtherNonce);
    }
    let signer = signed.signer()?;
    authority::check(&signer, &signed.certificates, roots, info.gen_time)?;
    Ok(Stamp {
        gen_time: info.gen_time,
        accuracy: info.accuracy,
        serial: info.serial,
        policy: info.policy.to_string(),
        authority: signer.certificate.tbs_certificate.subject.to_string(),
    })
}

fn bounded(answer: &[u8]) -> Result<&[u8], E> {
    if answer.len() > LONGEST { Err(E::TooLong(answer.len())) } else { Ok(answer) }
}

/// The bytes without leading zeros; at least one.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len().saturating_sub(1));
    &bytes[first..]
}

/// The next part, if it is of that tag.
fn optional<'a>(reader: &mut SliceReader<'a>, tag: Tag) -> der::Result<Option<AnyRef<'a>>> {
    if !reader.is_finished() && reader.peek_tag()? == tag { reader.decode().map(Some) } else { Ok(None) }
}

fn tagged(number: TagNumber, constructed: bool) -> Tag {
    Tag::ContextSpecific { number, constructed }
}

/// A reader of what is in a whole SEQUENCE, nothing after it.
fn inside(der: &[u8]) -> der::Result<SliceReader<'_>> {
    SliceReader::new(AnyRef::from_der(der)?.sequence(|reader| reader.read_slice(reader.remaining_len()))?)
}

/// A token as it is, or the one in an answer: an answer starts with a SEQUENCE (its status), a token with its type.
fn token(answer: &[u8]) -> Result<&[u8], E> {
    let first = inside(answer).and_then(|reader| reader.peek_tag()).map_err(malformed("the answer"))?;
    if first == Tag::ObjectIdentifier { Ok(answer) } else { granted(answer) }
}

/// The token of an answer that was granted.
fn granted(answer: &[u8]) -> Result<&[u8], E> {
    let read = || {
        let mut reader = inside(answer)?;
        let status = reader.tlv_bytes()?;
        let token = if reader.is_finished() { None } else { Some(reader.tlv_bytes()?) };
        reader.finish((status, token))
    };
    let (status, token) = read().map_err(malformed("the answer"))?;
    refusal(status).map_err(malformed("the answer's status"))?.map_or(Ok(()), |words| Err(E::Refused(words)))?;
    token.ok_or(E::NoToken)
}

/// What a status (PKIStatusInfo) that is no grant says.
fn refusal(der: &[u8]) -> der::Result<Option<String>> {
    let mut reader = inside(der)?;
    let status: u8 = reader.decode()?;
    let texts = optional(&mut reader, Tag::Sequence)?;
    let failure = optional(&mut reader, Tag::BitString)?;
    reader.finish(())?;
    let mut words = match status {
        // 0 granted, 1 granted with modifications.
        0 | 1 => return Ok(None),
        2 => "rejection".to_owned(),
        3 => "waiting".to_owned(),
        4 => "a revocation is imminent".to_owned(),
        5 => "its certificate is revoked".to_owned(),
        other => format!("status {other}"),
    };
    if let Some(texts) = texts {
        let mut texts = SliceReader::new(texts.value())?;
        while !texts.is_finished() {
            let text = texts.decode::<Utf8StringRef<'_>>()?.as_str();
            words.push_str(": ");
            words.extend(text.chars().filter(|one| !one.is_control()).take(200));
        }
    }
    if let Some(failure) = failure {
        let bits = failure.decode_as::<BitStringRef<'_>>()?;
        for (place, _) in bits.bits().enumerate().filter(|(_, set)| *set) {
            match FAILURES.iter().find(|(known, _)| *known == place) {
                Some((_, name)) => words.push_str(&format!(" ({name})")),
                None => words.push_str(&format!(" (failure {place})")),
            }
        }
    }
    Ok(Some(words.chars().take(1000).collect()))
}

/// What stands in the token: RFC 3161's TSTInfo.
struct Info {
    policy: ObjectIdentifier,
    imprint: Imprint,
    serial: String,
    gen_time: DateTime<Utc>,
    accuracy: Option<Duration>,
    /// Without leading zeros.
    nonce: Option<Vec<u8>>,
}

impl Info {
    fn read(content: &[u8]) -> Result<Self, E> {
        let read = || {
            let mut reader = inside(content)?;
            let version: u8 = reader.decode()?;
            let (policy, imprint) = (reader.decode()?, reader.decode()?);
            let serial: Int = reader.decode()?;
            // With fractions of a second, which der's own type does not read.
            let time: AnyRef<'_> = reader.decode()?;
            let accuracy = optional(&mut reader, Tag::Sequence)?.map(|part| accuracy(part.value())).transpose()?;
            let _ordering = optional(&mut reader, Tag::Boolean)?;
            let nonce = optional(&mut reader, Tag::Integer)?.map(|part| trimmed(part.value()).to_vec());
            let _tsa = optional(&mut reader, tagged(TagNumber::N0, true))?;
            let extensions = optional(&mut reader, tagged(TagNumber::N1, true))?;
            let serial = hex::encode(trimmed(serial.as_bytes()));
            reader.finish((version, policy, imprint, serial, time, accuracy, nonce, extensions))
        };
        let (version, policy, imprint, serial, time, accuracy, nonce, extensions) =
            read().map_err(malformed("what is signed"))?;
        if version != 1 {
            return Err(malformed("what is signed")(format!("version {version}")));
        }
        if let Some(oid) =
            extensions.map(|part| critical(part.value())).transpose().map_err(malformed("an extension"))?.flatten()
        {
            return Err(E::Extension(oid));
        }
        let text = if time.tag() == Tag::GeneralizedTime { std::str::from_utf8(time.value()).ok() } else { None };
        let unread = || {
            let why = String::from_utf8_lossy(time.value()).chars().take(40).collect::<String>();
            E::Malformed { part: "its time", why: why.escape_debug().to_string() }
        };
        let gen_time = text.and_then(moment).ok_or_else(unread)?;
        Ok(Self { policy, imprint, serial, gen_time, accuracy, nonce })
    }
}

/// The first extension that is marked critical: none is known here.
fn critical(extensions: &[u8]) -> der::Result<Option<ObjectIdentifier>> {
    let mut reader = SliceReader::new(extensions)?;
    while !reader.is_finished() {
        let one: x509_cert::ext::Extension = reader.decode()?;
        if one.critical {
            return Ok(Some(one.extn_id));
        }
    }
    Ok(None)
}

/// Seconds, thousandths and millionths, each where it is there.
fn accuracy(content: &[u8]) -> der::Result<Duration> {
    let mut reader = SliceReader::new(content)?;
    let mut take = |tag| -> der::Result<u32> {
        let Some(part) = optional(&mut reader, tag)? else { return Ok(0) };
        AnyRef::new(Tag::Integer, part.value())?.decode_as()
    };
    let seconds = take(Tag::Integer)?;
    let thousandths = take(tagged(TagNumber::N0, false))?;
    let millionths = take(tagged(TagNumber::N1, false))?;
    reader.finish(())?;
    if thousandths > 999 || millionths > 999 {
        return Err(Tag::Integer.value_error());
    }
    Ok(Duration::from_secs(seconds.into()) + Duration::from_micros(u64::from(thousandths * 1000 + millionths)))
}

/// `YYYYMMDDhhmmss[.f…]Z`, as RFC 3161 has it.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    let (whole, fraction) = match text.strip_suffix('Z')?.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (text.strip_suffix('Z')?, ""),
    };
    if whole.len() != 14 || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| whole[range].parse::<u32>().ok();
    let micros: u32 = format!("{fraction:0<6}")[..6].parse().ok()?;
    NaiveDate::from_ymd_opt(whole[..4].parse().ok()?, number(4..6)?, number(6..8)?)?
        .and_hms_micro_opt(number(8..10)?, number(10..12)?, number(12..14)?, micros)
        .map(|time| time.and_utc())
}
