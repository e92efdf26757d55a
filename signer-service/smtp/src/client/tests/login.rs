//! Conversations of the client about AUTH.

use base64ct::{Base64, Encoding as _};

use super::*;
use crate::auth::{Mechanism, UntrustworthyServer, WithoutTls};
use crate::testing::Users;

fn credentials(password: &str) -> Credentials {
    let password = Password::prepare(password).expect("a password");
    Credentials::new("user", password).expect("a name")
}

async fn log_in(extensions: &[&str], rest: &[&str], policy: TlsPolicy) -> Result<(), ClientError> {
    let (stream, playing) = hop(&script(extensions, rest));
    let mut connection = connect(stream, policy).await.expect("the greeting is good");
    let result = connection
        .authenticate(&credentials("pencil"), &mut testing::random())
        .await;
    drop(connection);
    playing.await.expect("the client keeps to the script");
    result
}

const PLAIN: &str = "C: AUTH PLAIN AHVzZXIAcGVuY2ls";

/// The first line of SCRAM, with the nonce that the seeded randomness gives.
fn scram_line() -> String {
    let nonce = crate::auth::nonce(&mut testing::random());
    let first = Base64::encode_string(format!("n,,n=user,r={nonce}").as_bytes());
    format!("C: AUTH SCRAM-SHA-256 {first}")
}

