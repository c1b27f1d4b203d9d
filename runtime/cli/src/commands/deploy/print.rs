//! What a deploy says to a person (command line and SDK §5).

use std::collections::BTreeMap;

use fnctl_core::{
    registry::{Change, Note},
    spec::request::{CreatedStream, DeployResult},
};

use crate::{
    commands::{functions::short, promote::in_words},
    error::CliError,
    output::{Output, words},
    process,
};

/// Most mappings, streams and notes that are printed, each; JSON has all.
const LISTED_MAX: usize = 20;

/// Prints the result; `file` is the component's name where one was sent.
pub(crate) fn print(
    done: &DeployResult,
    file: Option<&str>,
    out: &mut Output,
) -> Result<(), CliError> {
    lines(done, file).iter().try_for_each(|line| out.line(line))
}

fn lines(done: &DeployResult, file: Option<&str>) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |label: &str, words: String| {
        if !words.is_empty() {
            lines.push(format!("{label:<10} {words}").trim_end().to_owned());
        }
    };
    if done.dry_run {
        say("dry run", "nothing was changed".to_owned());
    }
    let uses = if done.uses.is_empty() {
        String::new()
    } else {
        format!("  uses {}", done.uses.join(", "))
    };
    let name = file.map(|file| format!("{file}  ")).unwrap_or_default();
    let size = words::size(done.component_bytes);
    say(
        "component",
        format!("{name}{size}  {}{uses}", short(&done.digest)),
    );

    let (mine, others): (Vec<&Change>, Vec<&Change>) = done
        .changes
        .iter()
        .partition(|change| change.path.starts_with("mapping"));
    let version = match done.previous_version {
        _ if !done.changed => format!("version {}, unchanged", done.version),
        None => format!("version {}", done.version),
        Some(previous) if previous == done.version => format!("version {}", done.version),
        Some(previous) => format!("version {} (was {previous})", done.version),
    };
    let version = match &done.canary {
        Some(canary) => format!("{version}, {}", in_words(canary)),
        None => version,
    };
    let (mappings, more) = first(&done.mappings);
    let width = mappings
        .iter()
        .map(|mapping| mapping.name.len())
        .max()
        .unwrap_or(0)
        .max(done.function.len());
    let noted = others
        .iter()
        .filter(|change| change.path != "component" && change.path != "canary")
        .map(|change| change_in_words(change));
    say(
        "function",
        format!("{:<width$}  {version}   {}", done.function, join(noted)),
    );
    if let Some(same) = &done.same_bytes_as {
        let rolled_back = same.rolled_back_at.as_deref();
        let when = rolled_back
            .map(|time| format!(", rolled back {}", words::local(time)))
            .unwrap_or_default();
        say(
            "",
            format!(
                "{:<width$}  the bytes of version {}{when}",
                "", same.version
            ),
        );
    }
    for mapping in mappings {
        let stream = mapping
            .name
            .split_once('/')
            .map_or("", |(_, stream)| stream);
        let noted = mine
            .iter()
            .filter(|change| {
                !change.path.starts_with("mapping[")
                    || change.path.starts_with(&format!("mapping[{stream}]."))
            })
            .map(|change| change_in_words(change));
        let state = if mapping.created {
            format!("{}, new", mapping.state)
        } else {
            mapping.state.clone()
        };
        say(
            "mapping",
            format!("{:<width$}  {state}   {}", mapping.name, join(noted)),
        );
    }
    say("", more.clone());
    let is_alike = done.mappings.iter().all(|one| one.outputs == done.outputs);
    if done.mappings.len() < 2 || is_alike {
        say("outputs", bound(&done.outputs, done));
    } else {
        for mapping in mappings {
            let to = bound(&mapping.outputs, done);
            say("outputs", format!("{:<width$}  {to}", mapping.name));
        }
        say("", more);
    }
    // Where dead letters are copied, and what else no output names.
    let is_bound = |name: &String| {
        done.mappings
            .iter()
            .any(|one| one.outputs.values().any(|to| to == name))
    };
    let is_unnamed = |stream: &&CreatedStream| {
        !is_bound(&stream.name) && !done.outputs.values().any(|to| *to == stream.name)
    };
    let unnamed: Vec<&CreatedStream> = done.created_streams.iter().filter(is_unnamed).collect();
    let (streams, more) = first(&unnamed);
    for stream in streams {
        let shards = words::count(stream.shards.into(), "shard");
        say("stream", format!("{} (created, {shards})", stream.name));
    }
    say("", more);
    let (notes, more) = first(&done.notes);
    for (label, words) in notes.iter().flat_map(note_in_words) {
        say(label, words);
    }
    say("", more);
    if let Some(ms) = done.live_ms {
        let shards = match done.live_shards {
            Some((live, all)) => format!("{live} of {} in ", words::count(all.into(), "shard")),
            None => "in ".to_owned(),
        };
        say("live", format!("{shards}{ms} ms"));
    }
    if !done.dry_run {
        say("next", next(done));
    }
    lines
}

