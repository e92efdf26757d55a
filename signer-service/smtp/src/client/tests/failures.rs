//! How conversations with a next hop go wrong.

use super::*;

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
