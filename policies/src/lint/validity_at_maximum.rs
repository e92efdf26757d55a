//! The longest permissible period is not the usual one, since clocks and leap seconds disagree.

use super::{FIRST, Lint, Problems, View};
use crate::profile::LONGEST_VALIDITY_DAYS;
use crate::time::Span;

pub(super) const LINT: Lint = Lint {
    id: "validity_at_maximum",
    citation: "BR 6.3.2",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let seconds = view.not_after().since(view.not_before()).as_seconds().saturating_add(1);
    let longest = Span::days(i64::from(LONGEST_VALIDITY_DAYS)).as_seconds();
    if seconds > longest - Span::days(1).as_seconds() && seconds <= longest {
        problems.warning("the certificate is valid for the longest permissible period");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn shorter_periods_pass() {
        v1().passes(&LINT);
        v1().lasting(Span::seconds(824 * 86_400 - 1)).passes(&LINT);
    }

    #[test]
    fn the_longest_period_is_warned_of() {
        v1().lasting(Span::seconds(824 * 86_400)).warns(&LINT);
        v1().lasting(Span::seconds(825 * 86_400 - 1)).warns(&LINT);
    }
}
