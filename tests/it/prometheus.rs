//! What a real Prometheus makes of a real server: the reference page, the rules and the dashboards of `deploy/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use fnctl_tests::{Server, get};
use serde_json::{Value, json};

use crate::support::{deploy_hostile, drained, guest, one, put, server};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn exposition(server: &Server) -> String {
    let answer = get(&server.api, "/metrics").unwrap_or_else(|e| panic!("{e}"));
    answer.text()
}

/// A Prometheus that scrapes one server every second, with the rules that are shipped. Killed when dropped.
struct Prometheus {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    fn of(server: &Server) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let rules = ["recording", "alerts"].map(|name| {
            let path = root().join(format!("deploy/prometheus/rules/{name}.yaml"));
            fs::canonicalize(path).expect("the rules are there")
        });
        let target = server.api.trim_start_matches("http://");
        // JSON is YAML.
        let config = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
            "rule_files": rules,
            "scrape_configs": [
                { "job_name": "fnctl", "static_configs": [{ "targets": [target] }] }
            ],
        });
        let file = folder.path().join("prometheus.yaml");
        fs::write(&file, config.to_string()).expect("it can be written");
        let mut child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("Prometheus is installed: tests/tools test");
        let stderr = child.stderr.take().expect("it is piped");
        let mut lines = BufReader::new(stderr).lines();
        let mut said = Vec::new();
        let address = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("Prometheus ended: {}", said.join("\n"));
            };
            if line.contains("msg=\"Listening on\"")
                && let Some((_, address)) = line.split_once(" address=")
            {
                break address.trim().to_owned();
            }
            said.push(line);
        };
        std::thread::spawn(move || lines.for_each(drop));
        let prometheus = Self {
            child,
            url: format!("http://{address}"),
            _folder: folder,
        };
        while !get(&prometheus.url, "/-/ready").is_ok_and(|answer| answer.status == 200) {}
        prometheus
    }

    fn api(&self, path: &str) -> Value {
        let answer = get(&self.url, path).unwrap_or_else(|e| panic!("{e}"));
        let body = answer.text();
        let value: Value = serde_json::from_str(&body).unwrap_or_else(|e| panic!("{e}: {body}"));
        assert_eq!(value["status"], "success", "{path}: {body}");
        value["data"].clone()
    }

    /// The samples that a query answers now, each with its labels.
    fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let escaped: String = expression.bytes().map(|b| format!("%{b:02X}")).collect();
        let data = self.api(&format!("/api/v1/query?query={escaped}"));
        let samples = data["result"].as_array().expect("a vector").iter();
        let number = |sample: &Value| sample["value"][1].as_str().and_then(|n| n.parse().ok());
        samples
            .map(|sample| (sample["metric"].clone(), number(sample).expect("a number")))
            .collect()
    }

    /// Waits until a query that asks for one sample has this value.
    fn until(&self, expression: &str, value: f64) {
        while !matches!(&self.query(expression)[..], [(_, found)] if *found == value) {}
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// A server with a mapping that has processed, given up and parked something.
fn busy() -> Server {
    let server = server();
    let backoff = ["--max-attempts", "2", "--backoff-initial", "1h"];
    deploy_hostile(&server, &[&backoff[..], &["--backoff-max", "1h"]].concat());
    let lines: Vec<String> = (0..10).map(|n| format!("ok {n}")).collect();
    put(&server, "in", &lines, &["--key", "a"]);
    put(&server, "in", &["skip 1".to_owned()], &["--key", "b"]);
    drained(&server, "hostile");
    server
}

/// Name and type of every metric, from the reference page.
fn reference() -> BTreeMap<String, String> {
    let page = read("runtime/docs/metrics.md");
    let mut found = BTreeMap::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("### `") {
            let about = lines.find(|line| !line.is_empty()).unwrap_or_default();
            let kind = about.split([',', '.']).next().unwrap_or_default();
            found.insert(name.trim_end_matches('`').to_owned(), kind.to_owned());
        }
    }
    found
}

