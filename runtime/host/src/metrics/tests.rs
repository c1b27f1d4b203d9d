use std::time::Instant;

use fnctl_core::{
    commit::UnitTotals,
    id::{ShardNumber, Timestamp},
};

use super::{
    scrape::{BuildInfo, MappingSample, Scrape, ShardSample, StoreSample},
    *,
};

const BUILD: BuildInfo = BuildInfo {
    version: "1.2.3",
    commit: "abc",
    wasmtime: "48",
};

fn sample(name: &str, age_ms: u64) -> MappingSample {
    MappingSample {
        name: name.into(),
        state: "running",
        shards: vec![ShardSample {
            shard: ShardNumber(7),
            age_ms,
            checkpoint: Timestamp(2_250),
            pending: 3,
            pending_bytes: 300,
            settled: 6,
            is_due: true,
            is_owned: true,
            is_blocked: true,
            is_damaged: false,
            parked_keys: 2,
            next_retry: Some(Timestamp(1_500)),
            is_circuit_open: true,
            open_windows: 4,
        }],
        totals: UnitTotals {
            processed: 5,
            ..UnitTotals::default()
        },
        dead_letters_open: 0,
        retention_ms: Some(86_400_000),
        relay: None,
        is_host_at_fault: true,
    }
}

fn expose(metrics: &Metrics, mappings: &[MappingSample]) -> String {
    metrics.expose(Scrape {
        build: BUILD,
        mappings,
        functions: &[],
        store: &StoreSample::default(),
        boot_ms: 0,
    })
}

fn names(function: &str, stream: &str) -> (FunctionName, StreamName) {
    (
        FunctionName::parse(function).expect("a name"),
        StreamName::parse(stream).expect("a name"),
    )
}

#[test]
fn counters_exist_at_zero_before_anything_happens() {
    let metrics = Metrics::default();
    let (function, stream) = names("enrich", "signups");
    let mapping = metrics.mapping(&function, &stream);
    metrics.function(&function);
    let text = expose(&metrics, &[sample("enrich/signups", 1_500)]);
    for line in [
        "fnctl_records_polled_total{mapping=\"enrich/signups\"} 0",
        "fnctl_invocations_total{mapping=\"enrich/signups\",outcome=\"out-of-memory\"} 0",
        "fnctl_records_dead_lettered_total{mapping=\"enrich/signups\",error_kind=\"skip\"} 0",
        "fnctl_batch_retries_total{mapping=\"enrich/signups\"} 0",
        "fnctl_mapping_circuit_opens_total{mapping=\"enrich/signups\"} 0",
        "fnctl_mapping_circuit_open{mapping=\"enrich/signups\"} 1",
        "fnctl_commits_total{answer=\"fenced\"} 0",
        "fnctl_shard_iterator_age_seconds{mapping=\"enrich/signups\",shard=\"shardId-000000000007\"} 1.5",
        "fnctl_shard_pending_records{mapping=\"enrich/signups\",shard=\"shardId-000000000007\"} 3",
        "fnctl_mapping_shards{mapping=\"enrich/signups\"} 1",
        "fnctl_mapping_shards_owned{mapping=\"enrich/signups\"} 1",
        "fnctl_mapping_parked_keys{mapping=\"enrich/signups\"} 2",
        "fnctl_open_windows{mapping=\"enrich/signups\"} 4",
        "fnctl_mapping_next_retry_timestamp_seconds{mapping=\"enrich/signups\"} 1.500",
        "fnctl_records_dropped_total{mapping=\"enrich/signups\"} 0",
        "fnctl_mapping_state{mapping=\"enrich/signups\",state=\"running\"} 1",
        "fnctl_records_processed_total{mapping=\"enrich/signups\"} 5",
        "fnctl_build_info{version=\"1.2.3\",commit=\"abc\",wasmtime=\"48\"} 1",
        "fnctl_journal_sync_seconds_count 0",
        "fnctl_invocation_duration_seconds_count{function=\"enrich\"} 0",
        "fnctl_batch_records_count{function=\"enrich\"} 0",
        "fnctl_shard_checkpoint_timestamp_seconds{mapping=\"enrich/signups\",shard=\"shardId-000000000007\"} 2.250",
        "fnctl_shard_pending_bytes{mapping=\"enrich/signups\",shard=\"shardId-000000000007\"} 300",
        "fnctl_shard_settled_records_total{mapping=\"enrich/signups\",shard=\"shardId-000000000007\"} 6",
        "fnctl_shard_parked_keys{mapping=\"enrich/signups\",shard=\"shardId-000000000007\"} 2",
        "fnctl_mapping_shards_blocked{mapping=\"enrich/signups\"} 1",
        "fnctl_mapping_shards_damaged{mapping=\"enrich/signups\"} 0",
        "fnctl_mapping_host_fault{mapping=\"enrich/signups\"} 1",
        "fnctl_mapping_retention_seconds{mapping=\"enrich/signups\"} 86400.000",
        "fnctl_batch_flushes_total{mapping=\"enrich/signups\",reason=\"window\"} 0",
        "fnctl_batch_bisects_total{mapping=\"enrich/signups\"} 0",
        "fnctl_record_bytes_total{mapping=\"enrich/signups\",direction=\"out\"} 0",
        "fnctl_stage_duration_seconds_count{function=\"enrich\",stage=\"commit\"} 0",
        "fnctl_end_to_end_latency_seconds_bucket{function=\"enrich\",le=\"+Inf\"} 0",
        "fnctl_instance_memory_bytes{function=\"enrich\"} 0",
        "fnctl_source_errors_total{source=\"embedded\",kind=\"damaged\"} 0",
    ] {
        assert!(
            text.lines().any(|l| l == line),
            "{line} is missing in\n{text}"
        );
    }
    mapping.invoked(OutcomeKind::Trap);
    mapping.dead_lettered(ErrorKind::Trap, "trap");
    let text = expose(&metrics, &[]);
    let by_code = "fnctl_records_dead_lettered_by_code_total{mapping=\"enrich/signups\",code=";
    assert!(text.contains(&format!("{by_code}\"trap\"}} 1")), "{text}");
    assert!(text.contains(&format!("{by_code}\"other\"}} 0")), "{text}");
    assert!(
        text.contains("fnctl_invocations_total{mapping=\"enrich/signups\",outcome=\"trap\"} 1")
    );
    assert!(text.contains("mapping=\"enrich/signups\",error_kind=\"trap\"} 1"));
}

