//! Relays: each copies the dead letters of one mapping to where its settings say, in order, at least once,
//! from the stream that keeps them. A destination that refuses holds nothing but its relay: no lane, no
//! checkpoint, no other mapping.

mod file;
mod http;
mod letter;
mod stream;

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use fnctl_core::{
    destination::Destination,
    id::{MappingId, Ordinal, StreamId, Timestamp},
    retry::{exponential, full_jitter},
    view::{LETTERS_SHARD, LetterStatus},
};
use fnctl_store::DecideError;
use tokio::{task::JoinHandle, time::Duration};
use tracing::{error, info, warn};

use self::{http::HttpRelay, letter::RelayedLetter};
use crate::{
    limits,
    node::{HostNode, LettersRead, StoredLetter},
};

/// Why a destination did not take a letter, in words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(String);

/// What a delivery came to: how many letters of the front were taken, and why the next one was not.
type Delivered = (usize, Option<Refused>);

/// What is to be seen of a relay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    /// Letters brought since the server started.
    pub(crate) delivered: u64,
    /// Deliveries that failed since the server started.
    pub(crate) failures: u64,
    /// What holds it.
    pub(crate) held: Option<Held>,
}

/// A destination that refuses.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    /// Why.
    pub(crate) error: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// When it is tried again.
    pub(crate) next_try: Timestamp,
}

/// The standings of all relays of a node.
#[derive(Debug, Default)]
pub(crate) struct Relays(Mutex<HashMap<MappingId, Standing>>);

impl Relays {
    /// The standing of a mapping's relay; `None`: it has none, or none that did anything yet.
    pub(crate) fn standing(&self, mapping: MappingId) -> Option<Standing> {
        self.lock().get(&mapping).cloned()
    }

    fn change(&self, mapping: MappingId, change: impl FnOnce(&mut Standing)) {
        change(self.lock().entry(mapping).or_default());
    }

    fn retain(&self, is_kept: impl Fn(MappingId) -> bool) {
        self.lock().retain(|mapping, _| is_kept(*mapping));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<MappingId, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One relay, as the catalogue wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    letters: StreamId,
    to: Destination,
}

/// A relay that runs; dropped, it ends.
struct Task {
    wanted: Wanted,
    handle: JoinHandle<()>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// Keeps a relay for each mapping that has a destination, until the server drains. `server` names the data
/// directory, the same at every start.
pub(crate) async fn run(node: Arc<HostNode>, server: Arc<str>) {
    let mut changed = node.store().registry_changed();
    let mut drain = node.drain();
    let http = Arc::new(HttpRelay::new(server));
    let mut tasks: BTreeMap<MappingId, Task> = BTreeMap::new();
    loop {
        changed.mark_unchanged();
        let wanted = wanted(&node);
        // One that ended, because its mapping was gone for a moment, begins anew.
        tasks.retain(|mapping, task| {
            wanted.get(mapping) == Some(&task.wanted) && !task.handle.is_finished()
        });
        node.relays()
            .retain(|mapping| wanted.contains_key(&mapping));
        for (mapping, wanted) in wanted {
            tasks.entry(mapping).or_insert_with(|| {
                node.relays()
                    .change(mapping, |standing| standing.held = None);
                let relay = Relay {
                    node: Arc::clone(&node),
                    http: Arc::clone(&http),
                    mapping,
                    wanted: wanted.clone(),
                };
                let handle = tokio::spawn(async move {
                    // It ends with its mapping, or with the store.
                    let Err(Gone) = relay.run().await;
                });
                Task { wanted, handle }
            });
        }
        tokio::select! {
            _ = drain.wait_for(|draining| *draining) => return,
            gone = changed.changed() => if gone.is_err() {
                return;
            },
        }
    }
}

fn wanted(node: &HostNode) -> BTreeMap<MappingId, Wanted> {
    node.view(|view| {
        let mappings = view.registry().mappings();
        let with = mappings.filter_map(|mapping| {
            let relay = mapping.settings.on_failure.as_ref()?;
            let wanted = Wanted {
                letters: mapping.dead_letters,
                to: relay.to.clone(),
            };
            Some((mapping.id, wanted))
        });
        with.collect()
    })
}

/// The mapping, its letters or the store are gone.
struct Gone;

struct Relay {
    node: Arc<HostNode>,
    http: Arc<HttpRelay>,
    mapping: MappingId,
    wanted: Wanted,
}

impl Relay {
    async fn run(self) -> Result<Infallible, Gone> {
        let (node, letters) = (&self.node, self.wanted.letters);
        let mut tail = node
            .store()
            .watch(letters, LETTERS_SHARD)
            .map_err(|_| Gone)?;
        let mut failures = 0;
        loop {
            tail.mark_unchanged();
            let after = node
                .view(|view| view.copied_through(self.mapping))
                .ok_or(Gone)?;
            let (taken, refused) = match node
                .letters_behind(letters, after, limits::RELAYED_AT_ONCE_MAX)
                .await
            {
                Ok(read) if read.is_empty() && read.through == after => {
                    tail.changed().await.map_err(|_| Gone)?;
                    continue;
                }
                Ok(read) => {
                    self.tell_of_damaged(&read);
                    self.bring(&read.letters, read.through).await?
                }
                Err(error) => (0, Some(Refused(error.message().to_owned()))),
            };
            // A destination that takes some and refuses one begins to refuse anew.
            if taken > 0 || refused.is_none() {
                if failures > 0 {
                    info!(mapping = self.name(), to = %self.wanted.to, failures, "a destination takes dead letters again");
                }
                failures = 0;
                node.relays()
                    .change(self.mapping, |standing| standing.held = None);
            }
            if let Some(Refused(error)) = refused {
                failures += 1;
                self.hold(error, failures).await;
            }
        }
    }

