//! Certificates, CMS structures and messages written byte by byte, so that each byte can be wrong on purpose.

mod certificates;
pub(crate) mod observed;
mod peer_keys;

use std::cell::OnceCell;
use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::sync::Arc;

use der::Encode;
use keys::{SigningKey, testing};
use policies::time::Timestamp;
use sha2::{Digest, Sha256, Sha384, Sha512};
use verifier::path::{PathParameters, VerifiedPath, verify_path};
use verifier::{Backend, Material, Policy, Problem, TrustStore, Verdict, VerifiedLinks, Vouches, verify};

pub(crate) use self::certificates::*;
pub(crate) use self::peer_keys::*;

/// 2026-11-22T00:00:00Z.
pub(crate) const NOW: Timestamp = Timestamp::from_unix(1_795_305_600);

type Edit<T> = Option<Box<dyn Fn(&mut T)>>;

/// How the CMS structure is written; the default is as it should be.
pub(crate) struct Cms {
    pub(crate) digest: &'static str,
    /// The SET of digest algorithms, if not the one digest.
    pub(crate) digest_algorithms: Option<Vec<u8>>,
    /// The signer's signature algorithm, if not the key's.
    pub(crate) signature_algorithm: Option<Vec<u8>>,
    pub(crate) content_type: &'static str,
    pub(crate) edit_attributes: Edit<Vec<Vec<u8>>>,
    pub(crate) keep_attribute_order: bool,
    pub(crate) without_attributes: bool,
    pub(crate) unsigned_attributes: Option<Vec<u8>>,
    pub(crate) edit_certificates: Edit<Vec<Vec<u8>>>,
    pub(crate) by_key_identifier: bool,
    pub(crate) signers: usize,
    /// SignerInfos of others, behind the own one.
    pub(crate) more_signers: Vec<Vec<u8>>,
    pub(crate) content_inside: Option<Vec<u8>>,
    pub(crate) edit: Edit<Vec<u8>>,
    pub(crate) indefinite: bool,
}

impl Default for Cms {
    fn default() -> Self {
        Self {
            digest: SHA_256,
            digest_algorithms: None,
            signature_algorithm: None,
            content_type: ID_DATA,
            edit_attributes: None,
            keep_attribute_order: false,
            without_attributes: false,
            unsigned_attributes: None,
            edit_certificates: None,
            by_key_identifier: false,
            signers: 1,
            more_signers: Vec::new(),
            content_inside: None,
            edit: None,
            indefinite: false,
        }
    }
}

pub(crate) fn attribute(kind: &str, values: &[&[u8]]) -> Vec<u8> {
    sequence(&[&oid(kind), &set(values)])
}

/// A whole world around one message: three certificates, a CMS structure, header fields, trust and time.
pub(crate) struct Scenario {
    pub(crate) root: Certificate,
    pub(crate) issuing: Certificate,
    pub(crate) leaf: Certificate,
    /// Signs the message; the leaf's key unless a test says otherwise.
    pub(crate) signer: Option<Arc<dyn SigningKey>>,
    /// Signs the leaf; the issuing authority's key unless a test says otherwise.
    pub(crate) leaf_issuer: Option<Arc<dyn SigningKey>>,
    pub(crate) cms: Cms,
    pub(crate) from: String,
    pub(crate) fields: String,
    pub(crate) entity: Vec<u8>,
    pub(crate) opaque: bool,
    pub(crate) edit_message: Edit<String>,
    pub(crate) vouches: Vouches,
    pub(crate) trusted: bool,
    pub(crate) crls: Vec<Vec<u8>>,
    pub(crate) policy: Policy,
    pub(crate) at: Timestamp,
    /// Signatures differ each time, so the chain is signed once, when it is first asked for.
    chain: OnceCell<(Vec<u8>, Vec<u8>, Vec<u8>)>,
}

