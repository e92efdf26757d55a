//! Conversations of the server about BDAT.

use super::*;

async fn with_chunks(chunking: Chunking, from: &str) -> Talk {
    let mut talk = Talk::with(Settings {
        chunking,
        max_errors: 50,
        ..settings()
    })
    .await;
    talk.check(&format!("MAIL FROM:{from}"), "250 2.1.0").await;
    talk.check("RCPT TO:<b@b.test>", "250 2.1.5").await;
    talk
}

async fn begun() -> Talk {
    with_chunks(Chunking::Offer, "<a@a.test>").await
}

impl Talk {
    /// A chunk has no line end of its own.
    #[track_caller]
    fn check_chunk(&mut self, chunk: &str, last: &str, expected: &'static str) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        let sent = format!("BDAT {}{last}\r\n{chunk}", chunk.len());
        async move {
            self.send(&sent).await;
            let reply = self.reply().await;
            assert!(reply.starts_with(expected), "{sent:?} was answered {reply:?}, {place}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_comes_in_chunks() {
    let mut talk = begun().await;
    talk.check_chunk("Subject: x\r", "", "250 2.0.0 11 octets").await;
    talk.check_chunk("", "", "250 2.0.0 0 octets").await;
    talk.check_chunk("\n\r\n.\r\nMAIL FROM:<evil@a.test>\r\n", "", "250 2.0.0")
        .await;
    talk.check_chunk("..end", " LAST", "250 2.6.0").await;
    talk.check("MAIL FROM:<c@a.test>", "250 ").await;
    talk.check("RCPT TO:<b@b.test>", "250 ").await;
    talk.check_chunk("", " LAST", "250 2.6.0").await;
    let expected = [
        "mail a@a.test",
        "rcpt b@b.test",
        "data Subject: x\\r\\n\\r\\n.\\r\\nMAIL FROM:<evil@a.test>\\r\\n..end\\r\\n",
        "mail c@a.test",
        "rcpt b@b.test",
        "data ",
    ];
    assert_eq!(talk.calls(), expected);
}

#[tokio::test(start_paused = true)]
async fn everything_may_come_in_one_breath() {
    let mut talk = Talk::new().await;
    talk.send(
        "MAIL FROM:<a@a.test>\r\nRCPT TO:<b@b.test>\r\nBDAT 3\r\na\r\nBDAT 3 LAST\r\nb\r\nMAIL FROM:<>\r\nQUIT\r\n",
    )
    .await;
    for expected in ["250 2.1.0", "250 2.1.5", "250 2.0.0", "250 2.6.0", "250 2.1.0", "221 "] {
        let reply = talk.reply().await;
        assert!(reply.starts_with(expected), "{reply} instead of {expected}");
    }
    let calls = talk.check_closed().await;
    assert_eq!(
        calls[1..],
        ["mail a@a.test", "rcpt b@b.test", "data a\\r\\nb\\r\\n", "mail "]
    );
}

#[tokio::test(start_paused = true)]
async fn chunks_that_could_smuggle_are_refused() {
    for (first, second) in [
        ("a\n.\r\n", "x"),
        ("a\r\n.\n", "x"),
        ("a", "\n.\r\n"),
        ("a\r", "b"),
        ("a\r.\r\n", "x"),
        ("a\0", "x"),
        ("", "a\r"),
    ] {
        let mut talk = begun().await;
        let sent = format!("BDAT {}\r\n{first}BDAT {} LAST\r\n{second}", first.len(), second.len());
        talk.send(sent).await;
        let replies = [talk.reply().await, talk.reply().await];
        assert!(
            replies.iter().any(|reply| reply.starts_with("550 5.6.0")),
            "{first:?} {second:?}: {replies:?}"
        );
        // And the conversation goes on in step.
        talk.check("NOOP", "250 2.0.0").await;
        talk.check("MAIL FROM:<c@a.test>", "250 ").await;
        assert_eq!(
            talk.calls(),
            ["mail a@a.test", "rcpt b@b.test", "reset", "mail c@a.test"]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_after_a_refused_one_are_swallowed() {
    let mut talk = begun().await;
    let smuggled = "MAIL FROM:<evil@a.test>\r\n";
    talk.send("BDAT 2\r\na\n").await;
    assert!(talk.reply().await.starts_with("550 5.6.0"));
    for _ in 0..3 {
        talk.check_chunk(smuggled, "", "503 5.5.1").await;
    }
    talk.check_chunk(smuggled, " LAST", "503 5.5.1").await;
    assert_eq!(talk.calls(), ["mail a@a.test", "rcpt b@b.test", "reset"]);
}

#[tokio::test(start_paused = true)]
async fn chunks_out_of_order_are_refused_and_swallowed() {
    let smuggled = "MAIL FROM:<evil@a.test>\r\n";
    let mut talk = Talk::greeted_with(Settings {
        max_errors: 50,
        ..settings()
    })
    .await;
    talk.check_chunk(smuggled, " LAST", "503 5.5.1").await;
    talk.check("EHLO client.test", "250-").await;
    talk.check_chunk(smuggled, " LAST", "503 5.5.1").await;
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
    talk.check_chunk(smuggled, "", "503 5.5.1").await;
    talk.check("RCPT TO:<never@b.test>", "550 ").await;
    talk.check_chunk(smuggled, " LAST", "554 5.5.1").await;
    talk.check("RCPT TO:<b@b.test>", "250 ").await;
    talk.check_chunk("a\r\n", "", "250 ").await;
    talk.check("RCPT TO:<c@b.test>", "503 5.5.1").await;
    talk.check("MAIL FROM:<c@a.test>", "503 5.5.1").await;
    talk.check("DATA", "503 5.5.1").await;
    talk.check("RSET", "250 ").await;
    talk.check_chunk(smuggled, " LAST", "503 5.5.1").await;
    talk.check("MAIL FROM:<d@a.test>", "250 ").await;
    talk.check("RCPT TO:<b@b.test>", "250 ").await;
    talk.check("DATA", "354 ").await;
    talk.check(".", "250 2.6.0").await;
    talk.check_chunk(smuggled, " LAST", "503 5.5.1").await;
    assert!(!talk.calls().iter().any(|call| call.contains("evil")));
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_cannot_be_counted_ends_the_connection() {
    for bdat in [
        "BDAT",
        "BDAT x",
        "BDAT -5 LAST",
        "BDAT 5 FIRST",
        "BDAT 99999999999999999999",
    ] {
        let mut talk = begun().await;
        talk.send(format!("{bdat}\r\nRSET\r\nMAIL FROM:<evil@a.test>\r\n"))
            .await;
        assert!(talk.reply().await.starts_with("501 5.5.4"), "{bdat}");
        assert_eq!(
            talk.check_closed().await[1..],
            ["mail a@a.test", "rcpt b@b.test"],
            "{bdat}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_have_the_limits_of_a_message() {
    let mut talk = begun().await;
    talk.check_chunk(&"x".repeat(98), "", "250 ").await;
    talk.check_chunk("\r\n", " LAST", "250 2.6.0").await;
    let mut talk = begun().await;
    talk.check_chunk(&"x".repeat(98), "", "250 ").await;
    talk.check_chunk("x\r\n", " LAST", "552 5.3.4").await;
    let mut talk = begun().await;
    talk.check_chunk(&"x".repeat(101), "", "552 5.3.4").await;
    talk.check_chunk("x", " LAST", "503 5.5.1").await;
    assert_eq!(talk.calls(), ["mail a@a.test", "rcpt b@b.test", "reset"]);
    // What nobody would wait for is not waited for.
    let mut talk = begun().await;
    talk.check("BDAT 9999999999 LAST", "552 5.3.4").await;
    assert_eq!(
        talk.check_closed().await[1..],
        ["mail a@a.test", "rcpt b@b.test", "reset"]
    );

    let mut talk = Talk::with(Settings {
        max_memory: 0,
        max_errors: 0,
        ..settings()
    })
    .await;
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
    talk.check("RCPT TO:<b@b.test>", "250 ").await;
    talk.check_chunk("x\r\n", " LAST", "452 4.3.1").await;
    talk.check("NOOP", "250 ").await;
}

#[tokio::test(start_paused = true)]
async fn ever_smaller_chunks_are_cut_off() {
    for chunk in ["BDAT 0\r\n", "BDAT 1 \r\nx"] {
        let mut talk = with_chunks(Chunking::Offer, "<a@a.test>").await;
        let mut farewell = String::new();
        for _ in 0..200 {
            talk.send(chunk).await;
            farewell = talk.reply().await;
            if !farewell.starts_with("250 ") {
                break;
            }
        }
        assert!(
            farewell.starts_with("421 4.7.0") || farewell.starts_with("552 5.3.4"),
            "{chunk:?}: {farewell}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_chunk_without_its_end_is_no_chunk() {
    for cut in [
        "BDAT 5 LAST",
        "BDAT 5 LAST\r\n",
        "BDAT 5 LAST\r\n1234",
        "BDAT 2\r\n\r\n",
    ] {
        let mut talk = begun().await;
        talk.send(cut).await;
        talk.stream.shutdown().await.expect("the pipe is open");
        if cut.starts_with("BDAT 2") {
            assert!(talk.reply().await.starts_with("250 "));
        }
        assert_eq!(
            talk.check_closed().await[1..],
            ["mail a@a.test", "rcpt b@b.test"],
            "{cut:?}"
        );
    }
    let start = Instant::now();
    let mut talk = begun().await;
    talk.send("BDAT 5 LAST\r\n1234").await;
    assert!(talk.reply().await.starts_with("421 4.4.2"));
    assert_eq!(start.elapsed().as_secs(), 180);
}

#[tokio::test(start_paused = true)]
async fn chunks_of_one_message_have_one_deadline() {
    let start = Instant::now();
    let mut talk = begun().await;
    let farewell = loop {
        talk.send("BDAT 1\r\nx").await;
        match talk.reply().await {
            reply if reply.starts_with("250 ") => tokio::time::sleep(Duration::from_secs(290)).await,
            reply => break reply,
        }
    };
    assert!(farewell.starts_with("421 4.4.2"), "{farewell}");
    assert_eq!(start.elapsed().as_secs(), 13 * 290);
    assert_eq!(talk.check_closed().await.last().map(String::as_str), Some("reset"));
}

#[tokio::test(start_paused = true)]
async fn binary_messages_come_as_they_are_and_only_in_chunks() {
    let mut talk = with_chunks(Chunking::OfferWithBinaryMime, "<a@a.test> BODY=BINARYMIME").await;
    talk.check("DATA", "503 5.5.1").await;
    talk.check_chunk("\0\n.\n\r", "", "250 ").await;
    talk.check_chunk("\r\n.\r\n\r", " LAST", "250 2.6.0").await;
    assert_eq!(
        talk.calls().last().map(String::as_str),
        Some("data \\x00\\n.\\n\\r\\r\\n.\\r\\n\\r")
    );
    talk.send("EHLO client.test\r\n").await;
    assert!(talk.reply().await.contains("250-CHUNKING\n250 BINARYMIME"));
    // It has to be asked for.
    talk.check("MAIL FROM:<a@a.test> BODY=8BITMIME", "250 ").await;
    talk.check("RCPT TO:<b@b.test>", "250 ").await;
    talk.check_chunk("\n", " LAST", "550 5.6.0").await;

    for chunking in [Chunking::Off, Chunking::Offer] {
        let mut talk = Talk::with(Settings { chunking, ..settings() }).await;
        talk.check("MAIL FROM:<a@a.test> BODY=BINARYMIME", "501 5.5.4").await;
    }
}
