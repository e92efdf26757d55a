//! The root and the issuing certificate with their keys.
//!
//! The keys are not reachable from here on: [`key::IssuingKey`] signs what was linted and recorded, and nothing else.

pub(crate) mod key;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use der::{Decode, Encode};
use keys::KeyStore;
use migrations::Pool;
use policies::time::Timestamp;
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectKeyIdentifier;

use crate::error::Error;
use crate::store;
use crate::store::issuers::IssuerRow;
use key::IssuingKey;

/// Both issuers of this authority.
#[derive(Debug)]
pub struct Issuers {
    pub(crate) root: Issuer,
    pub(crate) issuing: Issuer,
}

impl Issuers {
    /// Reads them from the database and checks that the key store holds the key of the issuing certificate.
    pub(crate) async fn open(db: &Pool, keys: Arc<dyn KeyStore>) -> Result<Self, Error> {
        let rows = db.read(|conn| Ok::<_, Error>(store::issuers::all(conn)?)).await?;
        let root = Issuer::from_row(only(IssuerKind::Root, &rows)?, Arc::clone(&keys))?;
        let issuing = Issuer::from_row(only(IssuerKind::Issuing, &rows)?, keys)?;
        // The root key is opened when a root CRL is due, so that it can be kept elsewhere until then.
        issuing.key.open()?;
        Ok(Self { root, issuing })
    }

    /// The root and then the issuing certificate.
    pub fn all(&self) -> [&Issuer; 2] {
        [&self.root, &self.issuing]
    }

    /// The issuer of that name, as it stands in the URLs.
    pub fn find(&self, id: &str) -> Result<&Issuer, Error> {
        self.all()
            .into_iter()
            .find(|issuer| issuer.id == id)
            .ok_or_else(|| Error::NotFound {
                kind: "issuer",
                id: id.to_owned(),
            })
    }

    /// The trust anchor.
    pub fn root(&self) -> &Issuer {
        &self.root
    }

    /// The issuer of subscriber certificates.
    pub fn issuing(&self) -> &Issuer {
        &self.issuing
    }
}

/// Exactly one row of a kind.
fn only(kind: IssuerKind, rows: &[IssuerRow]) -> Result<&IssuerRow, Error> {
    let mut found = rows.iter().filter(|row| row.kind == kind.as_ref());
    match (found.next(), found.next()) {
        (Some(row), None) => Ok(row),
        _ => Err(Error::Issuers {
            kind: kind.as_str(),
            found: rows.iter().filter(|row| row.kind == kind.as_ref()).count(),
        }),
    }
}

/// One certificate of ours that signs.
#[derive(Debug)]
pub struct Issuer {
    pub(crate) id: String,
    pub(crate) kind: IssuerKind,
    pub(crate) certificate: Certificate,
    der: Vec<u8>,
    pub(crate) key_identifier: SubjectKeyIdentifier,
    pub(crate) not_after: Timestamp,
    pub(crate) key: Arc<IssuingKey>,
}

impl Issuer {
    fn from_row(row: &IssuerRow, keys: Arc<dyn KeyStore>) -> Result<Self, Error> {
        let unreadable = |reason: String| Error::Row {
            kind: "issuer",
            id: row.id.clone(),
            reason,
        };
        let certificate = Certificate::from_der(&row.certificate).map_err(|error| unreadable(error.to_string()))?;
        let tbs = certificate.tbs_certificate();
        let key_identifier = match tbs.get_extension::<SubjectKeyIdentifier>() {
            Ok(Some((_, identifier))) => identifier,
            Ok(None) => return Err(unreadable("its certificate has no SubjectKeyIdentifier".to_owned())),
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let not_after = tbs.validity().not_after.to_unix_duration().as_secs();
        let key_id = row
            .key_id
            .parse()
            .map_err(|error: keys::KeyError| unreadable(error.to_string()))?;
        let public_key = tbs.subject_public_key_info().clone();
        Ok(Self {
            id: row.id.clone(),
            kind: row.kind.parse().map_err(unreadable)?,
            key: Arc::new(IssuingKey::new(row.id.clone(), key_id, public_key, keys)),
            // A certificate time is at most the end of the year 9999.
            not_after: Timestamp::from_unix(i64::try_from(not_after).unwrap_or(i64::MAX)),
            key_identifier,
            der: row.certificate.clone(),
            certificate,
        })
    }

    /// What a certificate signed by this issuer says about it: the subject byte for byte (BR 7.1.4.1).
    pub(crate) fn names(&self) -> Result<policies::issuance::Issuer, Error> {
        let tbs = self.certificate.tbs_certificate();
        Ok(policies::issuance::Issuer {
            name: tbs.subject().clone(),
            public_key: tbs.subject_public_key_info().clone(),
            signature_algorithm: self.key.algorithm()?.identifier(),
        })
    }

    /// The DER of the subject.
    pub(crate) fn subject_der(&self) -> Result<Vec<u8>, Error> {
        let subject = self.certificate.tbs_certificate().subject();
        subject.to_der().map_err(Error::encoding("the issuer's name"))
    }

    /// The name in the URLs of its CRL and certificate.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn kind(&self) -> IssuerKind {
        self.kind
    }

    /// The certificate in DER, exactly as signed.
    pub fn certificate_der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate in PEM.
    pub fn certificate_pem(&self) -> String {
        pem("CERTIFICATE", &self.der)
    }

    /// The subject in the form of RFC 4514.
    pub fn subject(&self) -> String {
        self.certificate.tbs_certificate().subject().to_string()
    }

    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    pub fn not_before(&self) -> Timestamp {
        let seconds = self
            .certificate
            .tbs_certificate()
            .validity()
            .not_before
            .to_unix_duration()
            .as_secs();
        // A certificate time is at most the end of the year 9999.
        Timestamp::from_unix(i64::try_from(seconds).unwrap_or(i64::MAX))
    }
}

/// What an issuer signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IssuerKind {
    /// Signs itself, issuing certificates and its CRL (BR 6.1.7).
    Root,
    /// Signs subscriber certificates and its CRL.
    Issuing,
}

impl IssuerKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Issuing => "issuing",
        }
    }
}

impl AsRef<str> for IssuerKind {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for IssuerKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for IssuerKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "root" => Ok(Self::Root),
            "issuing" => Ok(Self::Issuing),
            other => Err(format!("{other:?} is not a kind of issuer")),
        }
    }
}

/// RFC 7468 with lines of 64 characters.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let encoded = data_encoding::BASE64.encode(der);
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}
