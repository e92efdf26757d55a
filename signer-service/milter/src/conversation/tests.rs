//! A mail server that says what the script says.

use super::*;
use crate::frame::{self, Frames};
use crate::response::Modification;

const NEW: u32 = 0x1f_ffff;
const OLD: u32 = 0;

/// Plays packets into a conversation and gives back the events and the codes of the answers.
struct Script {
    conversation: Conversation,
    said: Vec<u8>,
}

impl Script {
    fn new(steps: u32) -> Self {
        let mut script = Self {
            conversation: Conversation::new(1000),
            said: Vec::new(),
        };
        let offer = [&b"O\0\0\0\x06\0\0\x01\xff"[..], &steps.to_be_bytes()].concat();
        assert_eq!(script.says(&offer), Event::Nothing);
        assert_eq!(script.answers(), "O");
        script
    }

    fn within_message(steps: u32) -> Self {
        let mut script = Self::new(steps);
        assert!(matches!(
            script.says(b"Chost\x004\0\x19192.0.2.1\0"),
            Event::Connected(_)
        ));
        assert!(matches!(script.says(b"M<a@example.com>\0"), Event::Mail(_)));
        script.conversation.answer(&Answer::Continue, &mut script.said);
        script.answers();
        script
    }

    #[track_caller]
    fn says(&mut self, frame: &[u8]) -> Event {
        self.conversation.receive(frame, &mut self.said).unwrap()
    }

    /// The codes of what was answered since the last time.
    fn answers(&mut self) -> String {
        let mut frames = Frames::default();
        frames.receive_buffer().append(&mut self.said);
        let mut codes = String::new();
        while let Some(frame) = frames.next_frame().unwrap() {
            codes.push(char::from(frame[0]));
        }
        codes
    }
}

#[test]
fn two_messages_over_one_connection() {
    for (steps, after_field, after_body) in [(NEW, "", ""), (OLD, "c", "c")] {
        let mut script = Script::new(steps);
        assert_eq!(script.says(b"DCj\0mail.example\0"), Event::Nothing);
        assert_eq!(
            script.says(b"Cclient.example\x004\x30\x39192.0.2.1\0"),
            Event::Connected(Peer {
                host: "client.example".to_owned(),
                address: Some("192.0.2.1".parse().unwrap()),
            })
        );
        assert_eq!(script.answers(), after_field);
        assert_eq!(script.says(b"Hclient.example\0"), Event::Nothing);
        assert_eq!(script.answers(), "c");
        for (login, macros) in [
            (Some("alice".to_owned()), &b"DMi\0ABC\0{auth_authen}\0alice\0"[..]),
            // Whoever has logged in for one message has not for the next one, unless it is said again.
            (None, b"DMi\0ABD\0"),
        ] {
            assert_eq!(script.says(macros), Event::Nothing);
            let Event::Mail(mail) = script.says(b"M<alice@example.com>\0BODY=8BITMIME\0smtputf8\0") else {
                panic!("MAIL");
            };
            assert_eq!((mail.reverse_path.as_str(), &mail.login), ("alice@example.com", &login));
            assert!(mail.has_parameter("SMTPUTF8") && !mail.has_parameter("SIZE"));
            assert_eq!(script.answers(), "");
            script.conversation.answer(&Answer::Continue, &mut script.said);
            assert_eq!(script.answers(), "c");
            for frame in [&b"R<bob@example.net>\0"[..], b"R<carol@example.net>\0", b"T"] {
                assert_eq!(script.says(frame), Event::Nothing);
                assert_eq!(script.answers(), "c");
            }
            let blank = if steps == NEW { " " } else { "" };
            for field in [
                format!("LFrom\0{blank}alice@example.com\0"),
                format!("LSubject\0{blank}a\n\tb\0"),
            ] {
                assert_eq!(script.says(field.as_bytes()), Event::Nothing);
                assert_eq!(script.answers(), after_field);
            }
            script.says(b"N");
            assert_eq!(script.answers(), after_field);
            script.says(b"Bone\r\n");
            assert_eq!(script.answers(), after_body);
            let Event::Message(message) = script.says(b"Etwo\r\n") else {
                panic!("BODYEOB");
            };
            assert_eq!(script.answers(), "");
            assert_eq!(
                String::from_utf8(message.to_bytes().unwrap()).unwrap(),
                "From: alice@example.com\r\nSubject: a\r\n\tb\r\n\r\none\r\ntwo\r\n"
            );
            assert!(message.queue_id.is_some_and(|id| id.starts_with("AB")));
            let verdict = Verdict::Deliver(vec![
                Modification::DeleteField {
                    occurrence: 1,
                    name: b"Content-Type".to_vec(),
                },
                Modification::ReplaceBody(vec![b'x'; 70_000]),
            ]);
            script.conversation.finish(&verdict, &mut script.said).unwrap();
            assert_eq!(script.answers(), "mbbc");
            assert!(script.conversation.is_idle());
        }
        assert_eq!(script.says(b"Q"), Event::Quit);
    }
}

