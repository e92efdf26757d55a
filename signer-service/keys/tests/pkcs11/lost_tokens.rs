//! The session, the login or the whole token goes away while keys are open, and comes back.

use std::fs;

use cryptoki::context::{CInitializeArgs, CInitializeFlags};
use cryptoki::object::ObjectClass;
use cryptoki::types::AuthPin;
use keys::pkcs11::Pkcs11KeyStore;
use keys::{KeyAlgorithm, KeyError, KeyStore};

use crate::support::{PIN, Tokens, check_signs, check_temporary, id, objects, with_tokens};

/// What ends every session of the process, as when a device was restarted.
fn end_all_sessions(tokens: &Tokens) {
    let module = tokens.raw();
    module.clone().finalize().unwrap();
    module
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .unwrap();
}

#[test]
fn lost_sessions_are_replaced_unnoticed() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        let rsa = store.generate(&id("rsa"), KeyAlgorithm::Rsa2048).unwrap();
        for _ in 0..3 {
            end_all_sessions(tokens);
            check_signs(&*key);
            check_signs(&*rsa);
            end_all_sessions(tokens);
            assert_eq!(store.list().unwrap(), [id("a"), id("rsa")]);
            end_all_sessions(tokens);
            store.generate(&id("b"), KeyAlgorithm::P256).unwrap();
            end_all_sessions(tokens);
            store.remove(&id("b")).unwrap();
        }
    });
}

#[test]
fn a_module_that_is_down_is_brought_up_again() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        tokens.raw().finalize().unwrap();
        check_signs(&*key);
    });
}

#[test]
fn a_user_who_was_logged_out_is_logged_in_again() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P384).unwrap();
        // One login holds for all sessions of a process, and so does this.
        tokens.session().logout().unwrap();
        check_signs(&*key);
        tokens.session().logout().unwrap();
        check_signs(&*store.open(&id("a")).unwrap());
    });
}

#[test]
fn sixteen_threads_survive_the_loss_of_their_sessions() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        for _ in 0..10 {
            // All sessions are lost at once, and every thread notices by itself.
            tokens.raw().finalize().unwrap();
            std::thread::scope(|scope| {
                for _ in 0..16 {
                    scope.spawn(|| {
                        for _ in 0..3 {
                            check_signs(&*key);
                        }
                    });
                }
            });
        }
    });
}

#[test]
fn a_token_that_is_taken_away_is_a_temporary_error_until_it_is_back() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        let rsa = store.generate(&id("rsa"), KeyAlgorithm::Rsa2048).unwrap();
        for _ in 0..2 {
            tokens.take_away();
            for _ in 0..3 {
                check_temporary(key.sign(b"message"));
                check_temporary(rsa.sign(b"message"));
                check_temporary(store.open(&id("a")));
                check_temporary(store.list());
                check_temporary(store.generate(&id("b"), KeyAlgorithm::P256));
                check_temporary(store.remove(&id("a")));
            }
            tokens.put_back();
            check_signs(&*key);
            check_signs(&*rsa);
            assert_eq!(store.list().unwrap(), [id("a"), id("rsa")]);
        }
    });
}

#[test]
fn a_token_in_a_slot_comes_back_too() {
    with_tokens(|tokens| {
        drop(tokens.store());
        let settings = keys::Pkcs11Settings {
            token: keys::pkcs11::Token::Slot(tokens.slot("sealwright").id()),
            ..tokens.settings()
        };
        let store = Pkcs11KeyStore::open(&settings).unwrap();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        tokens.take_away();
        assert!(key.sign(b"message").unwrap_err().is_temporary());
        tokens.put_back();
        check_signs(&*key);
    });
}

#[test]
fn sixteen_threads_get_temporary_errors_and_then_signatures() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        tokens.take_away();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| check_temporary(key.sign(b"message")));
            }
        });
        tokens.put_back();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| check_signs(&*key));
            }
        });
    });
}

