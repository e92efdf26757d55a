//! The verdict on one message: every check in its order, each fact on its own.

use policies::mailbox::Mailbox;
use policies::time::{Span, Timestamp};

use crate::content_type::ContentType;
use crate::extensions::{DIGITAL_SIGNATURE, NON_REPUDIATION};
use crate::finding::{Code, Effect, Problem};
use crate::header::{FromProblem, HeaderBlock, Sender, date::date, one_mailbox, sender};
use crate::message::{self, Envelope};
use crate::name;
use crate::path::{self, PathParameters};
use crate::revocation::{self, RevocationStatus, Sources};
use crate::signed_data::{IntactSignature, SignedData};
use crate::tier;
use crate::trust::TrustStore;
use crate::verdict::{Identity, Integrity, PathFact, Signer, Status, Verdict};

/// What else the embedder has at hand. Nothing of it is trusted by itself.
#[derive(Debug, Clone, Default)]
pub struct Material {
    /// DER certificates of authorities that senders may have left out.
    pub intermediates: Vec<Vec<u8>>,
    /// DER CRLs.
    pub crls: Vec<Vec<u8>>,
}

/// Whether a tier may be shown although revocation could not be settled. Revoked certificates never keep one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnsettledRevocation {
    /// The tier stays, with a warning among the findings.
    KeepTier,
    /// The status is [`Status::Signed`] at best.
    WithholdTier,
}

/// What the embedder decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// No CRL was handed in for a certificate of the path.
    pub not_checked: UnsettledRevocation,
    /// CRLs were handed in, and none of them could be used: out of date, badly signed, of an unknown form.
    pub unknown: UnsettledRevocation,
    /// Larger messages are not looked at. In octets.
    pub maximum_message_size: usize,
}

impl Default for Policy {
    /// Keeps tiers that could not be checked, withholds those whose CRLs are of no use, reads up to 64 MiB.
    fn default() -> Self {
        Self {
            not_checked: UnsettledRevocation::KeepTier,
            unknown: UnsettledRevocation::WithholdTier,
            maximum_message_size: 64 * 1024 * 1024,
        }
    }
}

/// Examines a message as it arrived: all header fields and the body, lines ending in CRLF.
///
/// Always answers; whatever is wrong with the message is in the verdict. Certificates are judged at `at`, never at
/// the time the signer claims. [`Verification`] takes more than this.
#[must_use]
pub fn verify(message: &[u8], trust: &TrustStore, material: &Material, at: Timestamp, policy: &Policy) -> Verdict {
    Verification::new(trust, at)
        .material(material)
        .policy(policy)
        .verify(message)
}

/// All that a message can be examined with. It can be used for any number of messages.
///
/// ```
/// use policies::time::Timestamp;
/// use verifier::{Material, RevocationStatus, TrustStore, Verification};
///
/// let (trust, material, answers) = (TrustStore::new(), Material::default(), Vec::new());
/// let verification = Verification::new(&trust, Timestamp::from_unix(1_795_305_600))
///     .material(&material)
///     .ocsp_responses(&answers);
/// let verdict = verification.verify(b"From: alice@example.org\r\n\r\nHi");
/// assert_eq!(verdict.revocation(), RevocationStatus::NotChecked);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Verification<'a> {
    trust: &'a TrustStore,
    at: Timestamp,
    intermediates: &'a [Vec<u8>],
    sources: Sources<'a>,
    policy: Policy,
}

impl<'a> Verification<'a> {
    /// With trust anchors at a point in time, and nothing else.
    #[must_use]
    pub fn new(trust: &'a TrustStore, at: Timestamp) -> Self {
        Self {
            trust,
            at,
            intermediates: &[],
            sources: Sources {
                crls: &[],
                ocsp_responses: &[],
            },
            policy: Policy::default(),
        }
    }

    /// Intermediate certificates and CRLs.
    #[must_use]
    pub fn material(mut self, material: &'a Material) -> Self {
        self.intermediates = &material.intermediates;
        self.sources.crls = &material.crls;
        self
    }

    /// DER OCSP responses (RFC 6960), stapled or fetched by somebody else. Each must be signed by the issuer of the
    /// certificate it is about or by a responder that it certified, and be current at the point in time; nonces are not
    /// looked at.
    #[must_use]
    pub fn ocsp_responses(mut self, ocsp_responses: &'a [Vec<u8>]) -> Self {
        self.sources.ocsp_responses = ocsp_responses;
        self
    }

    /// What the embedder decides.
    #[must_use]
    pub fn policy(mut self, policy: &Policy) -> Self {
        self.policy = *policy;
        self
    }

