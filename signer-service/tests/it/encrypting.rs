//! Whom mail is encrypted to, seen from both ends of the relay.

use der::EncodePem;
use signer_service::queue::RecipientState;
use smtp::Reply;
use smtp::envelope::{MailFrom, RcptTo};
use smtp::server::Settings;
use smtp::sink::Sink;
use verifier::{Encryption, Integrity};
use x509_cert::Certificate;

use crate::encryption::{Bob, examined};
use crate::support::{Authority, END, START, find, openssl_verifies};
use crate::world::{ALICE_WRITES, Mood, World, eventually, listen};

const NETWORK: &str = "networks = [\"127.0.0.0/8\"]\nmay_sign_for = [\"example.com\"]\n";

const ENCRYPTION: &str =
    "[encryption]\ntrust_files = [\"../recipients-root.pem\"]\ncertificates = \"../certificates\"\n";

async fn world(more: &str) -> World {
    let sink = Sink::new();
    let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
    World::with(sink, next_hop, &format!("{NETWORK}{ENCRYPTION}{more}")).await
}

pub(crate) async fn world_with(more: &str) -> World {
    world(more).await
}

fn put(world: &World, name: &str, certificates: &[&Certificate]) {
    let pem: String = certificates
        .iter()
        .map(|certificate| certificate.to_pem(der::pem::LineEnding::LF).unwrap())
        .collect();
    std::fs::write(world.folder.path().join("certificates").join(name), pem).unwrap();
}

/// Puts a certificate with its issuer into the folder.
fn known(world: &World, mailbox: &str, key: &str, serial: u8) -> Bob {
    let bob = Bob::called(mailbox, world.authority(), key, serial, (START, END));
    put(
        world,
        &format!("{serial}.pem"),
        &[&bob.certificate, &world.authority().issuing],
    );
    bob
}

fn secure() -> String {
    ALICE_WRITES.replace("Subject: Test", "Subject: [secure] Layoffs")
}

/// What arrived, one content for each time that it was handed over, with its recipients.
fn arrived(world: &World) -> Vec<(Vec<String>, Vec<u8>)> {
    let messages = world.sink.messages();
    messages
        .iter()
        .map(|message| {
            let recipients = message.recipients.iter().map(|to| to.address.clone()).collect();
            (recipients, message.content.clone())
        })
        .collect()
}

/// The CMS object of an encrypted message.
fn cms(message: &[u8]) -> Vec<u8> {
    let body = &message[find(message, b"\r\n\r\n").unwrap() + 4..];
    let text: Vec<u8> = body
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    data_encoding::BASE64.decode(&text).unwrap()
}

#[track_caller]
fn check(reply: &Reply, code: u16, enhanced: [u16; 3], words: &str) {
    assert_eq!((reply.code(), reply.enhanced()), (code, Some(enhanced)), "{reply}");
    assert!(reply.text().contains(words), "{reply}");
}

#[tokio::test]
async fn a_message_that_asks_for_it_is_signed_and_encrypted() {
    let world = world("").await;
    let bob = known(&world, "bob@example.net", "p256", 50);
    let reply = world.send("alice@example.com", &["bob@example.net"], &secure()).await;
    assert!(reply.is_positive(), "{reply}");
    let message = world.last();
    let text = String::from_utf8_lossy(&message);
    assert!(
        text.contains("Subject: [...]\r\n") && !text.contains("Layoffs") && !text.contains("Hello Bob"),
        "{text}"
    );
    assert!(text.contains("smime-type=enveloped-data"), "{text}");
    let verdict = examined(&message, world.authority(), &bob);
    assert_eq!(
        (verdict.encryption(), verdict.integrity()),
        (Encryption::Opened, Integrity::Intact),
        "{verdict:?}"
    );
    let inside = String::from_utf8_lossy(verdict.verified_bytes().unwrap()).into_owned();
    assert!(
        inside.contains("Subject: Layoffs\r\n") && !inside.contains("[secure]"),
        "{inside}"
    );
    assert!(!inside.contains("carol@example.net"), "Bcc is nowhere: {inside}");
}

