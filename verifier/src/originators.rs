//! What the fields that name people say, beside the signature.

use policies::mailbox::Mailbox;

use crate::finding::{Code, Problem};
use crate::header::confusable::{imitates_label, is_confusable, is_confusable_domain};
use crate::header::{FromProblem, HeaderBlock, Sender, one_mailbox};

/// The name beside the address, as a reader sees it.
pub(crate) fn check_display_name(from: &Sender, problems: &mut Vec<Problem>) {
    if from.display_name_claims_another_address() {
        problems.push(Code::DisplayNameAddress.because(format!(
            "the display name looks like another address than {}",
            from.mailbox()
        )));
    }
    if !from.display_name_is_readable() {
        problems.push(Code::DisplayNameUnreadable.because("the display name has encoded words that could not be read"));
    }
    if let Some(name) = from.display_name() {
        if is_confusable(name) {
            problems.push(Code::DisplayNameConfusable.because("the display name has letters that pass for others"));
        }
        if imitates_label(name) {
            problems.push(Code::DisplayNameImitation.because("the display name imitates what the verifier says"));
        }
    }
    let (local_part, domain) = (from.mailbox().local_part(), from.mailbox().domain().to_unicode());
    if is_confusable(local_part) || is_confusable_domain(&domain) {
        problems.push(Code::AddressConfusable.because(format!(
            "the address {} has letters that pass for others",
            from.mailbox()
        )));
    }
}

/// Sender, Reply-To and Resent fields say nothing about identity; that they differ is worth knowing.
pub(crate) fn check_others(header: &HeaderBlock<'_>, from: &Mailbox, problems: &mut Vec<Problem>) {
    for (name, code) in [("Sender", Code::SenderDiffers), ("Reply-To", Code::ReplyToDiffers)] {
        let differs = header.named(name).any(|field| {
            let value = String::from_utf8(field.unfolded()).ok();
            value
                .and_then(|value| one_mailbox(&value).ok())
                .is_none_or(|other| other.mailbox() != from)
        });
        if differs {
            problems.push(code.because(format!("the {name} field names another address than From")));
        }
    }
    if header
        .named("Resent-From")
        .chain(header.named("Resent-Sender"))
        .next()
        .is_some()
    {
        problems.push(Code::ResentFields.because("the message was sent on by somebody else"));
    }
}

pub(crate) fn from_problem(problem: &FromProblem) -> Problem {
    let code = match problem {
        FromProblem::Missing => Code::FromMissing,
        FromProblem::Repeated { .. } => Code::FromRepeated,
        FromProblem::NoMailbox | FromProblem::SeveralMailboxes | FromProblem::Group => Code::FromNotOneMailbox,
        FromProblem::Character(_) | FromProblem::NotUtf8 => Code::FromCharacters,
        FromProblem::Comment | FromProblem::TooLong | FromProblem::Syntax | FromProblem::Address(_) => Code::FromSyntax,
    };
    code.because(problem.to_string())
}
