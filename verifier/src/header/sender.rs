//! Who a message says it is from: exactly one From field with exactly one mailbox.
//!
//! Clients read unusual From fields in different ways, and every one of those ways has been used to show one address
//! and check another. So this is stricter than RFC 5322 section 3.4: comments, groups, routes, quoted local parts and
//! obsolete syntax have no sender. The gateway signs only what this function accepts, the verifier labels only that.

use policies::mailbox::{InvalidMailbox, Mailbox};
use thiserror::Error;

use super::{HeaderBlock, display_name};

/// The one mailbox of the one From field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    mailbox: Mailbox,
    display_name: Option<String>,
    readable: bool,
}

impl Sender {
    /// The address.
    pub fn mailbox(&self) -> &Mailbox {
        &self.mailbox
    }

    /// The name beside the address with encoded words decoded (RFC 2047); nobody has checked it.
    pub fn display_name(&self) -> Option<&str> {
        self.display_name.as_deref()
    }

    /// Whether the display name looks like an address other than the real one.
    pub fn display_name_claims_another_address(&self) -> bool {
        self.display_name.as_deref().is_some_and(|name| {
            let claims = name.contains(['@', '\u{ff20}', '\u{fe6b}']);
            claims && Mailbox::parse(name.trim()).as_ref() != Ok(&self.mailbox)
        })
    }

    /// Whether every encoded word of the display name could be decoded, so that it was seen as a client shows it.
    pub fn display_name_is_readable(&self) -> bool {
        self.readable
    }
}

/// Why a header block has no one sender.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FromProblem {
    /// No From field.
    #[error("the message has no From field")]
    Missing,
    /// Several From fields.
    #[error("the message has {count} From fields")]
    Repeated {
        /// How many.
        count: usize,
    },
    /// An empty list of mailboxes, or only a name.
    #[error("the From field names no mailbox")]
    NoMailbox,
    /// A list.
    #[error("the From field names several mailboxes")]
    SeveralMailboxes,
    /// A group (RFC 5322 section 3.4).
    #[error("the From field is a group")]
    Group,
    /// A comment anywhere outside quotes.
    #[error("the From field contains a comment, which clients show or hide as they like")]
    Comment,
    /// A control or reordering character.
    #[error("the From field contains the character U+{code_point:04X}", code_point = u32::from(*.0))]
    Character(char),
    /// Neither US-ASCII nor UTF-8 (RFC 6532).
    #[error("the From field is not valid UTF-8")]
    NotUtf8,
    /// Longer than a From field can reasonably be.
    #[error("the From field is longer than {MAXIMUM_FROM_BYTES} bytes")]
    TooLong,
    /// Anything else that RFC 5322 section 3.4 does not allow, or only as obsolete syntax.
    #[error("the From field does not follow RFC 5322 section 3.4")]
    Syntax,
    /// The address itself.
    #[error("the address in the From field is not acceptable")]
    Address(#[from] InvalidMailbox),
}

/// The sender of a message.
///
/// # Errors
///
/// [`FromProblem`] unless there is exactly one From field with exactly one mailbox in plain RFC 5322 syntax.
pub fn sender(header: &HeaderBlock<'_>) -> Result<Sender, FromProblem> {
    let mut fields = header.named("From");
    let field = fields.next().ok_or(FromProblem::Missing)?;
    let others = fields.count();
    if others > 0 {
        return Err(FromProblem::Repeated { count: others + 1 });
    }
    if field.raw_value().len() > MAXIMUM_FROM_BYTES {
        return Err(FromProblem::TooLong);
    }
    let value = String::from_utf8(field.unfolded()).map_err(|_| FromProblem::NotUtf8)?;
    one_mailbox(&value)
}

/// Reads `mailbox = name-addr / addr-spec` of RFC 5322 section 3.4, and nothing around it.
pub(crate) fn one_mailbox(value: &str) -> Result<Sender, FromProblem> {
    if let Some(character) = value.chars().find(|character| is_deceptive(*character)) {
        return Err(FromProblem::Character(character));
    }
    let value = value.trim_matches([' ', '\t']);
    let tokens = tokens(value)?;
    if tokens.is_empty() {
        return Err(FromProblem::NoMailbox);
    }
    // What a list or a group contains is told apart first, so that the report says so.
    if tokens.iter().any(|token| matches!(token, Token::Special(',' | ';'))) {
        let group = tokens.iter().any(|token| matches!(token, Token::Special(':')));
        return Err(if group {
            FromProblem::Group
        } else {
            FromProblem::SeveralMailboxes
        });
    }
    if let Some(open) = tokens.iter().position(|token| matches!(token, Token::Special('<'))) {
        let (phrase, address) = tokens.split_at(open);
        let [Token::Special('<'), Token::Text { text, .. }, Token::Special('>')] = address else {
            return Err(match address {
                [_, Token::Special('>')] => FromProblem::NoMailbox,
                _ => FromProblem::Syntax,
            });
        };
        let mailbox = Mailbox::parse(text)?;
        let (display_name, readable) = display_name::decode(phrase)?;
        if let Some(character) = display_name.chars().find(|character| is_deceptive(*character)) {
            return Err(FromProblem::Character(character));
        }
        let display_name = (!display_name.is_empty()).then_some(display_name);
        return Ok(Sender {
            mailbox,
            display_name,
            readable,
        });
    }
    match tokens.as_slice() {
        [Token::Text { text, .. }] if text.contains('@') => Ok(Sender {
            mailbox: Mailbox::parse(text)?,
            display_name: None,
            readable: true,
        }),
        tokens if tokens.iter().any(|token| matches!(token, Token::Special(':'))) => Err(FromProblem::Group),
        tokens
            if tokens
                .iter()
                .any(|token| matches!(token, Token::Text { text, .. } if text.contains('@'))) =>
        {
            Err(FromProblem::Syntax)
        }
        _ => Err(FromProblem::NoMailbox),
    }
}

