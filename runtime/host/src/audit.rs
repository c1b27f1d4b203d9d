//! Who changed what, when, and how it ended: a stream of its own that `fnctl tail` reads.
//!
//! A line is put when the change is done, and before its answer is sent. A process that dies between the two
//! leaves a change without its line. Puts and other data are no changes. Refusals of strangers are counted and not told
//! here, and those of a token or key of too narrow a scope once a minute, so that nobody pushes history out by knocking.

mod refusals;

use std::{net::SocketAddr, path::Path, sync::Arc};

use fnctl_core::{
    error_code::ErrorCode,
    id::StreamName,
    record::{ColumnBuilder, NewRecords},
    registry::{Command, Refusal},
    shard::StreamOptions,
    spec::resolve::StreamSettings,
};
use fnctl_store::{AppendError, CommandError, Store};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tracing::{error, info};

use self::refusals::Refusals;
use crate::{api::error::ApiError, limits, metrics::Metrics};

/// The stream. Nothing but this server puts into it, and nobody deletes or reshards it.
pub(crate) const STREAM: &str = StreamName::AUDIT;

/// One change.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Act {
    /// `token:NAME`, `key:PROFILE`, `loopback` or `anyone`; `file:PATH` where a file was changed.
    pub(crate) who: String,
    /// The address it came from.
    pub(crate) peer: Option<String>,
    /// `api`, `kinesis` or `file`.
    pub(crate) via: &'static str,
    /// Method and path, the operation, or what a file says who may do; never a body or a parameter, which may hold
    /// secrets.
    pub(crate) what: String,
    /// The names in the body that say what it was done to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on: Option<String>,
    /// The status of the answer; `null` where whoever asked was gone before there was one.
    pub(crate) status: Option<u16>,
    /// The error's code, where it was refused or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// How often who it was had been refused for the scope of their token or key since the line before that said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused_before: Option<u64>,
}

/// Puts changes into the stream.
#[derive(Clone)]
pub(crate) struct Audit {
    store: Store,
    metrics: Arc<Metrics>,
    refusals: Arc<Refusals>,
}

