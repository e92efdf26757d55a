//! Mails that OpenSSL has signed, under a root, an issuing authority and a mailbox-validated certificate.

use openssl::asn1::{Asn1Object, Asn1OctetString, Asn1Time};
use openssl::bn::{BigNum, BigNumContext};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::ec::{EcGroup, EcKey, PointConversionForm};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::sign::Signer;
use openssl::stack::Stack;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Extension, X509Name};
use policies::time::Timestamp;

#[derive(Clone, Copy)]
pub(crate) enum KeyKind {
    Rsa2048,
    Rsa4096,
    P256,
}

impl KeyKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa2048",
            Self::Rsa4096 => "rsa4096",
            Self::P256 => "p256",
        }
    }

    /// A fresh key as AWS-LC wants it, and a signature by it.
    pub(crate) fn sign(self, message: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let key = self.generate();
        let public = match self {
            Self::Rsa2048 | Self::Rsa4096 => key.rsa().and_then(|rsa| rsa.public_key_to_der_pkcs1()),
            Self::P256 => key.ec_key().and_then(|key| {
                let mut context = BigNumContext::new()?;
                let form = PointConversionForm::UNCOMPRESSED;
                key.public_key().to_bytes(key.group(), form, &mut context)
            }),
        };
        let signature =
            Signer::new(MessageDigest::sha256(), &key).and_then(|mut signer| signer.sign_oneshot_to_vec(message));
        (public.expect("a public key"), signature.expect("a signature"))
    }

    fn generate(self) -> PKey<Private> {
        let key = match self {
            Self::Rsa2048 => Rsa::generate(2048).and_then(PKey::from_rsa),
            Self::Rsa4096 => Rsa::generate(4096).and_then(PKey::from_rsa),
            Self::P256 => EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)
                .and_then(|group| EcKey::generate(&group))
                .and_then(PKey::from_ec_key),
        };
        key.expect("a key")
    }
}

/// Three certificates with keys of one kind.
pub(crate) struct Hierarchy {
    root: X509,
    issuing: X509,
    leaf: X509,
    key: PKey<Private>,
}

/// A message and the entity that was signed.
pub(crate) struct Mail {
    pub(crate) message: Vec<u8>,
    pub(crate) entity: Vec<u8>,
    pub(crate) is_opaque: bool,
    pub(crate) at: Timestamp,
}

impl Hierarchy {
    pub(crate) fn new(kind: KeyKind) -> Self {
        let (root_key, issuing_key, key) = (kind.generate(), kind.generate(), kind.generate());
        let authority = || {
            let usage = KeyUsage::new().critical().key_cert_sign().crl_sign().build();
            vec![BasicConstraints::new().critical().ca().build(), usage]
        };
        let email = || ExtendedKeyUsage::new().email_protection().build();
        let root = certificate("Root", "Root", &root_key, &root_key, |_| authority());
        let issuing = certificate("Issuing", "Root", &issuing_key, &root_key, |_| {
            let mut extensions = authority();
            extensions.push(email());
            // anyPolicy
            extensions.push(Ok(policy(&[0x06, 0x04, 0x55, 0x1d, 0x20, 0x00])));
            extensions
        });
        let leaf = certificate("alice@example.org", "Issuing", &key, &issuing_key, |builder| {
            let context = builder.x509v3_context(None, None);
            vec![
                KeyUsage::new().critical().digital_signature().build(),
                email(),
                // 2.23.140.1.5.1.3, mailbox-validated, strict
                Ok(policy(&[0x06, 0x07, 0x67, 0x81, 0x0c, 0x01, 0x05, 0x01, 0x03])),
                SubjectAlternativeName::new().email("alice@example.org").build(&context),
            ]
        });
        Self {
            root,
            issuing,
            leaf,
            key,
        }
    }

    pub(crate) fn root(&self) -> Vec<u8> {
        self.root.to_der().expect("DER")
    }

    pub(crate) fn root_certificate(&self) -> X509 {
        self.root.clone()
    }

