//! The exchange of RFC 7677 section 3, and everything that is not quite it.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

const CLIENT_NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const SERVER_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CLIENT_FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const CLIENT_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                            p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SERVER_FINAL: &str = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";

fn password(text: &str) -> Password {
    Password::prepare(text).expect("a password")
}

/// Those of the example. They are derived once, since that is slow without optimisation.
fn credentials() -> ScramCredentials {
    static PARTS: LazyLock<([u8; 32], [u8; 32])> = LazyLock::new(|| {
        let made = ScramCredentials::derive(&password("pencil"), &salt(), 4096).expect("RFC 7677 is within our limits");
        (*made.stored_key(), *made.server_key())
    });
    ScramCredentials::from_parts(salt(), 4096, PARTS.0, PARTS.1).expect("they are sound")
}

fn salt() -> Vec<u8> {
    decode("W22ZaJ0SNY7soEsUEjb6gQ==").expect("Base64")
}

fn server(first: &str) -> ServerExchange {
    let first = ClientFirst::parse(first.as_bytes()).expect("a first message");
    ServerExchange::new(first, SERVER_NONCE, credentials())
}

fn client(binding: ClientBinding) -> ClientExchange {
    ClientExchange::new("user", CLIENT_NONCE.to_owned(), binding)
}

/// Client and server of this file with each other; what the server concludes.
fn exchange(binding: ClientBinding, exporter: Option<[u8; 32]>, typed: &str) -> Result<(), ScramFault> {
    let client = client(binding);
    let server = server(&client.first());
    let challenge = client
        .read_challenge(server.challenge().as_bytes())
        .expect("our own challenge");
    let salted = salted_password(&password(typed), &challenge.salt, challenge.iterations);
    let (message, expected) = client.finish(&challenge, &salted);
    let answer = server.finish(message.as_bytes(), exporter.as_ref())?;
    expected
        .check(answer.as_bytes())
        .expect("the server knows the password");
    Ok(())
}

#[test]
fn the_example_of_rfc_7677_works_on_both_sides() {
    let client = client(ClientBinding::Cannot);
    assert_eq!(client.first(), CLIENT_FIRST);
    let server = server(CLIENT_FIRST);
    assert_eq!(server.first.user(), "user");
    assert_eq!(server.challenge(), SERVER_FIRST);
    let challenge = client
        .read_challenge(SERVER_FIRST.as_bytes())
        .expect("the challenge of the RFC");
    let salted = salted_password(&password("pencil"), &challenge.salt, challenge.iterations);
    let (message, expected) = client.finish(&challenge, &salted);
    assert_eq!(message, CLIENT_FINAL);
    assert_eq!(
        server.finish(CLIENT_FINAL.as_bytes(), None).as_deref(),
        Ok(SERVER_FINAL)
    );
    assert_eq!(expected.check(SERVER_FINAL.as_bytes()), Ok(()));
}

#[test]
fn first_messages_that_are_none_are_refused() {
    for message in [
        "",
        "n",
        "n,",
        "n,,",
        "n,,n=user",
        "n,,r=abc",
        "n,,r=abc,n=user",
        "n,,n=user,r=",
        "n,,n=user,r=a b",
        "n,,n=user,r=a\u{e4}",
        "n,,n=,r=abc",
        "n,,n=a=b,r=abc",
        "n,,n=a=2c,r=abc",
        "n,,n=user,r=abc,",
        "n,,n=user,r=abc,x",
        "n,,n=user,r=abc,x=",
        "n,,m=ext,n=user,r=abc",
        "n,,n=user,r=abc,m=ext",
        "n,b=user,n=user,r=abc",
        "n,a=,n=user,r=abc",
        "p,,n=user,r=abc",
        "p=,,n=user,r=abc",
        "q,,n=user,r=abc",
        "N,,n=user,r=abc",
        "nn,,n=user,r=abc",
    ] {
        let result = ClientFirst::parse(message.as_bytes()).map(|first| first.user);
        assert_eq!(result, Err(ScramFault::Malformed), "{message}");
    }
    assert_eq!(
        ClientFirst::parse(b"n,,n=\xff,r=abc").map(|first| first.user),
        Err(ScramFault::Malformed)
    );
    let long = format!("n,,n=user,r={}", "x".repeat(MAX_NONCE_OCTETS + 1));
    assert_eq!(
        ClientFirst::parse(long.as_bytes()).map(|first| first.user),
        Err(ScramFault::Malformed)
    );
    // Well written, but nobody has such a name, or may act as another.
    for message in [
        "n,,n=\u{202e}x,r=abc",
        "n,,n=a\u{7}b,r=abc",
        "n,a=root,n=user,r=abc",
        "n,a=USER,n=user,r=abc",
    ] {
        let result = ClientFirst::parse(message.as_bytes()).map(|first| first.user);
        assert_eq!(result, Err(ScramFault::Refused), "{message}");
    }
}