impl Scenario {
    /// A V1 message that has nothing wrong.
    pub(crate) fn new() -> Self {
        let root_name = name(&[
            (COUNTRY, "DE"),
            (ORGANIZATION, "Test Authority"),
            (COMMON_NAME, "Test Root"),
        ]);
        let issuing_name = name(&[
            (COUNTRY, "DE"),
            (ORGANIZATION, "Test Authority"),
            (COMMON_NAME, "Test Issuing"),
        ]);
        let mut root = Certificate {
            serial: 1,
            issuer: root_name.clone(),
            subject: root_name.clone(),
            not_before: "250101000000Z",
            not_after: "450101000000Z",
            key: testing::p384(),
            public_key: None,
            algorithm: None,
            extensions: Vec::new(),
        };
        root.with(BASIC_CONSTRAINTS, true, AUTHORITY.to_vec())
            .with(KEY_USAGE, true, CERTIFICATE_SIGN.to_vec());
        let mut issuing = Certificate {
            serial: 2,
            issuer: root_name,
            subject: issuing_name.clone(),
            not_before: "250101000000Z",
            not_after: "350101000000Z",
            key: testing::other_p256(),
            public_key: None,
            algorithm: None,
            extensions: Vec::new(),
        };
        issuing
            .with(BASIC_CONSTRAINTS, true, AUTHORITY.to_vec())
            .with(KEY_USAGE, true, CERTIFICATE_SIGN.to_vec())
            .purposes(&[EMAIL_PROTECTION])
            .policies(&[ANY_POLICY]);
        let mut leaf = Certificate {
            serial: 3,
            issuer: issuing_name,
            subject: name(&[(COMMON_NAME, "alice@example.org")]),
            not_before: "260101000000Z",
            not_after: "270101000000Z",
            key: testing::p256(),
            public_key: None,
            algorithm: None,
            extensions: Vec::new(),
        };
        leaf.with(KEY_USAGE, true, DIGITAL_SIGNATURE.to_vec())
            .with(SUBJECT_KEY_IDENTIFIER, false, octets(&[7; 20]))
            .purposes(&[EMAIL_PROTECTION])
            .policies(&[V1_STRICT])
            .addresses(&["alice@example.org"]);
        Self {
            root,
            issuing,
            leaf,
            signer: None,
            leaf_issuer: None,
            cms: Cms::default(),
            from: "From: Alice <alice@example.org>\r\n".to_owned(),
            fields: "To: bob@example.net\r\nSubject: Hello\r\nDate: Sat, 21 Nov 2026 23:00:00 +0000\r\n".to_owned(),
            entity: b"Content-Type: text/plain; charset=utf-8\r\n\r\nHello Bob,\r\n\r\nthis is Alice.\r\n".to_vec(),
            opaque: false,
            edit_message: None,
            vouches: Vouches::Tiers,
            trusted: true,
            crls: Vec::new(),
            policy: Policy::default(),
            at: NOW,
            chain: OnceCell::new(),
        }
    }

    /// The same for a tier that names somebody.
    pub(crate) fn of_tier(policy: &str, subject: &[(&str, &str)]) -> Self {
        let mut scenario = Self::new();
        scenario.leaf.subject = name(subject);
        scenario.leaf.policies(&[policy]);
        scenario
    }