#[tokio::test]
async fn hidden_recipients_are_named_to_nobody() {
    let world = world("").await;
    let bob = known(&world, "bob@example.net", "p256", 50);
    let carol = known(&world, "carol@example.net", "rsa2048", 51);
    let dan = known(&world, "dan@example.net", "rsa3072", 52);
    let to = ["carol@example.net", "bob@example.net", "dan@example.net"];
    assert!(world.send("alice@example.com", &to, &secure()).await.is_positive());
    let arrived = arrived(&world);
    assert_eq!(arrived.len(), 3, "each has a copy");
    for (recipients, message) in &arrived {
        let owners = [
            ("bob@example.net", &bob),
            ("carol@example.net", &carol),
            ("dan@example.net", &dan),
        ];
        assert_eq!(recipients.len(), 1);
        for (name, owner) in owners {
            let opens = owner.opens(&cms(message)).is_some();
            assert_eq!(opens, recipients[0] == name, "{name} of {recipients:?}");
        }
        for name in ["carol@", "dan@", "\r\nBcc:"] {
            let leaks = find(message, name.as_bytes()).is_some();
            // The Received field may name the only recipient of this copy.
            assert!(
                !leaks || recipients[0].starts_with(name),
                "{name} in the copy of {recipients:?}"
            );
        }
    }
}

#[tokio::test]
async fn those_whom_the_header_names_share_a_copy() {
    let world = world("").await;
    let bob = known(&world, "bob@example.net", "p256", 50);
    let erin = known(&world, "erin@example.net", "rsa2048", 53);
    let message = secure().replace(
        "To: bob@example.net",
        "To: bob@example.net\r\nCc: Erin <ERIN@Example.net>",
    );
    let to = ["bob@example.net", "erin@example.net"];
    assert!(world.send("alice@example.com", &to, &message).await.is_positive());
    let arrived = arrived(&world);
    assert_eq!(arrived.len(), 1);
    assert!(bob.opens(&cms(&arrived[0].1)).is_some() && erin.opens(&cms(&arrived[0].1)).is_some());
}

#[tokio::test]
async fn nobody_gets_what_one_cannot_be_encrypted_to() {
    let world = world("").await;
    known(&world, "bob@example.net", "p256", 50);
    let reply = world
        .send("alice@example.com", &["bob@example.net", "erin@example.net"], &secure())
        .await;
    check(
        &reply,
        554,
        [5, 7, 4],
        "erin@example.net (no certificate of theirs is known)",
    );
    assert!(!reply.text().contains("bob@"), "{reply}");
    assert_eq!(world.sink.messages().len(), 0);
}

#[tokio::test]
async fn certificates_that_do_not_count_are_not_encrypted_to() {
    let world = world("").await;
    let authority = world.authority();
    let issuing = &authority.issuing;
    let past = Bob::called("past@example.net", authority, "p256", 60, (START, START + 3600));
    put(&world, "60.pem", &[&past.certificate, issuing]);
    let future = Bob::called("future@example.net", authority, "p256", 61, (END - 3600, END));
    put(&world, "61.pem", &[&future.certificate, issuing]);
    let orphan = Bob::called("orphan@example.net", authority, "p256", 62, (START, END));
    put(&world, "62.pem", &[&orphan.certificate]);
    let ed25519 = openssl::pkey::PKey::generate_ed25519().unwrap();
    let public = der::Decode::from_der(&ed25519.public_key_to_der().unwrap()).unwrap();
    let odd = authority.certify("odd@example.net", &public, 63, (START, END));
    put(&world, "63.pem", &[&odd, issuing]);
    std::fs::write(world.folder.path().join("certificates/junk.pem"), "-----BEGIN junk").unwrap();
    for (name, words) in [
        ("past", "is valid from"),
        ("future", "is valid from"),
        ("orphan", "does not lead to a trusted root"),
        ("odd", "a key that cannot be encrypted to"),
        ("nobody", "no certificate of theirs"),
        ("PAST", "is valid from"),
    ] {
        let to = format!("{name}@example.net");
        let reply = world.send("alice@example.com", &[&to], &secure()).await;
        check(&reply, 554, [5, 7, 4], words);
    }
    assert_eq!(world.sink.messages().len(), 0);
}

