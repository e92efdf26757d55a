//! Replies to a challenge: what is taken, and above all what is not.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::*;

const DIGEST: &str = "LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0";
const TOKEN: &str = "LgYemJLy3F1LDkiJrdIGbEzyFJyOyf6vBdyZ1TG3";

/// A reply as mail programs write it; each line of `fields` replaces or adds a header field.
fn mail(fields: &[&str], body: &str) -> Vec<u8> {
    let mut header: Vec<String> = [
        "From: Alexey Example <alexey@example.com>",
        "To: acme+tag@ca.example",
        "Subject: Re: ACME: LgYemJLy3F1LDkiJrdIGbEzyFJyOyf6vBdyZ1TG3",
        "Date: Sat, 20 Jun 2026 12:00:00 +0000",
        "Message-ID: <1@example.com>",
        "In-Reply-To: <2@ca.example>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
    ]
    .map(str::to_owned)
    .to_vec();
    for field in fields {
        let name = field.split(':').next().unwrap();
        header.retain(|line| !line.starts_with(&format!("{name}:")));
        if !field.ends_with(':') {
            header.push((*field).to_owned());
        }
    }
    format!("{}\r\n\r\n{}", header.join("\r\n"), body.replace('\n', "\r\n")).into_bytes()
}

fn response() -> String {
    format!("-----BEGIN ACME RESPONSE-----\n{DIGEST}\n-----END ACME RESPONSE-----\n")
}

fn accepted(fields: &[&str], body: &str) {
    let reply = Reply::parse(&mail(fields, body)).unwrap_or_else(|error| panic!("{error}: {fields:?} {body}"));
    assert_eq!((&*reply.token_part1, &*reply.digest), (TOKEN, DIGEST));
    assert_eq!(reply.from.to_string(), "alexey@example.com");
}

fn refused(fields: &[&str], body: &str, expected: &str) {
    let error = Reply::parse(&mail(fields, body)).unwrap_err().to_string();
    assert!(error.contains(expected), "{error:?} lacks {expected:?}");
}

#[test]
fn replies_as_mail_programs_write_them_are_read() {
    accepted(&[], &response());
    // RFC 8823 section 3.2 shows the digest wrapped and padded.
    let wrapped = format!(
        "-----BEGIN ACME RESPONSE-----\n{}\n{}=\n-----END ACME RESPONSE-----",
        &DIGEST[..20],
        &DIGEST[20..]
    );
    accepted(&[], &wrapped);
    accepted(&[], &format!("Hello,\n\n{}\nRegards\n> quoted\n> text\n", response()));
    accepted(&["Content-Type:"], &response());
    accepted(
        &["Subject: ACME: LgYemJLy3F1LDkiJrdIGbEzyFJyOyf6vBdyZ1TG3"],
        &response(),
    );
    accepted(
        &["Subject: SV: ACME:\r\n LgYemJLy3F1LDkiJrdIGb\r\n EzyFJyOyf6vBdyZ1TG3"],
        &response(),
    );
    let encoded = data_encoding::BASE64.encode(format!("Re: ACME: {TOKEN}").as_bytes());
    accepted(&[&format!("Subject: =?UTF-8?B?{encoded}?=")], &response());
    accepted(
        &["Subject: =?us-ascii*en?Q?Re=3A_ACME:_LgYemJLy3F1LDkiJrdIGb?= =?utf-8?q?EzyFJyOyf6vBdyZ1TG3?="],
        &response(),
    );
}

#[test]
fn the_text_may_be_encoded_or_one_of_several_alternatives() {
    let base64 = data_encoding::BASE64.encode(response().replace('\n', "\r\n").as_bytes());
    let lines: Vec<&str> = base64
        .as_bytes()
        .chunks(60)
        .map(|line| str::from_utf8(line).unwrap())
        .collect();
    accepted(&["Content-Transfer-Encoding: base64"], &lines.join("\n"));
    let quoted = response().replace("BEGIN", "=42EGIN").replace("LoqX", "Loq=\nX");
    accepted(&["Content-Transfer-Encoding: Quoted-Printable"], &quoted);
    let alternative = format!(
        "preamble\n--b 1\nContent-Type: text/html\n\n<p>{}</p>\n--b 1\nContent-Type: text/plain\n\n{}\n--b 1--\nepilogue",
        response(),
        response()
    );
    accepted(
        &["Content-Type: multipart/alternative; charset=x; boundary=\"b 1\""],
        &alternative,
    );
}

#[test]
fn other_bodies_are_refused() {
    refused(&["Content-Type: text/html"], &response(), "text/html");
    refused(
        &["Content-Type: multipart/mixed; boundary=b"],
        &response(),
        "multipart/mixed",
    );
    refused(
        &["Content-Type: multipart/alternative"],
        &response(),
        "multipart/alternative",
    );
    let html_only = "--b\nContent-Type: text/html\n\nx\n--b--\n";
    refused(
        &["Content-Type: multipart/alternative; boundary=b"],
        html_only,
        "0 text/plain",
    );
    let twice = format!("--b\n\n{0}\n--b\n\n{0}\n--b--\n", response());
    refused(
        &["Content-Type: multipart/alternative; boundary=b"],
        &twice,
        "2 text/plain",
    );
    let open = format!("--b\n\n{}\n", response());
    refused(
        &["Content-Type: multipart/alternative; boundary=b"],
        &open,
        "not closed",
    );
    let longer = format!("--b\n\n{}\n--bc\n--b--\n", response());
    refused(
        &["Content-Type: multipart/alternative; boundary=b"],
        &longer,
        "begins like",
    );
    let nested = format!(
        "--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\n{}\n--c--\n--b--\n",
        response()
    );
    refused(
        &["Content-Type: multipart/alternative; boundary=b"],
        &nested,
        "0 text/plain",
    );
    refused(
        &["Content-Type: multipart/alternative; boundary=b; boundary=c"],
        &open,
        "cannot be read",
    );
    refused(&["Content-Transfer-Encoding: x-uuencode"], &response(), "not known");
    refused(&["Content-Transfer-Encoding: base64"], &response(), "not base64");
    refused(
        &["Content-Transfer-Encoding: quoted-printable"],
        "=4",
        "quoted-printable",
    );
}

