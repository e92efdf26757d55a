//! What clients and caches may keep, for how long, and whether they have it already (RFC 9110 section 13, RFC 9111,
//! RFC 5019 section 6).

use std::time::{Duration, UNIX_EPOCH};

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use policies::time::{Span, Timestamp};

/// What a client may keep, and for how long.
#[derive(Debug)]
pub(super) struct Cacheable {
    pub(super) media_type: &'static str,
    /// What a cache has to do besides asking again in time.
    pub(super) directives: &'static str,
    /// After this time a cache asks again, even if what it has still counts.
    pub(super) ask_again_after: Span,
    /// Names these bytes and no others, without quotes.
    pub(super) tag: String,
    pub(super) last_modified: Timestamp,
    /// Whether other bytes may have been served that were made in the very second of `last_modified`. The date says
    /// nothing then (RFC 9110 section 8.8.2.2).
    pub(super) shares_its_second: bool,
    /// When not even a client that ignores everything else may use it any more.
    pub(super) expires: Option<Timestamp>,
}

impl Cacheable {
    /// The answer at `now`, or 304 without a body when `request` says that these very bytes are there already.
    pub(super) fn answer(self, now: Timestamp, request: &HeaderMap, body: impl IntoResponse) -> Response {
        let tag = format!("\"{}\"", self.tag);
        let is_known = match request.contains_key(header::IF_NONE_MATCH) {
            true => names_tag(request, &tag),
            // RFC 9110 section 13.1.3: only without tags.
            false => !self.shares_its_second && is_as_new(request, self.last_modified),
        };
        let mut response = match is_known {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => body.into_response(),
        };
        // A cache that would ask too late uses nothing that has ended.
        let left = self.expires.map_or(self.ask_again_after, |expires| expires.since(now));
        let max_age = left.min(self.ask_again_after).as_seconds().max(0);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        // RFC 9110 section 15.4.5: a 304 carries the same fields.
        let fields = [
            (
                header::CACHE_CONTROL,
                Some(format!("max-age={max_age}, {}", self.directives)),
            ),
            (header::ETAG, Some(tag)),
            (header::LAST_MODIFIED, Some(date(self.last_modified))),
            (header::EXPIRES, self.expires.map(date)),
        ];
        for (name, value) in fields {
            if let Some(value) = value.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
        response
    }
}

/// RFC 9110 section 13.1.2: a list of tags or an asterisk, compared weakly.
fn names_tag(request: &HeaderMap, tag: &str) -> bool {
    request
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|listed| listed == "*" || listed.strip_prefix("W/").unwrap_or(listed) == tag)
}

/// RFC 9110 section 13.1.3. What is no date, or one that no HTTP date can name, is ignored.
fn is_as_new(request: &HeaderMap, last_modified: Timestamp) -> bool {
    request
        .get(header::IF_MODIFIED_SINCE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| httpdate::parse_http_date(value).ok())
        .and_then(|date| date.duration_since(UNIX_EPOCH).ok())
        .and_then(|date| i64::try_from(date.as_secs()).ok())
        .is_some_and(|date| date >= last_modified.unix())
}

/// RFC 9110 section 5.6.7.
fn date(instant: Timestamp) -> String {
    let seconds = u64::try_from(instant.unix()).unwrap_or(0);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cacheable(expires: Option<i64>) -> Cacheable {
        Cacheable {
            media_type: "text/plain",
            directives: "public",
            ask_again_after: Span::seconds(60),
            tag: "a-1".to_owned(),
            last_modified: Timestamp::from_unix(1_782_000_000),
            shares_its_second: false,
            expires: expires.map(Timestamp::from_unix),
        }
    }

    #[test]
    fn no_cache_keeps_anything_beyond_its_end() {
        let check = |expires, expected: &str| {
            let now = Timestamp::from_unix(1_782_000_100);
            let response = cacheable(expires).answer(now, &HeaderMap::new(), "body");
            assert_eq!(response.headers()[header::CACHE_CONTROL], expected, "{expires:?}");
        };
        check(None, "max-age=60, public");
        check(Some(1_782_001_000), "max-age=60, public");
        check(Some(1_782_000_110), "max-age=10, public");
        check(Some(1_782_000_100), "max-age=0, public");
        check(Some(1_782_000_000), "max-age=0, public");
    }

    #[test]
    fn dates_count_without_tags_and_where_they_tell_one_from_another() {
        let check = |fields: &[(header::HeaderName, &str)], shares: bool, expected: StatusCode| {
            let mut request = HeaderMap::new();
            for (name, value) in fields {
                request.insert(name, value.parse().unwrap());
            }
            let mut cacheable = cacheable(None);
            cacheable.shares_its_second = shares;
            let response = cacheable.answer(Timestamp::from_unix(1_782_000_100), &request, "body");
            assert_eq!(response.status(), expected, "{fields:?}");
        };
        let since = header::IF_MODIFIED_SINCE;
        let none = header::IF_NONE_MATCH;
        // 1 782 000 000 is a Sunday.
        let (same, later, earlier) = (
            "Sun, 21 Jun 2026 00:00:00 GMT",
            "Sun, 21 Jun 2026 00:00:01 GMT",
            "Sat, 20 Jun 2026 23:59:59 GMT",
        );
        let known = StatusCode::NOT_MODIFIED;
        check(&[(since.clone(), same)], false, known);
        check(&[(since.clone(), later)], false, known);
        check(&[(since.clone(), earlier)], false, StatusCode::OK);
        check(&[(since.clone(), same)], true, StatusCode::OK);
        check(&[(since.clone(), "yesterday")], false, StatusCode::OK);
        check(&[(since.clone(), same), (none.clone(), "\"b\"")], false, StatusCode::OK);
        check(&[(since, earlier), (none, "\"a-1\"")], true, known);
    }

    #[test]
    fn only_the_very_tag_is_known() {
        let check = |fields: &[&str], expected: bool| {
            let mut request = HeaderMap::new();
            for field in fields {
                request.append(header::IF_NONE_MATCH, field.parse().unwrap());
            }
            assert_eq!(names_tag(&request, "\"a-1\""), expected, "{fields:?}");
        };
        check(&["\"a-1\""], true);
        check(&["W/\"a-1\""], true);
        check(&["\"x\", \"a-1\""], true);
        check(&["\"x\"", "\"a-1\""], true);
        check(&["*"], true);
        check(&[], false);
        check(&[""], false);
        check(&["a-1"], false);
        check(&["\"a-10\""], false);
        check(&["\"A-1\""], false);
        check(&["w/\"a-1\""], false);
    }
}
