//! Delivery status notifications. See [RFC 3464]; [RFC 6533] where there are addresses beyond ASCII.
//!
//! A notice shows the header of the message and never its body, and of an encrypted message not even what it was
//! about.
//!
//! [RFC 3464]: https://www.rfc-editor.org/rfc/rfc3464
//! [RFC 6533]: https://www.rfc-editor.org/rfc/rfc6533

use std::fmt::Write as _;

use policies::time::Timestamp;
use smtp::envelope::Parameter;

use crate::trace::date;

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Failed,
    Delayed,
    /// Handed to a mail server that does not tell what becomes of it (RFC 3461 section 4.2).
    Relayed,
}

/// One recipient that a notice tells of.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) address: String,
    pub(crate) parameters: String,
    /// As in `550 5.1.1 No such mailbox`.
    pub(crate) reply: String,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Notice<'n> {
    pub(crate) kind: Kind,
    /// The name of this gateway.
    pub(crate) hostname: &'n str,
    /// Who is told.
    pub(crate) reverse_path: &'n str,
    /// Those of MAIL.
    pub(crate) parameters: &'n str,
    pub(crate) received_at: Timestamp,
    pub(crate) now: Timestamp,
    /// Until when it is tried.
    pub(crate) until: Timestamp,
    pub(crate) told: &'n [Told],
    /// The message as it was to be sent.
    pub(crate) message: &'n [u8],
    /// 128 random bits in hexadecimal.
    pub(crate) unique: &'n str,
}

/// Whether the sender of a message wants to know (RFC 3461 section 4.1). Without NOTIFY, failures and delays are told.
pub(crate) fn is_wanted(kind: Kind, recipient_parameters: &str) -> bool {
    let Some(notify) = value_of(recipient_parameters, "NOTIFY") else {
        return kind != Kind::Relayed;
    };
    let word = match kind {
        Kind::Failed => "FAILURE",
        Kind::Delayed => "DELAY",
        Kind::Relayed => "SUCCESS",
    };
    notify.split(',').any(|asked| asked.eq_ignore_ascii_case(word))
}

impl Notice<'_> {
    pub(crate) fn build(&self) -> Vec<u8> {
        let header = self.original_header();
        let is_ascii =
            header.is_ascii() && self.reverse_path.is_ascii() && self.told.iter().all(|told| told.address.is_ascii());
        let (status_type, header_type, address_type) = match is_ascii {
            true => ("message/delivery-status", "text/rfc822-headers", "rfc822"),
            false => ("message/global-delivery-status", "message/global-headers", "utf-8"),
        };
        let encoding = if is_ascii { "7bit" } else { "8bit" };
        let boundary = format!("=_{}", self.unique);
        let subject = match self.kind {
            Kind::Failed => "Undelivered mail returned to sender",
            Kind::Delayed => "Delayed mail (still being retried)",
            Kind::Relayed => "Mail was passed on",
        };
        let mut text = format!(
            "From: Mail Delivery System <MAILER-DAEMON@{host}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: {date}\r\n\
             Message-ID: <{unique}@{host}>\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{words}\r\n\
             --{boundary}\r\nContent-Type: {status_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n",
            host = self.hostname,
            to = self.reverse_path,
            date = date(self.now),
            unique = self.unique,
            words = self.words(),
        );
        self.write_status(&mut text, address_type);
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "--{boundary}\r\nContent-Type: {header_type}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{header}\r\n--{boundary}--\r\n"
        );
        text.into_bytes()
    }

    fn words(&self) -> String {
        let host = self.hostname;
        let mut text = match self.kind {
            Kind::Failed => format!(
                "This is the mail system at {host}.\r\n\r\nYour message could not be delivered to the recipients below. It will not be\r\ntried again.\r\n\r\n"
            ),
            Kind::Delayed => format!(
                "This is the mail system at {host}.\r\n\r\nYour message could not be delivered yet. You need not send it again: it will be\r\ntried until {}.\r\n\r\n",
                date(self.until)
            ),
            Kind::Relayed => format!(
                "This is the mail system at {host}.\r\n\r\nYour message was passed on to a mail server that does not tell whether it arrives.\r\n\r\n"
            ),
        };
        for told in self.told {
            let _ = write!(text, "{}", folded(&format!("<{}>: {}", told.address, told.reply)));
        }
        text
    }

    fn write_status(&self, text: &mut String, address_type: &str) {
        let _ = write!(text, "Reporting-MTA: dns; {}\r\n", self.hostname);
        if let Some(envid) = value_of(self.parameters, "ENVID") {
            let _ = write!(text, "Original-Envelope-Id: {}\r\n", from_xtext(&envid));
        }
        let _ = write!(text, "Arrival-Date: {}\r\n", date(self.received_at));
        for told in self.told {
            let action = match self.kind {
                Kind::Failed => "failed",
                Kind::Delayed => "delayed",
                Kind::Relayed => "relayed",
            };
            text.push_str("\r\n");
            if let Some(original) = value_of(&told.parameters, "ORCPT")
                && let Some((kind, address)) = original.split_once(';')
            {
                let _ = write!(text, "Original-Recipient: {kind}; {}\r\n", from_xtext(address));
            }
            let _ = write!(
                text,
                "Final-Recipient: {address_type}; {}\r\nAction: {action}\r\nStatus: {}\r\n",
                told.address,
                status(self.kind, &told.reply)
            );
            let is_smtp = told.reply.as_bytes().first().is_some_and(u8::is_ascii_digit);
            if is_smtp {
                text.push_str(&folded(&format!("Diagnostic-Code: smtp; {}", ascii(&told.reply))));
            }
            let _ = write!(text, "Last-Attempt-Date: {}\r\n", date(self.now));
            if self.kind == Kind::Delayed {
                let _ = write!(text, "Will-Retry-Until: {}\r\n", date(self.until));
            }
        }
        text.push_str("\r\n");
    }

    /// The header of the message, without what an encrypted one must not tell: the subject and its like.
    fn original_header(&self) -> String {
        let end = self.message.windows(4).position(|octets| octets == b"\r\n\r\n");
        let header = &self.message[..end.map_or(self.message.len(), |end| end + 2)];
        let header = String::from_utf8_lossy(header);
        let is_encrypted = is_encrypted(&header);
        let mut kept = String::new();
        let mut keep = true;
        for line in header.split_inclusive("\r\n") {
            if !line.starts_with([' ', '\t']) {
                let name = line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
                let tells = matches!(name.as_str(), "subject" | "thread-topic" | "keywords" | "comments");
                keep = !(is_encrypted && tells) && name != "bcc";
            }
            if kept.len() + line.len() > MOST_HEADER_OCTETS {
                break;
            }
            if keep {
                kept.push_str(line);
            }
        }
        kept
    }
}

