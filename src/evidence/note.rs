//! Signed notes (c2sp.org/signed-note) with Ed25519, and witnesses' cosignatures (c2sp.org/tlog-cosignature).
//!
//! A note is a text and the signatures below it, each under a named key. Signatures by keys that are not known, or of
//! algorithms that are not known yet (ML-DSA), are carried along and ignored.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use sha2::{Digest, Sha256};

/// Signature lines that a note may have; the specification wants at least 16.
const MOST_SIGNATURES: usize = 100;

/// What a key signs, by the number that the specifications give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// The note's text, by a log: type 0x01.
    Ed25519,
    /// "cosignature/v1", a time and the note's text, by a witness: type 0x04.
    CosignatureV1,
}

impl Algorithm {
    fn number(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::CosignatureV1 => 0x04,
        }
    }
}

/// What is wrong with a note or a key; each says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("not a signed note: {0}")]
    Note(&'static str),
    #[error("not a key: {0}")]
    Key(&'static str),
    #[error("no signature by {0}")]
    Unsigned(String),
    #[error("the signature by {0} does not fit the text")]
    Forged(String),
}

/// The public half of a named key, as a text `name+id+base64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    pub name: String,
    pub algorithm: Algorithm,
    pub public: [u8; 32],
}

impl VerifierKey {
    /// `SHA-256(name || 0x0A || type || key)[:4]`.
    pub fn id(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(&self.name)
            .chain_update([b'\n', self.algorithm.number()])
            .chain_update(self.public)
            .finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// The key as SubjectPublicKeyInfo in PEM (RFC 8410), as `openssl` reads it.
    pub fn pem(&self) -> String {
        // SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING of 32 bytes }
        let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        der.extend(self.public);
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut key = vec![self.algorithm.number()];
        key.extend(self.public);
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, id, algorithm, public) = named_key(text)?;
        let key = Self { name, algorithm, public };
        if key.id() == id { Ok(key) } else { Err(NoteError::Key("its id does not fit its name and bytes")) }
    }
}

/// `name+8 hex digits+base64 of type and 32 bytes`.
fn named_key(text: &str) -> Result<(String, [u8; 4], Algorithm, [u8; 32]), NoteError> {
    let mut parts = text.trim_end_matches(['\r', '\n']).splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(NoteError::Key("expected name+id+key"));
    };
    let id: [u8; 4] =
        hex::decode(id).ok().and_then(|id| id.try_into().ok()).ok_or(NoteError::Key("its id is not 8 hex digits"))?;
    let key = STANDARD.decode(key).map_err(|_| NoteError::Key("not base64"))?;
    let (number, key) = key.split_first().ok_or(NoteError::Key("empty"))?;
    let algorithm = match number {
        0x01 => Algorithm::Ed25519,
        0x04 => Algorithm::CosignatureV1,
        _ => return Err(NoteError::Key("neither Ed25519 (1) nor cosignature/v1 (4)")),
    };
    let key = key.try_into().map_err(|_| NoteError::Key("an Ed25519 key has 32 bytes"))?;
    if !is_name(name) {
        return Err(NoteError::Key("a name has no space and no plus, and is not empty"));
    }
    Ok((name.to_owned(), id, algorithm, key))
}

/// Whether a key may be called so.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '+')
}

/// The private half. Its text begins with `PRIVATE+KEY+` and belongs into a file that only its owner can read.
pub struct SigningKey {
    verifier: VerifierKey,
    seed: zeroize::Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
}

impl SigningKey {
    /// A key from 32 random bytes.
    ///
    /// # Errors
    /// Where the name cannot be one.
    pub fn from_seed(name: &str, algorithm: Algorithm, seed: [u8; 32]) -> Result<Self, NoteError> {
        if !is_name(name) {
            return Err(NoteError::Key("a name has no space and no plus, and is not empty"));
        }
        let seed = zeroize::Zeroizing::new(seed);
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| NoteError::Key("not a seed"))?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| NoteError::Key("not a public key"))?;
        Ok(Self { verifier: VerifierKey { name: name.to_owned(), algorithm, public }, seed, pair })
    }

    pub fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The key as its file holds it.
    pub fn text(&self) -> zeroize::Zeroizing<String> {
        let mut key = zeroize::Zeroizing::new(vec![self.verifier.algorithm.number()]);
        key.extend(*self.seed);
        let (name, id) = (&self.verifier.name, hex::encode(self.verifier.id()));
        zeroize::Zeroizing::new(format!("PRIVATE+KEY+{name}+{id}+{}", STANDARD.encode(&*key)))
    }

    /// A log's signature line over a note's text.
    pub fn sign(&self, text: &str) -> Signature {
        self.signature(self.pair.sign(text.as_bytes()).as_ref().to_vec())
    }

    /// A witness's cosignature line over a checkpoint's text, at that time (seconds since 1970).
    pub fn cosign(&self, text: &str, time: u64) -> Signature {
        let signature = self.pair.sign(cosigned(text, time).as_bytes());
        let mut bytes = time.to_be_bytes().to_vec();
        bytes.extend(signature.as_ref());
        self.signature(bytes)
    }

    fn signature(&self, bytes: Vec<u8>) -> Signature {
        Signature { name: self.verifier.name.clone(), id: self.verifier.id(), bytes }
    }
}

