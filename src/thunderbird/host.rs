//! `sealwright thunderbird-host`: started by Thunderbird, asked by the add-on about each message. It reads its standard
//! input and the files of its settings, and nothing else.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policies::time::Clock;
use verifier::Language;
use verifier_report::Verifier;

use super::ADDON_ID;
use super::framing::{self, Problem};
use super::protocol::{Answer, Content, Envelope, Question, Refusal, Shown, VERSION};
use super::settings::{self, Settings, Stamp};

/// Arguments of `sealwright thunderbird-host`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The settings that `sealwright thunderbird install` wrote
    #[arg(long, value_name = "FILE")]
    settings: PathBuf,
    /// What Thunderbird adds: the path of the manifest, and the identity of the add-on
    #[arg(value_name = "MANIFEST ADDON", num_args = 0..=2)]
    caller: Vec<String>,
}

/// Answers until Thunderbird ends the connection. The exit status is 0 then, and 2 after a connection that broke.
pub(crate) fn run(arguments: &Arguments, clock: &dyn Clock) -> ExitCode {
    if let Some(caller) = arguments.caller.get(1)
        && caller != ADDON_ID
    {
        eprintln!("sealwright thunderbird-host: asked by {caller:?}; only {ADDON_ID} is answered");
        return ExitCode::from(2);
    }
    let mut host = Host::new(&arguments.settings);
    match converse(&mut host, clock, &mut io::stdin().lock(), &mut io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("sealwright thunderbird-host: {problem}");
            ExitCode::from(2)
        }
    }
}

/// One answer for each question, in their order.
fn converse(host: &mut Host, clock: &dyn Clock, input: &mut impl Read, output: &mut impl Write) -> Result<(), Problem> {
    loop {
        let answer = match framing::read(input) {
            Ok(Some(question)) => host.answer(&question, clock),
            Ok(None) => return Ok(()),
            Err(problem) => {
                if let Problem::TooLarge { .. } = problem {
                    framing::write(output, &json(&refused(None, Refusal::TooLarge)))?;
                }
                return Err(problem);
            }
        };
        framing::write(output, &json(&answer))?;
    }
}

/// The settings, and the verifier made of them.
#[derive(Debug)]
struct Host {
    path: PathBuf,
    made: Option<Made>,
}

#[derive(Debug)]
struct Made {
    stamp: Stamp,
    settings: Settings,
    verifier: Verifier,
    problems: Vec<String>,
}

impl Host {
    fn new(settings: &Path) -> Self {
        Self {
            path: settings.to_owned(),
            made: None,
        }
    }

    fn answer(&mut self, question: &[u8], clock: &dyn Clock) -> Answer {
        let Ok(envelope) = serde_json::from_slice::<Envelope>(question) else {
            return refused(None, Refusal::Malformed);
        };
        if envelope.version != VERSION {
            return refused(envelope.id, Refusal::UnknownVersion);
        }
        let Ok(Question::Verify { message, language }) = serde_json::from_slice(question) else {
            return refused(envelope.id, Refusal::Malformed);
        };
        let Ok(message) = data_encoding::BASE64.decode(message.as_bytes()) else {
            return refused(envelope.id, Refusal::Malformed);
        };
        let made = match self.made() {
            Ok(made) => made,
            Err(problem) => {
                eprintln!("sealwright thunderbird-host: {problem}");
                return refused(envelope.id, Refusal::Setup);
            }
        };
        if message.len() > made.verifier.policy().maximum_message_size {
            return refused(envelope.id, Refusal::TooLarge);
        }
        let verdict = made.verifier.verify(&message, clock.now());
        let language: Language = language.parse().unwrap_or_default();
        Answer {
            version: VERSION,
            id: envelope.id,
            content: Content::Verdict(Box::new(Shown::of(&verdict, language, &made.problems))),
        }
    }

    /// The verifier, made anew when a file that it was made of has changed.
    fn made(&mut self) -> Result<&Made, settings::Problem> {
        let is_fresh = self
            .made
            .as_ref()
            .is_some_and(|made| made.stamp == Stamp::of(&self.path, Some(&made.settings)));
        if !is_fresh {
            self.made = None;
        }
        match &mut self.made {
            Some(made) => Ok(made),
            none => {
                let settings = Settings::read(&self.path)?;
                // Before the files are read, so that a change in between is seen the next time.
                let stamp = Stamp::of(&self.path, Some(&settings));
                let (verifier, problems) = settings.verifier()?;
                Ok(none.insert(Made {
                    stamp,
                    settings,
                    verifier,
                    problems,
                }))
            }
        }
    }
}

fn refused(id: Option<u64>, refusal: Refusal) -> Answer {
    Answer {
        version: VERSION,
        id,
        content: Content::Error(refusal),
    }
}

