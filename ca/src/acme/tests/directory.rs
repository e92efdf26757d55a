//! Where clients begin.

use super::*;

#[tokio::test]
async fn the_directory_says_what_there_is() {
    let site = site!("terms_of_service = \"https://ca.example.net/terms\"");
    let directory = site.get("directory").await.ok().json();
    for name in [
        "newNonce",
        "newAccount",
        "newOrder",
        "newAuthz",
        "revokeCert",
        "keyChange",
        "renewalInfo",
    ] {
        assert!(directory[name].as_str().unwrap().starts_with(&site.base), "{name}");
    }
    assert_eq!(directory["meta"]["externalAccountRequired"], true);
    assert_eq!(directory["meta"]["termsOfService"], "https://ca.example.net/terms");
    assert!(directory["meta"]["profiles"]["v3"].is_string());
}

#[tokio::test]
async fn without_its_section_there_is_no_acme_server() {
    let world = World::new(Database::Sqlite).await.unwrap();
    let request = Request::get("/acme/directory").body(Body::empty()).unwrap();
    let response = router::api(Arc::clone(&world.app)).call(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}
