//! The signature of a token: CMS signed data (RFC 5652) with the signer's certificate bound by the signed attributes
//! (RFC 2634, RFC 5035).
//!
//! Certificates stay the bytes that they are: digests and signatures are over those, not over what would be written.

use super::{E, SIGNED_DATA, TST_INFO, inside, malformed, optional, tagged};
use cms::attr::MessageDigest;
use cms::signed_data::{SignerIdentifier, SignerInfo};
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode as _, Encode as _, Reader as _, SliceReader, Tag, TagNumber};
use ring::digest;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use webpki::EndEntityCert;
use webpki::ring as algorithms;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::spki::AlgorithmIdentifierRef;

const SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA_256: ObjectIdentifier = super::SHA_256;
const SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA_512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const SHA_256_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA_384_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA_512_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
const ECDSA_SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA_384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
/// The signer's certificate, by SHA-1 (RFC 2634) and by any digest (RFC 5035).
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");

/// A token, taken apart; nothing of it checked yet.
pub(super) struct Signed<'a> {
    /// What is signed: a TSTInfo in DER.
    pub(super) content: &'a [u8],
    /// As they stand in the token, in DER, in no order that means anything.
    pub(super) certificates: Vec<CertificateDer<'a>>,
    digests: Vec<ObjectIdentifier>,
    signer: SignerInfo,
}

/// The certificate that a token is signed with.
pub(super) struct Signer<'a> {
    pub(super) der: CertificateDer<'a>,
    pub(super) certificate: Certificate,
}

