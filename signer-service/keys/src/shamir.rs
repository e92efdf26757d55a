//! Secrets shared among people so that a number of them is needed (Shamir, "How to share a secret", 1979).
//!
//! Each octet of the secret is the constant term of a polynomial over GF(2^8) of its own, whose other coefficients are
//! random; a share is the values at one point. The field is that of AES (FIPS 197 section 4). Nothing branches on, or
//! is looked up by, a secret octet.
//!
//! The crates for this that were looked at are unmaintained or had weak coefficients (RUSTSEC-2024-0398), and it is
//! sixty lines.

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use crate::{KeyError, private_file};

/// The octets of a share, as many as the secret has.
pub(crate) type Values = Zeroizing<[u8; LENGTH]>;

/// The values at the points 1 to `shares` of random polynomials of degree `threshold - 1`.
///
/// The caller has checked that `2 <= threshold <= shares`.
pub(crate) fn split(secret: &[u8; LENGTH], threshold: u8, shares: u8) -> Result<Vec<Values>, KeyError> {
    let mut coefficients = Vec::with_capacity(usize::from(threshold));
    coefficients.push(Zeroizing::new(*secret));
    for _ in 1..threshold {
        let mut random = Zeroizing::new([0; LENGTH]);
        rand::fill(random.as_mut_slice()).map_err(|_| private_file::no_randomness())?;
        coefficients.push(random);
    }
    Ok((1..=shares).map(|point| evaluate(&coefficients, point)).collect())
}

/// The secret behind as many shares as the threshold said; from fewer comes something random.
///
/// The caller has checked that the points are different and none is zero.
pub(crate) fn combine(shares: &[(u8, &[u8; LENGTH])]) -> Values {
    let mut secret = Zeroizing::new([0; LENGTH]);
    for (point, values) in shares {
        // Lagrange: the product of x_j / (x_j - x_i) over the others, where minus is plus in this field.
        let weight = shares
            .iter()
            .filter(|(other, _)| other != point)
            .fold(1, |weight, (other, _)| {
                multiply(weight, multiply(*other, inverse(other ^ point)))
            });
        for (sum, value) in secret.iter_mut().zip(values.iter()) {
            *sum ^= multiply(weight, *value);
        }
    }
    secret
}

/// Horner's rule for each octet, the constant term first in `coefficients`.
fn evaluate(coefficients: &[Values], point: u8) -> Values {
    let mut values = Zeroizing::new([0; LENGTH]);
    for coefficient in coefficients.iter().rev() {
        for (value, term) in values.iter_mut().zip(coefficient.iter()) {
            *value = multiply(*value, point) ^ term;
        }
    }
    values
}

/// The product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (FIPS 197 section 4.2), with masks instead of branches.
fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0);
    for bit in 0..8 {
        product ^= a & 0_u8.wrapping_sub(b >> bit & 1);
        a = a << 1 ^ 0x1b & 0_u8.wrapping_sub(a >> 7);
    }
    product
}

/// The number whose product with `a` is one: a^254, since a^255 is one for all but zero.
fn inverse(a: u8) -> u8 {
    // 254 = 2 + 4 + 8 + 16 + 32 + 64 + 128
    let mut square = multiply(a, a);
    let mut power = square;
    for _ in 0..6 {
        square = multiply(square, square);
        power = multiply(power, square);
    }
    power
}

/// A private key of X25519 (RFC 7748).
pub(crate) const LENGTH: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_that_of_aes() {
        // FIPS 197 sections 4.2 and 4.2.1.
        assert_eq!(multiply(0x57, 0x83), 0xc1);
        assert_eq!(multiply(0x57, 0x13), 0xfe);
        for a in 1..=255 {
            assert_eq!(multiply(a, inverse(a)), 1, "{a}");
        }
        assert_eq!(inverse(0), 0);
        for a in 0..=255_u8 {
            for b in 0..=255 {
                assert_eq!(multiply(a, b), multiply(b, a));
            }
        }
    }

    /// Worked by hand: 0x42 + 0x57 x, so that the values are 0x42 ^ 0x57 x.
    #[test]
    fn a_line_goes_through_the_points_that_it_should() {
        let line = [Zeroizing::new([0x42; LENGTH]), Zeroizing::new([0x57; LENGTH])];
        // 0x57 * 2 = 0xae; 0x57 * 3 = 0xae ^ 0x57 = 0xf9.
        for (point, value) in [(1, 0x42 ^ 0x57), (2, 0x42 ^ 0xae), (3, 0x42 ^ 0xf9)] {
            assert_eq!(*evaluate(&line, point), [value; LENGTH]);
        }
        let (two, three) = ([0x42 ^ 0xae; LENGTH], [0x42 ^ 0xf9; LENGTH]);
        assert_eq!(*combine(&[(2, &two), (3, &three)]), [0x42; LENGTH]);
    }

    #[test]
    fn every_choice_of_enough_shares_gives_the_secret_and_no_smaller_one_does() {
        let mut secret = [0; LENGTH];
        for (index, octet) in secret.iter_mut().enumerate() {
            *octet = u8::try_from(index * 8 % 256).unwrap();
        }
        for shares in 2..=6_u8 {
            for threshold in 2..=shares {
                let values = split(&secret, threshold, shares).unwrap();
                for choice in 1_u32..1 << shares {
                    let chosen: Vec<_> = (0..shares)
                        .filter(|index| choice >> index & 1 == 1)
                        .map(|index| (index + 1, &*values[usize::from(index)]))
                        .collect();
                    let enough = choice.count_ones() >= u32::from(threshold);
                    assert_eq!(
                        *combine(&chosen) == secret,
                        enough,
                        "{threshold} of {shares}: {choice:b}"
                    );
                }
            }
        }
    }

    /// With one share too few, each secret fits: for every value of an octet there is exactly one missing share.
    #[test]
    fn invariant_12_one_share_too_few_says_nothing_about_the_secret() {
        let values = split(&[0x42; LENGTH], 2, 3).unwrap();
        let mut found = [false; 256];
        for guess in 0..=255_u8 {
            let secret = combine(&[(1, &*values[0]), (2, &[guess; LENGTH])]);
            found[usize::from(secret[0])] = true;
        }
        assert!(found.iter().all(|found| *found));
    }

    #[test]
    fn splitting_twice_gives_other_shares() {
        let (first, second) = (split(&[7; LENGTH], 2, 2).unwrap(), split(&[7; LENGTH], 2, 2).unwrap());
        assert_ne!(*first[0], *second[0]);
    }

    #[test]
    fn the_largest_number_of_shares_works() {
        let values = split(&[9; LENGTH], 200, 255).unwrap();
        let last: Vec<_> = (56..=255_u8)
            .map(|point| (point, &*values[usize::from(point) - 1]))
            .collect();
        assert_eq!(last.len(), 200);
        assert_eq!(*combine(&last), [9; LENGTH]);
    }
}
