//! One command line, parsed. Grammar by smtp-proto; the paths and the rules of this server on top of it.

use std::fmt;

use smtp_proto::{Error as SyntaxError, Request};
use zeroize::Zeroizing;

use super::proxy::decode_xtext;
use crate::address;
use crate::envelope::{Body, MailFrom, Parameter, RcptTo};
use crate::reply::Reply;
use crate::server::Extension;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo(String),
    Helo(String),
    Mail(MailFrom),
    Rcpt(RcptTo),
    Data,
    StartTls,
    Rset,
    Noop,
    Vrfy,
    Help,
    Quit,
    Bdat {
        octets: u64,
        last: Last,
    },
    /// A BDAT of which it is not known how many octets follow, which would be read as commands if the connection
    /// went on.
    UncountedBdat,
    /// The words after it.
    XClient(String),
    XForward(String),
    Auth {
        mechanism: String,
        initial: Option<InitialResponse>,
    },
    /// A browser, or a script that makes one talk to us.
    Http,
    NotImplemented(&'static str),
}

/// Whether a chunk is the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    Yes,
    No,
}

/// What came with AUTH, still in Base64: it may be a password.
#[derive(PartialEq, Eq)]
pub(super) struct InitialResponse(pub(super) Zeroizing<String>);

impl fmt::Debug for InitialResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitialResponse(..)")
    }
}

/// What the client was offered, and may use therefore.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Offers<'s> {
    pub(super) extensions: &'s [Extension],
    pub(super) binary_mime: bool,
    pub(super) auth: bool,
}

/// Parses a line without its CRLF, or tells what to answer.
pub(super) fn parse(line: &[u8], offers: &Offers<'_>) -> Result<Command, Reply> {
    let is_auth = line.get(..5).is_some_and(|verb| verb.eq_ignore_ascii_case(b"AUTH "));
    if line.len() + 2 > MAX_LINE_OCTETS && !is_auth {
        return Err(syntax("Line too long"));
    }
    let text = match std::str::from_utf8(line) {
        Ok(text) if !text.contains(|c: char| c.is_control()) => text,
        Ok(_) => return Err(syntax("A command must not contain control characters")),
        Err(_) => return Err(syntax("A command must be ASCII or, for addresses, UTF-8")),
    };
    let verb = text.split(' ').next().unwrap_or_default();
    if ["GET", "POST", "HEAD", "PUT", "CONNECT", "OPTIONS"].contains(&verb) {
        return Ok(Command::Http);
    }
    let words = text[verb.len()..].trim_matches(' ');
    match verb.to_ascii_uppercase().as_str() {
        "BDAT" => return Ok(bdat(words)),
        "AUTH" => return auth(words),
        "XCLIENT" => return Ok(Command::XClient(words.to_owned())),
        "XFORWARD" => return Ok(Command::XForward(words.to_owned())),
        _ => {}
    }

    let terminated = [line, b"\r\n"].concat();
    let request = Request::parse(&mut terminated.iter()).map_err(|error| match error {
        SyntaxError::InvalidSenderAddress => bad_sender("is malformed"),
        SyntaxError::InvalidRecipientAddress => bad_recipient("is malformed"),
        SyntaxError::SyntaxError { syntax } => Reply::new(501, Some([5, 5, 4]), format!("Syntax: {syntax}")),
        SyntaxError::InvalidParameter { param } => bad_parameter(&format!("{param} has no valid value")),
        SyntaxError::UnsupportedParameter { param } => unsupported_parameter(&param),
        _ => Reply::new(500, Some([5, 5, 1]), "Command not recognised"),
    })?;
    let command = match request {
        Request::Ehlo { host } => Command::Ehlo(hello_name(text, &host)?),
        Request::Helo { host } => Command::Helo(hello_name(text, &host)?),
        Request::Mail { from } => Command::Mail(mail(text, &from.address, offers)?),
        Request::Rcpt { to } => Command::Rcpt(rcpt(text, &to.address, offers)?),
        Request::Noop { .. } => Command::Noop,
        Request::Vrfy { .. } => Command::Vrfy,
        Request::Help { .. } => Command::Help,
        Request::Data => alone(text, Command::Data)?,
        Request::StartTls => alone(text, Command::StartTls)?,
        Request::Rset => alone(text, Command::Rset)?,
        Request::Quit => alone(text, Command::Quit)?,
        other => Command::NotImplemented(other.name()),
    };
    Ok(command)
}