/// Metrics that have a sample only where there is what they measure.
const OPTIONAL: [&str; 9] = [
    "fnctl_tls_certificate_expiry_timestamp_seconds",
    "fnctl_mapping_next_retry_timestamp_seconds",
    "fnctl_relay_age_seconds",
    "fnctl_relay_delivered_total",
    "fnctl_relay_failures_total",
    "fnctl_relay_pending_letters",
    "fnctl_shard_next_retry_timestamp_seconds",
    "fnctl_snapshot_age_seconds",
    "fnctl_stream_quota_bytes",
];

#[test]
fn a_server_exposes_what_the_reference_page_lists_and_nothing_else() {
    let server = busy();
    let text = exposition(&server);
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let exposed: BTreeMap<String, String> = types
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    assert_eq!(exposed, reference());
    for name in exposed.keys() {
        let series = |line: &str| line.strip_prefix(name.as_str()).map(str::to_owned);
        let is_sampled = text.lines().filter_map(series).any(|rest| {
            ["{", " ", "_bucket{", "_sum ", "_sum{"]
                .iter()
                .any(|next| rest.starts_with(next))
        });
        let is_optional = OPTIONAL.contains(&name.as_str());
        assert!(is_sampled || is_optional, "{name} has no sample in\n{text}");
    }
}

#[test]
fn time_memory_and_stages_of_calls_are_measured() {
    let server = busy();
    // A stage is counted once its commit is synced, which describe may see a moment earlier.
    let of = |series: &str| -> f64 {
        let text = exposition(&server);
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.and_then(|n| n.parse().ok())
            .unwrap_or_else(|| panic!("no {series} in\n{text}"))
    };
    while of("fnctl_end_to_end_latency_seconds_count{function=\"hostile\"}") < 11.0 {}
    assert!(of("fnctl_guest_cpu_seconds_total{function=\"hostile\"}") > 0.0);
    assert!(of("fnctl_instance_memory_bytes{function=\"hostile\"}") > 0.0);
    let calls = of("fnctl_invocation_duration_seconds_count{function=\"hostile\"}");
    for stage in ["queue", "wait", "run", "commit"] {
        let count =
            format!("fnctl_stage_duration_seconds_count{{function=\"hostile\",stage=\"{stage}\"}}");
        assert_eq!(of(&count), calls, "{stage}");
    }
    assert_eq!(of("fnctl_lane_queue_records{function=\"hostile\"}"), 0.0);
    let flushes = ["count", "bytes", "window"].map(|reason| {
        of(&format!(
            "fnctl_batch_flushes_total{{mapping=\"hostile/in\",reason=\"{reason}\"}}"
        ))
    });
    assert_eq!(flushes, [0.0, 0.0, calls]);
    assert!(of("fnctl_record_bytes_total{mapping=\"hostile/in\",direction=\"out\"}") > 0.0);
}

