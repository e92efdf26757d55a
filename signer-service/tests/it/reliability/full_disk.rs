//! A disk that is full: "no room, later", nothing lost, nothing twice, and all well once there is room again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use policies::time::Span;
use signer_service::server::Server;
use smtp::Reply;
use smtp::server::Settings;
use smtp::sink::Sink;

use super::{QUEUE, SENDER, send};
use crate::world::{World, eventually, listen, open};

/// A small file system in memory, gone with the value.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where we may not mount, which is said and on CI is a failure.
    fn at(path: &Path, megabytes: usize) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=700"), "tmpfs"])
            .arg(path)
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(path.to_owned()));
        }
        assert!(
            std::env::var_os("CI").is_none(),
            "a small file system cannot be mounted (that takes root), and on CI it must be"
        );
        eprintln!("SKIPPED: a small file system cannot be mounted; that takes root");
        None
    }

    /// Leaves not one octet.
    fn fill(&self) {
        use std::io::Write as _;
        let mut ballast = fs::File::create(self.0.join("ballast")).unwrap();
        for size in [65_536, 4096, 1] {
            while ballast.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn clear(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily, since a file of a test that failed may be open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Database and bodies are on the small disk.
async fn world() -> Option<(World, SmallDisk)> {
    let sink = Sink::new();
    let next_hop = listen(Settings::new("sink.test"), sink.clone()).await;
    let World {
        ca,
        sink,
        clock,
        gateway,
        folder,
        running,
        policy_port,
    } = World::with_next_hop_lines(sink, next_hop, QUEUE, SENDER).await;
    running.shutdown().await;
    drop(gateway);
    let (data, aside) = (folder.path().join("gateway"), folder.path().join("aside"));
    fs::rename(&data, &aside).unwrap();
    fs::create_dir(&data).unwrap();
    let disk = SmallDisk::at(&data, 8)?;
    let copied = Command::new("cp")
        .arg("-a")
        .arg(aside.join("."))
        .arg(&data)
        .status()
        .unwrap();
    assert!(copied.success());
    let gateway = open(&data, &clock, policy_port).await;
    let running = Server::serve(gateway.clone()).await.unwrap();
    let world = World {
        ca,
        sink,
        clock,
        gateway,
        folder,
        running,
        policy_port,
    };
    Some((world, disk))
}

#[tokio::test]
async fn invariant_10_a_full_disk_is_answered_452_and_loses_nothing() {
    let Some((world, disk)) = world().await else { return };
    let door = world.running.doors()[1];
    world
        .sink
        .refuse("bob@example.net", Reply::try_later([4, 2, 1], "Later"));
    for _ in 0..3 {
        assert!(send(door, &["bob@example.net"]).await.outcome(0).is_positive());
    }
    eventually(async || {
        let queue = world.gateway.list_queue(None, 10).await.unwrap();
        let mut recipients = queue.iter().flat_map(|message| &message.recipients);
        recipients.all(|one| one.attempts == 1 && one.node.is_none())
    })
    .await;
    disk.fill();
    for _ in 0..10 {
        let delivery = send(door, &["dan@example.net"]).await;
        let reply = delivery.outcome(0);
        assert_eq!((reply.code(), reply.enhanced()), (452, Some([4, 3, 1])), "{reply}");
    }
    // Those that wait are sent as soon as they can be leased, and then it may be that their fate cannot be written down.
    world.sink.accept("bob@example.net");
    world.clock.advance(Span::hours(1));
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    disk.clear();
    eventually(async || world.gateway.list_queue(None, 10).await.unwrap().is_empty()).await;
    assert!(send(door, &["dan@example.net"]).await.outcome(0).is_positive());
    eventually(async || world.sink.messages().len() == 4).await;
    let to: Vec<String> = world
        .sink
        .messages()
        .iter()
        .flat_map(|message| message.recipients.iter().map(|to| to.address.clone()))
        .collect();
    let waited = to.iter().filter(|to| *to == "bob@example.net").count();
    assert_eq!((waited, to.len()), (3, 4), "{to:?}");
    world.running.shutdown().await;
}
