//! The session key and what travels under it (MS-PSRP 2.2.2.3, 2.2.2.4, 2.2.5.1.24, 3.2.5.4).
//!
//! The client makes an RSA key pair for this one exchange and sends the public half; the server answers with an AES-256
//! key of its own making under it. SecureStrings are then AES-256-CBC over UTF-16LE, with PKCS #7 padding and, as the
//! protocol has it, an initial vector of zeros: equal strings are equal ciphertexts within one pool, and nothing proves
//! where they come from. What protects them on the way is TLS.

use aes::Aes256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Encrypt, RsaPrivateKey};
use zeroize::{Zeroize, Zeroizing};

use super::ProtocolError;

const BITS: usize = 2048;
const BYTES: usize = BITS / 8;

/// CAPI's header of a PUBLICKEYBLOB: version 2, CALG_RSA_KEYX, `RSA1`, 2048 bits.
const PUBLIC_HEADER: [u8; 16] = *b"\x06\x02\x00\x00\x00\xa4\x00\x00RSA1\x00\x08\x00\x00";
/// CAPI's header of a SIMPLEBLOB: version 2, CALG_AES_256 under CALG_RSA_KEYX.
const SESSION_HEADER: [u8; 12] = *b"\x01\x02\x00\x00\x10\x66\x00\x00\x00\xa4\x00\x00";

/// The key pair of one exchange. Used for one decryption, with the answer told to nobody, so that the timing of PKCS #1
/// v1.5 gives an attacker nothing to measure.
pub(super) struct KeyPair(RsaPrivateKey);

impl KeyPair {
    /// Takes a tenth of a second and more.
    pub(super) fn generate() -> Result<Self, ProtocolError> {
        RsaPrivateKey::new(&mut rand::rng(), BITS)
            .map(Self)
            .map_err(|error| ProtocolError::Key(format!("no key pair could be made: {error}")))
    }

    /// The public key as a base64 PUBLICKEYBLOB: header, exponent and modulus, both little-endian.
    pub(super) fn public(&self) -> String {
        let mut blob = PUBLIC_HEADER.to_vec();
        blob.extend(little_endian(&self.0.e_bytes(), 4));
        blob.extend(little_endian(&self.0.n_bytes(), BYTES));
        STANDARD.encode(blob)
    }

    /// The session key out of the server's base64 SIMPLEBLOB.
    pub(super) fn session_key(&self, blob: &str) -> Result<SessionKey, ProtocolError> {
        let wrong = |why: &str| ProtocolError::Key(why.to_owned());
        let blob = STANDARD.decode(blob.trim()).map_err(|_| wrong("it is not base64"))?;
        let key = blob.strip_prefix(&SESSION_HEADER).ok_or_else(|| wrong("it is not an AES-256 key under RSA"))?;
        if key.len() != BYTES {
            return Err(wrong("it is not as long as the public key"));
        }
        let key: Vec<u8> = key.iter().rev().copied().collect();
        let key = self.0.decrypt_blinded(&mut rand::rng(), Pkcs1v15Encrypt, &key);
        let key = Zeroizing::new(key.map_err(|_| wrong("it was not encrypted for this client"))?);
        let key: [u8; 32] = key.as_slice().try_into().map_err(|_| wrong("it is not 256 bits long"))?;
        Ok(SessionKey(Zeroizing::new(key)))
    }
}

fn little_endian(big_endian: &[u8], length: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = big_endian.iter().rev().copied().collect();
    bytes.resize(length, 0);
    bytes
}

/// What SecureStrings of one pool are encrypted with.
pub(super) struct SessionKey(Zeroizing<[u8; 32]>);

impl SessionKey {
    pub(super) fn encrypt(&self, text: &str) -> Vec<u8> {
        let units: Zeroizing<Vec<u16>> = Zeroizing::new(text.encode_utf16().collect());
        let bytes: Zeroizing<Vec<u8>> = Zeroizing::new(units.iter().flat_map(|unit| unit.to_le_bytes()).collect());
        cbc::Encryptor::<Aes256>::new((&*self.0).into(), &[0; 16].into()).encrypt_padded_vec::<Pkcs7>(&bytes)
    }

    pub(super) fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<String>, ProtocolError> {
        let wrong = || ProtocolError::Key("a SecureString was not encrypted with it".to_owned());
        let cipher = cbc::Decryptor::<Aes256>::new((&*self.0).into(), &[0; 16].into());
        let bytes = Zeroizing::new(cipher.decrypt_padded_vec::<Pkcs7>(ciphertext).map_err(|_| wrong())?);
        let (units, rest) = bytes.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(wrong());
        }
        let mut units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
        let text = String::from_utf16_lossy(&units);
        units.zeroize();
        Ok(Zeroizing::new(text))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_public_key_is_a_blob_of_capi() {
        let blob = STANDARD.decode(KeyPair::generate().unwrap().public()).unwrap();
        assert_eq!(blob.len(), 16 + 4 + 256);
        assert_eq!(hex::encode(&blob[..20]), "0602000000a400005253413100080000".to_owned() + "01000100");
        assert!(blob[275] >= 0x80 && blob[20] % 2 == 1, "a modulus of 2048 bits, its lowest byte first");
    }

    #[test]
    fn a_key_that_is_not_one_is_refused() {
        let pair = KeyPair::generate().unwrap();
        for (blob, why) in [
            ("?".to_owned(), "base64"),
            (STANDARD.encode(b"short"), "AES-256"),
            (STANDARD.encode([&SESSION_HEADER[..], &[1; 255]].concat()), "as long as"),
            (STANDARD.encode([&SESSION_HEADER[..], &[1; 256]].concat()), "not encrypted for this client"),
        ] {
            let Err(error) = pair.session_key(&blob) else { panic!("{blob} was taken") };
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    proptest! {
        #[test]
        fn secrets_come_back(text in "(\\PC|.|\u{0})*", key: [u8; 32]) {
            let key = SessionKey(Zeroizing::new(key));
            let ciphertext = key.encrypt(&text);
            prop_assert_eq!(ciphertext.len() % 16, 0);
            prop_assert_eq!(&*key.decrypt(&ciphertext).unwrap(), &text);
        }

        #[test]
        fn anything_can_be_decrypted(bytes: Vec<u8>, key: [u8; 32]) {
            let _ = SessionKey(Zeroizing::new(key)).decrypt(&bytes);
        }
    }
}
