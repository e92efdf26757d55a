//! An RSA public key, checked and still as it was written, since each backend prepares it in its own way.

use rsa::pkcs1::DecodeRsaPublicKey as _;

use super::{InvalidSignature, UnacceptableAlgorithm};
use crate::asn1::{self, INTEGER, Malformed, Reader};

/// An odd modulus and an odd exponent, both of an accepted size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RsaKey {
    /// RSAPublicKey of RFC 8017 appendix A.1.1.
    der: Vec<u8>,
    modulus: Vec<u8>,
    exponent: u64,
}

impl RsaKey {
    pub(crate) fn read(der: &[u8]) -> Result<Self, UnacceptableAlgorithm> {
        let (modulus, exponent) = integers(der).map_err(|_| UnacceptableAlgorithm::KeyEncoding)?;
        let bits = match modulus {
            [first, rest @ ..] => 8 - usize::try_from(first.leading_zeros()).unwrap_or(8) + 8 * rest.len(),
            [] => 0,
        };
        if !(MINIMUM_RSA_BITS..=MAXIMUM_RSA_BITS).contains(&bits) || bits % 8 != 0 {
            return Err(UnacceptableAlgorithm::RsaSize { bits });
        }
        // Five octets hold every exponent that is accepted.
        let exponent = match exponent.len() {
            0..=5 => exponent
                .iter()
                .fold(0_u64, |value, octet| value << 8 | u64::from(*octet)),
            _ => u64::MAX,
        };
        if !(MINIMUM_RSA_EXPONENT..=MAXIMUM_RSA_EXPONENT).contains(&exponent) || exponent & 1 == 0 {
            return Err(UnacceptableAlgorithm::RsaExponent);
        }
        if modulus.last().is_none_or(|last| last & 1 == 0) {
            return Err(UnacceptableAlgorithm::KeyEncoding);
        }
        Ok(Self {
            der: der.to_vec(),
            modulus: modulus.to_vec(),
            exponent,
        })
    }

    /// RSAPublicKey in DER.
    #[cfg(feature = "fast")]
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    /// Big-endian without zeros in front; every signature by this key is as long (RFC 8017 section 8.2.2 step 1).
    pub(crate) fn modulus(&self) -> &[u8] {
        &self.modulus
    }

    pub(crate) fn exponent(&self) -> u64 {
        self.exponent
    }

    /// The key for the arithmetic of the `rsa` crate.
    pub(crate) fn to_rust(&self) -> Result<rsa::RsaPublicKey, InvalidSignature> {
        rsa::RsaPublicKey::from_pkcs1_der(&self.der).map_err(|_| InvalidSignature)
    }
}

/// SEQUENCE { modulus, publicExponent }, both positive, without the octet that only keeps the sign away.
fn integers(der: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut reader = asn1::whole_sequence(der)?;
    let modulus = positive(&mut reader)?;
    let exponent = positive(&mut reader)?;
    reader.finish()?;
    Ok((modulus, exponent))
}

fn positive<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Malformed> {
    match reader.expect(INTEGER)?.content {
        [0, magnitude @ ..] if magnitude.first().is_some_and(|first| *first >= 0x80) => Ok(magnitude),
        content @ [1..=0x7f, ..] => Ok(content),
        _ => Err(Malformed::Value {
            what: "a positive INTEGER",
        }),
    }
}

/// Bits of an RSA modulus, at least. Source: S/MIME BR section 6.1.5.
const MINIMUM_RSA_BITS: usize = 2048;
/// Bits of an RSA modulus, at most. Source: own choice; the S/MIME BR section 6.1.5 set none, the cost of a check grows
/// with the square, and AWS-LC, which must agree, takes none beyond this.
const MAXIMUM_RSA_BITS: usize = 8192;
/// RSA exponent, at least. Source: S/MIME BR section 6.1.6, which recommend 2^16 + 1 or more and demand 3; FIPS 186-5
/// section A.1.1 demands it.
const MINIMUM_RSA_EXPONENT: u64 = 65537;
/// RSA exponent, at most. Source: what AWS-LC takes (33 bits), so that both backends agree; the S/MIME BR section 6.1.6
/// allow 2^256 - 1, which nobody uses and which would cost as much as a private operation.
const MAXIMUM_RSA_EXPONENT: u64 = (1 << 33) - 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(modulus: &[u8], exponent: &[u8], expected: Result<usize, UnacceptableAlgorithm>) {
        let element = |tag: u8, content: &[u8]| {
            let length = u16::try_from(content.len()).unwrap();
            let length = match u8::try_from(length) {
                Ok(short) if short < 0x80 => vec![short],
                Ok(long) => vec![0x81, long],
                Err(_) => [&[0x82], length.to_be_bytes().as_slice()].concat(),
            };
            [&[tag], length.as_slice(), content].concat()
        };
        let der = element(0x30, &[element(2, modulus), element(2, exponent)].concat());
        let got = RsaKey::read(&der);
        assert_eq!(
            got.as_ref().map(|key| key.modulus().len()).map_err(Clone::clone),
            expected
        );
        if let Ok(key) = got {
            assert!(key.to_rust().is_ok(), "what is accepted can be used");
        }
        for bad in [&der[..der.len() - 1], &[der.as_slice(), &[0]].concat()] {
            assert_eq!(RsaKey::read(bad), Err(UnacceptableAlgorithm::KeyEncoding));
        }
    }

    fn modulus(octets: usize) -> Vec<u8> {
        let mut modulus = vec![0xa5; octets + 1];
        modulus[0] = 0;
        modulus
    }

    #[test]
    fn keys_of_usual_and_largest_size_are_accepted() {
        for octets in [256, 257, 384, 512, 1024] {
            check(&modulus(octets), &[1, 0, 1], Ok(octets));
        }
        check(&modulus(256), &[1, 0xff, 0xff, 0xff, 0xff], Ok(256));
    }

    #[test]
    fn other_sizes_exponents_and_spellings_are_refused() {
        let size = |bits| Err(UnacceptableAlgorithm::RsaSize { bits });
        check(&modulus(128), &[1, 0, 1], size(1024));
        check(&modulus(1025), &[1, 0, 1], size(8200));
        check(&modulus(2048), &[1, 0, 1], size(16384));
        let mut odd = modulus(256);
        odd[1] = 0x01;
        check(&odd[1..], &[1, 0, 1], size(2041));
        for exponent in [
            &[3][..],
            &[1],
            &[1, 0, 0],
            &[1, 0, 2],
            &[2, 0, 0, 0, 1],
            &[1; 6],
            &[1; 40],
        ] {
            check(&modulus(256), exponent, Err(UnacceptableAlgorithm::RsaExponent));
        }
        let encoding = Err(UnacceptableAlgorithm::KeyEncoding);
        let mut even = modulus(256);
        *even.last_mut().unwrap() = 2;
        check(&even, &[1, 0, 1], encoding.clone());
        check(&modulus(256)[1..], &[1, 0, 1], encoding.clone());
        check(&[&[0], modulus(256).as_slice()].concat(), &[1, 0, 1], encoding.clone());
        check(&modulus(256), &[0, 1, 0, 1], encoding.clone());
        check(&modulus(256), &[], encoding.clone());
        check(&modulus(256), &[0], encoding.clone());
        check(&[], &[1, 0, 1], encoding);
    }
}
