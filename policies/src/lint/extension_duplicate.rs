//! Each extension stands at most once.

use super::{FIRST, Lint, Problems, View};

pub(super) const LINT: Lint = Lint {
    id: "extension_duplicate",
    citation: "RFC 5280 section 4.2",
    effective: FIRST,
    applies: |_| true,
    check,
};

fn check(view: &View<'_>, problems: &mut Problems) {
    let extensions = view.extensions();
    for (index, extension) in extensions.iter().enumerate() {
        if extensions
            .iter()
            .take(index)
            .any(|earlier| earlier.extn_id == extension.extn_id)
        {
            problems.error(format!("the extension {} stands more than once", extension.extn_id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    #[test]
    fn different_extensions_pass() {
        v4().passes(&LINT);
    }

    #[test]
    fn repetitions_fail() {
        v1().with(|tbs| {
            let extensions = tbs.extensions.get_or_insert_default();
            extensions.push(extensions[0].clone());
        })
        .fails(&LINT);
    }
}
