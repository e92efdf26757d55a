//! Sizes, counts and waits of the server.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_large_is_refused() {
    let mut talk = Talk::new().await;
    talk.check("MAIL FROM:<a@a.test> SIZE=101", "552 5.3.4").await;
    talk.check("MAIL FROM:<a@a.test> SIZE=9999999999999999999", "552 5.3.4")
        .await;
    talk.check("MAIL FROM:<a@a.test> SIZE=100", "250 ").await;
    talk.check("RCPT TO:<b@b.test>", "250 ").await;
    talk.check("DATA", "354 ").await;
    talk.check(&format!("{}\r\n.", "x".repeat(99)), "552 5.3.4").await;
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
    talk.check("RCPT TO:<b@b.test>", "250 ").await;
    talk.check("DATA", "354 ").await;
    talk.check(&format!("{}\r\n.", "x".repeat(98)), "250 2.6.0").await;
    assert_eq!(talk.calls().iter().filter(|call| call.starts_with("data")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_without_end_is_cut_off() {
    let talk = Talk::in_data().await;
    let (mut reading, mut writing) = tokio::io::split(talk.stream);
    let flood = tokio::spawn(async move { while writing.write_all(&[b'x'; 10_000]).await.is_ok() {} });
    let mut answer = String::new();
    reading
        .read_to_string(&mut answer)
        .await
        .expect("the server closes in order");
    assert!(answer.starts_with("552 5.3.4"), "{answer}");
    drop(reading);
    talk.server.await.expect("the connection does not panic");
    flood.await.expect("the flood ends with the connection");
    assert_eq!(talk.recorder.calls()[1..], ["mail a@a.test", "rcpt b@b.test", "reset"]);
}

#[tokio::test(start_paused = true)]
async fn without_memory_a_message_is_put_off() {
    let mut talk = Talk::with(Settings {
        max_memory: 0,
        max_errors: 0,
        ..settings()
    })
    .await;
    talk.check("MAIL FROM:<a@a.test> SIZE=50", "250 ").await;
    talk.check("RCPT TO:<b@b.test>", "250 ").await;
    talk.check("DATA", "354 ").await;
    talk.check("x\r\n.", "452 4.3.1").await;
    talk.check("NOOP", "250 ").await;
    assert_eq!(talk.calls(), ["mail a@a.test", "rcpt b@b.test", "reset"]);
}

#[tokio::test(start_paused = true)]
async fn lines_have_a_limit_and_one_kind_of_end() {
    let mut talk = Talk::new().await;
    talk.check(&format!("NOOP {}", "x".repeat(2041)), "250 2.0.0").await;
    talk.check(&format!("NOOP {}", "x".repeat(2042)), "500 5.5.2").await;
    talk.check("NOOP\rNOOP", "500 5.5.2").await;
    talk.check("NOOP\0", "500 5.5.2").await;
    talk.send(b"NOOP \xff\r\n").await;
    assert!(talk.reply().await.starts_with("500 5.5.2"));
    talk.send("NOOP\nMAIL FROM:<evil@a.test>\r\n").await;
    assert!(talk.reply().await.starts_with("500 5.5.2"));
    assert_eq!(talk.check_closed().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_endless_line_is_cut_off() {
    let talk = Talk::new().await;
    let (mut reading, mut writing) = tokio::io::split(talk.stream);
    let flood = tokio::spawn(async move { while writing.write_all(&[b'x'; 10_000]).await.is_ok() {} });
    let mut answer = String::new();
    reading
        .read_to_string(&mut answer)
        .await
        .expect("the server closes in order");
    assert!(answer.starts_with("421 4.7.0"), "{answer}");
    drop(reading);
    talk.server.await.expect("the connection does not panic");
    flood.await.expect("the flood ends with the connection");
}

#[tokio::test(start_paused = true)]
async fn recipients_have_a_limit() {
    let mut talk = Talk::new().await;
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
    talk.check("RCPT TO:<1@b.test>", "250 ").await;
    talk.check("RCPT TO:<never@b.test>", "550 ").await;
    talk.check("RCPT TO:<3@b.test>", "250 ").await;
    for _ in 0..8 {
        talk.check("RCPT TO:<4@b.test>", "452 4.5.3").await;
    }
    talk.send("RCPT TO:<4@b.test>\r\n").await;
    assert!(talk.reply().await.starts_with("452 4.5.3"));
    assert!(talk.reply().await.starts_with("421 4.7.0"), "far too many are errors");
    let calls = talk.check_closed().await;
    assert_eq!(
        calls[1..],
        ["mail a@a.test", "rcpt 1@b.test", "rcpt never@b.test", "rcpt 3@b.test"]
    );
}

#[tokio::test(start_paused = true)]
async fn too_many_errors_end_the_connection() {
    let mut talk = Talk::new().await;
    for _ in 0..5 {
        talk.check("FROB", "500 5.5.1").await;
    }
    talk.check("NOOP", "250 ").await;
    talk.check("FROB", "500 5.5.1").await;
    assert!(talk.reply().await.starts_with("421 4.7.0"));
    talk.check_closed().await;
}

#[tokio::test(start_paused = true)]
async fn commands_that_do_nothing_have_a_limit() {
    let mut talk = Talk::new().await;
    let mut done = 0;
    let farewell = loop {
        talk.send("NOOP\r\n").await;
        match talk.reply().await {
            reply if reply.starts_with("250 ") && done < 200 => done += 1,
            reply => break reply,
        }
        if done == 105 {
            break talk.reply().await;
        }
    };
    assert!(farewell.starts_with("421 4.7.0"), "{farewell} after {done}");
    talk.check_closed().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_client_is_sent_away() {
    let start = Instant::now();
    let mut talk = Talk::new().await;
    // A trickle does not help.
    talk.send("NO").await;
    assert!(talk.reply().await.starts_with("421 4.4.2"));
    assert_eq!(start.elapsed().as_secs(), 300);
    talk.check_closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_stalled_message_is_given_up() {
    let start = Instant::now();
    let mut talk = Talk::in_data().await;
    talk.send("x\r\n").await;
    assert!(talk.reply().await.starts_with("421 4.4.2"));
    assert_eq!(start.elapsed().as_secs(), 180);
    assert_eq!(talk.check_closed().await[1..], ["mail a@a.test", "rcpt b@b.test"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_in_a_trickle_is_given_up() {
    let start = Instant::now();
    let talk = Talk::in_data().await;
    let (mut reading, mut writing) = tokio::io::split(talk.stream);
    let trickle = tokio::spawn(async move {
        while writing.write_all(b".").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
    });
    let mut answer = String::new();
    reading
        .read_to_string(&mut answer)
        .await
        .expect("the server closes in order");
    assert!(answer.starts_with("421 4.4.2"), "{answer}");
    assert_eq!(start.elapsed().as_secs(), 3600);
    drop(reading);
    talk.server.await.expect("the connection does not panic");
    trickle.await.expect("the trickle ends with the connection");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_replies_is_dropped() {
    let (mut ours, theirs) = tokio::io::duplex(16);
    let (_stop, stopping) = watch::channel(false);
    let recorder = Recorder::default();
    let start = Instant::now();
    let serving = tokio::spawn(async move {
        let address = SocketAddr::from(([192, 0, 2, 1], 1025));
        connection::serve(
            Box::new(theirs),
            address,
            Entrance::StartTls,
            &settings(),
            &recorder,
            &Budget::new(0),
            stopping,
        )
        .await;
    });
    ours.write_all(b"EHLO client.test")
        .await
        .expect("there is room for this");
    serving.await.expect("the connection does not panic");
    assert_eq!(start.elapsed().as_secs(), 60);
}

/// Over real sockets, since it is the accepting that is limited.
#[tokio::test]
async fn connections_have_a_limit() {
    let settings = Settings {
        max_connections: 1,
        ..settings()
    };
    let server = Server::bind("127.0.0.1:0", settings, Recorder::default())
        .await
        .expect("a free port");
    let address = server.local_addr();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async move { drop(stopped.await) }));
    let mut first = BufReader::new(TcpStream::connect(address).await.expect("the server listens"));
    let mut line = String::new();
    first.read_line(&mut line).await.expect("a greeting");
    assert_eq!(line, "220 mx.test ESMTP\r\n");

    let mut second = TcpStream::connect(address).await.expect("the server listens");
    let mut answer = String::new();
    second
        .read_to_string(&mut answer)
        .await
        .expect("the server closes in order");
    assert!(answer.starts_with("421 4.3.2"), "{answer}");

    stop.send(()).expect("the server waits for this");
    let mut farewell = String::new();
    first.read_line(&mut farewell).await.expect("a farewell");
    assert!(farewell.starts_with("421 4.3.2"), "{farewell}");
    drop(first);
    running.await.expect("the server ends");
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
