//! The facts of a verdict as short sentences, for those who are no experts.

use verifier::{
    Encryption, HeaderProtection, Identity, Integrity, Language, Outside, PathFact, RevocationStatus, Verdict,
};

/// One fact that is known of a message. It holds nothing of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fact {
    /// What it is about, in one word.
    pub about: &'static str,
    /// What is so.
    pub sentence: &'static str,
}

/// What is known of a message beside its label, each fact for itself; nothing is said of what was not checked.
#[must_use]
pub fn facts(verdict: &Verdict, language: Language) -> Vec<Fact> {
    let mut known = Vec::new();
    let mut say = |about: (&'static str, &'static str), sentence: (&'static str, &'static str)| {
        let (about, sentence) = match language {
            Language::Swedish => (about.1, sentence.1),
            // English, and every language that is not written here yet.
            _ => (about.0, sentence.0),
        };
        known.push(Fact { about, sentence });
    };
    let content = ("Content", "Innehåll");
    match verdict.integrity() {
        Integrity::Intact => say(content, ("is what was signed", "är det som signerades")),
        Integrity::Broken => say(
            content,
            (
                "is not what was signed, or the signature is damaged",
                "är inte det som signerades, eller så är signaturen skadad",
            ),
        ),
        Integrity::NotChecked => {}
    }
    let certificate = ("Certificate", "Certifikat");
    match verdict.path() {
        PathFact::Verified => say(
            certificate,
            (
                "is valid and comes from an authority that is trusted here",
                "är giltigt och kommer från en utfärdare som är betrodd här",
            ),
        ),
        PathFact::NotVerified => say(
            certificate,
            (
                "is not valid, or does not come from an authority that is trusted here",
                "är inte giltigt eller kommer inte från en utfärdare som är betrodd här",
            ),
        ),
        PathFact::NotChecked => {}
    }
    let sender = ("Sender", "Avsändare");
    match verdict.identity() {
        Identity::Matches => say(
            sender,
            ("has the address in the certificate", "har adressen i certifikatet"),
        ),
        Identity::Differs => say(
            sender,
            (
                "has another address than those in the certificate",
                "har en annan adress än de i certifikatet",
            ),
        ),
        Identity::NoSender => say(
            sender,
            (
                "is not one address, so it cannot be compared",
                "är inte en enda adress och kan inte jämföras",
            ),
        ),
        Identity::NotChecked => {}
    }
    if verdict.path() == PathFact::Verified {
        let revocation = ("Revocation", "Återkallelse");
        match verdict.revocation() {
            RevocationStatus::Good => say(
                revocation,
                ("the certificate was not withdrawn", "certifikatet är inte återkallat"),
            ),
            RevocationStatus::Revoked => {
                say(
                    revocation,
                    ("the certificate was withdrawn", "certifikatet är återkallat"),
                );
            }
            RevocationStatus::NotChecked => say(
                revocation,
                (
                    "nobody looked whether the certificate was withdrawn",
                    "ingen såg efter om certifikatet är återkallat",
                ),
            ),
            RevocationStatus::Unknown => say(
                revocation,
                (
                    "whether the certificate was withdrawn could not be settled",
                    "det gick inte att avgöra om certifikatet är återkallat",
                ),
            ),
        }
    }
    let header = ("Header", "Brevhuvud");
    let differs = verdict
        .protected_headers()
        .iter()
        .any(|field| field.outside == Outside::Differs);
    match verdict.header_protection() {
        HeaderProtection::NotChecked => {}
        HeaderProtection::Absent => say(
            header,
            (
                "subject, date and recipients are not covered by the signature",
                "ämne, datum och mottagare täcks inte av signaturen",
            ),
        ),
        _ if differs => say(
            header,
            (
                "subject, date and recipients were signed, and some were changed afterwards",
                "ämne, datum och mottagare signerades, och något av dem har ändrats efteråt",
            ),
        ),
        _ => say(
            header,
            (
                "subject, date and recipients are covered by the signature",
                "ämne, datum och mottagare täcks av signaturen",
            ),
        ),
    }
    let encryption = ("Encryption", "Kryptering");
    match verdict.encryption() {
        Encryption::Absent => {}
        Encryption::Closed => say(encryption, ("was not opened", "öppnades inte")),
        Encryption::Opened => say(
            encryption,
            (
                "was opened; it says nothing about who wrote the message",
                "öppnades; den säger inget om vem som skrev meddelandet",
            ),
        ),
    }
    known
}
