//! The time, and the two ways in which the service writes it. Everything is UTC with microseconds, which is what all
//! three databases keep.

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// Now, cut to microseconds so that a stored value equals the answered one.
pub fn now() -> OffsetDateTime {
    cut(OffsetDateTime::now_utc())
}

fn cut(at: OffsetDateTime) -> OffsetDateTime {
    at.replace_nanosecond(at.nanosecond() / 1000 * 1000).unwrap_or(at)
}

/// `2025-05-20T22:22:46.243212Z`: the generic API, and how `SQLite` stores it (it sorts as text).
pub fn rfc3339(at: OffsetDateTime) -> String {
    format(at, "T", "Z")
}

/// `2025-05-20 22:22:46.243212`: as the employees service of seed 000 answers.
pub fn spaced(at: OffsetDateTime) -> String {
    format(at, " ", "")
}

fn format(at: OffsetDateTime, between: &str, end: &str) -> String {
    // Digit by digit, since a page of rows has a hundred of these. Years are 1 to 9999: see `parse`.
    let parts = [
        ("", at.year().unsigned_abs(), 4),
        ("-", u8::from(at.month()).into(), 2),
        ("-", at.day().into(), 2),
        (between, at.hour().into(), 2),
        (":", at.minute().into(), 2),
        (":", at.second().into(), 2),
        (".", at.microsecond(), 6),
    ];
    let mut text = String::with_capacity(27);
    for (before, value, digits) in parts {
        text.push_str(before);
        let digit = |place| char::from_digit(value / 10_u32.pow(place) % 10, 10).unwrap_or('0');
        text.extend((0..digits).rev().map(digit));
    }
    text.push_str(end);
    text
}

/// Reads RFC 3339 in any offset; years 1 to 9999 in UTC, since not every database keeps others.
pub fn parse(text: &str) -> Option<OffsetDateTime> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let at = at.checked_to_offset(UtcOffset::UTC)?;
    (1..=9999).contains(&at.year()).then(|| cut(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_round_trip() {
        let at = parse("2025-05-20T22:22:46.243212+02:00").expect("valid");
        assert_eq!(rfc3339(at), "2025-05-20T20:22:46.243212Z");
        assert_eq!(spaced(at), "2025-05-20 20:22:46.243212");
        assert_eq!(parse(&rfc3339(at)), Some(at));
        assert_eq!(parse("2025-13-20T22:22:46Z"), None);
        assert_eq!(parse("0000-01-01T00:00:00Z"), None);
    }
}
