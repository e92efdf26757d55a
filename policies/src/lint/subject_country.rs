//! Countries are assigned ISO 3166-1 codes, or XX.

use super::view::values;
use super::{FIRST, Lint, Problems, View};
use crate::attribute::Attribute;
use crate::organization::Country;

pub(super) const LINT: Lint = Lint {
    id: "subject_country",
    citation: "BR 7.1.4.2.2 n",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for name in view.subject_names() {
        for country in values(&name, Attribute::CountryName) {
            if Country::parse(&country).is_err() {
                problems.error(format!("{country:?} is not a country code of ISO 3166-1"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn assigned_codes_pass() {
        v3().passes(&LINT);
        root().passes(&LINT);
        v2().with_attribute(Attribute::CountryName, "XX").passes(&LINT);
    }

    #[test]
    fn other_codes_fail() {
        for code in ["gb", "UK", "ZZ", "G", "GBR", "EU"] {
            v3().with_value(Attribute::CountryName, code).fails(&LINT);
        }
    }
}