#[test]
fn quoted_repeated_and_broken_blocks_are_refused() {
    let quoted: String = response().lines().map(|line| format!("> {line}\n")).collect();
    refused(&[], &quoted, "exactly one block");
    refused(&[], &format!(" {}", response()), "exactly one block");
    refused(&[], &format!("{}{}", response(), response()), "exactly one block");
    refused(&[], "", "exactly one block");
    refused(&[], &response().replace("END", "FIN"), "base64url");
    refused(&[], &response().replace(DIGEST, ""), "SHA-256");
    refused(&[], &response().replace(DIGEST, &DIGEST[1..]), "SHA-256");
    refused(&[], &response().replace(DIGEST, &format!("{DIGEST}AA")), "SHA-256");
    refused(&[], &response().replace(DIGEST, &DIGEST.replace('L', "+")), "base64url");
    refused(&[], &response().replace(DIGEST, &"A".repeat(100)), "base64url");
    refused(&[], &response().replace(DIGEST, &format!("{DIGEST}==")), "SHA-256");
}

#[test]
fn line_ends_other_than_crlf_are_refused() {
    let good = mail(&[], &response());
    let text = String::from_utf8(good).unwrap();
    for (from, to) in [
        ("\r\n-----END", "\n-----END"),
        ("\r\n-----END", "\r-----END"),
        ("-----BEGIN", "\0-----BEGIN"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_eq!(Reply::parse(changed.as_bytes()), Err(NotAReply::LineEnd));
    }
}

#[test]
fn headers_that_could_be_read_in_two_ways_are_refused() {
    refused(&["From:"], &response(), "no From field");
    refused(&["From: a@example.com, b@example.com"], &response(), "several");
    refused(
        &["From: alexey@example.com\r\nFrom: eve@example.net"],
        &response(),
        "2 From fields",
    );
    refused(&["Subject:"], &response(), "exactly one Subject");
    refused(&["Subject: ACME: x\r\nSubject: y"], &response(), "exactly one Subject");
    refused(&["To:"], &response(), "exactly one To");
    refused(
        &["Content-Type: text/plain\r\nContent-Type: text/html"],
        &response(),
        "exactly one Content-Type",
    );
    refused(
        &["In-Reply-To: <a@b>\r\nIn-Reply-To: <c@d>"],
        &response(),
        "exactly one In-Reply-To",
    );
    for list in ["List-Id: <l.example>", "list-unsubscribe: <mailto:a@b>"] {
        refused(&[list], &response(), "mailing list");
    }
    refused(&["Subject: Re: hello"], &response(), "no token");
    refused(&["Subject: Re: ACME: ."], &response(), "no token");
    refused(&["Subject: Re: ACME: short"], &response(), "no token");
    refused(&[&format!("Subject: Re: ACME: {TOKEN}=")], &response(), "no token");
    refused(
        &[&format!("Subject: =?iso-8859-1?Q?ACME:_{TOKEN}?=")],
        &response(),
        "charset",
    );
    refused(&["Broken line"], &response(), "neither a field");
}

/// A changed bit makes it no reply, or one that says the same or something else, but never a panic.
#[test]
fn changed_bits_never_panic_and_never_say_another_digest_for_the_same_text() {
    let mut rng = ChaCha20Rng::from_seed([23; 32]);
    let base64 = data_encoding::BASE64.encode(response().replace('\n', "\r\n").as_bytes());
    let alternative = format!("--b\nContent-Transfer-Encoding: base64\n\n{base64}\n--b--\n");
    let mails = [
        mail(&[], &response()),
        mail(&["Content-Type: multipart/alternative; boundary=\"b\""], &alternative),
        mail(
            &["Subject: =?utf-8?Q?ACME:_LgYemJLy3F1LDkiJrdIGbEzyFJyOyf6vBdyZ1TG3?="],
            &response(),
        ),
    ];
    let mut refusals = 0_u32;
    for round in 0..6000_usize {
        let mut bytes = mails[round % mails.len()].clone();
        for _ in 0..=(rng.next_u32() % 4) {
            let at = usize::try_from(rng.next_u32()).unwrap() % bytes.len();
            match rng.next_u32() % 3 {
                0 => bytes[at] ^= 1 << (rng.next_u32() % 8),
                1 => bytes.truncate(at.max(1)),
                _ => bytes.insert(at, b"\r\n=?-: >\0\xff"[usize::try_from(rng.next_u32()).unwrap() % 10]),
            }
        }
        match Reply::parse(&bytes) {
            Ok(reply) => assert_eq!(reply.digest.len(), 43),
            Err(_) => refusals += 1,
        }
    }
    assert!(refusals > 1000, "{refusals}");
}
