//! Organizations, and the registration references that tell two of the same name apart.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::text;

/// A legal entity as validated under section 3.2.3.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Organization {
    legal_name: String,
    country: Country,
    state_or_province: Option<String>,
    locality: Option<String>,
    identifier: OrganizationIdentifier,
}

impl Organization {
    /// An organization with its full legal name, its place and its registration.
    ///
    /// # Errors
    ///
    /// [`InvalidOrganization`] if a text is too long for a certificate (64 characters of name, 128 of place), deceives
    /// or says nothing, or if the registration is of another country than the organization (section 7.1.4.2.2 d,
    /// note 1).
    pub fn new(
        legal_name: &str,
        country: Country,
        state_or_province: Option<&str>,
        locality: Option<&str>,
        identifier: OrganizationIdentifier,
    ) -> Result<Self, InvalidOrganization> {
        let check = |part, value, limit| {
            text::check(value, limit).map_err(|flaw| InvalidOrganization::Text {
                part,
                flaw: flaw.to_string(),
            })
        };
        check("legal name", legal_name, ORGANIZATION_NAME_LIMIT)?;
        if let Some(state_or_province) = state_or_province {
            check("state or province", state_or_province, PLACE_LIMIT)?;
        }
        if let Some(locality) = locality {
            check("locality", locality, PLACE_LIMIT)?;
        }
        if !identifier.fits_country(country) {
            return Err(InvalidOrganization::CountryMismatch {
                country,
                identifier: identifier.to_string(),
            });
        }
        Ok(Self {
            legal_name: legal_name.to_owned(),
            country,
            state_or_province: state_or_province.map(str::to_owned),
            locality: locality.map(str::to_owned),
            identifier,
        })
    }

    /// The name in the register.
    #[must_use]
    pub fn legal_name(&self) -> &str {
        &self.legal_name
    }

    /// Where the organization is.
    #[must_use]
    pub const fn country(&self) -> Country {
        self.country
    }

    /// The state or province in which it is, if that is to be certified.
    #[must_use]
    pub fn state_or_province(&self) -> Option<&str> {
        self.state_or_province.as_deref()
    }

    /// The town in which it is, if that is to be certified.
    #[must_use]
    pub fn locality(&self) -> Option<&str> {
        self.locality.as_deref()
    }

    /// Its registration.
    #[must_use]
    pub const fn identifier(&self) -> &OrganizationIdentifier {
        &self.identifier
    }
}

/// A country by its ISO 3166-1 alpha-2 code, or `XX` where there is none (section 7.1.4.2.2 n).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Country([u8; 2]);

impl Country {
    /// Reads a code in capital letters.
    ///
    /// # Errors
    ///
    /// [`UnknownCountry`] if the code is not assigned.
    pub fn parse(code: &str) -> Result<Self, UnknownCountry> {
        let &[first, second] = code.as_bytes() else {
            return Err(UnknownCountry);
        };
        let known = ASSIGNED_COUNTRIES
            .split_ascii_whitespace()
            .any(|assigned| assigned == code)
            || code == "XX";
        known.then_some(Self([first, second])).ok_or(UnknownCountry)
    }
}

impl AsRef<str> for Country {
    fn as_ref(&self) -> &str {
        // The only constructor takes both octets from a listed code in ASCII.
        std::str::from_utf8(&self.0).unwrap_or("XX")
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Country({self})")
    }
}

impl FromStr for Country {
    type Err = UnknownCountry;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        Self::parse(code)
    }
}

/// A value for the attribute organizationIdentifier, such as `NTRGB-12345678`. See section 7.1.4.2.2 d and appendix A.1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrganizationIdentifier {
    scheme: RegistrationScheme,
    country: [u8; 2],
    subdivision: Option<String>,
    reference: Option<String>,
}

