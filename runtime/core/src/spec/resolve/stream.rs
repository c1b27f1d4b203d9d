//! Settles how a stream is made, and how one is changed.

use super::{Problems, StreamSettings};
use crate::{
    limits,
    shard::{Stream, StreamOptions},
    spec::{StreamSpec, later, size::ByteSize},
};

/// Settles how a stream is made. `path` is where the layer stands, `streams.signups`.
pub fn stream(spec: &StreamSpec, path: &str, problems: &mut Problems) -> StreamSettings {
    let default = StreamSettings::default();
    problems.unknown(path, &spec.unknown.0, StreamSpec::KEYS, later::STREAM_LATER);
    let at = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    let shards = problems.count(
        &at("shards"),
        spec.shards.as_ref(),
        [
            default.shards.into(),
            default.shards.into(),
            1,
            limits::STREAM_SHARDS_MAX.into(),
        ],
    );
    StreamSettings {
        shards: u32::try_from(shards).unwrap_or(u32::MAX),
        retention_ms: problems.duration(
            &at("retention"),
            spec.retention.as_ref(),
            [
                default.retention_ms,
                default.retention_ms,
                limits::RETENTION_MS_MIN,
                limits::RETENTION_MS_MAX,
            ],
        ),
        ack: problems.pick(&at("ack"), spec.ack.as_ref(), default.ack, default.ack),
        options: StreamOptions {
            record_bytes_max: problems.size(
                &at("max_record_size"),
                spec.max_record_size.as_ref(),
                [
                    default.options.record_bytes_max,
                    default.options.record_bytes_max,
                    limits::STREAM_RECORD_BYTES_MIN,
                    limits::STREAM_RECORD_BYTES_MAX,
                ],
            ),
            ..bounds(spec, default.options, &at, problems)
        },
    }
}

/// Settles a layer on top of a stream that is there. What was fixed when it was made is refused.
pub fn alter_stream(stream: &mut Stream, spec: &StreamSpec, problems: &mut Problems) {
    problems.unknown("", &spec.unknown.0, StreamSpec::KEYS, later::STREAM_LATER);
    for (key, is_given) in [
        ("shards", spec.shards.is_some()),
        ("ack", spec.ack.is_some()),
        ("max_record_size", spec.max_record_size.is_some()),
    ] {
        if is_given {
            problems.push(key, "it is fixed when the stream is made");
        }
    }
    stream.retention_ms = problems.duration(
        "retention",
        spec.retention.as_ref(),
        [
            stream.retention_ms,
            limits::RETENTION_MS_DEFAULT,
            limits::RETENTION_MS_MIN,
            limits::RETENTION_MS_MAX,
        ],
    );
    let options = stream.options.clone();
    stream.options = bounds(spec, options, &str::to_owned, problems);
}

/// Settles what bounds a stream's bytes.
fn bounds(
    spec: &StreamSpec,
    live: StreamOptions,
    at: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) -> StreamOptions {
    let mut bound = |key: &str, given, live| {
        let least = limits::STREAM_QUOTA_BYTES_MIN;
        problems.bound(&at(key), given, live, least)
    };
    let quota_bytes = bound("quota", spec.quota.as_ref(), live.quota_bytes);
    let retention_bytes = bound(
        "retention_bytes",
        spec.retention_bytes.as_ref(),
        live.retention_bytes,
    );
    if let (Some(quota), Some(bytes)) = (quota_bytes, retention_bytes)
        && bytes >= quota
    {
        let (bytes, quota) = (ByteSize { bytes }, ByteSize { bytes: quota });
        problems.push(
            at("retention_bytes"),
            format!("{bytes} is not below the quota, {quota}: puts would be refused before anything goes"),
        );
    }
    StreamOptions {
        quota_bytes,
        retention_bytes,
        ..live
    }
}