    /// Examines a message as it arrived. Always answers.
    #[must_use]
    pub fn verify(&self, message: &[u8]) -> Verdict {
        let mut verdict = Verdict {
            status: Status::NotSigned,
            granted: None,
            from: None,
            signer: None,
            integrity: Integrity::NotChecked,
            path: PathFact::NotChecked,
            identity: Identity::NotChecked,
            revocation: RevocationStatus::NotChecked,
            findings: Vec::new(),
            certificate: None,
            verified_bytes: None,
        };
        let mut problems = Vec::new();
        let granted = examine(&mut verdict, &mut problems, message, self).ok();
        verdict.conclude(problems, granted);
        verdict
    }
}

/// A problem that ends the examination has been added to the list.
struct Stopped;

fn examine(
    verdict: &mut Verdict,
    problems: &mut Vec<Problem>,
    message: &[u8],
    with: &Verification<'_>,
) -> Result<tier::Granted, Stopped> {
    let Verification { trust, at, policy, .. } = *with;
    if message.len() > policy.maximum_message_size {
        let code = Code::MessageTooLarge;
        return stop(
            problems,
            code.because(format!("the message has {} octets and was not examined", message.len())),
        );
    }
    // 1. The message: who says it is from whom, and what is signed.
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
    let envelope = match message::open(&header, body, problems) {
        Ok(envelope) => envelope,
        Err(problem) => {
            if problem.code.effect() == Effect::Broken {
                verdict.integrity = Integrity::Broken;
            }
            return stop(problems, problem);
        }
    };
    // 2. Integrity: the signature fits exactly these bytes.
    let (cms, outside, micalg) = match &envelope {
        Envelope::Clear { entity, cms, micalg } => (cms, Some(*entity), micalg.as_deref()),
        Envelope::Opaque { cms } => (cms, None, None),
    };
    let (signed_data, entity, signature) = match check_integrity(cms, outside, with) {
        Ok(intact) => intact,
        Err(problem) => {
            if problem.code.effect() == Effect::Broken {
                verdict.integrity = Integrity::Broken;
            }
            return stop(problems, problem);
        }
    };
    verdict.integrity = Integrity::Intact;
    verdict.certificate = Some(signature.certificate().raw.to_vec());
    if micalg.is_some_and(|micalg| !signature.digest().is_named_by(micalg)) {
        problems.push(Code::MicalgDiffers.because("micalg names another digest than the signature uses"));
    }
    if signed_data.has_crls {
        problems.push(Code::EmbeddedCrls.because("revocation lists inside the signature were not used"));
    }
    // 3. What the message says of itself.
    if let Err(problem) = check_entity(&header, &entity, problems) {
        return stop(problems, problem);
    }
    verdict.verified_bytes = Some(entity.clone());
    check_times(&header, &signature, at, problems);
    // 4. Path, sender and revocation, independently of each other.
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
    let intermediates = signed_data
        .certificates
        .iter()
        .copied()
        .chain(with.intermediates.iter().map(Vec::as_slice));
    let parameters = PathParameters::default();
    let path = path::find(certificate.clone(), intermediates, trust, at, &parameters);
    verdict.path = if path.is_ok() {
        PathFact::Verified
    } else {
        PathFact::NotVerified
    };
    let address = match &from {
        Ok(from) => {
            check_display_name(from, problems);
            check_other_originators(&header, from.mailbox(), problems);
            name::bind(from.mailbox(), certificate)
        }
        Err(problem) => Err(from_problem(problem)),
    };
    verdict.identity = match (&from, &address) {
        (Err(_), _) => Identity::NoSender,
        (Ok(_), Ok(_)) => Identity::Matches,
        (Ok(_), Err(_)) => Identity::Differs,
    };
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
    // 5. The tier, from the proofs of all of them.
    match (path, address) {
        (Ok(path), Ok(address)) => tier::grant(&signature, &path, &address).or_else(|problem| stop(problems, problem)),
        (path, address) => {
            problems.extend(path.err());
            problems.extend(address.err());
            Err(Stopped)
        }
    }
}

fn stop<T>(problems: &mut Vec<Problem>, problem: Problem) -> Result<T, Stopped> {
    problems.push(problem);
    Err(Stopped)
}