impl Audit {
    /// Into the stream of this store.
    pub(crate) fn new(store: Store, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            metrics,
            refusals: Arc::default(),
        }
    }

    /// Notes that a token or key was refused for its scope: one line a minute for each, which says how many were
    /// refused before it and not told.
    pub(crate) async fn refused(&self, mut act: Act, status: u16, error: Option<String>) {
        let Some(before) = self.refusals.tell(&act.who) else {
            return;
        };
        act.status = Some(status);
        act.error = error;
        act.refused_before = (before > 0).then_some(before);
        self.note(&act).await;
    }

    /// Begins one. `tells_cut`: whether it is told as well when whoever asked is gone before it ends.
    pub(crate) fn begin(&self, act: Act, tells_cut: bool) -> Noting {
        Noting {
            audit: self.clone(),
            act: Some(act),
            tells_cut,
        }
    }

    /// Notes that a file lets others in than before, which is in force already.
    pub(crate) async fn file(&self, file: &Path, what: &str, on: Option<&str>) {
        let who = cut(&format!("file:{}", file.display()));
        let noting = self.begin(Act::new(who, None, "file", what), true);
        noting.ended(on, 200, None).await;
    }

    /// Puts one; what cannot be put is logged and counted, and the change stays.
    async fn note(&self, act: &Act) {
        if let Err(why) = self.put(act).await {
            self.metrics.audit_lost();
            error!(
                error = why,
                who = act.who,
                what = act.what,
                status = act.status,
                "the audit lost a change"
            );
        }
    }

    async fn put(&self, act: &Act) -> Result<(), String> {
        let json = serde_json::to_vec(act).map_err(|error| error.to_string())?;
        let name = StreamName::parse(STREAM).map_err(|error| error.to_string())?;
        let (mut keys, mut data) = (
            ColumnBuilder::with_capacity(1, act.who.len()),
            ColumnBuilder::with_capacity(1, json.len()),
        );
        keys.push(act.who.as_bytes());
        data.push(&json);
        let (keys, data) = (keys.finish(), data.finish());
        for _ in 0..2 {
            let records = NewRecords {
                hash_keys: vec![fnctl_streams::hash_key(act.who.as_bytes())],
                keys: keys.clone(),
                data: data.clone(),
                hops: Vec::new(),
                origins: Vec::new(),
            };
            match self.store.append(name.clone(), records, None).await {
                Ok(_) => return Ok(()),
                Err(AppendError::Refused(fnctl_core::view::AppendRefusal::NoSuchStream)) => {
                    self.make(&name).await?;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Err("the stream went at once".to_owned())
    }

    async fn make(&self, name: &StreamName) -> Result<(), String> {
        let settings = StreamSettings {
            shards: 1,
            retention_ms: limits::AUDIT_RETENTION_MS,
            options: StreamOptions {
                quota_bytes: Some(limits::AUDIT_QUOTA_BYTES),
                retention_bytes: Some(limits::AUDIT_BYTES),
                ..StreamOptions::default()
            },
            ..StreamSettings::default()
        };
        let command = Command::CreateStream {
            name: name.clone(),
            settings,
        };
        match self.store.command(command).await {
            Ok(_) | Err(CommandError::Refused(Refusal::StreamExists(_))) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The longest start of a text that a line tells.
fn cut(text: &str) -> String {
    let mut end = text.len().min(limits::AUDIT_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

impl Act {
    /// One that has not ended yet.
    pub(crate) fn new(
        who: String,
        peer: Option<SocketAddr>,
        via: &'static str,
        what: &str,
    ) -> Self {
        Self {
            who,
            peer: peer.map(|peer| peer.to_string()),
            via,
            what: cut(what),
            on: None,
            status: None,
            error: None,
            refused_before: None,
        }
    }

    /// What it is done to.
    pub(crate) fn done_to(&mut self, on: Option<&str>) {
        self.on = on.map(cut);
    }
}

/// A change under way.
pub(crate) struct Noting {
    audit: Audit,
    act: Option<Act>,
    tells_cut: bool,
}

impl Noting {
    /// How it ended; the line is in the stream when this returns.
    pub(crate) async fn ended(mut self, on: Option<&str>, status: u16, error: Option<String>) {
        if let Some(mut act) = self.act.take() {
            act.done_to(on);
            act.status = Some(status);
            act.error = error;
            self.audit.note(&act).await;
        }
    }
}

impl Noting {
    /// Who it turned out to be.
    pub(crate) fn by(&mut self, who: String) {
        if let Some(act) = &mut self.act {
            act.who = who;
        }
    }

    /// Nothing is noted.
    pub(crate) fn dropped(mut self) {
        self.act = None;
    }

    /// Says in the server's log who changed what, or tried to, whether the stream is told or not.
    pub(crate) fn logged(&self, on: Option<&str>, status: u16, code: Option<&str>) {
        if let Some(Act { who, what, .. }) = &self.act {
            info!(who, what, on, status, code, "asked for a change");
        }
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        if !self.tells_cut {
            return;
        }
        // Cut off: whether it was done is not known, that it was asked is.
        if let (Some(act), Ok(runtime)) = (self.act.take(), Handle::try_current()) {
            let audit = self.audit.clone();
            runtime.spawn(async move { audit.note(&act).await });
        }
    }
}

/// The refusal of a change of the stream itself.
pub(crate) fn refused() -> ApiError {
    let words = format!("stream `{STREAM}` is the server's own");
    ApiError::new(ErrorCode::NotAllowed, words)
        .at(STREAM)
        .because("who changed what is not to be changed")
        .fix(format!("read it: fnctl tail {STREAM} --from trim-horizon"))
}

/// The names in the body of a request that makes or deploys something; `None` for any other body.
pub(crate) fn names(body: &[u8]) -> Option<String> {
    /// What of a body is looked at, whatever else it says.
    #[derive(Deserialize)]
    struct Names {
        name: Option<String>,
        stream: Option<String>,
        function: Option<Function>,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Function {
        Name(String),
        Layer { name: Option<String> },
    }
    let names: Names = serde_json::from_slice(body).ok()?;
    let function = names.function.and_then(|function| match function {
        Function::Name(name) => Some(name),
        Function::Layer { name } => name,
    });
    let all: Vec<String> = [function, names.name, names.stream]
        .into_iter()
        .flatten()
        .collect();
    (!all.is_empty()).then(|| all.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_told_by_the_names_in_them_alone() {
        for (body, expected) in [
            (r#"{"name":"s","shards":3}"#, Some("s")),
            (
                r#"{"function":{"name":"f"},"secrets":{"k":"c2VjcmV0"}}"#,
                Some("f"),
            ),
            (r#"{"function":"f","stream":"s"}"#, Some("f/s")),
            (r#"{"to":3}"#, None),
            ("", None),
            ("[1]", None),
        ] {
            assert_eq!(names(body.as_bytes()).as_deref(), expected, "{body}");
        }
        assert_eq!(
            cut(&"é".repeat(limits::AUDIT_TEXT_BYTES)).len(),
            limits::AUDIT_TEXT_BYTES
        );
    }
}
