//! RSA keys whose private half anybody can compute from the public one (S/MIME BR 6.1.1.3, "easily computed").
//!
//! Size, exponent and small factors are rules of BR 6.1.5 and 6.1.6 and have lints of their own. Here are the two
//! weaknesses that show in the modulus alone; keys of Debian's broken generator show only in a list of them.

use crypto_bigint::{BoxedUint, Limb, NonZero, Resize};

/// Whether the modulus has the form that a faulty library of Infineon gives to its primes (CVE-2017-15361, "ROCA").
///
/// Such a prime is `k * M + (65537^a mod M)`, where M is the product of the first 39 primes or more; so the modulus is
/// a power of 65537 modulo every prime up to 167. One modulus in more than 2^80 of other origin looks the same.
/// See "The Return of Coppersmith's Attack" (CCS 2017), section 2.3.
#[must_use]
pub fn is_roca(modulus: &[u8]) -> bool {
    (3..=LARGEST_ROCA_PRIME)
        .filter(|number| (2..*number).all(|divisor| !number.is_multiple_of(divisor)))
        .all(|prime| {
            let wanted = remainder(modulus, prime);
            let mut power = 1;
            // The powers repeat after at most prime - 1 of them.
            (1..prime).any(|_| {
                power = power * 65_537 % prime;
                power == wanted
            })
        })
}

/// Whether the two primes are so close that Fermat's method finds them within [`FERMAT_ROUNDS`] steps.
///
/// With `n = a² - b²` for an `a` just above the square root of `n`, `a - b` and `a + b` are its factors.
#[must_use]
pub fn has_close_primes(modulus: &[u8]) -> bool {
    let modulus = BoxedUint::from_be_slice_vartime(modulus);
    if modulus.bits_vartime() < 3 {
        return false;
    }
    // a² is below 2n + 2^(bits/2 + 8), and differences are smaller: a limb more than the modulus holds everything.
    let width = modulus.bits_precision() + Limb::BITS;
    let modulus = modulus.resize(width);
    let one = BoxedUint::one_with_precision(width);
    let mut a = modulus.floor_sqrt_vartime();
    if a.wrapping_square() < modulus {
        a = a.wrapping_add(&one);
    }
    let mut difference = a.wrapping_square().wrapping_sub(&modulus);
    for _ in 0..FERMAT_ROUNDS {
        if is_square(&difference) {
            return true;
        }
        // (a + 1)² - n = (a² - n) + 2a + 1
        difference = difference.wrapping_add(&a).wrapping_add(&a).wrapping_add(&one);
        a = a.wrapping_add(&one);
    }
    false
}

/// How many steps of Fermat's method are tried: what Boulder tries too, since keys found in the wild fell in the first.
pub const FERMAT_ROUNDS: usize = 100;

fn is_square(number: &BoxedUint) -> bool {
    // Twelve of the 64 remainders are those of squares, and 16 of 63; it spares nineteen roots in twenty.
    let leaves_a_square = |modulus: u8| {
        let remainder = NonZero::new(Limb::from(modulus)).into_option();
        let remainder = remainder.map_or(0, |modulus| number.rem_limb(modulus).0);
        let modulus = u16::from(modulus);
        (0..modulus).any(|root| u128::from(root * root % modulus) == remainder.into())
    };
    leaves_a_square(64) && leaves_a_square(63) && number.checked_sqrt_vartime().is_some()
}

/// The remainder of a big-endian number; below `divisor * 256 + 255`, and no divisor here has more than eight bits.
fn remainder(number: &[u8], divisor: u32) -> u32 {
    number
        .iter()
        .fold(0, |remainder, octet| (remainder * 256 + u32::from(*octet)) % divisor)
}

/// The 39th prime: the smallest M, of keys of 512 bits, has no larger one.
const LARGEST_ROCA_PRIME: u32 = 167;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::public_key::PublicKey;
    use crate::testing::{self, APART, CLOSE, ROCA};

    fn modulus(info: &spki::SubjectPublicKeyInfoOwned) -> Vec<u8> {
        match PublicKey::read(info).unwrap() {
            PublicKey::Rsa { modulus, .. } => modulus,
            other => panic!("{other:?} is not RSA"),
        }
    }

    #[test]
    fn keys_of_openssl_are_neither() {
        for key in [testing::rsa2048(), testing::rsa3072(), testing::rsa4096()] {
            assert!(!is_roca(&modulus(&key)));
            assert!(!has_close_primes(&modulus(&key)));
        }
    }

    #[test]
    fn each_weakness_is_told_from_the_other() {
        assert!(is_roca(ROCA) && !has_close_primes(ROCA));
        assert!(has_close_primes(CLOSE) && !is_roca(CLOSE));
        assert!(!has_close_primes(APART) && !is_roca(APART));
    }

    /// The fingerprint is about the remainders, so one changed bit leaves them.
    #[test]
    fn a_neighbour_of_a_fingerprinted_modulus_has_not_the_fingerprint() {
        for bit in 0..ROCA.len() * 8 {
            let mut other = ROCA.to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_roca(&other), "bit {bit}");
        }
    }

    /// Against the definition, with primes small enough to try all pairs.
    #[test]
    fn products_of_small_primes_are_found_when_their_distance_allows() {
        let is_prime = |number: &u64| (2..*number).all(|divisor| !number.is_multiple_of(divisor));
        let primes: Vec<u64> = (1_000..1_400).filter(is_prime).collect();
        for (index, p) in primes.iter().enumerate() {
            for q in &primes[index..] {
                let n = p * q;
                let root = n.isqrt() + u64::from(n.isqrt() * n.isqrt() < n);
                let rounds = (p + q) / 2 - root;
                let expected = rounds < u64::try_from(FERMAT_ROUNDS).unwrap();
                assert_eq!(has_close_primes(&n.to_be_bytes()), expected, "{p} * {q}");
            }
        }
    }

    #[test]
    fn a_square_of_one_prime_is_found() {
        let square = 1_000_003_u64 * 1_000_003;
        assert!(has_close_primes(&square.to_be_bytes()));
    }

    #[test]
    fn what_is_hardly_a_number_is_no_weak_key() {
        for number in [&[][..], &[0], &[1], &[2], &[0, 0, 0]] {
            assert!(!has_close_primes(number));
        }
    }
}