#[test]
fn a_token_that_was_made_anew_no_longer_has_the_key() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        fs::remove_dir_all(tokens.folder.join("tokens")).unwrap();
        fs::create_dir(tokens.folder.join("tokens")).unwrap();
        check_temporary(key.sign(b"message"));
        tokens.make("sealwright");
        let refusal = key.sign(b"message").unwrap_err();
        assert!(matches!(refusal, KeyError::NotFound { .. }), "{refusal}");
        let expected = "there is no key `a` in the token `sealwright`; check the id, or restore the key from a backup";
        assert_eq!(refusal.to_string(), expected);

        // Another key of that name would sign what the certificate of the first one does not fit.
        let other = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        let refusal = key.sign(b"message").unwrap_err();
        assert!(matches!(refusal, KeyError::KeyReplaced { .. }), "{refusal}");
        check_signs(&*other);
    });
}

#[test]
fn a_key_that_is_replaced_while_it_is_open_does_not_sign() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        store.remove(&id("a")).unwrap();
        store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        let refusal = key.sign(b"message").unwrap_err();
        assert!(matches!(refusal, KeyError::KeyReplaced { .. }), "{refusal}");
        assert!(!refusal.is_temporary());
    });
}

/// Tokens count wrong PINs and lock themselves. SoftHSM does not, so the test makes the refused PIN right afterwards: if
/// it were sent again, it would be accepted.
#[test]
fn a_pin_that_was_refused_is_not_sent_again() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        let change = |old: &str, new: &str| {
            // In a process that the store does not share its login with.
            let session = tokens.session();
            session.set_pin(&AuthPin::from(old), &AuthPin::from(new)).unwrap();
            session.logout().unwrap();
        };
        change(PIN, "changed");
        let refused = || {
            let refusal = key.sign(b"message").unwrap_err();
            assert!(matches!(refusal, KeyError::PinRefused { .. }), "{refusal}");
            assert!(!refusal.is_temporary());
        };
        refused();
        let session = tokens.raw().open_rw_session(tokens.slot("sealwright")).unwrap();
        session
            .login(cryptoki::session::UserType::User, Some(&AuthPin::from("changed")))
            .unwrap();
        session.set_pin(&AuthPin::from("changed"), &AuthPin::from(PIN)).unwrap();
        session.logout().unwrap();
        for _ in 0..3 {
            refused();
            assert!(matches!(store.list(), Err(KeyError::PinRefused { .. })));
        }
        // Only a file with another one is believed, even when the PIN was right.
        session
            .login(cryptoki::session::UserType::User, Some(&AuthPin::from(PIN)))
            .unwrap();
        session.set_pin(&AuthPin::from(PIN), &AuthPin::from("newest")).unwrap();
        session.logout().unwrap();
        drop(session);
        refused();
        tokens.write_pin("newest\n", 0o600);
        check_signs(&*key);
    });
}

#[test]
fn a_pin_file_that_went_missing_or_was_opened_to_others_is_noticed_when_it_is_needed() {
    with_tokens(|tokens| {
        let store = tokens.store();
        let key = store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        fs::remove_file(tokens.pin_file()).unwrap();
        // Not needed while the login lasts.
        check_signs(&*key);
        end_all_sessions(tokens);
        assert!(matches!(key.sign(b"message"), Err(KeyError::FileMissing { .. })));
        tokens.write_pin(PIN, 0o644);
        assert!(matches!(key.sign(b"message"), Err(KeyError::OpenToOthers { .. })));
        tokens.write_pin(PIN, 0o600);
        check_signs(&*key);
    });
}

#[test]
fn generating_while_the_token_is_away_leaves_nothing_half_made() {
    with_tokens(|tokens| {
        let store = tokens.store();
        tokens.take_away();
        check_temporary(store.generate(&id("a"), KeyAlgorithm::P256));
        tokens.put_back();
        store.generate(&id("a"), KeyAlgorithm::P256).unwrap();
        let session = tokens.session();
        for class in [ObjectClass::PRIVATE_KEY, ObjectClass::PUBLIC_KEY] {
            assert_eq!(objects(&session, class, "a").len(), 1);
        }
    });
}
