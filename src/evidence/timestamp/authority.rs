//! The authority's certificate: what it is for, and its way to a trusted root.

use super::E;
use super::signature::Signer;
use chrono::{DateTime, Utc};
use der::Decode as _;
use der::asn1::ObjectIdentifier;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, TrustAnchor, UnixTime};
use std::time::Duration;
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter, KeyUsage};
use webpki::{RequiredEkuNotFoundContext, anchor_from_trusted_cert};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{self, ExtendedKeyUsage};

const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// The certificate is for timestamps alone and led to one of the roots at that time.
pub(super) fn check(
    signer: &Signer<'_>,
    others: &[CertificateDer<'_>],
    roots: &str,
    at: DateTime<Utc>,
) -> Result<(), E> {
    purpose(&signer.certificate)?;
    let roots = pem(roots)?;
    let anchors: Vec<TrustAnchor<'_>> = roots
        .iter()
        .map(anchor_from_trusted_cert)
        .collect::<Result<_, _>>()
        .map_err(|error| E::Roots(error.to_string()))?;
    let seconds = u64::try_from(at.timestamp()).map_err(|_| E::Chain("the time is before 1970".to_owned()))?;
    let chain = |error: webpki::Error| E::Chain(told(&error));
    let end = EndEntityCert::try_from(&signer.der).map_err(chain)?;
    let path = end
        .verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &anchors,
            others,
            UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
            Purposes,
            None,
            None,
        )
        .map_err(chain)?;
    // An anchor is a name and a key to webpki. The same key may stand in an older and in a renewed root.
    let led_to = roots.iter().zip(&anchors).filter(|(_, anchor)| *anchor == path.anchor());
    let mut expired = None;
    for (root, _) in led_to {
        let root = Certificate::from_der(root).map_err(|error| E::Roots(error.to_string()))?;
        let validity = root.tbs_certificate.validity;
        let time = Duration::from_secs(seconds);
        if validity.not_before.to_unix_duration() <= time && time <= validity.not_after.to_unix_duration() {
            return Ok(());
        }
        expired = Some(root.tbs_certificate.subject.to_string());
    }
    Err(E::RootExpired(expired.unwrap_or_default()))
}

/// RFC 3161, 2.3: the one purpose is time stamping, and marked critical. As openssl has it, the key signs and does
/// nothing else, where that is said.
fn purpose(certificate: &Certificate) -> Result<(), E> {
    let inner = &certificate.tbs_certificate;
    let unread = |_| E::Purpose("its key usage cannot be read");
    match inner.get::<ExtendedKeyUsage>().map_err(unread)? {
        None => return Err(E::Purpose("it has no extended key usage")),
        Some((_, purposes)) if purposes.0 != [TIME_STAMPING] => {
            return Err(E::Purpose("its extended key usage is not just timeStamping"));
        }
        Some((false, _)) => return Err(E::Purpose("its extended key usage is not marked critical")),
        Some((true, _)) => {}
    }
    // The first two bits: digitalSignature and nonRepudiation.
    match inner.get::<pkix::KeyUsage>().map_err(unread)? {
        Some((_, usage)) if usage.0.bits() & 0b11 == 0 || usage.0.bits() & !0b11 != 0 => {
            Err(E::Purpose("its key usage is not just to sign"))
        }
        _ => Ok(()),
    }
}

/// webpki asks this of every certificate of a chain but the root. `KeyUsage::required` would ask the purpose of those
/// between as well, where many authorities name none: there, none means any (RFC 5280, 4.2.1.12). The signer's own has
/// been looked at more strictly before.
struct Purposes;

impl ExtendedKeyUsageValidator for Purposes {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut none = true;
        for purpose in purposes {
            let purpose = purpose?;
            none = false;
            if [TIME_STAMPING, ANY_PURPOSE].iter().any(|oid| purpose == KeyPurposeId::new(oid.as_bytes())) {
                return Ok(());
            }
        }
        let required = KeyUsage::required(TIME_STAMPING.as_bytes());
        let missing = RequiredEkuNotFoundContext { required, present: Vec::new() };
        if none { Ok(()) } else { Err(webpki::Error::RequiredEkuNotFoundContext(missing)) }
    }
}

/// What webpki found, in words.
fn told(error: &webpki::Error) -> String {
    use webpki::Error as W;
    match error {
        W::UnknownIssuer => "none of the given roots issued it or a certificate above it".to_owned(),
        W::CertExpired { .. } => "a certificate had expired".to_owned(),
        W::CertNotValidYet { .. } => "a certificate was not valid yet".to_owned(),
        W::UnsupportedCriticalExtension => "a certificate has a critical extension that is not read".to_owned(),
        W::RequiredEkuNotFoundContext(_) => "a certificate above it is for other purposes".to_owned(),
        other => other.to_string(),
    }
}

/// The certificates of a PEM text.
fn pem(text: &str) -> Result<Vec<CertificateDer<'static>>, E> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| E::Roots(error.to_string()))?;
    if certificates.is_empty() { Err(E::NoRoots) } else { Ok(certificates) }
}
