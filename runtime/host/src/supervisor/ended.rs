//! What is done about a worker that ended.

use fnctl_core::{id::UnitId, registry::Command};
use tokio::{
    task::{Id, JoinError},
    time::Instant,
};
use tracing::error;

use super::{Fault, Node, Running, Task, UnitStatus};
use crate::{backoff, limits, shard_worker::Exit};

impl<N: Node> Task<N> {
    pub(super) async fn ended(&mut self, ended: Result<(Id, Exit), JoinError>) {
        let (task, exit) = match ended {
            Ok((task, exit)) => (task, Ok(exit)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(unit) = self.units.remove(&task) else {
            return;
        };
        let Some(running) = self.running.remove(&unit) else {
            return;
        };
        self.statuses.set(unit, None);
        let mapping = unit.mapping;
        match exit {
            Ok(Exit::Drained | Exit::Gone) => drop(self.faults.remove(&unit)),
            Ok(Exit::Fenced) => {
                // Expected after a change from outside; anything else must not spin.
                let is_planned = self.node.view(|view| {
                    view.unit(unit)
                        .is_none_or(|unit| unit.epoch != running.epoch)
                });
                if !is_planned {
                    self.fault(unit, &running, "it was fenced without another owner");
                }
            }
            Ok(Exit::Fatal {
                code,
                message,
                version,
            }) => {
                let name = self.name_of(unit);
                error!(
                    mapping = %name, shard = %unit.shard.shard_id(), code = &*code, error = &*message, %version,
                    "the function said fatal"
                );
                let command = Command::StopMapping {
                    mapping,
                    code: code.to_string(),
                    message: message.to_string(),
                    version,
                };
                match self.node.command(command).await {
                    // The catalogue keeps the unit from now on, or has taken the canary back;
                    // should it have said no, the next try comes after a pause.
                    Ok(()) => {
                        let pause = limits::FAULT_BACKOFF_INITIAL;
                        let until = Some(Instant::now() + pause);
                        self.faults.insert(unit, Fault { pause, until });
                    }
                    Err(stopped) => self.store_stopped(&stopped.0),
                }
            }
            Ok(Exit::Damaged(hole)) => {
                let (mapping, at) = (self.name_of(unit), &hole.damage);
                let stream = self.node.view(|view| {
                    let stream = view.registry().stream(unit.stream)?;
                    Some(stream.name.to_string())
                });
                error!(
                    %mapping, stream, shard = %unit.shard.shard_id(), path = at.path, offset = at.offset,
                    error = at.words, "the shard is damaged, its unit stops"
                );
                let fault = Fault {
                    pause: limits::FAULT_BACKOFF_MAX,
                    until: None,
                };
                self.faults.insert(unit, fault);
                self.statuses.set(unit, Some(UnitStatus::Damaged(hole)));
            }
            Ok(Exit::StoreStopped(words)) => self.store_stopped(&words),
            // Fenced from outside, or cut off.
            Err(error) if error.is_cancelled() => {}
            Err(error) => self.fault(unit, &running, &error.to_string()),
        }
    }

    fn name_of(&self, unit: UnitId) -> String {
        self.node
            .view(|view| view.registry().address_of(unit.mapping))
    }

    /// Keeps a unit from starting again at once.
    fn fault(&mut self, unit: UnitId, running: &Running, words: &str) {
        let mapping = self.name_of(unit);
        error!(%mapping, shard = %unit.shard.shard_id(), error = words, "a worker failed, starting it again after a pause");
        self.node.worker_failed();
        let before = self.faults.get(&unit).map(|fault| fault.pause);
        let has_lasted = running.started.elapsed() >= limits::FAULT_BACKOFF_MAX;
        let pause = backoff::next(before.filter(|_| !has_lasted));
        let until = Some(Instant::now() + pause);
        self.faults.insert(unit, Fault { pause, until });
        self.statuses
            .set(unit, Some(UnitStatus::Faulted(words.to_owned())));
    }

    pub(super) fn store_stopped(&mut self, words: &str) {
        self.is_ending = true;
        self.stopped.send_if_modified(|told| {
            let is_news = told.is_none();
            if is_news {
                *told = Some(words.to_owned());
            }
            is_news
        });
        for running in self.running.values() {
            running.task.abort();
        }
    }
}
