//! The built-in set of mails: one of every kind that a signing gateway has to get right.

use std::fmt::Write as _;

use data_encoding::BASE64;
use policies::time::Timestamp;

/// A mail to submit: what kind it is, for the reader of the report, and its bytes in CRLF form.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    /// A short name of the kind, for the table and the file name, such as `8-bit UTF-8`.
    pub(crate) kind: String,
    /// The message as an ordinary mail client would submit it, From field included.
    pub(crate) bytes: Vec<u8>,
}

/// Who writes a mail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Author<'a> {
    /// The display name before the address.
    pub(crate) name: &'a str,
    /// The address.
    pub(crate) address: &'a str,
}

/// The eight kinds of the built-in set, written by `author` to `recipient` at `now`.
pub(crate) fn built_in(author: Author<'_>, recipient: &str, now: Timestamp) -> Vec<Mail> {
    let date = mail_parser::DateTime::from_timestamp(now.unix()).to_rfc822();
    [
        ("plain ASCII", plain_ascii(author, recipient)),
        ("8-bit UTF-8", eight_bit(author, recipient)),
        ("HTML with inline image", html_with_image(author, recipient)),
        ("1 MB attachment", large_attachment(author, recipient)),
        ("long lines", long_lines(author, recipient)),
        ("non-ASCII subject and name", encoded_headers(author, recipient)),
        ("nested message", nested_message(author, recipient)),
        ("calendar invitation", calendar(author, recipient)),
    ]
    .into_iter()
    .map(|(kind, text)| Mail {
        kind: kind.to_owned(),
        bytes: crlf(format!("Date: {date}\n{text}").as_bytes()),
    })
    .collect()
}

/// `mail` with its one From field replaced by `author`; with none or several it is returned as it is, and the gateway
/// will say what is wrong with it.
pub(crate) fn written_by(mail: &[u8], author: Author<'_>) -> Vec<u8> {
    let mail = crlf(mail);
    let header_end = mail
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .map_or(mail.len(), |at| at + 2);
    let fields = split_fields(&mail[..header_end]);
    let is_from = |field: &[u8]| field.len() > 5 && field[..5].eq_ignore_ascii_case(b"From:");
    if fields.iter().filter(|field| is_from(field)).count() != 1 {
        return mail;
    }
    let mut written = Vec::with_capacity(mail.len() + 64);
    for field in fields {
        if is_from(field) {
            written.extend_from_slice(format!("From: {} <{}>\r\n", author.name, author.address).as_bytes());
        } else {
            written.extend_from_slice(field);
        }
    }
    written.extend_from_slice(&mail[header_end..]);
    written
}

/// Header fields with their folded lines and line ends.
fn split_fields(header: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    let mut start = 0;
    for (at, window) in header.windows(3).enumerate() {
        if &window[..2] == b"\r\n" && !matches!(window[2], b' ' | b'\t') {
            fields.push(&header[start..at + 2]);
            start = at + 2;
        }
    }
    if start < header.len() {
        fields.push(&header[start..]);
    }
    fields
}

/// Any mixture of line ends as CRLF: what a client does before it submits a file.
fn crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32);
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                bytes.next_if_eq(&b'\n');
                out.extend_from_slice(b"\r\n");
            }
            b'\n' => out.extend_from_slice(b"\r\n"),
            other => out.push(other),
        }
    }
    out
}

fn header(author: Author<'_>, recipient: &str, subject: &str, kind: &str) -> String {
    let Author { name, address } = author;
    let domain = address.rsplit('@').next().unwrap_or(address);
    let user = address.split('@').next().unwrap_or(address);
    format!(
        "From: {name} <{address}>\nTo: {recipient}\nSubject: {subject}\n\
         Message-ID: <{kind}.{user}@{domain}>\nMIME-Version: 1.0\n"
    )
}

