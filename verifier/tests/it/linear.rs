//! Messages made to cost more than their size: four times the message may cost four times the work, never sixteen times.
//!
//! What is measured is the time that this thread spent on a processor, the least of three runs, so that other programs
//! count little; and the bound lies between linear and quadratic, far from both.

use rustix::time::{ClockId, clock_gettime};
use verifier::{Material, Policy, verify};

use crate::support::*;

fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    f64::from(i32::try_from(time.tv_sec).unwrap()) + f64::from(i32::try_from(time.tv_nsec).unwrap()) / 1e9
}

/// Seconds for one message with this entity, or this whole message.
fn cost(scenario: &Scenario, message: &[u8]) -> f64 {
    let trust = scenario.trust();
    let once = || {
        let start = processor_time();
        let verdict = verify(message, &trust, &Material::default(), NOW, &Policy::default());
        let spent = processor_time() - start;
        assert!(!verdict.label().is_empty());
        spent
    };
    (0..3).map(|_| once()).fold(f64::INFINITY, f64::min)
}

fn signed(entity: &str) -> (Scenario, Vec<u8>) {
    let mut scenario = Scenario::new();
    scenario.entity = entity.as_bytes().to_vec();
    let message = scenario.message();
    assert!(scenario.verdict_on(&message).verified_bytes().is_some());
    (scenario, message)
}

/// `shape` makes something out of how often the repeated part of it occurs.
fn check(what: &str, small: usize, build: impl Fn(usize) -> (Scenario, Vec<u8>)) {
    let (plain, message) = signed("Content-Type: text/plain\r\n\r\nx\r\n");
    let nothing = cost(&plain, &message);
    let of = |count: usize| {
        let (scenario, message) = build(count);
        (cost(&scenario, &message) - nothing).max(0.0)
    };
    let (one, four) = (of(small), of(4 * small));
    println!("{what}: {:.1} ms and {:.1} ms", one * 1e3, four * 1e3);
    // 30 ms: what the signatures alone may vary by. Anything quadratic is seconds away from that.
    assert!(
        four <= 9.0 * one + 0.03,
        "{what}: {one} s, and {four} s for four times as much"
    );
}

