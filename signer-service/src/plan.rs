//! What is done with each recipient's copy of a message, and why. Pure: bytes, envelope and policy in, plan out.

use std::path::PathBuf;

use policies::mailbox::Mailbox;
use policies::signing::{MaySign, SigningIdentity};
use verifier::header::{HeaderBlock, sender};
use verifier::{Integrity, Material, TrustStore};

use crate::mime::content_type::Parameterized;
use crate::mime::entity::{Entity, Multipart};
use crate::mime::signed::HeaderProtection;
use crate::mime::strip::strip;
use crate::policy::{
    AlreadySigned, CipherChoice, Encrypt, Exception, Format, Policy, SenderRules, Sign, TransportChoice,
    WithoutCertificate,
};
use crate::treatment::{Refusal, ReversePath, Treatment, Untouched, WithoutIdentity, decide};
use crate::wishes::{self, TrustFields, Wishes};

/// What is known of a message beside its bytes: everything that the session vouches for.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'e> {
    pub reverse_path: ReversePath,
    pub recipients: &'e [String],
    /// Whom the session may sign for.
    pub may_sign_for: &'e [MaySign],
    pub fields: TrustFields,
    /// Only for a signature that is to be replaced, which has to be intact: the time at which it is looked at.
    pub now: policies::time::Timestamp,
}

/// What is done with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Whom the message is from, if that can be told.
    pub from: Option<Mailbox>,
    /// At least one; each recipient is in one of them.
    pub copies: Vec<Copy>,
}

/// Recipients that get the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    pub recipients: Vec<String>,
    pub action: Action,
    /// One reason per recipient, in the same order: a whole sentence.
    pub reasons: Vec<String>,
    /// The message to be treated, without what was meant for the gateway only.
    pub message: Vec<u8>,
}

/// What is done with a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Passed on as it is.
    Pass,
    Sign {
        from: SigningIdentity,
        without_identity: WithoutIdentity,
        format: Format,
        protection: HeaderProtection,
    },
    Encrypt(Box<Encryption>),
}

/// How a copy is encrypted, before anybody has looked for certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    pub demand: Demand,
    /// Whose signature goes inside, if any.
    pub signing: Option<Signing>,
    pub protection: HeaderProtection,
    pub cipher: CipherChoice,
    pub key_transport: TransportChoice,
    pub to_sender: bool,
    pub domain_certificate: Option<PathBuf>,
    pub without_certificate: WithoutCertificate,
    /// What is done for those who cannot be encrypted to, where that is allowed.
    pub otherwise: Action,
}

/// How much the encryption matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    IfPossible,
    /// Nothing leaves in clear.
    Required {
        because: String,
    },
}

/// A signature inside of an encrypted copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    pub from: SigningIdentity,
    pub without_identity: WithoutIdentity,
    pub format: Format,
}