fn is_encrypted(header: &str) -> bool {
    let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ").to_ascii_lowercase();
    unfolded
        .lines()
        .filter_map(|line| line.strip_prefix("content-type:"))
        .map(str::trim_start)
        .any(|value| {
            value.starts_with("multipart/encrypted")
                || (value.starts_with("application/pkcs7-mime") || value.starts_with("application/x-pkcs7-mime"))
                    && !value.contains("signed-data")
        })
}

/// The enhanced code of the reply, or the most general one for what happened.
fn status(kind: Kind, reply: &str) -> String {
    let enhanced = reply.split(' ').find(|word| {
        let mut numbers = word.split('.');
        let is_number = |text: Option<&str>| {
            text.is_some_and(|text| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()))
        };
        is_number(numbers.next()) && is_number(numbers.next()) && is_number(numbers.next()) && numbers.next().is_none()
    });
    let class = match kind {
        Kind::Failed => '5',
        Kind::Delayed => '4',
        Kind::Relayed => '2',
    };
    match (enhanced, kind) {
        (Some(code), _) if code.starts_with(class) => code.to_owned(),
        // RFC 3463: given up because it took too long.
        (_, Kind::Failed) if reply.starts_with('4') || !reply.starts_with('5') => "5.4.7".to_owned(),
        _ => format!("{class}.0.0"),
    }
}

/// The value of one of several parameters as they stood in the command.
fn value_of(parameters: &str, keyword: &str) -> Option<String> {
    let mut words = parameters.split(' ').filter_map(Parameter::parse);
    let found = words.find(|parameter| parameter.keyword() == keyword)?;
    found.value().map(str::to_owned)
}