#[test]
fn a_blank_that_was_not_there_is_not_made_up() {
    let mut script = Script::within_message(NEW);
    script.says(b"LMessage-ID\0\n <1@example.com>\0");
    script.says(b"LX\0y\0");
    script.says(b"N");
    let Event::Message(message) = script.says(b"E") else {
        panic!("BODYEOB");
    };
    assert_eq!(
        message.to_bytes().unwrap(),
        b"Message-ID:\r\n <1@example.com>\r\nX:y\r\n\r\n"
    );
}

#[test]
fn what_comes_out_of_order_ends_the_connection() {
    let every: [&[u8]; 13] = [
        b"O\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff",
        b"Chost\0U",
        b"Hhost\0",
        b"M<a@example.com>\0",
        b"R<a@example.com>\0",
        b"T",
        b"LX\0y\0",
        b"N",
        b"Bx",
        b"E",
        b"A",
        b"DMi\0x\0",
        b"UX\0",
    ];
    let refused = |conversation: &dyn Fn() -> Conversation| -> String {
        every
            .iter()
            .filter(|frame| {
                matches!(
                    conversation().receive(frame, &mut Vec::new()),
                    Err(ProtocolError::OutOfOrder { .. })
                )
            })
            .map(|frame| char::from(frame[0]))
            .collect()
    };
    assert_eq!(refused(&|| Conversation::new(1000)), "CHMRTLNBEADU");
    assert_eq!(refused(&|| Script::new(NEW).conversation), "OHMRTLNBE");
    assert_eq!(refused(&|| Script::within_message(NEW).conversation), "OCHMBE");
    let within_header = || {
        let mut script = Script::within_message(NEW);
        script.says(b"LX\0y\0");
        script
    };
    assert_eq!(refused(&|| within_header().conversation), "OCHMRTBE");
    let within_body = || {
        let mut script = within_header();
        script.says(b"N");
        script
    };
    assert_eq!(refused(&|| within_body().conversation), "OCHMRTLN");
    let answering = || {
        let mut script = within_body();
        script.says(b"E");
        script
    };
    assert_eq!(refused(&|| answering().conversation), "OCHMRTLNBEDU");
    let between = || {
        let mut script = within_body();
        script.says(b"A");
        script
    };
    assert_eq!(refused(&|| between().conversation), "OCRTLNBE");
}

#[test]
fn a_message_that_is_refused_or_void_leaves_nothing_behind() {
    for answer in [Answer::Accept, Answer::Reject, Answer::TemporaryFailure] {
        let mut script = Script::new(NEW);
        script.says(b"Chost\0U");
        script.says(b"DM{auth_authen}\0alice\0");
        script.says(b"M<>\0");
        script.conversation.answer(&answer, &mut script.said);
        assert_eq!(script.answers().len(), 1);
        let Event::Mail(mail) = script.says(b"M<>\0") else {
            panic!("MAIL");
        };
        assert_eq!((mail.reverse_path.as_str(), mail.login), ("", None));
    }
    let mut script = Script::within_message(NEW);
    script.says(b"LX\0y\0");
    assert_eq!(script.says(b"A"), Event::Aborted);
    assert_eq!(script.answers(), "");
    script.says(b"M<>\0");
    script.conversation.answer(&Answer::Continue, &mut script.said);
    script.says(b"N");
    let Event::Message(message) = script.says(b"E") else {
        panic!("BODYEOB");
    };
    assert_eq!(message.to_bytes().unwrap(), b"\r\n");
    // Answered twice, it is said once.
    script.answers();
    let verdict = Verdict::Refuse(Answer::TemporaryFailure);
    script.conversation.finish(&verdict, &mut script.said).unwrap();
    script.conversation.finish(&verdict, &mut script.said).unwrap();
    assert_eq!(script.answers(), "t");
}

