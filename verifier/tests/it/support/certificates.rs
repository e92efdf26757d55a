//! Certificates and revocation lists, byte by byte.

use std::sync::Arc;

use const_oid::ObjectIdentifier;
use der::Encode;
use keys::SigningKey;

use super::{CERTIFICATE_POLICIES, EMAIL_ADDRESS, EXTENDED_KEY_USAGE, SUBJECT_ALTERNATIVE_NAME};

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len();
    if length < 0x80 {
        out.push(u8::try_from(length).unwrap());
    } else {
        let octets: Vec<u8> = length
            .to_be_bytes()
            .into_iter()
            .skip_while(|octet| *octet == 0)
            .collect();
        out.push(0x80 | u8::try_from(octets.len()).unwrap());
        out.extend(octets);
    }
    out.extend_from_slice(content);
    out
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

pub(crate) fn set(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x31, &parts.concat())
}

pub(crate) fn oid(dotted: &str) -> Vec<u8> {
    tlv(0x06, ObjectIdentifier::new_unwrap(dotted).as_bytes())
}

pub(crate) fn integer(value: u8) -> Vec<u8> {
    assert!(value < 0x80);
    tlv(0x02, &[value])
}

pub(crate) fn octets(content: &[u8]) -> Vec<u8> {
    tlv(0x04, content)
}

pub(crate) fn algorithm(dotted: &str) -> Vec<u8> {
    sequence(&[&oid(dotted)])
}

/// A Name with one attribute per relative name, as UTF8String.
pub(crate) fn name(attributes: &[(&str, &str)]) -> Vec<u8> {
    let sets: Vec<Vec<u8>> = attributes
        .iter()
        .map(|(kind, value)| {
            let tag = if *kind == EMAIL_ADDRESS { 0x16 } else { 0x0c };
            set(&[&sequence(&[&oid(kind), &tlv(tag, value.as_bytes())])])
        })
        .collect();
    tlv(0x30, &sets.concat())
}

pub(crate) fn utc_time(text: &str) -> Vec<u8> {
    tlv(0x17, text.as_bytes())
}

/// A certificate to be signed.
#[derive(Clone)]
pub(crate) struct Certificate {
    pub(crate) serial: u8,
    pub(crate) issuer: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) not_before: &'static str,
    pub(crate) not_after: &'static str,
    pub(crate) key: Arc<dyn SigningKey>,
    /// Instead of the key's own.
    pub(crate) public_key: Option<Vec<u8>>,
    /// How the issuer signs, if not as its key says.
    pub(crate) algorithm: Option<Vec<u8>>,
    pub(crate) extensions: Vec<(&'static str, bool, Vec<u8>)>,
}

impl Certificate {
    pub(crate) fn with(&mut self, kind: &'static str, critical: bool, value: Vec<u8>) -> &mut Self {
        self.without(kind).extensions.push((kind, critical, value));
        self
    }

    pub(crate) fn without(&mut self, kind: &str) -> &mut Self {
        self.extensions.retain(|(known, ..)| *known != kind);
        self
    }

    pub(crate) fn policies(&mut self, policies: &[&str]) -> &mut Self {
        let list: Vec<Vec<u8>> = policies.iter().map(|policy| sequence(&[&oid(policy)])).collect();
        self.with(CERTIFICATE_POLICIES, false, tlv(0x30, &list.concat()))
    }

    pub(crate) fn purposes(&mut self, purposes: &[&str]) -> &mut Self {
        let list: Vec<Vec<u8>> = purposes.iter().map(|purpose| oid(purpose)).collect();
        self.with(EXTENDED_KEY_USAGE, false, tlv(0x30, &list.concat()))
    }

    pub(crate) fn addresses(&mut self, addresses: &[&str]) -> &mut Self {
        let list: Vec<Vec<u8>> = addresses.iter().map(|address| tlv(0x81, address.as_bytes())).collect();
        self.with(SUBJECT_ALTERNATIVE_NAME, false, tlv(0x30, &list.concat()))
    }

    pub(crate) fn sign(&self, issuer_key: &dyn SigningKey) -> Vec<u8> {
        let own = || issuer_key.algorithm().identifier().to_der().unwrap();
        let algorithm = self.algorithm.clone().unwrap_or_else(own);
        let extensions: Vec<Vec<u8>> = self
            .extensions
            .iter()
            .map(|(kind, critical, value)| {
                let critical = if *critical { tlv(0x01, &[0xff]) } else { Vec::new() };
                sequence(&[&oid(kind), &critical, &octets(value)])
            })
            .collect();
        let public_key = self
            .public_key
            .clone()
            .unwrap_or_else(|| self.key.public_key().to_der().unwrap());
        let to_be_signed = sequence(&[
            &tlv(0xa0, &integer(2)),
            &integer(self.serial),
            &algorithm,
            &self.issuer,
            &sequence(&[&utc_time(self.not_before), &utc_time(self.not_after)]),
            &self.subject,
            &public_key,
            &tlv(0xa3, &tlv(0x30, &extensions.concat())),
        ]);
        sign(&to_be_signed, &algorithm, issuer_key)
    }
}

fn sign(to_be_signed: &[u8], algorithm: &[u8], key: &dyn SigningKey) -> Vec<u8> {
    let signature = key.sign(to_be_signed).unwrap();
    sequence(&[
        to_be_signed,
        algorithm,
        &tlv(0x03, &[&[0], signature.as_bytes()].concat()),
    ])
}

/// A CRL to be signed.
#[derive(Clone)]
pub(crate) struct RevocationList {
    pub(crate) this_update: &'static str,
    pub(crate) next_update: Option<&'static str>,
    pub(crate) serials: Vec<u8>,
    pub(crate) extensions: Vec<(&'static str, bool, Vec<u8>)>,
}

impl RevocationList {
    pub(crate) fn of(serials: &[u8]) -> Self {
        Self {
            this_update: "261120000000Z",
            next_update: Some("261127000000Z"),
            serials: serials.to_vec(),
            extensions: Vec::new(),
        }
    }

    pub(crate) fn sign(&self, issuer: &[u8], key: &dyn SigningKey) -> Vec<u8> {
        let algorithm = key.algorithm().identifier().to_der().unwrap();
        let entries: Vec<Vec<u8>> = self
            .serials
            .iter()
            .map(|serial| sequence(&[&integer(*serial), &utc_time("261101000000Z")]))
            .collect();
        let entries = if entries.is_empty() {
            Vec::new()
        } else {
            tlv(0x30, &entries.concat())
        };
        let extensions: Vec<Vec<u8>> = self
            .extensions
            .iter()
            .map(|(kind, critical, value)| {
                let critical = if *critical { tlv(0x01, &[0xff]) } else { Vec::new() };
                sequence(&[&oid(kind), &critical, &octets(value)])
            })
            .collect();
        let extensions = if extensions.is_empty() {
            Vec::new()
        } else {
            tlv(0xa0, &tlv(0x30, &extensions.concat()))
        };
        let next_update = self.next_update.map(utc_time).unwrap_or_default();
        let to_be_signed = sequence(&[
            &integer(1),
            &algorithm,
            issuer,
            &utc_time(self.this_update),
            &next_update,
            &entries,
            &extensions,
        ]);
        sign(&to_be_signed, &algorithm, key)
    }
}