/// Plans for every recipient; without any, for one who is not known.
///
/// # Errors
/// See [`Refusal`]: the message is refused as a whole.
pub fn plan(message: &[u8], envelope: &Envelope<'_>, policy: &Policy) -> Result<Plan, Refusal> {
    let treatment = match decide(message, envelope.reverse_path, envelope.may_sign_for) {
        Treatment::Refuse(refusal) => return Err(refusal),
        treatment => treatment,
    };
    let (header, _) = HeaderBlock::parse(message)?;
    let from = sender(&header).ok().map(|sender| sender.mailbox().clone());
    let rules = policy.of_sender(from.as_ref());
    let (mut wishes, cleaned) = wishes::read(message, &rules, envelope.fields)?;
    let recipients: Vec<String> = envelope
        .recipients
        .iter()
        .filter(|recipient| !policy.is_processing_address(recipient))
        .cloned()
        .collect();
    if recipients.len() < envelope.recipients.len() {
        wishes
            .secure
            .get_or_insert_with(|| "the processing address among its recipients".to_owned());
        if recipients.is_empty() {
            return Err(Refusal::NobodyToSendTo);
        }
    }
    let mut work = Work {
        kind: MessageKind::of(&cleaned, envelope.reverse_path)?,
        treatment,
        wishes,
        resigned: None,
    };
    if work.treatment == Treatment::PassUntouched(Untouched::AlreadySigned)
        && rules.already_signed.value == AlreadySigned::StripAndReSign
        && let Some(from) = &from
        && let Some(stripped) = strip(&cleaned)?
    {
        check_intact(message, envelope.now)?;
        if let Ok(identity) = policies::signing::decide(from, envelope.may_sign_for) {
            let without_identity = WithoutIdentity::PassUntouched;
            work.treatment = Treatment::Sign {
                from: identity,
                without_identity,
            };
            work.resigned = Some(stripped);
        }
    }
    let nobody = [String::new()];
    let recipients = if recipients.is_empty() {
        &nobody[..]
    } else {
        &recipients
    };
    let mut copies: Vec<Copy> = Vec::new();
    for recipient in recipients {
        let rules = match policy.of_recipient(recipient) {
            Some((level, agreed)) => rules.towards(&level, agreed),
            None => rules.clone(),
        };
        let (action, reason) = work.action(&rules)?;
        let recipients = (!recipient.is_empty()).then(|| recipient.clone());
        if let Some(copy) = copies.iter_mut().find(|copy| copy.action == action) {
            copy.recipients.extend(recipients);
            copy.reasons.push(reason);
        } else {
            let signed = match &action {
                Action::Pass => false,
                Action::Sign { .. } => true,
                Action::Encrypt(encryption) => encryption.signing.is_some(),
            };
            let message = match &work.resigned {
                Some(stripped) if signed => stripped.clone(),
                _ => cleaned.to_vec(),
            };
            copies.push(Copy {
                recipients: recipients.into_iter().collect(),
                action,
                reasons: vec![reason],
                message,
            });
        }
    }
    Ok(Plan { from, copies })
}

/// What is true of the message for all recipients.
struct Work {
    treatment: Treatment,
    wishes: Wishes,
    kind: MessageKind,
    /// The message without the signature of the sender's program, if that is to be replaced.
    resigned: Option<Vec<u8>>,
}

impl Work {
    fn action(&self, rules: &SenderRules) -> Result<(Action, String), Refusal> {
        let (signed, reason) = self.signature(rules)?;
        let demand = match (&self.wishes.secure, rules.encrypt.value) {
            (Some(asked_by), _) => Demand::Required {
                because: asked_by.clone(),
            },
            (None, Encrypt::Required) => Demand::Required {
                because: format!("the policy ({}: encrypt = \"required\")", rules.encrypt.by),
            },
            (None, Encrypt::IfPossible) if self.is_left_alone(rules) => return Ok((signed, reason)),
            (None, Encrypt::IfPossible) => Demand::IfPossible,
            (None, Encrypt::No) => return Ok((signed, reason)),
        };
        match (&self.treatment, &demand) {
            (Treatment::PassUntouched(Untouched::AlreadyEncrypted), _)
            | (Treatment::PassUntouched(Untouched::RightsManaged), Demand::IfPossible) => return Ok((signed, reason)),
            (Treatment::PassUntouched(Untouched::RightsManaged), Demand::Required { because }) => {
                return Err(Refusal::RightsManaged {
                    because: because.clone(),
                });
            }
            _ => {}
        }
        if let (Some(asked_by), None, Encrypt::Required) =
            (&self.wishes.clear, &self.wishes.secure, rules.encrypt.value)
        {
            return Err(Refusal::ClearNotAllowed {
                asked_by: asked_by.clone(),
                level: rules.encrypt.by.to_string(),
            });
        }
        let signing = match &signed {
            Action::Sign {
                from,
                without_identity,
                format,
                ..
            } => Some(Signing {
                from: from.clone(),
                without_identity: *without_identity,
                format: *format,
            }),
            _ => None,
        };
        // Nothing can be added to what the sender's own program has signed.
        let is_signed_already = self.treatment == Treatment::PassUntouched(Untouched::AlreadySigned)
            || (self.resigned.is_some() && signing.is_none());
        let protection = if is_signed_already {
            HeaderProtection::Off
        } else {
            HeaderProtection::Cipher(rules.confidentiality.value)
        };
        let header = match protection {
            HeaderProtection::Cipher(confidentiality) => format!(
                "its header too ({}: confidentiality = \"{}\")",
                rules.confidentiality.by,
                confidentiality.as_ref()
            ),
            _ => "its header left as it is, since the sender's program has signed it".to_owned(),
        };
        let reason = match &demand {
            Demand::Required { because } => format!("{reason}; encrypted, because of {because}, {header}"),
            Demand::IfPossible => format!(
                "{reason}; encrypted if possible ({}: encrypt = \"if-possible\"), {header}",
                rules.encrypt.by
            ),
        };
        let encryption = Encryption {
            demand,
            signing,
            protection,
            cipher: rules.cipher.value,
            key_transport: rules.key_transport.value,
            to_sender: rules.encrypt_to_sender,
            domain_certificate: rules.domain_certificate.clone(),
            without_certificate: rules.without_certificate.value,
            otherwise: signed,
        };
        Ok((Action::Encrypt(Box::new(encryption)), reason))
    }