#[test]
fn names_are_unescaped_and_prepared() {
    for (message, user) in [
        ("n,,n=a=2Cb=3Dc=3D2C,r=abc", "a,b=c=2C"),
        ("n,,n=I\u{ad}X,r=abc", "IX"),
        ("n,a=user@a.test,n=user@a.test,r=abc", "user@a.test"),
        ("n,a=a=2Cb,n=a=2Cb,r=abc,x=y", "a,b"),
    ] {
        let first = ClientFirst::parse(message.as_bytes()).expect("a first message");
        assert_eq!(first.user(), user, "{message}");
    }
    for user in ["plain", "a,b=c", "=2C", ",,=="] {
        assert_eq!(unescape(&escape(user)).as_deref(), Some(user));
    }
}

#[test]
fn final_messages_that_are_not_quite_right_are_refused() {
    let server = server(CLIENT_FIRST);
    let check = |message: &str, fault| assert_eq!(server.finish(message.as_bytes(), None), Err(fault), "{message}");
    for message in [
        "",
        "c=biws",
        &CLIENT_FINAL.replace(",p=", ",q="),
        &CLIENT_FINAL.replace("c=biws,", ""),
        &CLIENT_FINAL.replace("c=biws", "c=biw"),
        &CLIENT_FINAL.replace("c=biws", "c=!!!!"),
        &CLIENT_FINAL.replace(",r=", ",s="),
        &CLIENT_FINAL.replace(",p=", ",m=x,p="),
        &CLIENT_FINAL.replace("dVQ=", "dVQ"),
        &CLIENT_FINAL.replace("dVQ=", "dVR="),
        &CLIENT_FINAL.replace("p=dHzb", "p="),
        &format!("{CLIENT_FINAL},x=y"),
    ] {
        check(message, ScramFault::Malformed);
    }
    for message in [
        // Another proof, another nonce, another header, an extension that was not signed.
        &CLIENT_FINAL.replace("p=dHzb", "p=eHzb"),
        &CLIENT_FINAL.replace("k0,p", "k1,p"),
        &CLIENT_FINAL.replace("r=rOpr", "r=sOpr"),
        &CLIENT_FINAL.replace("c=biws", "c=eSws"),
        &CLIENT_FINAL.replace("c=biws", "c=biwsAA=="),
        &CLIENT_FINAL.replace(",p=", ",x=y,p="),
    ] {
        check(message, ScramFault::Refused);
    }
    assert_eq!(server.finish(b"\xff,p=", None), Err(ScramFault::Malformed));
}

#[test]
fn the_wrong_password_and_nobodys_password_are_refused_alike() {
    for typed in ["pencil ", "Pencil", "x"] {
        assert_eq!(exchange(ClientBinding::Cannot, None, typed), Err(ScramFault::Refused));
    }
    assert_eq!(exchange(ClientBinding::Cannot, None, "pencil"), Ok(()));
    let secret = [7; 32];
    let made_up = ScramCredentials::made_up(&secret, "nobody", 4096);
    assert_eq!(
        made_up.salt(),
        ScramCredentials::made_up(&secret, "nobody", 4096).salt(),
        "asked twice"
    );
    assert_ne!(
        made_up.salt(),
        ScramCredentials::made_up(&secret, "nobody2", 4096).salt()
    );
    assert_ne!(
        made_up.salt(),
        ScramCredentials::made_up(&[8; 32], "nobody", 4096).salt()
    );
    assert_eq!(
        (made_up.salt().len(), made_up.iterations()),
        (credentials().salt().len(), 4096)
    );
    let first = ClientFirst::parse(CLIENT_FIRST.as_bytes()).expect("a first message");
    let server = ServerExchange::new(first, SERVER_NONCE, made_up);
    assert_eq!(server.finish(CLIENT_FINAL.as_bytes(), None), Err(ScramFault::Refused));
}

#[test]
fn channel_binding_must_fit_mechanism_and_offer() {
    use Mechanism::{ScramSha256, ScramSha256Plus};
    let refused = Err(ScramFault::Refused);
    for (header, chosen, plus_was_offered, expected) in [
        ("n,,", ScramSha256, false, Ok(())),
        ("n,,", ScramSha256, true, Ok(())),
        ("y,,", ScramSha256, false, Ok(())),
        ("y,,", ScramSha256, true, refused),
        ("p=tls-exporter,,", ScramSha256, false, refused),
        ("p=tls-exporter,,", ScramSha256, true, refused),
        ("p=tls-exporter,,", ScramSha256Plus, true, Ok(())),
        ("p=tls-unique,,", ScramSha256Plus, true, refused),
        ("p=tls-server-end-point,,", ScramSha256Plus, true, refused),
        ("n,,", ScramSha256Plus, true, Err(ScramFault::Malformed)),
        ("y,,", ScramSha256Plus, true, Err(ScramFault::Malformed)),
    ] {
        let message = format!("{header}n=user,r=abc");
        let first = ClientFirst::parse(message.as_bytes()).expect("a first message");
        assert_eq!(
            first.check_binding(chosen, plus_was_offered),
            expected,
            "{header} {chosen}"
        );
    }
}

