//! What a message asks of the gateway: flags in its subject, `X-Sealwright-` fields, Sensitivity. Pure.
//!
//! A wish chooses among what policy allows and never widens it. Flags and fields are meant for the gateway alone and
//! are taken out of every message, whether they are obeyed or not.

use std::borrow::Cow;

use mail_parser::MessageParser;

use crate::mime::MimeError;
use crate::mime::entity::{Entity, Field};
use crate::mime::header;
use crate::policy::{Format, SenderRules, Sensitivity};

/// Whether the `X-Sealwright-` fields of a message come from somebody who may set them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustFields {
    Obey,
    Ignore,
}

/// What a message asks for. Each wish carries the words that expressed it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wishes {
    /// To be encrypted.
    pub secure: Option<String>,
    pub sign: Option<String>,
    /// To be sent as it is.
    pub clear: Option<String>,
    pub format: Option<(Format, String)>,
}

/// Why the wishes of a message cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WishProblem {
    #[error("the message asks for two things at once, {one} and {other}; choose one of them")]
    Contradiction { one: String, other: String },
    #[error(
        "the field {field} is not one that this gateway knows; use X-Sealwright-Sign, X-Sealwright-Encrypt or X-Sealwright-Format"
    )]
    UnknownField { field: String },
    #[error("the field {field} has a value that this gateway does not know; write {expected}")]
    UnknownValue {
        field: &'static str,
        expected: &'static str,
    },
    #[error(transparent)]
    Mime(#[from] MimeError),
}

/// Reads the wishes of a message and gives the message without what expressed them.
///
/// # Errors
/// See [`WishProblem`].
pub fn read<'m>(
    message: &'m [u8],
    rules: &SenderRules,
    trust: TrustFields,
) -> Result<(Wishes, Cow<'m, [u8]>), WishProblem> {
    let whole = Entity::split(message)?;
    let mut wishes = Wishes::default();
    let mut kept: Vec<Cow<'_, [u8]>> = Vec::with_capacity(whole.fields.len());
    for field in &whole.fields {
        if is_ours(field) {
            wishes.obey(field, trust)?;
            continue;
        }
        if field.is("Sensitivity")
            && let Some(sensitivity) = sensitivity(&field.value())
            && rules.secure_sensitivity.value.contains(&sensitivity)
        {
            wishes.secure.get_or_insert_with(|| "its Sensitivity field".to_owned());
        }
        let without_flags = if field.is("Subject") {
            wishes.subject(field, rules)
        } else {
            None
        };
        kept.push(without_flags.map_or(Cow::Borrowed(field.raw()), Cow::Owned));
    }
    let unchanged = kept.len() == whole.fields.len() && kept.iter().all(|field| matches!(field, Cow::Borrowed(_)));
    wishes.check()?;
    if unchanged {
        return Ok((wishes, Cow::Borrowed(message)));
    }
    let header_length: usize = whole.fields.iter().map(|field| field.raw().len()).sum();
    let rest = &message[header_length..];
    let cleaned = kept.iter().map(AsRef::as_ref).chain([rest]).collect::<Vec<_>>();
    Ok((wishes, Cow::Owned(cleaned.concat())))
}

impl Wishes {
    /// Takes up the flags of a subject; `None` if there are none, else the field without them.
    fn subject(&mut self, field: &Field<'_>, rules: &SenderRules) -> Option<Vec<u8>> {
        let mut text = decoded(field);
        let mut found = false;
        while let Some((flag, kind, rest)) = flag_of(&text, rules) {
            let wish = match kind {
                Kind::Secure => &mut self.secure,
                Kind::Sign => &mut self.sign,
                Kind::Clear => &mut self.clear,
            };
            wish.get_or_insert_with(|| format!("{flag} in its subject"));
            text = rest;
            found = true;
        }
        found.then(|| header::unstructured("Subject", &text))
    }

