//! The load bench, with so few messages that only whether it works can be seen.

use crate::load::{KEYS, Scale, run};

#[test]
fn the_load_bench_measures_every_route() {
    let Some(report) = run(env!("CARGO_BIN_EXE_sealwright"), Scale::SHORT, &|_| ()) else {
        return;
    };
    assert_eq!(report.routes.len(), 2 + 2 * KEYS.len());
    for route in &report.routes {
        let [round] = route.rounds[..] else {
            panic!("{}: one round", route.name)
        };
        assert_eq!(round.messages, Scale::SHORT.messages);
    }
    assert_eq!(report.enrolment.count, Scale::SHORT.enrolments);
    assert!(report.latency.iter().all(|one| one.through.count == Scale::SHORT.timed));
    let printed = report.to_string();
    for expected in [
        "plain Postfix",
        "queue P-256",
        "pass-through RSA-2048",
        "one message of 1 MB, queue",
    ] {
        assert!(printed.contains(expected), "{printed}");
    }
    let target = tempfile::tempdir().expect("a temporary folder can be made");
    report.write_estimates(target.path()).expect("they can be written");
    let files = target.path().join("criterion/load/5/10 kB/new");
    assert!(files.join("estimates.json").exists() && files.join("benchmark.json").exists());
}
