//! Every extension has a place in section 7.1.2, or a documented reason.

use super::{FIRST, Lint, Problems, View};
use const_oid::ObjectIdentifier;

pub(super) const LINT: Lint = Lint {
    id: "extension_unknown",
    citation: "BR 7.1.2.4",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for extension in view.extensions() {
        if KNOWN.contains(&extension.extn_id) {
            continue;
        }
        if extension.critical {
            problems.error(format!(
                "the unknown extension {} is critical: no mail program accepts it",
                extension.extn_id
            ));
        } else {
            problems.warning(format!("the extension {} is not one of BR 7.1.2", extension.extn_id));
        }
    }
}

/// Sections 7.1.2.1 to 7.1.2.3, permitted or prohibited; and the constraints of RFC 5280 section 4.2.1.
const KNOWN: &[ObjectIdentifier] = &[
    ObjectIdentifier::new_unwrap("2.5.29.9"),
    ObjectIdentifier::new_unwrap("2.5.29.14"),
    ObjectIdentifier::new_unwrap("2.5.29.15"),
    ObjectIdentifier::new_unwrap("2.5.29.17"),
    ObjectIdentifier::new_unwrap("2.5.29.19"),
    ObjectIdentifier::new_unwrap("2.5.29.30"),
    ObjectIdentifier::new_unwrap("2.5.29.31"),
    ObjectIdentifier::new_unwrap("2.5.29.32"),
    ObjectIdentifier::new_unwrap("2.5.29.33"),
    ObjectIdentifier::new_unwrap("2.5.29.35"),
    ObjectIdentifier::new_unwrap("2.5.29.36"),
    ObjectIdentifier::new_unwrap("2.5.29.37"),
    ObjectIdentifier::new_unwrap("2.5.29.54"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.15"),
    ObjectIdentifier::new_unwrap("1.2.840.113583.1.1.9.1"),
    ObjectIdentifier::new_unwrap("1.2.840.113583.1.1.9.2"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.52266.1"),
    ObjectIdentifier::new_unwrap("1.3.6.1.4.1.52266.2"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.3"),
    ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5"),
];

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn known_extensions_pass() {
        v1().passes(&LINT);
        root().passes(&LINT);
        v1().with_raw_extension("1.2.840.113549.1.9.15", false, b"\x30\x00")
            .passes(&LINT);
    }

    #[test]
    fn unknown_extensions_are_reported() {
        v1().with_raw_extension("1.3.6.1.4.1.32473.1", false, b"\x05\x00")
            .warns(&LINT);
        v1().with_raw_extension("1.3.6.1.4.1.32473.1", true, b"\x05\x00")
            .fails(&LINT);
        // Certificate Transparency poison.
        v1().with_raw_extension("1.3.6.1.4.1.11129.2.4.3", true, b"\x05\x00")
            .fails(&LINT);
    }
}
