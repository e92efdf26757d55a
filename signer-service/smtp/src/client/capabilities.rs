//! What the next hop offers, as its EHLO reply says.

use crate::reply::Reply;

/// The extensions a server has announced. See RFC 5321 section 4.1.1.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Keyword in upper case, and the rest of the line.
    extensions: Vec<(String, String)>,
}

impl Capabilities {
    pub(super) fn parse(reply: &Reply) -> Self {
        // The first line is the greeting.
        let lines = reply.text().split('\n').skip(1);
        let extensions = lines
            .map(|line| line.split_once(' ').unwrap_or((line, "")))
            .map(|(keyword, rest)| (keyword.to_ascii_uppercase(), rest.trim().to_owned()))
            .collect();
        Self { extensions }
    }

    /// Whether an extension is offered; `keyword` is in upper case, such as `DSN`.
    pub fn offers(&self, keyword: &str) -> bool {
        self.parameters(keyword).is_some()
    }

    /// What stands behind the keyword, possibly nothing.
    pub fn parameters(&self, keyword: &str) -> Option<&str> {
        self.extensions
            .iter()
            .find(|(offered, _)| offered == keyword)
            .map(|(_, rest)| rest.as_str())
    }

    /// The largest message the server takes, in octets; `None` when it has not named a limit (RFC 1870 section 4).
    pub fn max_message_size(&self) -> Option<u64> {
        self.parameters("SIZE")?.parse().ok().filter(|limit| *limit > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ehlo_reply_is_understood() {
        let reply = Reply::new(
            250,
            None,
            "PIPELINING.example greets\nsize 1000\n8BITMIME\nAUTH PLAIN LOGIN",
        );
        let capabilities = Capabilities::parse(&reply);
        assert!(!capabilities.offers("PIPELINING"), "the greeting is no extension");
        assert!(capabilities.offers("8BITMIME"));
        assert_eq!(capabilities.max_message_size(), Some(1000));
        assert_eq!(capabilities.parameters("AUTH"), Some("PLAIN LOGIN"));
    }

    #[test]
    fn a_size_that_is_no_limit_is_none() {
        for line in ["SIZE", "SIZE 0", "SIZE big", "SIZE -1", "SIZES 5"] {
            let capabilities = Capabilities::parse(&Reply::new(250, None, format!("x\n{line}")));
            assert_eq!(capabilities.max_message_size(), None, "{line}");
        }
    }
}