    pub(crate) fn clear_signed(&self, size: usize) -> Mail {
        let entity = entity(size);
        let cms = self.sign(&entity, CMSOptions::BINARY | CMSOptions::DETACHED);
        let head = format!(
            "{HEADER}Content-Type: multipart/signed; protocol=\"application/pkcs7-signature\";\r\n \
             micalg=sha-256; boundary=\"----=_Part_1\"\r\n\r\n------=_Part_1\r\n"
        );
        let tail = format!(
            "\r\n------=_Part_1\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}\r\n------=_Part_1--\r\n",
            base64(&cms)
        );
        let message = [head.as_bytes(), &entity, tail.as_bytes()].concat();
        Mail {
            message,
            entity,
            is_opaque: false,
            at: crate::now(),
        }
    }

    pub(crate) fn opaque(&self, size: usize) -> Mail {
        let entity = entity(size);
        let cms = self.sign(&entity, CMSOptions::BINARY);
        let message = format!(
            "{HEADER}Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            base64(&cms)
        );
        Mail {
            message: message.into_bytes(),
            entity,
            is_opaque: true,
            at: crate::now(),
        }
    }

    fn sign(&self, entity: &[u8], options: CMSOptions) -> Vec<u8> {
        let mut others = Stack::new().expect("a stack");
        others.push(self.issuing.clone()).expect("room");
        CmsContentInfo::sign(Some(&self.leaf), Some(&self.key), Some(&others), Some(entity), options)
            .and_then(|cms| cms.to_der())
            .expect("a signature")
    }
}

impl Mail {
    /// As a mail program on Unix may have stored it.
    pub(crate) fn with_unix_line_ends(mut self) -> Self {
        self.message.retain(|byte| *byte != b'\r');
        self
    }
}

/// Text of ordinary line length with a part header.
fn entity(size: usize) -> Vec<u8> {
    let mut entity = b"Content-Type: text/plain; charset=utf-8\r\n\r\n".to_vec();
    while entity.len() < size {
        entity.extend_from_slice(b"The quick brown fox jumps over the lazy dog, and the lazy dog lets it do so.\r\n");
    }
    entity
}

fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() / 57 * 78 + 78);
    for line in bytes.chunks(57) {
        text.push_str(&openssl::base64::encode_block(line));
        text.push_str("\r\n");
    }
    text
}

type Built = Result<X509Extension, openssl::error::ErrorStack>;

fn certificate(
    subject: &str,
    issuer: &str,
    key: &PKey<Private>,
    issuer_key: &PKey<Private>,
    extensions: impl FnOnce(&X509Builder) -> Vec<Built>,
) -> X509 {
    let name = |common_name: &str| {
        let mut name = X509Name::builder().expect("a name");
        name.append_entry_by_nid(Nid::COMMONNAME, common_name)
            .expect("a common name");
        name.build()
    };
    let build = || -> Result<X509, openssl::error::ErrorStack> {
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        let serial_number = BigNum::from_u32(0x5eed)?.to_asn1_integer()?;
        builder.set_serial_number(&serial_number)?;
        builder.set_subject_name(&name(subject))?;
        builder.set_issuer_name(&name(issuer))?;
        let now = crate::now().unix();
        builder.set_not_before(&*Asn1Time::from_unix(now - 86_400)?)?;
        builder.set_not_after(&*Asn1Time::from_unix(now + 86_400 * 30)?)?;
        builder.set_pubkey(key)?;
        for extension in extensions(&builder) {
            builder.append_extension(extension?)?;
        }
        builder.sign(issuer_key, MessageDigest::sha256())?;
        Ok(builder.build())
    };
    build().expect("a certificate")
}

/// certificatePolicies with this one OBJECT IDENTIFIER.
fn policy(identifier: &[u8]) -> X509Extension {
    let element = |content: &[u8]| {
        let length = u8::try_from(content.len()).expect("short");
        [&[0x30, length], content].concat()
    };
    let policies = element(&element(identifier));
    Asn1Object::from_str("2.5.29.32")
        .and_then(|kind| X509Extension::new_from_der(&kind, false, &*Asn1OctetString::new_from_bytes(&policies)?))
        .expect("an extension")
}

const HEADER: &str = "From: Alice <alice@example.org>\r\nTo: Bob <bob@example.net>\r\nSubject: Hello\r\n\
    Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n";
