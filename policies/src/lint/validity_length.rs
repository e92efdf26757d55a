//! Subscriber certificates are valid for at most 825 days, in which every second counts.

use super::{FIRST, Lint, Problems, View};
use crate::profile::LONGEST_VALIDITY_DAYS;
use crate::time::Span;

pub(super) const LINT: Lint = Lint {
    id: "validity_length",
    citation: "BR 6.3.2",
    effective: FIRST,
    applies: |view| view.is_subscriber(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    // Both ends count, so one second is added.
    let seconds = view.not_after().since(view.not_before()).as_seconds().saturating_add(1);
    if seconds > Span::days(i64::from(LONGEST_VALIDITY_DAYS)).as_seconds() {
        problems.error(format!(
            "the certificate is valid for {}, which is more than 825 days",
            Span::seconds(seconds)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    const LONGEST: i64 = 825 * 86_400;

    #[test]
    fn up_to_825_days_pass() {
        v1().passes(&LINT);
        v1().lasting(Span::seconds(LONGEST - 1)).passes(&LINT);
    }

    #[test]
    fn one_second_more_fails() {
        v1().lasting(Span::seconds(LONGEST)).fails(&LINT);
        v1().lasting(Span::days(1185)).fails(&LINT);
    }
}