fn plain_ascii(author: Author<'_>, recipient: &str) -> String {
    header(author, recipient, "Your monthly statement", "plain")
        + "Content-Type: text/plain; charset=us-ascii\n\nDear customer,\n\nyour statement is ready.\n\
           .This line begins with a dot.\nFrom here on nothing special.\n\n-- \nSent without any decoration\n"
}

fn eight_bit(author: Author<'_>, recipient: &str) -> String {
    header(author, recipient, "Terms in three languages", "eight-bit")
        + "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\
           Grüße aus Köln, hälsningar från Malmö, 宜しくお願いします。\nThis line ends in blanks   \nPrice: 12 €\n"
}

fn html_with_image(author: Author<'_>, recipient: &str) -> String {
    header(author, recipient, "Autumn newsletter", "html")
        + "Content-Type: multipart/related; type=\"multipart/alternative\"; boundary=\"outer=_1\"\n\n\
           This preamble is for nobody.\n\
           --outer=_1\nContent-Type: multipart/alternative; boundary=inner\n\n\
           --inner\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n\
           The picture shows one blue dot – nothing more.\n\
           --inner\nContent-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n\
           <p style=3D\"color:#024\">The picture shows <img src=3D\"cid:dot@example\" alt=3D\"a blue dot\">=\n nothing more.</p>\n\
           --inner--\n\
           --outer=_1\nContent-Type: image/png; name=dot.png\nContent-ID: <dot@example>\n\
           Content-Disposition: inline; filename=dot.png\nContent-Transfer-Encoding: base64\n\n\
           iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPj/HwADBwIAMCbH\nYQAAAABJRU5ErkJggg==\n\
           --outer=_1--\nThis epilogue is for nobody either.\n"
}

fn large_attachment(author: Author<'_>, recipient: &str) -> String {
    let mut mail = header(author, recipient, "Annual report", "attachment")
        + "Content-Type: multipart/mixed; boundary=\"=-report\"\n\n\
           --=-report\nContent-Type: text/plain\n\nThe report is attached.\n\
           --=-report\nContent-Type: application/octet-stream; name=report.bin\n\
           Content-Disposition: attachment; filename=report.bin\nContent-Transfer-Encoding: base64\n\n";
    // 1 MB of a counting pattern, 57 bytes (76 characters of base64) a line.
    let content: Vec<u8> = (0u32..262_144)
        .flat_map(|word| word.wrapping_mul(2_654_435_761).to_be_bytes())
        .collect();
    for line in content.chunks(57) {
        mail.push_str(&BASE64.encode(line));
        mail.push('\n');
    }
    mail + "--=-report--\n"
}

fn long_lines(author: Author<'_>, recipient: &str) -> String {
    let mut mail = header(author, recipient, "Export in one line", "long-lines")
        + "Content-Type: text/plain; charset=us-ascii\n\n";
    for number in 0..400 {
        // Writing to a String cannot fail.
        let _ = write!(mail, "field{number}=value{number};");
    }
    mail + "\nEnd of the export.\n"
}

fn encoded_headers(author: Author<'_>, recipient: &str) -> String {
    let author = Author {
        name: "=?utf-8?q?J=C3=B6rg_=C3=84rger?=",
        ..author
    };
    header(
        author,
        recipient,
        "=?utf-8?b?w4RuZGVydW5nIElocmVyIEtvbnRvbnVtbWVyIGVyZm9yZGVybGljaA==?=\n =?utf-8?q?_=E2=80=93_bitte_lesen?=",
        "encoded",
    ) + "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n\
         Bitte pr=FCfen Sie die =C4nderung.\n"
}

