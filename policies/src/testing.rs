//! Keys, names and places for the tests of this crate. Nobody has kept the private halves of the keys.

use der::asn1::{Any, BitString, Uint};
use der::{Decode, Encode, Tag};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::serial_number::SerialNumber;

use crate::authority::AuthorityName;
use crate::issuance::{Issuer, Locations};
use crate::organization::Country;
use crate::url::HttpUrl;

pub(crate) fn p256() -> SubjectPublicKeyInfoOwned {
    read(include_bytes!("testing/p256.der"))
}

pub(crate) fn p384() -> SubjectPublicKeyInfoOwned {
    read(include_bytes!("testing/p384.der"))
}

pub(crate) fn rsa2048() -> SubjectPublicKeyInfoOwned {
    read(include_bytes!("testing/rsa2048.der"))
}

pub(crate) fn rsa3072() -> SubjectPublicKeyInfoOwned {
    read(include_bytes!("testing/rsa3072.der"))
}

pub(crate) fn rsa4096() -> SubjectPublicKeyInfoOwned {
    read(include_bytes!("testing/rsa4096.der"))
}

fn read(der: &[u8]) -> SubjectPublicKeyInfoOwned {
    SubjectPublicKeyInfoOwned::from_der(der).unwrap()
}

pub(crate) fn issuer() -> Issuer {
    Issuer {
        name: issuing_name().to_name().unwrap(),
        public_key: p384(),
        signature_algorithm: ecdsa_with_sha384(),
    }
}

pub(crate) fn root() -> Issuer {
    Issuer {
        name: root_name().to_name().unwrap(),
        ..issuer()
    }
}

pub(crate) fn root_name() -> AuthorityName {
    AuthorityName::new(
        "Example Mail Root 1",
        "Example Trust Ltd",
        Country::parse("GB").unwrap(),
    )
    .unwrap()
}

pub(crate) fn issuing_name() -> AuthorityName {
    AuthorityName::new(
        "Example Mail Issuing 1",
        "Example Trust Ltd",
        Country::parse("GB").unwrap(),
    )
    .unwrap()
}

pub(crate) fn ecdsa_with_sha384() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned {
        oid: const_oid::db::rfc5912::ECDSA_WITH_SHA_384,
        parameters: None,
    }
}

pub(crate) fn serial_number() -> SerialNumber {
    SerialNumber::new(&[0x5a; 17]).unwrap()
}

pub(crate) fn locations() -> Locations {
    Locations {
        revocation_list: HttpUrl::parse("http://ca.example.com/crl/issuing-1.crl").unwrap(),
        issuer_certificate: HttpUrl::parse("http://ca.example.com/ca/issuing-1.cer").unwrap(),
        ocsp_responder: None,
        practice_statement: None,
    }
}

/// An RSA key with a modulus and an exponent of one's choice.
pub(crate) fn rsa(modulus: &[u8], exponent: &[u8]) -> SubjectPublicKeyInfoOwned {
    let mut content = Uint::new(modulus).unwrap().to_der().unwrap();
    content.extend(Uint::new(exponent).unwrap().to_der().unwrap());
    let key = Any::new(Tag::Sequence, content).unwrap().to_der().unwrap();
    SubjectPublicKeyInfoOwned {
        subject_public_key: BitString::from_bytes(&key).unwrap(),
        ..rsa2048()
    }
}

/// A product of two primes of 1024 bits of the form that Infineon's library gave them, made for this test.
pub(crate) const ROCA: &[u8] = include_bytes!("testing/roca2048.modulus");
/// A product of two primes of 1024 bits that are about 2^515 apart: some rounds of Fermat's method find them.
pub(crate) const CLOSE: &[u8] = include_bytes!("testing/close2048.modulus");
/// A product of two primes of 1024 bits that are about 2^530 apart: billions of rounds are needed.
pub(crate) const APART: &[u8] = include_bytes!("testing/apart2048.modulus");
