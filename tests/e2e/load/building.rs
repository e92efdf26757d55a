//! What one core can do: signatures of the key backend alone, and whole signed messages.

use std::sync::Arc;
use std::time::Duration;

use keys::sealing::SealingKey;
use keys::{KeyAlgorithm, KeyId, KeyStore as _, SoftwareKeyStore};
use policies::mailbox::Mailbox;
use policies::time::{FixedClock, Timestamp};
use rand::SeedableRng as _;
use rustix::time::{ClockId, clock_gettime};
use signer_service::gateway::{Gateway, GatewayParts};
use signer_service::mime::Limits;
use signer_service::mime::signed::{HeaderProtection, Smtputf8, prepare};

use super::services::Prepared;
use super::{Building, SENDER};

/// Raw signatures and signed messages take turns, on this thread and by its own processor time, so that other programs
/// count little.
pub(super) fn measure(prepared: &Prepared, key: &'static str, signatures: usize) -> Building {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let algorithm: KeyAlgorithm = key.parse().expect("the configuration knows it too");
    let sealing_key = SealingKey::generate_file(&folder.path().join("sealing.key")).expect("the folder is empty");
    let store = SoftwareKeyStore::create(&folder.path().join("keys"), sealing_key).expect("the folder is new");
    let id: KeyId = "bench".parse().expect("a plain name");
    let raw_key = store.generate(&id, algorithm).expect("AWS-LC makes keys");

    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    // The time of day, since the certificate authority is a process with a clock of its own.
    let clock = Arc::new(FixedClock::new(now()));
    let parts = GatewayParts::production(clock);
    let identity = runtime.block_on(async {
        let gateway = Gateway::open(&prepared.folder, parts)
            .await
            .expect("the folder is complete");
        let mailbox = Mailbox::parse(SENDER).expect("the address is valid");
        gateway
            .enroller()
            .identity(&mailbox)
            .await
            .expect("the organization is validated")
    });

    let message = message();
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let attributes = [7_u8; 300];
    let build = |rng: &mut rand::rngs::StdRng| {
        let limits = Limits::for_messages_up_to(message.len());
        let prepared = prepare(&message, Smtputf8::NotRequested, HeaderProtection::Off, limits);
        let prepared = prepared.expect("it is an ordinary message");
        let signature = identity.sign(prepared.entity(), now()).expect("the key signs");
        std::hint::black_box(prepared.into_signed(identity.digest(), &signature, rng));
    };
    let (mut raw, mut built) = (Duration::ZERO, Duration::ZERO);
    let slice = signatures.div_ceil(20);
    for _ in 0..20 {
        let began = thread_time();
        for _ in 0..slice {
            std::hint::black_box(raw_key.sign(&attributes).expect("the key signs"));
        }
        let between = thread_time();
        for _ in 0..slice {
            build(&mut rng);
        }
        raw += between.saturating_sub(began);
        built += thread_time().saturating_sub(between);
    }
    let per_second = |took: Duration| super::report::count(slice * 20) / took.as_secs_f64().max(1e-9);
    Building {
        key,
        raw: per_second(raw),
        built: per_second(built),
    }
}

/// 10 kB, as `smtp-source` writes them.
fn message() -> Vec<u8> {
    let mut message = format!(
        "From: <{SENDER}>\r\nTo: <reader@recipient.example>\r\nDate: Mon, 23 Nov 2026 10:00:00 +0000\r\nMessage-Id: <1.2@bench.example>\r\nSubject: Load\r\n\r\n"
    )
    .into_bytes();
    while message.len() < 10_000 {
        message.extend_from_slice(&[b'X'; 78]);
        message.extend_from_slice(b"\r\n");
    }
    message
}

fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[expect(clippy::disallowed_methods, reason = "two processes have to agree on the time")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_unix(since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)))
}
