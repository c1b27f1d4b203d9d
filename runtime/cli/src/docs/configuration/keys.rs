//! The keys of `fnctl.toml`, in the order of its tables, with what their flags do not say.

use fnctl_core::{
    mapping::MappingSettings,
    spec::{
        DevSpec, FunctionSpec, Manifest, MappingSpec, StreamSpec,
        resolve::{self, FunctionSettings, Problems},
    },
};

use super::default;
use crate::manifest;

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Takes {
    Text,
    Function,
    Stream,
    Destination,
    List,
    Words(&'static [&'static str]),
    Count,
    Attempts,
    Duration,
    Size,
    Switch,
    Position,
    Patterns,
    Texts,
    Secrets,
}

impl Takes {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Function | Self::Stream => "name",
            Self::Destination => "destination",
            Self::List => "list of text",
            Self::Words(_) => "word",
            Self::Count => "number",
            Self::Attempts => "number or word",
            Self::Duration => "duration",
            Self::Size => "size",
            Self::Switch => "switch",
            Self::Position => "position",
            Self::Patterns => "pattern, or list of patterns",
            Self::Texts => "table of text",
            Self::Secrets => "table of places",
        }
    }
}

/// A key.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) takes: Takes,
    /// What it means, where no flag says it.
    pub(super) about: Option<&'static str>,
    /// Its default, where no flag says it.
    pub(super) default: Option<&'static str>,
    /// The flag that says it, where that has another name.
    pub(super) flag: Option<&'static str>,
    /// What is allowed, where no bound says it.
    pub(super) allowed: &'static str,
    /// A value that is not the default.
    pub(super) example: &'static str,
}

/// A table of the manifest.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) heading: &'static str,
    pub(super) about: &'static str,
    /// The command whose flags set the same.
    pub(super) command: Option<&'static [&'static str]>,
    pub(super) keys: &'static [Key],
    /// What a manifest needs in front of one key.
    before: &'static str,
}

impl Table {
    /// A manifest with one line in this table.
    pub(super) fn with(&self, line: &str) -> String {
        let names_stream = line.starts_with("stream =");
        let before = match names_stream {
            true => "[[mapping]]",
            false => self.before,
        };
        format!("{before}\n{line}\n")
    }
}

/// A key whose flag says what it means.
const fn key(name: &'static str, takes: Takes, example: &'static str) -> Key {
    Key {
        name,
        takes,
        about: None,
        default: None,
        flag: None,
        allowed: "",
        example,
    }
}

/// A key that has no flag.
const fn own(
    name: &'static str,
    takes: Takes,
    default: &'static str,
    about: &'static str,
    example: &'static str,
) -> Key {
    Key {
        about: Some(about),
        default: Some(default),
        ..key(name, takes, example)
    }
}

