//! What caches and clients may keep of CRLs, and when they need not fetch one again.

use policies::time::Span;

use super::*;

use crate::crl;

async fn fetch(site: &Site, tag: Option<&str>) -> Answer {
    let mut asked = request(Method::GET, "/crl/issuing.crl", None);
    if let Some(tag) = tag {
        asked = asked.header(header::IF_NONE_MATCH, tag);
    }
    let response = site.public.clone().call(asked.body(Body::empty()).unwrap()).await;
    Answer::of(response.unwrap()).await
}

#[tokio::test]
async fn a_list_that_is_known_is_not_sent_again_and_the_next_one_is() {
    let site = Site::new().await;
    let issuing = site.world.app.issuers().issuing();
    let first = fetch(&site, None).await;
    assert_eq!(first.status, StatusCode::OK);
    let tag = first.header(header::ETAG).to_owned();
    let expected = crl::current(&site.world.app, issuing, crl::Scope::Complete)
        .await
        .unwrap();
    assert_eq!(first.body, &*expected.der);
    for name in [header::LAST_MODIFIED, header::EXPIRES, header::CACHE_CONTROL] {
        assert!(!first.header(name.clone()).is_empty(), "{name}");
    }

    let known = fetch(&site, Some(&tag)).await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(known.header(header::ETAG), tag);
    for other in ["\"issuing-0\"", "issuing-1", "\"\"", "\u{1f}"] {
        // A field that HTTP does not allow cannot even be sent.
        if header::HeaderValue::from_str(other).is_ok() {
            assert_eq!(fetch(&site, Some(other)).await.status, StatusCode::OK, "{other}");
        }
    }

    // Another node publishes: the number is asked for every time, whatever is kept here.
    let next = crl::publish(&site.world.app, issuing, crl::Scope::Complete)
        .await
        .unwrap();
    let changed = fetch(&site, Some(&tag)).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_eq!(changed.body, &*next.der);
    assert_ne!(changed.header(header::ETAG), tag);
}

async fn get(site: &Site, path: &str, fields: &[(header::HeaderName, &str)]) -> Answer {
    let mut asked = request(Method::GET, path, None);
    for (name, value) in fields {
        asked = asked.header(name, *value);
    }
    let response = site.public.clone().call(asked.body(Body::empty()).unwrap()).await;
    Answer::of(response.unwrap()).await
}

#[tokio::test]
async fn a_list_is_kept_for_a_minute_and_never_beyond_its_end() {
    let site = Site::new().await;
    let issuing = site.world.app.issuers().issuing();
    let crl = crl::current(&site.world.app, issuing, crl::Scope::Complete)
        .await
        .unwrap();
    let fresh = get(&site, "/crl/issuing.crl", &[]).await;
    assert_eq!(
        fresh.header(header::CACHE_CONTROL),
        "max-age=60, public, no-transform, must-revalidate"
    );
    // Nobody made a new one for days.
    site.world.clock.set(crl.next_update.minus(Span::seconds(7)));
    let old = get(&site, "/crl/issuing.crl", &[]).await;
    assert!(old.header(header::CACHE_CONTROL).starts_with("max-age=7,"));
    site.world.clock.set(crl.next_update.plus(Span::seconds(7)));
    let ended = get(&site, "/crl/issuing.crl", &[]).await;
    assert!(ended.header(header::CACHE_CONTROL).starts_with("max-age=0,"));
}

#[tokio::test]
async fn a_date_tells_one_list_from_another_unless_two_were_made_in_its_second() {
    let site = Site::new().await;
    let issuing = site.world.app.issuers().issuing();
    site.world.clock.advance(Span::hours(1));
    crl::publish(&site.world.app, issuing, crl::Scope::Complete)
        .await
        .unwrap();
    let first = get(&site, "/crl/issuing.crl", &[]).await;
    let date = first.header(header::LAST_MODIFIED).to_owned();
    let since = [(header::IF_MODIFIED_SINCE, date.as_str())];
    assert_eq!(
        get(&site, "/crl/issuing.crl", &since).await.status,
        StatusCode::NOT_MODIFIED
    );
    // Another one with the same date and another content.
    let second = crl::publish(&site.world.app, issuing, crl::Scope::Complete)
        .await
        .unwrap();
    let again = get(&site, "/crl/issuing.crl", &since).await;
    assert_eq!((again.status, &*again.body), (StatusCode::OK, &*second.der));
}

#[tokio::test]
async fn certificates_of_issuers_are_kept_for_an_hour() {
    let site = Site::new().await;
    let mut tags = std::collections::BTreeSet::new();
    for path in ["/ca/root.cer", "/ca/issuing.cer", "/ca/root.pem"] {
        let first = get(&site, path, &[]).await;
        assert_eq!(first.status, StatusCode::OK, "{path}");
        assert_eq!(
            first.header(header::CACHE_CONTROL),
            "max-age=3600, public, no-transform"
        );
        let tag = first.header(header::ETAG).to_owned();
        let known = get(&site, path, &[(header::IF_NONE_MATCH, &tag)]).await;
        assert_eq!(
            (known.status, known.body.len()),
            (StatusCode::NOT_MODIFIED, 0),
            "{path}"
        );
        assert!(tags.insert(tag), "{path}");
    }
}

#[tokio::test]
async fn shards_that_no_certificate_names_are_not_made_up() {
    let site = Site::new().await;
    for path in [
        "/crl/issuing-1.crl",
        "/crl/issuing-0.crl",
        "/crl/root-1.crl",
        "/crl/-1.crl",
    ] {
        assert_eq!(get(&site, path, &[]).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}
