//! Signatures inside encryption, encryption inside signatures, and several signers side by side.

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::stack::Stack;
use openssl::symm::Cipher;
use openssl::x509::X509;
use policies::tier::Tier;
use verifier::{Decryption, Encryption, HeaderProtection, Integrity, Material, Outside, Status, Verdict, Verification};

use crate::support::*;

/// Somebody whom messages are encrypted for.
struct Recipient {
    key: PKey<Private>,
    certificate: X509,
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Recipient").finish_non_exhaustive()
    }
}

impl Recipient {
    fn new() -> Self {
        Self::numbered(Scenario::new().leaf.serial)
    }

    /// With a serial number of its own: CMS names its recipients by issuer and serial number.
    fn numbered(serial: u8) -> Self {
        let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
        let mut scenario = Scenario::new();
        scenario.leaf.serial = serial;
        scenario.leaf.public_key = Some(key.public_key_to_der().unwrap());
        scenario.leaf.with(KEY_USAGE, true, KEY_ENCIPHERMENT.to_vec());
        let certificate = X509::from_der(&scenario.chain().0).unwrap();
        Self { key, certificate }
    }

    fn encrypt(&self, entity: &[u8], cipher: Cipher) -> Vec<u8> {
        let mut certificates = Stack::new().unwrap();
        certificates.push(self.certificate.clone()).unwrap();
        CmsContentInfo::encrypt(&certificates, entity, cipher, CMSOptions::BINARY)
            .unwrap()
            .to_der()
            .unwrap()
    }
}

impl Decryption for Recipient {
    fn decrypt(&self, cms: &[u8]) -> Option<Vec<u8>> {
        CmsContentInfo::from_der(cms)
            .ok()?
            .decrypt(&self.key, &self.certificate)
            .ok()
    }
}

/// An entity of type application/pkcs7-mime.
fn enveloped(cms: &[u8]) -> String {
    format!(
        "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        base64(cms)
    )
}

/// The MIME entity of a scenario's message: from the MIME fields on.
fn entity(scenario: &Scenario) -> Vec<u8> {
    let message = scenario.message();
    let start = message
        .windows(12)
        .position(|window| window == b"MIME-Version")
        .unwrap();
    message[start..].to_vec()
}

fn message(scenario: &Scenario, entity: &str) -> Vec<u8> {
    format!("{}{}MIME-Version: 1.0\r\n{entity}", scenario.from, scenario.fields).into_bytes()
}

fn verdict(scenario: &Scenario, message: &[u8], recipient: Option<&Recipient>) -> Verdict {
    let trust = scenario.trust();
    let material = Material {
        crls: scenario.crls.clone(),
        ..Material::default()
    };
    let verdict = alike(&trust, |trust| {
        let mut verification = Verification::new(trust, scenario.at)
            .material(&material)
            .policy(&scenario.policy);
        if let Some(recipient) = recipient {
            verification = verification.decryption(recipient);
        }
        verification.verify(message)
    });
    observed::observe(message, &trust, [&[], &material.crls, &[]], scenario.at, &verdict);
    verdict
}

#[test]
fn a_signature_inside_encryption_counts_once_it_is_opened() {
    let recipient = Recipient::new();
    let scenario = Scenario::new();
    for (cipher, authenticated) in [(Cipher::aes_256_cbc(), false), (Cipher::aes_256_gcm(), true)] {
        let message = message(&scenario, &enveloped(&recipient.encrypt(&entity(&scenario), cipher)));
        let closed = verdict(&scenario, &message, None);
        assert_eq!(
            (closed.status(), closed.encryption()),
            (Status::NotSigned, Encryption::Closed)
        );
        assert_eq!(codes(&closed), ["encrypted"]);
        let opened = verdict(&scenario, &message, Some(&recipient));
        assert_eq!(opened.status(), Status::Tier, "{:#?}", opened.findings());
        assert_eq!(opened.encryption(), Encryption::Opened);
        assert_eq!(opened.verified_bytes(), Some(scenario.entity.as_slice()));
        assert_eq!(
            codes(&opened).contains(&"encryption-unauthenticated"),
            !authenticated,
            "{:#?}",
            opened.findings()
        );
        // For somebody else.
        let other = verdict(&scenario, &message, Some(&Recipient::numbered(77)));
        assert_eq!(
            (other.status(), other.encryption()),
            (Status::NotSigned, Encryption::Closed)
        );
    }
}

