//! The TBSCertificate, as it is written and as it is linted: every field as it stands, nothing normalised.

use der::asn1::{BitString, Int};
use der::{Enumerated, Sequence};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::ext::Extension;
use x509_cert::name::Name;
use x509_cert::time::Time;

/// RFC 5280 section 4.1.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct TbsCertificate {
    #[asn1(context_specific = "0", default = "Default::default")]
    pub(crate) version: Version,
    pub(crate) serial_number: Int,
    pub(crate) signature: AlgorithmIdentifierOwned,
    pub(crate) issuer: Name,
    pub(crate) validity: TbsValidity,
    pub(crate) subject: Name,
    pub(crate) subject_public_key_info: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", optional = "true")]
    pub(crate) issuer_unique_id: Option<BitString>,
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT", optional = "true")]
    pub(crate) subject_unique_id: Option<BitString>,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    pub(crate) extensions: Option<Vec<Extension>>,
}

/// RFC 5280 section 4.1.2.5, with the times in whichever of the two forms they have.
#[derive(Clone, Debug, PartialEq, Eq, Sequence)]
pub(crate) struct TbsValidity {
    pub(crate) not_before: Time,
    pub(crate) not_after: Time,
}

/// RFC 5280 section 4.1.2.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Enumerated)]
#[asn1(type = "INTEGER")]
#[repr(u8)]
pub(crate) enum Version {
    #[default]
    V1 = 0,
    V2 = 1,
    V3 = 2,
}