#[test]
fn content_costs_what_its_size_costs() {
    let html = |body: String| signed(&format!("Content-Type: text/html; charset=utf-8\r\n\r\n{body}\r\n"));
    let mixed = |parts: String| signed(&format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{parts}"));
    check("parts", 2_500, |count| {
        mixed("--b\r\n\r\nx\r\n".repeat(count) + "--b--\r\n")
    });
    check("lines that are almost boundaries", 2_500, |count| {
        mixed("--a\r\n--bb".repeat(count) + "\r\n--b--\r\n")
    });
    check("nested messages", 2_500, |count| {
        signed(&("Content-Type: message/rfc822\r\n\r\n".repeat(count) + "Subject: x\r\n\r\nx\r\n"))
    });
    check("nested parts", 1_000, |count| {
        let open: String = (0..count)
            .map(|depth| format!("Content-Type: multipart/mixed; boundary=b{depth}x\r\n\r\n--b{depth}x\r\n"))
            .collect();
        signed(&format!("{open}\r\nx\r\n"))
    });
    check("tags", 5_000, |count| html("<p><".repeat(count)));
    check("attributes", 5_000, |count| {
        html(format!("<p {}>", "a=b ".repeat(count)))
    });
    check("attributes that do not end", 5_000, |count| {
        html("<p a=\"".repeat(count))
    });
    check("comments that do not end", 5_000, |count| html("<!--".repeat(count)));
    check("styles that do not end", 5_000, |count| html("<style>".repeat(count)));
    check("styles", 2_500, |count| {
        html("<style>a{b:url(cid:x)}</style>".repeat(count))
    });
    check("comments in styles", 5_000, |count| {
        html(format!("<p style=\"{}\">", "/*".repeat(count)))
    });
    check("references", 5_000, |count| {
        html(format!("<p a=\"{}\">", "&#0".repeat(count)))
    });
    check("long numbers", 5_000, |count| {
        html(format!("<p a=\"&#{}\">", "1".repeat(count)))
    });
    check("escapes", 5_000, |count| {
        html(format!("<p style=\"{}\">", "\\75".repeat(count)))
    });
    check("base64", 5_000, |count| {
        let lines = "PHA+\r\n".repeat(count);
        signed(&format!(
            "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n{lines}"
        ))
    });
}

#[test]
fn headers_and_structures_cost_what_their_size_costs() {
    let plain = || signed("Content-Type: text/plain\r\n\r\nx\r\n");
    let headed = |fields: String| {
        let (mut scenario, _) = plain();
        scenario.fields = fields;
        let message = scenario.message();
        (scenario, message)
    };
    check("header fields", 200, |count| headed("Comments: x\r\n".repeat(count)));
    check("folded lines", 2_000, |count| {
        headed(format!("Comments: x\r\n{}", " x\r\n".repeat(count)))
    });
    check("parameters", 2_000, |count| {
        let message = format!(
            "From: a@example.org\r\nContent-Type: multipart/signed{}\r\n\r\nx",
            "; a=b".repeat(count)
        );
        (Scenario::new(), message.into_bytes())
    });
    check("quotes in From", 500, |count| {
        let mut scenario = Scenario::new();
        scenario.from = format!("From: {} <alice@example.org>\r\n", "\"a\" ".repeat(count));
        let message = scenario.message();
        (scenario, message)
    });
    check("encoded words in From", 50, |count| {
        let mut scenario = Scenario::new();
        scenario.from = format!("From: {} <alice@example.org>\r\n", "=?utf-8?Q?a?= ".repeat(count));
        let message = scenario.message();
        (scenario, message)
    });
    check("protected fields of one name", 200, |count| {
        let mut scenario = Scenario::new();
        let many = "Comments: x\r\n".repeat(count);
        scenario.entity = format!(
            "{}{many}Content-Type: text/plain; hp=\"clear\"\r\n\r\nx\r\n",
            scenario.from
        )
        .into_bytes();
        scenario.fields = many;
        let message = scenario.message();
        (scenario, message)
    });
    // Chunks of an OCTET STRING, as streaming producers write them.
    check("chunks of content", 20_000, |count| {
        let mut scenario = Scenario::new();
        scenario.opaque = true;
        scenario.cms.indefinite = true;
        scenario.entity = format!("Content-Type: text/plain\r\n\r\n{}", "x".repeat(count)).into_bytes();
        let message = scenario.message();
        (scenario, message)
    });
    check("certificates", 2_500, |count| {
        let mut scenario = Scenario::new();
        scenario.cms.edit_certificates = Some(Box::new(move |certificates| {
            let one = certificates[1].clone();
            certificates.extend(std::iter::repeat_n(one, count));
        }));
        let message = scenario.message();
        (scenario, message)
    });
    check("attributes of a name", 1_000, |count| {
        let mut scenario = Scenario::new();
        scenario.leaf.subject = name(&vec![(COMMON_NAME, "alice@example.org"); count]);
        let message = scenario.message();
        (scenario, message)
    });
    check("a long attribute of a name", 250_000, |count| {
        let mut scenario = Scenario::new();
        scenario.leaf.subject = name(&[(COMMON_NAME, "x".repeat(count).as_str())]);
        let message = scenario.message();
        (scenario, message)
    });
    check("addresses of a certificate", 200, |count| {
        let mut scenario = Scenario::new();
        let addresses: Vec<String> = (0..count).map(|number| format!("a{number}@example.org")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        scenario.leaf.addresses(&addresses);
        let message = scenario.message();
        (scenario, message)
    });
    check("policies of a certificate", 200, |count| {
        let mut scenario = Scenario::new();
        let policies: Vec<String> = (0..count).map(|number| format!("1.2.3.{number}")).collect();
        let policies: Vec<&str> = policies.iter().map(String::as_str).collect();
        scenario.leaf.policies(&policies);
        let message = scenario.message();
        (scenario, message)
    });
}
