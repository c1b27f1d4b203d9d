//! Redrives that are under way: each is noted in `redrives.json` before it is answered, and taken up again by
//! the next start, so that what was asked for is done whatever happens to the process.
//!
//! A file and not the journal: a redrive is a wish about letters, whose ends are commits already. Taking it
//! up once too often meets letters that are closed, or that were stored anew since, and does nothing.

mod file;
mod job;
mod letter;

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    num::NonZeroU32,
    sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError},
};

use fnctl_core::{
    error_code::ErrorCode,
    id::{FunctionVersion, MappingId, Timestamp},
    mapping::MappingState,
    status::{CancelledRedrives, RedriveLine, RedrivingStatus},
};
use tokio::{sync::Mutex, task::JoinHandle};

use self::job::Job;
pub(crate) use self::job::{Ended, Progress, has_record};
use crate::{
    api::{dead_letters::Meant, error::ApiError},
    limits,
    node::HostNode,
    source::blocking,
};

/// What somebody asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Whose letters.
    pub(crate) mapping: MappingId,
    /// Which of them.
    pub(crate) meant: Meant,
    /// Another version than the live one.
    pub(crate) version: Option<FunctionVersion>,
    /// At most so many a second.
    pub(crate) rate: Option<NonZeroU32>,
    /// Who asked.
    pub(crate) by: String,
    /// When.
    pub(crate) at: Timestamp,
}

/// The redrives of a node.
#[derive(Debug, Default)]
pub(crate) struct Redrives {
    /// What the file says; held while it is written, so that one writes at a time.
    noted: Mutex<Noted>,
    running: StdMutex<BTreeMap<u64, Arc<Job>>>,
}

/// Requests by the order that they came in.
#[derive(Clone, Debug, Default)]
struct Noted {
    last: u64,
    all: BTreeMap<u64, Request>,
}

impl Noted {
    fn add(&mut self, request: Request) -> u64 {
        self.last += 1;
        self.all.insert(self.last, request);
        self.last
    }
}

/// A redrive that has begun.
pub(crate) struct Begun {
    /// How far it is.
    pub(crate) progress: Arc<Progress>,
    /// Ends with it.
    pub(crate) ended: JoinHandle<Result<Ended, ApiError>>,
}

impl Redrives {
    /// What is redriven of a mapping now, which has so many open letters: several redrives may mean one.
    pub(crate) fn of(&self, mapping: MappingId, open: u64) -> Option<RedrivingStatus> {
        let running = self.running();
        let jobs = running.values().filter(|job| job.mapping() == mapping);
        let all: Vec<RedrivingStatus> = jobs.filter_map(|job| job.status()).collect();
        let letters = all.iter().map(|one| one.letters).sum::<u64>().min(open);
        (letters > 0).then(|| RedrivingStatus {
            letters,
            // Where one is not held back they are not, taken together.
            rate: all.iter().map(|one| one.rate).sum(),
        })
    }