impl OrganizationIdentifier {
    /// Reads `SSSCC[+SUB][-REFERENCE]`: scheme, country, subdivision, reference.
    ///
    /// # Errors
    ///
    /// [`InvalidOrganizationIdentifier`] says which part breaks the rules of its scheme.
    pub fn parse(text: &str) -> Result<Self, InvalidOrganizationIdentifier> {
        use InvalidOrganizationIdentifier as Invalid;
        use RegistrationScheme as Scheme;

        if text.len() > IDENTIFIER_LIMIT {
            return Err(Invalid::TooLong);
        }
        if !text.is_ascii() {
            return Err(Invalid::Structure);
        }
        // 1. The leftmost hyphen separates; references may have more of them.
        let (head, reference) = match text.split_once('-') {
            Some((head, reference)) => (head, Some(reference)),
            None => (text, None),
        };
        // 2. Three letters of scheme, two of country, and maybe "+" with a subdivision.
        let (head, subdivision) = match head.split_once('+') {
            Some((head, subdivision)) => (head, Some(subdivision)),
            None => (head, None),
        };
        let (Some(scheme), Some(country)) = (head.get(..3), head.get(3..)) else {
            return Err(Invalid::Structure);
        };
        let scheme = Scheme::parse(scheme).ok_or(Invalid::Scheme)?;
        let &[first, second] = country.as_bytes() else {
            return Err(Invalid::Structure);
        };
        // 3. The country, where LEI and INT have their own, and VAT the prefixes of Council Directive 2006/112/EC.
        let country_fits = match scheme {
            Scheme::Lei | Scheme::Int => country == "XG",
            Scheme::Vat => country == "EL" || country == "XI" || is_assigned(country),
            Scheme::Ntr | Scheme::Psd | Scheme::Gov => is_assigned(country),
        };
        if !country_fits {
            return Err(Invalid::Country);
        }
        // 4. A subdivision only where registers of a subdivision exist.
        match (scheme, subdivision) {
            (_, None) => {}
            (Scheme::Ntr | Scheme::Vat | Scheme::Gov, Some(subdivision))
                if matches!(subdivision.len(), 1..=3)
                    && subdivision
                        .bytes()
                        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()) => {}
            _ => return Err(Invalid::Subdivision),
        }
        // 5. The reference, by its scheme.
        let reference_fits = match (scheme, reference) {
            (Scheme::Gov | Scheme::Int, reference) => reference.is_none(),
            (_, None) => false,
            (Scheme::Lei, Some(reference)) => return Self::legal_entity_identifier(reference),
            (Scheme::Psd, Some(reference)) => reference.split_once('-').is_some_and(|(authority, number)| {
                matches!(authority.len(), 2..=8)
                    && authority.bytes().all(|byte| byte.is_ascii_uppercase())
                    && is_reference(number)
            }),
            (Scheme::Ntr | Scheme::Vat, Some(reference)) => is_reference(reference),
        };
        if !reference_fits {
            return Err(Invalid::Reference);
        }
        Ok(Self {
            scheme,
            country: [first, second],
            subdivision: subdivision.map(str::to_owned),
            reference: reference.map(str::to_owned),
        })
    }

    /// `LEIXG-` and a code of ISO 17442, whose two last digits are a checksum by ISO 7064 MOD 97-10.
    fn legal_entity_identifier(code: &str) -> Result<Self, InvalidOrganizationIdentifier> {
        let well_formed = code.len() == 20
            && code
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            && code.bytes().skip(18).all(|byte| byte.is_ascii_digit());
        if !well_formed {
            return Err(InvalidOrganizationIdentifier::Reference);
        }
        // Letters count as 10 to 35, so each shifts the number by two digits.
        let remainder = code
            .chars()
            .filter_map(|character| character.to_digit(36))
            .fold(0, |sum, value| {
                if value < 10 {
                    (sum * 10 + value) % 97
                } else {
                    (sum * 100 + value) % 97
                }
            });
        if remainder != 1 {
            return Err(InvalidOrganizationIdentifier::Checksum);
        }
        Ok(Self {
            scheme: RegistrationScheme::Lei,
            country: *b"XG",
            subdivision: None,
            reference: Some(code.to_owned()),
        })
    }

    /// Which kind of register.
    #[must_use]
    pub const fn scheme(&self) -> RegistrationScheme {
        self.scheme
    }

    /// The number in the register; `None` for government and international organizations.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref()
    }

    /// Whether the registration may stand beside `country` in one subject. See section 7.1.4.2.2 d, note 1.
    #[must_use]
    pub fn fits_country(&self, country: Country) -> bool {
        match (self.scheme, &self.country) {
            (RegistrationScheme::Lei | RegistrationScheme::Int, _) => true,
            (RegistrationScheme::Vat, b"EL") => country.as_ref() == "GR",
            (RegistrationScheme::Vat, b"XI") => country.as_ref() == "GB",
            (_, own) => country.as_ref().as_bytes() == own,
        }
    }

    /// Whether a German trade register number lacks the EUID form that note 3 of section 7.1.4.2.2 d prefers, such as
    /// `NTRDE-DER3306.HRB12345`.
    #[must_use]
    pub fn lacks_preferred_euid(&self) -> bool {
        let is_euid = || {
            self.reference
                .as_deref()
                .and_then(|reference| reference.strip_prefix("DE"))
                .is_some_and(|rest| {
                    rest.split_once('.').is_some_and(|(register, number)| {
                        !register.is_empty()
                            && register.bytes().all(|byte| byte.is_ascii_alphanumeric())
                            && !number.is_empty()
                    })
                })
        };
        self.scheme == RegistrationScheme::Ntr && self.country == *b"DE" && !(self.subdivision.is_none() && is_euid())
    }
}

