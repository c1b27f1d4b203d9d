#!/usr/bin/env python3
"""Writes dashboards/*.json. `generate.py --check` says whether they are what this writes.

A panel is a title, a unit, what it says, and queries with their legends. Queries are tried by tests/it against a real
server. `$mapping`, `$function` and `$instance` are the variables of every dashboard that lists them.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent / "dashboards"
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT = 8, 8
AT = 'instance=~"$instance"'
OF = f'{AT},mapping=~"$mapping"'
IN = f'{AT},function=~"$function"'
RATE = "[$__rate_interval]"


def panel(title, unit, about, *queries, kind="timeseries", stack=False):
    """One panel; `queries` are (expression, legend)."""
    custom = {"fillOpacity": 10, "stacking": {"mode": "normal" if stack else "none"}}
    return {
        "title": title,
        "description": about,
        "type": kind,
        "datasource": SOURCE,
        "fieldConfig": {
            "defaults": {"unit": unit, "min": 0, "custom": custom if kind == "timeseries" else {}},
            "overrides": [],
        },
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}} if kind == "timeseries" else {},
        "targets": [
            {"datasource": SOURCE, "expr": expression, "legendFormat": legend, "refId": chr(65 + number)}
            for number, (expression, legend) in enumerate(queries)
        ],
    }


def stat(title, unit, about, expression):
    return panel(title, unit, about, (expression, ""), kind="stat")


def quantiles(metric, labels, by):
    """Median and 99th percentile of a histogram."""
    return [
        (
            f"histogram_quantile({q}, sum by ({by}, le) (rate({metric}_bucket{{{labels}}}{RATE})))",
            f"p{round(float(q) * 100)} {{{{{by}}}}}",
        )
        for q in ("0.5", "0.99")
    ]


def variable(name, query):
    return {
        "name": name,
        "label": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
        "refresh": 2,
        "sort": 1,
    }


VARIABLES = {
    "instance": "label_values(fnctl_build_info, instance)",
    "mapping": "label_values(fnctl_mapping_shards, mapping)",
    "function": "label_values(fnctl_invocations_in_flight, function)",
}


def dashboard(name, title, variables, panels):
    for number, one in enumerate(panels):
        one["id"] = number + 1
        one["gridPos"] = {
            "x": number % 3 * WIDTH,
            "y": number // 3 * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        }
    source = {
        "name": "datasource",
        "label": "datasource",
        "type": "datasource",
        "query": "prometheus",
        "current": {},
    }
    return {
        "uid": f"fnctl-{name}",
        "title": title,
        "tags": ["fnctl"],
        "schemaVersion": 38,
        "editable": False,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [
            {
                "title": "fnctl",
                "type": "dashboards",
                "tags": ["fnctl"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "templating": {"list": [source] + [variable(one, VARIABLES[one]) for one in variables]},
        "panels": panels,
    }


OVERVIEW = [
    stat("Servers that answer", "short", "Scrapes that succeeded.", f'sum(up{{job="fnctl",{AT}}})'),
    stat(
        "Oldest record that waits",
        "s",
        "Iterator age, the worst of all mappings.",
        f"max(mapping:fnctl_iterator_age_seconds:max{{{AT}}})",
    ),
    stat(
        "Mappings that need someone",
        "short",
        "Stopped, failed or blocked.",
        f'sum(fnctl_mapping_state{{{AT},state=~"stopped|failed|blocked"}})',
    ),
    panel(
        "Iterator age",
        "s",
        "Age of the oldest record that is not settled, by mapping.",
        (f"mapping:fnctl_iterator_age_seconds:max{{{OF}}}", "{{mapping}}"),
    ),
    panel(
        "Records that wait",
        "short",
        "Arrived and not settled.",
        (f"mapping:fnctl_pending_records:sum{{{OF}}}", "{{mapping}}"),
    ),
    panel(
        "Records settled a second",
        "cps",
        "Whatever their end.",
        (f"mapping:fnctl_settled_records:rate5m{{{OF}}}", "{{mapping}}"),
    ),
    panel(
        "Calls that fail",
        "percentunit",
        "Of all that ended, in part or as a whole.",
        (f"mapping:fnctl_failed_calls:ratio5m{{{OF}}}", "{{mapping}}"),
    ),
    panel(
        "Dead letters",
        "short",
        "Open ones, by mapping.",
        (f"fnctl_dead_letters_open{{{OF}}}", "{{mapping}}"),
    ),
    panel(
        "From arrival to output",
        "s",
        "Until a record's end is synced, retries included.",
        *quantiles("fnctl_end_to_end_latency_seconds", AT, "function"),
    ),
    panel(
        "Puts refused a second",
        "cps",
        "By reason.",
        (f"sum by (reason) (rate(fnctl_puts_refused_total{{{AT}}}{RATE}))", "{{reason}}"),
    ),
    panel(
        "Disk",
        "bytes",
        "Free, and what is kept back: puts are refused below twice that.",
        (f"fnctl_disk_free_bytes{{{AT}}}", "free {{instance}}"),
        (f"2 * fnctl_disk_reserve_bytes{{{AT}}}", "puts refused {{instance}}"),
    ),
    panel(
        "Alerts",
        "short",
        "Firing, by name.",
        ('sum by (alertname, severity) (ALERTS{alertname=~"Fnctl.*",alertstate="firing"})', "{{alertname}} {{severity}}"),
    ),
]

MAPPING = [
    panel(
        "Iterator age by shard",
        "s",
        "One line far above the others: a key or shard that is held.",
        (f"fnctl_shard_iterator_age_seconds{{{OF}}}", "{{mapping}} {{shard}}"),
    ),
    panel(
        "Records that wait by shard",
        "short",
        "Arrived and not settled.",
        (f"fnctl_shard_pending_records{{{OF}}}", "{{mapping}} {{shard}}"),
    ),
    panel(
        "Bytes that wait by shard",
        "bytes",
        "About what they take in the log.",
        (f"fnctl_shard_pending_bytes{{{OF}}}", "{{mapping}} {{shard}}"),
    ),
    panel(
        "Ends a second",
        "cps",
        "How records end.",
        (f"sum by (mapping) (rate(fnctl_records_processed_total{{{OF}}}{RATE}))", "processed {{mapping}}"),
        (f"sum by (mapping) (rate(fnctl_records_filtered_total{{{OF}}}{RATE}))", "filtered {{mapping}}"),
        (f"sum by (mapping) (rate(fnctl_records_dead_lettered_total{{{OF}}}{RATE}))", "dead-lettered {{mapping}}"),
        (f"sum by (mapping) (rate(fnctl_records_expired_total{{{OF}}}{RATE}))", "expired {{mapping}}"),
        (f"sum by (mapping) (rate(fnctl_records_dropped_total{{{OF}}}{RATE}))", "dropped {{mapping}}"),
    ),
    panel(
        "Bytes a second",
        "Bps",
        "Read and published.",
        (f"sum by (mapping, direction) (rate(fnctl_record_bytes_total{{{OF}}}{RATE}))", "{{direction}} {{mapping}}"),
    ),
    panel(
        "Calls a second by outcome",
        "cps",
        "",
        (f"sum by (outcome) (rate(fnctl_invocations_total{{{OF}}}{RATE}))", "{{outcome}}"),
        stack=True,
    ),
    panel(
        "Batches closed a second",
        "cps",
        "By count, bytes, or the end of the window.",
        (f"sum by (reason) (rate(fnctl_batch_flushes_total{{{OF}}}{RATE}))", "{{reason}}"),
        stack=True,
    ),
    panel(
        "Retries and cuts a second",
        "cps",
        "Calls made again, and batches cut in two to find who is at fault.",
        (f"sum by (mapping) (rate(fnctl_batch_retries_total{{{OF}}}{RATE}))", "retries {{mapping}}"),
        (f"sum by (mapping) (rate(fnctl_batch_bisects_total{{{OF}}}{RATE}))", "cuts {{mapping}}"),
        (f"sum by (mapping) (rate(fnctl_records_failed_total{{{OF}}}{RATE}))", "charged attempts {{mapping}}"),
    ),
    panel(
        "Keys that wait for a retry",
        "short",
        "",
        (f"fnctl_shard_parked_keys{{{OF}}}", "{{mapping}} {{shard}}"),
    ),
    panel(
        "Shards",
        "short",
        "Those that should be run, those that are, and why not.",
        (f"fnctl_mapping_shards{{{OF}}}", "expected {{mapping}}"),
        (f"fnctl_mapping_shards_owned{{{OF}}}", "owned {{mapping}}"),
        (f"fnctl_mapping_shards_blocked{{{OF}}}", "blocked {{mapping}}"),
        (f"fnctl_mapping_shards_damaged{{{OF}}}", "damaged {{mapping}}"),
        (f"fnctl_mapping_circuit_open{{{OF}}}", "circuit open {{mapping}}"),
        (f"fnctl_mapping_host_fault{{{OF}}}", "cannot be called {{mapping}}"),
    ),
    panel(
        "Dead letters a second by kind",
        "cps",
        "",
        (f"sum by (error_kind) (rate(fnctl_records_dead_lettered_total{{{OF}}}{RATE}))", "{{error_kind}}"),
        stack=True,
    ),
    panel(
        "Dead letters a second by code",
        "cps",
        "The author's own codes; all beyond the first 20 of a mapping as other.",
        (f"sum by (mapping, code) (rate(fnctl_records_dead_lettered_by_code_total{{{OF}}}{RATE}))", "{{code}} {{mapping}}"),
        stack=True,
    ),
    panel(
        "Dead letters and their destination",
        "short",
        "Open here, and not brought yet.",
        (f"fnctl_dead_letters_open{{{OF}}}", "open {{mapping}}"),
        (f"fnctl_relay_pending_letters{{{OF}}}", "to be brought {{mapping}}"),
        (f"fnctl_relay_age_seconds{{{OF}}}", "oldest, seconds {{mapping}}"),
    ),
    panel(
        "Retention used",
        "percentunit",
        "At 100% records expire that nobody settled.",
        (
            f"max by (instance, mapping) (fnctl_shard_iterator_age_seconds{{{OF}}})"
            f" / on (instance, mapping) fnctl_mapping_retention_seconds{{{OF}}}",
            "{{mapping}}",
        ),
    ),
    panel("Open windows", "short", "", (f"fnctl_open_windows{{{OF}}}", "{{mapping}}")),
    panel(
        "State",
        "short",
        "1 for the state it is in.",
        (f"fnctl_mapping_state{{{OF}}} == 1", "{{state}} {{mapping}}"),
    ),
]

RUNTIME = [
    panel("Time of a call", "s", "", *quantiles("fnctl_invocation_duration_seconds", IN, "function")),
    panel(
        "Where a batch's time goes",
        "s",
        "Seconds a second: queue, wait for a slot, run, commit.",
        (f"sum by (stage) (rate(fnctl_stage_duration_seconds_sum{{{IN}}}{RATE}))", "{{stage}}"),
        stack=True,
    ),
    panel("From arrival to output", "s", "", *quantiles("fnctl_end_to_end_latency_seconds", IN, "function")),
    panel(
        "Records of a call",
        "short",
        "Mean.",
        (
            f"sum by (function) (rate(fnctl_batch_records_sum{{{IN}}}{RATE}))"
            f" / sum by (function) (rate(fnctl_batch_records_count{{{IN}}}{RATE}))",
            "{{function}}",
        ),
    ),
    panel(
        "Calls and records under way",
        "short",
        "",
        (f"fnctl_invocations_in_flight{{{IN}}}", "calls {{function}}"),
        (f"fnctl_lane_queue_records{{{IN}}}", "records in lanes {{function}}"),
    ),
    panel(
        "Guest CPU",
        "percentunit",
        "1 is a core.",
        (f"sum by (function) (rate(fnctl_guest_cpu_seconds_total{{{IN}}}{RATE}))", "{{function}}"),
        (f"sum by (function) (rate(fnctl_boundary_seconds_total{{{IN}}}{RATE}))", "boundary {{function}}"),
    ),
    panel(
        "Memory of an instance",
        "bytes",
        "Largest lately, and the limit.",
        (f"fnctl_instance_memory_bytes{{{IN}}}", "{{function}}"),
        (f"fnctl_instance_memory_limit_bytes{{{IN}}}", "limit {{function}}"),
    ),
    panel(
        "Instances",
        "short",
        "",
        (f"fnctl_instances_live{{{AT}}}", "live"),
        (f"fnctl_instances_warm{{{AT}}}", "warm"),
        (f"rate(fnctl_instances_created_total{{{AT}}}{RATE})", "made a second"),
    ),
    panel(
        "Making instances",
        "s",
        "",
        *quantiles("fnctl_instantiation_duration_seconds", IN, "function"),
    ),
    panel(
        "Compiling",
        "s",
        "Seconds a component, and what the cache had.",
        (
            f"increase(fnctl_component_compile_seconds_sum{{{AT}}}[1h])"
            f" / (increase(fnctl_component_compile_seconds_count{{{AT}}}[1h]) > 0)",
            "a component",
        ),
        (f"fnctl_component_cache_hits_total{{{AT}}}", "found"),
        (f"fnctl_component_cache_misses_total{{{AT}}}", "not found"),
    ),
    panel(
        "Canaries",
        "percentunit",
        "Share of the keys, and how often one was taken back.",
        (f"fnctl_function_canary_weight{{{IN}}}", "{{function}}"),
        (f"increase(fnctl_function_canary_rollbacks_total{{{IN}}}[1h])", "taken back {{function}} {{reason}}"),
    ),
    panel(
        "Log lines dropped a second",
        "cps",
        "",
        (f"rate(fnctl_log_lines_dropped_total{{{IN}}}{RATE})", "{{function}}"),
    ),
    panel(
        "What functions count",
        "cps",
        "Their own counters, a second.",
        (
            f'sum by (metric, function) (rate(label_join({{__name__=~"fnctl_custom_.+_total",{IN}}}'
            ', "metric", "", "__name__")[$__rate_interval:]))',
            "{{metric}} {{function}}",
        ),
    ),
    panel(
        "What functions measure",
        "short",
        "Their own gauges.",
        (
            f'sum by (metric, function) (label_join({{__name__=~"fnctl_custom_.+",__name__!~".+_total",{IN}}}'
            ', "metric", "", "__name__"))',
            "{{metric}} {{function}}",
        ),
    ),
    panel(
        "Process CPU",
        "percentunit",
        "1 is a core.",
        (f'rate(process_cpu_seconds_total{{job="fnctl",{AT}}}{RATE})', "process {{instance}}"),
        (f"rate(tokio_busy_seconds_total{{{AT}}}{RATE})", "host threads {{instance}}"),
    ),
    panel(
        "Process memory",
        "bytes",
        "",
        (f'process_resident_memory_bytes{{job="fnctl",{AT}}}', "{{instance}}"),
    ),
    panel(
        "Tasks and files",
        "short",
        "",
        (f"tokio_alive_tasks{{{AT}}}", "tasks"),
        (f"tokio_global_queue_depth{{{AT}}}", "tasks that wait"),
        (f'process_open_fds{{job="fnctl",{AT}}}', "files open"),
        (f'process_threads{{job="fnctl",{AT}}}', "threads"),
    ),
]

STORAGE = [
    panel(
        "Sync of the journal",
        "s",
        "Every put and commit waits for one.",
        *quantiles("fnctl_journal_sync_seconds", AT, "instance"),
    ),
    panel(
        "Written a second",
        "Bps",
        "",
        (f"rate(fnctl_journal_bytes_total{{{AT}}}{RATE})", "journal"),
        (f"rate(fnctl_segment_bytes_total{{{AT}}}{RATE})", "segments"),
        (f"rate(fnctl_scrub_bytes_total{{{AT}}}{RATE})", "read by the scrub"),
    ),
    panel(
        "Commits a second by answer",
        "cps",
        "",
        (f"sum by (answer) (rate(fnctl_commits_total{{{AT}}}{RATE}))", "{{answer}}"),
        stack=True,
    ),
    panel(
        "Disk",
        "bytes",
        "Puts are refused below twice the reserve.",
        (f"fnctl_disk_free_bytes{{{AT}}}", "free"),
        (f"fnctl_disk_reserve_bytes{{{AT}}}", "reserve"),
    ),
    panel(
        "Streams",
        "bytes",
        "The ten largest, and their quotas.",
        (f"topk(10, fnctl_stream_stored_bytes{{{AT}}})", "{{stream}}"),
        (f"fnctl_stream_quota_bytes{{{AT}}}", "quota {{stream}}"),
    ),
    panel(
        "Not applied yet, and in memory",
        "bytes",
        "",
        (f"fnctl_journal_unapplied_bytes{{{AT}}}", "unapplied"),
        (f"fnctl_tail_bytes{{{AT}}}", "tails"),
    ),
    panel(
        "Image and snapshot",
        "s",
        "Their ages; 0 where the image holds everything.",
        (f"fnctl_image_age_seconds{{{AT}}}", "image"),
        (f"fnctl_snapshot_age_seconds{{{AT}}}", "snapshot"),
    ),
    panel(
        "Images",
        "short",
        "Made a second, and entries that the last one lacks.",
        (f"rate(fnctl_image_cuts_total{{{AT}}}{RATE})", "made"),
        (f"fnctl_image_behind_entries{{{AT}}}", "entries behind"),
    ),
    panel(
        "Frames a second",
        "cps",
        "One sync each.",
        (f"rate(fnctl_journal_frames_total{{{AT}}}{RATE})", "{{instance}}"),
    ),
    panel(
        "Scrub",
        "s",
        "Since everything at rest was read, and how often that is begun.",
        (f"time() - (fnctl_scrub_last_pass_timestamp_seconds{{{AT}}} > 0)", "since the last pass"),
        (f"fnctl_scrub_period_seconds{{{AT}}}", "period"),
    ),
    panel(
        "Damage",
        "short",
        "Any is too much.",
        (f"fnctl_storage_damaged_places{{{AT}}}", "places known"),
        (f"sum by (file) (increase(fnctl_storage_errors_total{{{AT}}}[1h]))", "found {{file}}"),
    ),
    panel(
        "Puts under way",
        "bytes",
        "",
        (f"fnctl_puts_in_flight_bytes{{{AT}}}", "puts"),
        (f"fnctl_put_buffer_bytes{{{AT}}}", "lines"),
        (f"fnctl_kinesis_body_bytes{{{AT}}}", "Kinesis bodies"),
    ),
]

DASHBOARDS = {
    "overview": ("fnctl overview", ["instance", "mapping"], OVERVIEW),
    "mapping": ("fnctl mapping", ["instance", "mapping"], MAPPING),
    "runtime": ("fnctl runtime", ["instance", "function"], RUNTIME),
    "storage": ("fnctl storage", ["instance"], STORAGE),
}


def main():
    is_check = sys.argv[1:] == ["--check"]
    stale = []
    for name, (title, variables, panels) in DASHBOARDS.items():
        text = json.dumps(dashboard(name, title, variables, panels), indent=2) + "\n"
        path = HERE / f"{name}.json"
        if not is_check:
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            stale.append(str(path))
    if stale:
        sys.exit(f"not what generate.py writes, run `make reference`: {', '.join(stale)}")


main()
