//! Tells a pipeline what happened: calls that ended, commits on their way, records that were read.

use std::sync::Arc;

use fnctl_core::{
    clock::Clock,
    commit::{CommitAnswer, ErrorKind},
    committer::Committer,
    id::Ordinal,
    invoker::Invoker,
    outcome::Outcome,
    pipeline::{BlockMeta, Event, Fetched, Relocated},
    record::RecordBlock,
    source::{SourceError, describe},
};
use tracing::warn;

use crate::{
    poller::Read,
    shard_worker::{
        Exit, ShardWorker,
        calls::{Ended, OfCall},
        commits::Progress,
        timing,
    },
};

impl<I: Invoker, C: Committer, K: Clock> ShardWorker<I, C, K> {
    /// A call ended, or was taken back (then nobody waits for it).
    pub(super) fn called(&mut self, ended: Ended) -> Option<Event> {
        let OfCall {
            attempt,
            version,
            took,
            result,
        } = self.calls.ended(ended)?;
        match result {
            Ok(completed) => {
                let stats = completed.stats;
                self.metrics.mapping.invoked(completed.outcome.kind());
                if let Some(watched) = &self.assignment.watched {
                    let now = self.clock.now();
                    self.canaries
                        .ended(watched, version, &completed.outcome, now);
                }
                if !matches!(completed.outcome, Outcome::Interrupted) {
                    let boot_ms = self.clock.boot_ms();
                    timing::called(&self.metrics.function, took, &stats, boot_ms);
                }
                Some(Event::Invoked {
                    attempt,
                    outcome: completed.outcome,
                    state: completed.state,
                    cost: stats.into(),
                })
            }
            Err(fault) => {
                let mapping = &self.assignment.context.mapping;
                let shard = self.assignment.context.shard.shard_id();
                warn!(%mapping, %shard, error = fault, "failed to make a call, trying again");
                Some(Event::HostFault { attempt })
            }
        }
    }

    pub(super) fn committed(&mut self, progress: Progress) -> Result<Event, Exit> {
        let node = Arc::clone(&self.metrics.node);
        match progress {
            Progress::Answered {
                slot,
                number,
                answer,
                letters,
                dropped,
                bytes_out,
            } => {
                match answer {
                    CommitAnswer::Accepted(_) => {
                        node.commit_accepted();
                        self.charged.accepted(slot, number, &self.assignment);
                    }
                    CommitAnswer::Fenced => node.commit_fenced(),
                    CommitAnswer::Unavailable(_) => node.commit_unavailable(),
                    // No fault of anybody's: what was redriven is somebody else's by now.
                    CommitAnswer::Refused { .. } => node.commit_refused(),
                }
                self.metrics.mapping.bytes_out.inc_by(bytes_out);
                self.tell_letters(&letters);
                let of_age = letters
                    .iter()
                    .filter(|(kind, _)| *kind == ErrorKind::RecordTooOld);
                self.metrics.recent.aged(of_age.count() as u64);
                for (kind, code) in letters {
                    self.metrics.mapping.dead_lettered(kind, &code);
                }
                if dropped > 0 {
                    self.dropped(dropped);
                }
                Ok(Event::CommitAnswered {
                    slot,
                    number,
                    answer,
                })
            }
            Progress::NoRoom { slot } => Ok(Event::DropRefused { slot }),
            Progress::Durable {
                slot,
                number,
                awaited,
            } => {
                awaited.measured(&self.metrics.function, self.clock.now());
                Ok(Event::CommitDurable { slot, number })
            }
            Progress::Stopped(stopped) => Err(Exit::StoreStopped(stopped.0)),
        }
    }

    /// Records were given up and not kept. The log says so at the first one and whenever there are twice as
    /// many: a full stream stays full for a while.
    fn dropped(&self, letters: u64) {
        let before = self.pipeline.stats().totals.dropped;
        let after = before + letters;
        if before == 0 || before.ilog2() < after.ilog2() {
            let mapping = &self.assignment.context.mapping;
            warn!(%mapping, dropped = after, "the dead letters are full, dropping what is given up");
        }
    }

    pub(super) fn read(&mut self, read: Read) -> Result<Option<Event>, Exit> {
        Ok(Some(match read {
            Read::Fetched {
                after,
                records_max,
                blocks,
            } => Event::Fetched(self.fetched(after, records_max, blocks)),
            Read::Reread {
                slot,
                records,
                blocks,
            } => {
                let mut metas = Vec::with_capacity(blocks.len());
                let mut found = Vec::with_capacity(records.len());
                for block in blocks {
                    let (first, last) = (block.first, block.last());
                    let bytes = block.records.byte_len() as u64;
                    let id = self.blocks.push(block);
                    metas.push(BlockMeta { id, bytes });
                    let here = records.iter().filter(|p| first <= **p && **p <= last);
                    found.extend(here.map(|&position| Relocated {
                        position,
                        block: id,
                        index: u32::try_from(position.0 - first.0).unwrap_or(u32::MAX),
                    }));
                }
                Event::Reread {
                    slot,
                    blocks: metas,
                    records: found,
                }
            }
            Read::FetchFailed => Event::FetchFailed,
            Read::RereadFailed { slot } => Event::RereadFailed { slot },
            Read::Hole(damage) => {
                // The fetch stays under way: none is asked for behind it.
                self.hole = Some(self.met(*damage));
                return Ok(None);
            }
            Read::Tail(tail) => Event::TailAdvanced { tail },
            Read::Ended(SourceError::Damaged(damage)) => {
                return Err(Exit::Damaged(self.met(*damage)));
            }
            Read::Ended(SourceError::Gone) => return Err(Exit::Gone),
            // The entry that expired what is gone bumped the epoch as well.
            Read::Ended(SourceError::Trimmed { .. } | SourceError::Transient(_)) => {
                return Err(Exit::Fenced);
            }
        }))
    }

    fn fetched(
        &mut self,
        after: Ordinal,
        records_max: u32,
        blocks: Vec<Arc<RecordBlock>>,
    ) -> Fetched {
        let mut fetched = Fetched::default();
        let mut bytes = 0;
        for block in blocks {
            let taken = u32::try_from(fetched.records.len()).unwrap_or(u32::MAX);
            let left = records_max.saturating_sub(taken);
            if left == 0 || block.is_empty() || block.last() <= after {
                continue;
            }
            let id = self.blocks.push(Arc::clone(&block));
            let first = fetched.records.len();
            let meta = describe(&block, id, after, left, &mut fetched.records);
            bytes += meta.bytes;
            if let Some(judge) = &mut self.judge {
                let unparsable = judge.judge(&block, &mut fetched.records[first..]);
                self.metrics.mapping.unparsable.inc_by(unparsable);
            }
            fetched.blocks.push(meta);
        }
        self.metrics
            .mapping
            .polled
            .inc_by(fetched.records.len() as u64);
        self.metrics.mapping.bytes_in.inc_by(bytes);
        fetched
    }
}