/// RFC 3461 section 4: `+2B` stands for a plus sign. What would break a line stays as it is written.
fn from_xtext(text: &str) -> String {
    let mut decoded = String::new();
    let mut rest = text;
    while let Some(plus) = rest.find('+') {
        decoded.push_str(&rest[..plus]);
        let code = rest
            .get(plus + 1..plus + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code.filter(|code| (33..127).contains(code)) {
            Some(code) => {
                decoded.push(char::from(code));
                rest = &rest[plus + 3..];
            }
            None => {
                decoded.push('+');
                rest = &rest[plus + 1..];
            }
        }
    }
    decoded + rest
}

fn ascii(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

/// Lines of at most 76 characters where there are blanks, continued with a blank; words never longer than a line of
/// mail may be.
fn folded(text: &str) -> String {
    let mut folded = String::new();
    let mut column = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let word: String = word.chars().take(MOST_WORD_CHARACTERS).collect();
        if column > 0 && column + 1 + word.len() > 76 {
            folded.push_str("\r\n ");
            column = 1;
        } else if column > 0 {
            folded.push(' ');
            column += 1;
        }
        column += word.len();
        folded.push_str(&word);
    }
    folded + "\r\n"
}

const MOST_HEADER_OCTETS: usize = 64 * 1024;
/// Four octets each, and still within 998.
const MOST_WORD_CHARACTERS: usize = 240;

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: &[u8] = b"Received: from x\r\n by y\r\nFrom: alice@example.com\r\nSubject: Plans\r\n for Friday\r\nContent-Type: text/plain\r\n\r\nThe secret body\r\n";

    fn notice(kind: Kind, told: &[Told], message: &[u8]) -> String {
        let built = Notice {
            kind,
            hostname: "gateway.test",
            reverse_path: "alice@example.com",
            parameters: "RET=HDRS ENVID=order+2B7",
            received_at: Timestamp::from_unix(0),
            now: Timestamp::from_unix(86_400),
            until: Timestamp::from_unix(5 * 86_400),
            told,
            message,
            unique: "00112233445566778899aabbccddeeff",
        }
        .build();
        String::from_utf8(built).unwrap()
    }

    fn told(address: &str, parameters: &str, reply: &str) -> Told {
        Told {
            address: address.to_owned(),
            parameters: parameters.to_owned(),
            reply: reply.to_owned(),
        }
    }

    #[test]
    fn a_failure_is_told_as_rfc_3464_says() {
        let text = notice(
            Kind::Failed,
            &[told(
                "bob@example.net",
                "NOTIFY=FAILURE ORCPT=rfc822;b+2Bob@example.net",
                "550 5.1.1 No such mailbox",
            )],
            MESSAGE,
        );
        for expected in [
            "To: <alice@example.com>\r\n",
            "Auto-Submitted: auto-replied\r\n",
            "multipart/report; report-type=delivery-status;",
            "Reporting-MTA: dns; gateway.test\r\nOriginal-Envelope-Id: order+7\r\nArrival-Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n\r\n",
            "Original-Recipient: rfc822; b+ob@example.net\r\nFinal-Recipient: rfc822; bob@example.net\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 No such mailbox\r\n",
            "Content-Type: text/rfc822-headers",
            "Subject: Plans\r\n for Friday\r\n",
        ] {
            assert!(text.contains(expected), "{expected:?} in\n{text}");
        }
        assert!(!text.contains("secret body"));
        let parsed = mail_parser::MessageParser::default().parse(text.as_bytes()).unwrap();
        assert_eq!(parsed.parts.len(), 4, "report, words, status, header");
    }

    #[test]
    fn an_encrypted_message_keeps_its_subject() {
        for content in [
            "multipart/encrypted; boundary=b",
            "application/pkcs7-mime;\r\n smime-type=enveloped-data",
            "application/pkcs7-mime; smime-type=authEnveloped-data",
            "application/x-pkcs7-mime",
        ] {
            let message = format!(
                "From: a@b\r\nSUBJECT: Plans\r\n for Friday\r\nComments: Friday\r\nContent-Type: {content}\r\n\r\nx"
            );
            let text = notice(Kind::Delayed, &[told("b@c", "", "451 4.2.0 Later")], message.as_bytes());
            assert!(!text.contains("Plans") && !text.contains("Friday"), "{text}");
            assert!(
                text.contains("From: a@b")
                    && text.contains("Status: 4.2.0")
                    && text.contains("Will-Retry-Until: Tue, 06 Jan")
            );
        }
    }

    #[test]
    fn nobody_is_told_what_nobody_asked_for() {
        for (parameters, failed, delayed, relayed) in [
            ("", true, true, false),
            ("NOTIFY=NEVER", false, false, false),
            ("NOTIFY=success", false, false, true),
            ("ORCPT=rfc822;a@b NOTIFY=FAILURE,DELAY", true, true, false),
            ("NOTIFY=FAILURE", true, false, false),
        ] {
            let wanted = [Kind::Failed, Kind::Delayed, Kind::Relayed].map(|kind| is_wanted(kind, parameters));
            assert_eq!(wanted, [failed, delayed, relayed], "{parameters}");
        }
    }

    #[test]
    fn foreign_text_cannot_break_the_notice() {
        let long = format!("550 {} {}", "x".repeat(5000), "word ".repeat(300));
        let text = notice(
            Kind::Failed,
            &[told("bob@example.net", "ORCPT=rfc822;+0D+0Ax", &long)],
            MESSAGE,
        );
        assert!(text.split("\r\n").all(|line| line.len() <= 998));
        assert!(text.contains("Original-Recipient: rfc822; +0D+0Ax\r\n"));
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
        let text = notice(Kind::Failed, &[told("bücher@example.net", "", "timed out")], MESSAGE);
        assert!(text.contains("message/global-delivery-status") && text.contains("utf-8; bücher@example.net"));
        assert!(text.contains("Status: 5.4.7"));
    }
}