    fn obey(&mut self, field: &Field<'_>, trust: TrustFields) -> Result<(), WishProblem> {
        let value = String::from_utf8_lossy(&field.value()).trim().to_ascii_lowercase();
        let name = field.name().to_ascii_lowercase();
        if name == "x-sealwright-encrypt" && value != "no" {
            // From whomever it comes: mail that somebody wants encrypted does not leave in clear.
            self.secure
                .get_or_insert_with(|| "its field X-Sealwright-Encrypt".to_owned());
            return Ok(());
        }
        if trust == TrustFields::Ignore {
            return Ok(());
        }
        match (name.as_str(), value.as_str()) {
            ("x-sealwright-encrypt", _) => {}
            ("x-sealwright-sign", "yes") => self.sign = Some("its field X-Sealwright-Sign".to_owned()),
            ("x-sealwright-sign", "no") => self.clear = Some("its field X-Sealwright-Sign".to_owned()),
            ("x-sealwright-sign", _) => {
                return Err(WishProblem::UnknownValue {
                    field: "X-Sealwright-Sign",
                    expected: "yes or no",
                });
            }
            ("x-sealwright-format", "clear") => self.format = Some((Format::Clear, FORMAT_FIELD.to_owned())),
            ("x-sealwright-format", "opaque") => self.format = Some((Format::Opaque, FORMAT_FIELD.to_owned())),
            ("x-sealwright-format", _) => {
                return Err(WishProblem::UnknownValue {
                    field: "X-Sealwright-Format",
                    expected: "clear or opaque",
                });
            }
            _ => {
                return Err(WishProblem::UnknownField {
                    field: field.name().chars().take(60).collect(),
                });
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), WishProblem> {
        // What asks for encryption is refused or encrypted, so it does not matter here what else it asks for.
        match (&self.secure, &self.sign, &self.clear) {
            (None, Some(one), Some(other)) => Err(WishProblem::Contradiction {
                one: one.clone(),
                other: other.clone(),
            }),
            _ => Ok(()),
        }
    }
}

fn is_ours(field: &Field<'_>) -> bool {
    let start = field.name().get(..PREFIX.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

fn sensitivity(value: &[u8]) -> Option<Sensitivity> {
    match value.to_ascii_lowercase().as_slice() {
        b"personal" => Some(Sensitivity::Personal),
        b"private" => Some(Sensitivity::Private),
        b"company-confidential" | b"confidential" => Some(Sensitivity::CompanyConfidential),
        _ => None,
    }
}

/// The text of a subject, its encoded words read (RFC 2047).
fn decoded(field: &Field<'_>) -> String {
    let value = field.value();
    if !value.is_ascii() && str::from_utf8(&value).is_err() {
        // Nobody said in which charset this is; Latin-1 loses nothing.
        return value.iter().copied().map(char::from).collect();
    }
    let lone = [b"Subject: ".as_slice(), &value, b"\r\n\r\n"].concat();
    let parsed = MessageParser::new()
        .header_text(mail_parser::HeaderName::Subject)
        .parse(&lone);
    parsed
        .as_ref()
        .and_then(|message| message.subject())
        .unwrap_or_default()
        .to_owned()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Secure,
    Sign,
    Clear,
}

/// The first flag that stands at the beginning (also after "Re:" and the like) or at the end, and the text without it.
fn flag_of(text: &str, rules: &SenderRules) -> Option<(String, Kind, String)> {
    let trimmed = text.trim();
    let body = trimmed.len() - after_reply_marks(trimmed).len();
    let (marks, rest) = trimmed.split_at(body);
    let lists = [
        (Kind::Secure, &rules.secure_flags),
        (Kind::Sign, &rules.sign_flags),
        (Kind::Clear, &rules.clear_flags),
    ];
    for (kind, flags) in lists {
        for flag in flags {
            if let Some(after) = without_prefix(rest, flag) {
                return Some((flag.clone(), kind, format!("{marks}{}", after.trim_start())));
            }
            if let Some(before) = without_suffix(rest, flag) {
                return Some((flag.clone(), kind, format!("{marks}{}", before.trim_end())));
            }
        }
    }
    None
}

/// Skips "Re: ", "AW: ", "Antw: " and whatever else of that kind mail programs put in front.
fn after_reply_marks(mut text: &str) -> &str {
    while let Some((mark, rest)) = text.split_once(':') {
        if !(1..=4).contains(&mark.chars().count()) || !mark.chars().all(char::is_alphabetic) {
            break;
        }
        text = rest.trim_start();
    }
    text
}

/// Compares by lower case, character by character.
fn without_prefix<'t>(text: &'t str, flag: &str) -> Option<&'t str> {
    let length: usize = text.chars().take(flag.chars().count()).map(char::len_utf8).sum();
    same_letters(&text[..length], flag).then(|| &text[length..])
}

fn without_suffix<'t>(text: &'t str, flag: &str) -> Option<&'t str> {
    let length: usize = text.chars().rev().take(flag.chars().count()).map(char::len_utf8).sum();
    let (before, end) = text.split_at(text.len() - length);
    same_letters(end, flag).then_some(before)
}

