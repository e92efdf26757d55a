//! Checkpoints as signed notes (c2sp.org/signed-note, c2sp.org/tlog-checkpoint), for readers that have other programs
//! than ours.

use der::Encode;
use keys::{SignatureAlgorithm, SigningKey};
use sha2::{Digest, Sha256};
use signed_note::{Note, Signature, Verifier, VerifierList};
use spki::SubjectPublicKeyInfoOwned;
use tlog_tiles::checkpoint::Checkpoint;
use tlog_tiles::tlog::Hash;

use crate::error::Error;
use crate::signature;

/// What a checked note says: the log, how many rows it had, and the root of their tree.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeHead {
    pub origin: String,
    pub size: u64,
    pub(crate) root: Hash,
}

impl TreeHead {
    /// In base64, as notes have it.
    pub fn root(&self) -> String {
        self.root.to_string()
    }
}

/// Signs a tree head with the audit key.
///
/// # Errors
/// [`Error::Key`] when the key does not sign; [`Error::AuditNote`] when the key or the origin is of a kind that notes do
/// not have.
pub(super) fn sign(head: &TreeHead, key_id: &str, key: &dyn SigningKey) -> Result<String, Error> {
    let malformed = |what: &'static str| Error::AuditNote { what };
    if key.algorithm() != SignatureAlgorithm::EcdsaP256Sha256 {
        return Err(malformed("the audit key is not one on the curve P-256"));
    }
    let checkpoint = Checkpoint::new(&head.origin, head.size, head.root, "")
        .map_err(|_| malformed("the origin is not a line of text"))?;
    let text = checkpoint.to_bytes();
    let signed = key.sign(&text).map_err(|source| Error::Key {
        key: key_id.to_owned(),
        source,
    })?;
    let id = AuditPublicKey::new(key.public_key().clone())?.id;
    let signature = Signature::new(head.origin.clone(), id, signed.as_bytes().to_vec())
        .map_err(|_| malformed("the origin has a blank or a plus sign"))?;
    let note = Note::new(&text, &[signature]).map_err(|_| malformed("the origin has a control character"))?;
    // The text is what was just formatted, the signature base64.
    String::from_utf8(note.to_bytes()).map_err(|_| malformed("it is not UTF-8"))
}

/// The public half of the key that signs checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPublicKey {
    info: SubjectPublicKeyInfoOwned,
    der: Vec<u8>,
    id: u32,
}

impl AuditPublicKey {
    pub(crate) fn new(info: SubjectPublicKeyInfoOwned) -> Result<Self, Error> {
        let der = info.to_der().map_err(Error::encoding("the audit key"))?;
        // c2sp.org/signed-note: of this type of signature the key ID is the truncated hash of the key alone.
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(&der));
        Ok(Self {
            info,
            der,
            id: u32::from_be_bytes([a, b, c, d]),
        })
    }

    /// A key in PEM, as an evidence pack has it.
    pub(crate) fn from_pem(text: &str) -> Option<Self> {
        let (label, der) = der::pem::decode_vec(text.as_bytes()).ok()?;
        let info = <SubjectPublicKeyInfoOwned as der::Decode>::from_der(&der).ok()?;
        (label == "PUBLIC KEY").then(|| Self::new(info).ok())?
    }

    pub fn pem(&self) -> String {
        crate::issuers::pem("PUBLIC KEY", &self.der)
    }

    /// The key of a log as one line, which programs for transparency logs are configured with.
    pub fn verifier_key(&self, origin: &str) -> String {
        let key = [&[ECDSA], self.der.as_slice()].concat();
        format!("{origin}+{:08x}+{}", self.id, data_encoding::BASE64.encode(&key))
    }

    /// Reads a note that this key has signed, whatever else signed it too.
    ///
    /// # Errors
    /// [`Error::AuditNote`] with what is wrong with it.
    pub fn open(&self, note: &str) -> Result<TreeHead, Error> {
        let refused = |what| Error::AuditNote { what };
        let note = Note::from_bytes(note.as_bytes()).map_err(|_| refused("it is not a signed note"))?;
        let checkpoint = Checkpoint::from_bytes(note.text()).map_err(|_| refused("its text is not a checkpoint"))?;
        let verifier = NamedKey {
            origin: checkpoint.origin().to_owned(),
            key: self.clone(),
        };
        note.verify(&VerifierList::new(vec![Box::new(verifier)]))
            .map_err(|_| refused("it does not have a valid signature of the audit key"))?;
        Ok(TreeHead {
            origin: checkpoint.origin().to_owned(),
            size: checkpoint.size(),
            root: *checkpoint.hash(),
        })
    }
}

struct NamedKey {
    origin: String,
    key: AuditPublicKey,
}

impl Verifier for NamedKey {
    fn name(&self) -> &str {
        &self.origin
    }

    fn key_id(&self) -> u32 {
        self.key.id
    }

    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let algorithm = SignatureAlgorithm::EcdsaP256Sha256.identifier();
        signature::is_valid(&self.key.info, &algorithm, text, signature)
    }
}

/// c2sp.org/signed-note: the type of ECDSA signatures.
const ECDSA: u8 = 0x02;

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> TreeHead {
        TreeHead {
            origin: "pki.example.com/audit".to_owned(),
            size: 4711,
            root: Hash([7; 32]),
        }
    }

    #[test]
    fn a_note_is_read_back_with_its_key_and_no_other() {
        let key = keys::testing::p256();
        let note = sign(&head(), "audit", &*key).unwrap();
        let public = AuditPublicKey::new(key.public_key().clone()).unwrap();
        assert_eq!(public.open(&note).unwrap(), head());
        assert!(note.starts_with("pki.example.com/audit\n4711\nBwcH"), "{note}");
        assert_eq!(AuditPublicKey::from_pem(&public.pem()), Some(public.clone()));
        let line = public.verifier_key("pki.example.com/audit");
        assert!(
            line.starts_with("pki.example.com/audit+") && line.matches('+').count() >= 2,
            "{line}"
        );

        let other = AuditPublicKey::new(keys::testing::p384().public_key().clone()).unwrap();
        other.open(&note).unwrap_err();
        for (from, to) in [
            ("4711", "4712"),
            ("BwcH", "BwcI"),
            ("example", "exbmple"),
            ("4711\n", ""),
        ] {
            let error = public.open(&note.replacen(from, to, 1)).unwrap_err();
            assert!(matches!(error, Error::AuditNote { .. }), "{error}");
        }
        public.open("").unwrap_err();
        public.open(&note[..note.len() - 2]).unwrap_err();
        // Another witness may sign below.
        let cosigned = format!("{note}— witness.example AAAAAAAA\n");
        assert_eq!(public.open(&cosigned).unwrap(), head());
    }

    #[test]
    fn keys_and_origins_that_notes_do_not_have_are_refused() {
        sign(&head(), "audit", &*keys::testing::p384()).unwrap_err();
        for origin in ["", "two words", "a+b", "two\nlines", "\u{1}"] {
            let head = TreeHead {
                origin: origin.to_owned(),
                ..head()
            };
            let error = sign(&head, "audit", &*keys::testing::p256()).unwrap_err();
            assert!(matches!(error, Error::AuditNote { .. }), "{origin:?}: {error}");
        }
    }
}