/// RFC 3030 section 2: `chunk-size [SP "LAST"]`, with at most twenty digits.
fn bdat(words: &str) -> Command {
    let (digits, last) = match words.split_once(' ') {
        None => (words, Last::No),
        Some((digits, last)) if last.eq_ignore_ascii_case("LAST") => (digits, Last::Yes),
        Some(_) => return Command::UncountedBdat,
    };
    match size(digits) {
        Ok(octets) => Command::Bdat { octets, last },
        Err(_) => Command::UncountedBdat,
    }
}

/// RFC 4954 section 4: `mechanism [SP initial-response]`.
fn auth(words: &str) -> Result<Command, Reply> {
    let (mechanism, initial) = match words.split_once(' ') {
        None => (words, None),
        Some((mechanism, initial)) => (mechanism, Some(initial)),
    };
    let is_mechanism = (1..=20).contains(&mechanism.len())
        && mechanism
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !is_mechanism || initial.is_some_and(|initial| initial.contains(' ')) {
        return Err(Reply::new(
            501,
            Some([5, 5, 4]),
            "Syntax: AUTH mechanism [initial-response]",
        ));
    }
    Ok(Command::Auth {
        mechanism: mechanism.to_owned(),
        initial: initial.map(|initial| InitialResponse(Zeroizing::new(initial.to_owned()))),
    })
}

/// RFC 5321 section 4.1.1: these commands have no argument. smtp-proto overlooks one.
fn alone(text: &str, command: Command) -> Result<Command, Reply> {
    match text.trim_end_matches(' ').contains(' ') {
        true => Err(Reply::new(501, Some([5, 5, 4]), "This command has no argument")),
        false => Ok(command),
    }
}

/// The name goes into Received headers and logs, so only the characters of names and address literals get in.
fn hello_name(text: &str, host: &str) -> Result<String, Reply> {
    let is_sound = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte));
    match is_sound && text.split(' ').filter(|word| !word.is_empty()).count() == 2 {
        true => Ok(host.to_owned()),
        false => Err(Reply::new(
            501,
            Some([5, 5, 4]),
            "Give a host name or an address literal, and nothing else",
        )),
    }
}

fn mail(text: &str, understood: &str, offers: &Offers<'_>) -> Result<MailFrom, Reply> {
    let (address, words) = path(text).map_err(bad_sender)?;
    let mut from = MailFrom::new(address);
    let mut seen = Vec::new();
    for parameter in parameters(words)? {
        if seen.iter().any(|keyword| keyword == parameter.keyword()) {
            return Err(bad_parameter(&format!("{} is given twice", parameter.keyword())));
        }
        seen.push(parameter.keyword().to_owned());
        match (parameter.keyword(), parameter.value()) {
            ("SMTPUTF8", None) => from.smtputf8 = true,
            ("SIZE", Some(digits)) => from.size = Some(size(digits)?),
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("7BIT") => from.body = Body::SevenBit,
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("8BITMIME") => from.body = Body::EightBitMime,
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("BINARYMIME") && offers.binary_mime => {
                from.body = Body::BinaryMime;
            }
            // RFC 4954 section 5: who does not trust what a client says of others takes it for "<>", and so it is
            // not passed on.
            ("AUTH", Some(value)) if offers.auth => match value == "<>" || decode_xtext(value).is_some() {
                true => {}
                false => return Err(bad_parameter("AUTH has no valid value")),
            },
            ("BODY" | "SIZE" | "SMTPUTF8", _) => {
                return Err(bad_parameter(&format!("{parameter} is not supported")));
            }
            (keyword, _)
                if offers
                    .extensions
                    .iter()
                    .any(|extension| extension.mail_parameters.contains(&keyword)) =>
            {
                from.parameters.push(parameter);
            }
            (keyword, _) => return Err(unsupported_parameter(keyword)),
        }
    }
    if address.is_empty() {
        return Ok(from);
    }
    address::check(address).map_err(|fault| bad_sender(fault.as_str()))?;
    if differs(address, understood) {
        return Err(bad_sender("is ambiguous"));
    }
    // RFC 6531 section 3.5.
    if !address.is_ascii() && !from.smtputf8 {
        return Err(Reply::new(
            553,
            Some([5, 6, 7]),
            "The sender address is not ASCII and SMTPUTF8 was not requested",
        ));
    }
    Ok(from)
}