#[test]
fn two_tls_sessions_are_not_one() {
    let bound = ClientBinding::Exporter([1; 32]);
    assert_eq!(exchange(bound, Some([1; 32]), "pencil"), Ok(()));
    assert_eq!(exchange(bound, Some([2; 32]), "pencil"), Err(ScramFault::Refused));
    assert_eq!(exchange(bound, None, "pencil"), Err(ScramFault::Refused));
    assert_eq!(exchange(bound, Some([1; 32]), "pencil?"), Err(ScramFault::Refused));
    assert_eq!(exchange(ClientBinding::NotOffered, None, "pencil"), Ok(()));
}

#[test]
fn servers_that_cannot_be_trusted_are_left() {
    let client = client(ClientBinding::Cannot);
    let challenge = |text: &str| {
        client
            .read_challenge(text.as_bytes())
            .map(|challenge| challenge.iterations)
    };
    use UntrustworthyServer::{Iterations, Malformed, Nonce, Salt, Signature};
    assert_eq!(challenge(SERVER_FIRST), Ok(4096));
    for (text, fault) in [
        ("", Malformed),
        ("e=other-error", Malformed),
        (&SERVER_FIRST.replace("r=rO", "m=x,r=rO"), Malformed),
        (&SERVER_FIRST.replace("i=4096", "i=x"), Malformed),
        (&SERVER_FIRST.replace("i=4096", "i=-1"), Malformed),
        (&SERVER_FIRST.replace("gQ==", "gQ"), Malformed),
        (&SERVER_FIRST.replace("r=rOpr", "r=xOpr"), Nonce),
        (&SERVER_FIRST.replace(SERVER_NONCE, ""), Nonce),
        (
            &SERVER_FIRST.replace("i=4096", "i=4095"),
            Iterations { iterations: 4095 },
        ),
        (
            &SERVER_FIRST.replace("i=4096", "i=2000001"),
            Iterations { iterations: 2_000_001 },
        ),
        (&SERVER_FIRST.replace("i=4096", "i=0"), Iterations { iterations: 0 }),
        (
            &SERVER_FIRST.replace("W22ZaJ0SNY7soEsUEjb6gQ==", "AAAA"),
            Salt { octets: 3 },
        ),
    ] {
        assert_eq!(challenge(text), Err(fault), "{text}");
    }

    let read = client
        .read_challenge(SERVER_FIRST.as_bytes())
        .expect("the challenge of the RFC");
    let (_, expected) = client.finish(
        &read,
        &salted_password(&password("pencil"), &read.salt, read.iterations),
    );
    for (text, fault) in [
        ("", Malformed),
        ("e=invalid-proof", Malformed),
        ("v=", Signature),
        ("v=AAAA", Signature),
        ("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G", Malformed),
        (&SERVER_FINAL.replace("6rri", "7rri"), Signature),
    ] {
        assert_eq!(expected.check(text.as_bytes()), Err(fault), "{text}");
    }
    let (_, other) = client.finish(&read, &salted_password(&password("pen"), &read.salt, read.iterations));
    assert_eq!(other.check(SERVER_FINAL.as_bytes()), Err(Signature));
}

#[test]
fn credentials_survive_storage_and_know_their_password() {
    let made = credentials();
    let parts = (
        made.salt().to_vec(),
        made.iterations(),
        *made.stored_key(),
        *made.server_key(),
    );
    let stored = ScramCredentials::from_parts(parts.0, parts.1, parts.2, parts.3).expect("they are sound");
    assert!(stored.matches(&password("pencil")));
    assert!(!stored.matches(&password("pencils")));
    let printed = format!("{stored:?}");
    assert_eq!(printed, "ScramCredentials { iterations: 4096, .. }");
    for (salt, iterations, fault) in [
        (7, 4096, InvalidScramCredentials::Salt { octets: 7 }),
        (65, 4096, InvalidScramCredentials::Salt { octets: 65 }),
        (16, 4095, InvalidScramCredentials::Iterations { iterations: 4095 }),
        (
            16,
            u32::MAX,
            InvalidScramCredentials::Iterations { iterations: u32::MAX },
        ),
    ] {
        let result = ScramCredentials::from_parts(vec![0; salt], iterations, [0; 32], [0; 32]);
        assert_eq!(result.map(|_| ()), Err(fault));
        let result = ScramCredentials::derive(&password("x"), &vec![0; salt], iterations);
        assert_eq!(result.map(|_| ()), Err(fault));
    }
}

proptest! {
    #[test]
    fn no_message_panics(message in "[nyp=,acrvimsx0-9+/ -]{0,60}", octets in prop::collection::vec(any::<u8>(), 0..40)) {
        let server = server(CLIENT_FIRST);
        for message in [message.as_bytes(), &octets] {
            let _ = ClientFirst::parse(message);
            prop_assert!(server.finish(message, Some(&[0; 32])).is_err());
            let _ = client(ClientBinding::NotOffered).read_challenge(message);
        }
    }
}