#[tokio::test]
async fn the_newest_of_several_certificates_is_taken() {
    let world = world("").await;
    let old = Bob::called("bob@example.net", world.authority(), "p256", 64, (START, END));
    let new = Bob::called("bob@example.net", world.authority(), "p384", 65, (START + 3600, END));
    let later = Bob::called("bob@example.net", world.authority(), "rsa2048", 66, (END - 3600, END));
    let issuing = &world.authority().issuing;
    put(
        &world,
        "all.pem",
        &[&new.certificate, &old.certificate, &later.certificate, issuing],
    );
    assert!(
        world
            .send("alice@example.com", &["bob@example.net"], &secure())
            .await
            .is_positive()
    );
    assert!(new.opens(&cms(&world.last())).is_some());
    assert!(old.opens(&cms(&world.last())).is_none());
}

#[tokio::test]
async fn without_a_trusted_root_nobody_is_encrypted_to() {
    let sink = Sink::new();
    let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
    let lines = format!("{NETWORK}[encryption]\ncertificates = \"../certificates\"\n");
    let world = World::with(sink, next_hop, &lines).await;
    known(&world, "bob@example.net", "p256", 50);
    let reply = world.send("alice@example.com", &["bob@example.net"], &secure()).await;
    check(&reply, 554, [5, 7, 4], "encryption.trust_files");
}

#[tokio::test]
async fn if_it_is_possible_those_who_can_get_it_encrypted() {
    let world = world("[policy.system]\nencrypt = \"if-possible\"").await;
    let bob = known(&world, "bob@example.net", "p256", 50);
    let to = ["bob@example.net", "erin@example.net"];
    assert!(world.send("alice@example.com", &to, ALICE_WRITES).await.is_positive());
    let arrived = arrived(&world);
    assert_eq!(arrived.len(), 2);
    for (recipients, message) in &arrived {
        match recipients[0].as_str() {
            "bob@example.net" => assert!(bob.opens(&cms(message)).is_some()),
            _ => openssl_verifies(message, world.authority()),
        }
    }
}

#[tokio::test]
async fn policy_can_demand_encryption_and_no_wish_lifts_that() {
    let world = world("[policy.recipient.\"example.net\"]\nencrypt = \"required\"\nsign = \"yes\"").await;
    known(&world, "bob@example.net", "p256", 50);
    assert!(
        world
            .send("alice@example.com", &["bob@example.net"], ALICE_WRITES)
            .await
            .is_positive()
    );
    assert!(find(&world.last(), b"enveloped-data").is_some());
    let clear = ALICE_WRITES.replace("Subject: ", "Subject: [clear] ");
    let reply = world.send("alice@example.com", &["bob@example.net"], &clear).await;
    check(&reply, 550, [5, 7, 1], "policy.recipient");
    let reply = world
        .send("alice@example.com", &["erin@example.net"], ALICE_WRITES)
        .await;
    check(&reply, 554, [5, 7, 4], "encrypt = \"required\"");
    assert!(
        world
            .send("alice@example.com", &["erin@example.org"], ALICE_WRITES)
            .await
            .is_positive()
    );
}

