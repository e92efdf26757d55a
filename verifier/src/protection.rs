//! Header fields under the signature (RFC 9788, and RFC 8551 section 3.1 before it), against those outside.
//!
//! What is inside is what the signer said; it wins. What is outside is what a reader's program may show.

use std::collections::BTreeMap;

use crate::content_type::ContentType;
use crate::finding::{Code, Problem};
use crate::header::{HeaderBlock, Sender, sender};

/// How the signature covers header fields of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HeaderProtection {
    /// There was no intact signature.
    NotChecked,
    /// Not at all: Subject, Date and recipients may have been changed by anybody.
    Absent,
    /// The whole message is wrapped as message/rfc822 (RFC 8551 section 3.1).
    Wrapped,
    /// RFC 9788, `hp="clear"`: what is outside was meant to be what is inside.
    Clear,
    /// RFC 9788, `hp="cipher"`: the header was encrypted, and HP-Outer says what the sender wrote outside.
    Cipher,
}

impl AsRef<str> for HeaderProtection {
    fn as_ref(&self) -> &str {
        match self {
            Self::NotChecked => "not_checked",
            Self::Absent => "absent",
            Self::Wrapped => "wrapped",
            Self::Clear => "clear",
            Self::Cipher => "cipher",
        }
    }
}

/// A header field that the signature covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtectedField {
    /// The name as written.
    pub name: String,
    /// The value with its folds undone and otherwise as written; encoded words are not decoded, nothing is sanitised.
    pub value: String,
    /// How that compares with what stands outside of the signature under this name.
    pub outside: Outside,
    /// What stands outside under this name, in its order, with runs of white space made one space; given with the first
    /// field of each name. Anybody may have written it.
    pub outside_values: Vec<String>,
}

/// The fields of one name outside of the signature, beside those inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outside {
    /// The same.
    Same,
    /// Something else, as the sender announced (HP-Outer): the true value was confidential.
    Hidden,
    /// Something else, or nothing; somebody changed it, or the sender's program did not copy it.
    Differs,
}

impl AsRef<str> for Outside {
    fn as_ref(&self) -> &str {
        match self {
            Self::Same => "same",
            Self::Hidden => "hidden",
            Self::Differs => "differs",
        }
    }
}

/// What was found of header protection.
#[derive(Debug)]
pub(crate) struct Protection {
    pub(crate) scheme: HeaderProtection,
    pub(crate) fields: Vec<ProtectedField>,
    /// The sender inside, if there is one and it is the one outside.
    pub(crate) sender: Option<Sender>,
}

/// Compares the header of the signed payload, or of the message wrapped in it, with the one outside.
///
/// `is_encrypted` says whether the payload came out of an encrypted layer.
pub(crate) fn examine(
    outer: &HeaderBlock<'_>,
    payload: &HeaderBlock<'_>,
    content_type: Option<&ContentType>,
    wrapped: Option<&HeaderBlock<'_>>,
    is_encrypted: bool,
    problems: &mut Vec<Problem>,
) -> Protection {
    let announced = content_type.and_then(|content_type| content_type.parameter("hp"));
    let announced = announced.map(str::to_ascii_lowercase);
    let scheme = match (announced.as_deref(), wrapped) {
        (Some("clear"), _) => HeaderProtection::Clear,
        (Some("cipher"), _) => HeaderProtection::Cipher,
        (Some(_), _) => {
            problems.push(Code::HeaderProtectionUnclear.because("the signed header is protected in an unknown way"));
            HeaderProtection::Clear
        }
        (None, Some(_)) => HeaderProtection::Wrapped,
        (None, None) => HeaderProtection::Absent,
    };
    // RFC 9788 section 3.1: clear if and only if the message is not encrypted.
    if (scheme == HeaderProtection::Cipher) != is_encrypted && announced.is_some() {
        problems.push(Code::HeaderProtectionUnclear.because(if is_encrypted {
            "the message is encrypted, and its signed header says that it is not"
        } else {
            "the signed header says that the message was encrypted, and it is not"
        }));
    }
    let inner = match (scheme, wrapped) {
        (HeaderProtection::Wrapped, Some(wrapped)) => wrapped,
        _ => payload,
    };
    // A From field counts wherever it stands: some programs show it even without header protection.
    let mut own_sender = None;
    for header in [Some(inner), wrapped].into_iter().flatten() {
        if header.named("From").next().is_none() {
            continue;
        }
        match (sender(outer), sender(header)) {
            (Ok(outside), Ok(inside)) if outside.mailbox() == inside.mailbox() => own_sender = Some(inside),
            _ => problems.push(
                Code::ProtectedFromDiffers.because("the From field inside the signature differs from the one outside"),
            ),
        }
    }
    if scheme == HeaderProtection::Absent {
        problems.push(Code::HeadersNotCovered.because("Subject, Date and recipients are not covered by the signature"));
        return Protection {
            scheme,
            fields: Vec::new(),
            sender: own_sender,
        };
    }
    Protection {
        scheme,
        fields: compare(outer, inner, scheme, problems),
        sender: own_sender,
    }
}

