//! Which certificates a list speaks of: all of an issuer, or a shard of them.

use std::fmt;
use std::num::NonZeroU16;

use migrations::Pool;
use policies::url::HttpUrl;
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::pkix::CrlDistributionPoints;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::serial_number::SerialNumber;

use crate::config::{Config, PublicUrl};
use crate::error::Error;
use crate::store;

/// Which certificates of an issuer a list speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// All of them, those in shards included.
    Complete,
    /// Those that name this shard.
    Shard(NonZeroU16),
}

impl Scope {
    /// Where a new certificate goes: spread evenly by its serial number, which is random; complete without shards.
    pub(crate) fn of_serial(serial: &SerialNumber, shards: u16) -> Self {
        // The octets after the first, two bits of which are fixed.
        let chance = serial
            .as_bytes()
            .iter()
            .skip(1)
            .take(7)
            .fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
        let Some(shards) = std::num::NonZeroU64::new(u64::from(shards)) else {
            return Self::Complete;
        };
        // At most the number of shards, so that it has sixteen bits.
        match u16::try_from(chance % shards + 1).ok().and_then(NonZeroU16::new) {
            Some(shard) => Self::Shard(shard),
            None => Self::Complete,
        }
    }

    /// What stands in the database: 0 for complete.
    pub(crate) fn stored(self) -> i32 {
        match self {
            Self::Complete => 0,
            Self::Shard(shard) => i32::from(shard.get()),
        }
    }

    /// `None` for what [`Scope::stored`] never says.
    pub(crate) fn from_stored(stored: i32) -> Option<Self> {
        match u16::try_from(stored).ok().map(NonZeroU16::new) {
            Some(None) => Some(Self::Complete),
            Some(Some(shard)) => Some(Self::Shard(shard)),
            None => None,
        }
    }

    /// The last part of the URL of the list.
    pub(crate) fn file_name(self, issuer_id: &str) -> String {
        match self {
            Self::Complete => format!("{issuer_id}.crl"),
            Self::Shard(shard) => format!("{issuer_id}-{shard}.crl"),
        }
    }

    /// The issuer and the scope that a file name stands for.
    pub(crate) fn of_file_name(file: &str) -> Option<(&str, Self)> {
        let name = file.strip_suffix(".crl")?;
        let shard = name.rsplit_once('-').and_then(|(issuer, shard)| {
            let number = shard.parse::<NonZeroU16>().ok()?;
            // One list has one URL: no plus sign and no zeros in front.
            (number.to_string() == shard).then_some((issuer, Self::Shard(number)))
        });
        Some(shard.unwrap_or((name, Self::Complete)))
    }

    /// Where the list is fetched.
    pub(crate) fn url(self, public: &PublicUrl, issuer_id: &str) -> Result<HttpUrl, Error> {
        public
            .revocation_list(&self.file_name(issuer_id))
            .map_err(|error| Error::InvalidInput {
                field: "public_url",
                reason: error.to_string(),
            })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => formatter.write_str("complete"),
            Self::Shard(shard) => write!(formatter, "shard {shard}"),
        }
    }
}

/// The scope that a certificate names, as it is fixed in the bytes that are signed.
///
/// # Errors
/// It names no list of this issuer.
pub(crate) fn of_certificate(tbs: &TbsCertificate, issuer_id: &str, serial: &str) -> Result<Scope, Error> {
    let points = tbs
        .get_extension::<CrlDistributionPoints>()
        .map_err(Error::encoding("the CRL distribution points"))?;
    let names = points
        .iter()
        .flat_map(|(_, points)| &points.0)
        .flat_map(|point| match &point.distribution_point {
            Some(DistributionPointName::FullName(names)) => names.as_slice(),
            _ => &[],
        });
    names
        .filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(url) => url.as_str().rsplit_once('/'),
            _ => None,
        })
        .find_map(|(_, file)| Scope::of_file_name(file).filter(|(issuer, _)| *issuer == issuer_id))
        .map(|(_, scope)| scope)
        .ok_or_else(|| Error::OwnSignature {
            serial: serial.to_owned(),
            reason: format!("it names no revocation list of {issuer_id}"),
        })
}

/// Writes down the shards that new certificates will name, and by which URL, before any does. They stay when the number
/// of shards is lowered or the URL is changed: certificates name them until they expire.
pub(crate) async fn register(db: &Pool, config: &Config, issuer_id: &str) -> Result<(), Error> {
    let mut wanted = Vec::new();
    for shard in (1..=config.issuance.crl_shards).filter_map(NonZeroU16::new) {
        let scope = Scope::Shard(shard);
        wanted.push((scope, scope.url(&config.public_url, issuer_id)?.to_string()));
    }
    let (issuer, asked) = (issuer_id.to_owned(), wanted.clone());
    let known = db
        .read(move |conn| {
            let mut known = 0;
            for (scope, url) in &asked {
                let urls = store::crls::distribution_points(conn, &issuer, *scope)?;
                known += usize::from(urls.contains(url));
            }
            Ok::<_, Error>(known)
        })
        .await?;
    if known == wanted.len() {
        return Ok(());
    }
    let issuer = issuer_id.to_owned();
    db.write(move |conn| {
        for (scope, url) in &wanted {
            store::crls::add_shard(conn, &issuer, *scope, url)?;
        }
        Ok::<_, Error>(())
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_lists_are_read_back_as_written() {
        for stored in [0, 1, 9, 10, 65_535] {
            let scope = Scope::from_stored(stored).unwrap();
            assert_eq!(scope.stored(), stored);
            let file = scope.file_name("issuing");
            assert_eq!(Scope::of_file_name(&file), Some(("issuing", scope)), "{file}");
        }
        assert_eq!(Scope::from_stored(-1), None);
        assert_eq!(Scope::from_stored(65_536), None);
    }

    #[test]
    fn other_names_are_not_those_of_a_shard() {
        for file in [
            "issuing-0.crl",
            "issuing-01.crl",
            "issuing-+1.crl",
            "issuing-65536.crl",
            "issuing-.crl",
        ] {
            assert!(
                matches!(Scope::of_file_name(file), Some((_, Scope::Complete))),
                "{file}"
            );
        }
        assert_eq!(Scope::of_file_name("issuing-1"), None);
        assert_eq!(Scope::of_file_name("issuing-1.cer"), None);
    }

    #[test]
    fn serials_are_spread_over_all_shards() {
        let mut counts = [0_u32; 7];
        for number in 0..7000_u64 {
            // Spread like random ones: the constant is odd and has its bits everywhere.
            let octets = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            let serial = SerialNumber::new(&[&[0x40], &octets[..]].concat()).unwrap();
            match Scope::of_serial(&serial, 7) {
                Scope::Shard(shard) => counts[usize::from(shard.get()) - 1] += 1,
                Scope::Complete => panic!("{number}"),
            }
            assert_eq!(Scope::of_serial(&serial, 0), Scope::Complete);
        }
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
    }
}