impl<'a> Signed<'a> {
    pub(super) fn read(token: &'a [u8]) -> Result<Self, E> {
        let read = || {
            let mut reader = inside(token)?;
            let kind: ObjectIdentifier = reader.decode()?;
            let content = explicit(&mut reader)?;
            reader.finish((kind, content))
        };
        let (kind, content) = read().map_err(malformed("the token"))?;
        if kind != SIGNED_DATA {
            return Err(E::NotSigned(kind));
        }
        let read = || {
            let mut reader = inside(content)?;
            let version: u8 = reader.decode()?;
            let digests = AnyRef::decode(&mut reader)?;
            let (kind, content) = reader.sequence(|reader| {
                let kind: ObjectIdentifier = reader.decode()?;
                let content: AnyRef<'_> = reader.decode()?;
                Ok((kind, content))
            })?;
            let certificates = optional(&mut reader, tagged(TagNumber::N0, true))?;
            let _revocations = optional(&mut reader, tagged(TagNumber::N1, true))?;
            let signers: AnyRef<'a> = reader.decode()?;
            reader.finish((version, digests, kind, content, certificates, signers))
        };
        let (version, digests, kind, content, certificates, signers) = read().map_err(malformed("the signed data"))?;
        if kind != TST_INFO {
            return Err(E::NotStamp(kind));
        }
        // RFC 5652, 5.1: 3 for content that is not plain data; 4 and 5 with certificates of other kinds.
        if !(3..=5).contains(&version) {
            return Err(malformed("the signed data")(format!("version {version}")));
        }
        let content = wrapped(content).map_err(malformed("the signed content"))?;
        let digests = set(digests, |reader| Ok(reader.decode::<AlgorithmIdentifierRef<'_>>()?.oid))
            .map_err(malformed("the list of digests"))?;
        // Certificates of other kinds are tagged; they can be nobody's who signs timestamps.
        let certificates = certificates
            .map(|part| each(part.value(), |reader| reader.tlv_bytes()))
            .transpose()
            .map_err(malformed("the certificates"))?;
        let certificates = certificates
            .unwrap_or_default()
            .into_iter()
            .filter(|der| der.first() == Some(&0x30))
            .map(CertificateDer::from);
        let mut signers = set(signers, |reader| reader.decode::<SignerInfo>()).map_err(malformed("the signature"))?;
        match (signers.pop(), signers.len()) {
            (Some(signer), 0) => Ok(Self { content, certificates: certificates.collect(), digests, signer }),
            (None, _) => Err(E::Signers(0)),
            (Some(_), more) => Err(E::Signers(more + 1)),
        }
    }

    /// Checks the signature over the signed attributes and what they bind; gives the certificate that it is by. Whether
    /// that is to be trusted is not asked here.
    pub(super) fn signer(&self) -> Result<Signer<'a>, E> {
        let unread =
            || E::Algorithm { signature: self.signer.signature_algorithm.oid, digest: self.signer.digest_alg.oid };
        let digest_oid = self.signer.digest_alg.oid;
        let candidates = candidates(self.signer.signature_algorithm.oid, digest_oid).ok_or_else(unread)?;
        let digest_algorithm = digested(digest_oid).ok_or_else(unread)?;
        let listed = self.digests.contains(&digest_oid);
        let plain = [&self.signer.digest_alg, &self.signer.signature_algorithm]
            .iter()
            .all(|algorithm| algorithm.parameters.as_ref().is_none_or(|any| any.is_null()));
        if !listed || !plain {
            return Err(unread());
        }
        let kind: ObjectIdentifier = self.attribute(CONTENT_TYPE, "content type", |any| any.decode_as())?;
        if kind != TST_INFO {
            return Err(E::OtherType(kind));
        }
        let stated: MessageDigest = self.attribute(MESSAGE_DIGEST, "message digest", |any| any.decode_as())?;
        if stated.as_bytes() != digest::digest(digest_algorithm, self.content).as_ref() {
            return Err(E::OtherContent);
        }
        let signer = self.bound()?;
        if !self.named(&signer.certificate) {
            return Err(E::OtherSigner);
        }
        // RFC 5652, 5.4: what is signed is the attributes as a DER SET OF, whatever their tag and order in the token.
        let bytes = self.signer.signed_attrs.to_der().map_err(malformed("the signed attributes"))?;
        let key = EndEntityCert::try_from(&signer.der).map_err(malformed("the signer's certificate"))?;
        let fits = |algorithm: &&dyn SignatureVerificationAlgorithm| {
            key.verify_signature(*algorithm, &bytes, self.signer.signature.as_bytes()).is_ok()
        };
        let holds = candidates.iter().any(fits);
        drop(key);
        if holds { Ok(signer) } else { Err(E::Signature) }
    }

    /// The one value of the one signed attribute of that type.
    fn attribute<T>(
        &self,
        oid: ObjectIdentifier,
        name: &'static str,
        read: impl FnOnce(&der::Any) -> der::Result<T>,
    ) -> Result<T, E> {
        let mut found = self.signer.signed_attrs.iter().flat_map(|set| set.iter()).filter(|one| one.oid == oid);
        let (Some(one), None) = (found.next(), found.next()) else { return Err(E::Attribute(name)) };
        let (Some(value), 1) = (one.values.get(0), one.values.len()) else { return Err(E::Attribute(name)) };
        read(value).map_err(|_| E::Attribute(name))
    }

    /// The certificate that the signed attributes name by its digest. Where both forms are there, both must name it.
    fn bound(&self) -> Result<Signer<'a>, E> {
        const NAME: &str = "signing certificate";
        let has = |oid| self.signer.signed_attrs.iter().flat_map(|set| set.iter()).any(|one| one.oid == oid);
        let mut names = Vec::new();
        for (oid, default) in [(SIGNING_CERTIFICATE_V2, SHA_256), (SIGNING_CERTIFICATE, SHA_1)] {
            if has(oid) {
                let (algorithm, named) =
                    self.attribute(oid, NAME, |any| first_name(&any.to_der()?, default == SHA_256))?;
                let algorithm = algorithm.unwrap_or(default);
                let unread = || E::Algorithm { signature: self.signer.signature_algorithm.oid, digest: algorithm };
                names.push((digested(algorithm).ok_or_else(unread)?, named));
            }
        }
        if names.is_empty() {
            return Err(E::Attribute(NAME));
        }
        let is = |der: &&CertificateDer<'a>| {
            names.iter().all(|(algorithm, named)| digest::digest(algorithm, der).as_ref() == named)
        };
        let der = self.certificates.iter().find(is).ok_or(E::NoCertificate)?.clone();
        let certificate = Certificate::from_der(&der).map_err(malformed("the signer's certificate"))?;
        Ok(Signer { der, certificate })
    }

    /// Whether the signer's identifier is this certificate's.
    fn named(&self, certificate: &Certificate) -> bool {
        let inner = &certificate.tbs_certificate;
        match &self.signer.sid {
            SignerIdentifier::IssuerAndSerialNumber(named) => {
                named.issuer == inner.issuer && named.serial_number == inner.serial_number
            }
            SignerIdentifier::SubjectKeyIdentifier(named) => {
                inner.get::<SubjectKeyIdentifier>().is_ok_and(|own| own.is_some_and(|(_, own)| own == *named))
            }
        }
    }
}