    /// Whether the message is of a kind that is passed on unsigned, so that it is not encrypted either unless that is
    /// required: Outlook shows no buttons for an encrypted invitation.
    fn is_left_alone(&self, rules: &SenderRules) -> bool {
        let decided = match self.kind {
            MessageKind::Usual => return self.wishes.clear.is_some(),
            MessageKind::Automatic => &rules.automatic,
            MessageKind::Calendar => &rules.calendar,
            MessageKind::List => &rules.lists,
        };
        decided.value == Exception::Pass || self.wishes.clear.is_some()
    }

    fn signature(&self, rules: &SenderRules) -> Result<(Action, String), Refusal> {
        let (from, default_without) = match &self.treatment {
            Treatment::Sign { from, without_identity } => (from.clone(), *without_identity),
            Treatment::PassUntouched(reason) => return Ok((Action::Pass, reason.to_string())),
            Treatment::Refuse(refusal) => return Err(refusal.clone()),
        };
        let required = rules.sign.value == Sign::Required && default_without == WithoutIdentity::Enrol;
        if let Some(asked_by) = &self.wishes.clear {
            if required {
                return Err(Refusal::ClearNotAllowed {
                    asked_by: asked_by.clone(),
                    level: rules.sign.by.to_string(),
                });
            }
            return Ok((Action::Pass, format!("not signed, because of {asked_by}")));
        }
        let (mut without_identity, mut reason) = match (&self.wishes.sign, rules.sign.value) {
            (Some(asked_by), _) => (WithoutIdentity::Enrol, format!("signed, because of {asked_by}")),
            (None, Sign::No) => {
                return Ok((Action::Pass, format!("not signed ({}: sign = \"no\")", rules.sign.by)));
            }
            (None, Sign::Yes) => (
                WithoutIdentity::EnrolOrPass,
                format!(
                    "signed if the sender can have a certificate ({}: sign = \"yes\")",
                    rules.sign.by
                ),
            ),
            (None, Sign::Required) => (
                WithoutIdentity::Enrol,
                format!("signed or refused ({}: sign = \"required\")", rules.sign.by),
            ),
        };
        if self.wishes.sign.is_none() {
            let exception = match self.kind {
                MessageKind::Usual => None,
                MessageKind::Automatic => Some(("automatic", "written by a program", &rules.automatic)),
                MessageKind::Calendar => Some(("calendar", "an invitation or the answer to one", &rules.calendar)),
                MessageKind::List => Some(("lists", "sent out by a mailing list", &rules.lists)),
            };
            if let Some((key, what, decided)) = exception {
                match decided.value {
                    Exception::Sign => {}
                    Exception::SignIfEnrolled => {
                        without_identity = WithoutIdentity::PassUntouched;
                        reason = format!(
                            "signed if the sender has a certificate already, since it is {what} ({}: {key} = \"sign-if-enrolled\")",
                            decided.by
                        );
                    }
                    Exception::Pass => {
                        return Ok((
                            Action::Pass,
                            format!("not signed, since it is {what} ({}: {key} = \"pass\")", decided.by),
                        ));
                    }
                }
            }
        }
        if self.resigned.is_some() {
            without_identity = match without_identity {
                // Its own signature is better than none.
                WithoutIdentity::EnrolOrPass | WithoutIdentity::PassUntouched => {
                    return Ok((
                        Action::Pass,
                        format!("not signed anew, since signing is not required ({})", rules.sign.by),
                    ));
                }
                WithoutIdentity::Enrol => WithoutIdentity::Enrol,
            };
            reason = format!(
                "signed anew in place of the sender's own signature ({}: already_signed = \"strip-and-re-sign\")",
                rules.already_signed.by
            );
        }
        if default_without == WithoutIdentity::PassUntouched && self.resigned.is_none() && self.wishes.sign.is_none() {
            // A refusal would reach nobody.
            without_identity = WithoutIdentity::PassUntouched;
        }
        let (format, chosen_by) = match &self.wishes.format {
            Some((format, asked_by)) => (*format, format!("because of {asked_by}")),
            None => (rules.format.value, rules.format.by.to_string()),
        };
        let protection = if rules.header_protection.value {
            HeaderProtection::Clear
        } else {
            HeaderProtection::Off
        };
        let carried = match format {
            Format::Clear => "clear (multipart/signed",
            Format::Opaque => "opaque (application/pkcs7-mime",
        };
        let header = if rules.header_protection.value {
            "with its header"
        } else {
            "without its header"
        };
        reason = format!(
            "{reason}; {carried}, {chosen_by}), {header} ({})",
            rules.header_protection.by
        );
        let action = Action::Sign {
            from,
            without_identity,
            format,
            protection,
        };
        Ok((action, reason))
    }
}

