//! RSA keys of authorities have at least 4096 bits since September 2026.

use super::{AUTHORITY_RSA_4096, Lint, Problems, View};
use crate::public_key::PublicKey;

pub(super) const LINT: Lint = Lint {
    id: "authority_rsa_size",
    citation: "BR 6.1.5, ballot SMC017",
    effective: AUTHORITY_RSA_4096,
    applies: |view| view.is_authority(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let bits = view.public_key.as_ref().ok().and_then(PublicKey::rsa_bits);
    if let Some(bits) = bits.filter(|bits| *bits < 4096) {
        problems.error(format!(
            "the authority's RSA key has {bits} bits; at least 4096 are needed"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::time::Span;

    #[test]
    fn large_keys_and_curves_pass() {
        issuing_authority().passes(&LINT);
        issuing_authority_with_key(crate::testing::rsa4096()).passes(&LINT);
    }

    #[test]
    fn smaller_keys_fail_from_the_day_on() {
        for key in [crate::testing::rsa2048(), crate::testing::rsa3072()] {
            issuing_authority_with_key(key.clone())
                .at(AUTHORITY_RSA_4096)
                .fails(&LINT);
            issuing_authority_with_key(key)
                .at(AUTHORITY_RSA_4096.minus(Span::seconds(1)))
                .passes(&LINT);
        }
    }
}