/// A piece of an address field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A run of characters that are neither white space nor special: an atom, an encoded word, an addr-spec.
    Text { text: String, space_before: bool },
    /// The contents of a quoted string, escapes undone.
    Quoted(String),
    /// One of `< > , ; :`.
    Special(char),
}

fn tokens(value: &str) -> Result<Vec<Token>, FromProblem> {
    let mut tokens = Vec::new();
    let mut characters = value.chars().peekable();
    let mut space_before = false;
    while let Some(&character) = characters.peek() {
        match character {
            ' ' | '\t' => {
                characters.next();
                space_before = true;
                continue;
            }
            '(' | ')' => return Err(FromProblem::Comment),
            '<' | '>' | ',' | ';' | ':' => {
                characters.next();
                tokens.push(Token::Special(character));
            }
            '"' => {
                characters.next();
                let mut text = String::new();
                loop {
                    match characters.next() {
                        Some('"') => break,
                        Some('\\') => text.push(characters.next().ok_or(FromProblem::Syntax)?),
                        Some(character) => text.push(character),
                        None => return Err(FromProblem::Syntax),
                    }
                }
                // A quoted string glued to what surrounds it is a quoted local part, or a trick.
                if characters.peek().is_some_and(|next| !matches!(next, ' ' | '\t' | '<')) {
                    return Err(FromProblem::Syntax);
                }
                tokens.push(Token::Quoted(text));
            }
            '[' | ']' | '\\' => return Err(FromProblem::Syntax),
            _ => {
                let mut text = String::new();
                while let Some(next) = characters.next_if(|next| !" \t()<>,;:\"[]\\".contains(*next)) {
                    text.push(next);
                }
                if characters.peek() == Some(&'"') {
                    return Err(FromProblem::Syntax);
                }
                tokens.push(Token::Text { text, space_before });
            }
        }
        space_before = false;
    }
    Ok(tokens)
}

/// Control characters, and those that hide or reorder others or look like nothing (Unicode annex 9).
///
/// NOTE: variation selectors, which ask for an emoji in colour, are everywhere in display names and hide nothing.
pub(crate) fn is_deceptive(character: char) -> bool {
    let is_emoji_selector = matches!(character, '\u{fe0e}' | '\u{fe0f}');
    character != '\t' && !is_emoji_selector && policies::label::is_deceptive(character)
}

