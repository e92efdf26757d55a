//! Conversations of the client with a next hop that offers CHUNKING.

use super::*;

const CHUNKING: [&str; 2] = ["S: 250-PIPELINING", "S: 250-CHUNKING"];
const GROUP: [&str; 5] = [
    "C: MAIL FROM:<a@a.test>",
    "C: RCPT TO:<b@b.test>",
    "C: RCPT TO:<c@b.test>",
    "C: BDAT 3 LAST",
    "C: x",
];

#[tokio::test(start_paused = true)]
async fn a_small_message_goes_along_with_its_envelope() {
    let replies = [
        "S: 250 2.1.0 ok",
        "S: 250 2.1.5 ok",
        "S: 550 5.1.1 no",
        "S: 250 2.6.0 ok",
    ];
    let delivery = send(&CHUNKING, &[&GROUP[..], &replies, &QUIT].concat())
        .await
        .expect("the message is sent");
    assert_eq!(outcomes(&delivery), [250, 550]);
}

#[tokio::test(start_paused = true)]
async fn a_large_message_waits_for_its_envelope() {
    let envelope = [
        "C: MAIL FROM:<a@a.test>",
        "C: RCPT TO:<b@b.test>",
        "S: 250 ok",
        "S: 250 ok",
    ];
    let line = "x".repeat(66_000);
    let size = format!("C: BDAT {} LAST", line.len() + 2);
    let text = format!("C: {line}");
    let rest = [&envelope[..], &[&size, &text, "S: 250 ok"], &QUIT].concat();
    let (stream, playing) = hop(&script(&CHUNKING, &rest));
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    let delivery = connection
        .send(&MailFrom::new("a@a.test"), &recipients(&["b@b.test"]), line.as_bytes())
        .await
        .expect("the message is sent");
    assert_eq!(delivery.outcome(0).code(), 250);
    connection.quit().await.expect("the script ends with QUIT");
    playing.await.expect("the client keeps to the script");

    // For nobody it is not sent at all.
    let rest = [
        "C: MAIL FROM:<a@a.test>",
        "C: RCPT TO:<b@b.test>",
        "S: 250 ok",
        "S: 550 no",
        "C: RSET",
        "S: 250 ok",
    ];
    let (stream, playing) = hop(&script(&CHUNKING, &rest));
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    let delivery = connection
        .send(&MailFrom::new("a@a.test"), &recipients(&["b@b.test"]), line.as_bytes())
        .await
        .expect("a reply is no error");
    assert_eq!(delivery.outcome(0).code(), 550);
    playing.await.expect("the client keeps to the script");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_told_apart_and_followed_by_rset() {
    let reset = ["C: RSET", "S: 250 ok"];
    for (replies, expected) in [
        (
            ["S: 550 no", "S: 503 order", "S: 503 order", "S: 503 order"],
            [550, 550],
        ),
        (["S: 250 ok", "S: 550 no", "S: 450 later", "S: 554 nobody"], [550, 450]),
        // A server that takes a message for nobody takes it for nobody.
        (["S: 250 ok", "S: 550 no", "S: 450 later", "S: 250 ok"], [550, 450]),
        (["S: 250 ok", "S: 250 ok", "S: 450 later", "S: 552 large"], [552, 450]),
    ] {
        let rest = match replies[0].contains("250") {
            true => [&GROUP[..], &replies, &reset, &QUIT].concat(),
            false => [&GROUP[..], &replies, &QUIT].concat(),
        };
        let delivery = send(&CHUNKING, &rest).await.expect("a reply is no error");
        assert_eq!(outcomes(&delivery), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_after_the_message_may_have_delivered_it() {
    for replies in [
        &[][..],
        &["S: 250 ok"],
        &["S: 250 ok", "S: 250 ok", "S: 250 ok"],
        &["S: 250 ok", "S: 250 ok", "S: 250 ok", "S: what?"],
    ] {
        let error = send(&CHUNKING, &[&GROUP[..], replies].concat())
            .await
            .expect_err("the end is missing");
        assert!(error.may_have_been_delivered(), "{error:?}");
        assert!(error.is_temporary());
    }
    // Nobody can have it if there was no sender or no recipient.
    let error = send(&CHUNKING, &[&GROUP[..], &["S: 550 no", "S: 503 order"]].concat())
        .await
        .expect_err("the end is missing");
    assert!(!error.may_have_been_delivered(), "{error:?}");
    let replies = ["S: 250 ok", "S: 550 no", "S: 550 no"];
    let delivery = send(&CHUNKING, &[&GROUP[..], &replies].concat())
        .await
        .expect("all has been said that matters");
    assert_eq!(outcomes(&delivery), [550, 550]);
}

#[tokio::test(start_paused = true)]
async fn step_by_step_too_a_message_is_counted_once_it_is_wanted() {
    let rest = [
        "C: BDAT 10 LAST",
        "C: .x",
        "C: y.",
        "C: ",
        "S: 250 ok",
        "C: BDAT 0 LAST",
        "S: 503 no",
    ];
    let rest = [&rest[..], &["C: DATA", "S: 354 go", "C: x", "C: .", "S: 250 ok"]].concat();
    let (stream, playing) = hop(&script(&["S: 250-CHUNKING"], &rest));
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    // No dot is stuffed, and a last line without line end gets one.
    assert!(
        connection
            .data(b".x\r\ny.\r\n\r\n")
            .await
            .is_ok_and(|reply| reply.is_positive())
    );
    assert!(connection.data(b"").await.is_ok_and(|reply| reply.code() == 503));
    connection.avoid_chunking();
    assert!(connection.data(b"x").await.is_ok_and(|reply| reply.is_positive()));
    playing.await.expect("the client keeps to the script");

    let (stream, playing) = hop(&script(&["S: 250-CHUNKING"], &["C: BDAT 3 LAST", "C: x", "S: 250 ok"]));
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    assert!(connection.data(b"x").await.is_ok_and(|reply| reply.is_positive()));
    for message in [&b"a\n"[..], b"a\r", b"\0"] {
        let error = connection.data(message).await.expect_err("chunks are no excuse");
        assert!(matches!(error, ClientError::NotCanonical { .. }), "{error:?}");
    }
    playing.await.expect("the client keeps to the script");
}

#[tokio::test(start_paused = true)]
async fn binary_messages_need_a_server_that_takes_them() {
    let binary = MailFrom {
        body: Body::BinaryMime,
        ..MailFrom::new("a@a.test")
    };
    let message = b"\0\n.\n\r";
    for offered in [
        &["S: 250-8BITMIME"][..],
        &["S: 250-CHUNKING"],
        // Without chunks there is no way to send it.
        &["S: 250-BINARYMIME"],
    ] {
        let (stream, playing) = hop(&script(offered, &QUIT));
        let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
        let error = connection
            .send(&binary, &recipients(&["b@b.test"]), message)
            .await
            .expect_err("it cannot go there");
        assert!(matches!(error, ClientError::BinaryNotOffered), "{error:?}");
        assert!(!error.is_temporary());
        connection.quit().await.expect("the script ends with QUIT");
        playing.await.expect("the client keeps to the script");
    }
    let (stream, _playing) = hop(&script(&["S: 250-CHUNKING", "S: 250-BINARYMIME"], &[]));
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    connection.avoid_chunking();
    let error = connection.mail(&binary).await.expect_err("it cannot go with DATA");
    assert!(matches!(error, ClientError::BinaryNotOffered), "{error:?}");

    let sink = Sink::new();
    let settings = Settings {
        chunking: crate::server::Chunking::OfferWithBinaryMime,
        ..Settings::new("mx.test")
    };
    let (address, _running) = serve(settings, sink.clone()).await;
    let mut connection = connect_to(address, TlsPolicy::Never, &testing::distrustful_tls())
        .await
        .expect("it listens");
    for _ in 0..2 {
        let delivery = connection.send(&binary, &recipients(&["b@b.test"]), message).await;
        assert!(delivery.expect("the message is sent").outcome(0).is_positive());
    }
    connection.mail(&binary).await.expect("a reply");
    connection.rcpt(&RcptTo::new("b@b.test")).await.expect("a reply");
    assert!(connection.data(message).await.is_ok_and(|reply| reply.is_positive()));
    let messages = sink.messages();
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|kept| kept.content == message));
}

#[tokio::test]
async fn large_messages_arrive_in_chunks_over_real_sockets() {
    let sink = Sink::new();
    let (address, _running) = serve(Settings::new("mx.test"), sink.clone()).await;
    let mut connection = connect_to(address, TlsPolicy::Never, &testing::distrustful_tls())
        .await
        .expect("it listens");
    assert!(connection.capabilities().offers("CHUNKING"));
    for size in [0, 1, 65_534, 65_536, 65_537, 131_072, 3_000_000] {
        let message = [&vec![b'.'; size][..], b"\r\n"].concat();
        let delivery = connection
            .send(&MailFrom::new(""), &recipients(&["b@b.test"]), &message)
            .await;
        assert!(delivery.expect("the message is sent").outcome(0).is_positive());
        let messages = sink.messages();
        assert!(messages.last().is_some_and(|kept| kept.content == message), "{size}");
    }
}