    pub(crate) fn chain(&self) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        self.chain.get_or_init(|| self.sign_chain()).clone()
    }

    fn sign_chain(&self) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
        let root = self.root.sign(&*self.root.key);
        let issuing = self.issuing.sign(&*self.root.key);
        let leaf = self
            .leaf
            .sign(&**self.leaf_issuer.as_ref().unwrap_or(&self.issuing.key));
        (leaf, issuing, root)
    }

    pub(crate) fn issuing_crl(&self, list: &RevocationList) -> Vec<u8> {
        list.sign(&self.issuing.subject, &*self.issuing.key)
    }

    pub(crate) fn root_crl(&self, list: &RevocationList) -> Vec<u8> {
        list.sign(&self.root.subject, &*self.root.key)
    }

    /// The signature by the leaf, whose certificate is given.
    pub(crate) fn signer_info(&self, leaf: &[u8]) -> Vec<u8> {
        let cms = &self.cms;
        let key = self.signer.as_ref().unwrap_or(&self.leaf.key);
        let digest = |content: &[u8]| match cms.digest {
            SHA_384 => Sha384::digest(content).to_vec(),
            SHA_512 => Sha512::digest(content).to_vec(),
            _ => Sha256::digest(content).to_vec(),
        };
        let signing_certificate = sequence(&[&sequence(&[&sequence(&[&octets(&Sha256::digest(leaf))])])]);
        let mut attributes = vec![
            attribute(CONTENT_TYPE, &[&oid(ID_DATA)]),
            attribute(SIGNING_TIME, &[&utc_time("261121230000Z")]),
            attribute(MESSAGE_DIGEST, &[&octets(&digest(&self.entity))]),
            attribute(SIGNING_CERTIFICATE_V2, &[&signing_certificate]),
        ];
        if let Some(edit) = &cms.edit_attributes {
            edit(&mut attributes);
        }
        if !cms.keep_attribute_order {
            attributes.sort();
        }
        let signature_algorithm = cms
            .signature_algorithm
            .clone()
            .unwrap_or_else(|| key.algorithm().identifier().to_der().unwrap());
        let signed = if cms.without_attributes {
            self.entity.clone()
        } else {
            tlv(0x31, &attributes.concat())
        };
        let signature = key.sign(&signed).unwrap();
        let (version, identifier) = self.signer_identifier();
        let signed_attributes = if cms.without_attributes {
            Vec::new()
        } else {
            tlv(0xa0, &attributes.concat())
        };
        sequence(&[
            &integer(version),
            &identifier,
            &algorithm(cms.digest),
            &signed_attributes,
            &signature_algorithm,
            &octets(signature.as_bytes()),
            &cms.unsigned_attributes
                .as_ref()
                .map(|content| tlv(0xa1, content))
                .unwrap_or_default(),
        ])
    }

    fn signer_identifier(&self) -> (u8, Vec<u8>) {
        if self.cms.by_key_identifier {
            (3, tlv(0x80, &[7; 20]))
        } else {
            (1, sequence(&[&self.leaf.issuer, &integer(self.leaf.serial)]))
        }
    }

    pub(crate) fn signed_data(&self) -> Vec<u8> {
        let cms = &self.cms;
        let (leaf, issuing, _) = self.chain();
        let signer = self.signer_info(&leaf);
        let mut certificates = vec![leaf, issuing];
        if let Some(edit) = &cms.edit_certificates {
            edit(&mut certificates);
        }
        let (version, _) = self.signer_identifier();
        let inside = if self.opaque { Some(self.entity.clone()) } else { None };
        let inside = cms.content_inside.clone().or(inside);
        let inside = inside.map(|content| tlv(0xa0, &octets(&content))).unwrap_or_default();
        let digest_algorithms = cms
            .digest_algorithms
            .clone()
            .unwrap_or_else(|| set(&[&algorithm(cms.digest)]));
        let encapsulated = sequence(&[&oid(cms.content_type), &inside]);
        let certificates = tlv(0xa0, &certificates.concat());
        let signers = tlv(0x31, &[signer.repeat(cms.signers), cms.more_signers.concat()].concat());
        let parts: [&[u8]; 5] = [
            &integer(version),
            &digest_algorithms,
            &encapsulated,
            &certificates,
            &signers,
        ];
        let mut content_info = if cms.indefinite {
            // As streaming producers write it: the outer layers end with end-of-contents, the content is in chunks.
            let chunks: Vec<u8> = self.entity.chunks(10).flat_map(octets).collect();
            let inside = [&[0xa0, 0x80, 0x24, 0x80], chunks.as_slice(), &[0, 0, 0, 0]].concat();
            let inside = if self.opaque { inside } else { Vec::new() };
            let encapsulated = [&[0x30, 0x80], oid(ID_DATA).as_slice(), &inside, &[0, 0]].concat();
            let parts: [&[u8]; 5] = [
                &integer(version),
                &digest_algorithms,
                &encapsulated,
                &certificates,
                &signers,
            ];
            [
                &[0x30, 0x80],
                oid(SIGNED_DATA).as_slice(),
                &[0xa0, 0x80, 0x30, 0x80],
                &parts.concat(),
                &[0; 6],
            ]
            .concat()
        } else {
            sequence(&[&oid(SIGNED_DATA), &tlv(0xa0, &sequence(&parts))])
        };
        if let Some(edit) = &cms.edit {
            edit(&mut content_info);
        }
        content_info
    }

    pub(crate) fn message(&self) -> Vec<u8> {
        let cms = base64(&self.signed_data());
        let (from, fields) = (&self.from, &self.fields);
        let mut message = if self.opaque {
            format!(
                "{from}{fields}MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data; \
                 name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n{cms}"
            )
        } else {
            let entity = String::from_utf8(self.entity.clone()).unwrap();
            format!(
                "{from}{fields}MIME-Version: 1.0\r\nContent-Type: multipart/signed; \
                 protocol=\"application/pkcs7-signature\";\r\n micalg=sha-256; boundary=\"=_b\"\r\n\r\n--=_b\r\n{entity}\
                 \r\n--=_b\r\nContent-Type: application/pkcs7-signature; name=smime.p7s\r\n\
                 Content-Transfer-Encoding: base64\r\n\r\n{cms}\r\n--=_b--\r\n"
            )
        };
        if let Some(edit) = &self.edit_message {
            edit(&mut message);
        }
        message.into_bytes()
    }

    pub(crate) fn trust(&self) -> TrustStore {
        let trust = TrustStore::new();
        if self.trusted {
            trust.add(&self.chain().2, self.vouches).unwrap()
        } else {
            trust
        }
    }

    pub(crate) fn verdict_on(&self, message: &[u8]) -> Verdict {
        let material = Material {
            intermediates: Vec::new(),
            crls: self.crls.clone(),
        };
        verify_alike(message, &self.trust(), &material, self.at, &self.policy)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict_on(&self.message())
    }
}