/// Octets of a From field. Source: own choice; an address of 254 octets (RFC 5321 section 4.5.3.1.3) and a display name of
/// encoded words, of which a line holds 76 characters (RFC 2047 section 2) and this some fifty.
const MAXIMUM_FROM_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(from: &str, expected: Result<(&str, Option<&str>), FromProblem>) {
        let message = format!("{from}\r\nTo: x@example.net\r\n\r\n");
        let (header, _) = HeaderBlock::parse(message.as_bytes()).expect("the header block is well-formed");
        let got =
            sender(&header).map(|sender| (sender.mailbox().to_string(), sender.display_name().map(str::to_owned)));
        let expected = expected.map(|(address, name)| (address.to_owned(), name.map(str::to_owned)));
        assert_eq!(got, expected, "{from:?}");
    }

    #[test]
    fn one_mailbox_in_plain_syntax() {
        check("From: alice@example.org", Ok(("alice@example.org", None)));
        check("From: <alice@example.org>", Ok(("alice@example.org", None)));
        check(
            "FROM: Alice <alice@example.org>",
            Ok(("alice@example.org", Some("Alice"))),
        );
        check(
            "From: \"Doe, Alice (x)\" <alice@example.org>",
            Ok(("alice@example.org", Some("Doe, Alice (x)"))),
        );
        check(
            "From: \"A \\\"B\\\" C\"<alice@example.org>",
            Ok(("alice@example.org", Some("A \"B\" C"))),
        );
        check(
            "From: Alice\r\n B. Doe\r\n <alice@example.org>",
            Ok(("alice@example.org", Some("Alice B. Doe"))),
        );
        check(
            "From: =?utf-8?Q?J=C3=BCrgen?= <j@example.org>",
            Ok(("j@example.org", Some("Jürgen"))),
        );
        check(
            "From: Jürgen <jürgen@bücher.example>",
            Ok(("jürgen@xn--bcher-kva.example", Some("Jürgen"))),
        );
    }

    #[test]
    fn anything_that_could_name_someone_else_is_refused() {
        check("Subject: none", Err(FromProblem::Missing));
        check(
            "From: a@example.org\r\nFrom: b@example.org",
            Err(FromProblem::Repeated { count: 2 }),
        );
        check(
            "From: a@example.org\r\nfrom: a@example.org",
            Err(FromProblem::Repeated { count: 2 }),
        );
        check("From:", Err(FromProblem::NoMailbox));
        check("From: Alice", Err(FromProblem::NoMailbox));
        check("From: Alice <>", Err(FromProblem::NoMailbox));
        check("From: a@example.org, b@example.org", Err(FromProblem::SeveralMailboxes));
        check("From: a@example.org,", Err(FromProblem::SeveralMailboxes));
        check("From: Team: a@example.org, b@example.org;", Err(FromProblem::Group));
        check("From: Team:;", Err(FromProblem::Group));
        check("From: Team: a@example.org", Err(FromProblem::Group));
        check("From: a@example.org (Alice)", Err(FromProblem::Comment));
        check("From: a@(x)example.org", Err(FromProblem::Comment));
        check("From: Alice <a@example.org(>)", Err(FromProblem::Comment));
        check("From: <@route.example:a@example.org>", Err(FromProblem::Syntax));
        check("From: <a@example.org> <b@example.org>", Err(FromProblem::Syntax));
        check("From: <a@example.org> Bob", Err(FromProblem::Syntax));
        check("From: <<a@example.org>>", Err(FromProblem::Syntax));
        check("From: a@example.org>", Err(FromProblem::Syntax));
        check("From: <a@example.org", Err(FromProblem::Syntax));
        check("From: <a @example.org>", Err(FromProblem::Syntax));
        check("From: a@example.org b@example.org", Err(FromProblem::Syntax));
        check("From: b@example.org <a@example.org>", Err(FromProblem::Syntax));
        check("From: \"a\"@example.org", Err(FromProblem::Syntax));
        check("From: \"unclosed <a@example.org>", Err(FromProblem::Syntax));
        check("From: x\"y\" <a@example.org>", Err(FromProblem::Syntax));
        check("From: a@[192.0.2.1]", Err(FromProblem::Syntax));
        check("From: a\u{8}@example.org", Err(FromProblem::Character('\u{8}')));
        check(
            "From: \u{202e}ecila <a@example.org>",
            Err(FromProblem::Character('\u{202e}')),
        );
        // Letters that look like nothing push the address out of sight.
        for blank in [
            '\u{2800}',
            '\u{3164}',
            '\u{115f}',
            '\u{ffa0}',
            '\u{34f}',
            '\u{180b}',
            '\u{e0100}',
            '\u{e000}',
        ] {
            check(
                &format!("From: Bank{blank}{blank} <a@example.org>"),
                Err(FromProblem::Character(blank)),
            );
        }
        check(
            "From: Bank \u{2764}\u{fe0f} <a@example.org>",
            Ok(("a@example.org", Some("Bank \u{2764}\u{fe0f}"))),
        );
        check(
            "From: =?utf-8?B?4oCuYQ==?= <a@example.org>",
            Err(FromProblem::Character('\u{202e}')),
        );
        check(
            "From: =?utf-8?Q?a=00b?= <a@example.org>",
            Err(FromProblem::Character('\0')),
        );
        check(
            &format!("From: {} <a@example.org>", "x".repeat(5000)),
            Err(FromProblem::TooLong),
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        let (header, _) = HeaderBlock::parse(b"From: J\xfcrgen <j@example.org>\r\n\r\n").expect("well-formed");
        assert_eq!(sender(&header), Err(FromProblem::NotUtf8));
    }

    #[test]
    fn the_local_part_keeps_its_rules() {
        for from in [
            "From: @example.org",
            "From: a..b@example.org",
            "From: a@b@example.org",
            "From: a@localhost",
        ] {
            let (header, _) = HeaderBlock::parse(from.as_bytes()).expect("well-formed");
            assert!(matches!(sender(&header), Err(FromProblem::Address(_))), "{from}");
        }
    }

    #[test]
    fn another_address_in_the_display_name_is_noticed() {
        for (from, claims) in [
            ("\"alice@example.org\" <alice@example.org>", false),
            ("Alice <alice@example.org>", false),
            ("\"ceo@example.com\" <alice@example.org>", true),
            ("\"ceo＠example.com\" <alice@example.org>", true),
            ("\"=?utf-8?Q?ceo=40example.com?= x\" <alice@example.org>", true),
            ("=?utf-8?Q?ceo=40example.com?= <alice@example.org>", true),
            (
                "=?utf-8?B?Y2Vv?= =?utf-8?B?QGV4YW1wbGUuY29t?= <alice@example.org>",
                true,
            ),
        ] {
            let sender = one_mailbox(from).expect(from);
            assert_eq!(sender.display_name_claims_another_address(), claims, "{from}");
        }
        assert!(
            !one_mailbox("=?x-odd?Q?a?= <a@example.org>")
                .expect("accepted")
                .display_name_is_readable()
        );
    }
}
