//! Serial numbers are positive, below 2^159, and long enough to hold 64 random bits.

use super::{FIRST, Lint, Problems, View};

pub(super) const LINT: Lint = Lint {
    id: "serial_number",
    citation: "BR 7.1",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    // Two's complement, shortest form: at most twenty octets without the sign bit are less than 2^159.
    let octets = view.tbs.serial_number.as_bytes();
    if octets.first().is_some_and(|first| first & 0x80 != 0) {
        problems.error("the serial number is negative");
    } else if octets.iter().all(|octet| *octet == 0) {
        problems.error("the serial number is zero");
    } else if octets.len() > 20 {
        problems.error("the serial number is not below 2^159");
    } else if octets.len() < 8 {
        problems.error("the serial number is too short to hold 64 random bits");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use der::asn1::Int;

    fn with_serial(octets: &[u8]) -> Fixture {
        v1().with(|tbs| tbs.serial_number = Int::new(octets).unwrap())
    }

    #[test]
    fn random_numbers_pass() {
        v1().passes(&LINT);
        with_serial(&[0x7f; 20]).passes(&LINT);
        with_serial(&[0x01; 8]).passes(&LINT);
    }

    #[test]
    fn numbers_out_of_range_fail() {
        with_serial(&[0]).fails(&LINT);
        with_serial(&[1]).fails(&LINT);
        with_serial(&[0x7f; 7]).fails(&LINT);
        with_serial(&[0xff; 16]).fails(&LINT);
        with_serial(&[&[0x00][..], &[0x80; 20]].concat()).fails(&LINT);
        with_serial(&[0x01; 21]).fails(&LINT);
    }
}