#[tokio::test]
async fn the_directory_is_asked_and_remembered() {
    let world = world("").await;
    let bob = Bob::called("bob@example.net", world.authority(), "rsa2048", 70, (START, END));
    let pem = [&bob.certificate, &world.authority().issuing]
        .map(|certificate| certificate.to_pem(der::pem::LineEnding::LF).unwrap());
    world
        .ca
        .directory
        .lock()
        .unwrap()
        .insert("bob@example.net".to_owned(), pem.concat());
    assert!(
        world
            .send("alice@example.com", &["bob@example.net"], &secure())
            .await
            .is_positive()
    );
    assert!(bob.opens(&cms(&world.last())).is_some());
    world.ca.set(Mood::Unavailable);
    world.clock.advance(policies::time::Span::minutes(30));
    assert!(
        world
            .send("alice@example.com", &["bob@example.net"], &secure())
            .await
            .is_positive(),
        "what the directory has said holds while it cannot be asked"
    );
    let reply = world.send("alice@example.com", &["erin@example.net"], &secure()).await;
    assert_eq!((reply.code(), reply.enhanced()), (451, Some([4, 7, 5])), "{reply}");
    world.clock.advance(policies::time::Span::days(2));
    let reply = world.send("alice@example.com", &["bob@example.net"], &secure()).await;
    assert!(reply.is_transient(), "{reply}");
}

#[tokio::test]
async fn somebody_elses_certificate_in_the_directory_is_not_taken() {
    let world = world("").await;
    let mallory = Bob::called("mallory@example.net", world.authority(), "rsa2048", 71, (START, END));
    let pem = [&mallory.certificate, &world.authority().issuing]
        .map(|certificate| certificate.to_pem(der::pem::LineEnding::LF).unwrap());
    world
        .ca
        .directory
        .lock()
        .unwrap()
        .insert("bob@example.net".to_owned(), pem.concat());
    let reply = world.send("alice@example.com", &["bob@example.net"], &secure()).await;
    check(&reply, 554, [5, 7, 4], "for other addresses");
}

#[tokio::test]
async fn a_domain_is_encrypted_to_with_the_certificate_of_its_gateway() {
    let world = world(
        "[policy.recipient.\"example.net\"]\nencrypt = \"required\"\ndomain_certificate = \"../partner.pem\"\ncipher = \"aes-256-gcm\"\nkey_transport = \"oaep\"",
    )
    .await;
    // Of an authority that nobody here trusts: the operator has chosen it.
    let other = Authority::new();
    let partner = Bob::called(
        "domain-confidentiality-authority@example.net",
        &other,
        "rsa3072",
        72,
        (START, END),
    );
    let path = world.folder.path().join("partner.pem");
    let reply = world
        .send("alice@example.com", &["bob@example.net"], ALICE_WRITES)
        .await;
    assert!(reply.is_transient(), "the file is not there: {reply}");
    std::fs::write(&path, partner.certificate.to_pem(der::pem::LineEnding::LF).unwrap()).unwrap();
    let to = ["bob@example.net", "erin@example.net"];
    let message = ALICE_WRITES.replace("To: bob@example.net", "To: bob@example.net, erin@example.net");
    assert!(world.send("alice@example.com", &to, &message).await.is_positive());
    let last = world.last();
    assert!(find(&last, b"smime-type=authEnveloped-data").is_some());
    assert!(partner.opens(&cms(&last)).unwrap().is_authenticated);
    let expired = Bob::called("x@example.net", &other, "p256", 73, (START, START + 60));
    std::fs::write(&path, expired.certificate.to_pem(der::pem::LineEnding::LF).unwrap()).unwrap();
    let reply = world.send("alice@example.com", &to, &message).await;
    check(&reply, 554, [5, 7, 4], "is valid from");
}

