//! The challenge mail, and replies that are forged, late, repeated, quoted or wrapped.

use openssl::pkey::PKey;
use policies::time::Span;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::acme::dkim::{ReplyFields, Verifier};

#[track_caller]
fn not_taken(answer: &Answer, part: &str) {
    match answer {
        Answer::NotTaken(reason) => assert!(reason.contains(part), "{reason:?} lacks {part:?}"),
        other => panic!("{other:?} where {part:?} was expected"),
    }
}

async fn is_pending(client: &Client<'_>, placed: &Placed) -> bool {
    client.get(&placed.url).await.json()["status"] == "pending"
}

#[tokio::test]
async fn the_challenge_mail_is_what_the_standard_asks_for() {
    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    assert!(site.world.outbox.newest_to(ADA).is_none());
    let challenge = client.challenge(&placed).await;
    assert_eq!(challenge["type"], "email-reply-00");
    assert_eq!(challenge["status"], "pending");
    let token_part2 = challenge["token"].as_str().unwrap();
    assert_eq!(
        data_encoding::BASE64URL_NOPAD
            .decode(token_part2.as_bytes())
            .unwrap()
            .len(),
        24
    );
    let mail = site.challenge_mail(ADA);
    let text = String::from_utf8(mail.bytes.clone()).unwrap();
    let header = text.split_once("\r\n\r\n").unwrap().0;
    let has = |line: &str| assert!(header.split("\r\n").any(|found| found == line), "{line}\n{header}");
    has("Auto-Submitted: auto-generated; type=acme");
    has(&format!("From: {}", challenge["from"].as_str().unwrap()));
    has("To: ada@example.com");
    has("Date: Sun, 21 Jun 2026 00:00:00 +0000");
    let token_part1 = mail.subject.strip_prefix("ACME: ").unwrap();
    assert_eq!(
        data_encoding::BASE64URL_NOPAD
            .decode(token_part1.as_bytes())
            .unwrap()
            .len(),
        24
    );
    assert!(!text.contains(token_part2));
    assert!(text.lines().all(|line| line.len() <= 78), "{text}");

    // Another implementation than the one that signed it finds the signature good.
    let acme = site.world.app.acme().unwrap();
    site.mail
        .publish(&acme.signer.record_name(), &acme.signer.record().unwrap());
    let verifier = Verifier::new(Arc::clone(&site.mail.dns) as _, ReplyFields::All).unwrap();
    let now = site.world.app.now();
    verifier
        .verify(&mail.bytes, "ca.example.net", &["From"], now)
        .await
        .unwrap();
    let mut changed = mail.bytes.clone();
    let at = text.find("Subject: ACME: ").unwrap() + 16;
    changed[at] ^= 1;
    assert!(
        verifier
            .verify(&changed, "ca.example.net", &["From"], now)
            .await
            .is_err()
    );

    // Asking again sends nothing again.
    client.challenge(&placed).await;
    client.post(challenge["url"].as_str().unwrap(), "{}").await.ok();
    assert_eq!(site.world.outbox.mails().len(), 1);
}

#[tokio::test]
async fn a_good_reply_is_taken_once_and_makes_evidence() {
    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    let challenge = client.challenge(&placed).await;
    let url = challenge["url"].as_str().unwrap();
    let waiting = client.post(url, "{}").await.ok();
    assert_eq!(waiting.json()["status"], "processing");
    assert!(!waiting.header("retry-after").is_empty());
    let message = client.reply(ADA, &challenge).signed(&site);
    assert!(matches!(site.deliver(&message).await, Answer::Accepted));
    not_taken(&site.deliver(&message).await, "over");
    assert_eq!(client.get(url).await.json()["status"], "valid");
    let order = client.get(&placed.url).await.json();
    assert_eq!(order["status"], "ready");
    // What was proved for this order is no proof for the account.
    let standing = site
        .world
        .app
        .db
        .read({
            let account = client.owner.account.clone().unwrap();
            move |conn| crate::store::evidence::of_account(conn, &account)
        })
        .await
        .unwrap();
    assert!(standing.is_empty());
    crate::audit::verify(&site.world.app).await.unwrap();
}