fn nested_message(author: Author<'_>, recipient: &str) -> String {
    header(author, recipient, "Fwd: a complaint", "nested")
        + "Content-Type: multipart/mixed; boundary=fwd\n\n\
           --fwd\nContent-Type: text/plain; charset=us-ascii\n\nSee below.\n\
           --fwd\nContent-Type: message/rfc822\nContent-Disposition: inline\nContent-Transfer-Encoding: 8bit\n\n\
           From: Someone Else <someone@example.net>\nTo: complaints@example.net\nSubject: Complaint\n\
           Date: Fri, 20 Nov 2026 08:30:00 +0100\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\
           Content-Transfer-Encoding: 8bit\n\nDas gefällt mir überhaupt nicht.\n\
           --fwd--\n"
}

fn calendar(author: Author<'_>, recipient: &str) -> String {
    let address = author.address;
    header(author, recipient, "Invitation: quarterly review", "calendar")
        + &format!(
            "Content-Type: multipart/alternative; boundary=cal\n\n\
             --cal\nContent-Type: text/plain; charset=utf-8\n\nQuarterly review, 1 December, 09:00.\n\
             --cal\nContent-Type: text/calendar; charset=utf-8; method=REQUEST\nContent-Transfer-Encoding: 8bit\n\n\
             BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Example//Review//EN\nMETHOD:REQUEST\nBEGIN:VEVENT\n\
             UID:review-2026-4@example\nDTSTAMP:20261121T100000Z\nDTSTART:20261201T090000Z\nDTEND:20261201T100000Z\n\
             SUMMARY:Quarterly review – room Åland\nORGANIZER:mailto:{address}\nATTENDEE;RSVP=TRUE:mailto:{recipient}\n\
             END:VEVENT\nEND:VCALENDAR\n\
             --cal--\n"
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAROL: Author<'static> = Author {
        name: "Carol",
        address: "carol@example.com",
    };

    #[test]
    fn every_kind_has_crlf_lines_only_and_one_from() {
        let mails = built_in(CAROL, "reader@example.net", Timestamp::from_unix(1_795_305_600));
        assert_eq!(mails.len(), 8);
        for mail in mails {
            let text = String::from_utf8(mail.bytes).expect("the built-in mails are UTF-8");
            assert_eq!(
                text.matches('\n').count(),
                text.matches("\r\n").count(),
                "{}",
                mail.kind
            );
            let header = text.split("\r\n\r\n").next().unwrap_or_default();
            assert_eq!(
                header.lines().filter(|line| line.starts_with("From:")).count(),
                1,
                "{}",
                mail.kind
            );
        }
    }

    #[test]
    fn the_attachment_is_a_megabyte_that_decodes() {
        let mails = built_in(CAROL, "reader@example.net", Timestamp::from_unix(1_795_305_600));
        let mail = mails
            .iter()
            .find(|mail| mail.kind == "1 MB attachment")
            .expect("it is in the set");
        let parsed = mail_parser::MessageParser::default()
            .parse(&mail.bytes)
            .expect("it is a mail");
        let attachment = parsed.attachment(0).expect("it has an attachment");
        assert_eq!(attachment.contents().len(), 1_048_576);
        assert_eq!(&attachment.contents()[..8], &[0, 0, 0, 0, 0x9e, 0x37, 0x79, 0xb1]);
    }

    #[test]
    fn a_file_gets_the_sender_that_submits_it() {
        let mail = written_by(
            b"Subject: x\nfrom: a@b.example,\n c@d.example\nTo: e\n\nFrom: body\n",
            CAROL,
        );
        assert_eq!(
            String::from_utf8_lossy(&mail),
            "Subject: x\r\nFrom: Carol <carol@example.com>\r\nTo: e\r\n\r\nFrom: body\r\n"
        );
    }

    #[test]
    fn a_file_without_or_with_two_from_fields_is_left_for_the_gateway_to_refuse() {
        for mail in [
            "Subject: x\r\n\r\nbody\r\n",
            "From: a@b.example\r\nFrom: c@d.example\r\n\r\nbody\r\n",
        ] {
            assert_eq!(written_by(mail.as_bytes(), CAROL), mail.as_bytes());
        }
    }
}
