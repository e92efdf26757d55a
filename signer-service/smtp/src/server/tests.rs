//! Conversations with the server, over a pipe in memory and a clock that only moves when nobody has anything to do.

mod chunks;
mod limits;
mod login;
mod speaking_for;
mod tls;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::testing::{self, Recorder};
use crate::wire::Stream;

/// The client's side of a conversation.
struct Talk {
    stream: BufReader<Box<dyn Stream>>,
    recorder: Recorder,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Talk {
    /// A conversation before its greeting.
    fn before_greeting(settings: Settings, recorder: Recorder) -> Self {
        let address = SocketAddr::from(([192, 0, 2, 1], 1025));
        Self::from_address(address, Entrance::StartTls, settings, recorder)
    }

    fn from_address(address: SocketAddr, entrance: Entrance, settings: Settings, recorder: Recorder) -> Self {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (stop, stopping) = watch::channel(false);
        let service = recorder.clone();
        let budget = Budget::new(settings.max_memory);
        let server = tokio::spawn(async move {
            let theirs = Box::new(theirs);
            connection::serve(theirs, address, entrance, &settings, &service, &budget, stopping).await;
        });
        Self {
            stream: BufReader::new(Box::new(ours)),
            recorder,
            stop,
            server,
        }
    }

    async fn greeted_with(settings: Settings) -> Self {
        let mut talk = Self::before_greeting(settings, Recorder::default());
        assert_eq!(talk.reply().await, "220 mx.test ESMTP");
        talk
    }

    async fn with(settings: Settings) -> Self {
        let mut talk = Self::greeted_with(settings).await;
        talk.check("EHLO client.test", "250-mx.test").await;
        talk
    }

    /// A conversation after EHLO.
    async fn new() -> Self {
        Self::with(settings()).await
    }

    /// A conversation that waits for the message.
    async fn in_data() -> Self {
        let mut talk = Self::new().await;
        talk.check("MAIL FROM:<a@a.test>", "250 2.1.0").await;
        talk.check("RCPT TO:<b@b.test>", "250 2.1.5").await;
        talk.check("DATA", "354 ").await;
        talk
    }

    async fn send(&mut self, octets: impl AsRef<[u8]>) {
        self.stream
            .write_all(octets.as_ref())
            .await
            .expect("the server is there");
        self.stream.flush().await.expect("the server is there");
    }

    /// One reply with all its lines, or nothing at the end of the connection.
    async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            self.stream.read_line(&mut reply).await.expect("replies are UTF-8");
            if reply[start..].get(3..4) != Some("-") {
                return reply.trim_end().replace("\r\n", "\n");
            }
        }
    }

    #[track_caller]
    fn check(&mut self, command: &str, expected: &'static str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        let command = command.to_owned();
        async move {
            self.send(format!("{command}\r\n")).await;
            let reply = self.reply().await;
            assert!(
                reply.starts_with(expected),
                "{command:?} was answered {reply:?} instead of {expected:?}, {place}"
            );
        }
    }

    async fn check_closed(mut self) -> Vec<String> {
        let mut rest = String::new();
        self.stream
            .read_to_string(&mut rest)
            .await
            .expect("the server closes in order");
        assert_eq!(rest, "");
        drop(self.stream);
        self.server.await.expect("the connection does not panic");
        self.recorder.calls()
    }

    /// What the session was asked, without the greeting.
    fn calls(&self) -> Vec<String> {
        self.recorder
            .calls()
            .into_iter()
            .filter(|call| !call.starts_with("greeted"))
            .collect()
    }

    async fn start_tls(mut self, config: &Arc<rustls::ClientConfig>) -> Self {
        self.check("STARTTLS", "220 2.0.0").await;
        self.handshake(config).await
    }

    async fn handshake(self, config: &Arc<rustls::ClientConfig>) -> Self {
        let name = rustls_pki_types::ServerName::try_from("mx.test").expect("a host name");
        let connector = tokio_rustls::TlsConnector::from(config.clone());
        let stream = connector
            .connect(name, self.stream.into_inner())
            .await
            .expect("the handshake succeeds");
        Self {
            stream: BufReader::new(Box::new(stream)),
            ..self
        }
    }
}

