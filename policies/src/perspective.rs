//! When what one network sees is corroborated by others (BR 4.2.2.2, which refers to TLS BR 3.2.2.9).
//!
//! An authority looks at a domain from where it is (the primary network perspective) and has remote perspectives look
//! as well, so that whoever diverts the traffic of one network does not get a certificate. How many have to look, and
//! how many of them may see something else, is decided here; looking is the authority's work.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::time::Timestamp;

/// The regional Internet registry in whose service region a perspective is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Registry {
    /// Africa.
    Afrinic,
    /// Asia and the Pacific.
    Apnic,
    /// Canada, the United States, parts of the Caribbean, Antarctica.
    Arin,
    /// Latin America and the rest of the Caribbean.
    Lacnic,
    /// Europe, Russia, the Middle East, parts of Central Asia.
    Ripe,
}

impl Registry {
    /// All five.
    pub const ALL: [Self; 5] = [Self::Afrinic, Self::Apnic, Self::Arin, Self::Lacnic, Self::Ripe];

    /// In one word, lower case.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Afrinic => "afrinic",
            Self::Apnic => "apnic",
            Self::Arin => "arin",
            Self::Lacnic => "lacnic",
            Self::Ripe => "ripe",
        }
    }
}

impl AsRef<str> for Registry {
    fn as_ref(&self) -> &str {
        self.word()
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

impl FromStr for Registry {
    type Err = UnknownRegistry;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|registry| registry.as_ref() == text)
            .ok_or(UnknownRegistry)
    }
}

/// Not the name of a [`Registry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it is none of afrinic, apnic, arin, lacnic and ripe")]
pub struct UnknownRegistry;

/// Where something is, in hundredths of a degree: about a kilometre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    latitude: i32,
    longitude: i32,
}

impl Location {
    /// The straight-line distance to another place, in kilometres: along the chord, which is what TLS BR 3.2.2.9
    /// literally asks for, and never more than along the ground.
    #[must_use]
    pub fn distance(self, other: Self) -> f64 {
        let point = |place: Self| {
            let latitude = (f64::from(place.latitude) / 100.0).to_radians();
            let longitude = (f64::from(place.longitude) / 100.0).to_radians();
            [
                latitude.cos() * longitude.cos(),
                latitude.cos() * longitude.sin(),
                latitude.sin(),
            ]
        };
        let (here, there) = (point(self), point(other));
        let squares: f64 = here.iter().zip(there).map(|(a, b)| (a - b) * (a - b)).sum();
        EARTH_RADIUS * squares.sqrt()
    }

    /// Whether two perspectives at these places are distinct. TLS BR 3.2.2.9: "when the straight-line distance between
    /// them is at least 500 km".
    #[must_use]
    pub fn is_distinct_from(self, other: Self) -> bool {
        self.distance(other) >= LEAST_DISTANCE
    }
}

impl FromStr for Location {
    type Err = InvalidLocation;

    /// Latitude and longitude in degrees with a comma between, north and east positive: `50.11, 8.68`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (latitude, longitude) = text.split_once(',').ok_or(InvalidLocation)?;
        Ok(Self {
            latitude: hundredths(latitude.trim(), 90)?,
            longitude: hundredths(longitude.trim(), 180)?,
        })
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.2}, {:.2}",
            f64::from(self.latitude) / 100.0,
            f64::from(self.longitude) / 100.0
        )
    }
}

/// `-12.3` as -1230. More than two digits behind the point are cut off.
fn hundredths(text: &str, limit: i32) -> Result<i32, InvalidLocation> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number =
        |text: &str| !text.is_empty() && text.len() <= 9 && text.bytes().all(|octet| octet.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return Err(InvalidLocation);
    }
    let two: String = fraction.chars().chain(['0', '0']).take(2).collect();
    let whole: i32 = whole.parse().map_err(|_| InvalidLocation)?;
    let fraction: i32 = two.parse().map_err(|_| InvalidLocation)?;
    if whole > limit || (whole == limit && fraction > 0) {
        return Err(InvalidLocation);
    }
    Ok(sign * (100 * whole + fraction))
}

