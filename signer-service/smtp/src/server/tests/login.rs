//! Conversations of the server about AUTH.

use std::pin::Pin;
use std::sync::Mutex;

use base64ct::{Base64, Encoding as _};

use super::*;
use crate::auth::scram::{ClientBinding, ClientExchange, salted_password};
use crate::auth::{Mechanism, Password, Timer, WithoutTls};
use crate::testing::Users;

/// `user` and `pencil`, for PLAIN.
const RIGHT: &str = "AHVzZXIAcGVuY2ls";
/// `user` and `eraser`.
const WRONG: &str = "AHVzZXIAZXJhc2Vy";
const USER: &str = "dXNlcg==";
const PASSWORD: &str = "cGVuY2ls";

/// Does not wait, and writes down for how long it should have.
#[derive(Clone, Debug, Default)]
struct Impatient {
    waits: Arc<Mutex<Vec<u64>>>,
}

impl Timer for Impatient {
    fn wait(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.waits
            .lock()
            .expect("no test panics with the lock")
            .push(duration.as_secs());
        Box::pin(std::future::ready(()))
    }
}

struct Login {
    talk: Talk,
    users: Users,
    timer: Impatient,
}

impl Login {
    fn settings(users: Users, timer: Impatient) -> Settings {
        let mut authentication = testing::authentication(users);
        authentication.timer = Arc::new(timer);
        authentication.without_tls = WithoutTls::AllowOnLoopback;
        Settings {
            authentication: Some(authentication),
            max_errors: 50,
            ..settings()
        }
    }

    /// From the same machine, without TLS, after EHLO.
    async fn on_loopback() -> Self {
        let (users, timer) = (Users::default(), Impatient::default());
        let settings = Self::settings(users.clone(), timer.clone());
        let address = SocketAddr::from(([127, 0, 0, 1], 1025));
        let mut talk = Talk::from_address(address, Entrance::StartTls, settings, Recorder::default());
        assert_eq!(talk.reply().await, "220 mx.test ESMTP");
        talk.check("EHLO client.test", "250-").await;
        Self { talk, users, timer }
    }