/// Whether the recipient may have an address beyond ASCII is for the connection to say, which knows the MAIL.
fn rcpt(text: &str, understood: &str, offers: &Offers<'_>) -> Result<RcptTo, Reply> {
    let (address, words) = path(text).map_err(bad_recipient)?;
    let mut to = RcptTo::new(address);
    for parameter in parameters(words)? {
        let keyword = parameter.keyword();
        if to.parameters.iter().any(|earlier| earlier.keyword() == keyword) {
            return Err(bad_parameter(&format!("{keyword} is given twice")));
        }
        if !offers
            .extensions
            .iter()
            .any(|extension| extension.recipient_parameters.contains(&keyword))
        {
            return Err(unsupported_parameter(keyword));
        }
        to.parameters.push(parameter);
    }
    // RFC 5321 section 4.5.1.
    if address.eq_ignore_ascii_case("postmaster") {
        return Ok(to);
    }
    address::check(address).map_err(|fault| bad_recipient(fault.as_str()))?;
    if differs(address, understood) {
        return Err(bad_recipient("is ambiguous"));
    }
    Ok(to)
}

fn path(text: &str) -> Result<(&str, &str), &'static str> {
    let after_colon = text.split_once(':').map_or("", |(_, rest)| rest);
    address::split_path(after_colon).map_err(address::AddressFault::as_str)
}

fn parameters(words: &str) -> Result<Vec<Parameter>, Reply> {
    words
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(|word| Parameter::parse(word).ok_or_else(|| bad_parameter("Not a parameter")))
        .collect()
}

/// Two parsers that see two addresses see an attack. smtp-proto unquotes, so quoted ones cannot be compared.
fn differs(address: &str, understood: &str) -> bool {
    !address.contains('"') && address != understood
}