#[test]
fn another_session_over_the_same_connection_knows_nothing_of_the_first() {
    let mut script = Script::within_message(NEW);
    script.says(b"DM{auth_authen}\0alice\0");
    assert_eq!(script.says(b"K"), Event::Nothing);
    assert_eq!(script.answers(), "");
    assert!(script.conversation.receive(b"M<>\0", &mut Vec::new()).is_err());
    assert!(matches!(script.says(b"Chost\0U"), Event::Connected(_)));
    let Event::Mail(mail) = script.says(b"M<>\0") else {
        panic!("MAIL");
    };
    assert_eq!(mail.login, None);
}

#[test]
fn a_message_that_is_too_large_is_not_kept() {
    let mut script = Script::within_message(NEW);
    for _ in 0..3 {
        script.says(&[&b"LX\0"[..], &[b'x'; 400], b"\0"].concat());
    }
    script.says(b"N");
    for _ in 0..1000 {
        script.says(&[b'B'; 1000]);
    }
    let Event::Message(message) = script.says(b"E") else {
        panic!("BODYEOB");
    };
    assert!(message.is_too_large && message.body.is_empty() && message.fields.len() == 2);
}

#[test]
fn fields_that_would_be_read_as_something_else_are_named() {
    for field in [
        &b"LX\0 a\nBcc: b\0"[..],
        b"LX\0 a\n\n b\0",
        b"LX\0 a\rb\0",
        b"LX\0 a\n\0",
        b"LX\0 a\r\0",
        b"LX Y\0 a\0",
        b"L\0 a\0",
        b"LX:\0 a\0",
        b"LX\xc3\xbc\0 a\0",
    ] {
        let mut script = Script::within_message(NEW);
        script.says(field);
        script.says(b"N");
        let Event::Message(message) = script.says(b"E") else {
            panic!("BODYEOB");
        };
        assert!(message.to_bytes().is_err(), "{:?}", String::from_utf8_lossy(field));
    }
}

#[test]
fn no_half_changed_message_goes_on() {
    let mut script = Script::within_message(NEW);
    script.says(b"N");
    script.says(b"E");
    let verdict = Verdict::Deliver(vec![
        Modification::ReplaceBody(b"x".to_vec()),
        Modification::AddField {
            name: b"X".to_vec(),
            value: b" a\r\nBcc: b".to_vec(),
        },
    ]);
    assert!(script.conversation.finish(&verdict, &mut script.said).is_err());
    assert_eq!(script.answers(), "y");
    assert!(script.conversation.is_idle());
}

#[test]
fn no_octets_make_it_panic() {
    let scripted: [&[u8]; 11] = [
        b"O\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff",
        b"DMi\0ABC\0{auth_authen}\0alice\0",
        b"Chost\x006\x12\x34IPv6:2001:db8::1\0",
        b"M<a@b.c>\0SIZE=1\0",
        b"R<a@b.c>\0",
        b"T",
        b"LSubject\0 a\n b\0",
        b"N",
        b"Bbody",
        b"Erest",
        b"A",
    ];
    let mut stream = Vec::new();
    for frame in scripted {
        frame::write(&mut stream, frame[0], &[&frame[1..]]);
    }
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..50_000 {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let mut stream = stream.clone();
        let [at, octet, ..] = state.to_le_bytes();
        let at = usize::from(at) % stream.len();
        stream[at] = octet;
        let mut frames = Frames::default();
        frames.receive_buffer().extend_from_slice(&stream);
        let mut conversation = Conversation::new(1000);
        let mut out = Vec::new();
        while let Ok(Some(frame)) = frames.next_frame() {
            match conversation.receive(frame, &mut out) {
                Ok(Event::Mail(_)) => conversation.answer(&Answer::Continue, &mut out),
                Ok(Event::Message(message)) => {
                    let _ = message.to_bytes();
                    conversation
                        .finish(&Verdict::Deliver(Vec::new()), &mut out)
                        .expect("nothing was to be written");
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    }
}