pub(super) const TABLES: [Table; 4] = [
    Table {
        heading: "[function]",
        about: "One function. `config` and `secrets` are what it is given; the rest is how it is built and bounded.",
        command: Some(&["deploy"]),
        before: "[function]",
        keys: &[
            Key {
                default: Some("that of the package in `Cargo.toml`, else of the component's file"),
                ..key("name", Takes::Function, "\"f\"")
            },
            own(
                "component",
                Takes::Text,
                "none",
                "Path of the component that the build makes, seen from the manifest",
                "\"f.wasm\"",
            ),
            own(
                "build",
                Takes::Text,
                "`cargo build --release --target wasm32-wasip2`",
                "Command that builds it, for `fnctl build` and `fnctl dev`, run in the manifest's folder",
                "\"make\"",
            ),
            own(
                "watch",
                Takes::List,
                "`[\"src\", \"Cargo.toml\"]`",
                "Paths whose change builds it again under `fnctl dev`; the manifest itself is watched in any case",
                "[\"lib\"]",
            ),
            key("memory", Takes::Size, "\"64MiB\""),
            key("timeout", Takes::Duration, "\"5s\""),
            key("isolation", Takes::Words(&["reuse", "fresh"]), "\"fresh\""),
            key("concurrency", Takes::Count, "8"),
            Key {
                default: Some("empty"),
                about: Some("Values that the function reads by their names"),
                flag: Some("config"),
                ..key("config", Takes::Texts, "{ a = \"b\" }")
            },
            Key {
                default: Some("empty"),
                about: Some(
                    "Secrets that the function reads by their names, by where whoever deploys has them: never the value itself",
                ),
                flag: Some("secret"),
                allowed: "`{ file = \"PATH\" }`, seen from the manifest, or `{ env = \"NAME\" }`",
                ..key("secrets", Takes::Secrets, "{ a = { file = \"b\" } }")
            },
        ],
    },
    Table {
        heading: "[[mapping]]",
        about: "A stream that the function reads, and how; once for each stream. All but `stream` and `starting_position` can be changed by `fnctl mappings update`, too.",
        command: Some(&["deploy"]),
        before: "[[mapping]]\nstream = \"s\"",
        keys: &[
            Key {
                default: Some("none: it must be named"),
                ..key("stream", Takes::Stream, "\"t\"")
            },
            Key {
                about: Some(
                    "Where outputs go, by output: a stream, or `none`: rows are counted, not kept",
                ),
                default: Some("`default` goes to `<function>.out`"),
                flag: Some("to"),
                ..key("outputs", Takes::Texts, "{ default = \"o\" }")
            },
            Key {
                allowed: "`trim-horizon`, `latest`, a time (RFC 3339), a duration ago",
                ..key("starting_position", Takes::Position, "\"latest\"")
            },
            key("batch_size", Takes::Count, "7"),
            key("batch_window", Takes::Duration, "\"1s\""),
            key("batch_bytes", Takes::Size, "\"1MiB\""),
            key("parallelization_factor", Takes::Count, "4"),
            key("ordering", Takes::Words(&["key", "shard"]), "\"shard\""),
            key("max_attempts", Takes::Attempts, "\"unlimited\""),
            key("backoff_initial", Takes::Duration, "\"1s\""),
            key("backoff_max", Takes::Duration, "\"2m\""),
            key("max_record_age", Takes::Duration, "\"1h\""),
            key("bisect_on_error", Takes::Switch, "false"),
            key("circuit_breaker", Takes::Switch, "false"),
            key("partial_failures", Takes::Switch, "false"),
            Key {
                default: Some("all"),
                about: Some(
                    "Which records the function is given: those that match a pattern, each an object or its JSON as text",
                ),
                flag: Some("filter"),
                ..key("filter", Takes::Patterns, "'{\"data\": {\"a\": [1]}}'")
            },
            key(
                "on_unparsable",
                Takes::Words(&["drop", "pass", "dead-letter"]),
                "\"pass\"",
            ),
            Key {
                allowed: "`dlq`, `stream:NAME`, `https://…`, `http://…`, `file:PATH`",
                ..key("on_failure", Takes::Destination, "\"stream:x\"")
            },
            key(
                "on_fatal",
                Takes::Words(&["stop", "dead-letter"]),
                "\"dead-letter\"",
            ),
            key(
                "on_failure_full",
                Takes::Words(&["hold", "drop-and-count"]),
                "\"drop-and-count\"",
            ),
            key("tumbling_window", Takes::Duration, "\"1m\""),
            key("key_groups", Takes::Count, "8"),
        ],
    },
    Table {
        heading: "[streams.NAME]",
        about: "How a stream is made when it is missing; one that exists is never changed by a deploy, but by `fnctl streams update` and \
                `resize`.",
        command: Some(&["streams", "create"]),
        before: "[streams.s]",
        keys: &[
            key("shards", Takes::Count, "4"),
            key("retention", Takes::Duration, "\"48h\""),
            key("ack", Takes::Words(&["synced", "written"]), "\"written\""),
            key("max_record_size", Takes::Size, "\"2MiB\""),
            key("quota", Takes::Size, "\"20GiB\""),
            Key {
                allowed: ", below `quota`",
                ..key("retention_bytes", Takes::Size, "\"10GiB\"")
            },
        ],
    },
    Table {
        heading: "[dev]",
        about: "What `fnctl dev` puts into the first mapping's stream, once.",
        command: None,
        before: "[dev]",
        keys: &[
            own(
                "seed",
                Takes::Text,
                "none",
                "File of records, one a line, seen from the manifest",
                "\"events.ndjson\"",
            ),
            own(
                "key_field",
                Takes::Text,
                "none: a random key",
                "Field of each that is its partition key, `user.id`",
                "\"user_id\"",
            ),
        ],
    },
];

fn parsed(text: &str) -> Manifest {
    manifest::parse(text).unwrap_or_else(|problems| panic!("{text}: {problems:?}"))
}

/// What a manifest comes to, as far as the program gives it defaults.
fn settled(manifest: &Manifest) -> (FunctionSettings, MappingSettings, String) {
    let mut problems = Problems::default();
    let function = resolve::function(
        &FunctionSettings::default(),
        &manifest.function,
        &[],
        &mut problems,
    );
    let spec = manifest.mapping.first().cloned().unwrap_or_default();
    let mapping = resolve::mapping(&MappingSettings::default(), &spec, "mapping", &mut problems);
    let position = resolve::starting_position(&spec, "mapping", &mut problems);
    let stream = manifest.streams.get("s").cloned().unwrap_or_default();
    let stream = resolve::stream(&stream, "streams.s", &mut problems);
    assert!(problems.0.is_empty(), "{:?}", problems.0);
    (function, mapping, format!("{position} {stream:?}"))
}

#[test]
fn no_table_and_no_key_is_left_out() {
    let names = |table: &Table| -> Vec<&str> { table.keys.iter().map(|key| key.name).collect() };
    let [function, mapping, stream, dev] = &TABLES;
    for (table, word, keys) in [
        (function, "function", FunctionSpec::KEYS),
        (mapping, "mapping", MappingSpec::KEYS),
        (stream, "streams", StreamSpec::KEYS),
        (dev, "dev", DevSpec::KEYS),
    ] {
        assert_eq!(names(table), keys, "{word}");
        assert!(table.heading.contains(word) && Manifest::KEYS.contains(&word));
    }
    assert_eq!(Manifest::KEYS.len(), TABLES.len());
}