fn settings() -> Settings {
    Settings {
        max_message_size: 100,
        max_recipients: 3,
        max_errors: 5,
        ..Settings::new("mx.test")
    }
}

#[tokio::test(start_paused = true)]
async fn the_extensions_are_announced() {
    let (tls, _) = testing::tls("mx.test");
    let mut talk = Talk::greeted_with(Settings {
        tls: Some(tls),
        extensions: vec![Extension::DSN],
        ..settings()
    })
    .await;
    talk.send("EHLO client.test\r\n").await;
    let expected = "250-mx.test\n250-PIPELINING\n250-SIZE 100\n250-8BITMIME\n250-SMTPUTF8\n250-ENHANCEDSTATUSCODES\n\
                    250-CHUNKING\n250-STARTTLS\n250 DSN";
    assert_eq!(talk.reply().await, expected);
    talk.check("MAIL FROM:<a@a.test> RET=HDRS", "250 ").await;
    talk.check("HELO client.test", "250 mx.test").await;
    assert_eq!(
        talk.recorder.calls().last().map(String::as_str),
        Some("greeted by client.test with SMTP")
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_reaches_the_session() {
    let mut talk = Talk::in_data().await;
    talk.check("Subject: x\r\n\r\n..dot\r\n.", "250 2.6.0").await;
    talk.check("MAIL FROM:<>", "250 2.1.0").await;
    talk.check("RCPT TO:<Postmaster>", "250 2.1.5").await;
    talk.check("DATA", "354 ").await;
    talk.check(".", "250 2.6.0").await;
    talk.check("QUIT", "221 2.0.0").await;
    let calls = talk.check_closed().await;
    let expected = [
        "greeted by client.test with ESMTP",
        "mail a@a.test",
        "rcpt b@b.test",
        "data Subject: x\\r\\n\\r\\n.dot\\r\\n",
        "mail ",
        "rcpt Postmaster",
        "data ",
    ];
    assert_eq!(calls, expected);
}

#[tokio::test(start_paused = true)]
async fn pipelined_commands_are_answered_in_order() {
    let mut talk = Talk::new().await;
    let group = "MAIL FROM:<a@a.test>\r\nRCPT TO:<never@b.test>\r\nRCPT TO:<b@b.test>\r\nNOOP\r\nDATA\r\n";
    talk.send(group).await;
    for expected in ["250 2.1.0", "550 5.7.1", "250 2.1.5", "250 2.0.0", "354 "] {
        let reply = talk.reply().await;
        assert!(reply.starts_with(expected), "{reply} instead of {expected}");
    }
    // The next group may follow the end of the message in the same breath.
    talk.send("x\r\n.\r\nMAIL FROM:<c@c.test>\r\nRCPT TO:<later@b.test>\r\nDATA\r\n")
        .await;
    for expected in ["250 2.6.0", "250 2.1.0", "450 4.7.1", "554 5.5.1"] {
        let reply = talk.reply().await;
        assert!(reply.starts_with(expected), "{reply} instead of {expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn commands_out_of_order_are_refused() {
    let mut talk = Talk::greeted_with(Settings {
        max_errors: 50,
        ..settings()
    })
    .await;
    talk.check("MAIL FROM:<a@a.test>", "503 5.5.1").await;
    talk.check("RCPT TO:<a@a.test>", "503 5.5.1").await;
    talk.check("DATA", "503 5.5.1").await;
    talk.check("EHLO client.test", "250-").await;
    talk.check("RCPT TO:<a@a.test>", "503 5.5.1").await;
    talk.check("DATA", "503 5.5.1").await;
    talk.check("MAIL FROM:<never@a.test>", "550 5.7.1").await;
    talk.check("RCPT TO:<a@a.test>", "503 5.5.1").await;
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
    talk.check("MAIL FROM:<c@a.test>", "503 5.5.1").await;
    talk.check("DATA", "503 5.5.1").await;
    talk.check("RCPT TO:<never@b.test>", "550 5.7.1").await;
    talk.check("DATA", "554 5.5.1").await;
    talk.check("RSET", "250 2.0.0").await;
    talk.check("RCPT TO:<a@a.test>", "503 5.5.1").await;
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
    talk.check("EHLO client.test", "250-").await;
    talk.check("RCPT TO:<a@a.test>", "503 5.5.1").await;
    let expected = [
        "mail never@a.test",
        "mail a@a.test",
        "rcpt never@b.test",
        "reset",
        "mail a@a.test",
        "reset",
    ];
    assert_eq!(talk.calls(), expected);
}

#[tokio::test(start_paused = true)]
async fn commands_that_are_not_served_are_refused() {
    let mut talk = Talk::with(Settings {
        max_errors: 50,
        ..settings()
    })
    .await;
    talk.check("VRFY root", "252 ").await;
    talk.check("HELP", "214 ").await;
    talk.check("EXPN staff", "502 5.5.1").await;
    talk.check("AUTH PLAIN AAAA", "502 5.5.1").await;
    talk.check("ETRN example.test", "502 5.5.1").await;
    talk.check("LHLO example.test", "502 5.5.1").await;
    talk.check("STARTTLS", "502 5.5.1").await;
    talk.check("XCLIENT NAME=x", "550 5.7.0").await;
    talk.check("XFORWARD NAME=x", "550 5.7.0").await;
    talk.check("MAIL FROM:<a@a.test> BODY=BINARYMIME", "501 5.5.4").await;
    talk.check("MAIL FROM:<a@a.test> RET=FULL", "555 5.5.4").await;
    assert_eq!(talk.calls(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_bdat_takes_its_payload_with_it() {
    let mut talk = Talk::with(Settings {
        chunking: Chunking::Off,
        ..settings()
    })
    .await;
    talk.send("MAIL FROM:<a@a.test>\r\nRCPT TO:<b@b.test>\r\nBDAT 30 LAST\r\nMAIL FROM:<evil@a.test>\r\n")
        .await;
    for expected in ["250 2.1.0", "250 2.1.5", "502 5.5.1"] {
        assert!(talk.reply().await.starts_with(expected));
    }
    assert_eq!(talk.check_closed().await[1..], ["mail a@a.test", "rcpt b@b.test"]);
}

#[tokio::test(start_paused = true)]
async fn a_browser_is_sent_away() {
    let mut talk = Talk::greeted_with(settings()).await;
    talk.send("POST / HTTP/1.1\r\nHost: mx.test\r\n\r\nEHLO x\r\nMAIL FROM:<evil@a.test>\r\n")
        .await;
    assert!(talk.reply().await.starts_with("500 5.5.1"));
    assert_eq!(talk.check_closed().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn smuggled_messages_are_part_of_a_refused_message() {
    for end in [
        "\n.\n",
        "\r\n.\n",
        "\n.\r\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\r",
        "\r\n.\r\r\n",
        "\r\n.\0\r\n",
        "\r\n\0.\r\n",
    ] {
        let mut talk = Talk::in_data().await;
        let smuggled = "MAIL FROM:<evil@a.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\nx";
        talk.check(&format!("text{end}{smuggled}\r\n."), "550 5.6.0").await;
        // And the conversation goes on in step.
        talk.check("NOOP", "250 2.0.0").await;
        assert_eq!(
            talk.calls(),
            ["mail a@a.test", "rcpt b@b.test", "reset"],
            "{}",
            end.escape_debug()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_sent_with_data_itself_is_refused() {
    let mut talk = Talk::new().await;
    talk.send("MAIL FROM:<a@a.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\nx\r\n.\r\n")
        .await;
    for expected in ["250 2.1.0", "250 2.1.5", "503 5.5.0"] {
        assert!(talk.reply().await.starts_with(expected));
    }
    assert_eq!(talk.check_closed().await[1..], ["mail a@a.test", "rcpt b@b.test"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_its_end_is_no_message() {
    for cut in ["", "x", "x\r", "x\r\n", "x\r\n.", "x\r\n.\r"] {
        let mut talk = Talk::in_data().await;
        talk.send(cut).await;
        // Half-open: the client has stopped sending and still listens.
        talk.stream.shutdown().await.expect("the pipe is open");
        assert_eq!(
            talk.check_closed().await[1..],
            ["mail a@a.test", "rcpt b@b.test"],
            "{cut:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_sending_still_gets_its_replies() {
    let mut talk = Talk::new().await;
    talk.send("MAIL FROM:<a@a.test>\r\nRCPT TO:<b@b.test>\r\nNOO").await;
    talk.stream.shutdown().await.expect("the pipe is open");
    assert!(talk.reply().await.starts_with("250 2.1.0"));
    assert!(talk.reply().await.starts_with("250 2.1.5"));
    talk.check_closed().await;
}

#[tokio::test(start_paused = true)]
async fn addresses_beyond_ascii_need_smtputf8() {
    let mut talk = Talk::new().await;
    talk.check("MAIL FROM:<ü@a.test>", "553 5.6.7").await;
    talk.check("MAIL FROM:<a@ü.test> BODY=8BITMIME", "553 5.6.7").await;
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
    talk.check("RCPT TO:<ü@b.test>", "553 5.6.7").await;
    talk.check("RSET", "250 ").await;
    talk.check("MAIL FROM:<ü@a.test> SMTPUTF8", "250 ").await;
    talk.check("RCPT TO:<b@ü.test>", "250 ").await;
    assert_eq!(
        talk.calls(),
        ["mail a@a.test", "reset", "mail ü@a.test", "rcpt b@ü.test"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_can_be_refused_at_the_door() {
    let recorder = Recorder {
        refuse_connections: true,
        ..Recorder::default()
    };
    let mut talk = Talk::before_greeting(settings(), recorder);
    assert_eq!(talk.reply().await, "554 5.7.1 Not you");
    talk.check_closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_session_can_end_the_connection() {
    let mut talk = Talk::new().await;
    talk.check("MAIL FROM:<bye@a.test>", "421 4.3.2").await;
    talk.check_closed().await;
    let mut talk = Talk::in_data().await;
    talk.check("bye\r\n.", "421 4.3.2").await;
    talk.check_closed().await;
}

#[tokio::test(start_paused = true)]
async fn at_shutdown_the_idle_go_and_the_busy_finish() {
    let mut idle = Talk::new().await;
    let mut busy = Talk::in_data().await;
    idle.stop.send_replace(true);
    busy.stop.send_replace(true);
    assert!(idle.reply().await.starts_with("421 4.3.2"));
    idle.check_closed().await;
    busy.check("x\r\n.", "250 2.6.0").await;
    assert!(busy.reply().await.starts_with("421 4.3.2"));
    assert_eq!(
        busy.check_closed().await.last().map(String::as_str),
        Some("data x\\r\\n")
    );
}

#[tokio::test]
async fn a_server_that_cannot_start_says_why() {
    let first = Server::bind("127.0.0.1:0", settings(), Recorder::default())
        .await
        .expect("a free port");
    let taken = first.local_addr().to_string();
    let error = Server::bind(&taken, settings(), Recorder::default())
        .await
        .expect_err("the port is taken");
    assert!(error.to_string().contains(&taken), "{error}");
    for hostname in ["", "a b", "a\r\nb", "ü.test"] {
        let result = Server::bind("127.0.0.1:0", Settings::new(hostname), Recorder::default()).await;
        assert!(matches!(result, Err(ServerError::Hostname { .. })), "{hostname:?}");
    }
}
