//! The field Received: what every door writes on top of a message, and how circles are found by it.

use std::net::IpAddr;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use policies::time::Timestamp;
use sha2::Sha256;
use smtp::Reply;
use smtp::server::Peer;
use verifier::header::HeaderBlock;

use crate::engine::refusal_reply;
use crate::gateway::Gateway;
use crate::mime::signed::Smtputf8;
use crate::treatment::Refusal;

/// From where and how a message came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trace<'t> {
    pub(crate) peer: Option<&'t Peer>,
    pub(crate) address: IpAddr,
    pub(crate) smtputf8: Smtputf8,
}

impl Trace<'_> {
    /// RFC 5321 section 4.4, folded with a single space.
    pub(crate) fn received(&self, gateway: &Gateway, recipients: &[String]) -> String {
        let address = match self.address.to_canonical() {
            IpAddr::V4(address) => format!("[{address}]"),
            IpAddr::V6(address) => format!("[IPv6:{address}]"),
        };
        let (helo, protocol) = self.peer.map_or(("unknown", "SMTP"), |peer| {
            (peer.helo.as_str(), peer.protocol(self.smtputf8 == Smtputf8::Requested))
        });
        let mut random = [0; 4];
        gateway.with_rng(|rng| rng.fill_bytes(&mut random));
        // With several recipients the field would tell each of the others, hidden ones too.
        let only = match recipients {
            [only] if only.is_ascii() => format!("\r\n for <{only}>"),
            _ => String::new(),
        };
        format!(
            "Received: from {helo} ({address})\r\n by {} ({SOFTWARE})\r\n with {protocol} id {}{only};\r\n {}\r\n",
            gateway.config.hostname,
            token(&gateway.trace_key, random),
            date(gateway.clock.now())
        )
    }
}

/// RFC 5321 section 6.3: a message that has come by too often goes in circles.
///
/// Own fields are known by the name of this gateway and, when it has got another name or another node has written
/// them, by the token in their id.
pub(crate) fn check_loop(gateway: &Gateway, message: &[u8]) -> Result<(), Reply> {
    let (header, _) = HeaderBlock::parse(message).map_err(|problem| refusal_reply(&Refusal::Header(problem)))?;
    let mark = format!("by {} ({SOFTWARE})", gateway.config.hostname).to_ascii_lowercase();
    let (mut hops, mut own) = (0, 0);
    for field in header.named("Received") {
        hops += 1;
        let value = String::from_utf8_lossy(&field.unfolded()).to_ascii_lowercase();
        own += usize::from(value.contains(&mark) || has_token(&gateway.trace_key, &value));
    }
    if hops >= MOST_HOPS || own >= MOST_OWN_HOPS {
        return Err(Reply::new(
            554,
            Some([5, 4, 6]),
            format!("The message has passed {hops} mail servers, {own} times this one: it goes in circles"),
        ));
    }
    Ok(())
}

/// Four random octets and four octets of their HMAC: enough to tell own fields from others, where a forger gains
/// nothing but a refusal.
fn token(key: &[u8], random: [u8; 4]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(&random);
    let code = mac.finalize().into_bytes();
    format!("{}{}", HEXLOWER.encode(&random), HEXLOWER.encode(&code[..4]))
}

fn has_token(key: &[u8], received: &str) -> bool {
    let words = received.split([' ', ';', '\t']).filter(|word| word.len() == 16);
    words.into_iter().any(|word| {
        let random = HEXLOWER.decode(word.as_bytes()).ok();
        let random = random.and_then(|octets| octets.first_chunk::<4>().copied());
        random.is_some_and(|random| token(key, random) == word)
    })
}

/// RFC 5322 section 3.3, in UTC.
pub(crate) fn date(at: Timestamp) -> String {
    let days = at.unix().div_euclid(86_400);
    // 1970-01-01 was a Thursday.
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(days.rem_euclid(7)).unwrap_or(0)];
    // RFC 3339 in UTC: 2026-11-22T10:00:00Z.
    let text = at.to_string();
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = text[5..7]
        .parse::<usize>()
        .ok()
        .and_then(|month| months.get(month.wrapping_sub(1)))
        .copied()
        .unwrap_or("Jan");
    format!(
        "{weekday}, {} {month} {} {} +0000",
        &text[8..10],
        &text[..4],
        &text[11..19]
    )
}

pub(crate) const SOFTWARE: &str = "Sealwright";

/// Postfix has the same limit (hopcount_limit).
pub(crate) const MOST_HOPS: usize = 50;

/// Once on the way out, once more where a provider hands mail back; a third time is a circle.
const MOST_OWN_HOPS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_rfc_5322() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 +0000"),
            (1_795_341_600, "Sun, 22 Nov 2026 10:00:00 +0000"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 +0000"),
        ] {
            assert_eq!(date(Timestamp::from_unix(seconds)), expected);
        }
    }

    #[test]
    fn own_tokens_are_known_and_imitations_are_not() {
        let own = token(b"key", [1, 2, 3, 4]);
        let field = |id: &str| format!("from x by elsewhere.test with esmtp id {id}; fri, 02 jan 2026 00:00:00 +0000");
        assert!(has_token(b"key", &field(&own)));
        assert!(!has_token(b"other", &field(&own)));
        for id in ["0102030400000000", "", "0102", "zzzzzzzzzzzzzzzz"] {
            assert!(!has_token(b"key", &field(id)), "{id}");
        }
    }
}
