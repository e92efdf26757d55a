//! Keys are made, found and used, by many threads and processes, and never leave.

use std::process::Stdio;
use std::sync::Arc;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use cryptoki::session::SessionState;
use der::Encode;
use keys::adapter::Using;
use keys::pkcs11::Pkcs11KeyStore;
use keys::{KeyAlgorithm, KeyError, KeyStore, SigningKey, StoreSettings};
use openssl::x509::X509Req;

use crate::support::{PIN, again, attribute, check_signs, id, objects, public_key, shown, verifies, with_tokens};

#[test]
fn every_kind_of_key_signs_so_that_openssl_verifies_also_after_opening_again() {
    with_tokens(|tokens| {
        let store = tokens.store();
        for algorithm in KeyAlgorithm::ALL.into_iter().chain([KeyAlgorithm::Ed25519]) {
            let id = id(algorithm.as_ref());
            let made = store.generate(&id, algorithm).unwrap();
            let opened = Pkcs11KeyStore::open(&tokens.settings()).unwrap().open(&id).unwrap();
            assert_eq!(made.public_key(), opened.public_key());
            assert_eq!(opened.algorithm(), algorithm.signature_algorithm());
            // The last one is sent in parts.
            for message in [b"".as_slice(), b"message", &[0; 16 * 1024], &[0; 100_000]] {
                for key in [&made, &opened] {
                    let signature = key.sign(message).unwrap();
                    assert!(verifies(&*made, message, &signature), "{algorithm} {}", message.len());
                    assert!(!verifies(&*made, b"other", &signature), "{algorithm} {}", message.len());
                }
            }
        }
    });
}

#[test]
fn public_keys_have_the_bytes_of_the_baseline_requirements() {
    with_tokens(|tokens| {
        let store = tokens.store();
        // S/MIME BR, 7.1.3.1.1 and 7.1.3.1.2.
        let rsa = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00".as_slice();
        let p256 = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
        let p384 = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
        for (algorithm, expected, bits) in [
            (KeyAlgorithm::P256, p256.as_slice(), 256),
            (KeyAlgorithm::P384, p384, 384),
            (KeyAlgorithm::Rsa2048, rsa, 2048),
            (KeyAlgorithm::Rsa3072, rsa, 3072),
        ] {
            let key = store.generate(&id(algorithm.as_ref()), algorithm).unwrap();
            assert_eq!(key.public_key().algorithm.to_der().unwrap(), expected);
            let theirs = public_key(&*key);
            assert_eq!(key.public_key().to_der().unwrap(), theirs.public_key_to_der().unwrap());
            assert_eq!(theirs.bits(), bits);
            if let Ok(rsa) = theirs.rsa() {
                assert_eq!(rsa.e().to_dec_str().unwrap().to_string(), "65537");
            }
        }
    });
}

#[test]
fn requests_and_certificates_are_signed_through_the_same_joint_as_with_software_keys() {
    with_tokens(|tokens| {
        let store = tokens.store();
        for algorithm in [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa2048] {
            let key = store.generate(&id(algorithm.as_ref()), algorithm).unwrap();
            let request = keys::certificate_request(&*key, "alice@example.com").unwrap();
            assert!(X509Req::from_der(&request).unwrap().verify(&public_key(&*key)).unwrap());
            let parameters = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            let certificate = parameters.self_signed(&Using(&*key)).unwrap();
            let theirs = openssl::x509::X509::from_der(certificate.der()).unwrap();
            assert!(theirs.verify(&public_key(&*key)).unwrap());
        }
    });
}