/// The protected fields in their order, each with what stands outside.
fn compare(
    outer: &HeaderBlock<'_>,
    inner: &HeaderBlock<'_>,
    scheme: HeaderProtection,
    problems: &mut Vec<Problem>,
) -> Vec<ProtectedField> {
    let own = inner
        .fields()
        .iter()
        .map(|field| (field.name(), text(&field.unfolded())));
    let own: Vec<(&str, String)> = own.filter(|(name, _)| is_protected(name)).collect();
    let inside = by_name(own.iter().map(|(name, value)| (*name, value.clone())));
    let outside = by_name(
        outer
            .fields()
            .iter()
            .map(|field| (field.name(), text(&field.unfolded()))),
    );
    // RFC 9788 section 2.2.1: the fields outside as the sender wrote them, only where the header was encrypted.
    let announced: Vec<String> = inner.named("HP-Outer").map(|field| text(&field.unfolded())).collect();
    let announced = (scheme == HeaderProtection::Cipher && !announced.is_empty())
        .then(|| by_name(announced.iter().filter_map(|field| field.split_once(':')).map(trimmed)));
    let nothing = Vec::new();
    let state = |name: &str| {
        let inside = inside.get(name).unwrap_or(&nothing);
        let expected = match &announced {
            Some(announced) => announced.get(name).unwrap_or(&nothing),
            None => inside,
        };
        match outside.get(name).unwrap_or(&nothing) {
            found if found == inside => Outside::Same,
            found if found == expected => Outside::Hidden,
            _ => Outside::Differs,
        }
    };
    for name in USER_FACING {
        if state(&name.to_ascii_lowercase()) == Outside::Differs {
            problems.push(Code::ProtectedFieldDiffers.because(format!(
                "the {name} field inside the signature differs from the one outside; show the one inside"
            )));
        }
    }
    // Once for each name, however many fields have it: an attacker would make them many.
    let mut states: BTreeMap<String, Outside> = BTreeMap::new();
    own.into_iter()
        .map(|(name, value)| {
            let key = name.to_ascii_lowercase();
            let known = states.get(&key).copied();
            let compared = known.unwrap_or_else(|| state(&key));
            let outside_values = match known {
                None => outside.get(&key).cloned().unwrap_or_default(),
                Some(_) => Vec::new(),
            };
            states.insert(key, compared);
            ProtectedField {
                outside: compared,
                outside_values,
                name: name.to_owned(),
                value,
            }
        })
        .collect()
}

/// The values of each name in their order; runs of white space are one space, since relays fold lines anew.
fn by_name<'n>(fields: impl Iterator<Item = (&'n str, String)>) -> BTreeMap<String, Vec<String>> {
    let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in fields {
        let words: Vec<&str> = value.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
        map.entry(name.to_ascii_lowercase()).or_default().push(words.join(" "));
    }
    map
}