impl fmt::Display for OrganizationIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The only constructors take both octets from ASCII text.
        write!(
            f,
            "{}{}",
            self.scheme.as_ref(),
            std::str::from_utf8(&self.country).unwrap_or("XX")
        )?;
        if let Some(subdivision) = &self.subdivision {
            write!(f, "+{subdivision}")?;
        }
        if let Some(reference) = &self.reference {
            write!(f, "-{reference}")?;
        }
        Ok(())
    }
}

impl FromStr for OrganizationIdentifier {
    type Err = InvalidOrganizationIdentifier;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// The registration schemes of appendix A.1, with GOV and INT of section 7.1.4.2.2 d, note 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RegistrationScheme {
    /// A national or state trade register.
    Ntr,
    /// A tax authority.
    Vat,
    /// A payment service provider's authorization.
    Psd,
    /// ISO 17442.
    Lei,
    /// A government entity without a number.
    Gov,
    /// An international organization without a number.
    Int,
}

impl RegistrationScheme {
    fn parse(text: &str) -> Option<Self> {
        [Self::Ntr, Self::Vat, Self::Psd, Self::Lei, Self::Gov, Self::Int]
            .into_iter()
            .find(|scheme| scheme.as_ref() == text)
    }
}

impl AsRef<str> for RegistrationScheme {
    fn as_ref(&self) -> &str {
        match self {
            Self::Ntr => "NTR",
            Self::Vat => "VAT",
            Self::Psd => "PSD",
            Self::Lei => "LEI",
            Self::Gov => "GOV",
            Self::Int => "INT",
        }
    }
}

/// Why an organization cannot be certified.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidOrganization {
    /// A text is not fit for a certificate.
    #[error("the {part} {flaw}")]
    Text {
        /// Which text.
        part: &'static str,
        /// What is wrong with it, continuing the sentence.
        flaw: String,
    },
    /// The register is that of another country.
    #[error("the registration {identifier} is not one of {country}, where the organization is (BR 7.1.4.2.2 d)")]
    CountryMismatch {
        /// The organization's country.
        country: Country,
        /// Its registration.
        identifier: String,
    },
}

