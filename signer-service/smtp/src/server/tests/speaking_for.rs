//! Conversations of the server with a host that speaks for others.

use super::*;

async fn trusted(trust: Trust) -> Talk {
    let recorder = Recorder {
        trust,
        ..Recorder::default()
    };
    let settings = Settings {
        max_errors: 50,
        ..settings()
    };
    let mut talk = Talk::before_greeting(settings, recorder);
    assert_eq!(talk.reply().await, "220 mx.test ESMTP");
    talk
}

const BOTH: Trust = Trust {
    xclient: true,
    xforward: true,
};

#[tokio::test(start_paused = true)]
async fn only_what_is_trusted_is_offered_and_taken() {
    for (trust, offered) in [
        (Trust::default(), [false, false]),
        (
            Trust {
                xclient: true,
                xforward: false,
            },
            [true, false],
        ),
        (
            Trust {
                xclient: false,
                xforward: true,
            },
            [false, true],
        ),
    ] {
        let mut talk = trusted(trust).await;
        talk.send("EHLO relay.test\r\n").await;
        let capabilities = talk.reply().await;
        let found = ["XCLIENT NAME ADDR PORT", "XFORWARD NAME ADDR PORT"].map(|line| capabilities.contains(line));
        assert_eq!(found, offered);
        talk.check("XFORWARD ADDR=192.0.2.9", if offered[1] { "250 " } else { "550 5.7.0" })
            .await;
        talk.check("XCLIENT ADDR=192.0.2.9", if offered[0] { "220 " } else { "550 5.7.0" })
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn xclient_begins_anew_as_the_client() {
    let mut talk = trusted(BOTH).await;
    talk.check("EHLO relay.test", "250-").await;
    talk.check(
        "XCLIENT NAME=spike.test ADDR=192.0.2.9 PORT=99 HELO=theirs.test PROTO=SMTP LOGIN=them@a.test",
        "220 mx.test ESMTP",
    )
    .await;
    talk.check("MAIL FROM:<a@a.test>", "503 5.5.1").await;
    talk.check("EHLO relay.test", "250-").await;
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
    let expected = [
        "greeted by relay.test with ESMTP",
        "authenticated them@a.test by TrustedHost",
        "greeted by theirs.test with SMTP",
        "mail a@a.test",
    ];
    assert_eq!(talk.recorder.calls(), expected);
    talk.check("XCLIENT NAME=x", "503 5.5.1").await;
    talk.check("RSET", "250 ").await;
    // The login was that client's, and not this one's.
    talk.check("XCLIENT ADDR=192.0.2.10", "220 ").await;
    talk.check("EHLO relay.test", "250-").await;
    assert_eq!(
        talk.recorder.calls().last().map(String::as_str),
        Some("greeted by theirs.test with SMTP")
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_may_not_come_may_not_come_this_way() {
    let mut talk = trusted(BOTH).await;
    talk.check("EHLO relay.test", "250-").await;
    talk.check("XCLIENT ADDR=192.0.2.66", "554 5.7.1 Not you").await;
    talk.check_closed().await;
}

#[tokio::test(start_paused = true)]
async fn an_origin_is_for_one_transaction() {
    let mut talk = trusted(BOTH).await;
    talk.check("EHLO relay.test", "250-").await;
    talk.check("XFORWARD ADDR=192.0.2.9 HELO=[UNAVAILABLE]", "250 2.0.0")
        .await;
    talk.check("XFORWARD IDENT=4X SOURCE=REMOTE", "250 2.0.0").await;
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
    talk.check("XFORWARD IDENT=5X", "503 5.5.1").await;
    talk.check("RCPT TO:<b@b.test>", "250 ").await;
    talk.check("DATA", "354 ").await;
    talk.check("x\r\n.", "250 ").await;
    talk.check("MAIL FROM:<c@a.test>", "250 ").await;
    talk.check("RSET", "250 ").await;
    talk.check("XFORWARD IDENT=6X", "250 ").await;
    talk.check("MAIL FROM:<d@a.test>", "250 ").await;
    let expected = [
        "forwarded 4X from 192.0.2.9",
        "mail a@a.test",
        "rcpt b@b.test",
        "data x\\r\\n",
        "mail c@a.test",
        "reset",
        "forwarded 6X from ",
        "mail d@a.test",
    ];
    assert_eq!(talk.calls(), expected);
}

#[tokio::test(start_paused = true)]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let mut talk = trusted(BOTH).await;
    talk.check("EHLO relay.test", "250-").await;
    for words in [
        "",
        "NAME",
        "ADDR=nowhere",
        "ADDR=192.0.2.9 PORT=x",
        "NAME=a+0D+0Ab",
        "DESTADDR=192.0.2.9",
        "IDENT=x",
    ] {
        talk.check(&format!("XCLIENT {words}"), "501 5.5.4").await;
    }
    for words in ["", "NAME", "ADDR=nowhere", "LOGIN=root", "SOURCE=MARS"] {
        talk.check(&format!("XFORWARD {words}"), "501 5.5.4").await;
    }
    // The greeting still holds.
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
}

#[tokio::test(start_paused = true)]
async fn speaking_for_others_without_end_is_cut_off() {
    let mut talk = trusted(BOTH).await;
    let mut farewell = String::new();
    for _ in 0..200 {
        talk.send("XCLIENT ADDR=192.0.2.9\r\n").await;
        farewell = talk.reply().await;
        if !farewell.starts_with("220 ") {
            break;
        }
    }
    assert!(farewell.starts_with("421 4.7.0"), "{farewell}");
}