/// Encryption never raises a tier: what is inside must be signed, and by the sender.
#[test]
fn encryption_alone_says_nothing_about_the_sender() {
    let recipient = Recipient::new();
    let scenario = Scenario::new();
    let check = |inside: &[u8], status: Status, code: &str| {
        let message = message(&scenario, &enveloped(&recipient.encrypt(inside, Cipher::aes_256_gcm())));
        let verdict = verdict(&scenario, &message, Some(&recipient));
        assert_eq!((verdict.status(), verdict.tier()), (status, None), "{code}");
        assert_eq!(codes(&verdict).first(), Some(&code), "{:#?}", verdict.findings());
    };
    check(
        b"Content-Type: text/plain\r\n\r\nHi\r\n",
        Status::NotSigned,
        "no-signature",
    );
    let mixed = [
        b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n".as_slice(),
        &entity(&scenario),
        b"\r\n--m\r\n\r\nfooter\r\n--m--\r\n",
    ];
    check(&mixed.concat(), Status::NotSigned, "signed-part-not-root");
    check(b"no header\r\n\r\n", Status::Broken, "header-malformed");
    let mut changed = entity(&scenario);
    let place = changed.windows(5).position(|window| window == b"Alice").unwrap();
    changed[place] = b'E';
    check(&changed, Status::Broken, "message-digest-mismatch");
    let mut other = Scenario::new();
    other.leaf.addresses(&["eve@example.com"]);
    other.issuing.clone_from(&scenario.issuing);
    let message = message(
        &other,
        &enveloped(&recipient.encrypt(&entity(&other), Cipher::aes_256_gcm())),
    );
    let verdict = verdict(&other, &message, Some(&recipient));
    assert_eq!(
        codes(&verdict).first(),
        Some(&"address-mismatch"),
        "{:#?}",
        verdict.findings()
    );
}

#[test]
fn triple_wrapped_messages_are_examined_to_the_inside() {
    let recipient = Recipient::new();
    let inner = Scenario::new();
    // The same three certificates sign both layers.
    let wrapped_in = |inner: &Scenario| {
        let encrypted = enveloped(&recipient.encrypt(&entity(inner), Cipher::aes_256_gcm()));
        let mut outer = Scenario::new();
        outer.entity = encrypted.into_bytes();
        outer
    };
    let outer = wrapped_in(&inner);
    let trust = outer.trust().add(&inner.chain().2, outer.vouches).unwrap();
    let examined = |outer: &Scenario| {
        Verification::new(&trust, outer.at)
            .decryption(&recipient)
            .verify(&outer.message())
    };
    let verdict = examined(&outer);
    assert_eq!(verdict.status(), Status::Tier, "{:#?}", verdict.findings());
    assert_eq!(verdict.verified_bytes(), Some(outer.entity.as_slice()));
    let inside = verdict.inner().expect("the inner layer was examined");
    assert_eq!(
        (inside.status(), inside.encryption()),
        (Status::Tier, Encryption::Opened)
    );
    assert_eq!(inside.verified_bytes(), Some(inner.entity.as_slice()));
    assert!(codes(&verdict).contains(&"nested-security"));
    assert!(!codes(&verdict).contains(&"inner-signature"));
    // Closed: the outer signature stands, and says nothing about the inside.
    let closed = outer.verdict();
    assert_eq!(closed.status(), Status::Tier);
    assert_eq!(closed.inner().map(Verdict::encryption), Some(Encryption::Closed));
    // An inner signature that is broken, or by somebody else, is visible and costs the outer one nothing.
    let mut broken = Scenario::new();
    broken.edit_message = Some(Box::new(|m| *m = m.replace("Hello", "Hallo")));
    let outer = wrapped_in(&broken);
    let verdict = Verification::new(&outer.trust(), outer.at)
        .decryption(&recipient)
        .verify(&outer.message());
    assert_eq!(verdict.status(), Status::Tier, "{:#?}", verdict.findings());
    assert_eq!(verdict.inner().map(Verdict::integrity), Some(Integrity::Broken));
    assert!(codes(&verdict).contains(&"inner-signature"));
}