#[tokio::test]
async fn the_processing_address_asks_and_authorizes_nothing() {
    let world = world("[policy]\nprocessing_addresses = [\"secure@mail.example.com\"]").await;
    let bob = known(&world, "bob@example.net", "p256", 50);
    let to = ["Secure@mail.example.com", "bob@example.net"];
    let message = ALICE_WRITES.replace("carol@example.net", "secure@mail.example.com");
    assert!(world.send("alice@example.com", &to, &message).await.is_positive());
    let arrived = arrived(&world);
    assert_eq!(arrived.len(), 1);
    assert_eq!(arrived[0].0, ["bob@example.net"]);
    assert!(bob.opens(&cms(&arrived[0].1)).is_some());
    assert!(find(&arrived[0].1, b"mail.example.com").is_none());
    let reply = world
        .send(
            "mallory@example.net",
            &to,
            &message.replace("alice@example.com", "mallory@example.net"),
        )
        .await;
    assert_eq!(reply.code(), 550, "{reply}");
    let reply = world.send("alice@example.com", &to[..1], &message).await;
    check(&reply, 554, [5, 5, 1], "no recipient but");
}

#[tokio::test]
async fn a_token_in_the_processing_address_triggers_and_is_seen_by_nobody() {
    let lines = "[[door]]\nlisten = \"127.0.0.1:0\"\nmode = \"queue\"\n[policy]\nprocessing_addresses = [\"emx-*@securemail.example.com\"]";
    let world = world(lines).await;
    let bob = known(&world, "bob@example.net", "p256", 50);
    let to = ["emx-4f2a@securemail.example.com", "bob@example.net"].map(RcptTo::new);
    for (number, door) in world.running.doors().iter().enumerate() {
        let mut connection = world.connect_to(*door).await.unwrap();
        let from = MailFrom::new("alice@example.com");
        let delivery = connection.send(&from, &to, ALICE_WRITES.as_bytes()).await.unwrap();
        assert!(delivery.outcome(0).is_positive(), "{}", delivery.outcome(0));
        eventually(async || world.sink.messages().len() == number + 1).await;
        let (recipients, message) = arrived(&world).pop().unwrap();
        assert_eq!(recipients, ["bob@example.net"]);
        let opened = bob.opens(&cms(&message)).unwrap();
        for octets in [&message, &opened.content] {
            assert!(find(octets, b"emx-").is_none());
        }
        // It authorizes nothing.
        let forged = ALICE_WRITES.replace("alice@example.com", "mallory@example.net");
        let from = MailFrom::new("mallory@example.net");
        let delivery = connection.send(&from, &to, forged.as_bytes()).await.unwrap();
        assert_eq!(delivery.outcome(1).code(), 550, "{}", delivery.outcome(1));
    }
}

#[tokio::test]
async fn without_a_pickup_centre_nothing_is_left_for_pickup() {
    let world = world("[policy.system]\nwithout_certificate = \"pickup\"").await;
    known(&world, "bob@example.net", "p256", 50);
    let to = ["bob@example.net", "erin@example.net"];
    let reply = world.send("alice@example.com", &to, &secure()).await;
    check(&reply, 554, [5, 7, 4], "erin@example.net would have to pick");
    assert_eq!(world.sink.messages().len(), 0);
}

#[tokio::test]
async fn the_sender_can_open_what_is_sent_to_those_named_and_no_hidden_copy() {
    let world = world("[policy.system]\nencrypt_to_sender = true").await;
    known(&world, "bob@example.net", "p256", 50);
    known(&world, "carol@example.net", "rsa2048", 51);
    assert!(world.alice_writes().await.is_positive(), "she gets her certificate");
    let to = ["bob@example.net", "carol@example.net"];
    assert!(world.send("alice@example.com", &to, &secure()).await.is_positive());
    let counts: Vec<(String, usize)> = arrived(&world)[1..]
        .iter()
        .map(|(recipients, message)| (recipients[0].clone(), recipient_infos(&cms(message))))
        .collect();
    assert_eq!(
        counts,
        [("bob@example.net".to_owned(), 2), ("carol@example.net".to_owned(), 1)]
    );
}

