//! Mails verified per second beside OpenSSL in the same process, and what large ones cost in time and memory.
//!
//! Everything is measured in the time that this thread spent on a processor, so that other programs on the machine
//! count as little as possible.

mod mail;

use std::fs;
use std::hint::black_box;
use std::io::{Read as _, Write as _};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey, VerificationAlgorithm,
};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::x509::store::{X509Store, X509StoreBuilder};
use policies::tier::Tier;
use policies::time::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use verifier::{Backend, Material, Policy, TrustStore, VerifiedLinks, Vouches, verify};

use self::mail::{Hierarchy, KeyKind, Mail};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((PEAK, rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return peak(rest);
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
    if !arguments.iter().any(|argument| argument == "--test") {
        memory();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().with_measurement(ThreadTime).configure_from_args();
    targets = ordinary, large
}

/// 10 kB of text, a path of three certificates.
fn ordinary(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("verify");
    group.throughput(Throughput::Elements(1));
    for kind in [KeyKind::Rsa2048, KeyKind::P256, KeyKind::Rsa4096] {
        let hierarchy = Hierarchy::new(kind);
        let mail = hierarchy.clear_signed(10_000);
        for (name, trust) in ours(&hierarchy) {
            check(&mail, &trust);
            group.bench_function(BenchmarkId::new(name, kind.name()), |bencher| {
                bencher.iter(|| by_us(black_box(&mail), &trust));
            });
        }
        let store = openssl_store(&hierarchy);
        group.bench_function(BenchmarkId::new("openssl", kind.name()), |bencher| {
            bencher.iter(|| by_openssl(black_box(&mail), &store));
        });
        let floor = Floor::new(kind, &mail);
        group.bench_function(BenchmarkId::new("floor", kind.name()), |bencher| {
            bencher.iter(|| floor.verify(black_box(&mail.entity)));
        });
    }
    group.finish();
}

/// What no verifier on top of AWS-LC can be faster than: the digest of the text and three signatures under three keys.
struct Floor {
    algorithm: &'static dyn VerificationAlgorithm,
    /// Keys as AWS-LC wants them, and a signature by each over the same octets.
    signatures: Vec<(Vec<u8>, Vec<u8>)>,
    /// As long as the signed part of a certificate.
    signed: Vec<u8>,
    digest: Vec<u8>,
}

impl Floor {
    fn new(kind: KeyKind, mail: &Mail) -> Self {
        let signed = vec![b'x'; 600];
        let algorithm: &'static dyn VerificationAlgorithm = match kind {
            KeyKind::Rsa2048 | KeyKind::Rsa4096 => &RSA_PKCS1_2048_8192_SHA256,
            KeyKind::P256 => &ECDSA_P256_SHA256_ASN1,
        };
        let floor = Self {
            algorithm,
            signatures: (0..3).map(|_| kind.sign(&signed)).collect(),
            signed,
            digest: digest(&SHA256, &mail.entity).as_ref().to_vec(),
        };
        floor.verify(&mail.entity);
        floor
    }

    fn verify(&self, entity: &[u8]) {
        assert_eq!(digest(&SHA256, entity).as_ref(), self.digest);
        for (key, signature) in &self.signatures {
            let key = UnparsedPublicKey::new(self.algorithm, key);
            key.verify(&self.signed, signature).expect("a good signature");
        }
    }
}

/// How time grows with size: clear-signed and opaque, RSA-2048.
fn large(criterion: &mut Criterion<ThreadTime>) {
    let mut group = criterion.benchmark_group("verify-large");
    group.sample_size(10);
    let hierarchy = Hierarchy::new(KeyKind::Rsa2048);
    let store = openssl_store(&hierarchy);
    for (name, mail) in large_mails(&hierarchy) {
        group.throughput(Throughput::Bytes(mail.message.len().try_into().expect("fits")));
        for (backend, trust) in ours(&hierarchy).into_iter().take(2) {
            check(&mail, &trust);
            group.bench_function(BenchmarkId::new(backend, &name), |bencher| {
                bencher.iter(|| by_us(black_box(&mail), &trust));
            });
        }
        group.bench_function(BenchmarkId::new("openssl", &name), |bencher| {
            bencher.iter(|| by_openssl(black_box(&mail), &store));
        });
    }
    group.finish();
}

/// Peak resident memory while large mails are verified, the mail included; each in a process that has done nothing else,
/// since memory that was used before hides what is needed now.
fn memory() {
    let hierarchy = Hierarchy::new(KeyKind::Rsa2048);
    let anchor = hierarchy.root_certificate().to_pem().expect("PEM");
    let anchor = String::from_utf8(anchor).expect("PEM is text");
    for (name, mail) in large_mails(&hierarchy) {
        let length = mail.message.len().to_string();
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args([PEAK, &anchor, &mail.at.unix().to_string(), &length])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program again");
        let mut input = child.stdin.take().expect("a pipe");
        input.write_all(&mail.message).expect("a reader");
        drop(input);
        let answer = child.wait_with_output().expect("an end");
        assert!(answer.status.success(), "{name}");
        let more: usize = String::from_utf8(answer.stdout)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .expect("a number");
        let hundredths = 100 + 100 * more / mail.message.len();
        println!(
            "memory/{name}: {}.{:02} times the message",
            hundredths / 100,
            hundredths % 100
        );
        // In small mails the pages of the program itself count for more than the mail.
        assert!(
            hundredths < 300 || mail.message.len() < 5_000_000,
            "{name} took three times its size"
        );
    }
}

/// In the other process: prints how many octets more than the message were needed.
fn peak(arguments: &[String]) {
    let [anchor, at, length] = arguments else {
        panic!("anchor, time and length are missing");
    };
    let trust = TrustStore::new()
        .add(anchor.as_bytes(), Vouches::Tiers)
        .expect("a root");
    let mut message = vec![0; length.parse().expect("a length")];
    std::io::stdin().read_exact(&mut message).expect("a message");
    let at = Timestamp::from_unix(at.parse().expect("a time"));
    // 5 resets the peak (proc(5)).
    fs::write("/proc/self/clear_refs", "5").expect("Linux");
    let before = status("VmRSS").expect("Linux");
    let verdict = verify(&message, &trust, &Material::default(), at, &Policy::default());
    let highest = status("VmHWM").expect("Linux");
    assert_eq!(verdict.tier(), Some(Tier::V1), "{:#?}", verdict.findings());
    println!("{}", 1024 * highest.saturating_sub(before));
}

fn large_mails(hierarchy: &Hierarchy) -> impl Iterator<Item = (String, Mail)> {
    let sizes = [1_000_000, 10_000_000, 50_000_000];
    let clear = sizes.map(|size| (format!("{}MB", size / 1_000_000), hierarchy.clear_signed(size)));
    // base64 writes 78 octets for 57.
    let opaque = ("50MB-opaque".to_owned(), hierarchy.opaque(50_000_000 / 78 * 57));
    let unix = (
        "50MB-unix".to_owned(),
        hierarchy.clear_signed(50_000_000).with_unix_line_ends(),
    );
    clear.into_iter().chain([opaque, unix])
}

fn trust(hierarchy: &Hierarchy) -> TrustStore {
    TrustStore::new()
        .add(&hierarchy.root(), Vouches::Tiers)
        .expect("a root")
}

/// The backends, and the faster one with the memory of links that a server would give it.
fn ours(hierarchy: &Hierarchy) -> [(&'static str, TrustStore); 3] {
    let trust = trust(hierarchy);
    let links = Arc::new(VerifiedLinks::new(const { NonZeroUsize::new(1000).unwrap() }));
    [
        ("rust", trust.clone().with_backend(Backend::PureRust)),
        ("fast", trust.clone().with_backend(Backend::AwsLc)),
        (
            "fast-remembering",
            trust.with_backend(Backend::AwsLc).remembering(links),
        ),
    ]
}

fn by_us(mail: &Mail, trust: &TrustStore) -> verifier::Verdict {
    verify(&mail.message, trust, &Material::default(), mail.at, &Policy::default())
}

/// Nothing is measured that did not get its tier.
fn check(mail: &Mail, trust: &TrustStore) {
    let verdict = by_us(mail, trust);
    assert_eq!(verdict.tier(), Some(Tier::V1), "{:#?}", verdict.findings());
    let content = verdict.verified_bytes().map(<[u8]>::len);
    assert_eq!(content, Some(mail.entity.len()));
}

fn openssl_store(hierarchy: &Hierarchy) -> X509Store {
    let mut store = X509StoreBuilder::new().expect("a store");
    store.add_cert(hierarchy.root_certificate()).expect("a root");
    store.build()
}

/// `SMIME_read_CMS` and `CMS_verify` with the path. The signed part is handed in, so finding it costs nothing.
fn by_openssl(mail: &Mail, store: &X509Store) -> Vec<u8> {
    let mut cms = CmsContentInfo::smime_read_cms(&mail.message).expect("a CMS structure");
    let detached = (!mail.is_opaque).then_some(mail.entity.as_slice());
    let mut content = Vec::new();
    cms.verify(None, Some(store), detached, Some(&mut content), CMSOptions::BINARY)
        .expect("a good signature");
    content
}

/// A line of /proc/self/status in kB.
fn status(name: &str) -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The time this thread was running (CLOCK_THREAD_CPUTIME_ID).
struct ThreadTime;

impl Measurement for ThreadTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).expect("not before the start")
    }

    fn end(&self, start: Duration) -> Duration {
        self.start() - start
    }

    fn add(&self, left: &Duration, right: &Duration) -> Duration {
        *left + *right
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_secs_f64() * 1e9
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// The present, by which OpenSSL signs and judges.
fn now() -> Timestamp {
    let now = clock_gettime(ClockId::Realtime);
    Timestamp::from_unix(now.tv_sec)
}

/// What this program calls itself with to measure memory.
const PEAK: &str = "--peak";