/// Why a text is not an organization identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidOrganizationIdentifier {
    /// Too long.
    #[error("an organization identifier has at most 128 characters")]
    TooLong,
    /// Not of the form at all.
    #[error("an organization identifier has the form NTRGB-12345678: scheme, country, hyphen, number (BR 7.1.4.2.2 d)")]
    Structure,
    /// Not a scheme we know.
    #[error("an organization identifier begins with NTR, VAT, PSD, LEI, GOV or INT (BR appendix A.1)")]
    Scheme,
    /// The country does not fit the scheme.
    #[error("after the scheme stands an ISO 3166-1 country code, which is XG for LEI and INT (BR 7.1.4.2.2 d)")]
    Country,
    /// The subdivision does not fit.
    #[error("after \"+\" stands an ISO 3166-2 subdivision of one to three characters, for NTR, VAT and GOV only")]
    Subdivision,
    /// The reference does not fit the scheme.
    #[error("the registration number does not have the form that its scheme asks for")]
    Reference,
    /// The checksum of an LEI is wrong.
    #[error("the checksum of the legal entity identifier is wrong; look for a typing mistake")]
    Checksum,
}

/// Not an assigned ISO 3166-1 alpha-2 code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("there is no such country; write its ISO 3166-1 code in two capital letters, such as DE")]
pub struct UnknownCountry;

fn is_assigned(country: &str) -> bool {
    country != "XX" && Country::parse(country).is_ok()
}

/// Registers number freely; what they all keep to is visible ASCII with at least one letter or digit.
fn is_reference(reference: &str) -> bool {
    reference.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        && reference.bytes().any(|byte| byte.is_ascii_alphanumeric())
        && !reference.starts_with(' ')
        && !reference.ends_with(' ')
}

/// RFC 5280 appendix A.1, ub-organization-name.
const ORGANIZATION_NAME_LIMIT: usize = 64;
/// RFC 5280 appendix A.1, ub-locality-name and ub-state-name.
const PLACE_LIMIT: usize = 128;
/// No standard bounds the attribute; the longest real ones have about 40 characters.
const IDENTIFIER_LIMIT: usize = 128;

/// ISO 3166-1 alpha-2, the officially assigned codes.
const ASSIGNED_COUNTRIES: &str = "\
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ \
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR \
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO \
    JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR \
    MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO \
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV \
    TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

#[cfg(test)]
mod tests {
    use super::*;
    use InvalidOrganizationIdentifier as Invalid;

    fn check(text: &str, expected: Result<(), Invalid>) {
        let parsed = OrganizationIdentifier::parse(text);
        assert_eq!(
            parsed.as_ref().map(|_| ()).map_err(|problem| *problem),
            expected,
            "{text:?}"
        );
        if let Ok(identifier) = parsed {
            assert_eq!(identifier.to_string(), text);
        }
    }

    #[test]
    fn examples_of_the_requirements_are_accepted() {
        for text in [
            "NTRGB-12345678",
            "NTRUS+CA-12345678",
            "PSDBE-NBB-1234.567.890",
            "VATEL-123456789",
            "NTRDE-DER3306.HRB12345",
            "GOVUS",
            "GOVUS+CA",
            "INTXG",
            "LEIXG-5493001KJTIIGC8Y1R12",
            "NTRAT-FN 123456 a",
            "NTRFR-12-34-56",
        ] {
            check(text, Ok(()));
        }
    }

    #[test]
    fn broken_identifiers_are_refused() {
        check("", Err(Invalid::Structure));
        check("NTR", Err(Invalid::Structure));
        check("NTRD", Err(Invalid::Structure));
        check("NTRDEU-1", Err(Invalid::Structure));
        check("NTRÖ-12345", Err(Invalid::Structure));
        check("ntrDE-1", Err(Invalid::Scheme));
        check("ABCDE-1", Err(Invalid::Scheme));
        check("NTRZZ-1", Err(Invalid::Country));
        check("NTRXG-1", Err(Invalid::Country));
        check("NTRde-1", Err(Invalid::Country));
        check("NTREL-1", Err(Invalid::Country));
        check("NTRXX-1", Err(Invalid::Country));
        check("LEIDE-5493001KJTIIGC8Y1R12", Err(Invalid::Country));
        check("INTUS", Err(Invalid::Country));
        check("NTRUS+-1", Err(Invalid::Subdivision));
        check("NTRUS+CALI-1", Err(Invalid::Subdivision));
        check("NTRUS+ca-1", Err(Invalid::Subdivision));
        check("PSDBE+BR-NBB-1", Err(Invalid::Subdivision));
        check("NTRDE", Err(Invalid::Reference));
        check("NTRDE-", Err(Invalid::Reference));
        check("NTRDE-.", Err(Invalid::Reference));
        check("NTRDE- 1", Err(Invalid::Reference));
        check("NTRDE-1\u{7}", Err(Invalid::Reference));
        check("GOVUS-1", Err(Invalid::Reference));
        check("INTXG-1", Err(Invalid::Reference));
        check("PSDBE-1234", Err(Invalid::Reference));
        check("PSDBE-nbb-1234", Err(Invalid::Reference));
        check("LEIXG-5493001KJTIIGC8Y1R1", Err(Invalid::Reference));
        check("LEIXG-5493001KJTIIGC8Y1RXX", Err(Invalid::Reference));
        check("LEIXG-5493001KJTIIGC8Y1R13", Err(Invalid::Checksum));
        check("LEIXG-5493001KJTIIGC8Y1R21", Err(Invalid::Checksum));
        check("LEIXG-5493010KJTIIGC8Y1R12", Err(Invalid::Checksum));
        check(&format!("NTRDE-{}", "1".repeat(123)), Err(Invalid::TooLong));
    }