fn trimmed<'f>((name, value): (&'f str, &'f str)) -> (&'f str, String) {
    (name.trim(), value.trim().to_owned())
}

/// RFC 9788 section 1.1.1: structural fields describe the part they stand in.
fn is_protected(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    !name.starts_with("content-") && name != "mime-version" && name != "hp-outer"
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}

/// The fields that a reader sees (RFC 9788 section 1.1.2). From is compared here as well: its display name may differ
/// although the address does not.
const USER_FACING: [&str; 8] = [
    "From",
    "To",
    "Cc",
    "Date",
    "Subject",
    "Reply-To",
    "Sender",
    "Followup-To",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(outer: &str, inner: &str, scheme: HeaderProtection, expected: &[(&str, Outside)], differing: usize) {
        let (outer, _) = HeaderBlock::parse(outer.as_bytes()).unwrap();
        let (inner, _) = HeaderBlock::parse(inner.as_bytes()).unwrap();
        let mut problems = Vec::new();
        let fields = compare(&outer, &inner, scheme, &mut problems);
        let got: Vec<_> = fields
            .iter()
            .map(|field| (field.name.as_str(), field.outside))
            .collect();
        assert_eq!(got, expected);
        assert_eq!(problems.len(), differing, "{problems:?}");
    }

    const CLEAR: HeaderProtection = HeaderProtection::Clear;
    const CIPHER: HeaderProtection = HeaderProtection::Cipher;

    #[test]
    fn values_outside_are_given_once_for_each_name() {
        let many = "Comments: a\r\n".repeat(900);
        let (outer, _) = HeaderBlock::parse(many.as_bytes()).unwrap();
        let fields = compare(&outer, &outer, CLEAR, &mut Vec::new());
        assert_eq!(fields.len(), 900);
        assert_eq!(fields[0].outside_values.len(), 900);
        assert!(fields.iter().skip(1).all(|field| field.outside_values.is_empty()));
        assert!(fields.iter().all(|field| field.outside == Outside::Same));
    }

    #[test]
    fn what_relays_may_do_is_no_difference() {
        check(
            "Received: x\r\nsubject: a\r\n b\r\nContent-Type: x/y\r\n",
            "Content-Type: text/plain\r\nSubject: a  b\r\n",
            CLEAR,
            &[("Subject", Outside::Same)],
            0,
        );
    }

    #[test]
    fn changes_removals_and_additions_are_differences() {
        check(
            "Subject: b\r\nCc: eve\r\n",
            "Subject: a\r\nDate: d\r\nX-Own: x\r\n",
            CLEAR,
            &[
                ("Subject", Outside::Differs),
                ("Date", Outside::Differs),
                ("X-Own", Outside::Differs),
            ],
            // Subject, Date and the added Cc; nobody shows X-Own.
            3,
        );
        check(
            "Subject: a\r\nSubject: b\r\n",
            "Subject: a\r\n",
            CLEAR,
            &[("Subject", Outside::Differs)],
            1,
        );
    }

    #[test]
    fn what_the_sender_hid_is_no_difference_and_what_others_changed_is() {
        let inner = "Subject: secret\r\nTo: bob\r\nComments: c\r\nHP-Outer: Subject: [...]\r\nHP-Outer: To: bob\r\n";
        check(
            "Subject: [...]\r\nTo: bob\r\n",
            inner,
            CIPHER,
            &[
                ("Subject", Outside::Hidden),
                ("To", Outside::Same),
                ("Comments", Outside::Hidden),
            ],
            0,
        );
        check(
            "Subject: changed\r\nTo: bob\r\nComments: added\r\n",
            inner,
            CIPHER,
            &[
                ("Subject", Outside::Differs),
                ("To", Outside::Same),
                ("Comments", Outside::Differs),
            ],
            1,
        );
        // Only where the header was encrypted does the sender have something to announce.
        check(
            "Subject: [...]\r\n",
            "Subject: secret\r\nHP-Outer: Subject: [...]\r\n",
            CLEAR,
            &[("Subject", Outside::Differs)],
            1,
        );
    }
}
