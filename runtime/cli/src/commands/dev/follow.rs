//! Watches what a function does: rows it publishes, records it gives up, lines it writes.

use std::collections::BTreeSet;

use fnctl_core::{
    spec::request::DeployedMapping,
    status::{DeadLetterStatus, LogLine, RetryLine, TailLine},
};
use tokio::{sync::mpsc, task::JoinSet};

use super::event::Event;
use crate::{
    client::{Client, Lines},
    error::CliError,
};

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
                    .lines(
                        &path,
                        &[("from", "latest"), ("follow", "true"), ("latency", "true")],
                    )
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
                let path = ["v1", "mappings", &mapping.id, "retries"];
                let lines = self.client.lines(&path, &[("follow", "true")]).await?;
                let name = mapping.name.clone();
                self.tasks
                    .spawn(lines_of(lines, self.events.clone(), move |line| {
                        let mapping = name.clone();
                        Some(match serde_json::from_slice(line).ok()? {
                            RetryLine::Retry(retry) => Event::Retry { mapping, retry },
                            RetryLine::Missed { missed } => {
                                Event::RetriesMissed { mapping, missed }
                            }
                        })
                    }));
                let path = ["v1", "mappings", &mapping.id, "dead-letters"];
                let lines = self.client.lines(&path, &[("follow", "true")]).await?;
                let (name, function) = (mapping.name.clone(), function.to_owned());
                // The function alone is its mapping's address while it has one.
                let address = if mappings.len() == 1 {
                    function
                } else {
                    name.clone()
                };
                self.tasks
                    .spawn(lines_of(lines, self.events.clone(), move |line| {
                        let letter: DeadLetterStatus = serde_json::from_slice(line).ok()?;
                        Some(Event::Dead {
                            mapping: name.clone(),
                            show: format!("fnctl dlq show {address} {}", letter.id),
                            letter,
                        })
                    }));
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