fn json(answer: &Answer) -> Vec<u8> {
    // Writing to memory does not fail, and there is no map here whose keys might not be text.
    serde_json::to_vec(answer).expect("an answer of texts can be written")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use policies::time::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    #[derive(Debug)]
    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix(1_795_305_600)
        }
    }

    fn frame(content: &[u8]) -> Vec<u8> {
        let mut framed = u32::try_from(content.len()).unwrap().to_ne_bytes().to_vec();
        framed.extend_from_slice(content);
        framed
    }

    fn verify(id: u64, message: &[u8]) -> Value {
        json!({"version": 1, "id": id, "kind": "verify", "language": "sv-SE", "message": data_encoding::BASE64.encode(message)})
    }

    /// The answers, and whether the connection ended in good order.
    fn talk(settings: &str, input: &[u8]) -> (Vec<Value>, Result<(), Problem>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        fs::write(&path, settings).unwrap();
        let mut output = Vec::new();
        let ended = converse(&mut Host::new(&path), &Fixed, &mut { input }, &mut output);
        let mut answers = Vec::new();
        let mut rest = output.as_slice();
        while let Some(answer) = framing::read(&mut rest).unwrap() {
            answers.push(serde_json::from_slice(&answer).unwrap());
        }
        (answers, ended)
    }

    #[test]
    fn an_unsigned_message_is_said_to_be_unsigned_in_the_readers_language() {
        let question = verify(7, b"From: a@example.org\r\nSubject: V4 Carol\r\n\r\nHi").to_string();
        let (answers, ended) = talk("", &frame(question.as_bytes()));
        assert!(ended.is_ok());
        assert_eq!(answers[0]["id"], 7);
        let verdict = &answers[0]["verdict"];
        assert_eq!(verdict["status"], "not_signed");
        assert_eq!(verdict["tier"], Value::Null);
        assert!(verdict["badge"].as_str().unwrap().contains("lang=\"sv\""));
        assert!(verdict["problems"][0].as_str().unwrap().contains("no root certificate"));
    }

    #[test]
    fn what_is_no_question_is_refused_and_the_next_is_answered() {
        let good = verify(2, b"From: a@example.org\r\n\r\nHi").to_string();
        let refusals: [(&[u8], &str); 10] = [
            (b"", "malformed"),
            (b"{", "malformed"),
            (b"null", "malformed"),
            (b"\xff\xfe\x00", "malformed"),
            (b"{\"id\":1,\"kind\":\"verify\"}", "malformed"),
            (b"{\"version\":1,\"id\":1,\"kind\":\"delete\"}", "malformed"),
            (
                b"{\"version\":1,\"id\":1,\"kind\":\"verify\",\"language\":\"en\",\"message\":\"@@\"}",
                "malformed",
            ),
            (
                b"{\"version\":1,\"id\":1,\"kind\":\"verify\",\"language\":\"en\"}",
                "malformed",
            ),
            (b"{\"version\":2,\"id\":1,\"kind\":\"verify\"}", "unknown-version"),
            (b"{\"version\":0,\"id\":null}", "unknown-version"),
        ];
        for (question, expected) in refusals {
            let input = [frame(question), frame(good.as_bytes())].concat();
            let (answers, ended) = talk("", &input);
            assert!(ended.is_ok());
            assert_eq!(answers.len(), 2, "{}", question.escape_ascii());
            assert_eq!(answers[0]["error"], expected, "{}", question.escape_ascii());
            assert_eq!(answers[0].get("verdict"), None);
            assert_eq!(answers[1]["verdict"]["status"], "not_signed");
        }
        let nested = frame("[".repeat(100_000).as_bytes());
        assert_eq!(talk("", &nested).0[0]["error"], "malformed");
    }

    #[test]
    fn a_connection_that_breaks_is_an_error() {
        let whole = frame(verify(1, b"x").to_string().as_bytes());
        let (answers, ended) = talk("", &whole[..whole.len() - 1]);
        assert!(answers.is_empty());
        assert!(matches!(ended, Err(Problem::Truncated)));

        let (answers, ended) = talk("", &u32::MAX.to_ne_bytes());
        assert_eq!(answers[0]["error"], "too-large");
        assert!(matches!(ended, Err(Problem::TooLarge { .. })));
    }

    #[test]
    fn settings_that_cannot_be_used_give_no_verdict() {
        for settings in [
            "tiers = 1",
            "tears = []",
            "unchecked = \"perhaps\"",
            "tiers = [\"/nowhere/root.pem\"]",
            "tiers = [\"/dev/null\"]",
        ] {
            let (answers, _) = talk(
                settings,
                &frame(verify(3, b"From: a@b.example\r\n\r\n").to_string().as_bytes()),
            );
            assert_eq!(answers[0]["error"], "setup", "{settings}");
            assert_eq!(answers[0]["id"], 3);
        }
    }

    #[test]
    fn a_revocation_list_of_no_use_is_told_and_a_change_of_settings_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let crls = folder.path().join("crls");
        fs::create_dir(&crls).unwrap();
        fs::write(crls.join("broken.crl"), "hello").unwrap();
        fs::write(crls.join("readme.txt"), "not a list, and not taken for one").unwrap();
        let path = folder.path().join("settings.toml");
        fs::write(&path, format!("crl_folder = {crls:?}")).unwrap();
        let mut host = Host::new(&path);
        let problems = host.made().unwrap().problems.clone();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[1].contains("broken.crl"), "{problems:?}");
        fs::remove_file(crls.join("broken.crl")).unwrap();
        assert_eq!(host.made().unwrap().problems.len(), 1);
        fs::write(&path, "tiers = 1").unwrap();
        assert!(host.made().is_err());
    }

    #[test]
    fn the_answer_stays_far_below_what_thunderbird_takes() {
        let mut message = b"From: a@example.org\r\n".to_vec();
        for number in 0..5_000 {
            message.extend_from_slice(format!("From: {}{number}@example.org\r\n", "\u{202e}x".repeat(90)).as_bytes());
        }
        message.extend_from_slice(b"\r\nHi");
        let (answers, ended) = talk("", &frame(verify(1, &message).to_string().as_bytes()));
        assert!(ended.is_ok());
        assert!(answers[0]["verdict"].is_object());
        assert!(answers[0].to_string().len() < framing::LARGEST_ANSWER / 4);
    }
}