#[test]
fn a_real_prometheus_scrapes_evaluates_the_rules_and_answers() {
    let server = busy();
    let prometheus = Prometheus::of(&server);
    prometheus.until("up{job=\"fnctl\"}", 1.0);
    prometheus.until(
        "fnctl_records_processed_total{mapping=\"hostile/in\"}",
        10.0,
    );
    prometheus.until(
        "sum(fnctl_records_dead_lettered_total{error_kind=\"skip\"})",
        1.0,
    );
    prometheus.until("sum(fnctl_shard_settled_records_total)", 11.0);
    prometheus.until("mapping:fnctl_iterator_age_seconds:max", 0.0);
    prometheus.until("fnctl_mapping_shards - fnctl_mapping_shards_owned", 0.0);

    // A key that waits an hour makes its shard old; the rules see it as people do.
    put(
        &server,
        "in",
        &["retry-after 3600000".to_owned()],
        &["--key", "c"],
    );
    prometheus.until("fnctl_shard_parked_keys", 1.0);
    prometheus.until("mapping:fnctl_pending_records:sum", 1.0);
    prometheus.until("fnctl_shard_pending_bytes > bool 0", 1.0);
    prometheus.until("mapping:fnctl_iterator_age_seconds:max > bool 0", 1.0);
    prometheus.until(
        "(time() - fnctl_shard_checkpoint_timestamp_seconds) > bool 0",
        1.0,
    );
    prometheus.until(
        "fnctl_shard_next_retry_timestamp_seconds > bool time()",
        1.0,
    );

    // A mapping that stops: what must be told is on its way.
    put(&server, "in", &["fatal".to_owned()], &["--key", "d"]);
    prometheus.until("fnctl_mapping_state{state=\"stopped\"}", 1.0);
    prometheus.until(
        "count(ALERTS{alertname=\"FnctlMappingStopped\",alertstate=\"pending\"})",
        1.0,
    );
    assert!(
        prometheus
            .query("ALERTS{alertname=\"FnctlShardsNotOwned\"}")
            .is_empty()
    );
    let firing =
        "ALERTS{alertname=\"FnctlDeadLettersOpen\",severity=\"info\",mapping=\"hostile/in\"}";
    prometheus.until(firing, 1.0);

    // Every rule is evaluated without an error, and says something of each alert.
    let groups = prometheus.api("/api/v1/rules")["groups"].clone();
    let rules: Vec<Value> = groups
        .as_array()
        .expect("groups")
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules").clone())
        .collect();
    assert!(rules.len() >= 35, "{}", rules.len());
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }

    // The mapping goes, and its series with it.
    let delete = ["mappings", "delete", "hostile", "--yes", "--force"];
    one(&server, &delete);
    while exposition(&server).contains("mapping=\"hostile/in\"") {}
    while !prometheus.query("fnctl_mapping_shards").is_empty() {}
}

/// The queries of a dashboard, with the title of their panel.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let of = |panel: &Value| {
        let title = fnctl_tests::text(panel, "title");
        let targets = panel["targets"].as_array().expect("targets").clone();
        targets.into_iter().map(move |target| {
            let expression = fnctl_tests::text(&target, "expr");
            (title.clone(), expression)
        })
    };
    panels.flat_map(of).collect()
}

#[test]
fn every_query_of_every_dashboard_is_answered() {
    let server = busy();
    let prometheus = Prometheus::of(&server);
    prometheus.until(
        "fnctl_records_processed_total{mapping=\"hostile/in\"}",
        10.0,
    );
    prometheus.until("count(mapping:fnctl_settled_records:rate5m)", 1.0);
    // What a function counts itself is shown as well, two names with the same labels beside each other.
    let counting = guest("counting");
    one(
        &server,
        &["deploy", &counting, "--stream", "counted", "--to", "none"],
    );
    let said = ["sold book", "level -2.5"].map(str::to_owned);
    put(&server, "counted", &said, &["--key", "a"]);
    let own = "count(rate(fnctl_custom_seen_total[1m:])) + count(fnctl_custom_level)";
    prometheus.until(own, 2.0);
    let mut asked = 0;
    let mut empty = BTreeSet::new();
    for name in ["overview", "mapping", "runtime", "storage"] {
        let text = read(&format!("deploy/grafana/dashboards/{name}.json"));
        let dashboard: Value =
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
        for variable in dashboard["templating"]["list"]
            .as_array()
            .expect("variables")
        {
            let query = fnctl_tests::text(variable, "definition");
            let inside = query
                .strip_prefix("label_values(")
                .and_then(|q| q.strip_suffix(')'));
            if let Some((metric, label)) = inside.and_then(|inside| inside.split_once(", ")) {
                let found = prometheus.query(metric);
                assert!(
                    found.iter().all(|(labels, _)| labels[label].is_string()),
                    "{query}"
                );
                assert!(!found.is_empty(), "{query}");
            }
        }
        for (title, query) in queries(&dashboard) {
            let expression = query
                .replace("$__rate_interval", "1m")
                .replace("$instance", ".*")
                .replace("$mapping", ".*")
                .replace("$function", ".*");
            assert!(!expression.contains('$'), "{name}, {title}: {query}");
            asked += 1;
            if prometheus.query(&expression).is_empty() {
                empty.insert(format!("{name}: {title}: {query}"));
            }
        }
    }
    assert!(asked > 70, "{asked}");
    // Nothing there yet, or nothing wrong: relays, quotas, snapshots, compiling of the last hour, alerts.
    let is_allowed = |line: &String| {
        [
            "relay",
            "quota",
            "snapshot",
            "ALERTS",
            "compile",
            "scrub_last_pass",
            "failed_calls",
        ]
        .iter()
        .any(|word| line.contains(word))
    };
    let missing: Vec<String> = empty.into_iter().filter(|line| !is_allowed(line)).collect();
    assert!(missing.is_empty(), "no sample:\n{}", missing.join("\n"));
}

