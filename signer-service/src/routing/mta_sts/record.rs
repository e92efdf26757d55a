//! The TXT record that says that there is a policy, see RFC 8461 section 3.1.

/// The policy's id, if exactly one of the records at `_mta-sts` is such a record and is well formed.
pub(super) fn identifier(records: &[&[u8]]) -> Option<String> {
    let mut ours = records.iter().filter(|record| is_ours(record));
    let (Some(record), None) = (ours.next(), ours.next()) else {
        return None;
    };
    let text = str::from_utf8(record).ok()?;
    let mut id = None;
    for field in text.split(';').skip(1) {
        let Some((name, value)) = field.split_once('=') else {
            // After the last semicolon nothing is needed.
            match field.trim_matches(BLANKS) {
                "" => continue,
                _ => return None,
            }
        };
        if name.trim_matches(BLANKS) == "id" && id.is_none() {
            id = Some(value.trim_matches(BLANKS).to_owned());
        }
    }
    id.filter(|id| (1..=32).contains(&id.len()) && id.bytes().all(|octet| octet.is_ascii_alphanumeric()))
}

fn is_ours(record: &[u8]) -> bool {
    let Some(rest) = record.strip_prefix(b"v=STSv1") else {
        return false;
    };
    rest.trim_ascii_start().starts_with(b";")
}

const BLANKS: [char; 2] = [' ', '\t'];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(records: &[&str], expected: Option<&str>) {
        let octets: Vec<&[u8]> = records.iter().map(|record| record.as_bytes()).collect();
        assert_eq!(identifier(&octets).as_deref(), expected, "{records:?}");
    }

    #[test]
    fn there_is_one_record_with_one_id() {
        check(&["v=STSv1; id=20160831085700Z;"], Some("20160831085700Z"));
        check(&["v=STSv1;id=a"], Some("a"));
        check(&["v=spf1 -all", "v=STSv1 ; id = a ; more=1;"], Some("a"));
        check(&["v=STSv1; id=a; id=b;"], Some("a"));
    }

    #[test]
    fn what_is_not_well_formed_is_no_record() {
        check(&[], None);
        check(&["v=STSv1; id=a;", "v=STSv1; id=a;"], None);
        check(&["v=STSv2; id=a;"], None);
        check(&["v=STSv10; id=a;"], None);
        check(&["id=a; v=STSv1;"], None);
        check(&["v=STSv1;"], None);
        check(&["v=STSv1; id=;"], None);
        check(&["v=STSv1; id=a-b;"], None);
        check(&[&format!("v=STSv1; id={};", "a".repeat(33))], None);
        check(&["v=STSv1; id=a; what"], None);
    }
}
