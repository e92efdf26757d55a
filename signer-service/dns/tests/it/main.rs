//! Look-ups against real and hostile servers on loopback.

mod bind;
mod hostile;
mod local;
mod signed;

use dns::{Answer, Name};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// The state of an answer and, when it failed, the beginning of why.
fn told<T: std::fmt::Debug>(answer: &Answer<T>) -> String {
    match answer {
        Answer::Bogus(why) => format!("bogus: {why}"),
        Answer::Failed(why) => format!("failed: {why}"),
        Answer::NoData(absent) | Answer::NxDomain(absent) => format!("{} {}", answer.state(), absent.security),
        Answer::Secure(_) | Answer::Insecure(_) => answer.state().to_owned(),
    }
}