fn recipient_infos(cms: &[u8]) -> usize {
    let info: cms::content_info::ContentInfo = der::Decode::from_der(cms).unwrap();
    let data: cms::enveloped_data::EnvelopedData = info.content.decode_as().unwrap();
    data.recip_infos.0.len()
}

#[tokio::test]
async fn what_is_encrypted_already_is_passed_on() {
    let world = world("[policy.system]\nencrypt = \"required\"").await;
    let encrypted = secure().replace(
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit",
        "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64",
    );
    let reply = world.send("alice@example.com", &["erin@example.net"], &encrypted).await;
    assert!(reply.is_positive(), "{reply}");
    let managed = secure().replace("text/plain; charset=utf-8", "application/x-microsoft-rpmsg-message");
    let reply = world.send("alice@example.com", &["erin@example.net"], &managed).await;
    check(&reply, 554, [5, 7, 4], "Microsoft RMS");
}

#[tokio::test]
async fn what_the_sender_has_signed_is_encrypted_as_it_is() {
    let world = world("").await;
    let bob = known(&world, "bob@example.net", "p256", 50);
    let alice = crate::support::Alice::with(keys::testing::p256());
    let signed = String::from_utf8(alice.sign(secure().as_bytes()).unwrap()).unwrap();
    let reply = world.send("alice@example.com", &["bob@example.net"], &signed).await;
    assert!(reply.is_positive(), "{reply}");
    let opened = bob.opens(&cms(&world.last())).unwrap().content;
    assert!(
        opened.starts_with(b"Content-Type: multipart/signed;"),
        "{}",
        String::from_utf8_lossy(&opened)
    );
    let verdict = examined(&world.last(), world.authority(), &bob);
    assert_eq!(verdict.integrity(), Integrity::Intact, "{verdict:?}");
}

fn smimea(usage: u8, certificate: &Certificate) -> dns::LocalData {
    dns::LocalData::Smimea(dns::CertificateAssociation {
        usage,
        selector: 0,
        matching_type: 0,
        data: der::Encode::to_der(certificate).unwrap(),
    })
}

