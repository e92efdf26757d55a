//! From July 2027 on, emailProtection and clientAuth are the only purposes left.

use super::view::Kind;
use super::{KEY_PURPOSES_LIMITED, Lint, Problems, View};
use crate::profile::{CLIENT_AUTHENTICATION, EMAIL_PROTECTION};
use x509_cert::ext::pkix::ExtendedKeyUsage;

pub(super) const LINT: Lint = Lint {
    id: "extended_key_usage_limited",
    citation: "BR 7.1.2.2 g, 7.1.2.3 f, ballot SMC018",
    effective: KEY_PURPOSES_LIMITED,
    applies: |view| view.kind != Kind::OcspResponder,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    for purpose in view
        .decode::<ExtendedKeyUsage>()
        .map(|usage| usage.0)
        .unwrap_or_default()
    {
        if purpose != EMAIL_PROTECTION && purpose != CLIENT_AUTHENTICATION {
            problems.error(format!(
                "the extKeyUsage has {purpose}; only emailProtection and clientAuth are permitted"
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::profile::profile;
    use crate::template::extension;
    use crate::tier::{Generation, Tier};
    use crate::time::Span;

    fn with_smart_card_logon(fixture: Fixture) -> Fixture {
        let logon = const_oid::ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.2");
        fixture.with_extension(extension(false, &ExtendedKeyUsage(vec![EMAIL_PROTECTION, logon])).unwrap())
    }

    #[test]
    fn our_purposes_pass() {
        subscriber(Tier::V4, Generation::Multipurpose)
            .at(KEY_PURPOSES_LIMITED)
            .passes(&LINT);
        issuing_authority().at(KEY_PURPOSES_LIMITED).passes(&LINT);
    }

    #[test]
    fn other_purposes_fail_from_the_day_on() {
        let multipurpose = || subscriber(Tier::V4, Generation::Multipurpose);
        with_smart_card_logon(multipurpose())
            .at(KEY_PURPOSES_LIMITED)
            .fails(&LINT);
        with_smart_card_logon(multipurpose())
            .at(KEY_PURPOSES_LIMITED.minus(Span::seconds(1)))
            .passes(&LINT);
        with_smart_card_logon(issuing_authority())
            .at(KEY_PURPOSES_LIMITED)
            .fails(&LINT);
    }

    #[test]
    fn profiles_have_the_same_date() {
        for tier in Tier::ALL {
            for generation in Generation::ALL {
                assert_eq!(
                    profile(tier, generation).extended_key_usage_limited_from(),
                    KEY_PURPOSES_LIMITED
                );
            }
        }
    }
}