/// The answer that all backends give, alone and with remembered links, in every detail the same.
pub(crate) fn alike<T: PartialEq + Debug>(trust: &TrustStore, ask: impl Fn(&TrustStore) -> T) -> T {
    let expected = ask(&trust.clone().with_backend(Backend::PureRust));
    if observed::folder().is_some() {
        // Once is enough for whoever wants the messages.
        return expected;
    }
    for (how, trust) in in_other_ways(trust) {
        assert_eq!(ask(&trust), expected, "{how}");
    }
    expected
}

pub(crate) fn verify_alike(
    message: &[u8],
    trust: &TrustStore,
    material: &Material,
    at: Timestamp,
    policy: &Policy,
) -> Verdict {
    let verdict = alike(trust, |trust| verify(message, trust, material, at, policy));
    observed::observe(
        message,
        trust,
        [&material.intermediates, &material.crls, &[]],
        at,
        &verdict,
    );
    verdict
}

/// The same for a path and what revocation lists say of it.
pub(crate) fn verify_path_alike<'a>(
    end_entity: &'a [u8],
    intermediates: &'a [Vec<u8>],
    trust: &'a TrustStore,
    at: Timestamp,
    parameters: &PathParameters,
    crls: &[Vec<u8>],
) -> Result<VerifiedPath<'a>, Problem> {
    let facts = |path: &Result<VerifiedPath<'_>, Problem>| match path {
        Err(problem) => Err(problem.clone()),
        Ok(path) => Ok((
            path.certificates().map(<[u8]>::to_vec).collect::<Vec<_>>(),
            path.anchor().to_vec(),
            path.vouches(),
            path.policies().clone(),
            path.revocation(crls, at),
        )),
    };
    let expected = verify_path(
        end_entity,
        intermediates.iter().map(Vec::as_slice),
        trust,
        at,
        parameters,
    );
    for (how, trust) in in_other_ways(trust) {
        let other = verify_path(
            end_entity,
            intermediates.iter().map(Vec::as_slice),
            &trust,
            at,
            parameters,
        );
        assert_eq!(facts(&other), facts(&expected), "{how}");
    }
    expected
}

/// The same trust with every backend, with an empty memory, and with one that the time before has filled.
fn in_other_ways(trust: &TrustStore) -> Vec<(String, TrustStore)> {
    let links = Arc::new(VerifiedLinks::new(const { NonZeroUsize::new(64).unwrap() }));
    let mut ways = Vec::new();
    for backend in Backend::ALL {
        let trust = trust.clone().with_backend(*backend);
        ways.push((format!("{backend:?}"), trust.clone()));
        for memory in ["an empty memory", "a memory"] {
            ways.push((
                format!("{backend:?} with {memory}"),
                trust.clone().remembering(links.clone()),
            ));
        }
    }
    ways
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    let encoded = openssl::base64::encode_block(bytes);
    let lines: Vec<&str> = encoded
        .as_bytes()
        .chunks(76)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    lines.join("\r\n")
}

