//! Inputs made to cost more than they are worth. Every bound is shown by counting work.

use openssl::ec::{EcGroup, EcKey};
use openssl::nid::Nid;
use openssl::pkey::PKey;
use policies::time::Timestamp;

use crate::asn1::{Reader, Rules};
use crate::certificate::Certificate;
use crate::crypto::PublicKey;
use crate::finding::Code;
use crate::path::{PathParameters, verify_path};
use crate::signed_data::SignedData;
use crate::trust::{TrustStore, Vouches};
use crate::work::{self, Work};

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let octets: Vec<u8> = length
                .to_be_bytes()
                .into_iter()
                .skip_while(|octet| *octet == 0)
                .collect();
            out.push(0x80 | u8::try_from(octets.len()).unwrap());
            out.extend(octets);
        }
    }
    out.extend_from_slice(content);
    out
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// A Name with one common name.
fn name(common_name: &[u8]) -> Vec<u8> {
    let pair = sequence(&[&[6, 3, 0x55, 4, 3], &tlv(0x0c, common_name)]);
    tlv(0x30, &tlv(0x31, &pair))
}

fn spki() -> Vec<u8> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
    key.public_key_to_der().unwrap()
}

const ECDSA_SHA_256: &[u8] = &[0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// A certificate with a signature of the right shape that nobody made.
fn certificate(serial: u8, issuer: &[u8], subject: &[u8], key: &[u8], is_authority: bool) -> Vec<u8> {
    let constraints: &[u8] = if is_authority {
        &[0x30, 3, 1, 1, 0xff]
    } else {
        &[0x30, 0]
    };
    let extension = sequence(&[&[6, 3, 0x55, 0x1d, 0x13], &[1, 1, 0xff], &tlv(4, constraints)]);
    let to_be_signed = sequence(&[
        &tlv(0xa0, &[2, 1, 2]),
        &[2, 2, 1, serial],
        ECDSA_SHA_256,
        issuer,
        &sequence(&[&tlv(0x17, b"250101000000Z"), &tlv(0x17, b"350101000000Z")]),
        subject,
        key,
        &tlv(0xa3, &tlv(0x30, &extension)),
    ]);
    let signature = sequence(&[&tlv(2, &[1; 32]), &tlv(2, &[1; 32])]);
    sequence(&[
        &to_be_signed,
        ECDSA_SHA_256,
        &tlv(3, &[&[0], signature.as_slice()].concat()),
    ])
}

const NOW: Timestamp = Timestamp::from_unix(1_795_305_600);

/// SignedData with these certificates and no signer.
fn signed_data(certificates: &[u8]) -> Vec<u8> {
    let sha_256 = sequence(&[&[6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1]]);
    let content = sequence(&[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1]]);
    let data = sequence(&[
        &[2, 1, 1],
        &tlv(0x31, &sha_256),
        &content,
        &tlv(0xa0, certificates),
        &tlv(0x31, &[]),
    ]);
    sequence(&[&[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2], &tlv(0xa0, &data)])
}

#[test]
fn ten_thousand_certificates_are_not_read() {
    let one = certificate(1, &name(b"a"), &name(b"b"), &spki(), false);
    let cms = signed_data(&one.repeat(10_000));
    let (result, work) = work::of(|| SignedData::read(&cms).map(|_| ()));
    assert_eq!(result.unwrap_err().code, Code::CmsMalformed);
    assert!(work.elements < 100, "{work:?}");
}

/// Certificates that could all have issued each other: names the same, keys different.
#[test]
fn a_maze_of_authorities_ends_after_a_hundred_signatures() {
    let maze: Vec<Vec<u8>> = (0..=255)
        .map(|serial| certificate(serial, &name(b"maze"), &name(b"maze"), &spki(), true))
        .collect();
    let root = certificate(0, &name(b"maze"), &name(b"maze"), &spki(), true);
    let leaf = certificate(7, &name(b"maze"), &name(b"leaf"), &spki(), false);
    let trust = TrustStore::new().add(&root, Vouches::Tiers).unwrap();
    let pool = maze.iter().cycle().take(10_000).map(Vec::as_slice);
    let (result, work) = work::of(|| verify_path(&leaf, pool, &trust, NOW, &PathParameters::default()).map(|_| ()));
    assert_eq!(result.unwrap_err().code, Code::PathTooExpensive);
    assert!(work.signatures <= 100, "{work:?}");
    // Each certificate of the pool is read once, however often it is handed in.
    assert!(work.elements < 257 * 64, "{work:?}");
}

