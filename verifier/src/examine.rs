//! The examination: every check in its order, layer by layer, each fact on its own.
//!
//! The outermost signature decides. Encryption around it says nothing about who wrote the message and raises nothing;
//! layers inside it are examined in the same way and reported beside it.

use std::borrow::Cow;
use std::cell::Cell;

use policies::time::{Span, Timestamp};

use crate::content;
use crate::content_type::ContentType;
use crate::extensions::{DIGITAL_SIGNATURE, NON_REPUDIATION};
use crate::finding::{Code, Effect, Problem};
use crate::header::{FromProblem, HeaderBlock, Sender, date::date, sender};
use crate::message::{self, Envelope};
use crate::name::{self, MatchedAddress};
use crate::originators::{check_display_name, check_others, from_problem};
use crate::path::{self, PathParameters};
use crate::protection;
use crate::revocation::{self, RevocationStatus};
use crate::signed_data::{IntactSignature, SignedData};
use crate::tier::{self, Granted};
use crate::verdict::{Encryption, Identity, Integrity, PathFact, Signer, Status, Verdict};
use crate::verify::{UnsettledRevocation, Verification};

/// Examines a message as it arrived.
pub(crate) fn message(message: &[u8], with: &Verification<'_>) -> Verdict {
    let mut verdict = Verdict::unexamined(None);
    let mut problems = Vec::new();
    let granted = whole(&mut verdict, &mut problems, message, with).ok();
    verdict.conclude(problems, granted);
    verdict
}

/// A problem that ends the examination has been added to the list.
struct Stopped;

fn stop<T>(problems: &mut Vec<Problem>, problem: Problem) -> Result<T, Stopped> {
    problems.push(problem);
    Err(Stopped)
}

/// What is the same for all layers.
struct Around<'a> {
    /// The header of the message, which readers see.
    header: HeaderBlock<'a>,
    from: Result<Sender, FromProblem>,
    with: &'a Verification<'a>,
    message: &'a [u8],
    /// Where in the message the entity stands that was verified, until the message itself is no longer needed.
    verified: Cell<Option<(usize, usize)>>,
}

impl Around<'_> {
    /// Start and end of a part of the message.
    fn place_of(&self, part: &[u8]) -> Option<(usize, usize)> {
        let start = part.as_ptr().addr().checked_sub(self.message.as_ptr().addr())?;
        let end = start.checked_add(part.len())?;
        (end <= self.message.len()).then_some((start, end))
    }
}

/// One MIME entity that may be signed or encrypted.
struct Layer<'a> {
    header: &'a HeaderBlock<'a>,
    body: &'a [u8],
    depth: usize,
    /// A layer further out is encrypted.
    is_encrypted: bool,
}

fn whole(
    verdict: &mut Verdict,
    problems: &mut Vec<Problem>,
    message: &[u8],
    with: &Verification<'_>,
) -> Result<Granted, Stopped> {
    check_size(message, with).or_else(|problem| stop(problems, problem))?;
    let message = message::canonical(message, problems);
    let (header, body) = match HeaderBlock::parse(&message) {
        Ok(parsed) => parsed,
        Err(problem) => {
            let code = if message::claims_security(&message) {
                Code::HeaderMalformed
            } else {
                Code::UnreadableMessage
            };
            return stop(problems, code.because(problem.to_string()));
        }
    };
    let from = sender(&header);
    verdict.from = from.as_ref().ok().map(|from| from.mailbox().to_string());
    let around = Around {
        header,
        from,
        with,
        message: &message,
        verified: Cell::new(None),
    };
    let outermost = Layer {
        header: &around.header,
        body,
        depth: 0,
        is_encrypted: false,
    };
    let granted = layer(verdict, problems, &around, &outermost);
    // A message that had to be converted is cut down to the entity, so that there are never three copies of it.
    if let Some((start, end)) = around.verified.take() {
        verdict.verified_bytes = Some(match message {
            Cow::Borrowed(message) => message.get(start..end).unwrap_or_default().to_vec(),
            Cow::Owned(mut converted) => {
                converted.truncate(end);
                converted.drain(..start);
                converted
            }
        });
    }
    granted
}

fn check_size(message: &[u8], with: &Verification<'_>) -> Result<(), Problem> {
    if message.len() <= with.policy.maximum_message_size {
        return Ok(());
    }
    Err(Code::MessageTooLarge.because(format!("the message has {} octets and was not examined", message.len())))
}

