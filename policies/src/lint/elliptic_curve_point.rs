//! Points on curves are written out in full, with the length of their curve.

use super::{FIRST, Lint, Problems, View};
use crate::public_key::PublicKey;

pub(super) const LINT: Lint = Lint {
    id: "elliptic_curve_point",
    citation: "RFC 5480 section 2.2",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let Ok(PublicKey::EllipticCurve { curve, point }) = &view.public_key else {
        return;
    };
    if point.first() != Some(&0x04) {
        problems.error("the point of the key is not in the uncompressed form");
    } else if point.len() != 1 + 2 * curve.coordinate_length() {
        problems.error(format!(
            "the point of the key has {} octets, which is not the length of {curve:?}",
            point.len()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use der::asn1::BitString;

    fn with_point(octets: &[u8]) -> Fixture {
        v1().with(|tbs| tbs.subject_public_key_info.subject_public_key = BitString::from_bytes(octets).unwrap())
    }

    #[test]
    fn whole_points_pass() {
        v1().passes(&LINT);
    }

    #[test]
    fn other_forms_fail() {
        with_point(&[0]).fails(&LINT);
        with_point(&[2; 33]).fails(&LINT);
        with_point(&[4; 64]).fails(&LINT);
        with_point(&[4; 97]).fails(&LINT);
    }
}