#[test]
fn sixteen_threads_share_four_sessions() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let keys: Vec<Arc<dyn SigningKey>> = [KeyAlgorithm::P256, KeyAlgorithm::P384, KeyAlgorithm::Rsa2048]
            .map(|algorithm| store.generate(&id(algorithm.as_ref()), algorithm).unwrap())
            .into();
        std::thread::scope(|scope| {
            for number in 0..16_usize {
                let key = &keys[number % keys.len()];
                let store = &store;
                scope.spawn(move || {
                    for round in 0..20_usize {
                        let message = format!("message {round} of {number}");
                        let signature = key.sign(message.as_bytes()).unwrap();
                        assert!(verifies(&**key, message.as_bytes(), &signature));
                        assert_eq!(store.list().unwrap().len(), 3);
                    }
                });
            }
        });
    });
}

#[test]
fn one_session_is_enough_for_everything() {
    with_tokens(|tokens| {
        tokens.make("sealwright");
        let settings = keys::Pkcs11Settings {
            max_sessions: 1,
            ..tokens.settings()
        };
        let store = Pkcs11KeyStore::open(&settings).unwrap();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        std::thread::scope(|scope| {
            for number in 0..8_u8 {
                let (key, store) = (&key, &store);
                scope.spawn(move || {
                    check_signs(&**key);
                    let other = id(&format!("other-{number}"));
                    check_signs(&*store.generate(&other, KeyAlgorithm::P256).unwrap());
                    store.remove(&other).unwrap();
                });
            }
        });
        assert_eq!(store.list().unwrap(), [id("a")]);
    });
}

#[test]
fn a_store_that_is_dropped_leaves_no_session_behind() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        drop(store);
        // The key still needs the token.
        check_signs(&*key);
        drop(key);
        // With the last session, the user is logged out.
        let session = tokens.raw().open_ro_session(tokens.slot("sealwright")).unwrap();
        assert_eq!(
            session.get_session_info().unwrap().session_state(),
            SessionState::RoPublic
        );
    });
}

#[test]
fn keys_are_listed_in_order_and_nothing_else_is() {
    with_tokens(|tokens| {
        let store = tokens.store();
        assert!(store.list().unwrap().is_empty());
        for name in ["b", "a", "c-1"] {
            store.generate(&id(name), KeyAlgorithm::P256).unwrap();
        }
        let session = tokens.session();
        let foreign = [
            Attribute::Token(true),
            Attribute::Id(vec![1, 0xff]),
            Attribute::Label(b"d".to_vec()),
        ];
        let (_, private) = session
            .generate_key_pair(
                &Mechanism::EccKeyPairGen,
                &[&foreign[..], &[Attribute::EcParams(P256.to_vec())]].concat(),
                &foreign,
            )
            .unwrap();
        // A session object, which goes with its session.
        let passing = [Attribute::Token(false), Attribute::Id(b"e".to_vec())];
        session
            .generate_key_pair(
                &Mechanism::EccKeyPairGen,
                &[&passing[..], &[Attribute::EcParams(P256.to_vec())]].concat(),
                &passing,
            )
            .unwrap();
        assert_eq!(store.list().unwrap(), [id("a"), id("b"), id("c-1")]);
        assert!(matches!(store.open(&id("e")), Err(KeyError::NotFound { .. })));
        store.remove(&id("b")).unwrap();
        assert_eq!(store.list().unwrap(), [id("a"), id("c-1")]);
        // What is not ours was left alone.
        assert!(attribute(&session, private, AttributeType::Id).is_some());
    });
}

#[test]
fn a_removed_key_is_gone_with_its_public_half_and_signs_no_more() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        let kept = store.generate(&id("b"), KeyAlgorithm::P256).unwrap();
        store.remove(&id("a")).unwrap();
        let session = tokens.session();
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            assert!(objects(&session, class, "a").is_empty());
            assert_eq!(objects(&session, class, "b").len(), 1);
        }
        let refusal = key.sign(b"message").unwrap_err();
        assert!(matches!(refusal, KeyError::NotFound { .. }), "{refusal}");
        check_signs(&*kept);
    });
}