/// A From inside that is not the one outside costs everything, however deep it stands.
#[test]
fn another_sender_deep_inside_costs_the_tier() {
    let mut inner = Scenario::new();
    inner.entity = b"Content-Type: text/plain; hp=\"clear\"\r\nFrom: eve@example.com\r\n\r\nHi\r\n".to_vec();
    let mut outer = Scenario::new();
    outer.entity = entity(&inner);
    outer.entity.drain(..b"MIME-Version: 1.0\r\n".len());
    let trimmed = outer.entity.strip_suffix(b"\r\n").unwrap().to_vec();
    outer.entity = trimmed;
    // The outer boundary must differ from the inner one.
    outer.entity = String::from_utf8(outer.entity)
        .unwrap()
        .replace("=_b", "=_in")
        .into_bytes();
    let verdict = outer.verdict();
    assert_eq!(verdict.status(), Status::NotVerified, "{:#?}", verdict.findings());
    assert_eq!(codes(&verdict).first(), Some(&"protected-from-differs"));
}

#[test]
fn layers_are_limited() {
    let recipient = Recipient::new();
    let scenario = Scenario::new();
    let mut inside = entity(&scenario);
    for _ in 0..6 {
        inside = enveloped(&recipient.encrypt(&inside, Cipher::aes_256_cbc())).into_bytes();
    }
    let message = message(&scenario, str::from_utf8(&inside).unwrap());
    let verdict = verdict(&scenario, &message, Some(&recipient));
    assert_eq!(
        codes(&verdict).first(),
        Some(&"too-many-layers"),
        "{:#?}",
        verdict.findings()
    );
    assert_eq!(verdict.tier(), None);
}

/// What a key holder hands back is bounded like a message.
#[test]
fn decrypted_content_is_limited_in_size() {
    #[derive(Debug)]
    struct Bomb;
    impl Decryption for Bomb {
        fn decrypt(&self, _: &[u8]) -> Option<Vec<u8>> {
            Some(vec![b'x'; 100_001])
        }
    }
    let mut scenario = Scenario::new();
    scenario.policy.maximum_message_size = 100_000;
    let message = message(
        &scenario,
        &enveloped(&sequence(&[&oid("1.2.840.113549.1.7.3"), &tlv(0xa0, &[])])),
    );
    let trust = scenario.trust();
    let verdict = Verification::new(&trust, scenario.at)
        .policy(&scenario.policy)
        .decryption(&Bomb)
        .verify(&message);
    assert_eq!(codes(&verdict), ["message-too-large"]);
}

