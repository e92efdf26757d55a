//! DESIGN section 4, 11, as a property: one change to a signed message or to its certificates, wherever it is made, never
//! yields a tier that was not there, and none that is kept says or shows something else.

use policies::tier::Tier;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use verifier::{Material, Verdict, Vouches, verify};

use crate::support::*;

/// One change to some octets.
#[derive(Debug, Clone)]
enum Change {
    FlipBit(prop::sample::Index, u8),
    Delete(prop::sample::Index),
    Insert(prop::sample::Index, u8),
    /// Any two places.
    Swap(prop::sample::Index, prop::sample::Index),
    SwapNeighbours(prop::sample::Index),
    Repeat(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        3 => (place(), 0..8_u8).prop_map(|(place, bit)| Change::FlipBit(place, bit)),
        2 => place().prop_map(Change::Delete),
        2 => (place(), prop_oneof![any::<u8>(), prop::sample::select(b"\r\n \t\0-\"=;:@<>(),".to_vec())])
            .prop_map(|(place, octet)| Change::Insert(place, octet)),
        1 => (place(), place()).prop_map(|(one, other)| Change::Swap(one, other)),
        1 => place().prop_map(Change::SwapNeighbours),
        1 => place().prop_map(Change::Repeat),
    ]
}

impl Change {
    /// What comes of it, which may be the same: two equal octets can be swapped.
    fn make(&self, octets: &[u8]) -> Vec<u8> {
        let mut changed = octets.to_vec();
        match self {
            Self::FlipBit(place, bit) => changed[place.index(octets.len())] ^= 1 << bit,
            Self::Delete(place) => drop(changed.remove(place.index(octets.len()))),
            Self::Insert(place, octet) => changed.insert(place.index(octets.len() + 1), *octet),
            Self::Swap(one, other) => changed.swap(one.index(octets.len()), other.index(octets.len())),
            Self::SwapNeighbours(place) => {
                let place = place.index(octets.len() - 1);
                changed.swap(place, place + 1);
            }
            Self::Repeat(place) => {
                let place = place.index(octets.len());
                changed.insert(place, octets[place]);
            }
        }
        changed
    }
}

/// A message, and what is said of it before anything is changed.
struct Base {
    what: &'static str,
    scenario: Scenario,
    message: String,
    /// The CMS structure in it, and as it stands in the message.
    cms: Vec<u8>,
    encoded: String,
    /// Where in the structure the two certificates stand.
    certificates: Vec<std::ops::Range<usize>>,
    trust: verifier::TrustStore,
    before: Verdict,
}

impl Base {
    fn new(what: &'static str, expected: Option<Tier>, mut scenario: Scenario) -> Self {
        let cms = scenario.signed_data();
        let fixed = cms.clone();
        scenario.cms.edit = Some(Box::new(move |cms| cms.clone_from(&fixed)));
        let (leaf, issuing, _) = scenario.chain();
        let place = |part: &[u8]| {
            let start = cms.windows(part.len()).position(|window| window == part).unwrap();
            start..start + part.len()
        };
        let certificates = vec![place(&leaf), place(&issuing)];
        let message = String::from_utf8(scenario.message()).unwrap();
        let (trust, encoded) = (scenario.trust(), base64(&cms));
        assert!(message.contains(&encoded));
        let mut base = Self {
            what,
            before: scenario.verdict_on(message.as_bytes()),
            scenario,
            message,
            cms,
            encoded,
            certificates,
            trust,
        };
        assert_eq!(base.before.tier(), expected, "{what}: {:#?}", base.before.findings());
        base.scenario.cms.edit = None;
        base
    }

    fn check(&self, message: &[u8], how: &str) {
        let material = Material {
            crls: self.scenario.crls.clone(),
            ..Material::default()
        };
        let after = verify(message, &self.trust, &material, self.scenario.at, &self.scenario.policy);
        if after.tier().is_none() {
            return;
        }
        let what = self.what;
        assert_eq!(after.tier(), self.before.tier(), "{what}, {how}: another tier");
        assert_eq!(after.label(), self.before.label(), "{what}, {how}: another label");
        assert_eq!(
            after.verified_bytes(),
            self.before.verified_bytes(),
            "{what}, {how}: other content"
        );
        assert!(
            after
                .from()
                .zip(self.before.from())
                .is_some_and(|(one, other)| one.eq_ignore_ascii_case(other)),
            "{what}, {how}: another sender"
        );
        assert_eq!(
            after.certificate(),
            self.before.certificate(),
            "{what}, {how}: another certificate"
        );
    }
}