#[test]
fn a_key_that_was_cut_off_while_it_was_removed_can_be_removed_again() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let session = tokens.session();
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
            let half = objects(&session, class, "a").pop().unwrap();
            session.destroy_object(half).unwrap();
            // Until then, its name is not given to another key.
            let refusal = store.generate(&id("a"), KeyAlgorithm::P256).unwrap_err();
            assert!(matches!(refusal, KeyError::AlreadyExists { .. }), "{refusal}");
            store.remove(&id("a")).unwrap();
            assert!(matches!(store.remove(&id("a")), Err(KeyError::NotFound { .. })));
        }
    });
}

#[test]
fn of_many_threads_that_generate_one_id_exactly_one_wins() {
    with_tokens(|tokens| {
        // Two stores with one token, as two parts of a program might have them.
        let stores = [tokens.store(), Pkcs11KeyStore::open(&tokens.settings()).unwrap()];
        let won = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16_usize)
                .map(|number| {
                    let store = &stores[number % 2];
                    scope.spawn(move || match store.generate(&id("a"), KeyAlgorithm::P256) {
                        Ok(_) => 1,
                        Err(KeyError::AlreadyExists { .. }) => 0,
                        Err(error) => panic!("{error}"),
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(won, 1);
        check_signs(&*stores[1].open(&id("a")).unwrap());
    });
}

#[test]
fn processes_that_generate_the_same_ids_never_make_two_keys_of_one_name() {
    with_tokens(|tokens| {
        const CONTENDER: &str = "SEALWRIGHT_TEST_CONTENDER";
        const NAMES: usize = 12;
        if std::env::var_os(CONTENDER).is_some() {
            // SoftHSM writes the files of a token anew at each login, and who reads them just then finds none.
            let store = patiently(|| Pkcs11KeyStore::open(&tokens.settings()));
            for number in 0..NAMES {
                let id = id(&format!("k{number}"));
                let won = patiently(|| match store.generate(&id, KeyAlgorithm::P256) {
                    Err(KeyError::AlreadyExists { .. }) => Ok(false),
                    other => other.map(|_| true),
                });
                println!("\n{} {id}.", if won { "WON" } else { "LOST" });
            }
            return;
        }
        let store = tokens.store();
        let name = "keys_in_a_token::processes_that_generate_the_same_ids_never_make_two_keys_of_one_name";
        let contenders: Vec<_> = (0..3)
            .map(|_| {
                let mut command = again(name, &[(CONTENDER, "1")]);
                command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let outputs: Vec<_> = contenders
            .into_iter()
            .map(|contender| shown(&contender.wait_with_output().unwrap()))
            .collect();
        let session = tokens.session();
        let mut several_won = 0;
        for number in 0..NAMES {
            let name = format!("k{number}");
            let that_say = |mark: String| outputs.iter().filter(|output| output.contains(&mark)).count();
            assert_eq!(that_say(format!(" {name}.")), 3, "{outputs:?}");
            let winners = that_say(format!("WON {name}."));
            several_won += winners;
            // Whoever makes a key and loses the connection just then has not won, but may have made it.
            let made = objects(&session, ObjectClass::PRIVATE_KEY, &name).len();
            assert!(winners <= made && made <= 1, "{name}: {winners} {made} {outputs:?}");
            if winners == 1 {
                check_signs(&*store.open(&id(&name)).unwrap());
            }
        }
        assert!(several_won > 0, "{outputs:?}");
    });
}

/// Does something again as long as the token is away, up to a hundred times.
fn patiently<T>(mut action: impl FnMut() -> Result<T, KeyError>) -> T {
    for _ in 0..100 {
        match action() {
            Ok(value) => return value,
            Err(error) if error.is_temporary() || matches!(error, KeyError::TokenNotFound { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("the token does not come back");
}

#[test]
fn two_tokens_of_one_module_do_not_know_each_others_keys() {
    with_tokens(|tokens| {
        let one = tokens.store();
        one.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        tokens.make("second");
        // The module was initialized before the second token was made, and learns of it only when it is again.
        let settings = keys::Pkcs11Settings {
            token: keys::pkcs11::Token::Label("second".into()),
            ..tokens.settings()
        };
        let two = Pkcs11KeyStore::open(&settings).unwrap();
        assert!(matches!(two.open(&id("a")), Err(KeyError::NotFound { .. })));
        let other = two.generate(&id("a"), KeyAlgorithm::P384).unwrap();
        let key = one.open(&id("a")).unwrap();
        assert_ne!(key.public_key(), other.public_key());
        check_signs(&*key);
        check_signs(&*other);
    });
}

#[test]
fn a_configuration_leads_to_the_token() {
    with_tokens(|tokens| {
        tokens.make("sealwright");
        let text = format!(
            "store = 'pkcs11'\n[pkcs11]\nmodule = '{}'\ntoken = 'sealwright'\npin_file = 'pin'\n",
            tokens.module.display()
        );
        let settings: StoreSettings = toml::from_str(&text).unwrap();
        let settings = settings.relative_to(&tokens.folder);
        let key = settings
            .create()
            .unwrap()
            .generate(&id("root"), KeyAlgorithm::P384)
            .unwrap();
        let store = settings.open().unwrap();
        assert_eq!(store.open(&id("root")).unwrap().public_key(), key.public_key());
        assert_eq!(store.list().unwrap(), [id("root")]);
    });
}

#[test]
fn invariant_12_no_private_key_leaves_the_token() {
    with_tokens(|tokens| {
        let store = tokens.store();
        for (algorithm, secrets) in [
            (KeyAlgorithm::P256, &[AttributeType::Value][..]),
            (KeyAlgorithm::P384, &[AttributeType::Value]),
            (
                KeyAlgorithm::Rsa2048,
                &[
                    AttributeType::PrivateExponent,
                    AttributeType::Prime1,
                    AttributeType::Prime2,
                ],
            ),
        ] {
            let name = algorithm.as_ref();
            let key = store.generate(&id(name), algorithm).unwrap();
            let session = tokens.session();
            let private = objects(&session, ObjectClass::PRIVATE_KEY, name).pop().unwrap();
            for expected in [
                Attribute::Token(true),
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::AlwaysSensitive(true),
                Attribute::Extractable(false),
                Attribute::NeverExtractable(true),
                Attribute::Local(true),
                Attribute::Sign(true),
                Attribute::Decrypt(false),
                Attribute::Unwrap(false),
                Attribute::Derive(false),
                Attribute::Id(name.as_bytes().to_vec()),
                Attribute::Label(name.as_bytes().to_vec()),
            ] {
                let found = attribute(&session, private, expected.attribute_type());
                assert_eq!(found, Some(expected), "{name}");
            }
            // Reading is refused, and what guards it cannot be taken away.
            for secret in secrets {
                assert_eq!(attribute(&session, private, *secret), None, "{name}: {secret:?}");
            }
            for weaker in [Attribute::Sensitive(false), Attribute::Extractable(true)] {
                assert!(
                    session
                        .update_attributes(private, std::slice::from_ref(&weaker))
                        .is_err(),
                    "{weaker:?}"
                );
                assert!(session.copy_object(private, &[weaker]).is_err());
            }
            let wrapping = [
                Attribute::ValueLen(32.into()),
                Attribute::Wrap(true),
                Attribute::Token(false),
            ];
            let wrapping = session.generate_key(&Mechanism::AesKeyGen, &wrapping).unwrap();
            assert!(
                session.wrap_key(&Mechanism::AesKeyWrapPad, wrapping, private).is_err(),
                "{name}"
            );
            check_signs(&*key);
        }
    });
}

#[test]
fn invariant_12_nothing_shows_the_pin() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        let shown = format!("{store:?} {key:?} {:?}", tokens.settings());
        assert!(!shown.contains(PIN), "{shown}");
        assert!(
            shown.starts_with("Pkcs11KeyStore { token: \"the token `sealwright`\", .. }"),
            "{shown}"
        );
    });
}

/// The DER of the identifier of P-256, as PKCS #11 names the curve.
const P256: &[u8] = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
