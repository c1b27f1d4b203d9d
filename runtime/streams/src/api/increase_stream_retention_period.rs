//! IncreaseStreamRetentionPeriod.

use crate::{
    api::{
        call::Call,
        retention::{hours, set, wrong_direction},
        stream_description::retention_hours,
    },
    log::Log,
    protocol::{error::ApiError, member::Checked},
};

pub(super) async fn answer<L: Log>(
    call: &Call<'_, L>,
    request: Checked<'_>,
) -> Result<Vec<u8>, ApiError> {
    let stream = call.stream(request)?;
    let (asked, now) = (hours(request)?, retention_hours(&stream));
    if asked < now {
        let use_instead = "DecreaseRetentionPeriod";
        return Err(wrong_direction(
            &stream.name,
            asked,
            now,
            "shorter",
            use_instead,
        ));
    }
    set(call, &stream, asked).await
}