#[test]
fn a_manifest_with_every_key_is_read_whole() {
    let mut text = String::new();
    for table in &TABLES {
        // A mapping's order within the shard has one lane, and one group.
        let keys = table.keys.iter().filter(|key| key.name != "ordering");
        text.push_str(table.before.lines().next().unwrap_or_default());
        for key in keys {
            text.push_str(&format!("\n{} = {}", key.name, key.example));
        }
        text.push('\n');
    }
    let manifest = parsed(&text);
    // A field that is none of the keys does not compile here until it is named, and then fails.
    let FunctionSpec {
        name,
        component,
        build,
        watch,
        memory,
        timeout,
        isolation,
        concurrency,
        config,
        secrets,
        unknown: _,
    } = manifest.function;
    assert!(name.is_some() && component.is_some() && build.is_some() && watch.is_some());
    assert!(memory.is_some() && timeout.is_some() && isolation.is_some() && concurrency.is_some());
    assert!(!config.is_empty() && !secrets.is_empty());
    let MappingSpec {
        stream,
        outputs,
        starting_position,
        batch_size,
        batch_window,
        batch_bytes,
        parallelization_factor,
        ordering: _,
        max_attempts,
        backoff_initial,
        backoff_max,
        max_record_age,
        filter,
        on_unparsable,
        bisect_on_error,
        circuit_breaker,
        partial_failures,
        on_failure,
        on_fatal,
        on_failure_full,
        tumbling_window,
        key_groups,
        unknown: _,
    } = manifest.mapping.into_iter().next().expect("a mapping");
    assert!(stream.is_some() && !outputs.is_empty() && starting_position.is_some());
    assert!(batch_size.is_some() && batch_window.is_some() && batch_bytes.is_some());
    assert!(parallelization_factor.is_some() && max_attempts.is_some() && key_groups.is_some());
    assert!(backoff_initial.is_some() && backoff_max.is_some() && max_record_age.is_some());
    assert!(filter.is_some() && on_unparsable.is_some() && tumbling_window.is_some());
    assert!(bisect_on_error.is_some() && circuit_breaker.is_some() && partial_failures.is_some());
    assert!(on_failure.is_some() && on_fatal.is_some() && on_failure_full.is_some());
    let StreamSpec {
        shards,
        retention,
        ack,
        max_record_size,
        quota,
        retention_bytes,
        unknown: _,
    } = manifest.streams["s"].clone();
    assert!(shards.is_some() && retention.is_some() && ack.is_some());
    assert!(max_record_size.is_some() && quota.is_some() && retention_bytes.is_some());
    let DevSpec {
        seed,
        key_field,
        unknown: _,
    } = manifest.dev;
    assert!(seed.is_some() && key_field.is_some());
}

#[test]
fn the_default_on_the_page_is_the_one_that_is_applied() {
    let none = settled(&Manifest::default());
    let mut compared = 0;
    for table in &TABLES {
        for key in table.keys {
            let name = key.name;
            if matches!(
                key.takes,
                Takes::Text
                    | Takes::Function
                    | Takes::Stream
                    | Takes::List
                    | Takes::Texts
                    | Takes::Secrets
            ) {
                // The command line's own, or without a default that is a value.
                continue;
            }
            let with = |value: &str| settled(&parsed(&table.with(&format!("{name} = {value}"))));
            assert_ne!(
                with(key.example),
                none,
                "{name}: the example is the default"
            );
            assert_eq!(with("\"default\""), none, "{name}");
            let told = default(table, key);
            let Some(value) = told
                .strip_prefix('`')
                .and_then(|told| told.strip_suffix('`'))
            else {
                // Words: there is no value that says it.
                continue;
            };
            let is_bare = matches!(key.takes, Takes::Count | Takes::Attempts | Takes::Switch);
            let value = if is_bare {
                value.to_owned()
            } else {
                format!("\"{value}\"")
            };
            assert_eq!(with(&value), none, "{name} = {value}");
            compared += 1;
        }
    }
    assert!(compared >= 20, "{compared}");
}

#[test]
fn the_defaults_of_the_command_line_are_its_own() {
    let [function, ..] = &TABLES;
    let told = |name: &str| {
        let key = function.keys.iter().find(|key| key.name == name);
        default(function, key.expect("a key"))
    };
    assert_eq!(told("build"), format!("`{}`", manifest::BUILD));
    assert_eq!(told("watch"), format!("`{:?}`", manifest::WATCHED));
}

#[test]
fn words_that_are_allowed_are_read_and_others_refused_with_all_of_them() {
    for table in &TABLES {
        for key in table.keys {
            let Takes::Words(words) = key.takes else {
                continue;
            };
            for word in words {
                parsed(&table.with(&format!("{} = \"{word}\"", key.name)));
            }
            let told = super::problem(table, key, "\"nonsense\"").expect("it is refused");
            let named = told.split('`').skip(1).step_by(2).skip(1);
            assert_eq!(named.collect::<Vec<_>>(), words, "{}: {told}", key.name);
        }
    }
}
