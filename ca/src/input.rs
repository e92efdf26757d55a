//! Free text from outside: bounded, and without characters that make it look like something else.

use crate::error::Error;

/// One line: 1 to `limit` characters after trimming.
pub(crate) fn line(field: &'static str, text: &str, limit: usize) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::InvalidInput {
            field,
            reason: "it is empty".to_owned(),
        });
    }
    check(field, text, limit, |_| false)?;
    Ok(text.to_owned())
}

/// Any number of lines: up to `limit` characters after trimming; may be empty.
pub(crate) fn text(field: &'static str, text: &str, limit: usize) -> Result<String, Error> {
    let text = text.trim();
    check(field, text, limit, |character| character == '\n' || character == '\t')?;
    Ok(text.to_owned())
}

fn check(field: &'static str, text: &str, limit: usize, allowed: impl Fn(char) -> bool) -> Result<(), Error> {
    if text.chars().count() > limit {
        return Err(Error::InvalidInput {
            field,
            reason: format!("it is longer than {limit} characters"),
        });
    }
    let deceives = |character: &char| (character.is_control() || is_format(*character)) && !allowed(*character);
    match text.chars().find(deceives) {
        None => Ok(()),
        Some(character) => Err(Error::InvalidInput {
            field,
            reason: format!("it contains the invisible character U+{:04X}", u32::from(character)),
        }),
    }
}

/// Zero-width and bidirectional controls, line and paragraph separators, and the byte order mark.
fn is_format(character: char) -> bool {
    matches!(character,
        '\u{00AD}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usable_lines_are_trimmed() {
        assert_eq!(
            line("name", " Zoë Ångström, 株式会社 ", 40).unwrap(),
            "Zoë Ångström, 株式会社"
        );
        assert_eq!(text("note", "two\nlines\n", 40).unwrap(), "two\nlines");
        assert_eq!(text("note", "", 40).unwrap(), "");
    }

    #[test]
    fn empty_long_and_invisible_lines_are_refused() {
        for bad in [
            "",
            "   ",
            "two\nlines",
            "tab\there",
            "nul\0",
            "\u{202E}gnp.exe",
            "zero\u{200B}width",
            "\u{2028}",
        ] {
            assert!(line("name", bad, 40).is_err(), "{bad:?}");
        }
        assert!(line("name", &"x".repeat(41), 40).is_err());
        assert!(line("name", &"é".repeat(40), 40).is_ok());
        for bad in ["carriage\rreturn", "\u{202E}", "escape\u{1b}[31m"] {
            assert!(text("note", bad, 40).is_err(), "{bad:?}");
        }
    }
}
