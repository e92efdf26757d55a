//! The proof that an answer made from a wildcard had no closer name to be made from.

use hickory_net::proto::dnssec::Proof;
use hickory_net::proto::dnssec::rdata::{DNSSECRData, NSEC, RRSIG};
use hickory_net::proto::op::DnsResponse;
use hickory_net::proto::rr::{Name as Labels, RData, Record, RecordType};

/// The signature of records that were made from a wildcard: it counts fewer labels than their name has
/// ([RFC 4034 section 3.1.3]).
///
/// [RFC 4034 section 3.1.3]: https://www.rfc-editor.org/rfc/rfc4034#section-3.1.3
pub(crate) fn expanded_from<'a>(response: &'a DnsResponse, name: &Labels, kind: RecordType) -> Option<&'a RRSIG> {
    response
        .answers
        .iter()
        .filter(|record| record.name == *name)
        .filter_map(rrsig)
        .find(|rrsig| rrsig.input().type_covered == kind && rrsig.input().num_labels < name.num_labels())
}

/// Whether a proved NSEC record of the same zone says that neither the next closer name nor anything below it exists, so
/// that there is no exact match and no closer wildcard ([RFC 4035 section 5.3.4]).
///
/// NOTE: the validator refuses this when the NSEC record that covers the name is the wildcard's own, which is the case in
/// every zone whose wildcard is the last name of its branch; so it is decided here as well. NSEC3 it gets right.
///
/// [RFC 4035 section 5.3.4]: https://www.rfc-editor.org/rfc/rfc4035#section-5.3.4
pub(crate) fn no_closer_name(response: &DnsResponse, name: &Labels, expanded: &RRSIG) -> bool {
    let next_closer = name.trim_to(usize::from(expanded.input().num_labels) + 1);
    let zone = &expanded.input().signer_name;
    response
        .authorities
        .iter()
        .filter(|record| record.proof == Proof::Secure)
        .filter(|record| is_signed_by(response, record, zone))
        .filter_map(|record| nsec(record).map(|nsec| (&record.name, nsec)))
        .any(|(owner, nsec)| covers_with_all_below(owner, nsec, &next_closer))
}

fn covers_with_all_below(owner: &Labels, nsec: &NSEC, name: &Labels) -> bool {
    // The NSEC record of a delegation says nothing about names below it ([RFC 6840 section 4.1]).
    if nsec.is_ancestor_delegation() && owner.zone_of(name) {
        return false;
    }
    let next = nsec.next_domain_name();
    let is_last = next <= owner;
    owner < name && !name.zone_of(next) && (name < next || is_last)
}

fn is_signed_by(response: &DnsResponse, signed: &Record, zone: &Labels) -> bool {
    zone.zone_of(&signed.name)
        && response.authorities.iter().any(|record| {
            record.name == signed.name
                && record.proof == Proof::Secure
                && rrsig(record).is_some_and(|rrsig| {
                    rrsig.input().type_covered == signed.record_type() && rrsig.input().signer_name == *zone
                })
        })
}

fn rrsig(record: &Record) -> Option<&RRSIG> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) => Some(rrsig),
        _ => None,
    }
}

fn nsec(record: &Record) -> Option<&NSEC> {
    match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC(nsec)) => Some(nsec),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(owner: &str, next: &str, name: &str, types: &[RecordType]) -> bool {
        let labels = |text: &str| Labels::from_ascii(text).unwrap();
        let nsec = NSEC::new(labels(next), types.iter().copied());
        covers_with_all_below(&labels(owner), &nsec, &labels(name))
    }

    #[test]
    fn only_what_lies_between_with_nothing_below_is_covered() {
        assert!(covers("*.w.test.", "z.test.", "x.w.test.", &[]));
        // The last name of the zone points to its first.
        assert!(covers("*.w.test.", "test.", "x.w.test.", &[]));
        for (owner, next, name) in [
            ("a.test.", "c.test.", "a.test."),
            ("a.test.", "c.test.", "d.test."),
            ("b.test.", "c.test.", "a.test."),
            // There is something below the name.
            ("a.test.", "x.b.test.", "b.test."),
            ("b.test.", "test.", "a.test."),
        ] {
            assert!(!covers(owner, next, name, &[]), "{owner} {next} {name}");
        }
        assert!(!covers("w.test.", "z.test.", "x.w.test.", &[RecordType::NS]));
        assert!(covers(
            "w.test.",
            "z.test.",
            "x.w.test.",
            &[RecordType::NS, RecordType::SOA]
        ));
    }
}
