//! Producers and readers around a server, and the oracle over what it holds afterwards.

use std::{
    sync::mpsc::{Receiver, channel},
    thread,
};

use fnctl_faults::node;
use fnctl_tests::{
    Seen, Server,
    ledger::{Ledger, check_effects},
    produce,
};

/// What a server is put under.
pub(crate) struct Load {
    /// Producers, each with a key of its own.
    pub(crate) keys: usize,
    /// Records of each producer, then it is quiet; `None`: no end.
    pub(crate) records: Option<u64>,
    /// Acknowledgements after which the ledger's run ends.
    pub(crate) until: u64,
    /// The server may answer a put with an error.
    pub(crate) may_refuse: bool,
}

/// Loads a server while `during` runs, which must see to its end. What `during` is given is let go of
/// when the server's connections end.
pub(crate) fn run(
    api: &str,
    load: &Load,
    ledger: &Ledger,
    seen: &[Seen],
    during: impl FnOnce(&Receiver<()>),
) {
    ledger.stop_after(load.until);
    let (holds, ended) = channel::<()>();
    thread::scope(|scope| {
        for seen in seen {
            let holds = holds.clone();
            scope.spawn(move || {
                seen.watch(api);
                drop(holds);
            });
        }
        drop(holds);
        let producers: Vec<_> = (0..load.keys)
            .map(|key| {
                let count = load.records.unwrap_or(u64::MAX);
                scope.spawn(move || produce(api, key, ledger, count))
            })
            .collect();
        during(&ended);
        for producer in producers {
            let error = producer
                .join()
                .expect("a producer ends with its connection");
            assert!(load.may_refuse || error.is_none(), "{error:?}");
        }
    });
}

/// Waits until everything is settled and holds it against the ledger; how much was acknowledged and seen.
pub(crate) fn check(server: &Server, ledger: &Ledger, seen: &[Seen]) -> (usize, usize) {
    for mapping in ["hostile", "echo"] {
        node::drain(server, mapping);
    }
    let [input, out, copy] = ["in", "out", "copy"].map(|stream| node::records(server, stream));
    let acknowledged = ledger.check_input(&input);
    check_effects(&input, &out, &node::letters(server, "hostile"));
    check_effects(&input, &copy, &node::letters(server, "echo"));
    let contents = [&input, &out];
    let counts = seen
        .iter()
        .zip(contents)
        .map(|(seen, content)| seen.check(content));
    (acknowledged, counts.sum())
}