pub(crate) fn codes(verdict: &Verdict) -> Vec<&'static str> {
    verdict.findings().iter().map(|finding| finding.code).collect()
}

pub(crate) const COMMON_NAME: &str = "2.5.4.3";
pub(crate) const SURNAME: &str = "2.5.4.4";
pub(crate) const COUNTRY: &str = "2.5.4.6";
pub(crate) const ORGANIZATION: &str = "2.5.4.10";
pub(crate) const TITLE: &str = "2.5.4.12";
pub(crate) const GIVEN_NAME: &str = "2.5.4.42";
pub(crate) const PSEUDONYM: &str = "2.5.4.65";
pub(crate) const ORGANIZATION_IDENTIFIER: &str = "2.5.4.97";
pub(crate) const EMAIL_ADDRESS: &str = "1.2.840.113549.1.9.1";
pub(crate) const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";
pub(crate) const KEY_USAGE: &str = "2.5.29.15";
pub(crate) const SUBJECT_ALTERNATIVE_NAME: &str = "2.5.29.17";
pub(crate) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(crate) const NAME_CONSTRAINTS: &str = "2.5.29.30";
pub(crate) const CERTIFICATE_POLICIES: &str = "2.5.29.32";
pub(crate) const ANY_POLICY: &str = "2.5.29.32.0";
pub(crate) const POLICY_MAPPINGS: &str = "2.5.29.33";
pub(crate) const POLICY_CONSTRAINTS: &str = "2.5.29.36";
pub(crate) const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
pub(crate) const EMAIL_PROTECTION: &str = "1.3.6.1.5.5.7.3.4";
pub(crate) const SERVER_AUTHENTICATION: &str = "1.3.6.1.5.5.7.3.1";
pub(crate) const V1_STRICT: &str = "2.23.140.1.5.1.3";
pub(crate) const V2_STRICT: &str = "2.23.140.1.5.4.3";
pub(crate) const V3_STRICT: &str = "2.23.140.1.5.2.3";
pub(crate) const V4_STRICT: &str = "2.23.140.1.5.3.3";
pub(crate) const V1_LEGACY: &str = "2.23.140.1.5.1.1";
pub(crate) const ID_DATA: &str = "1.2.840.113549.1.7.1";
pub(crate) const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
pub(crate) const CONTENT_TYPE: &str = "1.2.840.113549.1.9.3";
pub(crate) const MESSAGE_DIGEST: &str = "1.2.840.113549.1.9.4";
pub(crate) const SIGNING_TIME: &str = "1.2.840.113549.1.9.5";
pub(crate) const SIGNING_CERTIFICATE: &str = "1.2.840.113549.1.9.16.2.12";
pub(crate) const SIGNING_CERTIFICATE_V2: &str = "1.2.840.113549.1.9.16.2.47";
pub(crate) const ALGORITHM_PROTECTION: &str = "1.2.840.113549.1.9.52";
pub(crate) const SHA_1: &str = "1.3.14.3.2.26";
pub(crate) const SHA_256: &str = "2.16.840.1.101.3.4.2.1";
pub(crate) const SHA_384: &str = "2.16.840.1.101.3.4.2.2";
pub(crate) const SHA_512: &str = "2.16.840.1.101.3.4.2.3";
/// SEQUENCE { cA TRUE }.
pub(crate) const AUTHORITY: &[u8] = &[0x30, 0x03, 0x01, 0x01, 0xff];
/// keyCertSign and cRLSign.
pub(crate) const CERTIFICATE_SIGN: &[u8] = &[0x03, 0x02, 0x01, 0x06];
pub(crate) const DIGITAL_SIGNATURE: &[u8] = &[0x03, 0x02, 0x07, 0x80];
pub(crate) const KEY_ENCIPHERMENT: &[u8] = &[0x03, 0x02, 0x05, 0x20];