#[test]
fn hidden_headers_are_shown_from_inside() {
    let recipient = Recipient::new();
    let mut scenario = Scenario::new();
    scenario.fields = "To: bob@example.net\r\nSubject: [...]\r\nDate: Sat, 21 Nov 2026 23:00:00 +0000\r\n".to_owned();
    scenario.entity = b"From: Alice <alice@example.org>\r\nTo: bob@example.net\r\nSubject: The offer\r\n\
        Date: Sat, 21 Nov 2026 23:00:00 +0000\r\nHP-Outer: From: Alice <alice@example.org>\r\n\
        HP-Outer: To: bob@example.net\r\nHP-Outer: Subject: [...]\r\n\
        HP-Outer: Date: Sat, 21 Nov 2026 23:00:00 +0000\r\nContent-Type: text/plain; hp=\"cipher\"\r\n\r\nHi\r\n"
        .to_vec();
    let message = |scenario: &Scenario| {
        message(
            scenario,
            &enveloped(&recipient.encrypt(&entity(scenario), Cipher::aes_256_gcm())),
        )
    };
    let verdict = verdict(&scenario, &message(&scenario), Some(&recipient));
    assert_eq!(verdict.status(), Status::Tier, "{:#?}", verdict.findings());
    assert_eq!(verdict.header_protection(), HeaderProtection::Cipher);
    let subject = verdict
        .protected_headers()
        .iter()
        .find(|field| field.name == "Subject")
        .unwrap();
    assert_eq!(
        (subject.value.as_str(), subject.outside),
        ("The offer", Outside::Hidden)
    );
    let warned = [
        "protected-field-differs",
        "header-protection-unclear",
        "headers-not-covered",
    ];
    assert!(
        !codes(&verdict).iter().any(|code| warned.contains(code)),
        "{:#?}",
        verdict.findings()
    );
    // Somebody changed what the sender wrote outside.
    let changed = String::from_utf8(message(&scenario))
        .unwrap()
        .replace("[...]", "Invoice");
    let verdict = self::verdict(&scenario, changed.as_bytes(), Some(&recipient));
    assert!(
        codes(&verdict).contains(&"protected-field-differs"),
        "{:#?}",
        verdict.findings()
    );
    // Not encrypted at all, although it says so.
    let plain = scenario.verdict();
    assert!(
        codes(&plain).contains(&"header-protection-unclear"),
        "{:#?}",
        plain.findings()
    );
}

/// Two certificates of one authority for the same address, each with a signature of its own.
fn two_signers(edit_second: impl Fn(&mut Scenario)) -> Verdict {
    let mut second = Scenario::new();
    second.leaf.serial = 4;
    second.leaf.key = keys::testing::rsa2048();
    edit_second(&mut second);
    let (leaf, ..) = second.chain();
    let mut both = Scenario::new();
    both.cms.more_signers = vec![second.signer_info(&leaf)];
    both.cms.edit_certificates = Some(Box::new(move |certificates| certificates.push(leaf.clone())));
    both.verdict()
}

#[test]
fn several_signers_count_if_all_of_them_are_the_sender() {
    let verdict = two_signers(|_| {});
    assert_eq!(
        (verdict.status(), verdict.tier()),
        (Status::Tier, Some(Tier::V1)),
        "{:#?}",
        verdict.findings()
    );
}

#[test]
fn one_bad_signer_among_several_spoils_all() {
    type Case = (&'static str, fn(&mut Scenario));
    let cases: [Case; 6] = [
        ("another address", |s| {
            s.leaf.addresses(&["eve@example.com"]);
        }),
        ("another tier", |s| {
            s.leaf.policies(&[V2_STRICT]).subject = name(&[(SURNAME, "Doe")]);
        }),
        ("expired", |s| {
            s.leaf.not_before = "240101000000Z";
            s.leaf.not_after = "261121235959Z";
        }),
        ("another authority", |s| s.leaf_issuer = Some(keys::testing::p256())),
        ("other content", |s| s.entity.push(b'x')),
        ("no key usage for signatures", |s| {
            s.leaf.with(KEY_USAGE, true, KEY_ENCIPHERMENT.to_vec());
        }),
    ];
    for (what, edit) in cases {
        let verdict = two_signers(edit);
        assert_eq!(verdict.tier(), None, "{what}");
        assert_eq!(
            verdict.status(),
            Status::NotVerified,
            "{what}: {:#?}",
            verdict.findings()
        );
        assert_eq!(
            codes(&verdict).first(),
            Some(&"several-signers"),
            "{what}: {:#?}",
            verdict.findings()
        );
    }
}