/// The signature over the one content there is, inside the structure or outside.
fn check_integrity<'c>(
    cms: &'c [u8],
    outside: Option<&[u8]>,
    with: &Verification<'c>,
) -> Result<(SignedData<'c>, Vec<u8>, IntactSignature<'c>), Problem> {
    let mut signed_data = SignedData::read(cms)?;
    let entity = match (outside, signed_data.content.take()) {
        (Some(entity), None) => entity.to_vec(),
        (None, Some(content)) => content,
        (Some(_), Some(_)) => {
            return Err(Code::ContentTwice.because("the signature carries content beside the content that is shown"));
        }
        (None, None) => return Err(Code::ContentMissing.because("the signature carries no content")),
    };
    let others = with.intermediates.iter().map(Vec::as_slice);
    let signature = signed_data.verify(&entity, others, with.trust.crypto())?;
    Ok((signed_data, entity, signature))
}

/// The signed entity: readable in one way, and not contradicting the header outside (RFC 9788).
fn check_entity(outer: &HeaderBlock<'_>, entity: &[u8], problems: &mut Vec<Problem>) -> Result<(), Problem> {
    let (inner, body) = message::entity_header(entity)?;
    let content_type = ContentType::of(&inner)?;
    let media_type = content_type
        .as_ref()
        .map(|content_type| content_type.media_type.as_str());
    if media_type.is_some_and(|media_type| message::claims_security(media_type.as_bytes())) {
        problems.push(Code::NestedSecurity.because("the signed content is signed or encrypted once more"));
    }
    let protects = content_type
        .as_ref()
        .is_some_and(|content_type| content_type.parameter("hp").is_some());
    compare_protected(outer, &inner, protects, problems);
    // RFC 8551 section 3.1: the whole message wrapped as message/rfc822, whose header some clients show.
    if media_type == Some("message/rfc822") {
        let (wrapped, _) = HeaderBlock::parse(body)
            .map_err(|problem| Code::HeaderMalformed.because(format!("the wrapped message: {problem}")))?;
        compare_protected(outer, &wrapped, true, problems);
    } else if !protects {
        problems.push(Code::HeadersNotCovered.because("Subject, Date and recipients are not covered by the signature"));
    }
    Ok(())
}

fn compare_protected(outer: &HeaderBlock<'_>, inner: &HeaderBlock<'_>, protects: bool, problems: &mut Vec<Problem>) {
    if inner.named("From").next().is_some() {
        let same = match (sender(outer), sender(inner)) {
            (Ok(outer), Ok(inner)) => outer.mailbox() == inner.mailbox(),
            _ => false,
        };
        if !same {
            problems.push(
                Code::ProtectedFromDiffers.because("the From field inside the signature differs from the one outside"),
            );
        }
    }
    if !protects {
        return;
    }
    for name in ["Subject", "Date", "To", "Cc", "Reply-To"] {
        let values =
            |header: &HeaderBlock<'_>| -> Vec<Vec<u8>> { header.named(name).map(|field| field.unfolded()).collect() };
        if values(outer) != values(inner) {
            problems.push(Code::ProtectedFieldDiffers.because(format!(
                "the {name} field inside the signature differs from the one outside; show the one inside"
            )));
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

fn check_display_name(from: &Sender, problems: &mut Vec<Problem>) {
    if from.display_name_claims_another_address() {
        problems.push(Code::DisplayNameAddress.because(format!(
            "the display name looks like another address than {}",
            from.mailbox()
        )));
    }
    if !from.display_name_is_readable() {
        problems.push(Code::DisplayNameUnreadable.because("the display name has encoded words that could not be read"));
    }
}

/// Sender, Reply-To and Resent fields say nothing about identity; that they differ is worth knowing.
fn check_other_originators(header: &HeaderBlock<'_>, from: &Mailbox, problems: &mut Vec<Problem>) {
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

fn from_problem(problem: &FromProblem) -> Problem {
    let code = match problem {
        FromProblem::Missing => Code::FromMissing,
        FromProblem::Repeated { .. } => Code::FromRepeated,
        FromProblem::NoMailbox | FromProblem::SeveralMailboxes | FromProblem::Group => Code::FromNotOneMailbox,
        FromProblem::Character(_) | FromProblem::NotUtf8 => Code::FromCharacters,
        FromProblem::Comment | FromProblem::TooLong | FromProblem::Syntax | FromProblem::Address(_) => Code::FromSyntax,
    };
    code.because(problem.to_string())
}

/// Clocks of senders and receivers differ by this much without anybody noticing.
const CLOCK_TOLERANCE: Span = Span::minutes(5);
/// The limit that Thunderbird uses against messages that are sent again under another date (CVE-2023-50761).
const DATE_TOLERANCE: Span = Span::hours(1);