#[tokio::test(start_paused = true)]
async fn plain_is_spoken_where_there_is_nothing_better() {
    for offer in ["S: 250-AUTH PLAIN", "S: 250-AUTH LOGIN plain XOAUTH2"] {
        let result = log_in(&[offer], &[PLAIN, "S: 235 2.7.0 ok"], TlsPolicy::Never).await;
        assert!(result.is_ok(), "{result:?}");
    }
    for reply in ["S: 535 5.7.8 no", "S: 454 4.7.0 later", "S: 534 5.7.9 too weak"] {
        let error = log_in(&["S: 250-AUTH PLAIN"], &[PLAIN, reply], TlsPolicy::Never)
            .await
            .expect_err("it is refused");
        assert!(
            matches!(&error, ClientError::AuthenticationRefused { user, mechanism: Mechanism::Plain, .. } if user == "user"),
            "{error:?}"
        );
        assert!(error.is_temporary());
        assert!(!format!("{error} {error:?}").contains("pencil"));
    }
    let error = log_in(&["S: 250-AUTH PLAIN"], &[PLAIN, "S: 334 more?"], TlsPolicy::Never)
        .await
        .expect_err("there is no more");
    assert!(matches!(error, ClientError::NotAReply { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_said_to_a_server_that_offers_nothing() {
    for (offer, offered) in [
        ("S: 250-AUTH", ""),
        ("S: 250-AUTH CRAM-MD5 LOGIN", "CRAM-MD5 LOGIN"),
        ("S: 250-AUTH=PLAIN", ""),
        // Without TLS there is nothing to bind to.
        ("S: 250-AUTH SCRAM-SHA-256-PLUS", "SCRAM-SHA-256-PLUS"),
    ] {
        let error = log_in(&[offer], &[], TlsPolicy::Never).await.expect_err("nothing fits");
        assert!(
            matches!(&error, ClientError::AuthenticationNotOffered { offered: names } if names == offered),
            "{error:?}"
        );
    }
    let error = log_in(&["S: 250-AUTH SCRAM-SHA-256 PLAIN"], &[], TlsPolicy::Opportunistic)
        .await
        .expect_err("anybody could listen");
    assert!(matches!(error, ClientError::AuthenticationNeedsTls), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_do_scram_is_found_out() {
    let first = scram_line();
    let offer = ["S: 250-AUTH PLAIN SCRAM-SHA-256"];
    let check = async |reply: &str, expected: UntrustworthyServer| {
        let error = log_in(&offer, &[&first, reply], TlsPolicy::Never)
            .await
            .expect_err("it is found out");
        assert!(
            matches!(&error, ClientError::Untrustworthy { source, .. } if *source == expected),
            "{reply}: {error:?}"
        );
    };
    check("S: 334 ?", UntrustworthyServer::Malformed).await;
    check("S: 334", UntrustworthyServer::Malformed).await;
    // r=x,s=MTIzNDU2Nzg=,i=4096
    check(
        "S: 334 cj14LHM9TVRJek5EVTJOemc9LGk9NDA5Ng==",
        UntrustworthyServer::Nonce,
    )
    .await;
    let error = log_in(&offer, &[&first, "S: 535 no"], TlsPolicy::Never)
        .await
        .expect_err("it is refused");
    assert!(matches!(error, ClientError::AuthenticationRefused { .. }), "{error:?}");
    // Success that comes too early.
    check("S: 235 ok", UntrustworthyServer::NoProof).await;
    let nonce = crate::auth::nonce(&mut testing::random());
    let challenge = Base64::encode_string(format!("r={nonce}x,s=MTIzNDU2Nzg=,i=4096").as_bytes());
    let (stream, theirs) = tokio::io::duplex(1 << 16);
    let (_reading, mut writing) = tokio::io::split(theirs);
    writing
        .write_all(format!("220 hop\r\n250-hop\r\n250 AUTH SCRAM-SHA-256\r\n334 {challenge}\r\n235 ok\r\n").as_bytes())
        .await
        .expect("there is room");
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    let error = connection
        .authenticate(&credentials("pencil"), &mut testing::random())
        .await
        .expect_err("it has proved nothing");
    assert!(
        matches!(
            error,
            ClientError::Untrustworthy {
                source: UntrustworthyServer::NoProof,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(!connection.is_usable() && error.is_temporary());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_wrongly_is_not_believed() {
    let nonce = crate::auth::nonce(&mut testing::random());
    let challenge = Base64::encode_string(format!("r={nonce}x,s=MTIzNDU2Nzg=,i=4096").as_bytes());
    for (proof, expected) in [
        (&b"v=AAAA"[..], UntrustworthyServer::Signature),
        (b"e=other-error", UntrustworthyServer::Malformed),
    ] {
        let (stream, theirs) = tokio::io::duplex(1 << 16);
        let (_reading, mut writing) = tokio::io::split(theirs);
        let proof = Base64::encode_string(proof);
        let script =
            format!("220 hop\r\n250-hop\r\n250 AUTH SCRAM-SHA-256\r\n334 {challenge}\r\n334 {proof}\r\n235 ok\r\n");
        writing.write_all(script.as_bytes()).await.expect("there is room");
        let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
        let error = connection
            .authenticate(&credentials("pencil"), &mut testing::random())
            .await
            .expect_err("it has proved nothing");
        assert!(
            matches!(&error, ClientError::Untrustworthy { source, .. } if *source == expected),
            "{error:?}"
        );
        assert!(!connection.is_usable());
    }
}

/// A server of this crate that has users.
async fn serve_users(mechanisms: &[Mechanism], tls: Option<Arc<rustls::ServerConfig>>) -> (SocketAddr, Recorder) {
    let mut authentication = testing::authentication(Users::default());
    authentication.mechanisms = mechanisms.to_vec();
    authentication.without_tls = WithoutTls::AllowOnLoopback;
    authentication.failure_delay = Duration::ZERO;
    let recorder = Recorder::default();
    let settings = Settings {
        authentication: Some(authentication),
        tls,
        ..Settings::new("mx.test")
    };
    let (address, _running) = serve(settings, recorder.clone()).await;
    (address, recorder)
}

#[tokio::test]
async fn the_strongest_mechanism_that_both_have_is_used() {
    use Mechanism::{Login, Plain, ScramSha256, ScramSha256Plus};
    let (server, trusting) = testing::tls("127.0.0.1");
    let distrustful = testing::distrustful_tls();
    for (offered, policy, config, expected) in [
        (&Mechanism::ALL[..], TlsPolicy::Required, &trusting, Ok(ScramSha256Plus)),
        (
            &Mechanism::ALL,
            TlsPolicy::Opportunistic,
            &distrustful,
            Ok(ScramSha256Plus),
        ),
        (&Mechanism::ALL, TlsPolicy::Never, &distrustful, Ok(ScramSha256)),
        (&[Plain, ScramSha256], TlsPolicy::Required, &trusting, Ok(ScramSha256)),
        (&[Login, Plain], TlsPolicy::Required, &trusting, Ok(Plain)),
        (&[Plain], TlsPolicy::Never, &distrustful, Ok(Plain)),
        // Whoever is there could just collect it.
        (&[Plain], TlsPolicy::Opportunistic, &distrustful, Err(())),
        (&[Login], TlsPolicy::Required, &trusting, Err(())),
    ] {
        let (address, recorder) = serve_users(offered, Some(server.clone())).await;
        let mut connection = connect_to(address, policy, config).await.expect("it listens");
        let result = connection
            .authenticate(&credentials("pencil"), &mut testing::random())
            .await;
        assert_eq!(result.is_ok(), expected.is_ok(), "{offered:?} {policy:?}: {result:?}");
        let logins: Vec<String> = recorder
            .calls()
            .into_iter()
            .filter(|call| call.starts_with("authenticated"))
            .collect();
        let expected: Vec<String> = expected
            .iter()
            .map(|mechanism| format!("authenticated user by Mechanism({mechanism:?})"))
            .collect();
        assert_eq!(logins, expected);
        if result.is_ok() {
            let delivery = connection
                .send(&MailFrom::new("a@a.test"), &recipients(&["b@b.test"]), b"x\r\n")
                .await;
            assert!(delivery.expect("the message is sent").outcome(0).is_positive());
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_another_may_be_tried() {
    for offered in [Mechanism::ScramSha256, Mechanism::Plain] {
        let (address, _) = serve_users(&[offered], None).await;
        let mut connection = connect_to(address, TlsPolicy::Never, &testing::distrustful_tls())
            .await
            .expect("it listens");
        let error = connection
            .authenticate(&credentials("eraser"), &mut testing::random())
            .await
            .expect_err("it is wrong");
        assert!(
            matches!(&error, ClientError::AuthenticationRefused { reply, .. } if reply.code() == 535),
            "{error:?}"
        );
        assert!(!error.to_string().contains("eraser") && connection.is_usable());
        connection
            .authenticate(&credentials("pencil"), &mut testing::random())
            .await
            .expect("it is right");
    }
}

/// Nobody can sit between, not even with a certificate that the client takes: the proof is for another session.
#[tokio::test]
async fn a_proof_for_one_tls_session_is_worth_nothing_in_another() {
    let (server, _) = testing::tls("127.0.0.1");
    let (address, recorder) = serve_users(&Mechanism::ALL, Some(server)).await;
    let mut connection = connect_to(address, TlsPolicy::Opportunistic, &testing::distrustful_tls())
        .await
        .expect("it listens");
    connection.exporter = Some([0; 32]);
    let error = connection
        .authenticate(&credentials("pencil"), &mut testing::random())
        .await
        .expect_err("it is another session");
    assert!(matches!(error, ClientError::AuthenticationRefused { .. }), "{error:?}");
    assert!(!recorder.calls().iter().any(|call| call.starts_with("authenticated")));
}