/// Every metric's example query, from the reference page.
fn examples() -> Vec<String> {
    let page = read("runtime/docs/metrics.md");
    let blocks = page.split("```promql\n").skip(1);
    blocks
        .filter_map(|block| block.split_once("\n```"))
        .map(|(query, _)| query.to_owned())
        .collect()
}

/// The metrics that a query reads.
fn read_by(query: &str) -> BTreeSet<String> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_metric = |word: &&str| {
        ["fnctl_", "process_", "tokio_"]
            .iter()
            .any(|prefix| word.starts_with(prefix))
    };
    words.filter(is_metric).map(str::to_owned).collect()
}

#[test]
fn every_example_query_is_answered_where_what_it_reads_is_there() {
    let server = busy();
    let prometheus = Prometheus::of(&server);
    prometheus.until(
        "fnctl_records_processed_total{mapping=\"hostile/in\"}",
        10.0,
    );
    // A rate is of two samples.
    prometheus.until("count_over_time(fnctl_careful[1m]) >= bool 3", 1.0);
    let examples = examples();
    assert!(examples.len() > 90, "{}", examples.len());
    let mut missing = Vec::new();
    let mut answered = 0;
    for query in examples {
        let is_there = |name: &String| !prometheus.query(name).is_empty();
        if !read_by(&query).iter().all(is_there) {
            continue;
        }
        // What asks for trouble finds none here: its two sides must match all the same.
        let mut asked = query.clone();
        for sign in ["==", ">", "<"] {
            asked = asked.replace(&format!(" {sign} "), &format!(" {sign} bool "));
        }
        match prometheus.query(&asked).is_empty() {
            true => missing.push(query),
            false => answered += 1,
        }
    }
    assert!(missing.is_empty(), "no answer:\n{}", missing.join("\n"));
    assert!(answered > 70, "{answered}");
}

/// A command of a page as it is typed, with a number in place of what stands for one.
fn typed(span: &str) -> Vec<String> {
    let words = span.split(' ').skip(1).filter(|word| !word.is_empty());
    words
        .map(|word| match word {
            "N" => "4".to_owned(),
            "SEQUENCE" => "495903382714902566085596925383615710959".to_owned(),
            word => word.to_owned(),
        })
        .collect()
}

#[test]
fn every_command_of_the_runbooks_is_one_that_there_is() {
    let page = read("runtime/docs/runbooks.md")
        .replace("\n  ", " ")
        .replace('\n', " ");
    let spans = page.split('`').skip(1).step_by(2);
    let commands: BTreeSet<Vec<String>> = spans
        .filter(|span| span.starts_with("fnctl "))
        .map(typed)
        .collect();
    assert!(commands.len() > 30, "{commands:?}");
    // Asked for help last, the parser has read every flag and every value in front of it, and nothing is run.
    let read = |command: &[String]| {
        let output = Command::new(fnctl_tests::binary())
            .args(command)
            .arg("--help")
            .output()
            .expect("the binary runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.success().then_some(()).ok_or(said)
    };
    for command in &commands {
        if let Err(said) = read(command) {
            panic!("fnctl {}: {said}", command.join(" "));
        }
    }
    let no_value = ["mappings", "update", "M", "--on-failure-full", "block"];
    let no_value = no_value.map(str::to_owned);
    assert!(read(&no_value).is_err(), "values are read, too");
}
