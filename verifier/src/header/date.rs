//! The Date field (RFC 5322 section 3.3), which is compared with the time of signing.

use policies::time::Timestamp;

use super::HeaderBlock;

/// The instant in the one Date field; `None` if there is not exactly one or it is not in the current syntax.
///
/// It decides nothing by itself: an unreadable date only means that it cannot be compared.
pub fn date(header: &HeaderBlock<'_>) -> Option<Timestamp> {
    let mut fields = header.named("Date");
    let field = fields.next()?;
    if fields.next().is_some() || field.raw_value().len() > MAXIMUM_DATE_BYTES {
        return None;
    }
    parse(&String::from_utf8(field.unfolded()).ok()?)
}

/// `[day-of-week ","] day month year hour ":" minute [":" second] zone [comment]`.
fn parse(value: &str) -> Option<Timestamp> {
    let value = value.split_once('(').map_or(value, |(date, _)| date);
    let value = match value.split_once(',') {
        Some((weekday, rest)) if weekday.trim().len() == 3 => rest,
        Some(_) => return None,
        None => value,
    };
    let mut words = value.split_ascii_whitespace();
    let (day, month, year, clock, zone) = (
        words.next()?,
        words.next()?,
        words.next()?,
        words.next()?,
        words.next()?,
    );
    if words.next().is_some() || year.len() != 4 {
        return None;
    }
    let month = MONTHS.iter().position(|name| name.eq_ignore_ascii_case(month))? + 1;
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next().unwrap_or("00"));
    if parts.next().is_some() {
        return None;
    }
    let zone = match zone {
        "GMT" | "UT" | "Z" => "+00:00".to_owned(),
        zone if zone.len() == 5 && zone.is_ascii() => format!("{}:{}", zone.get(..3)?, zone.get(3..)?),
        _ => return None,
    };
    Timestamp::parse_rfc3339(&format!("{year}-{month:02}-{day:0>2}T{hour}:{minute}:{second}{zone}")).ok()
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// Octets of a Date field. Source: own choice; the longest form of RFC 5322 section 3.3 has 31, the rest is for comments
/// and folds.
const MAXIMUM_DATE_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, expected: Option<&str>) {
        assert_eq!(
            parse(value).map(|time| time.to_string()).as_deref(),
            expected,
            "{value}"
        );
    }

    #[test]
    fn dates_in_current_syntax() {
        check("Sun, 22 Nov 2026 02:00:00 +0200", Some("2026-11-22T00:00:00Z"));
        check("1 Feb 2026 23:59 -0500 (EST)", Some("2026-02-02T04:59:00Z"));
        check("Thu, 01 Jan 1970 00:00:00 GMT", Some("1970-01-01T00:00:00Z"));
    }

    #[test]
    fn anything_else_is_not_compared() {
        for value in [
            "",
            "yesterday",
            "22 Nov 26 02:00:00 +0200",
            "32 Jan 2026 00:00:00 +0000",
            "1 Feb 2026 00:00:00 EST",
            "1 Feb 2026",
            "1 Feb 2026 0:0:0:0 +0000",
        ] {
            check(value, None);
        }
    }
}
