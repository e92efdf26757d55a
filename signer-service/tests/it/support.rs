//! A small certificate authority for tests, and OpenSSL and mail-parser as independent readers.

use std::path::Path;
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use const_oid::ObjectIdentifier;
use der::Encode;
use der::asn1::{Ia5String, OctetString, UtcTime};
use keys::SigningKey;
use keys::adapter::Using;
use mail_parser::{MessageParser, MimeHeaders};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::stack::Stack;
use openssl::x509::X509;
use openssl::x509::store::{X509Store, X509StoreBuilder};
use policies::time::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use signer_service::cms::{Signer, sign_detached, sign_opaque};
use signer_service::mime::signed::{HeaderProtection, Smtputf8, prepare};
use signer_service::mime::{Limits, MimeError};
use spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use x509_cert::Certificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::time::{Time, Validity};

/// A root and an issuing certificate, both RSA so that every certificate has the same bytes in every run.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) root: Certificate,
    pub(crate) issuing: Certificate,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let (root_name, issuing_name) = (name("CN=Test Root"), name("CN=Test Issuing"));
        let ca = || {
            vec![
                extension(
                    &BasicConstraints {
                        ca: true,
                        path_len_constraint: None,
                    },
                    true,
                ),
                extension(&KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign), true),
            ]
        };
        let root_key = keys::testing::rsa3072();
        let root = issue(
            &root_name,
            &root_name,
            ca(),
            root_key.public_key(),
            &*root_key,
            1,
            (START, END),
        );
        let issuing = issue(
            &root_name,
            &issuing_name,
            ca(),
            issuing_key().public_key(),
            &*root_key,
            2,
            (START, END),
        );
        Self { root, issuing }
    }

    pub(crate) fn certify(
        &self,
        mailbox: &str,
        public_key: &SubjectPublicKeyInfoOwned,
        serial: u8,
        validity: (i64, i64),
    ) -> Certificate {
        let usage = match public_key.algorithm.oid == RSA {
            true => KeyUsages::DigitalSignature | KeyUsages::KeyEncipherment,
            false => KeyUsages::DigitalSignature | KeyUsages::KeyAgreement,
        };
        let extensions = vec![
            extension(&KeyUsage(usage), true),
            extension(&ExtendedKeyUsage(vec![EMAIL_PROTECTION]), false),
            extension(
                &SubjectAltName(vec![GeneralName::Rfc822Name(Ia5String::new(mailbox).unwrap())]),
                false,
            ),
        ];
        let subject = name(&format!("CN={mailbox}"));
        issue(
            self.issuing.tbs_certificate().subject(),
            &subject,
            extensions,
            public_key,
            &*issuing_key(),
            serial,
            validity,
        )
    }

    pub(crate) fn store(&self) -> X509Store {
        let mut store = X509StoreBuilder::new().unwrap();
        store
            .add_cert(X509::from_der(&self.root.to_der().unwrap()).unwrap())
            .unwrap();
        store.build()
    }
}

/// One who signs, with a fixed key.
pub(crate) struct Alice {
    pub(crate) key: Arc<dyn SigningKey>,
    pub(crate) certificate: Certificate,
    pub(crate) authority: Authority,
}

impl Alice {
    pub(crate) fn with(key: Arc<dyn SigningKey>) -> Self {
        let authority = Authority::new();
        let certificate = authority.certify("alice@example.com", key.public_key(), 3, (START, END));
        Self {
            key,
            certificate,
            authority,
        }
    }

