//! The header that is checked in is the one cbindgen writes from the source.

use std::path::PathBuf;

/// With `SEALWRIGHT_WRITE_HEADER=1` the header is written instead.
#[test]
fn the_header_is_up_to_date() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("cbindgen.toml can be read");
    let bindings = cbindgen::Builder::new()
        .with_config(config)
        .with_src(folder.join("src/lib.rs"))
        .with_src(folder.join("src/handle.rs"))
        .generate()
        .expect("cbindgen reads the source");
    let mut written = Vec::new();
    bindings.write(&mut written);
    let written = String::from_utf8(written).expect("a header is text");
    let path = folder.join("include/sealwright_verifier.h");
    if std::env::var_os("SEALWRIGHT_WRITE_HEADER").is_some() {
        std::fs::write(&path, &written).expect("the header can be written");
    }
    let header = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        header == written,
        "{} is not what the source says; write it anew: SEALWRIGHT_WRITE_HEADER=1 cargo test -p verifier-c --test header",
        path.display()
    );
    // The test would be worth nothing if cbindgen had found nothing.
    for function in [
        "sealwright_new(void)",
        "sealwright_verify(",
        "sealwright_verified_bytes(",
        "SEALWRIGHT_VOUCHES_TIERS = 1",
    ] {
        assert!(header.contains(function), "{function} is in the header");
    }
}