    /// Each redrive of a mapping that is under way, in the order that they came in.
    pub(crate) fn lines(&self, mapping: MappingId) -> Vec<RedriveLine> {
        let running = self.running();
        let jobs = running.values().filter(|job| job.mapping() == mapping);
        jobs.map(|job| job.line()).collect()
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Job>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes a redrive of so many letters and begins with it: it is durable when this returns.
///
/// # Errors
/// Too many are under way, or it cannot be noted; nothing was begun then.
pub(crate) async fn begin(
    node: &Arc<HostNode>,
    request: Request,
    letters: u64,
) -> Result<Begun, ApiError> {
    let node = Arc::clone(node);
    // Whoever asked may go away: what is noted is begun all the same.
    let begun = tokio::spawn(async move {
        // Held until it runs: what is noted and does not run could not be called off.
        let mut noted = node.redrives().noted.lock().await;
        let number = note(&node, &mut noted, request.clone()).await?;
        Ok(start(&node, number, request, Some(letters)))
    });
    begun.await.map_err(ApiError::internal)?
}

/// Takes up what was under way when the server ended. Called once, before anybody can ask for more.
pub(crate) async fn resume(node: &Arc<HostNode>) {
    if node.store().read_only().is_some() {
        // Nobody could take a letter, and the file is left as it is.
        return;
    }
    let data_dir = node.place().data_dir.clone();
    let read = match blocking(move || file::read(&data_dir)).await {
        Ok(read) => read,
        Err(words) => {
            tracing::error!(
                error = words,
                "redrives.json cannot be read: redrives that were under way do not go on; their letters are open: \
                 fnctl dlq redrive"
            );
            return;
        }
    };
    let mut noted = node.redrives().noted.lock().await;
    for request in read {
        if is_possible(node, request.mapping) {
            noted.add(request);
        }
    }
    if noted.all.is_empty() {
        return;
    }
    tracing::info!(
        redrives = noted.all.len(),
        "redrives that were under way go on"
    );
    for (&number, request) in &noted.all {
        drop(start(node, number, request.clone(), None));
    }
}

/// Whether letters of the mapping can still be given to anybody, now or later.
fn is_possible(node: &HostNode, mapping: MappingId) -> bool {
    node.view(|view| {
        let mapping = view.registry().mapping(mapping);
        mapping.is_some_and(|mapping| mapping.state != MappingState::Failed)
    })
}

/// Begins with what is noted; `letters`: how many it is, where they were counted.
fn start(node: &Arc<HostNode>, number: u64, request: Request, letters: Option<u64>) -> Begun {
    let job = Arc::new(Job::new(request, letters));
    let progress = Arc::clone(job.progress());
    node.redrives().running().insert(number, Arc::clone(&job));
    let node = Arc::clone(node);
    let ended = tokio::spawn(async move {
        let ended = job.run(&node).await;
        match &ended {
            Ok(Ended::All) => forget(&node, number).await,
            // It stays noted.
            Ok(Ended::Stopping) => {}
            // It was forgotten before it ended.
            Ok(Ended::Cancelled) => {}
            Err(error) => tracing::error!(
                mapping = node.view(|view| view.registry().address_of(job.mapping())),
                error = error.words(),
                "a redrive ended early; the next start of the server takes it up again"
            ),
        }
        node.redrives().running().remove(&number);
        ended
    });
    Begun { progress, ended }
}

async fn note(node: &HostNode, noted: &mut Noted, request: Request) -> Result<u64, ApiError> {
    if noted.all.len() >= limits::REDRIVES_MAX {
        let words = format!(
            "{} redrives are under way, and no more go at once",
            limits::REDRIVES_MAX
        );
        return Err(ApiError::new(ErrorCode::Throttled, words)
            .because("each is kept until its letters have ended")
            .fix(
                "the same again when one has ended (fnctl mappings describe tells); \
                 fewer with more letters each: --all, or --code CODE",
            ));
    }
    let mut with = noted.clone();
    let number = with.add(request);
    let bytes = file::text(with.all.values());
    if bytes.len() > limits::REDRIVES_BYTES_MAX {
        let words = format!(
            "the letters that redrives under way name one by one take more than {} bytes",
            limits::REDRIVES_BYTES_MAX
        );
        return Err(ApiError::new(ErrorCode::Throttled, words)
            .because("each redrive is kept until its letters have ended")
            .fix("name fewer at once, or all of them: --all, --code CODE"));
    }
    write(node, bytes, "nothing was redriven").await?;
    *noted = with;
    Ok(number)
}

/// Writes the file; `else_words` say what that has come to where it cannot be written.
async fn write(node: &HostNode, bytes: Vec<u8>, else_words: &str) -> Result<(), ApiError> {
    let data_dir = node.place().data_dir.clone();
    let written = blocking(move || file::write(&data_dir, &bytes)).await;
    written.map_err(|error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ApiError::new(
            ErrorCode::DiskFull,
            format!("no room to note the redrives: {else_words}"),
        ),
        _ => ApiError::internal(format!("redrives.json cannot be written: {error}")),
    })
}

/// Calls the redrives of a mapping off: none of them goes on, nor after a start of the server, once this returns.
/// A letter that its function has in hand ends as its call does; every other one is open as before.
///
/// # Errors
/// It cannot be noted; they go on then.
pub(crate) async fn cancel(
    node: &Arc<HostNode>,
    mapping: MappingId,
    by: String,
) -> Result<CancelledRedrives, ApiError> {
    let node = Arc::clone(node);
    // Whoever asked may go away: what is noted no more is ended all the same.
    let cancelled = tokio::spawn(async move {
        let mut noted = node.redrives().noted.lock().await;
        let mut without = noted.clone();
        without.all.retain(|_, request| request.mapping != mapping);
        if without.all.len() < noted.all.len() {
            let bytes = file::text(without.all.values());
            write(&node, bytes, "they go on").await?;
            *noted = without;
        }
        let jobs: Vec<Arc<Job>> = {
            let running = node.redrives().running();
            let of_mapping = running.values().filter(|job| job.mapping() == mapping);
            of_mapping.cloned().collect()
        };
        let redrives: Vec<RedriveLine> = jobs.iter().map(|job| job.line()).collect();
        for job in jobs {
            job.cancel();
        }
        let cancelled = redrives.len() as u64;
        tracing::info!(
            mapping = node.view(|view| view.registry().address_of(mapping)),
            redrives = cancelled,
            who = by,
            "redrives were called off"
        );
        Ok(CancelledRedrives {
            cancelled,
            redrives,
        })
    });
    cancelled.await.map_err(ApiError::internal)?
}

/// Takes away what has ended.
async fn forget(node: &HostNode, number: u64) {
    let mut noted = node.redrives().noted.lock().await;
    noted.all.remove(&number);
    let bytes = file::text(noted.all.values());
    let data_dir = node.place().data_dir.clone();
    if let Err(error) = blocking(move || file::write(&data_dir, &bytes)).await {
        // Taken up once more, it finds nothing to do.
        tracing::warn!(%error, "redrives.json cannot be written: a redrive that has ended stays noted");
    }
}
