//! Our own server as the other authority, over TLS.

use std::sync::Arc;

use dns::LocalAnswerer;
use policies::evidence::FactKind;
use policies::mailbox::Mailbox;
use policies::time::{FixedClock, Span};

use super::order::{self, VpOrder};
use crate::accounts::{self, AccountId, Caller, Role};
use crate::acme::challenge::{self, Answer};
use crate::acme::external;
use crate::acme::testing::MailSystem;
use crate::app::App;
use crate::error::Error;
use crate::init::init;
use crate::issuance::TracingObserver;
use crate::server::{Running, Server};
use crate::testing::{Database, FixtureKeys, Proof, WatchedKeys, World, options, parts};

const ADA: &str = "ada@example.com";

/// Two authorities: ours, and another one that ours is a client of.
struct Two {
    ours: World,
    app: Arc<App>,
    other: World,
    mail: MailSystem,
    /// Who orders at ours.
    ada: Caller,
    account: AccountId,
    /// Whose account at the other one ours is bound to.
    contract: Caller,
    _running: Running,
    _dns: LocalAnswerer,
}

async fn two(database: Database) -> Option<Two> {
    let ours = World::new(database).await?;
    let mail = MailSystem::new();
    let dns = LocalAnswerer::start().unwrap();

    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("other");
    let clock: Arc<FixedClock> = Arc::clone(&ours.clock);
    let keys = Arc::new(WatchedKeys::new(FixtureKeys::default()));
    let mut options = options(&folder);
    options.listen = "127.0.0.1:0".to_owned();
    options.public_listen = "127.0.0.1:0".to_owned();
    let (first, _) = parts(31, &clock, &keys, Arc::new(TracingObserver));
    init(&options, first).await.unwrap();
    append(
        &folder,
        "\n[acme]\nmail_from = \"acme@ca.example.net\"\nlisten = \"127.0.0.1:0\"\n",
    );
    let (mut second, outbox) = parts(32, &clock, &keys, Arc::new(TracingObserver));
    second.text_records = Some(Arc::clone(&mail.dns) as _);
    second.dns = Some(dns.resolver_config());
    let app = App::open(&folder, second).await.unwrap();
    let signer = &app.acme().unwrap().signer;
    mail.publish(&signer.record_name(), &signer.record().unwrap());
    let other = World::around(app, clock, outbox, keys, folder, temporary, None);
    let running = Server::start(Arc::clone(&other.app)).await.unwrap();
    let contract = other.principal("Example", Role::Subscriber).await;
    let local = accounts::local_operator();
    let operator = local.as_operator("prepare a test").unwrap();
    let owner = contract.account.as_ref().unwrap().as_ref();
    let (key, secret) = external::create(&other.app, operator, owner, "Example", None)
        .await
        .unwrap();

    std::fs::write(ours.folder.join("vp.mac"), secret.reveal()).unwrap();
    std::fs::write(ours.folder.join("vp.pem"), running.tls_root_pem()).unwrap();
    append(
        &ours.folder,
        &format!(
            "\n[vp]\ndirectory = \"{}\"\nkey_id = \"{}\"\nmac_key_file = \"vp.mac\"\ntrust_file = \"vp.pem\"\ncontact = \
             \"pki@example.com\"\n",
            running.acme_directory().unwrap(),
            key.id
        ),
    );
    let (mut third, _) = parts(33, &ours.clock, &ours.keys, Arc::new(TracingObserver));
    third.text_records = Some(Arc::clone(&mail.dns) as _);
    let app = App::open(&ours.folder, third).await.unwrap();
    let ada = ours.subscriber("Ada").await;
    let account = ada.account.clone().unwrap();
    ours.prove(&ada, Proof::mailbox(ADA), Span::hours(1)).await;
    Some(Two {
        ours,
        app,
        other,
        mail,
        ada,
        account,
        contract,
        _running: running,
        _dns: dns,
    })
}

fn append(folder: &std::path::Path, text: &str) {
    let path = folder.join("ca.toml");
    let before = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, before + text).unwrap();
}

fn request_for(address: &str) -> Vec<u8> {
    let key = keys::ExportableKey::generate(keys::KeyAlgorithm::P256).unwrap();
    keys::mailbox_request(&*key.signing_key(), address).unwrap()
}

impl Two {
    async fn place(&self, address: &str) -> Result<VpOrder, Error> {
        let mailbox = Mailbox::parse(address).unwrap();
        order::place(&self.app, &self.account, "ada", &mailbox, request_for(address)).await
    }

    /// The challenge mail as it came.
    fn challenge(&self) -> Vec<u8> {
        self.other.outbox.newest_to(ADA).expect("a challenge mail").bytes
    }

    async fn answer(&self, order: &VpOrder, mail: &[u8]) -> Result<Vec<u8>, Error> {
        order::answer(&self.app, &self.account, &order.id, mail).await
    }

