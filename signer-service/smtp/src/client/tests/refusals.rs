//! What the client refuses to send.

use super::*;

/// Checks that nothing at all is sent for this message: the next command the hop hears is QUIT.
async fn check_refused(extensions: &[&str], from: MailFrom, to: &str, message: &[u8]) -> ClientError {
    let (stream, playing) = hop(&script(extensions, &QUIT));
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    let error = connection
        .send(&from, &recipients(&[to]), message)
        .await
        .expect_err("this must not be sent");
    connection.quit().await.expect("the script ends with QUIT");
    playing.await.expect("the client keeps to the script");
    assert!(!error.is_temporary() && !error.may_have_been_delivered());
    error
}

#[tokio::test(start_paused = true)]
async fn what_the_hop_cannot_take_is_not_sent() {
    let from = || MailFrom::new("a@a.test");
    let error = check_refused(&EVERYTHING, from(), "b@b.test", &b"x\r\n".repeat(334)).await;
    assert!(
        matches!(
            error,
            ClientError::TooLarge {
                size: 1002,
                limit: 1000
            }
        ),
        "{error:?}"
    );
    let error = check_refused(&[], from(), "b@b.test", b"\xc3\xbc\r\n").await;
    assert!(matches!(error, ClientError::EightBitNotOffered), "{error:?}");
    let error = check_refused(&["S: 250-8BITMIME"], MailFrom::new("ü@a.test"), "b@b.test", b"x\r\n").await;
    assert!(
        matches!(&error, ClientError::Utf8NotOffered { address } if address == "ü@a.test"),
        "{error:?}"
    );
    let error = check_refused(&["S: 250-8BITMIME"], from(), "ü@b.test", b"x\r\n").await;
    assert!(matches!(error, ClientError::Utf8NotOffered { .. }), "{error:?}");
    let error = check_refused(
        &[],
        MailFrom {
            smtputf8: true,
            ..from()
        },
        "b@b.test",
        b"x\r\n",
    )
    .await;
    assert!(matches!(error, ClientError::Utf8NotOffered { .. }), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn addresses_cannot_carry_commands() {
    for address in [
        "a@b>\r\nRCPT TO:<evil@b",
        "a@b\r\nDATA",
        "a@b> SIZE=1",
        "<a@b>",
        "a b@c",
        "a@b\n",
        "a\0@b",
        "a",
    ] {
        let error = check_refused(&EVERYTHING, MailFrom::new(address), "b@b.test", b"x\r\n").await;
        assert!(matches!(error, ClientError::Address { .. }), "{error:?}");
        let error = check_refused(&EVERYTHING, MailFrom::new("a@a.test"), address, b"x\r\n").await;
        assert!(matches!(error, ClientError::Address { .. }), "{error:?}");
    }
    let error = check_refused(&EVERYTHING, MailFrom::new(""), "", b"x\r\n").await;
    assert!(matches!(error, ClientError::Address { .. }), "{error:?}");
    for name in ["", "a b", "a\r\nMAIL FROM:<evil@b>", "ü"] {
        let (stream, _playing) = hop(&[]);
        let config = testing::distrustful_tls();
        let result = Connection::over(stream, &target(TlsPolicy::Never), name, &config, Timeouts::default()).await;
        assert!(matches!(result, Err(ClientError::Address { .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_could_smuggle_are_not_sent() {
    for (message, offset) in [
        (&b"\n"[..], 0),
        (b"a\n.\r\nMAIL", 1),
        (b"a\r\n.\nb\r\n", 4),
        (b"a\r.\r\n", 1),
        (b"a\r\r\n", 1),
        (b"a\r", 1),
        (b"a\0\r\n", 1),
        (b"a\r\n\n", 3),
    ] {
        let error = check_refused(&EVERYTHING, MailFrom::new("a@a.test"), "b@b.test", message).await;
        assert!(
            matches!(error, ClientError::NotCanonical { offset: at } if at == offset),
            "{message:?}: {error:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_recipient_beyond_ascii_must_be_prepared_for() {
    let rest = [
        "C: MAIL FROM:<a@a.test>",
        "S: 250 ok",
        "C: MAIL FROM:<a@a.test> SMTPUTF8",
        "S: 250 ok",
    ];
    let rest = [&rest[..], &["C: RCPT TO:<ü@b.test>", "S: 250 ok"]].concat();
    let (stream, playing) = hop(&script(&EVERYTHING, &rest));
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    connection.mail(&MailFrom::new("a@a.test")).await.expect("a reply");
    let error = connection
        .rcpt(&RcptTo::new("ü@b.test"))
        .await
        .expect_err("SMTPUTF8 was not requested");
    assert!(matches!(error, ClientError::Utf8NotRequested { .. }), "{error:?}");
    connection
        .mail(&MailFrom {
            smtputf8: true,
            ..MailFrom::new("a@a.test")
        })
        .await
        .expect("a reply");
    connection.rcpt(&RcptTo::new("ü@b.test")).await.expect("a reply");
    playing.await.expect("the client keeps to the script");
}