/// RFC 1870 section 4: one to twenty digits.
fn size(digits: &str) -> Result<u64, Reply> {
    let is_number = (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let size = if is_number { digits.parse().ok() } else { None };
    size.ok_or_else(|| bad_parameter("SIZE is not a number of octets"))
}

fn syntax(text: &str) -> Reply {
    Reply::new(500, Some([5, 5, 2]), text)
}

fn bad_sender(fault: &str) -> Reply {
    Reply::new(553, Some([5, 1, 7]), format!("The sender address {fault}"))
}

fn bad_recipient(fault: &str) -> Reply {
    Reply::new(553, Some([5, 1, 3]), format!("The recipient address {fault}"))
}

fn bad_parameter(text: &str) -> Reply {
    Reply::new(501, Some([5, 5, 4]), text)
}

fn unsupported_parameter(keyword: &str) -> Reply {
    Reply::new(
        555,
        Some([5, 5, 4]),
        format!("The parameter {keyword} is not supported"),
    )
}

/// RFC 5321 section 4.5.3.1.4 has 512, RFC 1870, RFC 6152, RFC 6531 and RFC 3461 add 26, 17, 10 and about 1100.
const MAX_LINE_OCTETS: usize = 2048;
/// RFC 4954 section 4, for AUTH and what follows it.
pub(super) const MAX_AUTH_LINE_OCTETS: usize = 12_288;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WITH_DSN: Offers<'_> = Offers {
        extensions: &[Extension::DSN],
        binary_mime: false,
        auth: false,
    };

    #[track_caller]
    fn check_refused(line: &[u8], code: u16, enhanced: [u16; 3]) {
        match parse(line, &Offers::default()) {
            Ok(command) => panic!("{} was taken for {command:?}", line.escape_ascii()),
            Err(reply) => {
                assert_eq!(
                    (reply.code(), reply.enhanced()),
                    (code, Some(enhanced)),
                    "{}",
                    line.escape_ascii()
                );
            }
        }
    }

    #[track_caller]
    fn address_of(line: &str) -> String {
        match parse(line.as_bytes(), &Offers::default()) {
            Ok(Command::Mail(from)) => from.address,
            Ok(Command::Rcpt(to)) => to.address,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn addresses_stay_as_they_were_written() {
        for (line, address) in [
            ("MAIL FROM:<>", ""),
            ("MAIL FROM:<a@b>", "a@b"),
            ("mail from: <A@b.test> size=5", "A@b.test"),
            ("MAIL FROM:<\"a@b\"@c>", "\"a@b\"@c"),
            ("MAIL FROM:<\u{fc}@b> SMTPUTF8", "\u{fc}@b"),
            ("RCPT TO:<@relay.test:a@b>", "a@b"),
            ("RCPT TO:<postMASTER>", "postMASTER"),
            ("RCPT TO:<\u{fc}@b>", "\u{fc}@b"),
        ] {
            assert_eq!(address_of(line), address, "{line}");
        }
    }

    #[test]
    fn the_parameters_of_mail_are_understood() {
        let Ok(Command::Mail(from)) = parse(b"MAIL FROM:<a@b> BODY=8bitmime SIZE=12 SMTPUTF8", &Offers::default())
        else {
            panic!("the command is valid");
        };
        assert_eq!(
            (from.body, from.size, from.smtputf8),
            (Body::EightBitMime, Some(12), true)
        );
        let Ok(Command::Mail(from)) = parse(b"MAIL FROM:<a@b> RET=HDRS ENVID=x+2By", &WITH_DSN) else {
            panic!("the command is valid with DSN");
        };
        assert_eq!(
            from.parameters.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["RET=HDRS", "ENVID=x+2By"]
        );
        let Ok(Command::Rcpt(to)) = parse(b"RCPT TO:<a@b> NOTIFY=NEVER", &WITH_DSN) else {
            panic!("the command is valid with DSN");
        };
        assert_eq!(to.parameters[0].value(), Some("NEVER"));
    }

    #[test]
    fn malformed_commands_are_refused() {
        check_refused(b"", 500, [5, 5, 1]);
        check_refused(b"FROB", 500, [5, 5, 1]);
        check_refused(b"MAILX FROM:<a@b>", 500, [5, 5, 1]);
        check_refused(b"LHLO", 501, [5, 5, 4]);
        check_refused(b"EHLO", 501, [5, 5, 4]);
        check_refused(b"EHLO a b", 501, [5, 5, 4]);
        check_refused(b"EHLO a)(comment", 501, [5, 5, 4]);
        check_refused(b"HELO <script>", 501, [5, 5, 4]);
        check_refused(b"DATA now", 501, [5, 5, 4]);
        check_refused(b"QUIT please", 501, [5, 5, 4]);
        check_refused(b"RSET a", 501, [5, 5, 4]);
        check_refused(b"STARTTLS a", 501, [5, 5, 4]);
        check_refused(b"NOOP\0", 500, [5, 5, 2]);
        check_refused(b"NOOP\rMAIL FROM:<a@b>", 500, [5, 5, 2]);
        check_refused(b"NOOP \xff", 500, [5, 5, 2]);
    }

    #[test]
    fn malformed_addresses_are_refused() {
        check_refused(b"MAIL FROM:a@b", 501, [5, 5, 4]);
        check_refused(b"MAIL <a@b>", 501, [5, 5, 4]);
        check_refused(b"MAIL FROM:<a>", 553, [5, 1, 7]);
        check_refused(b"MAIL FROM:<a@b@c>", 553, [5, 1, 7]);
        check_refused(b"MAIL FROM:<a@b>x", 555, [5, 5, 4]);
        check_refused(b"MAIL FROM:<a@b..c>", 553, [5, 1, 7]);
        check_refused(b"MAIL FROM:<a@b_,c>", 553, [5, 1, 7]);
        check_refused(b"MAIL FROM:<postmaster>", 553, [5, 1, 7]);
        check_refused("MAIL FROM:<\u{fc}@b>".as_bytes(), 553, [5, 6, 7]);
        check_refused("MAIL FROM:<a@\u{fc}>".as_bytes(), 553, [5, 6, 7]);
        check_refused(b"RCPT TO:<>", 553, [5, 1, 3]);
        check_refused(b"RCPT TO:<a>", 553, [5, 1, 3]);
        check_refused(b"RCPT TO:<a@b> <c@d>", 501, [5, 5, 4]);
        check_refused(format!("RCPT TO:<{}@b>", "a".repeat(65)).as_bytes(), 553, [5, 1, 3]);
    }

    #[test]
    fn parameters_that_were_not_announced_are_refused() {
        check_refused(b"MAIL FROM:<a@b> BODY=BINARYMIME", 501, [5, 5, 4]);
        check_refused(b"MAIL FROM:<a@b> BODY", 555, [5, 5, 4]);
        check_refused(b"MAIL FROM:<a@b> SIZE=", 501, [5, 5, 4]);
        check_refused(b"MAIL FROM:<a@b> SIZE=-1", 501, [5, 5, 4]);
        check_refused(b"MAIL FROM:<a@b> SIZE=999999999999999999999", 501, [5, 5, 4]);
        check_refused(b"MAIL FROM:<a@b> SIZE=1 SIZE=2", 501, [5, 5, 4]);
        check_refused(b"MAIL FROM:<a@b> RET=HDRS", 555, [5, 5, 4]);
        check_refused(b"MAIL FROM:<a@b> AUTH=<>", 555, [5, 5, 4]);
        check_refused(b"MAIL FROM:<a@b> X-UNKNOWN=1", 555, [5, 5, 4]);
        check_refused(b"RCPT TO:<a@b> NOTIFY=NEVER", 555, [5, 5, 4]);
        check_refused(b"RCPT TO:<a@b> SIZE=1", 555, [5, 5, 4]);
    }

    #[test]
    fn commands_of_extensions_are_understood() {
        let command = |line: &str| parse(line.as_bytes(), &Offers::default());
        let chunk = |octets, last| Ok(Command::Bdat { octets, last });
        assert_eq!(command("BDAT 0"), chunk(0, Last::No));
        assert_eq!(command("bdat 86 last"), chunk(86, Last::Yes));
        assert_eq!(command("BDAT 18446744073709551615 LAST "), chunk(u64::MAX, Last::Yes));
        let auth = |mechanism: &str, initial: Option<&str>| {
            Ok(Command::Auth {
                mechanism: mechanism.to_owned(),
                initial: initial.map(|initial| InitialResponse(Zeroizing::new(initial.to_owned()))),
            })
        };
        assert_eq!(command("AUTH LOGIN"), auth("LOGIN", None));
        assert_eq!(command("auth PLAIN ="), auth("PLAIN", Some("=")));
        let long = "A".repeat(4000);
        assert_eq!(command(&format!("AUTH PLAIN {long}")), auth("PLAIN", Some(&long)));
        assert_eq!(
            format!("{:?}", command("AUTH PLAIN c2VjcmV0")).matches("c2Vj").count(),
            0
        );
        assert_eq!(command("XCLIENT NAME=a"), Ok(Command::XClient("NAME=a".to_owned())));
        assert_eq!(command("xforward"), Ok(Command::XForward(String::new())));

        let all = Offers {
            binary_mime: true,
            auth: true,
            ..Offers::default()
        };
        let Ok(Command::Mail(from)) = parse(b"MAIL FROM:<a@b> BODY=binarymime AUTH=e+3Dmc2@example.com", &all) else {
            panic!("the command is valid");
        };
        assert_eq!((from.body, from.parameters), (Body::BinaryMime, Vec::new()));
        for parameter in ["AUTH", "AUTH=", "AUTH=<a>b+", "AUTH=a+4", "AUTH=<> AUTH=<>"] {
            let reply = parse(format!("MAIL FROM:<a@b> {parameter}").as_bytes(), &all).expect_err(parameter);
            assert!(matches!(reply.code(), 501 | 555), "{parameter}: {reply}");
        }
    }

    #[test]
    fn commands_of_extensions_that_are_malformed_are_refused() {
        for line in [
            "BDAT",
            "BDAT x",
            "BDAT -1",
            "BDAT 1.5",
            "BDAT 0x10",
            "BDAT 1 LAST LAST",
            "BDAT 1 FIRST",
            "BDAT 1 1",
            "BDAT 18446744073709551616",
            "BDAT 000000000000000000001",
            "BDAT LAST",
        ] {
            let command = parse(line.as_bytes(), &Offers::default());
            assert_eq!(command, Ok(Command::UncountedBdat), "{line}");
        }
        for line in [
            "AUTH",
            "AUTH ",
            "AUTH PLAIN a b",
            "AUTH PL/AIN",
            "AUTH ABCDEFGHIJKLMNOPQRSTU",
        ] {
            check_refused(line.as_bytes(), 501, [5, 5, 4]);
        }
        check_refused(
            format!("MAIL FROM:<a@b> {}", " ".repeat(2040)).as_bytes(),
            500,
            [5, 5, 2],
        );
        check_refused(b"AUTH PLAIN \xff", 500, [5, 5, 2]);
    }

    proptest! {
        #[test]
        fn no_line_panics(line in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&line, &WITH_DSN);
        }

        #[test]
        fn an_address_that_is_taken_has_one_at_sign_outside_of_quotes(text in "[<>@.\"\\\\a: ,\u{fc}]{0,12}") {
            if let Ok(Command::Mail(from)) = parse(format!("MAIL FROM:<{text}> SMTPUTF8").as_bytes(), &Offers::default()) {
                prop_assert!(from.address.is_empty() || address::check(&from.address).is_ok());
                prop_assert!(text.contains(&from.address));
            }
        }
    }
}
