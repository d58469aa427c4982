//! RFC 3161 timestamps: the question, and everything about an answer that can be checked without a network.
//!
//! An answer holds a signed statement (CMS, RFC 5652) that some bytes existed at some time. Checked are: the status, that it
//! is about these bytes and this question, the signature over the signed attributes and what they bind (content, type, the
//! signer's certificate), and the certificate's way to a trusted root, as of the stated time, with the purpose
//! "time stamping".

use chrono::{DateTime, NaiveDateTime, Utc};
use cms::attr::MessageDigest;
use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::{SignedData, SignerIdentifier, SignerInfo};
use der::asn1::{Any, AnyRef, BitString, Int, ObjectIdentifier, OctetString, OctetStringRef, Uint, Utf8StringRef};
use der::{Encode as _, Reader as _, Sequence, SliceReader, Tag, Tagged as _};
use ring::digest;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use webpki::ring as algorithms;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::spki::AlgorithmIdentifierOwned;

/// The longest answer that is read.
const LONGEST: usize = 64 * 1024;

const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
/// The signer's certificate, by SHA-1 (RFC 2634) and by any digest (RFC 5035).
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
/// Signatures that are read: RSA (with and without the digest in its name), ECDSA, Ed25519. Which it is, the key says.
const SIGNATURES: [ObjectIdentifier; 8] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"),
    ObjectIdentifier::new_unwrap("1.3.101.112"),
];
/// id-kp-timeStamping, 1.3.6.1.5.5.7.3.8, as webpki takes it.
const TIME_STAMPING: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08];

/// What a timestamp states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    pub gen_time: DateTime<Utc>,
    /// Of this token among the authority's, hex.
    pub serial: String,
    /// The authority's policy, an object identifier.
    pub policy: String,
    /// The signing certificate's subject.
    pub authority: String,
}

/// Why a timestamp does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    #[error("not a timestamp: {0}")]
    Malformed(String),
    #[error("the authority refused: {0}")]
    Refused(String),
    #[error("the timestamp is about other bytes")]
    OtherData,
    #[error("the timestamp answers another question")]
    OtherNonce,
    #[error("the timestamp's signature does not hold: {0}")]
    Signature(&'static str),
    #[error("the authority's certificate does not hold: {0}")]
    Certificate(String),
}

use TimestampError as E;

