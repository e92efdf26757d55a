//! Other networks on loopback: each a perspective with a DNS of its own, which says what the test wants it to say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use dns::{LocalAnswerer, LocalData, Name};
use policies::perspective::Registry;
use policies::time::{Clock, FixedClock};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::service::{self, Running};
use super::settings::{self, Made, NewPerspective, Settings};
use crate::app::App;
use crate::issuance::TracingObserver;
use crate::testing::{World, parts};

/// One network with its perspective.
pub(crate) struct Network {
    pub(crate) dns: LocalAnswerer,
    pub(crate) running: Running,
    pub(crate) made: Made,
    name: &'static str,
    registry: Registry,
    location: &'static str,
    _folder: tempfile::TempDir,
}

/// Five cities, in the order in which tests begin to use them.
pub(crate) const CITIES: [(&str, Registry, &str); 6] = [
    ("iad", Registry::Arin, "39.04, -77.49"),
    ("sin", Registry::Apnic, "1.35, 103.82"),
    ("lhr", Registry::Ripe, "51.47, -0.45"),
    ("gru", Registry::Lacnic, "-23.55, -46.63"),
    ("jnb", Registry::Afrinic, "-26.20, 28.05"),
    ("hel", Registry::Ripe, "60.17, 24.94"),
];

impl Network {
    pub(crate) async fn start(city: (&'static str, Registry, &'static str), clock: &Arc<FixedClock>) -> Self {
        Self::start_with(city, clock, "").await
    }

    /// With more in its `perspective.toml`.
    pub(crate) async fn start_with(
        (name, registry, location): (&'static str, Registry, &'static str),
        clock: &Arc<FixedClock>,
        more: &str,
    ) -> Self {
        let dns = LocalAnswerer::start().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let new = NewPerspective {
            folder: folder.path().join("perspective"),
            name: name.to_owned(),
            registry,
            network: format!("network of {name}"),
            listen: "127.0.0.1:0".parse().unwrap(),
            host: "127.0.0.1".to_owned(),
        };
        let mut rng = ChaCha20Rng::from_seed([name.as_bytes()[0]; 32]);
        let made = settings::make(&new, &mut rng, clock.now()).unwrap();
        std::fs::write(made.folder.join("root.key"), dns.trust_anchor()).unwrap();
        let path = made.folder.join("perspective.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let servers = format!(
            "servers = [\"{}\"]\ntrust_anchor = \"root.key\"\n{more}\n",
            dns.address()
        );
        std::fs::write(&path, text + &servers).unwrap();
        let settings = Settings::load(&made.folder).unwrap();
        let running = service::start(settings, Arc::clone(clock) as _).await.unwrap();
        Self {
            dns,
            running,
            made,
            name,
            registry,
            location,
            _folder: folder,
        }
    }

    /// What stands in the authority's `ca.toml`.
    pub(crate) fn section(&self) -> String {
        section(
            self.name,
            self.registry,
            self.location,
            &format!("https://{}", self.running.address()),
            &self.made,
        )
    }

    pub(crate) fn say(&self, at: &str, records: Vec<LocalData>) {
        self.dns.zone().set(&Name::parse(at).unwrap(), records);
    }
}

pub(crate) fn section(name: &str, registry: Registry, location: &str, url: &str, made: &Made) -> String {
    format!(
        "\n[[perspective]]\nname = {name:?}\nurl = {url:?}\nregistry = \"{registry}\"\nlocation = {location:?}\ntoken_file = \
         {:?}\ntrust_file = {:?}\n",
        made.token_file, made.certificate_file
    )
}

/// The authority of a world, opened anew with perspectives.
pub(crate) async fn with_perspectives(
    world: &World,
    local: &LocalAnswerer,
    publicly_trusted: bool,
    sections: &[String],
) -> Arc<App> {
    let path = world.folder.join("ca.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let text = match text.split_once("\n[primary_perspective]") {
        Some((before, _)) => before.to_owned(),
        None => text,
    };
    let text = text.replace("publicly_trusted = true\n", "");
    let primary = "\n[primary_perspective]\nlocation = \"-33.87, 151.21\"\npatience_seconds = 3\n";
    let text = format!(
        "publicly_trusted = {publicly_trusted}\n{text}{primary}{}",
        sections.concat()
    );
    std::fs::write(&path, text.replace("publicly_trusted = false\n", "")).unwrap();
    // Another one each time, or identifiers would come again.
    static SEED: AtomicU8 = AtomicU8::new(10);
    let seed = SEED.fetch_add(1, Ordering::Relaxed);
    let (mut parts, _) = parts(seed, &world.clock, &world.keys, Arc::new(TracingObserver));
    parts.dns = Some(local.resolver_config());
    App::open(&world.folder, parts).await.unwrap()
}
