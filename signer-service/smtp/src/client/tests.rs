//! Conversations of the client with a next hop that follows a transcript, and with the real server of this crate.

use std::net::SocketAddr;

use proptest::prelude::*;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream};
use tokio::task::JoinHandle;

use super::*;
use crate::server::{Server, Settings};
use crate::sink::Sink;
use crate::testing::{self, Recorder};

/// Plays the next hop: says the lines after `S: `, expects those after `C: `, and hangs up at the end. `S: ...` is
/// the silence of a server that will never say anything again.
fn hop(script: &[&str]) -> (DuplexStream, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(64 * 1024);
    let script: Vec<String> = script.iter().map(|line| (*line).to_owned()).collect();
    let playing = tokio::spawn(async move {
        let mut theirs = BufReader::new(theirs);
        for step in script {
            match step.split_at(3) {
                ("S: ", "...") => std::future::pending().await,
                ("S: ", line) => {
                    let line = if line.ends_with('\n') {
                        line.to_owned()
                    } else {
                        format!("{line}\r\n")
                    };
                    // The client may have hung up already, which is for its own test to judge.
                    let _ = theirs.write_all(line.as_bytes()).await;
                }
                (_, expected) => {
                    let mut line = String::new();
                    theirs.read_line(&mut line).await.expect("the client speaks UTF-8");
                    assert_eq!(line.strip_suffix("\r\n"), Some(expected));
                }
            }
        }
    });
    (ours, playing)
}

fn target(tls: TlsPolicy) -> Target {
    Target {
        host: "mx.test".to_owned(),
        port: 25,
        tls,
    }
}

async fn connect(stream: DuplexStream, tls: TlsPolicy) -> Result<Connection, ClientError> {
    let config = testing::distrustful_tls();
    Connection::over(stream, &target(tls), "me.test", &config, Timeouts::default()).await
}

/// Greeting and EHLO with some extensions, then `rest`.
fn script<'a>(extensions: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
    let mut script = vec!["S: 220 hop", "C: EHLO me.test", "S: 250-hop"];
    script.extend(extensions);
    script.push("S: 250 ENHANCEDSTATUSCODES");
    script.extend(rest);
    script
}

const EVERYTHING: [&str; 4] = [
    "S: 250-PIPELINING",
    "S: 250-SIZE 1000",
    "S: 250-8BITMIME",
    "S: 250-SMTPUTF8",
];

fn recipients(addresses: &[&str]) -> Vec<RcptTo> {
    addresses.iter().map(|address| RcptTo::new(*address)).collect()
}

/// Sends `x` to two recipients of a scripted hop, and ends with QUIT if the connection can still be used.
async fn send(extensions: &[&str], rest: &[&str]) -> Result<Delivery, ClientError> {
    let (stream, playing) = hop(&script(extensions, rest));
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    let result = connection
        .send(
            &MailFrom::new("a@a.test"),
            &recipients(&["b@b.test", "c@b.test"]),
            b"x\r\n",
        )
        .await;
    if connection.is_usable() {
        connection.quit().await.expect("the script ends with QUIT");
    } else {
        drop(connection);
    }
    playing.await.expect("the client keeps to the script");
    result
}

fn outcomes(delivery: &Delivery) -> [u16; 2] {
    [delivery.outcome(0).code(), delivery.outcome(1).code()]
}

const QUIT: [&str; 2] = ["C: QUIT", "S: 221 2.0.0 bye"];
const ENVELOPE: [&str; 4] = [
    "C: MAIL FROM:<a@a.test> SIZE=3",
    "C: RCPT TO:<b@b.test>",
    "C: RCPT TO:<c@b.test>",
    "C: DATA",
];

#[tokio::test(start_paused = true)]
async fn a_group_of_commands_goes_out_before_any_reply() {
    let replies = ["S: 250 2.1.0 ok", "S: 250 2.1.5 ok", "S: 550 5.1.1 no", "S: 354 go"];
    let message = ["C: x", "C: .", "S: 250 2.6.0 queued as 7"];
    let rest = [&ENVELOPE[..], &replies, &message, &QUIT].concat();
    let delivery = send(&EVERYTHING, &rest).await.expect("the message is sent");
    assert_eq!(outcomes(&delivery), [250, 550]);
    assert_eq!(delivery.outcome(0).text(), "queued as 7");
}