    /// What cannot be read cannot be copied: it is named, and the rest is brought.
    fn tell_of_damaged(&self, read: &LettersRead) {
        let damaged = read.damaged.iter();
        let mut open = damaged.filter(|found| found.status == LetterStatus::Open);
        if let Some(first) = open.next() {
            let (mapping, to, letters) = (self.name(), &self.wanted.to, 1 + open.count());
            let error = format!("dead letter {}: {}", first.id, first.why);
            error!(mapping, %to, letters, error, "dead letters cannot be read: they are not copied");
        }
    }

    fn name(&self) -> String {
        self.node
            .view(|view| view.registry().address_of(self.mapping))
    }

    /// Brings those that are still open, and notes how far that went; `through` is where `read` ends.
    async fn bring(&self, read: &[StoredLetter], through: Ordinal) -> Result<Delivered, Gone> {
        let open = |letter: &&StoredLetter| letter.status == LetterStatus::Open;
        let open: Vec<&StoredLetter> = read
            .iter()
            .filter(open)
            .take(limits::RELAYED_AT_ONCE_MAX)
            .collect();
        let letters = self.node.view(|view| {
            let mapping = view.registry().mapping(self.mapping)?;
            let name = view.registry().address(mapping);
            let letters = open
                .iter()
                .map(|letter| RelayedLetter::of(self.mapping, &name, letter));
            Some(letters.collect::<Vec<_>>())
        });
        let letters = letters.ok_or(Gone)?;
        let wanted = letters.len();
        let (taken, refused) = match &self.wanted.to {
            _ if letters.is_empty() => (0, None),
            Destination::Stream(name) => stream::deliver(&self.node, name, &letters).await,
            Destination::Http(url) => self.http.deliver(url, &letters).await,
            Destination::File(path) => {
                let own = &self.node.place().own_files;
                file::deliver(path, own, letters).await
            }
        };
        let is_all = taken == wanted && wanted < limits::RELAYED_AT_ONCE_MAX;
        let last = taken.checked_sub(1).and_then(|last| open.get(last));
        // Behind the last open one there are only closed ones.
        let stands_at = if is_all {
            Some(through)
        } else {
            last.map(|letter| letter.body)
        };
        if let Some(stands_at) = stands_at {
            self.stand_at(stands_at).await?;
            let more = taken as u64;
            self.node
                .relays()
                .change(self.mapping, |standing| standing.delivered += more);
        }
        Ok((taken, refused))
    }

    /// Notes durably that everything up to `through` is there.
    async fn stand_at(&self, through: Ordinal) -> Result<(), Gone> {
        let mapping = self.mapping;
        let decided = self
            .node
            .store()
            .decide(move |view, now| {
                Ok::<_, Infallible>((view.evaluate_copied(mapping, through, now), ()))
            })
            .await;
        match decided {
            Ok(()) => Ok(()),
            Err(DecideError::Refused(never)) => match never {},
            Err(DecideError::Stopped(_)) => Err(Gone),
        }
    }

    /// Waits before the next try, longer each time.
    async fn hold(&self, error: String, failures: u32) {
        let (initial, max) = (
            limits::RELAY_BACKOFF_INITIAL_MS,
            limits::RELAY_BACKOFF_MAX_MS,
        );
        let ceiling = exponential(initial, max, failures);
        // Half of it at least: whoever refuses is to be left alone.
        let wait = ceiling / 2 + full_jitter(self.mapping.0, 0, failures, ceiling / 2);
        let now = self.node.now();
        let to = &self.wanted.to;
        if failures == 1 {
            warn!(mapping = self.name(), %to, error, "a destination takes no dead letters: they are kept, and brought later");
        }
        self.node.relays().change(self.mapping, |standing| {
            standing.failures += 1;
            let since = standing.held.as_ref().map_or(now, |held| held.since);
            standing.held = Some(Held {
                error,
                since,
                next_try: now.plus_ms(wait),
            });
        });
        tokio::time::sleep(Duration::from_millis(wait)).await;
        if failures > 1 {
            info!(mapping = self.name(), %to, failures, "trying the destination of dead letters again");
        }
    }
}