    /// Signs a reply as the mail system of the mailbox does, and has it arrive.
    async fn send(&self, reply: &[u8]) -> Answer {
        let text = String::from_utf8(reply.to_vec()).unwrap();
        let (header, body) = text.split_once("\r\n\r\n").unwrap();
        let header: Vec<(&str, &str)> = header
            .split("\r\n")
            .map(|line| line.split_once(": ").unwrap())
            .collect();
        let to = header.iter().find(|(name, _)| *name == "To").unwrap().1;
        let tag = self.other.app.acme().unwrap().tag_of(to).unwrap().to_owned();
        let signed = self.mail.sign("example.com", &header, body, self.app.now());
        challenge::answer(&self.other.app, &tag, &signed).await
    }

    async fn go_on(&self, order: &VpOrder) -> VpOrder {
        order::go_on(&self.app, &self.account, &order.id).await.unwrap()
    }

    /// All the way with the challenge mail.
    async fn obtain(&self) -> VpOrder {
        let placed = self.place(ADA).await.unwrap();
        assert_eq!((placed.state.as_str(), placed.answered), ("waiting", false));
        let reply = self.answer(&placed, &self.challenge()).await.unwrap();
        assert!(matches!(self.send(&reply).await, Answer::Accepted));
        let order = self.go_on(&placed).await;
        assert_eq!(order.state, "valid", "{:?}", order.problem);
        order
    }
}

async fn on_both(test: impl AsyncFn(Two)) {
    for database in [Database::Sqlite, Database::Postgres] {
        if let Some(two) = two(database).await {
            test(two).await;
        }
    }
}

#[tokio::test]
async fn a_mailbox_gets_renews_and_loses_a_certificate_of_the_other_authority() {
    on_both(async |two| {
        let first = two.obtain().await;
        let chain = openssl::x509::X509::stack_from_pem(first.chain_pem.as_ref().unwrap().as_bytes()).unwrap();
        let names = chain[0].subject_alt_names().unwrap();
        assert_eq!(names[0].email(), Some(ADA));
        let serial = chain[0]
            .serial_number()
            .to_bn()
            .unwrap()
            .to_hex_str()
            .unwrap()
            .to_ascii_lowercase();
        assert_eq!(first.serial.as_deref(), Some(&*serial));
        assert_eq!(two.other.certificates().await.len(), 1);
        assert!(two.ours.certificates().await.is_empty(), "it is not one of ours");
        let (from, until) = order::renewal_window(&two.app, &first).await.unwrap().unwrap();
        assert!(
            from < until && until <= first.not_after.unwrap().to_string(),
            "{from} {until}"
        );

        let second = two.obtain().await;
        let placed = crate::audit::events(&two.app, 0, 1000).await.unwrap();
        let placed: Vec<_> = placed
            .iter()
            .filter(|event| event.action == "vp-order-placed")
            .collect();
        assert!(
            placed[1].details.contains(&format!("\"replaces\":\"{serial}\"")),
            "{}",
            placed[1].details
        );

        let revoked = order::revoke(&two.app, &two.account, &first.id, 4).await.unwrap();
        assert!(revoked.revoked_at.is_some());
        let row = two.other.row(&serial).await;
        assert!(row.revoked_at.is_some(), "the other authority knows");
        let again = order::revoke(&two.app, &two.account, &first.id, 4).await.unwrap_err();
        assert!(matches!(again, Error::StateChanged { .. }), "{again}");
        assert_eq!(order::list(&two.app, &two.account).await.unwrap().len(), 2);
        assert_eq!(
            order::find(&two.app, &two.account, &second.id).await.unwrap().state,
            "valid"
        );
    })
    .await;
}

#[tokio::test]
async fn a_domain_that_is_authorized_there_needs_no_mail() {
    on_both(async |two| {
        let domain = Proof::domain("example.com");
        assert_eq!(domain.fact.kind(), FactKind::DomainControl);
        two.other.prove(&two.contract, domain, Span::days(1)).await;
        let order = two.place(ADA).await.unwrap();
        assert_eq!(order.state, "valid", "{:?}", order.problem);
        assert!(two.other.outbox.newest_to(ADA).is_none());
    })
    .await;
}