#[tokio::test]
async fn encoded_wrapped_and_alternative_replies_are_taken() {
    let site = site!();
    let client = site.client("Ada").await;
    for form in 0..4 {
        let placed = client.order(ADA).await;
        let challenge = client.challenge(&placed).await;
        let letter = client.reply(ADA, &challenge);
        let body = letter.body.clone();
        let letter = match form {
            0 => {
                let digest = body.lines().nth(1).unwrap().to_owned();
                let wrapped = format!("{}\r\n{}=", &digest[..30], &digest[30..]);
                letter.saying(&format!("Hello\r\n\r\n{}\r\n> quoted text\r\n", body.replace(&digest, &wrapped)))
            }
            1 => letter
                .with("Content-Transfer-Encoding", "base64")
                .saying(&format!("{}\r\n", data_encoding::BASE64.encode(body.as_bytes()))),
            2 => letter
                .with("Content-Transfer-Encoding", "quoted-printable")
                .saying(&body.replace("RESPONSE", "RESPON=\r\nSE")),
            _ => letter
                .with("Content-Type", "multipart/alternative; boundary=\"x\"")
                .saying(&format!(
                    "--x\r\nContent-Type: text/plain\r\n\r\n{body}\r\n--x\r\nContent-Type: text/html\r\n\r\n<p>x\r\n--x--\r\n"
                )),
        };
        let answer = site.deliver(&letter.signed(&site)).await;
        assert!(matches!(answer, Answer::Accepted), "{form}: {answer:?}");
    }
}

#[tokio::test]
async fn forged_replies_change_nothing() {
    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    let challenge = client.challenge(&placed).await;
    let letter = client.reply(ADA, &challenge);
    // From somebody else, who may sign for the own domain.
    site.mail.publish(
        "mail._domainkey.example.org",
        &site.mail.signer("example.org").record().unwrap(),
    );
    let eve = letter.clone().with("From", "eve@example.org");
    not_taken(
        &site.deliver(&eve.signed_by(&site, "example.org")).await,
        "mailbox that is to be certified",
    );
    let neighbour = letter.clone().with("From", "bob@example.com");
    not_taken(
        &site.deliver(&neighbour.signed(&site)).await,
        "mailbox that is to be certified",
    );
    let two = letter.clone().with("From", "ada@example.com, eve@example.org");
    not_taken(&site.deliver(&two.signed(&site)).await, "several");
    // Signed by another domain, by none, or by a key that is not in the DNS.
    not_taken(
        &site.deliver(&letter.signed_by(&site, "example.org")).await,
        "there is none",
    );
    let signed = String::from_utf8(letter.signed(&site)).unwrap();
    let unsigned = &signed[signed.find("From: ").unwrap()..];
    not_taken(&site.deliver(unsigned.as_bytes()).await, "there is none");
    let other_selector = signed.replace("s=mail;", "s=other;");
    not_taken(&site.deliver(other_selector.as_bytes()).await, "exactly one key");
    // A field or the body changed on the way, or a part of the body not covered.
    let moved = signed.replacen("Ada Lovelace", "Ada L", 1);
    not_taken(&site.deliver(moved.as_bytes()).await, "does not fit");
    let longer = format!("{signed}more\r\n");
    not_taken(&site.deliver(longer.as_bytes()).await, "does not fit");
    let partly = signed.replacen("c=relaxed", "l=10; c=relaxed", 1);
    not_taken(&site.deliver(partly.as_bytes()).await, "there is none");
    let uncovered = signed.replacen(":\r\n  Sender", "", 1);
    not_taken(&site.deliver(uncovered.as_bytes()).await, "not covered");
    let sha1 = signed.replacen("rsa-sha256", "rsa-sha1", 1);
    not_taken(&site.deliver(sha1.as_bytes()).await, "SHA-1");
    // To another address, or with another token.
    let elsewhere = letter.clone().with("To", "acme@ca.example.net");
    not_taken(&site.deliver(&elsewhere.signed(&site)).await, "no such challenge");
    let token = "A".repeat(32);
    let other_token = letter.clone().with("Subject", &format!("Re: ACME: {token}"));
    not_taken(
        &site.deliver(&other_token.signed(&site)).await,
        "not the one of this challenge",
    );
    // Through a mailing list, or as HTML alone.
    let list = letter.clone().with("List-Id", "<staff.example.com>");
    not_taken(&site.deliver(&list.signed(&site)).await, "mailing list");
    let html = letter.clone().with("Content-Type", "text/html");
    not_taken(&site.deliver(&html.signed(&site)).await, "text/html");
    let quoted: String = letter.body.lines().map(|line| format!("> {line}\r\n")).collect();
    not_taken(
        &site.deliver(&letter.clone().saying(&quoted).signed(&site)).await,
        "exactly one block",
    );
    assert!(is_pending(&client, &placed).await);
    assert!(matches!(site.deliver(&letter.signed(&site)).await, Answer::Accepted));
}