/// What is in the next part, which must be tagged `[0] EXPLICIT`.
fn explicit<'a>(reader: &mut SliceReader<'a>) -> der::Result<&'a [u8]> {
    let part: AnyRef<'a> = reader.decode()?;
    der::Tagged::tag(&part).assert_eq(tagged(TagNumber::N0, true))?;
    Ok(part.value())
}

/// The bytes of an OCTET STRING in `[0] EXPLICIT`.
fn wrapped(part: AnyRef<'_>) -> der::Result<&[u8]> {
    der::Tagged::tag(&part).assert_eq(tagged(TagNumber::N0, true))?;
    Ok(OctetStringRef::from_der(part.value())?.as_bytes())
}

/// Everything in a SET, whatever its order.
fn set<'a, T>(part: AnyRef<'a>, one: impl FnMut(&mut SliceReader<'a>) -> der::Result<T>) -> der::Result<Vec<T>> {
    der::Tagged::tag(&part).assert_eq(Tag::Set)?;
    each(part.value(), one)
}

fn each<'a, T>(content: &'a [u8], mut one: impl FnMut(&mut SliceReader<'a>) -> der::Result<T>) -> der::Result<Vec<T>> {
    let mut reader = SliceReader::new(content)?;
    let mut all = Vec::new();
    while !reader.is_finished() {
        all.push(one(&mut reader)?);
    }
    Ok(all)
}

/// The first ESSCertID(v2), which is the signer's: the digest's algorithm where it is said, and the digest.
fn first_name(attribute: &[u8], version_2: bool) -> der::Result<(Option<ObjectIdentifier>, Vec<u8>)> {
    let mut outer = inside(attribute)?;
    let list: AnyRef<'_> = outer.decode()?;
    let _policies = optional(&mut outer, Tag::Sequence)?;
    outer.finish(())?;
    let mut list = list.sequence(|reader| SliceReader::new(reader.read_slice(reader.remaining_len())?))?;
    let mut one = inside(list.tlv_bytes()?)?;
    let mut algorithm = None;
    if version_2 && one.peek_tag()? == Tag::Sequence {
        algorithm = Some(one.decode::<AlgorithmIdentifierRef<'_>>()?.oid);
    }
    let named = one.decode::<OctetStringRef<'_>>()?.as_bytes().to_vec();
    // The issuer and serial number that may follow say no more than the digest does.
    let _issuer_serial = optional(&mut one, Tag::Sequence)?;
    one.finish((algorithm, named))
}

fn digested(oid: ObjectIdentifier) -> Option<&'static digest::Algorithm> {
    match oid {
        SHA_1 => Some(&digest::SHA1_FOR_LEGACY_USE_ONLY),
        SHA_256 => Some(&digest::SHA256),
        SHA_384 => Some(&digest::SHA384),
        SHA_512 => Some(&digest::SHA512),
        _ => None,
    }
}

/// What a signature may be checked with; the key decides between curves. `ring` has no ECDSA with SHA-512.
fn candidates(
    signature: ObjectIdentifier,
    digest: ObjectIdentifier,
) -> Option<Vec<&'static dyn SignatureVerificationAlgorithm>> {
    match (signature, digest) {
        (RSA | SHA_256_RSA, SHA_256) => Some(vec![algorithms::RSA_PKCS1_2048_8192_SHA256]),
        (RSA | SHA_384_RSA, SHA_384) => Some(vec![algorithms::RSA_PKCS1_2048_8192_SHA384]),
        (RSA | SHA_512_RSA, SHA_512) => Some(vec![algorithms::RSA_PKCS1_2048_8192_SHA512]),
        (ECDSA_SHA_256, SHA_256) => Some(vec![algorithms::ECDSA_P256_SHA256, algorithms::ECDSA_P384_SHA256]),
        (ECDSA_SHA_384, SHA_384) => Some(vec![algorithms::ECDSA_P384_SHA384, algorithms::ECDSA_P256_SHA384]),
        (ED25519, SHA_512) => Some(vec![algorithms::ED25519]),
        _ => None,
    }
}