    #[test]
    fn the_register_is_in_the_country() {
        for (identifier, country, fits) in [
            ("NTRDE-DER3306.HRB1", "DE", true),
            ("NTRDE-DER3306.HRB1", "AT", false),
            ("VATEL-123456789", "GR", true),
            ("VATEL-123456789", "DE", false),
            ("VATXI-123456789", "GB", true),
            ("LEIXG-5493001KJTIIGC8Y1R12", "DE", true),
            ("INTXG", "CH", true),
            ("GOVUS+CA", "CA", false),
        ] {
            let identifier = OrganizationIdentifier::parse(identifier).unwrap();
            let country = Country::parse(country).unwrap();
            assert_eq!(identifier.fits_country(country), fits, "{identifier} {country}");
            assert_eq!(
                Organization::new("Example AG", country, None, None, identifier).is_ok(),
                fits
            );
        }
    }

    #[test]
    fn texts_that_cannot_be_certified_are_refused() {
        let new = |name: &str, state, locality| {
            let identifier = OrganizationIdentifier::parse("NTRGB-12345678").unwrap();
            Organization::new(name, Country::parse("GB").unwrap(), state, locality, identifier)
        };
        assert!(new("Example Ltd", Some("London"), Some("London")).is_ok());
        for (name, state, locality) in [
            ("", None, None),
            ("-", None, None),
            ("Exam\u{200b}ple Ltd", None, None),
            ("Example Ltd ", None, None),
            ("Example Ltd", Some("."), None),
            ("Example Ltd", None, Some("Lon\ndon")),
        ] {
            assert!(
                matches!(new(name, state, locality), Err(InvalidOrganization::Text { .. })),
                "{name:?}"
            );
        }
        assert!(new(&"x".repeat(65), None, None).is_err());
        assert!(new("Example Ltd", None, Some(&"x".repeat(129))).is_err());
    }

    #[test]
    fn german_numbers_should_be_euids() {
        for (text, lacks) in [
            ("NTRDE-DER3306.HRB12345", false),
            ("NTRDE-HRB12345", true),
            ("NTRDE+BY-DER3306.HRB12345", true),
            ("NTRDE-DE.HRB1", true),
            ("NTRGB-12345678", false),
            ("VATDE-123456789", false),
        ] {
            assert_eq!(
                OrganizationIdentifier::parse(text).unwrap().lacks_preferred_euid(),
                lacks,
                "{text}"
            );
        }
    }

    #[test]
    fn countries() {
        assert_eq!(ASSIGNED_COUNTRIES.split_ascii_whitespace().count(), 249);
        assert_eq!(Country::parse("DE").unwrap().as_ref(), "DE");
        assert!(Country::parse("XX").is_ok());
        for code in ["", "D", "de", "DEU", "ZZ", "XG", "EU", "UK", "D ", "ÄÖ"] {
            assert_eq!(Country::parse(code), Err(UnknownCountry), "{code:?}");
        }
    }
}
