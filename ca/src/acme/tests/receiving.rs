//! Replies over SMTP, as mail servers bring them.

use keys::tls::Trust;
use smtp::client::{Connection, MailFrom, RcptTo, Target, Timeouts, TlsPolicy};
use smtp::server::Server;

use super::*;
use crate::acme::receiver::{Receiver, settings};

/// The receiver on a port of its own, and a connection to it.
async fn connection(site: &Site) -> Connection {
    let server = Server::bind(
        "127.0.0.1:0",
        settings("ca.example.net"),
        Receiver(Arc::clone(&site.world.app)),
    )
    .await
    .unwrap();
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port: server.local_addr().port(),
        tls: TlsPolicy::Never,
    };
    tokio::spawn(server.run(std::future::pending()));
    let root = site.world.app.issuers().root().certificate_pem();
    let tls = keys::tls::client_config(Trust::Only(root.as_bytes())).unwrap();
    Connection::connect(&target, "mx.example.com", &tls, Timeouts::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn replies_come_by_smtp_and_the_answer_says_what_became_of_them() {
    let site = site!();
    let client = site.client("Ada").await;
    let placed = client.order(ADA).await;
    let challenge = client.challenge(&placed).await;
    let address = challenge["from"].as_str().unwrap().to_owned();
    let letter = client.reply(ADA, &challenge);
    let mut connection = connection(&site).await;
    let from = MailFrom::new(ADA);

    // Only those who were asked are let in.
    assert!(connection.mail(&from).await.unwrap().is_positive());
    for stranger in [
        "acme@ca.example.net",
        "acme+x@ca.example.net",
        "postmaster@ca.example.net",
        "acme+x@example.org",
    ] {
        assert_eq!(
            connection.rcpt(&RcptTo::new(stranger)).await.unwrap().code(),
            550,
            "{stranger}"
        );
    }
    connection.reset().await.unwrap();

    let send = async |connection: &mut Connection, message: &[u8]| {
        assert!(connection.mail(&from).await.unwrap().is_positive());
        assert!(connection.rcpt(&RcptTo::new(&*address)).await.unwrap().is_positive());
        assert_eq!(connection.rcpt(&RcptTo::new(&*address)).await.unwrap().code(), 452);
        connection.data(message).await.unwrap()
    };
    let forged = letter.clone().with("From", "eve@example.com").signed(&site);
    let refused = send(&mut connection, &forged).await;
    assert_eq!(refused.code(), 550);
    assert!(
        refused.text().contains("mailbox that is to be certified"),
        "{}",
        refused.text()
    );
    let unanswered = String::from_utf8(letter.signed(&site))
        .unwrap()
        .replace("s=mail;", "s=broken;");
    assert!(send(&mut connection, unanswered.as_bytes()).await.is_transient());
    assert!(send(&mut connection, &letter.signed(&site)).await.is_positive());
    assert_eq!(client.get(&placed.url).await.json()["status"], "ready");
    // The second time it is one of a challenge that is over.
    assert_eq!(send(&mut connection, &letter.signed(&site)).await.code(), 550);
    connection.quit().await.unwrap();
}