fn same_letters(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

const PREFIX: &str = "X-Sealwright-";

const FORMAT_FIELD: &str = "its field X-Sealwright-Format";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Policy;

    fn rules() -> SenderRules {
        let mut rules = Policy::default().of_sender(None);
        rules.secure_flags.push("[vertraulich–ü]".to_owned());
        rules.secure_sensitivity.value = vec![Sensitivity::CompanyConfidential];
        rules
    }

    #[track_caller]
    fn check(header: &str, cleaned: &str, expected: [bool; 3]) {
        let message = format!("{header}\r\n\r\nbody [secure]\r\n");
        let (wishes, without) = read(message.as_bytes(), &rules(), TrustFields::Obey).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&without),
            format!("{cleaned}\r\n\r\nbody [secure]\r\n")
        );
        assert_eq!(
            [wishes.secure.is_some(), wishes.sign.is_some(), wishes.clear.is_some()],
            expected,
            "{wishes:?}"
        );
    }

    const SECURE: [bool; 3] = [true, false, false];
    const SIGN: [bool; 3] = [false, true, false];
    const CLEAR: [bool; 3] = [false, false, true];
    const NOTHING: [bool; 3] = [false; 3];

    #[test]
    fn flags_are_found_at_both_ends_and_removed() {
        check("Subject: [secure] The offer", "Subject: The offer", SECURE);
        check("Subject: The offer [SECURE]", "Subject: The offer", SECURE);
        check("Subject:[sign]The offer", "Subject: The offer", SIGN);
        check("Subject: The\r\n offer\r\n [clear]  ", "Subject: The offer", CLEAR);
        check("Subject: Re: AW: [Sign] The offer", "Subject: Re: AW: The offer", SIGN);
        check("Subject: [sign] [secure]", "Subject:", [true, true, false]);
        check("A: b\r\nSubject: [clear]\r\nC: d", "A: b\r\nSubject:\r\nC: d", CLEAR);
    }

    #[test]
    fn flags_are_found_inside_encoded_words() {
        // "[secure] Grüße" and "Grüße [sign]"
        check(
            "Subject: =?utf-8?B?W3NlY3VyZV0gR3LDvMOfZQ==?=",
            "Subject: =?utf-8?B?R3LDvMOfZQ==?=",
            SECURE,
        );
        check(
            "Subject: =?iso-8859-1?Q?Gr=FC=DFe_[si?= =?iso-8859-1?Q?gn]?=",
            "Subject: =?utf-8?B?R3LDvMOfZQ==?=",
            SIGN,
        );
        check(
            "Subject: =?utf-8?Q?=5BVERTRAULICH=E2=80=93=C3=9C=5D_x?=",
            "Subject: x",
            SECURE,
        );
        check("Subject: [secure] Grüße", "Subject: =?utf-8?B?R3LDvMOfZQ==?=", SECURE);
    }

    #[test]
    fn other_subjects_stay_as_they_are() {
        for subject in [
            "Subject: The [secure] offer",
            "Subject: secure",
            "Subject: [secured]",
            "Subject: Chapter: [secure] storage",
            "Subject:  two  blanks ",
            "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=",
            "X-Subject: [secure]",
            "Comments: [secure]",
            "Sensitivity: Private",
        ] {
            check(subject, subject, NOTHING);
        }
    }

    #[test]
    fn sensitivity_asks_as_policy_says() {
        check(
            "Sensitivity: Company-Confidential",
            "Sensitivity: Company-Confidential",
            SECURE,
        );
    }

    #[test]
    fn fields_are_obeyed_only_from_trusted_sessions_and_removed_from_all() {
        let message = b"From: a@example.com\r\nX-Sealwright-Sign: no\r\nx-sealwright-format: Opaque\r\n\r\n";
        for (trust, clear) in [(TrustFields::Obey, true), (TrustFields::Ignore, false)] {
            let (wishes, without) = read(message, &rules(), trust).unwrap();
            assert_eq!(&*without, b"From: a@example.com\r\n\r\n");
            assert_eq!((wishes.clear.is_some(), wishes.format.is_some()), (clear, clear));
        }
        let unknown = b"X-Sealwright-Colour: red\r\n\r\n";
        assert!(read(unknown, &rules(), TrustFields::Ignore).is_ok());
    }

    #[test]
    fn encryption_is_asked_for_by_whomever() {
        for trust in [TrustFields::Obey, TrustFields::Ignore] {
            for value in ["yes", "please", ""] {
                let message = format!("X-Sealwright-Encrypt: {value}\r\n\r\n");
                assert!(read(message.as_bytes(), &rules(), trust).unwrap().0.secure.is_some());
            }
            let no = read(b"X-Sealwright-Encrypt: no\r\n\r\n", &rules(), trust).unwrap();
            assert_eq!(no.0, Wishes::default());
        }
    }

    #[test]
    fn what_cannot_be_told_is_refused() {
        for header in [
            "Subject: [sign] x [clear]",
            "Subject: [clear]\r\nX-Sealwright-Sign: yes",
            "X-Sealwright-Sign: perhaps",
            "X-Sealwright-Format: oval",
            "X-Sealwright-Colour: red",
            "X-Sealwright-: x",
            "no field",
        ] {
            let message = format!("{header}\r\n\r\n");
            assert!(
                read(message.as_bytes(), &rules(), TrustFields::Obey).is_err(),
                "{header}"
            );
        }
    }
}