    /// Both kinds of key that every release must serve.
    pub(crate) fn both() -> [Self; 2] {
        [Self::with(keys::testing::rsa2048()), Self::with(keys::testing::p256())]
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, MimeError> {
        self.sign_with(message, Smtputf8::NotRequested)
    }

    pub(crate) fn sign_with(&self, message: &[u8], smtputf8: Smtputf8) -> Result<Vec<u8>, MimeError> {
        self.sign_protected(message, smtputf8, HeaderProtection::Off)
    }

    pub(crate) fn sign_protected(
        &self,
        message: &[u8],
        smtputf8: Smtputf8,
        protection: HeaderProtection,
    ) -> Result<Vec<u8>, MimeError> {
        let prepared = prepare(message, smtputf8, protection, LIMITS)?;
        let signature = sign_detached(prepared.entity(), self.signer(&self.intermediates()), now()).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        Ok(prepared.into_signed(self.key.algorithm().digest(), &signature, &mut rng))
    }

    /// Puts a signature beside what is to be encrypted.
    pub(crate) fn sign_inside(&self, prepared: &mut signer_service::mime::signed::Prepared) {
        let signature = sign_detached(prepared.entity(), self.signer(&self.intermediates()), now()).unwrap();
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        prepared.sign_inside(self.key.algorithm().digest(), &signature, &mut rng);
    }

    pub(crate) fn sign_opaque(&self, message: &[u8], protection: HeaderProtection) -> Vec<u8> {
        let prepared = prepare(message, Smtputf8::NotRequested, protection, LIMITS).unwrap();
        let signed_data = sign_opaque(prepared.entity(), self.signer(&self.intermediates()), now()).unwrap();
        prepared.into_opaque(&signed_data)
    }

    fn intermediates(&self) -> [Certificate; 2] {
        [self.authority.issuing.clone(), self.authority.root.clone()]
    }

    fn signer<'s>(&'s self, intermediates: &'s [Certificate]) -> Signer<'s> {
        Signer {
            key: &*self.key,
            certificate: &self.certificate,
            intermediates,
        }
    }

    /// Signs, and holds the result against everything that is promised of any signed message.
    pub(crate) fn sign_and_check(&self, message: &[u8]) -> Vec<u8> {
        let signed = self.sign(message).unwrap();
        check_transport(&signed);
        openssl_verifies(&signed, &self.authority);
        signed
    }
}

/// CRLF only, lines of at most 998 octets, 7 bits behind the outer header.
pub(crate) fn check_transport(signed: &[u8]) {
    let without_crlf = String::from_utf8_lossy(signed).replace("\r\n", "");
    assert!(!without_crlf.contains(['\r', '\n', '\0']), "CRLF only");
    let body = &signed[find(signed, b"\r\n\r\n").unwrap()..];
    assert!(body.is_ascii(), "7 bit");
    for line in body.split(|byte| *byte == b'\n') {
        assert!(line.len() <= 999, "a line of {} octets", line.len());
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(
            !line.ends_with(b" ") && !line.ends_with(b"\t"),
            "blanks at the end of {:?}",
            String::from_utf8_lossy(line)
        );
        assert!(
            !line.starts_with(b"From ") && !line.starts_with(b"."),
            "{:?}",
            String::from_utf8_lossy(line)
        );
    }
}

/// The bytes between the first two delimiters and the signature, cut out without the code under test.
pub(crate) fn signed_parts(signed: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let header = String::from_utf8_lossy(&signed[..find(signed, b"\r\n\r\n").unwrap()]).into_owned();
    let boundary = header.rsplit_once("boundary=\"").unwrap().1;
    let boundary = boundary.split('"').next().unwrap();
    let delimiter = format!("\r\n--{boundary}\r\n");
    let first = find(signed, delimiter.as_bytes()).unwrap() + delimiter.len();
    let second = first + find(&signed[first..], delimiter.as_bytes()).unwrap();
    let part = &signed[second + delimiter.len()..];
    let base64 = &part[find(part, b"\r\n\r\n").unwrap() + 4..];
    let base64 = &base64[..find(base64, format!("\r\n--{boundary}--").as_bytes()).unwrap()];
    let base64: Vec<u8> = base64
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    (
        signed[first..second].to_vec(),
        data_encoding::BASE64.decode(&base64).unwrap(),
    )
}

/// OpenSSL verifies the signature over the cut-out bytes, and the whole message by its own reading of it.
pub(crate) fn openssl_verifies(signed: &[u8], authority: &Authority) {
    let (entity, signature) = signed_parts(signed);
    verify_detached(&entity, &signature, authority).unwrap();
    let (mut read, content) = CmsContentInfo::smime_read_cms(signed).map(|cms| (cms, entity)).unwrap();
    read.verify(None, Some(&authority.store()), Some(&content), None, CMSOptions::BINARY)
        .unwrap();
}

pub(crate) fn verify_detached(
    entity: &[u8],
    signature: &[u8],
    authority: &Authority,
) -> Result<(), openssl::error::ErrorStack> {
    let mut cms = CmsContentInfo::from_der(signature)?;
    let none = Stack::new()?;
    cms.verify(
        Some(&none),
        Some(&authority.store()),
        Some(entity),
        None,
        CMSOptions::BINARY,
    )
}

/// `openssl cms -verify`, which cuts the message itself.
pub(crate) fn openssl_command_verifies(signed: &[u8], authority: &Authority, folder: &Path) {
    let (message, root) = (folder.join("signed.eml"), folder.join("root.pem"));
    std::fs::write(&message, signed).unwrap();
    std::fs::write(
        &root,
        X509::from_der(&authority.root.to_der().unwrap())
            .unwrap()
            .to_pem()
            .unwrap(),
    )
    .unwrap();
    let output = Command::new("openssl")
        .args(["cms", "-verify", "-in"])
        .arg(&message)
        .arg("-CAfile")
        .arg(&root)
        .args(["-out", "/dev/null"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What a reader gets to see: the media type and the decoded content of every part that has one, in order.
pub(crate) fn contents(message: &[u8]) -> Vec<(String, Vec<u8>)> {
    let parsed = MessageParser::default().parse(message).unwrap();
    leaves(&parsed)
        .into_iter()
        .filter(|(media_type, _)| media_type != "application/pkcs7-signature")
        .collect()
}

fn leaves(message: &mail_parser::Message<'_>) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for part in &message.parts {
        let media_type = part.content_type().map_or_else(
            || "text/plain".to_owned(),
            |media| format!("{}/{}", media.ctype(), media.subtype().unwrap_or("plain")).to_ascii_lowercase(),
        );
        match &part.body {
            mail_parser::PartType::Multipart(_) => {}
            mail_parser::PartType::Message(nested) => found.extend(leaves(nested)),
            _ => found.push((media_type, part.contents().to_vec())),
        }
    }
    found
}

pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

pub(crate) const fn now() -> Timestamp {
    Timestamp::from_unix(START + 86_400)
}

fn issuing_key() -> Arc<dyn SigningKey> {
    keys::testing::rsa2048()
}

fn name(text: &str) -> Name {
    // '@' and '.' need no escape in RFC 4514.
    Name::from_str(text).unwrap()
}

fn extension<T: const_oid::AssociatedOid + Encode>(value: &T, critical: bool) -> Extension {
    let value = OctetString::new(value.to_der().unwrap()).unwrap();
    Extension {
        extn_id: T::OID,
        critical,
        extn_value: value,
    }
}

struct Profile {
    issuer: Name,
    subject: Name,
    extensions: Vec<Extension>,
}

impl BuilderProfile for Profile {
    fn get_issuer(&self, _subject: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        _key: SubjectPublicKeyInfoRef<'_>,
        _issuer_key: SubjectPublicKeyInfoRef<'_>,
        _tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        Ok(self.extensions.clone())
    }
}

fn issue(
    issuer: &Name,
    subject: &Name,
    extensions: Vec<Extension>,
    public_key: &SubjectPublicKeyInfoOwned,
    signer: &dyn SigningKey,
    serial: u8,
    (not_before, not_after): (i64, i64),
) -> Certificate {
    let time =
        |seconds: i64| Time::UtcTime(UtcTime::from_unix_duration(Duration::from_secs(seconds.unsigned_abs())).unwrap());
    let validity = Validity::new(time(not_before), time(not_after));
    let profile = Profile {
        issuer: issuer.clone(),
        subject: subject.clone(),
        extensions,
    };
    let builder = CertificateBuilder::new(
        profile,
        SerialNumber::new(&[serial]).unwrap(),
        validity,
        public_key.clone(),
    )
    .unwrap();
    builder.build::<_, keys::Signature>(&Using(signer)).unwrap()
}

/// 2026-01-01 and 2045-01-01: OpenSSL looks at the real clock.
pub(crate) const START: i64 = 1_767_225_600;
pub(crate) const END: i64 = 2_366_841_600;

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EMAIL_PROTECTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.4");

const LIMITS: Limits = Limits::for_messages_up_to(8 * 1024 * 1024);