fn layer(
    verdict: &mut Verdict,
    problems: &mut Vec<Problem>,
    around: &Around<'_>,
    layer: &Layer<'_>,
) -> Result<Granted, Stopped> {
    let broken = |verdict: &mut Verdict, problems: &mut Vec<Problem>, problem: Problem| {
        if problem.code.effect() == Effect::Broken {
            verdict.integrity = Integrity::Broken;
        }
        stop(problems, problem)
    };
    // 1. What is around this layer.
    let envelope = match message::open(layer.header, layer.body, problems) {
        Ok(envelope) => envelope,
        Err(problem) => return broken(verdict, problems, problem),
    };
    // RFC 2045 section 4: a message has it, what is inside of one need not.
    if layer.depth == 0 && layer.header.named("MIME-Version").next().is_none() {
        problems.push(Code::MimeVersionMissing.because("the message does not say MIME-Version: 1.0"));
    }
    // 2. Integrity: the signatures fit exactly these bytes.
    let (cms, outside, micalg) = match &envelope {
        Envelope::Clear { entity, cms, micalg } => (cms, Some(*entity), micalg.as_deref()),
        Envelope::Opaque { cms } => (cms, None, None),
        Envelope::Encrypted { cms, authenticated } => {
            return decrypted(verdict, problems, around, layer, cms, *authenticated);
        }
    };
    let (signed_data, entity, signatures) = match check_integrity(cms, outside, around.with) {
        Ok(intact) => intact,
        Err(problem) => return broken(verdict, problems, problem),
    };
    let Some((signature, others)) = signatures.split_first() else {
        return broken(verdict, problems, Code::NoSigner.because("nobody signed"));
    };
    verdict.integrity = Integrity::Intact;
    verdict.certificate = Some(signature.certificate().raw.to_vec());
    if micalg.is_some_and(|micalg| !signatures.iter().any(|one| one.digest().is_named_by(micalg))) {
        problems.push(Code::MicalgDiffers.because("micalg names another digest than the signature uses"));
    }
    if signed_data.has_crls {
        problems.push(Code::EmbeddedCrls.because("revocation lists inside the signature were not used"));
    }
    // 3. What the message says of itself.
    let own_sender = match check_entity(verdict, problems, around, layer, &entity, signature) {
        Ok(own_sender) => own_sender,
        Err(problem) => return stop(problems, problem),
    };
    let place = match &entity {
        Cow::Borrowed(part) if layer.depth == 0 => around.place_of(part),
        _ => None,
    };
    match place {
        Some(place) => around.verified.set(Some(place)),
        None => verdict.verified_bytes = Some(entity.into_owned()),
    }
    // 4. Who made it. The header inside wins, where its address is that of the header outside.
    let from = match (own_sender, &around.from) {
        (Some(own), Ok(_)) => Ok(own),
        (_, from) => from.clone(),
    };
    match &from {
        Ok(from) => {
            check_display_name(from, problems);
            check_others(&around.header, from.mailbox(), problems);
            verdict.identity = Identity::Differs;
        }
        Err(_) => verdict.identity = Identity::NoSender,
    }
    let judged = judge(verdict, problems, &signed_data, signature, &from, around.with);
    if others.is_empty() {
        return judged;
    }
    // 5. Several signers: each as good as the first, and all of them the sender, or none counts.
    let granted = judged?;
    for other in others {
        let mut beside = Verdict::unexamined(None);
        let mut found = Vec::new();
        let same = judge(&mut beside, &mut found, &signed_data, other, &from, around.with).ok();
        found.sort_by_key(|problem| (problem.code.effect(), problem.code));
        let costs_tier = found
            .into_iter()
            .find(|problem| problem.code.effect() < Effect::Warning);
        if let Some(problem) = costs_tier {
            let detail = format!(
                "{} signers signed, and of another one is true: {problem}",
                signatures.len()
            );
            return stop(problems, Code::SeveralSigners.because(detail));
        }
        if same.as_ref() != Some(&granted) {
            return stop(
                problems,
                Code::SeveralSigners.because("several signers signed, and different things are vouched for"),
            );
        }
    }
    Ok(granted)
}

