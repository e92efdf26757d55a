//! Whether the certificate speaks for the sender (RFC 8550 section 3, RFC 9598).

use const_oid::ObjectIdentifier;
use policies::mailbox::{Mailbox, MailboxName};

use crate::certificate::Certificate;
use crate::extensions::GeneralName;
use crate::finding::{Code, Problem};

/// The sender's address, found in the certificate. Only [`bind`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MatchedAddress(Mailbox);

impl MatchedAddress {
    pub(crate) fn mailbox(&self) -> &Mailbox {
        &self.0
    }
}

/// The addresses a certificate was issued for.
///
/// The emailAddress attribute of the subject counts only if there is no address in subjectAltName. Addresses that are
/// not acceptable are left out: no sender can have them.
pub(crate) fn mailboxes(certificate: &Certificate<'_>) -> Vec<Mailbox> {
    let mut mailboxes = Vec::new();
    let mut any_in_alternative_name = false;
    for name in certificate.extensions.subject_alternative_names.iter().flatten() {
        let mailbox = match name {
            GeneralName::Rfc822Name(address) => Mailbox::parse(address),
            GeneralName::SmtpUtf8Mailbox(address) => {
                Mailbox::from_subject_alternative_name(&MailboxName::SmtpUtf8Mailbox((*address).to_owned()))
            }
            _ => continue,
        };
        any_in_alternative_name = true;
        mailboxes.extend(mailbox);
    }
    if !any_in_alternative_name {
        let addresses = certificate
            .subject
            .attributes()
            .filter(|attribute| attribute.kind == EMAIL_ADDRESS);
        mailboxes.extend(addresses.filter_map(|address| Mailbox::parse(address.text.as_deref()?).ok()));
    }
    mailboxes
}

/// Finds the sender among the addresses of the certificate.
///
/// NOTE: RFC 8550 section 3 lets the Sender field match as well. Readers see From, so only From counts.
pub(crate) fn bind(sender: &Mailbox, certificate: &Certificate<'_>) -> Result<MatchedAddress, Problem> {
    let mailboxes = mailboxes(certificate);
    match (mailboxes.contains(sender), mailboxes.first()) {
        (true, _) => Ok(MatchedAddress(sender.clone())),
        (false, Some(signer)) => {
            Err(Code::AddressMismatch.because(format!("the message is from {sender}, and the signer is {signer}")))
        }
        (false, None) => {
            Err(Code::CertificateWithoutAddress.because("the signer's certificate was not issued for an address"))
        }
    }
}

/// PKCS #9 emailAddress (RFC 5280 section 4.1.2.6).
pub(crate) const EMAIL_ADDRESS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.1");
