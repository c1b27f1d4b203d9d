//! Does what a pipeline asks for.

use fnctl_core::{
    clock::Clock,
    committer::Committer,
    invoker::Invoker,
    pipeline::{Action, Invocation, StopReason},
};

use crate::{
    poller::ReadRequest,
    shard_worker::{
        Assignment, Exit, ShardWorker, call,
        timing::{self, Awaited},
    },
};

impl<I: Invoker, C: Committer, K: Clock> ShardWorker<I, C, K> {
    /// Does what the pipeline asked for, in order; a reason to end comes last.
    pub(super) fn perform(&mut self) -> Option<Exit> {
        let mut actions = std::mem::take(&mut self.actions);
        let mut exit = None;
        for action in actions.drain(..) {
            match action {
                Action::Fetch {
                    after,
                    records_max,
                    bytes_max,
                } => self.requests.push(ReadRequest::Fetch {
                    after,
                    records_max,
                    bytes_max,
                }),
                Action::Reread { slot, records } => {
                    self.requests.push(ReadRequest::Reread { slot, records });
                }
                Action::Invoke(invocation) => self.invoke(&invocation),
                Action::Interrupt { attempt } => self.calls.interrupt(attempt),
                Action::Commit(plan) => {
                    self.charged.planned(&plan, &self.blocks, &self.assignment);
                    let runs = self.calls.runs_of(plan.slot);
                    let awaited = Awaited::of(&plan, runs, self.calls.ended_at(plan.slot));
                    let outputs = self.assignment.outputs_of(plan.version);
                    let blocks = &self.blocks;
                    self.commits.send(*plan, outputs, blocks, runs, awaited);
                }
                Action::Resend {
                    slot,
                    number,
                    totals,
                    drops_letters,
                } => self.commits.resend(slot, number, totals, drops_letters),
                Action::DropCommit { slot, number } => {
                    self.commits.forget(slot, number);
                    self.charged.forget(slot, number);
                }
                Action::Redriven { ticket, ending } => self.redriving.ended(ticket, ending),
                Action::GivenUp {
                    position,
                    is_letter,
                } => self.giving_up.ended(position, is_letter),
                Action::Felt { version, sign } => self.tell_others(version, &sign),
                Action::AskTurn => self.turn.ask(),
                Action::EndTurn => self.turn.end(),
                Action::KeepOnly { block, records } => self.blocks.keep_only(block, &records),
                Action::ReleaseBlock(block) => self.blocks.release(block),
                Action::Stop(reason) => {
                    exit = Some(match reason {
                        StopReason::Fenced => Exit::Fenced,
                        StopReason::Drained => Exit::Drained,
                        StopReason::Fatal {
                            code,
                            message,
                            version,
                        } => Exit::Fatal {
                            code,
                            message,
                            version,
                        },
                    });
                }
            }
        }
        self.actions = actions;
        exit
    }

    fn invoke(&mut self, invocation: &Invocation) {
        timing::asked(&self.metrics, invocation);
        let Assignment {
            stream,
            shard_created_at,
            ..
        } = &self.assignment;
        let letter = invocation
            .redrive
            .and_then(|ticket| self.redriving.facts(ticket));
        let context = self.assignment.context_of(invocation.version);
        let other = letter.as_ref().and_then(|letter| letter.context.as_ref());
        let prepared = call::prepare(
            invocation,
            &self.blocks,
            other.unwrap_or(context),
            *stream,
            *shard_created_at,
            letter.as_ref().map(|letter| &letter.sequence_number),
        );
        let function = &self.metrics.function;
        timing::queued(function, invocation, &prepared.runs, self.clock.now());
        self.calls.start(&self.invoker, invocation, prepared);
    }
}