fn bases() -> Vec<Base> {
    let person = [(GIVEN_NAME, "Alice"), (SURNAME, "Doe"), (COMMON_NAME, "Alice Doe")];
    let organization = [
        (COUNTRY, "DE"),
        (ORGANIZATION, "Beispiel GmbH"),
        (ORGANIZATION_IDENTIFIER, "NTRDE-DEK1101R.HRB12345"),
    ];
    let employee = [&organization[..], &person[..2], &[(TITLE, "Head of Sales")]].concat();
    let edited = |edit: fn(&mut Scenario)| {
        let mut scenario = Scenario::new();
        edit(&mut scenario);
        scenario
    };
    vec![
        Base::new("a mailbox", Some(Tier::V1), Scenario::new()),
        Base::new(
            "a mailbox, opaque",
            Some(Tier::V1),
            edited(|scenario| scenario.opaque = true),
        ),
        Base::new(
            "protected header",
            Some(Tier::V1),
            edited(|scenario| {
                scenario.entity = format!(
                    "{}{}Content-Type: text/plain; hp=\"clear\"\r\n\r\nHello\r\n",
                    scenario.from, scenario.fields
                )
                .into_bytes();
            }),
        ),
        Base::new("a person", Some(Tier::V2), Scenario::of_tier(V2_STRICT, &person)),
        Base::new(
            "an organization",
            Some(Tier::V3),
            Scenario::of_tier(V3_STRICT, &organization),
        ),
        Base::new("an employee", Some(Tier::V4), Scenario::of_tier(V4_STRICT, &employee)),
        // These have no tier for reasons that no single change takes away.
        Base::new(
            "no policy",
            None,
            edited(|scenario| {
                scenario.leaf.policies(&["1.2.3"]);
            }),
        ),
        Base::new(
            "two policies",
            None,
            edited(|scenario| {
                scenario.leaf.policies(&[V1_STRICT, V2_STRICT]);
            }),
        ),
        Base::new("nobody trusted", None, edited(|scenario| scenario.trusted = false)),
        Base::new(
            "signatures only",
            None,
            edited(|scenario| scenario.vouches = Vouches::SignaturesOnly),
        ),
        Base::new(
            "expired",
            None,
            edited(|scenario| scenario.leaf.not_after = "260601000000Z"),
        ),
        Base::new(
            "another sender",
            None,
            edited(|scenario| scenario.from = "From: Bob <bob@example.net>\r\n".to_owned()),
        ),
        Base::new("revoked", None, {
            let mut scenario = Scenario::new();
            let (leaf, root) = (RevocationList::of(&[3]), RevocationList::of(&[]));
            scenario.crls = vec![scenario.issuing_crl(&leaf), scenario.root_crl(&root)];
            scenario
        }),
        Base::new(
            "other content",
            None,
            edited(|scenario| {
                scenario.edit_message = Some(Box::new(|message| {
                    *message = message.replace("this is Alice", "send money")
                }));
            }),
        ),
    ]
}

/// Where the change is made.
#[derive(Debug, Clone, Copy)]
enum Target {
    Message,
    Signature,
    Certificate(usize),
}

#[test]
fn invariant_11_no_single_change_yields_a_tier_that_was_not_there() {
    let bases = bases();
    let target = prop_oneof![
        3 => Just(Target::Message),
        2 => Just(Target::Signature),
        2 => (0..2_usize).prop_map(Target::Certificate),
    ];
    let mut runner = TestRunner::new(Config {
        cases: 2000,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&(0..bases.len(), target, change()), |(base, target, change)| {
            let base = &bases[base];
            let how = format!("{change:?} to {target:?}");
            let changed_cms = |cms: &[u8]| base.message.replace(&base.encoded, &base64(cms)).into_bytes();
            let message = match target {
                Target::Message => change.make(base.message.as_bytes()),
                Target::Signature => changed_cms(&change.make(&base.cms)),
                Target::Certificate(which) => {
                    let range = base.certificates[which].clone();
                    let changed = change.make(&base.cms[range.clone()]);
                    changed_cms(&[&base.cms[..range.start], &changed, &base.cms[range.end..]].concat())
                }
            };
            base.check(&message, &how);
            Ok(())
        })
        .unwrap();
}

/// Every octet of both certificates once, and each of the three smallest changes to every octet of the From field.
#[test]
fn invariant_11_no_octet_of_certificates_or_sender_yields_a_tier() {
    let bases = bases();
    for base in bases.iter().filter(|base| base.before.tier().is_none()).take(2) {
        for range in &base.certificates {
            for place in range.clone() {
                let mut cms = base.cms.clone();
                cms[place] ^= 1 << (place % 8);
                let message = base.message.replace(&base.encoded, &base64(&cms));
                base.check(message.as_bytes(), &format!("octet {place} of a certificate"));
            }
        }
    }
    for base in &bases {
        let end = base.message.find("\r\n").unwrap();
        for place in 0..end {
            let whole = base.message.as_bytes();
            let (front, back) = whole.split_at(place);
            let mut flipped = whole.to_vec();
            flipped[place] ^= 1 << (place % 7);
            base.check(&flipped, &format!("octet {place} of From flipped"));
            base.check(&[front, &back[1..]].concat(), &format!("octet {place} of From deleted"));
            base.check(&[front, b".", back].concat(), &format!("a dot at {place} of From"));
        }
    }
}