#[test]
fn of_a_mapping_with_very_many_shards_only_sum_and_worst_are_shown() {
    let mut many = sample("enrich/signups", 0);
    let shard = many.shards[0];
    let count = crate::limits::METRIC_SHARDS_MAX as u64 + 1;
    let of = |number: u64| ShardSample {
        shard: ShardNumber(u32::try_from(number).expect("small")),
        age_ms: number * 1_000,
        checkpoint: Timestamp(10_000 - number),
        next_retry: (number == 3).then_some(Timestamp(4_500)),
        ..shard
    };
    many.shards = (0..count).map(of).collect();
    let text = expose(&Metrics::default(), &[many]);
    assert!(!text.contains("shardId-"), "{text}");
    let of = |name: &str| {
        let series = format!("{name}{{mapping=\"enrich/signups\",shard=\"all\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&series));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}"))
            .to_owned()
    };
    assert_eq!(of("fnctl_shard_iterator_age_seconds"), "256");
    assert_eq!(of("fnctl_shard_checkpoint_timestamp_seconds"), "9.744");
    assert_eq!(of("fnctl_shard_pending_records"), (3 * count).to_string());
    assert_eq!(of("fnctl_shard_next_retry_timestamp_seconds"), "4.500");
    let owned = format!("fnctl_mapping_shards_owned{{mapping=\"enrich/signups\"}} {count}");
    assert!(text.contains(&owned), "{text}");
}

#[test]
fn the_series_of_a_deleted_mapping_go_with_it() {
    let metrics = Metrics::default();
    let (function, stream) = names("enrich", "signups");
    metrics.mapping(&function, &stream);
    metrics.function(&function);
    metrics.retain(|_| false, |_| false);
    let text = expose(&metrics, &[]);
    assert!(!text.contains("enrich"), "{text}");
}

#[test]
fn a_mapping_made_anew_under_its_name_keeps_counting() {
    let metrics = Metrics::default();
    let (function, stream) = names("enrich", "signups");
    metrics.mapping(&function, &stream).polled.inc();
    metrics.mapping(&function, &stream).polled.inc();
    metrics.retain(|name| name == "enrich/signups", |_| true);
    let text = expose(&metrics, &[]);
    assert!(text.contains("fnctl_records_polled_total{mapping=\"enrich/signups\"} 2"));
}

#[test]
fn a_thousand_mappings_are_scraped_quickly() {
    let metrics = Metrics::default();
    let mut samples = Vec::new();
    for i in 0..1_000 {
        let (function, stream) = names(&format!("function-{i}"), &format!("stream-{i}"));
        metrics.mapping(&function, &stream);
        metrics.function(&function);
        samples.push(sample(&format!("function-{i}/stream-{i}"), i));
    }
    let started = Instant::now();
    let text = expose(&metrics, &samples);
    let took = started.elapsed();
    assert!(text.lines().count() > 50_000);
    println!("{} lines in {took:?}", text.lines().count());
    // The figure is 50 ms on an idle machine; this only guards against a change of order.
    assert!(took.as_millis() < 1_000, "a scrape took {took:?}");
}