#[tokio::test(start_paused = true)]
async fn without_pipelining_every_reply_is_awaited() {
    let rest = [
        "C: MAIL FROM:<a@a.test>",
        "S: 250 ok",
        "C: RCPT TO:<b@b.test>",
        "S: 450 4.2.0 later",
        "C: RCPT TO:<c@b.test>",
        "S: 251 ok",
        "C: DATA",
        "S: 354 go",
        "C: x",
        "C: .",
        "S: 250 ok",
        "C: QUIT",
        "S: 221 bye",
    ];
    let delivery = send(&[], &rest).await.expect("the message is sent");
    assert_eq!(outcomes(&delivery), [450, 250]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_sender_is_the_outcome_of_all() {
    let replies = ["S: 550 5.7.1 no", "S: 503 order", "S: 503 order", "S: 503 order"];
    let delivery = send(&EVERYTHING, &[&ENVELOPE[..], &replies, &QUIT].concat())
        .await
        .expect("a reply is no error");
    assert_eq!(outcomes(&delivery), [550, 550]);
    assert_eq!((delivery.recipients.len(), delivery.message), (0, None));

    let rest = ["C: MAIL FROM:<a@a.test>", "S: 452 4.3.1 full", "C: QUIT", "S: 221 bye"];
    let delivery = send(&[], &rest).await.expect("a reply is no error");
    assert_eq!(outcomes(&delivery), [452, 452]);
}

#[tokio::test(start_paused = true)]
async fn a_message_for_nobody_is_not_sent() {
    let replies = ["S: 250 ok", "S: 550 no", "S: 450 later"];
    let reset = ["C: RSET", "S: 250 ok"];
    for data in [
        &["S: 554 nobody"][..],
        &["S: 354 go", "C: .", "S: 554 nobody"],
        &["S: 354 go", "C: .", "S: 250 ok"],
    ] {
        let rest = [&ENVELOPE[..], &replies, data, &reset, &QUIT].concat();
        let delivery = send(&EVERYTHING, &rest).await.expect("a reply is no error");
        assert_eq!((outcomes(&delivery), delivery.message), ([550, 450], None));
    }
    let rest = [
        "C: MAIL FROM:<a@a.test>",
        "S: 250 ok",
        "C: RCPT TO:<b@b.test>",
        "S: 550 no",
        "C: RCPT TO:<c@b.test>",
        "S: 550 no",
        "C: RSET",
        "S: 250 ok",
        "C: QUIT",
        "S: 221 bye",
    ];
    assert_eq!(
        outcomes(&send(&[], &rest).await.expect("a reply is no error")),
        [550, 550]
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_message_is_the_outcome_of_the_accepted() {
    let replies = ["S: 250 ok", "S: 250 ok", "S: 550 no", "S: 451 4.3.0 not now"];
    let rest = [&ENVELOPE[..], &replies, &["C: RSET", "S: 250 ok"], &QUIT].concat();
    assert_eq!(
        outcomes(&send(&EVERYTHING, &rest).await.expect("a reply is no error")),
        [451, 550]
    );

    let replies = [
        "S: 250 ok",
        "S: 250 ok",
        "S: 550 no",
        "S: 354 go",
        "C: x",
        "C: .",
        "S: 554 5.6.0 bad",
    ];
    let rest = [&ENVELOPE[..], &replies, &["C: RSET", "S: 250 ok"], &QUIT].concat();
    assert_eq!(
        outcomes(&send(&EVERYTHING, &rest).await.expect("a reply is no error")),
        [554, 550]
    );
}

#[tokio::test(start_paused = true)]
async fn many_recipients_go_in_groups() {
    let sink = Sink::new();
    sink.refuse("r70@b.test", Reply::refused([5, 1, 1], "No such mailbox"));
    let settings = Settings {
        max_recipients: 110,
        ..Settings::new("mx.test")
    };
    let (address, _running) = serve(settings, sink.clone()).await;
    let mut connection = connect_to(address, TlsPolicy::Never, &testing::distrustful_tls())
        .await
        .expect("it listens");
    let to: Vec<RcptTo> = (0..120)
        .map(|number| RcptTo::new(format!("r{number}@b.test")))
        .collect();
    let delivery = connection
        .send(&MailFrom::new(""), &to, b"x\r\n")
        .await
        .expect("the message is sent");
    let codes: Vec<u16> = (0..120).map(|index| delivery.outcome(index).code()).collect();
    let expected: Vec<u16> = (0..120)
        .map(|index| {
            if index == 70 {
                550
            } else if index < 110 {
                250
            } else {
                452
            }
        })
        .collect();
    assert_eq!(codes, expected);
    let messages = sink.messages();
    assert_eq!((messages.len(), messages[0].recipients.len()), (1, 109));
    connection.quit().await.expect("the server says goodbye");
}

/// The whole conversation without pipelining, and the phase that each reply belongs to.
const CONVERSATION: [(&str, Option<Phase>); 13] = [
    ("S: 220 hop", Some(Phase::Greeting)),
    ("C: EHLO me.test", None),
    ("S: 250 hop", Some(Phase::Hello)),
    ("C: MAIL FROM:<a@a.test>", None),
    ("S: 250 ok", Some(Phase::Mail)),
    ("C: RCPT TO:<b@b.test>", None),
    ("S: 250 ok", Some(Phase::Rcpt)),
    ("C: DATA", None),
    ("S: 354 go", Some(Phase::Data)),
    ("C: x", None),
    ("C: .", None),
    ("S: 250 ok", Some(Phase::EndOfMessage)),
    ("C: QUIT", None),
];

/// Runs the conversation with `instead` in place of the reply of each phase, and gives back how it ended.
async fn spoil(instead: &[&'static str]) -> Vec<(Phase, ClientError)> {
    let mut results = Vec::new();
    for (index, phase) in CONVERSATION.iter().enumerate() {
        let Some(phase) = phase.1 else { continue };
        let mut script: Vec<&str> = CONVERSATION[..index].iter().map(|(line, _)| *line).collect();
        script.extend(instead);
        let (stream, playing) = hop(&script);
        let error = async {
            let mut connection = connect(stream, TlsPolicy::Never).await?;
            let result = connection
                .send(&MailFrom::new("a@a.test"), &recipients(&["b@b.test"]), b"x\r\n")
                .await;
            assert!(!connection.is_usable(), "in phase {phase:?}");
            // Whatever is asked of it now, it does not go on.
            assert!(connection.reset().await.is_err());
            result
        };
        results.push((phase, error.await.expect_err("the conversation was spoilt")));
        playing.abort();
    }
    assert_eq!(results.len(), 6);
    results
}

#[tokio::test(start_paused = true)]
async fn a_next_hop_that_dies_is_a_temporary_failure_in_every_phase() {
    for (phase, error) in spoil(&[]).await {
        assert!(
            matches!(&error, ClientError::Closed { phase: at } | ClientError::Io { phase: at, .. } if *at == phase),
            "{phase:?}: {error:?}"
        );
        assert!(error.is_temporary());
        assert_eq!(
            error.may_have_been_delivered(),
            phase == Phase::EndOfMessage,
            "{phase:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_next_hop_that_falls_silent_is_given_up_in_every_phase() {
    for (phase, error) in spoil(&["S: ..."]).await {
        let ClientError::TimedOut { phase: at, waited } = &error else {
            panic!("{phase:?}: {error:?}")
        };
        let minutes = match phase {
            Phase::Data => 2,
            Phase::EndOfMessage => 10,
            _ => 5,
        };
        assert_eq!((*at, waited.as_secs()), (phase, minutes * 60));
        assert!(error.is_temporary());
        assert_eq!(error.may_have_been_delivered(), phase == Phase::EndOfMessage);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_reply_is_refused_in_every_phase() {
    for nonsense in [
        &["S: hello"][..],
        &["S: 250-a", "S: 354 b"],
        &["S: 250 lf only\n"],
        &["S: 099 x"],
    ] {
        for (phase, error) in spoil(nonsense).await {
            assert!(
                matches!(&error, ClientError::NotAReply { phase: at, .. } if *at == phase),
                "{phase:?}: {error:?}"
            );
            assert!(error.is_temporary());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_end_is_refused_in_every_phase() {
    let long = String::leak(format!("S: 250 {}", "x".repeat(5000)));
    let lines = ["S: 250-more"; 200];
    for endless in [&[&*long][..], &lines] {
        for (phase, error) in spoil(endless).await {
            assert!(
                matches!(&error, ClientError::EndlessReply { phase: at } if *at == phase),
                "{phase:?}: {error:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_of_the_wrong_kind_is_refused() {
    let (stream, _playing) = hop(&script(&[], &["C: MAIL FROM:<a@a.test>", "S: 354 go"]));
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    let error = connection
        .mail(&MailFrom::new("a@a.test"))
        .await
        .expect_err("354 is no answer to MAIL");
    assert!(
        matches!(error, ClientError::NotAReply { phase: Phase::Mail, .. }),
        "{error:?}"
    );
    assert!(!connection.is_usable());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_at_the_door_is_temporary_or_not_as_the_hop_says() {
    for (refusal, phase, temporary) in [
        (&["S: 554 5.7.1 go away"][..], Phase::Greeting, false),
        (&["S: 421 4.3.2 busy"], Phase::Greeting, true),
        (
            &["S: 220 hop", "C: EHLO me.test", "S: 421 4.3.2 busy"],
            Phase::Hello,
            true,
        ),
        (
            &[
                "S: 220 hop",
                "C: EHLO me.test",
                "S: 550 no",
                "C: HELO me.test",
                "S: 550 no",
            ],
            Phase::Hello,
            false,
        ),
    ] {
        let (stream, _playing) = hop(refusal);
        let error = connect(stream, TlsPolicy::Never).await.expect_err("the hop refuses");
        assert!(
            matches!(&error, ClientError::Refused { phase: at, .. } if *at == phase),
            "{error:?}"
        );
        assert_eq!(error.is_temporary(), temporary, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_only_knows_helo_gets_no_parameters() {
    let hello = [
        "S: 220 hop",
        "C: EHLO me.test",
        "S: 502 what?",
        "C: HELO me.test",
        "S: 250 hop",
    ];
    let (stream, playing) = hop(&[&hello[..], &["C: MAIL FROM:<a@a.test>", "S: 250 ok"]].concat());
    let mut connection = connect(stream, TlsPolicy::Opportunistic).await.expect("HELO will do");
    let from = MailFrom {
        size: Some(5),
        ..MailFrom::new("a@a.test")
    };
    assert!(connection.mail(&from).await.expect("a reply").is_positive());
    playing.await.expect("the client keeps to the script");
    let from = MailFrom {
        body: Body::EightBitMime,
        ..from
    };
    assert!(matches!(
        connection.mail(&from).await,
        Err(ClientError::EightBitNotOffered)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_421_ends_the_use_of_the_connection() {
    let (stream, _playing) = hop(&script(&[], &["C: MAIL FROM:<a@a.test>", "S: 421 4.3.2 bye", "S: ..."]));
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    let reply = connection
        .mail(&MailFrom::new("a@a.test"))
        .await
        .expect("421 is a reply");
    assert!(reply.is_transient() && !connection.is_usable());
    let error = connection
        .rcpt(&RcptTo::new("b@b.test"))
        .await
        .expect_err("the server has taken leave");
    assert!(matches!(error, ClientError::Closed { phase: Phase::Rcpt }));
}

#[tokio::test(start_paused = true)]
async fn the_last_words_of_a_hop_are_heard() {
    // The hop reads only the start of a message that does not fit into the pipe, says 552 and hangs up.
    let start = [
        "C: MAIL FROM:<a@a.test>",
        "S: 250 ok",
        "C: RCPT TO:<b@b.test>",
        "S: 250 ok",
        "C: DATA",
        "S: 354 go",
    ];
    let rest = [&start[..], &["C: x", "S: 552 5.3.4 too large"]].concat();
    let (stream, _playing) = hop(&script(&[], &rest));
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    let message = b"x\r\n".repeat(200_000);
    let delivery = connection
        .send(&MailFrom::new("a@a.test"), &recipients(&["b@b.test"]), &message)
        .await;
    let delivery = delivery.expect("the reply was heard");
    assert_eq!(delivery.outcome(0).code(), 552);
    assert!(!connection.is_usable());
}

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

#[tokio::test(start_paused = true)]
async fn parameters_are_passed_on() {
    let rest = [
        "C: MAIL FROM:<a@a.test> SIZE=9 BODY=8BITMIME SMTPUTF8 RET=HDRS",
        "S: 250 ok",
    ];
    let rest = [&rest[..], &["C: RCPT TO:<b@b.test> NOTIFY=NEVER", "S: 250 ok"]].concat();
    let (stream, playing) = hop(&script(&EVERYTHING, &rest));
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    let parameter = |word| vec![Parameter::parse(word).expect("a parameter")];
    let from = MailFrom {
        address: "a@a.test".to_owned(),
        body: Body::EightBitMime,
        smtputf8: true,
        size: Some(9),
        parameters: parameter("RET=HDRS"),
    };
    connection.mail(&from).await.expect("a reply");
    let to = RcptTo {
        address: "b@b.test".to_owned(),
        parameters: parameter("NOTIFY=NEVER"),
    };
    connection.rcpt(&to).await.expect("a reply");
    playing.await.expect("the client keeps to the script");
}

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

async fn serve(settings: Settings, service: impl crate::server::Service) -> (SocketAddr, JoinHandle<()>) {
    let server = Server::bind("127.0.0.1:0", settings, service)
        .await
        .expect("a free port");
    (server.local_addr(), tokio::spawn(server.run(std::future::pending())))
}

async fn connect_to(
    address: SocketAddr,
    tls: TlsPolicy,
    config: &Arc<ClientConfig>,
) -> Result<Connection, ClientError> {
    let target = Target {
        host: address.ip().to_string(),
        port: address.port(),
        tls,
    };
    Connection::connect(&target, "me.test", config, Timeouts::default()).await
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
async fn nobody_there_is_a_temporary_failure() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    drop(listener);
    let error = connect_to(address, TlsPolicy::Never, &testing::distrustful_tls())
        .await
        .expect_err("nobody there");
    assert!(
        matches!(error, ClientError::Connect { .. }) && error.is_temporary(),
        "{error:?}"
    );
}

#[tokio::test]
async fn one_connection_takes_many_messages_after_refusals() {
    let recorder = Recorder::default();
    let (address, _running) = serve(Settings::new("mx.test"), recorder.clone()).await;
    let mut connection = connect_to(address, TlsPolicy::Never, &testing::distrustful_tls())
        .await
        .expect("it listens");
    for (from, to, message, expected) in [
        ("a@a.test", ["b@b.test", "c@b.test"], "x\r\n", [250, 250]),
        ("never@a.test", ["b@b.test", "c@b.test"], "x\r\n", [550, 550]),
        ("a@a.test", ["never@b.test", "later@b.test"], "x\r\n", [550, 450]),
        ("a@a.test", ["never@b.test", "b@b.test"], "later\r\n", [550, 450]),
        ("a@a.test", ["b@b.test", "never@b.test"], "no line end", [250, 550]),
    ] {
        let delivery = connection
            .send(&MailFrom::new(from), &recipients(&to), message.as_bytes())
            .await;
        assert_eq!(outcomes(&delivery.expect("replies are no errors")), expected);
    }
    assert_eq!(
        recorder.calls().last().map(String::as_str),
        Some("data no line end\\r\\n")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What is sent is what arrives, octet for octet, over real sockets.
    #[test]
    fn messages_arrive_as_they_were_sent(
        messages in prop::collection::vec(prop::collection::vec("[.]{0,3}[ -~ü]{0,90}", 0..30), 1..4),
        padding in 0_usize..200_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let sink = Sink::new();
            let (address, _running) = serve(Settings::new("mx.test"), sink.clone()).await;
            let config = testing::distrustful_tls();
            let mut connection = connect_to(address, TlsPolicy::Never, &config).await.expect("it listens");
            for (index, lines) in messages.iter().enumerate() {
                // The padding moves the lines over the seams between the pieces in which the message is sent.
                let mut message = format!("{}\r\n", "y".repeat(padding)).into_bytes();
                message.extend(lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()));
                let delivery = connection.send(&MailFrom::new(""), &recipients(&["b@b.test"]), &message).await;
                assert!(delivery.expect("the message is sent").outcome(0).is_positive());
                assert!(sink.messages()[index].content == message);
            }
        });
    }
}

/// The octets on the wire, without the help of the server of this crate.
#[tokio::test(start_paused = true)]
async fn dots_are_stuffed_once_and_only_at_line_starts() {
    let (stream, theirs) = tokio::io::duplex(1 << 20);
    let (mut reading, mut writing) = tokio::io::split(theirs);
    writing
        .write_all(b"220 hop\r\n250 hop\r\n354 go\r\n250 ok\r\n")
        .await
        .expect("there is room");
    let mut connection = connect(stream, TlsPolicy::Never).await.expect("the greeting is good");
    connection
        .data(b".\r\n..a\r\nb.\r\n\r\n.c")
        .await
        .expect("the message is sent");
    drop(connection);
    let mut sent = String::new();
    reading
        .read_to_string(&mut sent)
        .await
        .expect("the client speaks ASCII");
    assert_eq!(sent, "EHLO me.test\r\nDATA\r\n..\r\n...a\r\nb.\r\n\r\n..c\r\n.\r\n");
}