impl FromStr for SigningKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let rest =
            text.trim().strip_prefix("PRIVATE+KEY+").ok_or(NoteError::Key("expected PRIVATE+KEY+name+id+key"))?;
        let (name, id, algorithm, seed) = named_key(rest)?;
        let key = Self::from_seed(&name, algorithm, seed)?;
        if key.verifier.id() == id { Ok(key) } else { Err(NoteError::Key("its id does not fit its name and bytes")) }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.verifier)
    }
}

fn cosigned(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    pub name: String,
    pub id: [u8; 4],
    pub bytes: Vec<u8>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.id.to_vec();
        bytes.extend(&self.bytes);
        writeln!(f, "— {} {}", self.name, STANDARD.encode(bytes))
    }
}

impl FromStr for Signature {
    type Err = NoteError;

    fn from_str(line: &str) -> Result<Self, NoteError> {
        let bad = NoteError::Note("a signature line is “— name base64”");
        let (name, bytes) = line.strip_prefix("— ").and_then(|rest| rest.split_once(' ')).ok_or(bad.clone())?;
        let bytes = STANDARD.decode(bytes).map_err(|_| bad.clone())?;
        if !is_name(name) || bytes.len() < 5 {
            return Err(bad);
        }
        let (id, bytes) = bytes.split_at(4);
        Ok(Self { name: name.to_owned(), id: [id[0], id[1], id[2], id[3]], bytes: bytes.to_vec() })
    }
}

/// A text and the signatures below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// With its last line's end.
    pub text: String,
    pub signatures: Vec<Signature>,
}

impl Note {
    /// Whether that key signed this text; a witness's key gives the time that it states (seconds since 1970).
    ///
    /// # Errors
    /// Where there is no signature by this key, or it does not fit.
    pub fn verify(&self, key: &VerifierKey) -> Result<Option<u64>, NoteError> {
        let id = key.id();
        let mut found = Err(NoteError::Unsigned(key.name.clone()));
        for signature in self.signatures.iter().filter(|signature| signature.name == key.name && signature.id == id) {
            let forged = || NoteError::Forged(key.name.clone());
            let public = UnparsedPublicKey::new(&ED25519, key.public);
            found = match key.algorithm {
                Algorithm::Ed25519 => {
                    public.verify(self.text.as_bytes(), &signature.bytes).map(|()| None).map_err(|_| forged())
                }
                Algorithm::CosignatureV1 => {
                    let (time, bytes) = signature.bytes.split_first_chunk::<8>().ok_or_else(forged)?;
                    let time = u64::from_be_bytes(*time);
                    public
                        .verify(cosigned(&self.text, time).as_bytes(), bytes)
                        .map(|()| Some(time))
                        .map_err(|_| forged())
                }
            };
            // One wrong signature under a known key spoils the note.
            found.as_ref().map_err(Clone::clone)?;
        }
        found
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}

impl FromStr for Note {
    type Err = NoteError;

    fn from_str(whole: &str) -> Result<Self, NoteError> {
        if whole.chars().any(|letter| letter.is_ascii_control() && letter != '\n') {
            return Err(NoteError::Note("it has control characters"));
        }
        let middle = whole.rfind("\n\n").ok_or(NoteError::Note("no empty line between text and signatures"))?;
        let (text, lines) = (&whole[..=middle], &whole[middle + 2..]);
        if !lines.ends_with('\n') {
            return Err(NoteError::Note("its last line does not end"));
        }
        let signatures: Vec<Signature> = lines.lines().map(str::parse).collect::<Result<_, _>>()?;
        if signatures.is_empty() || signatures.len() > MOST_SIGNATURES {
            return Err(NoteError::Note("no signatures, or far too many"));
        }
        Ok(Self { text: text.to_owned(), signatures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_is_read() {
        // From c2sp.org/signed-note: key and note of its example.
        let key: VerifierKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
        let note: Note = "If you think cryptography is the answer to your problem,\n\
            then you don't know what your problem is.\n\n\
            — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
            .parse()
            .unwrap();
        assert_eq!(note.verify(&key), Ok(None));
        let other = Note { text: note.text.replace("you", "we"), ..note.clone() };
        assert_eq!(other.verify(&key), Err(NoteError::Forged("PeterNeumann".to_owned())));
        assert_eq!(note.to_string().parse(), Ok(note));
        assert_eq!(key.to_string().parse(), Ok(key));
    }

    #[test]
    fn a_cosignature_states_its_time() {
        let key = SigningKey::from_seed("witness.example/w", Algorithm::CosignatureV1, [7; 32]).unwrap();
        let again: SigningKey = key.text().parse().unwrap();
        let mut note = Note { text: "log\n1\nAA==\n".to_owned(), signatures: vec![again.cosign("log\n1\nAA==\n", 99)] };
        assert_eq!(note.verify(key.verifier()), Ok(Some(99)));
        note.signatures[0].bytes[7] ^= 1;
        assert!(note.verify(key.verifier()).is_err(), "the time is signed");
    }

    #[test]
    fn what_is_not_a_note_is_refused() {
        for wrong in [
            "",
            "text\n",
            "text\n\n",
            "text\n\n— a\n",
            "text\n\n— a AAAA\n",
            "text\n\n— a b c\n",
            "t\tx\n\n— a AAAAAAA=\n",
        ] {
            assert!(wrong.parse::<Note>().is_err(), "{wrong:?}");
        }
    }
}
