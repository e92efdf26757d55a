//! The keyUsage is the one that was ordered: a certificate for signing receives no mail, one for encryption signs none.

use super::{FIRST, Lint, Problems, View};
use x509_cert::ext::pkix::KeyUsage;

pub(super) const LINT: Lint = Lint {
    id: "key_usage_ordered",
    citation: "BR 7.1.2.3 e",
    effective: FIRST,
    // Only before signing is it known what was ordered.
    applies: |view| view.key_use.is_some(),
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let (Some(key_use), Ok(key)) = (view.key_use, &view.public_key) else {
        return;
    };
    // That there is one, and that it can be read, is for `key_usage` and `extension_syntax`.
    let Some(KeyUsage(found)) = view.decode::<KeyUsage>() else {
        return;
    };
    match key_use.key_usage(key) {
        None => problems.error(format!(
            "a key of this kind cannot be certified for the use `{key_use}`"
        )),
        Some(wanted) if wanted != found => {
            problems.error(format!(
                "the keyUsage is not the one of a certificate for the use `{key_use}`"
            ));
        }
        Some(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;
    use crate::key_use::KeyUse;
    use crate::public_key::PublicKey;
    use crate::template::extension;
    use crate::tier::{Generation, Tier};

    #[test]
    fn every_use_passes_as_itself_and_as_no_other() {
        for generation in Generation::ALL {
            for key in [crate::testing::p256(), crate::testing::rsa2048()] {
                for ordered in KeyUse::ALL {
                    for written in KeyUse::ALL {
                        let bits = written.key_usage(&PublicKey::read(&key).unwrap()).unwrap();
                        let fixture = subscriber_for(Tier::V1, generation, key.clone(), ordered)
                            .with_extension(extension(true, &KeyUsage(bits)).unwrap());
                        match ordered == written {
                            true => fixture.passes(&LINT),
                            false => fixture.fails(&LINT),
                        }
                    }
                }
            }
        }
    }
}
