//! Conversations of the client with a mailbox server that speaks LMTP.

use super::*;

async fn connect_lmtp(stream: DuplexStream) -> Result<Connection, ClientError> {
    let config = testing::distrustful_tls();
    let target = target(TlsPolicy::Never);
    Connection::over_lmtp(stream, &target, "me.test", &config, Timeouts::default()).await
}

fn lmtp_script<'a>(extensions: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
    let mut script = script(extensions, rest);
    script[1] = "C: LHLO me.test";
    script
}

/// Sends `x` to three recipients.
async fn send_to_three(extensions: &[&str], rest: &[&str]) -> Result<Delivery, ClientError> {
    let (stream, playing) = hop(&lmtp_script(extensions, rest));
    let mut connection = connect_lmtp(stream).await.expect("the greeting is good");
    let to = recipients(&["b@b.test", "c@b.test", "d@b.test"]);
    let result = connection.send(&MailFrom::new("a@a.test"), &to, b"x\r\n").await;
    drop(connection);
    playing.await.expect("the client keeps to the script");
    result
}

fn codes(delivery: &Delivery) -> [u16; 3] {
    [0, 1, 2].map(|index| delivery.outcome(index).code())
}

const ENVELOPE: [&str; 4] = [
    "C: MAIL FROM:<a@a.test>",
    "C: RCPT TO:<b@b.test>",
    "C: RCPT TO:<c@b.test>",
    "C: RCPT TO:<d@b.test>",
];
const ACCEPTED_BUT_ONE: [&str; 4] = ["S: 250 ok", "S: 250 ok", "S: 550 5.1.1 no", "S: 250 ok"];

#[tokio::test(start_paused = true)]
async fn every_recipient_has_an_answer_of_its_own() {
    let end = ["C: x", "C: .", "S: 250 2.1.5 one", "S: 452 4.2.2 full"];
    let rest = [&ENVELOPE[..], &["C: DATA"], &ACCEPTED_BUT_ONE, &["S: 354 go"], &end].concat();
    let delivery = send_to_three(&["S: 250-PIPELINING"], &rest)
        .await
        .expect("replies are no errors");
    assert_eq!(codes(&delivery), [250, 550, 452]);
    assert_eq!((delivery.message, delivery.per_recipient.len()), (None, 2));

    let end = ["S: 250 2.1.5 one", "S: 452 4.2.2 full"];
    let rest = [&ENVELOPE[..], &["C: BDAT 3 LAST", "C: x"], &ACCEPTED_BUT_ONE, &end].concat();
    let delivery = send_to_three(&["S: 250-PIPELINING", "S: 250-CHUNKING"], &rest)
        .await
        .expect("replies are no errors");
    assert_eq!(codes(&delivery), [250, 550, 452]);
}

#[tokio::test(start_paused = true)]
async fn one_refusal_may_be_for_all() {
    let reset = ["C: RSET", "S: 250 ok"];
    let rest = [
        &ENVELOPE[..],
        &["C: DATA"],
        &ACCEPTED_BUT_ONE,
        &["S: 451 4.3.0 not now"],
        &reset,
    ]
    .concat();
    let delivery = send_to_three(&["S: 250-PIPELINING"], &rest)
        .await
        .expect("replies are no errors");
    assert_eq!(codes(&delivery), [451, 550, 451]);

    // RFC 2033 section 4.2: without any recipient there is one answer to DATA.
    let refused = ["S: 250 ok", "S: 550 no", "S: 550 no", "S: 450 no", "S: 503 nobody"];
    let rest = [&ENVELOPE[..], &["C: DATA"], &refused, &reset].concat();
    let delivery = send_to_three(&["S: 250-PIPELINING"], &rest)
        .await
        .expect("replies are no errors");
    assert_eq!(codes(&delivery), [550, 550, 450]);
    let rest = [&ENVELOPE[..], &["C: BDAT 3 LAST", "C: x"], &refused, &reset].concat();
    let delivery = send_to_three(&["S: 250-PIPELINING", "S: 250-CHUNKING"], &rest)
        .await
        .expect("replies are no errors");
    assert_eq!(codes(&delivery), [550, 550, 450]);

    let end = ["C: x", "C: .", "S: 554 5.6.0 bad", "S: 554 5.6.0 bad"];
    let rest = [
        &ENVELOPE[..],
        &["C: DATA"],
        &ACCEPTED_BUT_ONE,
        &["S: 354 go"],
        &end,
        &reset,
    ]
    .concat();
    let delivery = send_to_three(&["S: 250-PIPELINING"], &rest)
        .await
        .expect("replies are no errors");
    assert_eq!(codes(&delivery), [554, 550, 554]);
}

#[tokio::test(start_paused = true)]
async fn answers_that_came_are_not_lost_with_those_that_did_not() {
    let begin = [
        &ENVELOPE[..],
        &["C: DATA"],
        &ACCEPTED_BUT_ONE,
        &["S: 354 go", "C: x", "C: ."],
    ]
    .concat();
    for end in [
        &["S: 250 one"][..],
        &["S: 250 one", "S: what?"],
        &["S: 250 one", "S: 354 what?"],
    ] {
        let delivery = send_to_three(&["S: 250-PIPELINING"], &[&begin[..], end].concat())
            .await
            .expect("one answer has come");
        assert_eq!(codes(&delivery), [250, 550, 451]);
    }
    let error = send_to_three(&["S: 250-PIPELINING"], &begin)
        .await
        .expect_err("no answer has come");
    assert!(error.may_have_been_delivered());
}

#[tokio::test(start_paused = true)]
async fn step_by_step_the_answers_come_together() {
    let envelope = [
        "C: MAIL FROM:<a@a.test>",
        "S: 250 ok",
        "C: RCPT TO:<b@b.test>",
        "S: 250 ok",
        "C: RCPT TO:<c@b.test>",
        "S: 550 no",
        "C: RCPT TO:<d@b.test>",
        "S: 250 ok",
    ];
    let rest = [
        &envelope[..],
        &["C: DATA", "S: 354 go", "C: x", "C: .", "S: 250 one", "S: 450 two"],
    ]
    .concat();
    let (stream, playing) = hop(&lmtp_script(&[], &rest));
    let mut connection = connect_lmtp(stream).await.expect("the greeting is good");
    connection.mail(&MailFrom::new("a@a.test")).await.expect("a reply");
    for address in ["b@b.test", "c@b.test", "d@b.test"] {
        connection.rcpt(&RcptTo::new(address)).await.expect("a reply");
    }
    let error = connection.data(b"x\r\n").await.expect_err("one answer is not enough");
    assert!(matches!(error, ClientError::RepliesPerRecipient), "{error:?}");
    let replies = connection.data_each(b"x\r\n").await.expect("replies");
    assert_eq!(replies.iter().map(Reply::code).collect::<Vec<_>>(), [250, 450]);
    playing.await.expect("the client keeps to the script");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_know_lhlo_is_left() {
    let (stream, playing) = hop(&["S: 220 hop", "C: LHLO me.test", "S: 500 what?"]);
    let error = connect_lmtp(stream).await.expect_err("it is no LMTP server");
    assert!(
        matches!(
            error,
            ClientError::Refused {
                phase: Phase::Hello,
                ..
            }
        ),
        "{error:?}"
    );
    playing.await.expect("HELO is not tried");
}