/// Not a place on the Earth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it is no place: write latitude and longitude in degrees, such as \"50.11, 8.68\"")]
pub struct InvalidLocation;

/// What is asked of those who issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// How many remote perspectives have to look, at least.
    pub perspectives: usize,
    /// In how many service regions of registries those that corroborate have to be, at least.
    pub registries: usize,
}

impl Requirement {
    /// For an authority that is trusted by nobody but its owners: whoever it asks.
    pub const PRIVATE: Self = Self {
        perspectives: 1,
        registries: 1,
    };

    /// What TLS BR 3.2.2.9 asks of a publicly trusted authority at an instant; `None` before BR 4.2.2.2 did.
    ///
    /// NOTE: until 2025-09-15 the TLS BR let a certificate be issued without quorum. That is not made use of.
    #[must_use]
    pub fn at(now: Timestamp) -> Option<Self> {
        SCHEDULE
            .iter()
            .rev()
            .find(|(from, _)| *from <= now)
            .map(|(_, requirement)| *requirement)
    }

    /// When more will be asked than at `now`, and what.
    #[must_use]
    pub fn next(now: Timestamp) -> Option<(Timestamp, Self)> {
        SCHEDULE.iter().find(|(from, _)| now < *from).copied()
    }
}

/// How many of so many remote perspectives may see something else (TLS BR 3.2.2.9, Quorum Requirements table).
#[must_use]
pub const fn allowed_non_corroborations(perspectives: usize) -> usize {
    match perspectives {
        // The table begins with two; a single one has to agree.
        0 | 1 => 0,
        2..=5 => 1,
        _ => 2,
    }
}

/// What one remote perspective contributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Where it is.
    pub registry: Registry,
    /// Whether it saw what the primary perspective saw. Silence is not agreement.
    pub corroborates: bool,
}

/// That enough perspectives saw the same. The one constructor is [`Quorum::of`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    asked: usize,
    corroborating: usize,
    registries: Vec<Registry>,
}

impl Quorum {
    /// Counts the votes of all perspectives that were asked, each once, those that did not answer too.
    ///
    /// # Errors
    ///
    /// [`NoQuorum`] says what is missing.
    pub fn of(requirement: Requirement, votes: &[Vote]) -> Result<Self, NoQuorum> {
        let asked = votes.len();
        if asked < requirement.perspectives {
            return Err(NoQuorum::TooFewPerspectives {
                asked,
                needed: requirement.perspectives,
            });
        }
        let corroborating = votes.iter().filter(|vote| vote.corroborates).count();
        let allowed = allowed_non_corroborations(asked);
        if asked - corroborating > allowed {
            return Err(NoQuorum::TooFewCorroborate {
                asked,
                corroborating,
                needed: asked - allowed,
            });
        }
        let mut registries: Vec<Registry> = votes
            .iter()
            .filter(|vote| vote.corroborates)
            .map(|vote| vote.registry)
            .collect();
        registries.sort_unstable();
        registries.dedup();
        if registries.len() < requirement.registries {
            return Err(NoQuorum::TooFewRegistries {
                found: registries.len(),
                needed: requirement.registries,
            });
        }
        Ok(Self {
            asked,
            corroborating,
            registries,
        })
    }

    /// How many remote perspectives were asked.
    #[must_use]
    pub const fn asked(&self) -> usize {
        self.asked
    }

    /// How many of them saw the same.
    #[must_use]
    pub const fn corroborating(&self) -> usize {
        self.corroborating
    }

    /// In which service regions those are.
    #[must_use]
    pub fn registries(&self) -> &[Registry] {
        &self.registries
    }
}

