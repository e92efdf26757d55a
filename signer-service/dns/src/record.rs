//! The records that callers read.

use std::net::IpAddr;

use hickory_net::proto::rr::RData;
use hickory_net::proto::rr::rdata::{TLSA, tlsa};

use crate::name::Name;

/// A TXT record: its strings one after another ([RFC 7208 section 3.3] and most other uses join them so).
///
/// [RFC 7208 section 3.3]: https://www.rfc-editor.org/rfc/rfc7208#section-3.3
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(pub Vec<u8>);

/// A CAA record ([RFC 8659 section 4.1]). Nothing about its value is checked here.
///
/// [RFC 8659 section 4.1]: https://www.rfc-editor.org/rfc/rfc8659#section-4.1
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificationAuthorityAuthorization {
    pub critical: bool,
    /// As it came; tags are compared without regard to case.
    pub tag: String,
    pub value: Vec<u8>,
}

/// An MX record ([RFC 5321 section 5.1]).
///
/// [RFC 5321 section 5.1]: https://www.rfc-editor.org/rfc/rfc5321#section-5.1
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MailExchanger {
    pub preference: u16,
    /// `None` is the null MX of [RFC 7505]: the domain takes no mail.
    ///
    /// [RFC 7505]: https://www.rfc-editor.org/rfc/rfc7505
    pub exchange: Option<Name>,
}

/// A TLSA or SMIMEA record ([RFC 6698 section 2.1], [RFC 8162 section 2]), in the numbers of their registry.
///
/// [RFC 6698 section 2.1]: https://www.rfc-editor.org/rfc/rfc6698#section-2.1
/// [RFC 8162 section 2]: https://www.rfc-editor.org/rfc/rfc8162#section-2
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateAssociation {
    pub usage: u8,
    pub selector: u8,
    pub matching_type: u8,
    pub data: Vec<u8>,
}

impl Text {
    pub(crate) fn from_rdata(rdata: RData) -> Option<Self> {
        let RData::TXT(txt) = rdata else { return None };
        Some(Self(txt.txt_data.concat()))
    }
}

impl CertificationAuthorityAuthorization {
    pub(crate) fn from_rdata(rdata: RData) -> Option<Self> {
        let RData::CAA(caa) = rdata else { return None };
        Some(Self {
            critical: caa.issuer_critical,
            tag: caa.tag,
            value: caa.value,
        })
    }
}

impl MailExchanger {
    pub(crate) fn from_rdata(rdata: RData) -> Option<Self> {
        let RData::MX(mx) = rdata else { return None };
        let exchange = (!mx.exchange.is_root()).then(|| Name::from_labels(mx.exchange));
        Some(Self {
            preference: mx.preference,
            exchange,
        })
    }
}

impl CertificateAssociation {
    pub(crate) fn from_rdata(rdata: RData) -> Option<Self> {
        let association: TLSA = match rdata {
            RData::TLSA(tlsa) => tlsa,
            RData::SMIMEA(smimea) => smimea.0,
            _ => return None,
        };
        Some(Self {
            usage: association.cert_usage.into(),
            selector: association.selector.into(),
            matching_type: association.matching.into(),
            data: association.cert_data,
        })
    }

    pub(crate) fn to_tlsa(&self) -> TLSA {
        TLSA::new(
            tlsa::CertUsage::from(self.usage),
            tlsa::Selector::from(self.selector),
            tlsa::Matching::from(self.matching_type),
            self.data.clone(),
        )
    }
}

pub(crate) fn address(rdata: RData) -> Option<IpAddr> {
    rdata.ip_addr()
}