/// As many of them as a person reads, and how many more there are, in words.
pub(super) fn first<T>(all: &[T]) -> (&[T], String) {
    let (shown, rest) = all.split_at(all.len().min(LISTED_MAX));
    let more = match rest.len() {
        0 => String::new(),
        more => format!("… and {more} more        all: -o json"),
    };
    (shown, more)
}

/// `default → enriched   rejected → rejects (created, 1 shard)`.
fn bound(outputs: &BTreeMap<String, String>, done: &DeployResult) -> String {
    let made = |to: &str| done.created_streams.iter().find(|stream| stream.name == to);
    let all = outputs.iter().map(|(name, to)| match made(to) {
        None => format!("{name} → {to}"),
        Some(stream) => {
            let shards = words::count(stream.shards.into(), "shard");
            format!("{name} → {to} (created, {shards})")
        }
    });
    all.collect::<Vec<_>>().join("   ")
}

/// What stands, and how to change it.
pub(crate) fn note_in_words(note: &Note) -> [(&'static str, String); 2] {
    [
        ("note", format!("{}  {}", note.path, note.message)),
        ("", note.fix.clone()),
    ]
}

/// What changed, without the mapping that its line names.
pub(crate) fn change_in_words(change: &Change) -> String {
    let path = change.path.as_str();
    // A stream's name may have dots.
    let of_mapping = path
        .strip_prefix("mapping[")
        .and_then(|rest| rest.split_once("]."));
    let key = match of_mapping.or_else(|| path.split_once('.')) {
        None | Some(("config" | "secrets", _)) => path,
        Some((_, key)) => key,
    };
    format!("{key} {} → {}", change.from, change.to)
}

fn join(all: impl Iterator<Item = String>) -> String {
    all.collect::<Vec<_>>().join(", ")
}

fn next(done: &DeployResult) -> String {
    let mut words = Vec::new();
    if !process::is_on_path("fnctl") {
        words.push("make install".to_owned());
    }
    let outputs = done.mappings.iter().map(|mapping| &mapping.outputs);
    if let Some(stream) = outputs
        .chain([&done.outputs])
        .filter_map(|outputs| outputs.get("default"))
        .find(|stream| *stream != "none")
    {
        words.push(format!("fnctl tail {stream}"));
    }
    words.push(format!("fnctl logs {} -f", done.function));
    if done.canary.is_some() {
        words.push(format!("fnctl functions describe {}", done.function));
        words.push(format!("fnctl promote {}", done.function));
        words.push(format!("fnctl rollback {}", done.function));
    } else if done
        .previous_version
        .is_some_and(|previous| previous != done.version)
    {
        words.push(format!("fnctl rollback {}", done.function));
    }
    words.join(" · ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_is_the_specifications() {
        let done: DeployResult = serde_json::from_value(json!({
            "function": "enrich", "version": 3, "previous_version": 2, "digest": "sha256:9f2c41d0aaaa",
            "changed": true, "changes": [
                {"path": "component", "from": "sha256:1", "to": "sha256:2"},
                {"path": "mapping.max_attempts", "from": 5, "to": 3}],
            "created": ["stream/rejects"], "created_streams": [{"name": "rejects", "shards": 1}],
            "mappings": [{"id": "1", "name": "enrich/signups", "state": "running"}],
            "outputs": {"default": "enriched", "rejected": "rejects"}, "live_ms": 210,
            "component_bytes": 174080, "uses": ["config", "emit", "log"], "live_shards": [4, 4],
        }))
        .unwrap();
        let lines = lines(&done, Some("enrich.wasm"));
        assert_eq!(
            lines.split_last().unwrap().1,
            [
                "component  enrich.wasm  170 KiB  sha256:9f2c41d0  uses config, emit, log",
                "function   enrich          version 3 (was 2)",
                "mapping    enrich/signups  running   max_attempts 5 → 3",
                "outputs    default → enriched   rejected → rejects (created, 1 shard)",
                "live       4 of 4 shards in 210 ms",
            ]
        );
        assert!(
            lines
                .last()
                .unwrap()
                .ends_with("fnctl tail enriched · fnctl logs enrich -f · fnctl rollback enrich")
        );
    }

    #[test]
    fn each_mapping_has_its_own_changes_and_outputs_and_notes_say_what_stands() {
        let mapping = |stream: &str, to: &str| json!({"id": "1", "name": format!("ms/{stream}"), "state": "running", "outputs": {"default": to}});
        let done: DeployResult = serde_json::from_value(json!({
            "function": "ms", "version": 1, "previous_version": 1, "digest": "sha256:9f2c41d0aaaa",
            "changed": true, "changes": [
                {"path": "mapping[a.b].batch_size", "from": 100, "to": 7},
                {"path": "mapping[a].outputs.default", "from": "x", "to": "y"}],
            "notes": [{"path": "mapping[c]", "message": "goes on", "fix": "fnctl mappings delete ms/c"}],
            "created": [], "created_streams": [{"name": "y", "shards": 1}],
            "mappings": [mapping("a", "y"), mapping("a.b", "z"), mapping("c", "y")],
            "outputs": {}, "live_ms": null, "component_bytes": 174080,
        }))
        .unwrap();
        assert_eq!(
            lines(&done, None)[1..],
            [
                "function   ms      version 1",
                "mapping    ms/a    running   outputs.default x → y",
                "mapping    ms/a.b  running   batch_size 100 → 7",
                "mapping    ms/c    running",
                "outputs    ms/a    default → y (created, 1 shard)",
                "outputs    ms/a.b  default → z",
                "outputs    ms/c    default → y (created, 1 shard)",
                "note       mapping[c]  goes on",
                "           fnctl mappings delete ms/c",
                "next       fnctl tail y · fnctl logs ms -f",
            ]
            .map(|line: &str| match line.strip_prefix("next") {
                // Where the binary is not on the path, the line says so first.
                Some(rest) if !process::is_on_path("fnctl") =>
                    format!("next       make install · {}", rest.trim()),
                _ => line.to_owned(),
            })
        );
    }

    #[test]
    fn of_many_mappings_a_person_is_shown_some_and_how_many_more_there_are() {
        let mapping = |n: usize, to: &str| json!({"id": "1", "name": format!("ms/s{n}"), "state": "running", "outputs": {"default": to}});
        let printed = |count: usize, to: fn(usize) -> String| {
            let mappings: Vec<_> = (0..count).map(|n| mapping(n, &to(n))).collect();
            let streams: Vec<_> = (0..count)
                .map(|n| json!({"name": format!("s{n}"), "shards": 1}))
                .collect();
            let notes: Vec<_> = (0..count)
                .map(|n| json!({"path": format!("p{n}"), "message": "m", "fix": "f"}))
                .collect();
            let done: DeployResult = serde_json::from_value(json!({
                "function": "ms", "version": 1, "previous_version": null, "digest": "sha256:9f2c41d0aaaa",
                "changed": true, "changes": [], "created": [], "mappings": mappings, "created_streams": streams,
                "notes": notes, "outputs": {}, "live_ms": 3,
            }))
            .unwrap();
            lines(&done, None)
        };
        let labelled = |lines: &[String], label: &str| {
            lines.iter().filter(|line| line.starts_with(label)).count()
        };
        let more = "           … and 580 more        all: -o json".to_owned();
        let others = printed(600, |n| format!("out{n}"));
        for label in ["mapping ", "outputs ", "stream ", "note "] {
            assert_eq!(labelled(&others, label), 20, "{label}");
        }
        assert_eq!(others.iter().filter(|line| **line == more).count(), 4);
        assert!(
            others.contains(&"mapping    ms/s0   running".to_owned()),
            "{others:#?}"
        );
        let few = printed(20, |n| format!("out{n}"));
        assert_eq!(labelled(&few, "mapping "), 20);
        assert!(!few.iter().any(|line| line.contains("more")), "{few:#?}");
    }

    #[test]
    fn unchanged_is_said() {
        let done: DeployResult = serde_json::from_value(json!({
            "function": "enrich", "version": 3, "previous_version": 3, "digest": "sha256:9f2c41d0aaaa",
            "changed": false, "changes": [], "created": [], "mappings": [], "outputs": {}, "live_ms": null,
        }))
        .unwrap();
        assert!(lines(&done, None).contains(&"function   enrich  version 3, unchanged".to_owned()));
    }
}