/// Where the records of a local part at example.net are.
fn smimea_name(local: &str) -> dns::Name {
    let hash = data_encoding::HEXLOWER.encode(&keys::DigestAlgorithm::Sha256.hash(local.as_bytes()));
    dns::Name::parse(&format!("{}._smimecert.example.net", &hash[..56])).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dnssec_proves_is_encrypted_to() {
    let local = dns::LocalAnswerer::start().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let anchor = folder.path().join("root.key");
    std::fs::write(&anchor, local.trust_anchor()).unwrap();
    let lines = format!(
        "smimea = {{ servers = [\"{}\"], trust_anchor = \"{}\" }}\n",
        local.address(),
        anchor.display()
    );
    let world = world(&lines).await;
    // Of an authority that nobody here trusts: the domain vouches for it.
    let other = Authority::new();
    let bob = Bob::called("bob@example.net", &other, "p256", 80, (START, END));
    local.zone().set(&smimea_name("bob"), vec![smimea(3, &bob.certificate)]);
    assert!(
        world
            .send("alice@example.com", &["bob@example.net"], &secure())
            .await
            .is_positive()
    );
    assert!(bob.opens(&cms(&world.last())).is_some());
    // Usage 1 needs a path as well, and its issuer is nowhere.
    let dan = Bob::called("dan@example.net", &other, "p384", 81, (START, END));
    local.zone().set(&smimea_name("dan"), vec![smimea(1, &dan.certificate)]);
    let reply = world.send("alice@example.com", &["dan@example.net"], &secure()).await;
    check(&reply, 554, [5, 7, 4], "does not lead to a trusted root");
    // Somebody else's certificate, and one that has ended.
    local.zone().set(&smimea_name("eve"), vec![smimea(3, &bob.certificate)]);
    let reply = world.send("alice@example.com", &["eve@example.net"], &secure()).await;
    check(&reply, 554, [5, 7, 4], "for other addresses");
    let past = Bob::called("past@example.net", &other, "p256", 82, (START, START + 60));
    local
        .zone()
        .set(&smimea_name("past"), vec![smimea(3, &past.certificate)]);
    let reply = world.send("alice@example.com", &["past@example.net"], &secure()).await;
    check(&reply, 554, [5, 7, 4], "is valid from");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dnssec_does_not_prove_is_not_believed() {
    let (local, forger) = (
        dns::LocalAnswerer::start().unwrap(),
        dns::LocalAnswerer::start().unwrap(),
    );
    let folder = tempfile::tempdir().unwrap();
    let anchor = folder.path().join("root.key");
    std::fs::write(&anchor, local.trust_anchor()).unwrap();
    // Answers of one who has another key than the root.
    let lines = format!(
        "smimea = {{ servers = [\"{}\"], trust_anchor = \"{}\" }}\n",
        forger.address(),
        anchor.display()
    );
    let world = world(&lines).await;
    let bob = Bob::called("bob@example.net", world.authority(), "p256", 83, (START, END));
    forger
        .zone()
        .set(&smimea_name("bob"), vec![smimea(3, &bob.certificate)]);
    let reply = world.send("alice@example.com", &["bob@example.net"], &secure()).await;
    assert!(reply.is_transient(), "{reply}");
    assert_eq!(world.sink.messages().len(), 0);
}

#[tokio::test]
async fn in_the_queue_one_without_a_certificate_harms_nobody_else() {
    let world = world("[[door]]\nlisten = \"127.0.0.1:0\"\nmode = \"queue\"\n").await;
    let bob = known(&world, "bob@example.net", "p256", 50);
    let to = ["bob@example.net", "dan@example.net", "erin@example.net"];
    let recipients: Vec<RcptTo> = to.iter().map(|address| RcptTo::new(*address)).collect();
    let door = world.running.doors()[1];
    let mut connection = world.connect_to(door).await.unwrap();
    let from = MailFrom::new("alice@example.com");
    let delivery = connection.send(&from, &recipients, secure().as_bytes()).await.unwrap();
    assert!(delivery.outcome(1).is_positive(), "{}", delivery.outcome(1));
    eventually(async || world.gateway.list_queue(None, 10).await.unwrap().is_empty()).await;
    let mut arrived = arrived(&world);
    arrived.sort();
    let [(to_alice, notice), (to_bob, message)] = <[_; 2]>::try_from(arrived).unwrap();
    assert_eq!(
        (to_alice, to_bob),
        (vec!["alice@example.com".to_owned()], vec!["bob@example.net".to_owned()])
    );
    assert_eq!(
        examined(&message, world.authority(), &bob).encryption(),
        Encryption::Opened
    );
    let notice = String::from_utf8(notice).unwrap();
    for address in ["dan@example.net", "erin@example.net"] {
        assert!(
            notice.contains(&format!(
                "Final-Recipient: rfc822; {address}\r\nAction: failed\r\nStatus: 5.7.4"
            )),
            "{notice}"
        );
    }
    assert!(
        !notice.contains("Final-Recipient: rfc822; bob@") && !notice.contains("Layoffs"),
        "{notice}"
    );
    let bounced = world
        .gateway
        .list_queue(Some(RecipientState::Bounced), 10)
        .await
        .unwrap();
    let states: Vec<&str> = bounced[0].recipients.iter().map(|one| one.state.as_str()).collect();
    assert_eq!(states, ["delivered", "bounced", "bounced"]);
    // Where nobody can have it the sender hears so at once.
    let delivery = connection
        .send(&from, &recipients[1..], secure().as_bytes())
        .await
        .unwrap();
    check(delivery.outcome(0), 554, [5, 7, 4], "dan@example.net");
    assert_eq!(world.sink.messages().len(), 2);
}
