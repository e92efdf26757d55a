//! Signatures per second: AWS-LC, which signs here, beside OpenSSL, in one run.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use keys::{KeyAlgorithm, KeyId, KeyStore, SoftwareKeyStore};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;

fn sign(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store =
        SoftwareKeyStore::create(&folder.path().join("keys"), keys::testing::sealing_key()).expect("a key store");
    // As long as the signed attributes of a message.
    let message = [0x5a; 200];
    let mut group = criterion.benchmark_group("sign");
    group.throughput(Throughput::Elements(1));
    for algorithm in KeyAlgorithm::ALL.into_iter().chain([KeyAlgorithm::Ed25519]) {
        let id: KeyId = algorithm.as_ref().parse().expect("names are ids");
        let key = store.generate(&id, algorithm).expect("a key");
        group.bench_function(BenchmarkId::new("aws-lc", algorithm), |bencher| {
            bencher.iter(|| key.sign(black_box(&message)).expect("a signature"));
        });

        let (key, digest) = openssl_key(algorithm);
        group.bench_function(BenchmarkId::new("openssl", algorithm), |bencher| {
            bencher.iter(|| {
                let signer = match digest {
                    Some(digest) => openssl::sign::Signer::new(digest, &key),
                    None => openssl::sign::Signer::new_without_digest(&key),
                };
                signer
                    .and_then(|mut signer| signer.sign_oneshot_to_vec(black_box(&message)))
                    .expect("a signature")
            });
        });
    }
    group.finish();
}

fn openssl_key(algorithm: KeyAlgorithm) -> (PKey<Private>, Option<MessageDigest>) {
    let rsa = |bits| Rsa::generate(bits).and_then(PKey::from_rsa);
    let ecdsa = |curve| {
        EcGroup::from_curve_name(curve)
            .and_then(|group| EcKey::generate(&group))
            .and_then(PKey::from_ec_key)
    };
    let key = match algorithm {
        KeyAlgorithm::P256 => ecdsa(Nid::X9_62_PRIME256V1),
        KeyAlgorithm::P384 => ecdsa(Nid::SECP384R1),
        KeyAlgorithm::Rsa2048 => rsa(2048),
        KeyAlgorithm::Rsa3072 => rsa(3072),
        KeyAlgorithm::Rsa4096 => rsa(4096),
        KeyAlgorithm::Ed25519 => PKey::generate_ed25519(),
    };
    let digest = match algorithm {
        KeyAlgorithm::P384 => Some(MessageDigest::sha384()),
        KeyAlgorithm::Ed25519 => None,
        _ => Some(MessageDigest::sha256()),
    };
    (key.expect("a key"), digest)
}

criterion_group!(benches, sign);
criterion_main!(benches);
