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
