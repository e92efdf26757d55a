//! Instants and spans in whole seconds, and the clock that others implement.
//!
//! Certificates, evidence and revocation lists are all dated to the second, so nothing finer is kept. No
//! implementation of [`Clock`] here reads the system time: a service brings its own, a test uses [`FixedClock`].

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};

use der::DateTime;
use der::asn1::{GeneralizedTime, UtcTime};
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use x509_cert::time::Time;

/// An instant in UTC, in whole seconds since 1970-01-01T00:00:00Z.
///
/// The range is that of RFC 3339, the years 0000 to 9999; arithmetic stops at its ends instead of overflowing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0000-01-01T00:00:00Z.
    pub const EARLIEST: Self = Self(-62_167_219_200);
    /// 9999-12-31T23:59:59Z, which RFC 5280 section 4.1.2.5 uses for "no well-defined expiration date".
    pub const LATEST: Self = Self(253_402_300_799);

    /// The instant `seconds` after 1970-01-01T00:00:00Z, brought into the years 0000 to 9999.
    #[must_use]
    pub const fn from_unix(seconds: i64) -> Self {
        if seconds < Self::EARLIEST.0 {
            Self::EARLIEST
        } else if seconds > Self::LATEST.0 {
            Self::LATEST
        } else {
            Self(seconds)
        }
    }

    /// Seconds since 1970-01-01T00:00:00Z; negative before.
    #[must_use]
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// Reads an RFC 3339 date and time with any offset.
    ///
    /// # Errors
    ///
    /// [`InvalidTimestamp`] if the text is not RFC 3339 or has a fraction of a second, which would be lost.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidTimestamp> {
        let parsed = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTimestamp::NotRfc3339)?;
        if parsed.nanosecond() != 0 {
            return Err(InvalidTimestamp::Fraction);
        }
        Ok(Self::from_unix(parsed.unix_timestamp()))
    }

    /// The instant `span` later.
    #[must_use]
    pub const fn plus(self, span: Span) -> Self {
        Self::from_unix(self.0.saturating_add(span.0))
    }

    /// The instant `span` earlier.
    #[must_use]
    pub const fn minus(self, span: Span) -> Self {
        Self::from_unix(self.0.saturating_sub(span.0))
    }

    /// How long `self` is after `earlier`; negative if it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }

    /// The instant as RFC 5280 section 4.1.2.5 writes it in a certificate: UTCTime through 2049, GeneralizedTime after.
    ///
    /// # Errors
    ///
    /// [`InvalidTimestamp::BeforeUnixEpoch`] for instants before 1970, which the encoder cannot write.
    pub fn to_certificate_time(self) -> Result<Time, InvalidTimestamp> {
        let seconds = u64::try_from(self.0).map_err(|_| InvalidTimestamp::BeforeUnixEpoch)?;
        let date_time = DateTime::from_unix_duration(std::time::Duration::from_secs(seconds))
            .map_err(|_| InvalidTimestamp::BeforeUnixEpoch)?;
        // The last year of UTCTime is 2049.
        if date_time.year() <= UtcTime::MAX_YEAR {
            UtcTime::from_date_time(date_time)
                .map(Time::UtcTime)
                .map_err(|_| InvalidTimestamp::BeforeUnixEpoch)
        } else {
            Ok(Time::GeneralTime(GeneralizedTime::from_date_time(date_time)))
        }
    }

    fn to_date_time(self) -> OffsetDateTime {
        // Every constructor keeps the value within EARLIEST and LATEST, which OffsetDateTime covers.
        OffsetDateTime::from_unix_timestamp(self.0).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl From<Time> for Timestamp {
    /// Reads the time of a certificate or a revocation list.
    fn from(time: Time) -> Self {
        // DateTime ends in the year 9999, whose seconds fit i64.
        Self::from_unix(i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.to_date_time();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second()
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse_rfc3339(text)
    }
}

/// A length of time in whole seconds. A day is 86 400 seconds, as in section 6.3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(i64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `count` days of 86 400 seconds.
    #[must_use]
    pub const fn days(count: i64) -> Self {
        Self(count.saturating_mul(86_400))
    }

    /// `count` hours.
    #[must_use]
    pub const fn hours(count: i64) -> Self {
        Self(count.saturating_mul(3_600))
    }

    /// `count` minutes.
    #[must_use]
    pub const fn minutes(count: i64) -> Self {
        Self(count.saturating_mul(60))
    }

    /// `count` seconds.
    #[must_use]
    pub const fn seconds(count: i64) -> Self {
        Self(count)
    }

    /// The length in seconds.
    #[must_use]
    pub const fn as_seconds(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Span {
    /// Writes the largest units that are not zero, such as `30 d` or `1 d 2 h 3 min 4 s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0 s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let total = self.0.unsigned_abs();
        let parts = [
            (total / 86_400, "d"),
            (total % 86_400 / 3_600, "h"),
            (total % 3_600 / 60, "min"),
            (total % 60, "s"),
        ];
        let mut separator = "";
        for (count, unit) in parts.into_iter().filter(|(count, _)| *count != 0) {
            write!(f, "{separator}{count} {unit}")?;
            separator = " ";
        }
        Ok(())
    }
}

/// Where a service learns what time it is.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// A clock that stands still until it is moved, for tests and for replaying a past decision.
#[derive(Debug)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    /// Makes the clock show `now`, forwards or backwards.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves the clock by `span`.
    pub fn advance(&self, span: Span) {
        self.0.fetch_add(span.0, Ordering::SeqCst);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix(self.0.load(Ordering::SeqCst))
    }
}

/// Why a text or number is not an instant we can keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidTimestamp {
    /// The text does not follow RFC 3339.
    #[error("this is not an RFC 3339 date and time; write for example 2026-11-22T09:00:00Z")]
    NotRfc3339,
    /// The text has a fraction of a second.
    #[error("instants are kept in whole seconds; leave out the fraction")]
    Fraction,
    /// Certificates cannot be dated before 1970.
    #[error("certificates cannot be dated before 1970-01-01T00:00:00Z")]
    BeforeUnixEpoch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_rfc3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_795_305_600, "2026-11-22T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (Timestamp::LATEST.unix(), "9999-12-31T23:59:59Z"),
            (Timestamp::EARLIEST.unix(), "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(Timestamp::from_unix(seconds).to_string(), text);
            assert_eq!(Timestamp::parse_rfc3339(text), Ok(Timestamp::from_unix(seconds)));
        }
    }

    #[test]
    fn reads_offsets_as_utc() {
        let parsed = Timestamp::parse_rfc3339("2026-11-22T02:00:00+02:00");
        assert_eq!(parsed, Ok(Timestamp::from_unix(1_795_305_600)));
    }

    #[test]
    fn refuses_what_is_not_an_instant() {
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T00:00:00",
            "2026-13-01T00:00:00Z",
            "2026-02-30T00:00:00Z",
            "now",
        ] {
            assert_eq!(
                Timestamp::parse_rfc3339(text),
                Err(InvalidTimestamp::NotRfc3339),
                "{text}"
            );
        }
        assert_eq!(
            Timestamp::parse_rfc3339("2026-11-22T00:00:00.5Z"),
            Err(InvalidTimestamp::Fraction)
        );
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(Timestamp::LATEST.plus(Span::days(i64::MAX)), Timestamp::LATEST);
        assert_eq!(Timestamp::EARLIEST.minus(Span::seconds(i64::MAX)), Timestamp::EARLIEST);
        assert_eq!(Timestamp::from_unix(i64::MIN), Timestamp::EARLIEST);
        assert_eq!(
            Timestamp::from_unix(10).since(Timestamp::from_unix(15)),
            Span::seconds(-5)
        );
    }

    #[test]
    fn certificate_time_changes_its_form_in_2050() {
        let last_utc = Timestamp::parse_rfc3339("2049-12-31T23:59:59Z").unwrap();
        assert!(matches!(last_utc.to_certificate_time(), Ok(Time::UtcTime(_))));
        let first_general = last_utc.plus(Span::seconds(1));
        let time = first_general.to_certificate_time().unwrap();
        assert!(matches!(time, Time::GeneralTime(_)));
        assert_eq!(Timestamp::from(time), first_general);
        assert_eq!(
            Timestamp::from_unix(-1).to_certificate_time(),
            Err(InvalidTimestamp::BeforeUnixEpoch)
        );
    }

    #[test]
    fn spans_read_well() {
        for (span, text) in [
            (Span::days(30), "30 d"),
            (Span::ZERO, "0 s"),
            (Span::seconds(93_784), "1 d 2 h 3 min 4 s"),
            (Span::minutes(-90), "-1 h 30 min"),
            (Span::hours(24), "1 d"),
        ] {
            assert_eq!(span.to_string(), text);
        }
    }

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let clock = FixedClock::new(Timestamp::from_unix(100));
        assert_eq!(clock.now().unix(), 100);
        clock.advance(Span::seconds(5));
        assert_eq!(clock.now().unix(), 105);
        clock.set(Timestamp::from_unix(7));
        assert_eq!(clock.now().unix(), 7);
    }
}
