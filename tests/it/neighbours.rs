//! Two functions on one stream, one of them broken: the healthy one does not notice.

use fnctl_tests::Server;

use crate::support::{drained, guest, metric, one, server};

/// The p99 of the healthy function's iterator age while records come at a steady rate, ms.
fn p99_of_iterator_age(server: &Server) -> f64 {
    let path = server.folder().join("steady.txt");
    let words = ["panic", "retry", "trap", "allocate", "ok"];
    let text: String = (0..1_500)
        .map(|n| format!("{} \n", words[n % words.len()]))
        .collect();
    std::fs::write(&path, text).expect("a file beside the server");
    let path = path.to_string_lossy();
    let mut put = server
        .follow(&["put", "in", "--file", &path, "--rate", "300", "-o", "json"])
        .unwrap_or_else(|e| panic!("{e}"));
    let series =
        "fnctl_shard_iterator_age_seconds{mapping=\"healthy/in\",shard=\"shardId-000000000000\"}";
    let mut ages = Vec::new();
    // One sample for every few acknowledgements: the put itself keeps the time.
    while put.next_line().unwrap_or_else(|e| panic!("{e}")).is_some() {
        if ages.len() < 2_000 {
            ages.push(metric(server, series) * 1e3);
        }
    }
    drained(server, "healthy");
    ages.sort_by(f64::total_cmp);
    ages[ages.len() * 99 / 100]
}

/// The p99 of the healthy function without and beside a broken one, ms.
fn undisturbed_and_disturbed() -> (f64, f64) {
    let alone = server();
    one(
        &alone,
        &[
            "deploy",
            &guest("echo"),
            "--name",
            "healthy",
            "--stream",
            "in",
            "--to",
            "out",
        ],
    );
    let undisturbed = p99_of_iterator_age(&alone);
    drop(alone);

    let shared = server();
    one(
        &shared,
        &[
            "deploy",
            &guest("echo"),
            "--name",
            "healthy",
            "--stream",
            "in",
            "--to",
            "out",
        ],
    );
    let broken = [
        "--name",
        "broken",
        "--stream",
        "in",
        "--to",
        "broken-out",
        "--to",
        "side=none",
    ];
    let guest = guest("hostile");
    let mut deploy = vec!["deploy", &guest];
    deploy.extend_from_slice(&broken);
    deploy.extend_from_slice(&["--timeout", "1s", "--memory", "64MiB"]);
    one(&shared, &deploy);
    (undisturbed, p99_of_iterator_age(&shared))
}

#[test]
fn a_broken_function_does_not_delay_its_healthy_neighbour() {
    // The other tests share this machine: what they do to one try they do not do to all three.
    let tries: Vec<(f64, f64)> = std::iter::repeat_with(undisturbed_and_disturbed)
        .take(3)
        .scan(false, |has_held, (undisturbed, disturbed)| {
            let goes_on = !*has_held;
            *has_held = disturbed <= 2.0 * undisturbed + 50.0;
            goes_on.then_some((undisturbed, disturbed))
        })
        .collect();
    let (undisturbed, disturbed) = tries[tries.len() - 1];
    assert!(
        disturbed <= 2.0 * undisturbed + 50.0,
        "p99 of the iterator age without and beside a broken function, ms: {tries:?}"
    );
}
