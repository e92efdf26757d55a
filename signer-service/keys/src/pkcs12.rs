//! PKCS#12 files (RFC 7292) with a subscriber's keys and certificates, as mail programs import them.
//!
//! Two forms, since one is not enough. [`Form::Modern`] is what OpenSSL 3 and NSS write themselves: PBES2 with PBKDF2,
//! HMAC-SHA-256 and AES-256-CBC (RFC 8018), and a MAC with SHA-256. [`Form::Legacy`] is for gpgsm up to 2.2 and Windows
//! before 2019, which read nothing newer: pbeWithSHAAnd3-KeyTripleDES-CBC and a MAC with SHA-1 (RFC 7292 appendix C).
//!
//! NOTE: the legacy form is as strong as triple DES, which is 112 bits (NIST SP 800-57 part 1, table 2) and so what
//! S/MIME BR 6.1.2 asks for, because a [`Passphrase`] has 125 random bits: nobody guesses through the weak derivation.
//! SHA-1 is used where only second preimages would help. RC2 with 40 bits, which other programs put around the
//! certificates in this form, is not used; they are public, but no reader needs it.

mod der;
mod encryption;

use spki::SubjectPublicKeyInfoOwned;
use spki::der::{Decode, Encode};
use zeroize::Zeroizing;

use self::der::{Der, bmp_string, context_0, integer, null, octet_string, oid, sequence, set, value};
use self::encryption::{Encryption, Mac};
use crate::{ExportableKey, KeyError, Passphrase};

/// How a file is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// AES-256 and SHA-256: for everything current.
    Modern,
    /// Triple DES and SHA-1: for gpgsm 2.2 and old Windows.
    Legacy,
}

/// A key with its certificate, and what a mail program shows for them.
#[derive(Debug)]
pub struct Entry<'a> {
    /// The private key.
    pub key: &'a ExportableKey,
    /// The certificate of that key, in DER.
    pub certificate: &'a [u8],
    /// The name that is shown for both. NSS takes no file in which certificates of different subjects share one.
    pub friendly_name: &'a str,
}

/// A PKCS#12 file with each key, its certificate, and `authorities` (certificates in DER) to complete the chain.
///
/// # Errors
/// [`KeyError::Pkcs12`] when there is nothing to write, or a certificate is not the one of its key.
pub fn write(
    entries: &[Entry<'_>],
    authorities: &[&[u8]],
    form: Form,
    passphrase: &Passphrase,
) -> Result<Vec<u8>, KeyError> {
    if entries.is_empty() {
        return Err(KeyError::Pkcs12 {
            problem: "there is no key to put into it",
        });
    }
    let mut certificates: Vec<Der> = Vec::new();
    let mut keys: Vec<Der> = Vec::new();
    for (entry, number) in entries.iter().zip(1_u32..) {
        if public_key(entry.certificate)? != *entry.key.public_key() {
            return Err(KeyError::Pkcs12 {
                problem: "a certificate is of another key than the one it was given with",
            });
        }
        // What tells readers which certificate belongs to which key (RFC 2985 section 5.5.2).
        let local_key_id = number.to_be_bytes();
        let attributes = attributes(entry.friendly_name, &local_key_id);
        certificates.push(certificate_bag(entry.certificate, &attributes));
        let encryption = Encryption::new(form, passphrase)?;
        let encrypted = encryption.encrypt(entry.key.pkcs8())?;
        let shrouded = sequence(&[&encryption.algorithm, &octet_string(&encrypted)]);
        keys.push(sequence(&[&oid(SHROUDED_KEY_BAG), &context_0(&shrouded), &attributes]));
    }
    for authority in authorities {
        public_key(authority)?;
        certificates.push(certificate_bag(authority, &[]));
    }

    // RFC 7292 section 4.1: what is encrypted as a whole, and what is encrypted key by key.
    let encryption = Encryption::new(form, passphrase)?;
    let encrypted = encryption.encrypt(&joined(&certificates))?;
    let content = sequence(&[&oid(DATA), &encryption.algorithm, &value(0x80, &[&encrypted])]);
    let certificates = sequence(&[&oid(ENCRYPTED_DATA), &context_0(&sequence(&[&integer(0), &content]))]);
    let keys = sequence(&[&oid(DATA), &context_0(&octet_string(&joined(&keys)))]);
    let authenticated_safe = sequence(&[&certificates, &keys]);

    let mac = Mac::of(&authenticated_safe, form, passphrase)?;
    let digest_info = sequence(&[&sequence(&[&oid(mac.digest), &null()]), &octet_string(&mac.value)]);
    let mac_data = sequence(&[&digest_info, &octet_string(&mac.salt), &integer(mac.iterations)]);
    let auth_safe = sequence(&[&oid(DATA), &context_0(&octet_string(&authenticated_safe))]);
    let pfx = sequence(&[&integer(VERSION), &auth_safe, &mac_data]);
    Ok(pfx.to_vec())
}

fn certificate_bag(certificate: &[u8], attributes: &[u8]) -> Der {
    let bag = sequence(&[&oid(X509_CERTIFICATE), &context_0(&octet_string(certificate))]);
    sequence(&[&oid(CERTIFICATE_BAG), &context_0(&bag), attributes])
}

/// localKeyId (1.2.840.113549.1.9.21) before friendlyName (…20): the shorter one sorts first in a SET.
fn attributes(friendly_name: &str, local_key_id: &[u8]) -> Der {
    let id = sequence(&[&oid(LOCAL_KEY_ID), &set(&octet_string(local_key_id))]);
    let name = sequence(&[&oid(FRIENDLY_NAME), &set(&bmp_string(friendly_name))]);
    let mut both = [id, name];
    both.sort_by(|one, other| one.cmp(other));
    value(0x31, &[&both[0], &both[1]])
}

fn joined(bags: &[Der]) -> Der {
    let bags: Vec<&[u8]> = bags.iter().map(|bag| bag.as_slice()).collect();
    sequence(&bags)
}

/// The SubjectPublicKeyInfo of a certificate: RFC 5280 section 4.1, the seventh element of the first.
fn public_key(certificate: &[u8]) -> Result<SubjectPublicKeyInfoOwned, KeyError> {
    let unreadable = || KeyError::Pkcs12 {
        problem: "what should be a certificate is none",
    };
    let outer: Vec<spki::der::Any> = Vec::from_der(certificate).map_err(|_| unreadable())?;
    let tbs = outer
        .first()
        .ok_or_else(unreadable)?
        .to_der()
        .map_err(|_| unreadable())?;
    let fields: Vec<spki::der::Any> = Vec::from_der(&tbs).map_err(|_| unreadable())?;
    let info = fields.get(6).ok_or_else(unreadable)?;
    let info = Zeroizing::new(info.to_der().map_err(|_| unreadable())?);
    SubjectPublicKeyInfoOwned::from_der(&info).map_err(|_| unreadable())
}

/// RFC 7292 section 4.
const VERSION: u32 = 3;
const DATA: &str = "1.2.840.113549.1.7.1";
const ENCRYPTED_DATA: &str = "1.2.840.113549.1.7.6";
const SHROUDED_KEY_BAG: &str = "1.2.840.113549.1.12.10.1.2";
const CERTIFICATE_BAG: &str = "1.2.840.113549.1.12.10.1.3";
const X509_CERTIFICATE: &str = "1.2.840.113549.1.9.22.1";
const FRIENDLY_NAME: &str = "1.2.840.113549.1.9.20";
const LOCAL_KEY_ID: &str = "1.2.840.113549.1.9.21";

#[cfg(test)]
mod tests;