fn malformed(error: impl std::fmt::Display) -> E {
    E::Malformed(error.to_string())
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

/// A DER TimeStampReq for SHA-256, asking for the certificate.
pub fn request(data_digest: [u8; 32], nonce: u64) -> Vec<u8> {
    let algorithm = AlgorithmIdentifierOwned { oid: SHA_256, parameters: Some(Any::null()) };
    let question = || {
        let hashed = OctetString::new(data_digest.to_vec())?;
        let nonce = nonce.to_be_bytes();
        let first = nonce.iter().position(|byte| *byte != 0).unwrap_or(7);
        let imprint = Imprint { algorithm, hashed };
        Question { version: 1, imprint, nonce: Uint::new(&nonce[first..])?, certificates: true }.to_der()
    };
    question().expect("a question of fixed shape can be encoded")
}

/// What stands in the token: RFC 3161's TSTInfo, as far as it is looked at.
struct Info {
    policy: ObjectIdentifier,
    imprint: Imprint,
    serial: Int,
    gen_time: DateTime<Utc>,
    nonce: Option<Vec<u8>>,
}

/// Looks through an authority's answer (TimeStampResp) about these bytes. `roots` are PEM certificates that its own must
/// lead to; `nonce` is the question's, where it is still known.
///
/// # Errors
/// As [`TimestampError`] lists.
pub fn verify(answer: &[u8], data: &[u8], roots: &str, nonce: Option<u64>) -> Result<Stamp, TimestampError> {
    if answer.len() > LONGEST {
        return Err(malformed("longer than 64 KiB"));
    }
    let token = granted(answer)?;
    if token.content_type != SIGNED_DATA {
        return Err(malformed("not signed data"));
    }
    let signed: SignedData = token.content.decode_as().map_err(malformed)?;
    if signed.encap_content_info.econtent_type != TST_INFO {
        return Err(malformed("the signed content is no timestamp"));
    }
    let content = signed.encap_content_info.econtent.as_ref().ok_or_else(|| malformed("it has no content"))?;
    let content = content.decode_as::<OctetStringRef<'_>>().map_err(malformed)?.as_bytes();
    let info = info(content)?;
    if info.imprint.algorithm.oid != SHA_256
        || info.imprint.hashed.as_bytes() != digest::digest(&digest::SHA256, data).as_ref()
    {
        return Err(E::OtherData);
    }
    if let Some(nonce) = nonce {
        let asked = nonce.to_be_bytes();
        let told = info.nonce.as_deref().unwrap_or_default();
        let trimmed = |bytes: &[u8]| bytes.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<u8>>();
        if trimmed(told) != trimmed(&asked) {
            return Err(E::OtherNonce);
        }
    }
    let [signer] = signed.signer_infos.0.as_slice() else { return Err(malformed("not exactly one signature")) };
    let certificate = signature(&signed, signer, content)?;
    chain(&signed, &certificate, roots, info.gen_time)?;
    Ok(Stamp {
        gen_time: info.gen_time,
        serial: hex::encode(info.serial.as_bytes()),
        policy: info.policy.to_string(),
        authority: certificate.tbs_certificate.subject.to_string(),
    })
}

/// The token of an answer that was granted.
fn granted(answer: &[u8]) -> Result<ContentInfo, E> {
    let mut reader = SliceReader::new(answer).map_err(malformed)?;
    let (status, words, token) = reader
        .sequence(|reader| {
            let (status, words) = reader.sequence(|reader| {
                let status: u8 = reader.decode()?;
                let mut words = String::new();
                while !reader.is_finished() {
                    let part: AnyRef<'_> = reader.decode()?;
                    if part.tag() == Tag::Sequence {
                        let mut texts = SliceReader::new(part.value())?;
                        while !texts.is_finished() {
                            words.push_str(texts.decode::<Utf8StringRef<'_>>()?.as_str());
                        }
                    } else if part.tag() == Tag::BitString {
                        let failure: BitString = part.decode_as()?;
                        words.push_str(&format!(" (failInfo {})", hex::encode(failure.raw_bytes())));
                    }
                }
                Ok((status, words))
            })?;
            let token = if reader.is_finished() { None } else { Some(reader.decode::<ContentInfo>()?) };
            Ok((status, words, token))
        })
        .map_err(malformed)?;
    reader.finish(()).map_err(malformed)?;
    // 0 granted, 1 granted with modifications.
    if status > 1 {
        return Err(E::Refused(format!("status {status} {words}").trim().to_owned()));
    }
    token.ok_or_else(|| malformed("granted, but without a token"))
}

fn info(content: &[u8]) -> Result<Info, E> {
    let mut reader = SliceReader::new(content).map_err(malformed)?;
    let read = reader
        .sequence(|reader| {
            let _version: u8 = reader.decode()?;
            let (policy, imprint, serial) = (reader.decode()?, reader.decode()?, reader.decode()?);
            // With fractions of a second, which der's own type does not read.
            let time: AnyRef<'_> = reader.decode()?;
            let mut nonce = None;
            while !reader.is_finished() {
                let part: AnyRef<'_> = reader.decode()?;
                // accuracy is a SEQUENCE, ordering a BOOLEAN, tsa and extensions are tagged.
                if part.tag() == Tag::Integer {
                    nonce = Some(part.value().to_vec());
                }
            }
            Ok((policy, imprint, serial, time, nonce))
        })
        .map_err(malformed)?;
    reader.finish(()).map_err(malformed)?;
    let (policy, imprint, serial, time, nonce) = read;
    if time.tag() != Tag::GeneralizedTime {
        return Err(malformed("its time is not one"));
    }
    let text = std::str::from_utf8(time.value()).map_err(malformed)?;
    let gen_time = NaiveDateTime::parse_from_str(text, "%Y%m%d%H%M%S%.fZ").map_err(malformed)?.and_utc();
    Ok(Info { policy, imprint, serial, gen_time, nonce })
}

/// The digest of that algorithm; the algorithms that a signature with it may have.
fn digested(
    oid: ObjectIdentifier,
) -> Option<(&'static digest::Algorithm, [&'static dyn SignatureVerificationAlgorithm; 3])> {
    match oid {
        SHA_256 => Some((
            &digest::SHA256,
            [algorithms::RSA_PKCS1_2048_8192_SHA256, algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256],
        )),
        SHA_384 => Some((
            &digest::SHA384,
            [algorithms::RSA_PKCS1_2048_8192_SHA384, algorithms::ECDSA_P256_SHA384, algorithms::ECDSA_P384_SHA384],
        )),
        SHA_512 => Some((
            &digest::SHA512,
            [algorithms::RSA_PKCS1_2048_8192_SHA512, algorithms::ED25519, algorithms::RSA_PKCS1_2048_8192_SHA512],
        )),
        _ => None,
    }
}

/// The signature over the signed attributes; the certificate that it is by.
fn signature(signed: &SignedData, signer: &SignerInfo, content: &[u8]) -> Result<Certificate, E> {
    let (digest_algorithm, candidates) =
        digested(signer.digest_alg.oid).ok_or(E::Signature("a digest that is not read"))?;
    let attributes = signer.signed_attrs.as_ref().ok_or(E::Signature("no signed attributes"))?;
    let value = |oid: ObjectIdentifier| {
        let mut found = attributes.iter().filter(|attribute| attribute.oid == oid);
        let one = found.next().filter(|attribute| attribute.values.len() == 1)?;
        if found.next().is_some() { None } else { one.values.get(0) }
    };
    let typed: ObjectIdentifier =
        value(CONTENT_TYPE).and_then(|any| any.decode_as().ok()).ok_or(E::Signature("no content type"))?;
    let stated: MessageDigest =
        value(MESSAGE_DIGEST).and_then(|any| any.decode_as().ok()).ok_or(E::Signature("no message digest"))?;
    if typed != TST_INFO || stated.as_bytes() != digest::digest(digest_algorithm, content).as_ref() {
        return Err(E::Signature("it is over other content"));
    }
    let certificate = bound(signed, value(SIGNING_CERTIFICATE_V2), value(SIGNING_CERTIFICATE))?;
    let named = match &signer.sid {
        SignerIdentifier::IssuerAndSerialNumber(named) => {
            named.issuer == certificate.tbs_certificate.issuer
                && named.serial_number == certificate.tbs_certificate.serial_number
        }
        // The digest above binds more than a key's identifier could.
        SignerIdentifier::SubjectKeyIdentifier(_) => true,
    };
    if !named {
        return Err(E::Signature("it names one certificate and binds another"));
    }
    if !SIGNATURES.contains(&signer.signature_algorithm.oid)
        || !signed.digest_algorithms.iter().any(|algorithm| algorithm.oid == signer.digest_alg.oid)
    {
        return Err(E::Signature("an algorithm that is not read"));
    }
    let der = CertificateDer::from(certificate.to_der().map_err(malformed)?);
    let key = EndEntityCert::try_from(&der).map_err(|error| E::Certificate(error.to_string()))?;
    let bytes = attributes.to_der().map_err(malformed)?;
    if candidates.iter().any(|algorithm| key.verify_signature(*algorithm, &bytes, signer.signature.as_bytes()).is_ok())
    {
        Ok(certificate)
    } else {
        Err(E::Signature("it does not fit the certificate's key"))
    }
}

/// The certificate that the signed attributes name by its digest.
fn bound(signed: &SignedData, newer: Option<&Any>, older: Option<&Any>) -> Result<Certificate, E> {
    let (any, version_2) = newer
        .map(|any| (any, true))
        .or(older.map(|any| (any, false)))
        .ok_or(E::Signature("it does not say which certificate it is by"))?;
    let (algorithm, named) = named(any, version_2).map_err(malformed)?;
    let (digest_algorithm, _) = match algorithm {
        Some(oid) => digested(oid).ok_or(E::Signature("its certificate is named by a digest that is not read"))?,
        None if version_2 => (&digest::SHA256, [algorithms::ED25519; 3]),
        None => (&digest::SHA1_FOR_LEGACY_USE_ONLY, [algorithms::ED25519; 3]),
    };
    for certificate in certificates(signed) {
        let der = certificate.to_der().map_err(malformed)?;
        if digest::digest(digest_algorithm, &der).as_ref() == named {
            return Ok(certificate.clone());
        }
    }
    Err(E::Signature("the certificate that it names is not there"))
}

/// The first ESSCertID(v2): the digest's algorithm where it is not the default, and the digest.
fn named(any: &Any, version_2: bool) -> der::Result<(Option<ObjectIdentifier>, Vec<u8>)> {
    let der = any.to_der()?;
    let mut outer = SliceReader::new(&der)?;
    let certificates: AnyRef<'_> = outer.sequence(|reader| {
        let certificates = reader.decode()?;
        while !reader.is_finished() {
            reader.decode::<AnyRef<'_>>()?;
        }
        Ok(certificates)
    })?;
    let mut list = SliceReader::new(certificates.value())?;
    let first: AnyRef<'_> = list.decode()?;
    let mut one = SliceReader::new(first.value())?;
    let mut part: AnyRef<'_> = one.decode()?;
    let mut algorithm = None;
    if version_2 && part.tag() == Tag::Sequence {
        algorithm = Some(part.decode_as::<x509_cert::spki::AlgorithmIdentifierRef<'_>>()?.oid);
        part = one.decode()?;
    }
    Ok((algorithm, part.decode_as::<OctetStringRef<'_>>()?.as_bytes().to_vec()))
}

fn certificates(signed: &SignedData) -> impl Iterator<Item = &Certificate> {
    signed.certificates.iter().flat_map(|set| set.0.iter()).filter_map(|choice| match choice {
        CertificateChoices::Certificate(certificate) => Some(certificate),
        CertificateChoices::Other(_) => None,
    })
}

/// The certificate leads to one of the roots, held at that time, and is for time stamping.
fn chain(signed: &SignedData, signer: &Certificate, roots: &str, at: DateTime<Utc>) -> Result<(), E> {
    let fail = |error: webpki::Error| E::Certificate(error.to_string());
    let der = |certificate: &Certificate| certificate.to_der().map(CertificateDer::from).map_err(malformed);
    let roots = pem(roots)?;
    let anchors: Vec<TrustAnchor<'_>> =
        roots.iter().map(anchor_from_trusted_cert).collect::<Result<_, _>>().map_err(fail)?;
    let mut between: Vec<CertificateDer<'_>> = certificates(signed).map(der).collect::<Result<_, _>>()?;
    between.extend(roots.iter().cloned());
    let end = der(signer)?;
    let time = u64::try_from(at.timestamp()).map_err(malformed)?;
    EndEntityCert::try_from(&end)
        .map_err(fail)?
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            &between,
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(time)),
            KeyUsage::required(TIME_STAMPING),
            None,
            None,
        )
        .map(drop)
        .map_err(fail)
}

/// The certificates of a PEM text.
fn pem(text: &str) -> Result<Vec<CertificateDer<'static>>, E> {
    use rustls::pki_types::pem::PemObject as _;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| E::Certificate(format!("the roots are not PEM: {error}")))?;
    if certificates.is_empty() { Err(E::Certificate("no root is trusted".to_owned())) } else { Ok(certificates) }
}
