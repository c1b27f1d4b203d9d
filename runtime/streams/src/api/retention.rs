//! What the two operations that set the retention share.

use crate::{
    api::{call::Call, stream_description::hours_ms},
    limits::{RETENTION_HOURS_MAX, RETENTION_HOURS_MIN},
    log::Log,
    protocol::{
        error::{ApiError, ErrorCode},
        member::{Checked, Kind, Member, Rule, STREAM_ARN, STREAM_NAME},
    },
};

pub(super) const MEMBERS: &[Member] = &[
    Member {
        name: "RetentionPeriodHours",
        kind: Kind::Integer,
        rules: &[Rule::NotNull],
    },
    STREAM_NAME,
    STREAM_ARN,
];

/// The hours asked for.
///
/// # Errors
/// They lie outside 24 to 8760.
pub(super) fn hours(request: Checked<'_>) -> Result<u64, ApiError> {
    let hours = request.integer("RetentionPeriodHours").unwrap_or(0);
    let refuse = |bound: &str, limit, direction: &str| {
        Err(ApiError::new(
            ErrorCode::InvalidArgument,
            format!(
                "{bound} allowed retention period is {limit} hours. Requested retention period \
                 ({hours} hours) is too {direction}."
            ),
        ))
    };
    match u64::try_from(hours) {
        Ok(hours) if hours > RETENTION_HOURS_MAX => refuse("Maximum", RETENTION_HOURS_MAX, "long"),
        Ok(hours) if hours >= RETENTION_HOURS_MIN => Ok(hours),
        _ => refuse("Minimum", RETENTION_HOURS_MIN, "short"),
    }
}

/// Sets the retention.
///
/// # Errors
/// The store refuses or has stopped.
pub(super) async fn set<L: Log>(
    call: &Call<'_, L>,
    stream: &fnctl_core::shard::Stream,
    hours: u64,
) -> Result<Vec<u8>, ApiError> {
    match call.log.set_retention(&stream.name, hours_ms(hours)).await {
        Ok(()) => Ok(Vec::new()),
        Err(error) => Err(call.command_failed(&stream.name, error)),
    }
}

/// The wrong one of the two operations was called.
pub(super) fn wrong_direction(
    name: &fnctl_core::id::StreamName,
    asked: u64,
    now: u64,
    direction: &str,
    operation: &str,
) -> ApiError {
    ApiError::new(
        ErrorCode::InvalidArgument,
        format!(
            "Requested retention period ({asked} hours) for stream {name} can not be {direction} \
             than existing retention period ({now} hours). Use {operation} API."
        ),
    )
}