/// The content of an encrypted layer, if somebody who has the key was handed in.
fn decrypted(
    verdict: &mut Verdict,
    problems: &mut Vec<Problem>,
    around: &Around<'_>,
    layer: &Layer<'_>,
    cms: &[u8],
    authenticated: bool,
) -> Result<Granted, Stopped> {
    verdict.encryption = Encryption::Closed;
    if layer.depth == MAXIMUM_LAYERS {
        return stop(problems, Code::TooManyLayers.because("the message has too many layers"));
    }
    let Some(decryption) = around.with.decryption else {
        return stop(
            problems,
            Code::Encrypted.because("the message is encrypted; whether it is signed shows only after decryption"),
        );
    };
    let Some(content) = decryption.decrypt(cms) else {
        return stop(
            problems,
            Code::Encrypted.because("the message is encrypted for somebody else, or damaged"),
        );
    };
    check_size(&content, around.with).or_else(|problem| stop(problems, problem))?;
    verdict.encryption = Encryption::Opened;
    if !authenticated {
        // EFAIL (CVE-2017-17689): such content may have been put together by others, unless a signature inside fits.
        problems
            .push(Code::EncryptionUnauthenticated.because("the encryption does not protect the content from changes"));
    }
    let content = message::canonical(&content, problems);
    let (header, body) = match HeaderBlock::parse(&content) {
        Ok(parsed) => parsed,
        Err(problem) => {
            let detail = format!("the decrypted content: {problem}");
            return stop(problems, Code::HeaderMalformed.because(detail));
        }
    };
    let inside = Layer {
        header: &header,
        body,
        depth: layer.depth + 1,
        is_encrypted: true,
    };
    self::layer(verdict, problems, around, &inside)
}

type Intact<'c, 'e> = (SignedData<'c>, Cow<'e, [u8]>, Vec<IntactSignature<'c>>);

/// The signatures over the one content there is, inside the structure or outside.
fn check_integrity<'c, 'e>(
    cms: &'c [u8],
    outside: Option<&'e [u8]>,
    with: &Verification<'c>,
) -> Result<Intact<'c, 'e>, Problem> {
    let mut signed_data = SignedData::read(cms)?;
    let entity: Cow<'e, [u8]> = match (outside, signed_data.content.take()) {
        (Some(entity), None) => Cow::Borrowed(entity),
        (None, Some(content)) => Cow::Owned(content),
        (Some(_), Some(_)) => {
            return Err(Code::ContentTwice.because("the signature carries content beside the content that is shown"));
        }
        (None, None) => return Err(Code::ContentMissing.because("the signature carries no content")),
    };
    let signatures = signed_data.verify(&entity, with.intermediates, with.trust.crypto())?;
    Ok((signed_data, entity, signatures))
}

/// The signed entity: readable in one way, not contradicting the header outside, and what is nested in it.
fn check_entity(
    verdict: &mut Verdict,
    problems: &mut Vec<Problem>,
    around: &Around<'_>,
    layer: &Layer<'_>,
    entity: &[u8],
    signature: &IntactSignature<'_>,
) -> Result<Option<Sender>, Problem> {
    let (inner, body) = message::entity_header(entity)?;
    let content_type = ContentType::of(&inner)?;
    let media_type = content_type
        .as_ref()
        .map(|content_type| content_type.media_type.as_str());
    // RFC 8551 section 3.1: the whole message wrapped as message/rfc822, whose header some clients show.
    let body = if media_type == Some("message/rfc822") {
        message::canonical(body, problems)
    } else {
        Cow::Borrowed(body)
    };
    let wrapped = if media_type == Some("message/rfc822") {
        let (wrapped, _) = HeaderBlock::parse(&body)
            .map_err(|problem| Code::HeaderMalformed.because(format!("the wrapped message: {problem}")))?;
        Some(wrapped)
    } else {
        None
    };
    let protection = protection::examine(
        &around.header,
        &inner,
        content_type.as_ref(),
        wrapped.as_ref(),
        layer.is_encrypted,
        problems,
    );
    check_times(&around.header, signature, around.with.at, problems);
    content::scan(&inner, &body, problems);
    verdict.header_protection = protection.scheme;
    verdict.protected_fields = protection.fields;
    if media_type.is_some_and(|media_type| message::claims_security(media_type.as_bytes())) {
        problems.push(Code::NestedSecurity.because("the signed content is signed or encrypted once more"));
        let inside = Layer {
            header: &inner,
            body: &body,
            depth: layer.depth + 1,
            is_encrypted: layer.is_encrypted,
        };
        verdict.inner = nested(verdict, problems, around, &inside).map(Box::new);
    }
    Ok(protection.sender)
}

