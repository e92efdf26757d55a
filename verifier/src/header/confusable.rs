//! Letters that pass for others (UTS 39, in the part that needs no tables of thousands of characters).
//!
//! Names in one script are left alone, whatever it is. What is noticed: words whose letters come from scripts that share
//! shapes, words in one of these scripts that consist of look-alikes of Latin letters alone, and letters that exist only
//! as variants of others.

/// The scripts that have letters in the shape of Latin ones, and the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Greek,
    Cyrillic,
    Armenian,
    Cherokee,
    /// Mathematical, fullwidth, enclosed: nobody writes a name in them.
    Variant,
    Other,
}

fn script(character: char) -> Option<Script> {
    if !character.is_alphabetic() {
        return None;
    }
    Some(match u32::from(character) {
        0x0041..=0x024f | 0x1e00..=0x1eff => Script::Latin,
        0x0370..=0x03ff | 0x1f00..=0x1fff => Script::Greek,
        0x0400..=0x052f | 0x1c80..=0x1c8f | 0x2de0..=0x2dff | 0xa640..=0xa69f => Script::Cyrillic,
        0x0530..=0x058f => Script::Armenian,
        0x13a0..=0x13ff | 0xab70..=0xabbf => Script::Cherokee,
        // IPA and phonetic extensions, letterlike symbols, enclosed, fullwidth, mathematical.
        0x0250..=0x02af
        | 0x1d00..=0x1dbf
        | 0x2100..=0x214f
        | 0x2460..=0x24ff
        | 0xff21..=0xff5a
        | 0x1d400..=0x1d7ff
        | 0x1f130..=0x1f189 => Script::Variant,
        _ => Script::Other,
    })
}

/// Whether some word is made to be taken for another one.
pub(crate) fn is_confusable(text: &str) -> bool {
    let words = || {
        text.split(|character: char| !character.is_alphanumeric())
            .filter(|word| !word.is_empty())
    };
    let has_latin = text.chars().any(|character| script(character) == Some(Script::Latin));
    words().any(|word| {
        let mut scripts = word.chars().filter_map(script);
        let Some(first) = scripts.next() else {
            return false;
        };
        if first == Script::Variant
            || scripts.any(|other| other != first && (other != Script::Other || first != Script::Other))
        {
            return true;
        }
        // A whole word of look-alikes, beside Latin ones or where only Latin is to be expected.
        let shares_shapes = matches!(
            first,
            Script::Cyrillic | Script::Greek | Script::Armenian | Script::Cherokee
        );
        shares_shapes && has_latin && word.chars().all(looks_latin)
    })
}

/// Whether a label of a domain is made of look-alikes of Latin letters, or mixes them.
pub(crate) fn is_confusable_domain(domain: &str) -> bool {
    domain.split('.').any(|label| {
        let shares_shapes = label.chars().any(|character| {
            matches!(
                script(character),
                Some(Script::Cyrillic | Script::Greek | Script::Armenian | Script::Cherokee)
            )
        });
        is_confusable(label)
            || (shares_shapes
                && label
                    .chars()
                    .all(|character| looks_latin(character) || character == '-'))
    })
}

/// Letters and digits that are hardly told from ASCII ones (Unicode confusables.txt, those of the scripts above).
fn looks_latin(character: char) -> bool {
    character.is_ascii_digit()
        || "аАвВеЕѕЅіІїЇјЈкКмМнНоОрРсСтТуУхХһҺӏӀԁԛԝѡьгпВЗбэӕӔӧӦөӨґғәѐѓѝ".contains(character)
        || "αΑβΒεΕζΖηΗιΙκΚμΜνΝοΟρΡτΤυΥχΧγωϲϹϳ".contains(character)
        || "օՕսՍԼհքգոջԱՏ".contains(character)
        || matches!(script(character), Some(Script::Cherokee))
}

/// Whether a name imitates what only the verifier says: its labels, and the signs that programs put beside them.
pub(crate) fn imitates_label(text: &str) -> bool {
    const PHRASES: [&str; 6] = [
        "identity validated",
        "email validated",
        "identity not validated",
        "identiteten verifierad",
        "e-postadressen verifierad",
        "verified sender",
    ];
    const SIGNS: [char; 12] = ['✓', '✔', '☑', '✅', '🔒', '🔐', '🔏', '🛡', '🗸', '🖋', '🎖', '\u{2705}'];
    let lower = text.to_lowercase();
    let tier = lower
        .split_whitespace()
        .next()
        .is_some_and(|word| matches!(word, "v1" | "v2" | "v3" | "v4"));
    tier || PHRASES.iter().any(|phrase| lower.contains(phrase)) || text.contains(SIGNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_one_script_are_names() {
        for name in [
            "Alice Doe",
            "Jürgen Groß",
            "Łukasz Żółć",
            "Nguyễn Văn A",
            "Иван Петров",
            "Ελένη Παππά",
            "Ivan Петров",
            "山田 太郎",
            "田中 Tanaka",
            "김철수",
            "יוסי כהן",
            "محمد علي",
            "Արամ Խաչատրյան",
            "R2D2 & Co. (KG)",
            "O'Brien-Müller",
            "",
        ] {
            assert!(!is_confusable(name), "{name}");
        }
    }

    #[test]
    fn words_that_pass_for_others_are_noticed() {
        for name in [
            "P\u{430}yPal",
            "Раураl",
            "\u{420}\u{430}\u{443} Inc",
            "Microsоft Support",
            "Αpple",
            "𝐁𝐚𝐧𝐤",
            "Ｂａｎｋ",
            "Ⓑank",
            "ᏢayPal",
            "Bаnk of Somewhere",
        ] {
            assert!(is_confusable(name), "{name}");
        }
    }

    #[test]
    fn domains_that_pass_for_others_are_noticed() {
        for domain in ["аррӏе.com", "раураӏ.example", "gооgle.example", "αβ-ο.example"] {
            assert!(is_confusable_domain(domain), "{domain}");
        }
        for domain in [
            "example.org",
            "bücher.example",
            "пример.рф",
            "παράδειγμα.example",
            "例え.テスト",
            "яндекс.example",
        ] {
            assert!(!is_confusable_domain(domain), "{domain}");
        }
    }

    #[test]
    fn labels_and_signs_are_ours() {
        for name in [
            "V3 Bank, Identity Validated and Trusted",
            "Bank ✓",
            "Bank 🔒",
            "v4 Somebody",
            "identiteten VERIFIERAD",
        ] {
            assert!(imitates_label(name), "{name}");
        }
        for name in ["Alice", "V. Three", "V10 Motors", "Validated Ltd"] {
            assert!(!imitates_label(name), "{name}");
        }
    }
}
