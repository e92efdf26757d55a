//! The bytes that will be signed, put together and linted.

use policies::issuance::{Approved, Issuer as IssuerNames, Locations};
use policies::lint::{self, Expected, LintContext, Linted};
use policies::profile::ValidityPeriod;
use policies::time::{Span, Timestamp};
use rand_core::CryptoRng;
use x509_cert::serial_number::SerialNumber;

use crate::app::App;
use crate::crl::Scope;
use crate::error::Error;
use crate::issuers::Issuer;

/// A certificate without signature that no lint has seen.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Lower-case hexadecimal.
    pub(super) serial: String,
    tbs: Vec<u8>,
    issuer: IssuerNames,
    expected: Expected,
}

/// Puts the certificate together: what the profile and the evidence say, a new serial, the dates.
pub(super) fn prepare(app: &App, issuer: &Issuer, approved: &Approved, now: Timestamp) -> Result<Prepared, Error> {
    let names = issuer.names()?;
    let serial = app.with_rng(random_serial)?;
    let mut locations = locations(app, issuer)?;
    let scope = Scope::of_serial(&serial, app.config.issuance.crl_shards);
    locations.revocation_list = scope.url(&app.config.public_url, &issuer.id)?;
    let template = approved.template(&names, &locations)?;
    let validity = validity(app, issuer, approved, now)?;
    let tbs = template.to_be_signed(&serial, validity, &names)?;
    Ok(Prepared {
        serial: data_encoding::HEXLOWER.encode(serial.as_bytes()),
        tbs,
        issuer: names,
        expected: Expected::Subscriber(approved.tier(), approved.generation(), approved.key_use()),
    })
}

impl Prepared {
    /// Lints the bytes; what comes out may be recorded and signed.
    pub(super) fn lint(self, now: Timestamp) -> Result<Linted, Error> {
        let context = LintContext {
            expected: self.expected,
            issuer: &self.issuer,
            now,
        };
        lint::check(self.tbs, &context).map_err(|findings| Error::LintRefused { findings })
    }
}

/// A positive number of 126 random bits in sixteen octets: more than the 64 of BR 7.1, less than the 159 it allows.
///
/// The first octet is 01xxxxxx in binary, so that the number is positive and has the same length every time.
pub(crate) fn random_serial(rng: &mut dyn CryptoRng) -> Result<SerialNumber, Error> {
    let mut octets = [0; 16];
    rng.fill_bytes(&mut octets);
    octets[0] = octets[0] & 0x3f | 0x40;
    SerialNumber::new(&octets).map_err(Error::encoding("the serial number"))
}

/// As long as the profile says, shorter if the operator wants, and never beyond the issuer.
fn validity(app: &App, issuer: &Issuer, approved: &Approved, now: Timestamp) -> Result<ValidityPeriod, Error> {
    let days = i64::from(approved.profile().validity_days());
    let days = match app.config.issuance.validity_days {
        Some(configured) => days.min(i64::from(configured)),
        None => days,
    };
    if issuer.not_after() < now.plus(Span::days(days.min(LEAST_DAYS))) {
        return Err(Error::IssuerExpires {
            issuer: issuer.id.clone(),
            not_after: issuer.not_after(),
        });
    }
    let longest = approved.profile().validity_from(now);
    // Both ends count (RFC 5280 section 4.1.2.5).
    let wanted = now.plus(Span::seconds(Span::days(days).as_seconds() - 1));
    Ok(longest.until_at_most(wanted).until_at_most(issuer.not_after()))
}

/// Where the CRL and the certificate of the issuer are published.
pub(crate) fn locations(app: &App, issuer: &Issuer) -> Result<Locations, Error> {
    let locations = app.config.public_url.locations(&issuer.id).and_then(|mut locations| {
        if app.config.ocsp.enabled {
            locations.ocsp_responder = Some(app.config.public_url.ocsp()?);
        }
        Ok(locations)
    });
    locations.map_err(|error| Error::InvalidInput {
        field: "public_url",
        reason: error.to_string(),
    })
}

/// A certificate that would end sooner is of no use: the issuing certificate must be replaced first.
const LEAST_DAYS: i64 = 30;

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn invariant_02_serials_are_positive_and_carry_the_randomness() {
        let mut rng = ChaCha20Rng::from_seed([7; 32]);
        let mut seen = std::collections::HashSet::new();
        let mut ones = [0_u32; 128];
        for _ in 0..4096 {
            let serial = random_serial(&mut rng).unwrap();
            let octets = serial.as_bytes().to_vec();
            assert_eq!(octets.len(), 16);
            assert_eq!(octets[0] & 0xc0, 0x40);
            for bit in 0..128 {
                ones[bit] += u32::from(octets[bit / 8] >> (7 - bit % 8) & 1);
            }
            assert!(seen.insert(octets));
        }
        // Every bit but the two fixed ones is one in about half of the serials: six standard deviations are 192.
        for (bit, ones) in ones.into_iter().enumerate().skip(2) {
            assert!(ones.abs_diff(2048) < 192, "bit {bit} was one {ones} times");
        }
    }
}