    /// From elsewhere, within TLS of one of these versions; the channel binding of the session comes with it.
    async fn over_tls(versions: &[&'static rustls::SupportedProtocolVersion]) -> (Self, Option<[u8; 32]>) {
        let (users, timer) = (Users::default(), Impatient::default());
        let (server, client) = testing::tls_with("mx.test", versions);
        let settings = Settings {
            tls: Some(server),
            ..Self::settings(users.clone(), timer.clone())
        };
        let address = SocketAddr::from(([192, 0, 2, 1], 1025));
        let talk = Talk::from_address(address, Entrance::ImplicitTls, settings, Recorder::default());
        let name = rustls_pki_types::ServerName::try_from("mx.test").expect("a host name");
        let connector = tokio_rustls::TlsConnector::from(client);
        let stream = connector
            .connect(name, talk.stream.into_inner())
            .await
            .expect("the handshake succeeds");
        let exporter = crate::tls::exporter(stream.get_ref().1);
        let mut talk = Talk {
            stream: BufReader::new(Box::new(stream)),
            ..talk
        };
        assert_eq!(talk.reply().await, "220 mx.test ESMTP");
        (Self { talk, users, timer }, exporter)
    }

    fn authenticated(&self) -> Vec<String> {
        let calls = self.talk.recorder.calls();
        calls
            .into_iter()
            .filter(|call| call.starts_with("authenticated"))
            .collect()
    }

    async fn challenge(&mut self, line: &str) -> Vec<u8> {
        self.talk.send(format!("{line}\r\n")).await;
        let reply = self.talk.reply().await;
        let challenge = reply
            .strip_prefix("334 ")
            .unwrap_or_else(|| panic!("{reply} is no challenge"));
        Base64::decode_vec(challenge).expect("a challenge is Base64")
    }

    /// Speaks SCRAM to the end; the last reply of the server.
    async fn scram(&mut self, mechanism: Mechanism, binding: ClientBinding, user: &str, password: &str) -> String {
        let exchange = ClientExchange::new(user, "client-nonce".to_owned(), binding);
        let first = Base64::encode_string(exchange.first().as_bytes());
        self.talk.send(format!("AUTH {mechanism} {first}\r\n")).await;
        let reply = self.talk.reply().await;
        let Some(challenge) = reply.strip_prefix("334 ") else {
            return reply;
        };
        let challenge = exchange
            .read_challenge(&Base64::decode_vec(challenge).expect("Base64"))
            .expect("a sound challenge");
        let password = Password::prepare(password).expect("a password");
        let salted = salted_password(&password, &challenge.salt, challenge.iterations);
        let (message, expected) = exchange.finish(&challenge, &salted);
        self.talk
            .send(format!("{}\r\n", Base64::encode_string(message.as_bytes())))
            .await;
        let reply = self.talk.reply().await;
        let Some(proof) = reply.strip_prefix("334 ") else {
            return reply;
        };
        expected
            .check(&Base64::decode_vec(proof).expect("Base64"))
            .expect("the server knows the password");
        self.talk.send("\r\n").await;
        self.talk.reply().await
    }
}

#[tokio::test(start_paused = true)]
async fn plain_and_login_let_the_user_in() {
    for lines in [
        &[&format!("AUTH PLAIN {RIGHT}")[..]][..],
        &["auth plain", RIGHT],
        &["AUTH LOGIN", USER, PASSWORD],
        &[&format!("AUTH LOGIN {USER}"), PASSWORD],
    ] {
        let mut login = Login::on_loopback().await;
        let (last, first) = lines.split_last().expect("there are lines");
        for line in first {
            login.talk.check(line, "334").await;
        }
        login.talk.check(last, "235 2.7.0").await;
        assert_eq!(login.users.asked(), ["verify user"]);
        assert_eq!(login.authenticated().len(), 1);
        login.talk.check(&format!("AUTH PLAIN {RIGHT}"), "503 5.5.1").await;
        login.talk.check("EHLO client.test", "250-").await;
        let calls = login.talk.recorder.calls();
        assert_eq!(
            calls.last().map(String::as_str),
            Some("greeted by client.test with ESMTPA")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn challenges_are_those_clients_expect() {
    let mut login = Login::on_loopback().await;
    assert_eq!(login.challenge("AUTH LOGIN").await, b"Username:");
    assert_eq!(login.challenge(USER).await, b"Password:");
    login.talk.check("*", "501 5.7.0").await;
    login.talk.send("AUTH PLAIN\r\n").await;
    assert_eq!(login.talk.reply().await, "334", "an empty challenge");
    login.talk.check(RIGHT, "235 2.7.0").await;
}

#[tokio::test(start_paused = true)]
async fn the_wrong_password_and_the_wrong_user_sound_alike() {
    let mut replies = Vec::new();
    for line in [
        format!("AUTH PLAIN {WRONG}"),
        format!("AUTH PLAIN {}", Base64::encode_string(b"\0nobody\0pencil")),
        format!("AUTH PLAIN {}", Base64::encode_string(b"root\0user\0pencil")),
        format!("AUTH PLAIN {}", Base64::encode_string(b"\0us\x07er\0pencil")),
    ] {
        let mut login = Login::on_loopback().await;
        login.talk.send(format!("{line}\r\n")).await;
        replies.push((
            login.talk.reply().await,
            login.timer.waits.lock().expect("unpoisoned").clone(),
        ));
        assert_eq!(login.authenticated(), [""; 0]);
    }
    for (user, password) in [("user", "eraser"), ("nobody", "pencil"), ("nobody", "eraser")] {
        let mut login = Login::on_loopback().await;
        let reply = login
            .scram(Mechanism::ScramSha256, ClientBinding::Cannot, user, password)
            .await;
        replies.push((reply, login.timer.waits.lock().expect("unpoisoned").clone()));
        assert_eq!(login.users.asked(), [format!("scram {user}")]);
    }
    for reply in replies {
        assert_eq!(
            reply,
            ("535 5.7.8 Authentication credentials invalid".to_owned(), vec![1])
        );
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_are_slowed_down_and_limited() {
    let mut login = Login::on_loopback().await;
    login.talk.check(&format!("AUTH PLAIN {WRONG}"), "535 5.7.8").await;
    let reply = login
        .scram(Mechanism::ScramSha256, ClientBinding::Cannot, "user", "eraser")
        .await;
    assert!(reply.starts_with("535 5.7.8"), "{reply}");
    login.talk.check(&format!("AUTH PLAIN {WRONG}"), "421 4.7.0").await;
    assert_eq!(*login.timer.waits.lock().expect("unpoisoned"), [1, 2, 4]);
    login.talk.check_closed().await;

    // A new login starts from zero after a good one, which then is the last.
    let mut login = Login::on_loopback().await;
    for _ in 0..2 {
        login.talk.check(&format!("AUTH PLAIN {WRONG}"), "535 5.7.8").await;
    }
    login.talk.check(&format!("AUTH PLAIN {RIGHT}"), "235 ").await;
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_out_a_delay_at_shutdown() {
    let mut settings = Login::settings(Users::default(), Impatient::default());
    if let Some(authentication) = &mut settings.authentication {
        authentication.timer = Arc::new(crate::auth::RuntimeTimer);
        authentication.failure_delay = Duration::from_secs(25);
    }
    let address = SocketAddr::from(([127, 0, 0, 1], 1025));
    let mut talk = Talk::from_address(address, Entrance::StartTls, settings, Recorder::default());
    talk.reply().await;
    talk.check("EHLO client.test", "250-").await;
    let start = Instant::now();
    talk.check(&format!("AUTH PLAIN {WRONG}"), "535 ").await;
    assert_eq!(start.elapsed().as_secs(), 25);
    talk.send(format!("AUTH PLAIN {WRONG}\r\n")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    talk.stop.send_replace(true);
    assert!(talk.reply().await.starts_with("535 "));
    assert!(talk.reply().await.starts_with("421 "));
    assert_eq!(start.elapsed().as_secs(), 26);
}

#[tokio::test(start_paused = true)]
async fn without_tls_auth_is_for_this_machine_at_most() {
    for (address, allowed, offered) in [
        ("127.0.0.1:1", WithoutTls::AllowOnLoopback, true),
        ("[::1]:1", WithoutTls::AllowOnLoopback, true),
        ("[::ffff:127.0.0.1]:1", WithoutTls::AllowOnLoopback, true),
        ("192.0.2.1:1", WithoutTls::AllowOnLoopback, false),
        ("127.0.0.1:1", WithoutTls::Refuse, false),
    ] {
        let mut settings = Login::settings(Users::default(), Impatient::default());
        if let Some(authentication) = &mut settings.authentication {
            authentication.without_tls = allowed;
        }
        let address = address.parse().expect("an address");
        let mut talk = Talk::from_address(address, Entrance::StartTls, settings, Recorder::default());
        talk.reply().await;
        talk.send("EHLO client.test\r\n").await;
        let capabilities = talk.reply().await;
        assert_eq!(
            capabilities.contains("AUTH SCRAM-SHA-256 PLAIN LOGIN"),
            offered,
            "{address}"
        );
        assert_eq!(capabilities.contains("AUTH"), offered, "{address}");
        if offered {
            talk.check("MAIL FROM:<a@a.test> AUTH=<>", "250 ").await;
            continue;
        }
        for mechanism in ["PLAIN", "LOGIN", "SCRAM-SHA-256"] {
            talk.check(&format!("AUTH {mechanism}"), "538 5.7.11").await;
        }
        talk.check(&format!("AUTH PLAIN {RIGHT}"), "538 5.7.11").await;
        talk.check("MAIL FROM:<a@a.test> AUTH=<>", "555 5.5.4").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_behind_this_machine_is_not_on_it() {
    let recorder = Recorder {
        trust: Trust {
            xclient: true,
            xforward: false,
        },
        ..Recorder::default()
    };
    let settings = Login::settings(Users::default(), Impatient::default());
    let address = SocketAddr::from(([127, 0, 0, 1], 1025));
    let mut talk = Talk::from_address(address, Entrance::StartTls, settings.clone(), recorder.clone());
    talk.reply().await;
    talk.check("XCLIENT ADDR=192.0.2.9", "220 ").await;
    talk.check("EHLO client.test", "250-").await;
    talk.check(&format!("AUTH PLAIN {RIGHT}"), "538 5.7.11").await;
    let address = SocketAddr::from(([192, 0, 2, 1], 1025));
    let mut talk = Talk::from_address(address, Entrance::StartTls, settings, recorder);
    talk.reply().await;
    talk.check("XCLIENT ADDR=127.0.0.1", "220 ").await;
    talk.check("EHLO client.test", "250-").await;
    talk.check(&format!("AUTH PLAIN {RIGHT}"), "538 5.7.11").await;
}

#[tokio::test(start_paused = true)]
async fn auth_has_its_place() {
    let auth = format!("AUTH PLAIN {RIGHT}");
    let address = SocketAddr::from(([127, 0, 0, 1], 1025));
    let settings = Login::settings(Users::default(), Impatient::default());
    let mut talk = Talk::from_address(address, Entrance::StartTls, settings, Recorder::default());
    talk.reply().await;
    talk.check(&auth, "503 5.5.1").await;
    talk.check("HELO client.test", "250 ").await;
    talk.check(&auth, "503 5.5.1").await;
    talk.check("EHLO client.test", "250-").await;
    talk.check("MAIL FROM:<a@a.test>", "250 ").await;
    talk.check(&auth, "503 5.5.1").await;
    talk.check("RSET", "250 ").await;
    talk.check("AUTH", "501 5.5.4").await;
    talk.check("AUTH PLAIN a b", "501 5.5.4").await;
    talk.check("AUTH CRAM-MD5", "504 5.5.4").await;
    talk.check("AUTH XOAUTH2 AAAA", "504 5.5.4").await;
    talk.check("AUTH SCRAM-SHA-256-PLUS", "504 5.5.4").await;
    talk.check(&auth, "235 ").await;
}

#[tokio::test(start_paused = true)]
async fn exchanges_that_go_wrong_are_ended() {
    let mut login = Login::on_loopback().await;
    let talk = &mut login.talk;
    for mechanism in ["PLAIN", "LOGIN", "SCRAM-SHA-256"] {
        for (response, expected) in [
            ("*", "501 5.7.0"),
            ("?", "501 5.5.2"),
            ("dXNlcg", "501 5.5.2"),
            ("dXNlcg== ", "501 5.5.2"),
            ("=", "501 5.5.2"),
        ] {
            talk.check(&format!("AUTH {mechanism}"), "334").await;
            talk.check(response, expected).await;
        }
        talk.check(&format!("AUTH {mechanism} dXNlcg"), "501 5.5.2").await;
        talk.check(&format!("AUTH {mechanism} *"), "501 5.5.2").await;
    }
    // Not of the form that the mechanism has.
    talk.check("AUTH PLAIN =", "501 5.5.2").await;
    talk.check("AUTH PLAIN", "334").await;
    talk.check("", "501 5.5.2").await;
    talk.check("AUTH SCRAM-SHA-256 =", "501 5.5.2").await;
    talk.check("AUTH SCRAM-SHA-256 dXNlcg==", "501 5.5.2").await;
    talk.check(
        &format!("AUTH SCRAM-SHA-256 {}", Base64::encode_string(b"n,,n=user,r=x")),
        "334 ",
    )
    .await;
    talk.check("*", "501 5.7.0").await;
    talk.check(
        &format!("AUTH SCRAM-SHA-256 {}", Base64::encode_string(b"n,,n=user,r=x")),
        "334 ",
    )
    .await;
    talk.check("", "501 5.5.2").await;
    talk.check("NOOP", "250 2.0.0").await;
    assert_eq!(login.authenticated(), [""; 0]);
    assert!(login.timer.waits.lock().expect("unpoisoned").is_empty());
}

#[tokio::test(start_paused = true)]
async fn responses_have_a_limit() {
    let mut login = Login::on_loopback().await;
    let talk = &mut login.talk;
    talk.check("AUTH PLAIN", "334").await;
    talk.check(&"A".repeat(12_288), "500 5.5.6").await;
    talk.check("AUTH LOGIN", "334").await;
    talk.check(USER, "334").await;
    talk.check(&"A".repeat(20_000), "500 5.5.6").await;
    talk.check(&format!("AUTH PLAIN {}", "A".repeat(12_288)), "500 5.5.2")
        .await;
    // Long, but allowed by RFC 4954; it is the password that is too long for anybody.
    let long = format!("\0user\0{}", "x".repeat(8000));
    talk.check(
        &format!("AUTH PLAIN {}", Base64::encode_string(long.as_bytes())),
        "535 5.7.8",
    )
    .await;
    assert_eq!(login.users.asked(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_ours_is_temporary() {
    let mut login = Login::on_loopback().await;
    let broken = Base64::encode_string(b"\0broken\0pencil");
    login.talk.check(&format!("AUTH PLAIN {broken}"), "454 4.7.0").await;
    let reply = login
        .scram(Mechanism::ScramSha256, ClientBinding::Cannot, "broken", "pencil")
        .await;
    assert!(reply.starts_with("454 4.7.0"), "{reply}");
    assert!(login.timer.waits.lock().expect("unpoisoned").is_empty());
    login.talk.check(&format!("AUTH PLAIN {RIGHT}"), "235 ").await;
}

#[tokio::test(start_paused = true)]
async fn scram_lets_the_user_in_and_binds_to_tls() {
    let (mut login, exporter) = Login::over_tls(rustls::DEFAULT_VERSIONS).await;
    let exporter = exporter.expect("TLS 1.3");
    login.talk.send("EHLO client.test\r\n").await;
    let capabilities = login.talk.reply().await;
    assert!(
        capabilities.contains("AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"),
        "{capabilities}"
    );
    let (plus, bare) = (Mechanism::ScramSha256Plus, Mechanism::ScramSha256);
    for (mechanism, binding) in [
        // Of another session; the offer was taken away; the mechanism without what it is for.
        (plus, ClientBinding::Exporter([0; 32])),
        (bare, ClientBinding::NotOffered),
    ] {
        let reply = login.scram(mechanism, binding, "user", "pencil").await;
        assert!(reply.starts_with("535 5.7.8"), "{binding:?}: {reply}");
    }
    let reply = login.scram(plus, ClientBinding::Cannot, "user", "pencil").await;
    assert!(reply.starts_with("501 5.5.2"), "{reply}");
    let reply = login
        .scram(plus, ClientBinding::Exporter(exporter), "user", "pencil")
        .await;
    assert!(reply.starts_with("235 2.7.0"), "{reply}");
    assert_eq!(
        login.authenticated(),
        ["authenticated user by Mechanism(ScramSha256Plus)"]
    );

    let (mut login, exporter) = Login::over_tls(rustls::DEFAULT_VERSIONS).await;
    login.talk.check("EHLO client.test", "250-").await;
    let bound = ClientBinding::Exporter(exporter.expect("TLS 1.3"));
    let reply = login.scram(bare, bound, "user", "pencil").await;
    assert!(
        reply.starts_with("535 5.7.8"),
        "bound without the mechanism for it: {reply}"
    );
    let reply = login.scram(bare, ClientBinding::Cannot, "user", "pencil").await;
    assert!(reply.starts_with("235 2.7.0"), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn without_an_exporter_there_is_no_binding() {
    let (mut login, exporter) = Login::over_tls(&[&rustls::version::TLS12]).await;
    assert_eq!(exporter, None);
    login.talk.send("EHLO client.test\r\n").await;
    let capabilities = login.talk.reply().await;
    assert!(
        capabilities.contains("AUTH SCRAM-SHA-256 PLAIN LOGIN"),
        "{capabilities}"
    );
    let bound = ClientBinding::Exporter([0; 32]);
    let reply = login.scram(Mechanism::ScramSha256Plus, bound, "user", "pencil").await;
    assert!(reply.starts_with("504 5.5.4"), "{reply}");
    // It could bind and rightly believes that we cannot.
    let reply = login
        .scram(Mechanism::ScramSha256, ClientBinding::NotOffered, "user", "pencil")
        .await;
    assert!(reply.starts_with("235 2.7.0"), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn what_follows_success_must_be_nothing() {
    let mut login = Login::on_loopback().await;
    let exchange = ClientExchange::new("user", "n".to_owned(), ClientBinding::Cannot);
    let first = Base64::encode_string(exchange.first().as_bytes());
    let challenge = login.challenge(&format!("AUTH SCRAM-SHA-256 {first}")).await;
    let challenge = exchange.read_challenge(&challenge).expect("a sound challenge");
    let password = Password::prepare("pencil").expect("a password");
    let salted = salted_password(&password, &challenge.salt, challenge.iterations);
    let (message, _) = exchange.finish(&challenge, &salted);
    login.challenge(&Base64::encode_string(message.as_bytes())).await;
    login.talk.check("AAAA", "501 5.5.2").await;
    assert_eq!(login.authenticated(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn tls_makes_a_login_void() {
    let (server, client) = testing::tls("mx.test");
    let settings = Settings {
        tls: Some(server),
        ..Login::settings(Users::default(), Impatient::default())
    };
    let address = SocketAddr::from(([127, 0, 0, 1], 1025));
    let mut talk = Talk::from_address(address, Entrance::StartTls, settings, Recorder::default());
    talk.reply().await;
    talk.check("EHLO client.test", "250-").await;
    talk.check(&format!("AUTH PLAIN {RIGHT}"), "235 ").await;
    let mut talk = talk.start_tls(&client).await;
    talk.check("EHLO client.test", "250-").await;
    assert_eq!(
        talk.recorder.calls().last().map(String::as_str),
        Some("greeted by client.test with ESMTPS")
    );
    talk.check(&format!("AUTH PLAIN {RIGHT}"), "235 ").await;
}
