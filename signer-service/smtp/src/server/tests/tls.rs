//! Conversations of the server about TLS.

use super::*;

#[tokio::test(start_paused = true)]
async fn after_tls_everything_before_it_is_void() {
    let (server, client) = testing::tls("mx.test");
    let mut talk = Talk::with(Settings {
        tls: Some(server),
        ..settings()
    })
    .await;
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
    let mut talk = talk.start_tls(&client).await;
    talk.check("RCPT TO:<b@b.test>", "503 5.5.1").await;
    talk.check("MAIL FROM:<a@a.test>", "503 5.5.1").await;
    talk.send("EHLO client.test\r\n").await;
    assert!(!talk.reply().await.contains("STARTTLS"));
    talk.check("STARTTLS", "503 5.5.1").await;
    talk.check("MAIL FROM:<c@a.test>", "250 ").await;
    let expected = [
        "greeted by client.test with ESMTP",
        "mail a@a.test",
        "reset",
        "tls started",
        "greeted by client.test with ESMTPS",
        "mail c@a.test",
    ];
    assert_eq!(talk.recorder.calls(), expected);
}

#[tokio::test(start_paused = true)]
async fn plain_text_behind_starttls_is_refused() {
    let (server, _) = testing::tls("mx.test");
    let mut talk = Talk::with(Settings {
        tls: Some(server),
        ..settings()
    })
    .await;
    talk.send("STARTTLS\r\nEHLO evil\r\nMAIL FROM:<evil@a.test>\r\n").await;
    assert!(talk.reply().await.starts_with("554 5.5.0"));
    assert_eq!(talk.check_closed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn starttls_needs_a_greeting_and_a_handshake() {
    let (server, _) = testing::tls("mx.test");
    let settings = Settings {
        tls: Some(server),
        ..settings()
    };
    let mut talk = Talk::greeted_with(settings.clone()).await;
    talk.check("STARTTLS", "503 5.5.1").await;

    let mut talk = Talk::with(settings.clone()).await;
    talk.check("STARTTLS", "220 ").await;
    talk.send("MAIL FROM:<evil@a.test>\r\n").await;
    let mut alert = Vec::new();
    talk.stream.read_to_end(&mut alert).await.expect("the server closes");
    assert!(!alert.starts_with(b"250"), "commands were taken instead of a handshake");
    assert_eq!(talk.recorder.calls().len(), 1);

    let start = Instant::now();
    let mut talk = Talk::with(settings).await;
    talk.check("STARTTLS", "220 ").await;
    talk.check_closed().await;
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn implicit_tls_begins_with_the_handshake() {
    let (server, client) = testing::tls("mx.test");
    let settings = Settings {
        tls: Some(server),
        plain_text: PlainText::Refuse,
        ..settings()
    };
    let address = SocketAddr::from(([192, 0, 2, 1], 1025));
    let door = || Talk::from_address(address, Entrance::ImplicitTls, settings.clone(), Recorder::default());
    let mut talk = door().handshake(&client).await;
    assert_eq!(talk.reply().await, "220 mx.test ESMTP");
    talk.send("EHLO client.test\r\n").await;
    assert!(!talk.reply().await.contains("STARTTLS"));
    talk.check("STARTTLS", "503 5.5.1").await;
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
    let expected = ["tls started", "greeted by client.test with ESMTPS", "mail a@a.test"];
    assert_eq!(talk.recorder.calls(), expected);

    // Who speaks plain text hears nothing that could be taken for SMTP, and is no session.
    let mut talk = door();
    talk.send("EHLO client.test\r\nMAIL FROM:<evil@a.test>\r\n").await;
    let mut alert = Vec::new();
    talk.stream.read_to_end(&mut alert).await.expect("the server closes");
    assert!(!alert.starts_with(b"2"), "commands were taken instead of a handshake");
    assert_eq!(talk.recorder.calls(), [""; 0]);

    let start = Instant::now();
    door().check_closed().await;
    assert_eq!(start.elapsed().as_secs(), 30);
    let start = Instant::now();
    let talk = door();
    talk.stop.send_replace(true);
    talk.check_closed().await;
    assert_eq!(start.elapsed().as_secs(), 0, "nobody waits for a handshake at shutdown");
}

#[tokio::test(start_paused = true)]
async fn a_client_refused_at_the_door_of_implicit_tls_can_read_why() {
    let (server, client) = testing::tls("mx.test");
    let recorder = Recorder {
        refuse_connections: true,
        ..Recorder::default()
    };
    let settings = Settings {
        tls: Some(server),
        ..settings()
    };
    let address = SocketAddr::from(([192, 0, 2, 1], 1025));
    let talk = Talk::from_address(address, Entrance::ImplicitTls, settings, recorder);
    assert_eq!(talk.handshake(&client).await.reply().await, "554 5.7.1 Not you");
}

#[tokio::test(start_paused = true)]
async fn where_tls_is_demanded_there_is_no_mail_without_it() {
    let (server, client) = testing::tls("mx.test");
    let mut talk = Talk::with(Settings {
        tls: Some(server),
        plain_text: PlainText::Refuse,
        max_errors: 50,
        ..settings()
    })
    .await;
    talk.check("MAIL FROM:<a@a.test>", "530 5.7.0").await;
    talk.check("MAIL FROM:<>", "530 5.7.0").await;
    talk.check("RCPT TO:<b@b.test>", "503 5.5.1").await;
    talk.check("DATA", "503 5.5.1").await;
    talk.check("NOOP", "250 ").await;
    assert_eq!(talk.calls(), [""; 0]);
    let mut talk = talk.start_tls(&client).await;
    talk.check("EHLO client.test", "250-").await;
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
}

#[tokio::test]
async fn a_server_that_needs_a_certificate_does_not_start_without() {
    let demanding = Settings {
        plain_text: PlainText::Refuse,
        ..settings()
    };
    let result = Server::bind("127.0.0.1:0", demanding, Recorder::default()).await;
    assert!(matches!(result, Err(ServerError::NoTls)));
    let result = Server::bind_to("127.0.0.1:0", Entrance::ImplicitTls, settings(), Recorder::default()).await;
    assert!(matches!(result, Err(ServerError::NoTls)));
    let mut server = Server::bind("127.0.0.1:0", settings(), Recorder::default())
        .await
        .expect("a free port");
    let result = server.also_listen("127.0.0.1:0", Entrance::ImplicitTls).await;
    assert!(matches!(result, Err(ServerError::NoTls)));
}

/// Over real sockets, since it is the accepting that is shared.
#[tokio::test]
async fn several_doors_share_one_limit() {
    let (tls, _) = testing::tls("mx.test");
    let settings = Settings {
        tls: Some(tls),
        max_connections: 2,
        ..settings()
    };
    let mut server = Server::bind("127.0.0.1:0", settings, Recorder::default())
        .await
        .expect("a free port");
    let first = server.local_addr();
    let second = server
        .also_listen("127.0.0.1:0", Entrance::StartTls)
        .await
        .expect("a free port");
    let third = server
        .also_listen("127.0.0.1:0", Entrance::ImplicitTls)
        .await
        .expect("a free port");
    let running = tokio::spawn(server.run(std::future::pending()));
    let mut kept = Vec::new();
    for address in [first, second] {
        let mut stream = BufReader::new(TcpStream::connect(address).await.expect("it listens"));
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("a greeting");
        assert_eq!(line, "220 mx.test ESMTP\r\n");
        kept.push(stream);
    }
    for (address, expected) in [(first, "421 4.3.2"), (second, "421 4.3.2"), (third, "")] {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .await
            .expect("the server closes in order");
        assert!(
            answer.starts_with(expected) && answer.is_empty() == expected.is_empty(),
            "{answer}"
        );
    }
    running.abort();
}