/// What kind of message it is, as far as a signature may disturb it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageKind {
    Usual,
    Automatic,
    Calendar,
    List,
}

impl MessageKind {
    fn of(message: &[u8], reverse_path: ReversePath) -> Result<Self, Refusal> {
        let (header, _) = HeaderBlock::parse(message)?;
        let whole = Entity::split(message)?;
        Ok(
            if reverse_path == ReversePath::Null || crate::treatment::is_automatic(&header) {
                Self::Automatic
            } else if header.named("List-Id").next().is_some() {
                Self::List
            } else if is_calendar(&whole, DEPTH) {
                Self::Calendar
            } else {
                Self::Usual
            },
        )
    }
}

/// text/calendar with a method in the message or among its parts (RFC 6047 section 2.4).
fn is_calendar(entity: &Entity<'_>, depth: usize) -> bool {
    let Ok(Some(field)) = entity.only("Content-Type") else {
        return false;
    };
    let Some(media) = Parameterized::parse(&field.value()) else {
        return false;
    };
    if media.value == "text/calendar" {
        return media.parameter("method").is_some();
    }
    let boundary = media
        .parameter("boundary")
        .filter(|_| media.value.starts_with("multipart/"));
    let (Some(boundary), Some(depth)) = (boundary, depth.checked_sub(1)) else {
        return false;
    };
    let Ok(multipart) = Multipart::split(entity.body, boundary) else {
        return false;
    };
    multipart
        .parts
        .iter()
        .any(|part| Entity::split(part).is_ok_and(|part| is_calendar(&part, depth)))
}

/// Our signature must not cover up that somebody has changed what the sender has signed.
fn check_intact(message: &[u8], now: policies::time::Timestamp) -> Result<(), Refusal> {
    let (trust, material) = (TrustStore::new(), Material::default());
    let verdict = verifier::verify(message, &trust, &material, now, &verifier::Policy::default());
    match verdict.integrity() {
        Integrity::Intact => Ok(()),
        _ => Err(Refusal::BrokenSignature),
    }
}

/// An invitation stands in multipart/alternative in multipart/mixed, seldom one deeper.
const DEPTH: usize = 4;
