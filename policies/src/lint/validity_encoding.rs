//! Dates through 2049 are UTCTime, later ones GeneralizedTime, and the end is not before the beginning.

use super::{FIRST, Lint, Problems, View};
use x509_cert::time::Time;

pub(super) const LINT: Lint = Lint {
    id: "validity_encoding",
    citation: "RFC 5280 section 4.1.2.5",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for time in [view.tbs.validity.not_before, view.tbs.validity.not_after] {
        if matches!(time, Time::GeneralTime(time) if time.to_date_time().year() < 2050) {
            problems.error("a date through 2049 is not written as UTCTime");
        }
    }
    if view.not_after() < view.not_before() {
        problems.error("the certificate ends before it begins");
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::time::{Span, Timestamp};
    use der::asn1::GeneralizedTime;

    #[test]
    fn our_dates_pass() {
        v1().passes(&LINT);
        // A root of 18 years made in 2040 ends in the time of GeneralizedTime.
        root().at(Timestamp::from_unix(2_208_988_800)).passes(&LINT);
    }

    #[test]
    fn the_wrong_form_fails() {
        v1().with(|tbs| {
            let date_time = tbs.validity.not_after.to_date_time();
            tbs.validity.not_after = Time::GeneralTime(GeneralizedTime::from_date_time(date_time));
        })
        .fails(&LINT);
    }

    #[test]
    fn an_end_before_the_beginning_fails() {
        v1().lasting(Span::seconds(-1)).fails(&LINT);
        v1().lasting(Span::ZERO).passes(&LINT);
    }
}