#[tokio::test]
async fn keys_in_the_dns_that_do_not_count_are_refused() {
    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    let challenge = client.challenge(&placed).await;
    let signed = client.reply(ADA, &challenge).signed(&site);
    let name = "mail._domainkey.example.com";
    let good = site.mail.dns.0.lock().unwrap().remove(name).unwrap();
    let set = |records: &[&str]| {
        let records = records.iter().map(|record| record.as_bytes().to_vec()).collect();
        site.mail.dns.0.lock().unwrap().insert(name.to_owned(), records);
    };
    not_taken(&site.deliver(&signed).await, "exactly one key");
    set(&["v=DKIM1; k=rsa; p="]);
    not_taken(&site.deliver(&signed).await, "revoked");
    set(&["v=spf1 -all"]);
    not_taken(&site.deliver(&signed).await, "cannot be read");
    let good = String::from_utf8(good[0].clone()).unwrap();
    set(&[&good, &good]);
    not_taken(&site.deliver(&signed).await, "exactly one key");
    let small = PKey::from_rsa(openssl::rsa::Rsa::generate(768).unwrap()).unwrap();
    let small = data_encoding::BASE64.encode(&small.public_key_to_der().unwrap());
    set(&[&format!("v=DKIM1; p={small}")]);
    not_taken(&site.deliver(&signed).await, "");
    let later = signed.clone();
    let broken = String::from_utf8(later).unwrap().replace("s=mail;", "s=broken;");
    assert!(matches!(site.deliver(broken.as_bytes()).await, Answer::TryLater(_)));
    set(&[&good]);
    assert!(matches!(site.deliver(&signed).await, Answer::Accepted));
}

#[tokio::test]
async fn fields_that_a_message_lacks_need_not_be_signed_where_the_operator_says_so() {
    let signed_as_large_providers_do = |letter: &Letter, site: &Site| {
        let signed = String::from_utf8(letter.signed(site)).unwrap();
        (signed.clone(), signed.replacen(":\r\n  Sender", "", 1))
    };
    for (more, expected) in [("", "not covered"), ("reply_fields = \"present\"", "does not fit")] {
        let site = site!(more);
        let client = site.client("Ada").await;
        let placed = client.order(ADA).await;
        let challenge = client.challenge(&placed).await;
        let letter = client.reply(ADA, &challenge);
        let (good, fewer) = signed_as_large_providers_do(&letter, &site);
        // The field list is itself signed, so this one is looked at, and found not to fit.
        not_taken(&site.deliver(fewer.as_bytes()).await, expected);
        assert!(matches!(site.deliver(good.as_bytes()).await, Answer::Accepted));
    }
}

