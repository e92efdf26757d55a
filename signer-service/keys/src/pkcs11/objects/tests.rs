//! What tokens may return, and what must not get through. The real token is in `tests/pkcs11.rs`.

use super::*;
use crate::testing;

fn bits_of(key: &dyn crate::SigningKey) -> Vec<u8> {
    key.public_key().subject_public_key.raw_bytes().to_vec()
}

fn wrapped(point: &[u8]) -> Vec<u8> {
    OctetStringRef::new(point).unwrap().to_der().unwrap()
}

fn check_signature(raw: &[u8], curve: &Curve, expected: &[u8]) {
    match ecdsa_signature(raw, curve) {
        Ok(signature) => assert_eq!(signature.as_bytes(), expected),
        Err(failure) => panic!("{raw:?}: {failure:?}"),
    }
}

#[test]
fn the_parameters_of_a_curve_are_its_identifier_in_der() {
    for curve in [&P256, &P384] {
        assert_eq!(curve.oid.to_der().unwrap(), curve.parameters);
    }
}

#[test]
fn integers_are_as_short_as_der_wants_and_never_negative() {
    // One octet each.
    let mut raw = [0; 64];
    raw[31] = 1;
    raw[63] = 0x7f;
    check_signature(&raw, &P256, b"\x30\x06\x02\x01\x01\x02\x01\x7f");
    // A high bit takes a zero in front, zeros in front of it go.
    raw[31] = 0x80;
    raw[62] = 1;
    check_signature(&raw, &P256, b"\x30\x08\x02\x02\x00\x80\x02\x02\x01\x7f");
    // The longest: 33 octets each, and for P-384 an inner length that takes two octets.
    let mut expected = b"\x30\x46\x02\x21\x00".to_vec();
    expected.extend([0xff; 32]);
    expected.extend(b"\x02\x21\x00");
    expected.extend([0xff; 32]);
    check_signature(&[0xff; 64], &P256, &expected);
    let mut expected = b"\x30\x66\x02\x31\x00".to_vec();
    expected.extend([0xff; 48]);
    expected.extend(b"\x02\x31\x00");
    expected.extend([0xff; 48]);
    check_signature(&[0xff; 96], &P384, &expected);
    // Tokens may shorten both (PKCS #11 v3.1, 6.3.1).
    check_signature(&[1, 0x80], &P256, b"\x30\x07\x02\x01\x01\x02\x02\x00\x80");
}

#[test]
fn openssl_reads_every_length_of_signature() {
    for length in 1..=48_usize {
        let raw = [vec![0x81; length], vec![0x7e; length]].concat();
        let signature = ecdsa_signature(&raw, &P384).unwrap();
        let theirs = openssl::ecdsa::EcdsaSig::from_der(signature.as_bytes()).unwrap();
        assert_eq!(theirs.r().to_vec(), vec![0x81; length]);
        assert_eq!(theirs.s().to_vec(), vec![0x7e; length]);
        assert_eq!(theirs.to_der().unwrap(), signature.as_bytes());
    }
}

#[test]
fn what_is_not_a_signature_is_refused() {
    let mut half_zero = [0; 64];
    half_zero[0] = 1;
    for raw in [
        &[][..],
        &[1],
        &[1; 63],
        &[1; 65],
        &[1; 66],
        &[1; 96],
        &[0; 64],
        &half_zero,
    ] {
        let refusal = ecdsa_signature(raw, &P256).unwrap_err();
        let expected = matches!(refusal, Failure::Final(KeyError::SigningFailed { .. }));
        assert!(expected, "{} octets: {refusal:?}", raw.len());
    }
}

#[test]
fn points_are_taken_with_and_without_their_octet_string() {
    for (key, curve) in [(testing::p256(), &P256), (testing::p384(), &P384)] {
        let point = bits_of(&*key);
        for form in [point.clone(), wrapped(&point)] {
            let (algorithm, public_key) = elliptic_public_key(curve.parameters, &form).unwrap();
            assert_eq!(algorithm, key.algorithm());
            assert_eq!(public_key, *key.public_key());
        }
    }
}

#[test]
fn points_that_are_not_on_the_curve_or_not_uncompressed_are_refused() {
    let check = |parameters: &[u8], point: &[u8]| {
        assert!(elliptic_public_key(parameters, point).is_none(), "{point:?}");
    };
    let point = bits_of(&*testing::p256());
    let mut off = point.clone();
    off[64] ^= 1;
    check(P256.parameters, &off);
    check(P256.parameters, &wrapped(&off));
    check(P256.parameters, &[]);
    check(P256.parameters, &[4]);
    check(P256.parameters, &[4, 0]);
    check(P256.parameters, &[4; 65]);
    check(P256.parameters, &point[..64]);
    check(P256.parameters, &[wrapped(&point).as_slice(), b"\0"].concat());
    // Compressed.
    let compressed = [&[2 + (point[64] & 1)], &point[1..33]].concat();
    check(P256.parameters, &wrapped(&compressed));
    // The point of another curve, and a curve that is not used (secp256k1).
    check(P384.parameters, &wrapped(&point));
    check(b"\x06\x05\x2b\x81\x04\x00\x0a", &wrapped(&point));
    check(&[], &wrapped(&point));
}

#[test]
fn rsa_keys_get_the_bytes_of_the_software_keys_also_with_zeros_in_front() {
    for key in [testing::rsa2048(), testing::rsa3072()] {
        let encoded = bits_of(&*key);
        let numbers = RsaPublicKey::from_der(&encoded).unwrap();
        let (modulus, exponent) = (numbers.modulus.as_bytes(), numbers.public_exponent.as_bytes());
        let (algorithm, public_key) = rsa_public_key(modulus, exponent).unwrap();
        assert_eq!((algorithm, &public_key), (key.algorithm(), key.public_key()));
        let (_, padded) = rsa_public_key(&[&[0], modulus].concat(), &[&[0, 0], exponent].concat()).unwrap();
        assert_eq!(&padded, key.public_key());
    }
}

#[test]
fn rsa_keys_of_other_lengths_or_exponents_are_refused() {
    let encoded = bits_of(&*testing::rsa2048());
    let numbers = RsaPublicKey::from_der(&encoded).unwrap();
    let modulus = numbers.modulus.as_bytes();
    let check = |modulus: &[u8], exponent: &[u8]| {
        assert!(rsa_public_key(modulus, exponent).is_none(), "{exponent:?}");
    };
    for exponent in [&[][..], &[0], &[1], &[3], &[0xff, 0xff], &[1, 0, 0], &[1; 33]] {
        check(modulus, exponent);
    }
    check(&modulus[..255], &[1, 0, 1]);
    check(&[modulus, &[1]].concat(), &[1, 0, 1]);
    let mut shorter = modulus.to_vec();
    shorter[0] &= 0x7f;
    check(&shorter, &[1, 0, 1]);
    check(&[], &[1, 0, 1]);
}
