//! Conversations of the client with a next hop that follows a transcript, and with the real server of this crate.

mod chunks;
mod failures;
mod lmtp;
mod login;
mod refusals;
mod tls;

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
            if padding % 2 == 0 {
                connection.avoid_chunking();
            }
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