/// The same examination of a layer inside the signature, which counts for itself alone.
fn nested(verdict: &Verdict, problems: &mut Vec<Problem>, around: &Around<'_>, inside: &Layer<'_>) -> Option<Verdict> {
    if inside.depth == MAXIMUM_LAYERS {
        problems.push(Code::InnerSignature.because("the message has more layers than were examined"));
        return None;
    }
    let mut inner = Verdict::unexamined(verdict.from.clone());
    let mut found = Vec::new();
    let granted = layer(&mut inner, &mut found, around, inside).ok();
    // The outer signature covers what the inner one protects.
    problems.extend(
        found
            .iter()
            .filter(|problem| problem.code == Code::ProtectedFromDiffers)
            .cloned(),
    );
    inner.conclude(found, granted);
    if matches!(inner.status, Status::NotVerified | Status::Broken) {
        problems
            .push(Code::InnerSignature.because(format!("of a signature inside this one is true: {}", inner.label())));
    }
    Some(inner)
}

/// Path, sender and revocation, independently of each other; then the tier, from the proofs of all of them.
fn judge(
    verdict: &mut Verdict,
    problems: &mut Vec<Problem>,
    signed_data: &SignedData<'_>,
    signature: &IntactSignature<'_>,
    from: &Result<Sender, FromProblem>,
    with: &Verification<'_>,
) -> Result<Granted, Stopped> {
    let Verification { trust, at, policy, .. } = *with;
    let certificate = signature.certificate();
    if certificate
        .extensions
        .basic_constraints
        .is_some_and(|constraints| constraints.is_authority)
    {
        problems.push(Code::EndEntityIsAuthority.because("the signer's certificate is that of an authority"));
    }
    if !certificate.extensions.allows(DIGITAL_SIGNATURE | NON_REPUDIATION) {
        problems.push(Code::KeyUsage.because("the signer's key may not sign messages"));
    }
    let intermediates = signed_data.certificates.iter().copied();
    let intermediates = intermediates.chain(with.intermediates.iter().map(Vec::as_slice));
    let parameters = PathParameters::default();
    let path = path::find(certificate.clone(), intermediates, trust, at, &parameters);
    verdict.path = if path.is_ok() {
        PathFact::Verified
    } else {
        PathFact::NotVerified
    };
    let address: Result<MatchedAddress, Problem> = match from {
        Ok(from) => name::bind(from.mailbox(), certificate),
        Err(problem) => Err(from_problem(problem)),
    };
    if address.is_ok() {
        verdict.identity = Identity::Matches;
    }
    if let Ok(path) = &path {
        let first = name::mailboxes(certificate).into_iter().next();
        let known = address.as_ref().ok().map(|address| address.mailbox().clone()).or(first);
        verdict.signer = known.map(|address| Signer {
            address: address.to_string(),
            name: None,
            organization: None,
            title: None,
        });
        let revocation = revocation::check(path, with.sources, at, trust.crypto());
        verdict.revocation = revocation.status;
        let withholds = match revocation.status {
            RevocationStatus::Good | RevocationStatus::Revoked => false,
            RevocationStatus::NotChecked => policy.not_checked == UnsettledRevocation::WithholdTier,
            RevocationStatus::Unknown => policy.unknown == UnsettledRevocation::WithholdTier,
        };
        problems.extend(revocation.problem(withholds));
    }
    match (path, address) {
        (Ok(path), Ok(address)) => tier::grant(signature, &path, &address).or_else(|problem| stop(problems, problem)),
        (path, address) => {
            problems.extend(path.err());
            problems.extend(address.err());
            Err(Stopped)
        }
    }
}

/// The signer's claim of when it signed, against the Date field and the present.
fn check_times(header: &HeaderBlock<'_>, signature: &IntactSignature<'_>, at: Timestamp, problems: &mut Vec<Problem>) {
    let Some(signing_time) = signature.signing_time() else {
        return;
    };
    if signing_time > at.plus(CLOCK_TOLERANCE) {
        problems.push(Code::SigningTimeInFuture.because(format!(
            "the message says it was signed at {signing_time}, and it is {at}"
        )));
    }
    if let Some(date) = date(header) {
        let apart = signing_time.since(date).max(date.since(signing_time));
        if apart > DATE_TOLERANCE {
            problems.push(
                Code::SigningTimeApart.because(format!("the message is dated {date} and was signed at {signing_time}")),
            );
        }
    }
}

/// How far ahead signingTime may lie. Source: own choice; the five minutes that Kerberos allows clocks to differ
/// (RFC 4120 section 8.2).
const CLOCK_TOLERANCE: Span = Span::minutes(5);
/// How far signingTime and Date may be apart. Source: what Thunderbird allows, against messages that are sent again under
/// another date (CVE-2023-50761).
const DATE_TOLERANCE: Span = Span::hours(1);
/// Layers of signatures and encryption. Source: RFC 2634 section 1.1 has three (signed, encrypted, signed); one more for
/// a gateway around it.
const MAXIMUM_LAYERS: usize = 4;