#[tokio::test]
async fn late_replies_and_late_finalizations_are_refused() {
    let site = site!();
    let client = site.client("Ada").await;
    let (late, in_time) = (client.order(ADA).await, client.order(ADA).await);
    let challenge = client.challenge(&late).await;
    let letter = client.reply(ADA, &challenge);
    client.prove(ADA, &in_time).await;
    site.world.clock.advance(Span::hours(24));
    not_taken(&site.deliver(&letter.signed(&site)).await, "24 hours");
    let order = client.get(&late.url).await.json();
    assert_eq!(order["status"], "invalid");
    client
        .finalize(&in_time, &request_for(ADA))
        .await
        .problem(403, "orderNotReady");
    assert!(site.world.certificates().await.is_empty());
}

#[tokio::test]
async fn an_authentic_reply_with_a_wrong_digest_ends_the_challenge() {
    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    let challenge = client.challenge(&placed).await;
    let letter = client.reply(ADA, &challenge);
    let right = letter.body.lines().nth(1).unwrap().to_owned();
    let wrong = challenge::digest(b"x", "y", "z");
    let letter_with_wrong = letter.clone().saying(&letter.body.replace(&right, &wrong));
    assert!(matches!(
        site.deliver(&letter_with_wrong.signed(&site)).await,
        Answer::Wrong
    ));
    not_taken(&site.deliver(&letter.signed(&site)).await, "over");
    let order = client.get(&placed.url).await.json();
    assert_eq!(order["status"], "invalid");
    assert_eq!(order["error"]["type"], "urn:ietf:params:acme:error:incorrectResponse");
    assert_eq!(order["error"]["section"], "3.2.2.4");
}

#[tokio::test]
async fn after_a_change_of_key_the_reply_is_made_with_the_new_one() {
    let site = site!();
    let mut client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    let challenge = client.challenge(&placed).await;
    let url = site.url("key-change");
    let new = Key::es256();
    let payload = json!({"account": client.kid, "oldKey": client.key.public()}).to_string();
    client
        .post(&url, &new.sign_with_key(&url, None, &payload).to_string())
        .await
        .ok();
    client.key = new;
    let message = client.reply(ADA, &challenge).signed(&site);
    assert!(matches!(site.deliver(&message).await, Answer::Accepted));
}

#[tokio::test]
async fn nobody_is_flooded_with_challenge_mails() {
    let site = site!();
    let (ada, eve) = (site.client("Ada").await, site.client("Eve").await);
    for client in [&ada, &eve] {
        for _ in 0..5 {
            let placed = client.order(ADA).await;
            client.challenge(&placed).await;
        }
    }
    let placed = eve.order(ADA).await;
    let refused = eve.get(&placed.authorization).await;
    refused.problem(429, "rateLimited");
    assert_eq!(refused.header("retry-after"), (24 * 3600).to_string());
    site.world.clock.advance(Span::hours(23));
    let wait: i64 = eve
        .get(&placed.authorization)
        .await
        .header("retry-after")
        .parse()
        .unwrap();
    assert_eq!(wait, 3600);
    assert_eq!(site.world.outbox.mails().len(), 10);
}

/// A signed reply with changed octets is never taken: every octet that matters is signed or compared.
#[tokio::test]
async fn changed_octets_of_a_signed_reply_are_never_taken() {
    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    let challenge = client.challenge(&placed).await;
    let good = client.reply(ADA, &challenge).signed(&site);
    let mut rng = ChaCha20Rng::from_seed([42; 32]);
    let begin = String::from_utf8(good.clone()).unwrap().find("From: ").unwrap();
    for _ in 0..400 {
        let mut changed = good.clone();
        let at = begin + usize::try_from(rng.next_u32()).unwrap() % (good.len() - begin);
        changed[at] ^= 1 << (rng.next_u32() % 7);
        // The canonical form ignores the case of field names, and blanks; what it says is the same then.
        let canonical = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes)
                .to_ascii_lowercase()
                .replace([' ', '\t'], "")
        };
        if canonical(&changed) == canonical(&good) {
            continue;
        }
        let answer = site.deliver(&changed).await;
        assert!(matches!(answer, Answer::NotTaken(_)), "octet {at}: {answer:?}");
    }
    assert!(matches!(site.deliver(&good).await, Answer::Accepted));
}
