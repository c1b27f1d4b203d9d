//! `context`: facts on demand.

use std::time::Instant;

use wasmtime::Result;

use super::HostState;
use crate::{bindings::fnctl::function::context::Host, limits::RETURN_MARGIN};

impl Host for HostState {
    fn mapping(&mut self) -> Result<String> {
        Ok(self.call("context.mapping")?.context.mapping.to_string())
    }

    fn stream_name(&mut self) -> Result<String> {
        Ok(self.call("context.stream-name")?.context.stream.to_string())
    }

    fn shard_id(&mut self) -> Result<String> {
        Ok(self.call("context.shard-id")?.context.shard.shard_id())
    }

    fn function_version(&mut self) -> Result<u64> {
        Ok(self.call("context.function-version")?.context.version.0)
    }

    fn remaining_ms(&mut self) -> Result<u64> {
        let margin = RETURN_MARGIN.min(self.version.timeout / 10);
        let left = match self.version.fixed {
            None => self.deadline.saturating_duration_since(Instant::now()),
            Some(_) => self.version.timeout,
        };
        let left = left.saturating_sub(margin);
        Ok(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }

    fn attempt(&mut self, index: u32) -> Result<u32> {
        Ok(self
            .call_with("context.attempt", index)?
            .facts
            .attempt(index))
    }

    fn sequence_number(&mut self, index: u32) -> Result<String> {
        Ok(self
            .call_with("context.sequence-number", index)?
            .facts
            .sequence_number(index))
    }

    fn record_id(&mut self, index: u32) -> Result<String> {
        Ok(self
            .call_with("context.record-id", index)?
            .facts
            .record_id(index))
    }

    fn header(&mut self, index: u32, name: String) -> Result<Option<Vec<u8>>> {
        Ok(self
            .call_with("context.header", index)?
            .facts
            .header(index, &name))
    }
}