#[test]
fn a_name_of_a_megabyte_is_not_read() {
    let long = certificate(1, &name(&vec![b'x'; 1 << 20]), &name(b"b"), &spki(), false);
    let (result, work) = work::of(|| Certificate::read(&long).map(|_| ()));
    assert_eq!(result.unwrap_err().code, Code::CertificateMalformed);
    assert_eq!(work.elements, 0);
    // A certificate as long as it may be, of as many attributes as fit: linear in what is read.
    let pair = sequence(&[&[6, 3, 0x55, 4, 3], &tlv(0x0c, b"x")]);
    let many = tlv(0x30, &tlv(0x31, &pair).repeat(4000));
    let long = certificate(1, &many, &name(b"b"), &spki(), false);
    let (result, work) = work::of(|| Certificate::read(&long).map(|_| ()));
    assert_eq!(result.unwrap_err().code, Code::CertificateMalformed);
    assert!(work.elements < 1000, "{work:?}");
}

#[test]
fn huge_object_identifiers_and_deep_nesting_end_early() {
    let huge = tlv(6, &vec![0x81; 1 << 20]);
    let (result, work) = work::of(|| Reader::new(&huge, Rules::Distinguished).object_identifier());
    assert!(result.is_err());
    assert_eq!(work.elements, 1);
    // One arc of more than 32 bits.
    let wide = tlv(6, &[0x2a, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
    assert!(Reader::new(&wide, Rules::Distinguished).object_identifier().is_err());
    let deep = [0x30, 0x80].repeat(1 << 20);
    let (result, work) = work::of(|| Reader::new(&deep, Rules::IndefiniteToo).any().map(|_| ()));
    assert!(result.is_err());
    assert!(work.elements < 20, "{work:?}");
    // Indefinite lengths side by side at the deepest level are looked at once per level.
    let wide = [[0x30, 0x80, 0, 0].repeat(10_000), vec![0, 0]].concat();
    let wide = [&[0x30, 0x80], wide.as_slice()].concat();
    let (result, work) = work::of(|| Reader::new(&wide, Rules::IndefiniteToo).any().map(|_| ()));
    assert!(result.is_ok());
    assert!(work.elements <= 10_001, "{work:?}");
}

/// Nobody computes with a key of 16384 bits, be it the signer's or an authority's.
#[test]
fn keys_of_16384_bits_cost_no_signature() {
    let mut modulus = vec![0xff; 2049];
    modulus[0] = 0;
    let key = sequence(&[&tlv(2, &modulus), &[2, 3, 1, 0, 1]]);
    let algorithm = [0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let key = sequence(&[&algorithm, &tlv(3, &[&[0], key.as_slice()].concat())]);
    assert!(PublicKey::from_subject_public_key_info(&key).is_err());
    let root = certificate(1, &name(b"root"), &name(b"root"), &key, true);
    assert!(TrustStore::new().add(&root, Vouches::Tiers).is_err());
    let issuing = certificate(2, &name(b"root"), &name(b"issuing"), &key, true);
    let good_root = certificate(1, &name(b"root"), &name(b"root"), &spki(), true);
    let trust = TrustStore::new().add(&good_root, Vouches::Tiers).unwrap();
    let leaf = certificate(3, &name(b"issuing"), &name(b"leaf"), &spki(), false);
    let (result, work) =
        work::of(|| verify_path(&leaf, [issuing.as_slice()], &trust, NOW, &PathParameters::default()).map(|_| ()));
    assert_eq!(result.unwrap_err().code, Code::CertificateAlgorithm);
    assert_eq!(work, Work { signatures: 0, ..work });
}
