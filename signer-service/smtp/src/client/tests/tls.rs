//! Conversations of the client about TLS.

use super::*;
use crate::server::Entrance;

#[tokio::test(start_paused = true)]
async fn tls_that_is_required_must_be_there() {
    let (stream, _playing) = hop(&script(&[], &[]));
    let error = connect(stream, TlsPolicy::Required)
        .await
        .expect_err("STARTTLS is not offered");
    assert!(
        matches!(&error, ClientError::TlsNotOffered { host } if host == "mx.test"),
        "{error:?}"
    );
    assert!(error.is_temporary());

    let offer = ["S: 250-STARTTLS"];
    let (stream, _playing) = hop(&script(&offer, &["C: STARTTLS", "S: 454 4.7.0 not now"]));
    let error = connect(stream, TlsPolicy::Required)
        .await
        .expect_err("STARTTLS is refused");
    assert!(
        matches!(
            &error,
            ClientError::Refused {
                phase: Phase::StartTls,
                ..
            }
        ),
        "{error:?}"
    );

    for policy in [TlsPolicy::Required, TlsPolicy::Opportunistic] {
        let (stream, _playing) = hop(&script(&offer, &["C: STARTTLS", "S: 220 go\r\n250-evil\r\n"]));
        let error = connect(stream, policy).await.expect_err("plain text follows");
        assert!(matches!(error, ClientError::PlaintextAfterStartTls), "{error:?}");

        let (stream, _playing) = hop(&script(&offer, &["C: STARTTLS", "S: 220 go"]));
        let error = connect(stream, policy).await.expect_err("nobody shakes hands");
        assert!(
            matches!(error, ClientError::Handshake { .. }) && error.is_temporary(),
            "{error:?}"
        );

        let (stream, _playing) = hop(&script(&offer, &["C: STARTTLS", "S: 220 go", "S: ..."]));
        let error = connect(stream, policy).await.expect_err("nobody shakes hands");
        assert!(
            matches!(
                error,
                ClientError::TimedOut {
                    phase: Phase::Handshake,
                    ..
                }
            ),
            "{error:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn tls_that_is_only_wished_for_may_be_missing() {
    let offer = ["S: 250-STARTTLS"];
    for script in [
        script(&[], &[]),
        script(&offer, &["C: STARTTLS", "S: 454 4.7.0 not now"]),
    ] {
        let (stream, _playing) = hop(&script);
        let connection = connect(stream, TlsPolicy::Opportunistic)
            .await
            .expect("plain text will do");
        assert_eq!(connection.tls(), None);
    }
    let (stream, playing) = hop(&script(&offer, &QUIT));
    let connection = connect(stream, TlsPolicy::Never).await.expect("the offer is declined");
    connection.quit().await.expect("the script ends with QUIT");
    playing.await.expect("the client keeps to the script");
}

#[tokio::test]
async fn mail_goes_through_tls_to_the_right_server_only() {
    let (server, trusting) = testing::tls("127.0.0.1");
    let sink = Sink::new();
    let settings = Settings {
        tls: Some(server),
        ..Settings::new("mx.test")
    };
    let (address, _running) = serve(settings, sink.clone()).await;

    let mut connection = connect_to(address, TlsPolicy::Required, &trusting)
        .await
        .expect("the certificate is good");
    assert!(!connection.capabilities().offers("STARTTLS"));
    assert_eq!(connection.tls().map(|tls| tls.version.as_str()), Some("TLSv1_3"));
    let from = MailFrom::new("ü@a.test");
    let delivery = connection
        .send(&from, &recipients(&["b@b.test"]), "Subject: ü\r\n".as_bytes())
        .await;
    assert!(delivery.expect("the message is sent").outcome(0).is_positive());
    connection.quit().await.expect("the server says goodbye");
    let message = sink
        .wait_for(|_| true, Duration::from_secs(10))
        .await
        .expect("the message has come");
    assert_eq!(
        (message.from.smtputf8, message.from.body, message.from.size),
        (true, Body::EightBitMime, Some(13))
    );
    assert_eq!(message.peer.as_ref().map(|peer| peer.protocol(true)), Some("UTF8SMTPS"));

    // Nobody vouches for the certificate: required TLS fails, opportunistic TLS encrypts all the same.
    let distrustful = testing::distrustful_tls();
    let error = connect_to(address, TlsPolicy::Required, &distrustful)
        .await
        .expect_err("an unknown issuer");
    assert!(
        matches!(error, ClientError::Certificate { .. }) && error.is_temporary(),
        "{error:?}"
    );
    let connection = connect_to(address, TlsPolicy::Opportunistic, &distrustful)
        .await
        .expect("it is only a wish");
    assert!(connection.tls().is_some());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let (server, trusting) = testing::tls("other.test");
    let settings = Settings {
        tls: Some(server),
        ..Settings::new("mx.test")
    };
    let (address, _running) = serve(settings, Recorder::default()).await;
    let error = connect_to(address, TlsPolicy::Required, &trusting)
        .await
        .expect_err("it is for other.test");
    assert!(
        matches!(&error, ClientError::Certificate { host, .. } if host == "127.0.0.1"),
        "{error:?}"
    );
    assert!(error.is_temporary());
}

#[tokio::test]
async fn implicit_tls_needs_a_server_that_begins_with_it() {
    let (server, trusting) = testing::tls("127.0.0.1");
    let sink = Sink::new();
    let settings = Settings {
        tls: Some(server),
        ..Settings::new("mx.test")
    };
    let mut server = Server::bind_to("127.0.0.1:0", Entrance::ImplicitTls, settings, sink.clone())
        .await
        .expect("a free port");
    let implicit = server.local_addr();
    let explicit = server
        .also_listen("127.0.0.1:0", Entrance::StartTls)
        .await
        .expect("a free port");
    let running = tokio::spawn(server.run(std::future::pending()));

    let mut connection = connect_to(implicit, TlsPolicy::Implicit, &trusting)
        .await
        .expect("the certificate is good");
    assert_eq!(connection.tls().map(|tls| tls.version.as_str()), Some("TLSv1_3"));
    let delivery = connection
        .send(&MailFrom::new("a@a.test"), &recipients(&["b@b.test"]), b"x\r\n")
        .await;
    assert!(delivery.expect("the message is sent").outcome(0).is_positive());
    assert_eq!(
        sink.messages()[0].peer.as_ref().map(|peer| peer.protocol(false)),
        Some("ESMTPS")
    );

    let error = connect_to(implicit, TlsPolicy::Implicit, &testing::distrustful_tls())
        .await
        .expect_err("an unknown issuer");
    assert!(matches!(error, ClientError::Certificate { .. }), "{error:?}");
    let error = connect_to(explicit, TlsPolicy::Implicit, &trusting)
        .await
        .expect_err("it greets in plain text");
    assert!(
        matches!(error, ClientError::Handshake { .. }) && error.is_temporary(),
        "{error:?}"
    );
    connect_to(explicit, TlsPolicy::Required, &trusting)
        .await
        .expect("it knows STARTTLS");
    running.abort();
}
