//! Watches what a function does: rows it publishes, records it gives up, lines it writes.

use std::{collections::BTreeSet, time::Duration};

use fnctl_core::{
    spec::request::DeployedMapping,
    status::{DeadLetterStatus, LogLine, TailLine},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::event::Event;
use crate::{
    client::{Client, Lines},
    error::CliError,
};

/// How often the next dead letter of a mapping is asked for: one small request on loopback.
const DEAD_LETTER_INTERVAL: Duration = Duration::from_millis(250);

/// Tasks that end with this value.
pub(super) struct Followers {
    client: Client,
    events: mpsc::Sender<Event>,
    known: BTreeSet<String>,
    tasks: JoinSet<()>,
}

impl Followers {
    pub(super) fn new(client: Client, events: mpsc::Sender<Event>) -> Self {
        Self {
            client,
            events,
            known: BTreeSet::new(),
            tasks: JoinSet::new(),
        }
    }

    /// Follows what is not followed yet. What happens after this returns is seen.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn follow(
        &mut self,
        function: &str,
        mappings: &[DeployedMapping],
        streams: &BTreeSet<String>,
    ) -> Result<(), CliError> {
        for stream in streams {
            if self.known.insert(format!("stream/{stream}")) {
                let path = ["v1", "streams", stream, "records"];
                let lines = self
                    .client
                    .lines(&path, &[("from", "latest"), ("follow", "true")])
                    .await?;
                let stream = stream.clone();
                self.tasks
                    .spawn(lines_of(lines, self.events.clone(), move |line| {
                        let record: TailLine = serde_json::from_slice(line).ok()?;
                        Some(Event::Out {
                            stream: stream.clone(),
                            record,
                        })
                    }));
            }
        }
        if self.known.insert(format!("function/{function}")) {
            let path = ["v1", "functions", function, "logs"];
            let lines = self
                .client
                .lines(&path, &[("follow", "true"), ("tail", "0")])
                .await?;
            self.tasks
                .spawn(lines_of(lines, self.events.clone(), |line| {
                    let line: LogLine = serde_json::from_slice(line).ok()?;
                    Some(Event::Log { line })
                }));
        }
        for mapping in mappings {
            if self.known.insert(format!("mapping/{}", mapping.id)) {
                let mut letters = Letters::new(self.client.clone(), mapping);
                letters.pass_old().await?;
                self.tasks.spawn(letters.follow(self.events.clone()));
            }
        }
        Ok(())
    }
}

async fn lines_of(
    mut lines: Lines,
    events: mpsc::Sender<Event>,
    read: impl Fn(&[u8]) -> Option<Event>,
) {
    while let Ok(Some(line)) = lines.next().await {
        if let Some(event) = read(&line)
            && events.send(event).await.is_err()
        {
            return;
        }
    }
}

/// Dead letters of one mapping, in the order of their ids, which have no gap.
struct Letters {
    client: Client,
    mapping: String,
    name: String,
    next: u64,
}

impl Letters {
    fn new(client: Client, mapping: &DeployedMapping) -> Self {
        Self {
            client,
            mapping: mapping.id.clone(),
            name: mapping.name.clone(),
            next: 1,
        }
    }

    async fn get(&self, id: u64) -> Result<Option<DeadLetterStatus>, CliError> {
        let id = id.to_string();
        let path = ["v1", "mappings", self.mapping.as_str(), "dead-letters", &id];
        match self.client.get(&path, &[]).await {
            Ok(letter) => Ok(Some(letter)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds the first id that is not given yet: doubling, then halving.
    async fn pass_old(&mut self) -> Result<(), CliError> {
        let mut free = 1;
        while self.get(free).await?.is_some() {
            self.next = free + 1;
            free *= 2;
        }
        while self.next < free {
            let middle = self.next + (free - self.next) / 2;
            if self.get(middle).await?.is_some() {
                self.next = middle + 1;
            } else {
                free = middle;
            }
        }
        Ok(())
    }

    async fn follow(mut self, events: mpsc::Sender<Event>) {
        let mut ticks = interval(DEAD_LETTER_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            while let Ok(Some(letter)) = self.get(self.next).await {
                self.next += 1;
                let event = Event::Dead {
                    mapping: self.name.clone(),
                    letter,
                };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
    }
}