impl fmt::Display for Quorum {
    /// As BR 5.4.1 wants it in the log: "3/4" are three of four.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.corroborating, self.asked)
    }
}

/// Why what was seen is not corroborated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoQuorum {
    /// Nobody may issue with so few.
    #[error("{needed} remote network perspectives have to look, and {asked} did")]
    TooFewPerspectives {
        /// How many were asked.
        asked: usize,
        /// How many have to be.
        needed: usize,
    },
    /// Too many saw something else, or nothing.
    #[error("{corroborating} of {asked} remote network perspectives saw the same, and {needed} have to")]
    TooFewCorroborate {
        /// How many were asked.
        asked: usize,
        /// How many saw the same.
        corroborating: usize,
        /// How many have to.
        needed: usize,
    },
    /// They are too near to each other, as the Internet is administered.
    #[error(
        "the remote network perspectives that saw the same are in the service regions of {found} regional Internet \
         registries, and have to be in those of {needed}"
    )]
    TooFewRegistries {
        /// In how many they are.
        found: usize,
        /// In how many they have to be.
        needed: usize,
    },
}

/// BR 4.2.2.2 and the Phased Implementation Timeline of TLS BR 3.2.2.9.
const SCHEDULE: [(Timestamp, Requirement); 4] = [
    // 2025-05-15, when the S/MIME BR begin to ask.
    (Timestamp::from_unix(1_747_267_200), requirement(2, 1)),
    // 2026-03-15
    (Timestamp::from_unix(1_773_532_800), requirement(3, 2)),
    // 2026-06-15
    (Timestamp::from_unix(1_781_481_600), requirement(4, 2)),
    // 2026-12-15
    (Timestamp::from_unix(1_797_292_800), requirement(5, 2)),
];

const fn requirement(perspectives: usize, registries: usize) -> Requirement {
    Requirement {
        perspectives,
        registries,
    }
}