#[tokio::test]
async fn mails_that_are_not_the_challenge_are_not_answered() {
    on_both(async |two| {
        let placed = two.place(ADA).await.unwrap();
        let genuine = String::from_utf8(two.challenge()).unwrap();
        let without_signature = &genuine[genuine.find("From: ").unwrap()..];
        let token = genuine
            .lines()
            .find_map(|line| line.strip_prefix("Subject: ACME: "))
            .unwrap();
        for (mail, part) in [
            (without_signature.to_owned(), "not signed by its sender"),
            (
                genuine.replace(token, &token.to_ascii_lowercase().replace('a', "b")),
                "not signed by its sender",
            ),
            (
                genuine.replace("From: acme+", "From: mallory+"),
                "it comes from mallory+",
            ),
            (
                genuine.replace("To: ada@", "To: grace@"),
                "not addressed to ada@example.com",
            ),
            (genuine.replace("type=acme", "type=news"), "Auto-Submitted"),
            (genuine.replace("Subject: ACME: ", "Subject: Hello "), "ACME:"),
            (
                genuine.replace("Subject: ", "Subject: x\r\nSubject: "),
                "exactly one Subject",
            ),
            (String::new(), "not the challenge"),
            ("\0".repeat(300_000), "larger than"),
        ] {
            let refused = two.answer(&placed, mail.as_bytes()).await.unwrap_err();
            assert!(matches!(refused, Error::VpChallenge { .. }), "{refused}");
            assert!(refused.to_string().contains(part), "{refused} lacks {part:?}");
        }
        let mallory = two.ours.subscriber("Mallory").await.account.unwrap();
        let refused = order::answer(&two.app, &mallory, &placed.id, genuine.as_bytes())
            .await
            .unwrap_err();
        assert!(matches!(refused, Error::NotFound { .. }), "{refused}");
        assert!(!two.go_on(&placed).await.answered);
        // The genuine one still counts, once.
        two.answer(&placed, genuine.as_bytes()).await.unwrap();
        assert!(two.go_on(&placed).await.answered);
    })
    .await;
}

#[tokio::test]
async fn a_challenge_that_is_refused_there_ends_the_order_here() {
    on_both(async |two| {
        let placed = two.place(ADA).await.unwrap();
        let reply = String::from_utf8(two.answer(&placed, &two.challenge()).await.unwrap()).unwrap();
        let (header, _) = reply.split_once("\r\n\r\n").unwrap();
        let wrong = format!(
            "{header}\r\n\r\n-----BEGIN ACME RESPONSE-----\r\n{}\r\n-----END ACME RESPONSE-----\r\n",
            "A".repeat(43)
        );
        assert!(matches!(two.send(wrong.as_bytes()).await, Answer::Wrong));
        let order = two.go_on(&placed).await;
        assert_eq!(order.state, "invalid");
        assert!(order.problem.unwrap().contains("gave the order up"));
        // Nothing more happens to it.
        assert_eq!(two.go_on(&placed).await.state, "invalid");
        let refused = two.answer(&placed, &two.challenge()).await.unwrap_err();
        assert!(refused.to_string().contains("waits for no mail"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn seats_and_control_limit_what_is_ordered() {
    on_both(async |two| {
        let strange = two.place("grace@elsewhere.example").await.unwrap_err();
        assert!(matches!(strange, Error::VpNotManaged { .. }), "{strange}");
        two.ours
            .prove(&two.ada, Proof::domain("example.com"), Span::days(1))
            .await;
        for number in 0..10 {
            two.place(&format!("employee-{number}@example.com")).await.unwrap();
        }
        let full = two.place(ADA).await.unwrap_err();
        assert!(matches!(full, Error::VpSeatsTaken { seats: 10 }), "{full}");
        // One who has a seat takes no other.
        two.place("employee-3@example.com").await.unwrap();
        // What is not finished in a week gives its seat back.
        two.ours.clock.advance(Span::days(7));
        two.place(ADA).await.unwrap();
        let other_name = Mailbox::parse(ADA).unwrap();
        let request = request_for("grace@example.com");
        let refused = order::place(&two.app, &two.account, "ada", &other_name, request)
            .await
            .unwrap_err();
        assert!(matches!(refused, Error::CertificateRequest { .. }), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn an_authority_that_refuses_or_is_gone_leaves_a_reason() {
    on_both(async |two| {
        let local = accounts::local_operator();
        let operator = local.as_operator("prepare a test").unwrap();
        let keys = external::list(&two.other.app, operator, None).await.unwrap();
        external::revoke(&two.other.app, operator, &keys[0].id).await.unwrap();
        let refused = two.place(ADA).await.unwrap_err();
        assert!(
            matches!(&refused, Error::VpRefused { reason } if reason.contains("unauthorized")),
            "{refused}"
        );
        drop(two._running);
        let account = two.account.clone();
        let mailbox = Mailbox::parse(ADA).unwrap();
        let gone = order::place(&two.app, &account, "ada", &mailbox, request_for(ADA))
            .await
            .unwrap_err();
        assert!(
            matches!(&gone, Error::VpRefused { reason } if reason.contains("could not be reached")),
            "{gone}"
        );
        let orders = order::list(&two.app, &account).await.unwrap();
        assert!(
            orders.len() == 2
                && orders
                    .iter()
                    .all(|order| order.state == "invalid" && order.problem.is_some())
        );
    })
    .await;
}