/// Kilometres.
const LEAST_DISTANCE: f64 = 500.0;
/// The mean radius in kilometres (IUGG).
const EARTH_RADIUS: f64 = 6371.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn the_schedule_is_that_of_the_requirements() {
        let check = |time: &str, expected: Option<(usize, usize)>| {
            let found = Requirement::at(at(time)).map(|found| (found.perspectives, found.registries));
            assert_eq!(found, expected, "{time}");
        };
        check("2025-05-14T23:59:59Z", None);
        check("2025-05-15T00:00:00Z", Some((2, 1)));
        check("2026-03-14T23:59:59Z", Some((2, 1)));
        check("2026-03-15T00:00:00Z", Some((3, 2)));
        check("2026-06-14T23:59:59Z", Some((3, 2)));
        check("2026-06-15T00:00:00Z", Some((4, 2)));
        check("2026-12-14T23:59:59Z", Some((4, 2)));
        check("2026-12-15T00:00:00Z", Some((5, 2)));
        check("2036-12-15T00:00:00Z", Some((5, 2)));
        let next = Requirement::next(at("2026-11-28T12:00:00Z")).unwrap();
        assert_eq!((next.0, next.1.perspectives), (at("2026-12-15T00:00:00Z"), 5));
        assert_eq!(Requirement::next(at("2026-12-15T00:00:00Z")), None);
    }

    const FOUR: Requirement = requirement(4, 2);

    /// One letter for each perspective: `a` and `r` for those near ARIN and RIPE that agree, capitals for those that do not.
    fn check(requirement: Requirement, votes: &str, expected: Result<&str, NoQuorum>) {
        let votes: Vec<Vote> = votes
            .chars()
            .map(|letter| Vote {
                registry: match letter.to_ascii_lowercase() {
                    'a' => Registry::Arin,
                    _ => Registry::Ripe,
                },
                corroborates: letter.is_ascii_lowercase(),
            })
            .collect();
        let found = Quorum::of(requirement, &votes).map(|quorum| quorum.to_string());
        assert_eq!(found, expected.map(str::to_owned), "{votes:?}");
    }

    #[test]
    fn one_of_five_and_two_of_six_may_see_something_else() {
        let few = |asked, corroborating, needed| {
            Err(NoQuorum::TooFewCorroborate {
                asked,
                corroborating,
                needed,
            })
        };
        check(FOUR, "aarr", Ok("4/4"));
        check(FOUR, "aarR", Ok("3/4"));
        check(FOUR, "aaRR", few(4, 2, 3));
        check(FOUR, "AARR", few(4, 0, 3));
        check(FOUR, "aarrR", Ok("4/5"));
        check(FOUR, "aarRR", few(5, 3, 4));
        check(FOUR, "aarrRR", Ok("4/6"));
        check(FOUR, "aarRRR", few(6, 3, 4));
        check(Requirement::PRIVATE, "a", Ok("1/1"));
        check(Requirement::PRIVATE, "A", few(1, 0, 1));
    }

    #[test]
    fn too_few_perspectives_and_too_few_regions_are_no_quorum() {
        let few = |asked, needed| Err(NoQuorum::TooFewPerspectives { asked, needed });
        check(FOUR, "", few(0, 4));
        check(FOUR, "arr", few(3, 4));
        check(Requirement::PRIVATE, "", few(0, 1));
        let near = |found| Err(NoQuorum::TooFewRegistries { found, needed: 2 });
        check(FOUR, "rrrr", near(1));
        // It is those that agree who have to be far from each other.
        check(FOUR, "rrrA", near(1));
        check(FOUR, "Rrra", Ok("3/4"));
    }

    proptest! {
        #[test]
        fn a_vote_that_changes_to_agreement_never_destroys_a_quorum(
            votes in proptest::collection::vec((0_usize..5, any::<bool>()), 1..9),
            changed in any::<prop::sample::Index>(),
        ) {
            let mut votes: Vec<Vote> = votes
                .into_iter()
                .map(|(registry, corroborates)| Vote { registry: Registry::ALL[registry], corroborates })
                .collect();
            let before = Quorum::of(FOUR, &votes);
            let changed = changed.index(votes.len());
            votes[changed].corroborates = true;
            if before.is_ok() {
                prop_assert!(Quorum::of(FOUR, &votes).is_ok());
            }
        }

        #[test]
        fn what_one_network_says_alone_is_never_enough(liar in 0_usize..4, registries in proptest::collection::vec(0_usize..5, 4)) {
            let votes: Vec<Vote> = registries
                .into_iter()
                .enumerate()
                .map(|(position, registry)| Vote { registry: Registry::ALL[registry], corroborates: position == liar })
                .collect();
            prop_assert!(Quorum::of(FOUR, &votes).is_err());
        }
    }

    #[test]
    fn places_are_read_and_distances_measured() {
        let place = |text: &str| text.parse::<Location>().unwrap();
        let (frankfurt, ashburn, zurich) = (place("50.11, 8.68"), place("39.04,-77.49"), place("47.37, 8.54"));
        // 6,523 km along the ground.
        assert!((6_000.0..6_600.0).contains(&frankfurt.distance(ashburn)));
        assert!(frankfurt.is_distinct_from(ashburn));
        // 305 km.
        assert!((300.0..310.0).contains(&frankfurt.distance(zurich)));
        assert!(!frankfurt.is_distinct_from(zurich) && !frankfurt.is_distinct_from(frankfurt));
        assert_eq!(ashburn.to_string(), "39.04, -77.49");
        assert_eq!(place("-0.5, 180"), place("-0.50,180.00"));
        for text in [
            "",
            "50.11",
            "50.11 8.68",
            "91, 0",
            "90.01, 0",
            "0, 180.5",
            "x, y",
            "1e1, 0",
            "--1, 0",
            "1.,2",
            "+1, 2",
            "1, 2, 3",
        ] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
