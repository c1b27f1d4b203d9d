//! A journal in memory, with the real view in front of it: what was accepted, what is synced, and what
//! a crash leaves.

use std::{collections::BTreeMap, sync::Arc};

use fnctl_core::{
    breaker::Outages,
    commit::{AttemptMark, Commit, CommitAnswer, DeadLetter},
    entry::{Entry, UnitChange},
    id::{
        FunctionId, LeaseEpoch, Lsn, MappingId, Ordinal, OutputName, ShardNumber, StreamId,
        StreamName, Timestamp, UnitId,
    },
    mapping::{Mapping, MappingSettings, MappingState, OutputBinding},
    record::{ColumnBuilder, NewRecords},
    registry::RegistryChange,
    shard::{Ack, HashKeyRange, Shard, Stream, StreamOptions},
    view::{LETTERS_SHARD, NodeView, Sought, StreamRef, UnitView},
};

use crate::{guest::Nature, guest::key_bytes};

/// The stream that is read.
pub const SOURCE: StreamId = StreamId(1);
const LETTERS: StreamId = StreamId(2);
const FIRST_OUTPUT: StreamId = StreamId(3);

/// A record that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// Its key.
    pub key: u64,
    /// What the function does with it.
    pub nature: Nature,
    /// When it arrived: set where it is put.
    pub arrival: Timestamp,
}

/// The name of the output stream, whichever stream has it.
#[must_use]
pub fn output_name() -> StreamName {
    StreamName::parse("out").expect("a name")
}

/// What the function's outputs are bound to: a stream, and nothing.
#[must_use]
pub fn output_bindings() -> Arc<[OutputBinding]> {
    [OutputBinding::Stream(output_name()), OutputBinding::None].into()
}

/// The journal.
#[derive(Debug)]
pub struct Journal {
    /// All entries accepted and not lost.
    pub entries: Vec<Entry>,
    /// How many of them are synced.
    pub synced: usize,
    /// How many are in the frame being written; at least `synced`.
    pub written: usize,
    /// Everything accepted.
    pub view: NodeView,
    /// Everything synced.
    pub published: NodeView,
    /// The source shard's records by ordinal from 1.
    pub puts: Vec<Put>,
    /// Marks of the records that the last process died with.
    pub died_with: Vec<(UnitId, AttemptMark)>,
    /// The mapping at present.
    pub mapping: MappingId,
    /// Bodies of dead letters, accepted and not lost, by stream, by ordinal from 1.
    bodies: BTreeMap<StreamId, Vec<DeadLetter>>,
    /// The world is wrong: a letter may be redriven whatever became of it.
    pub takes_closed_letters: bool,
    /// The world is wrong: owners are not told of circuits that are open.
    pub forgets_outages: bool,
    next_stream: StreamId,
}

impl Journal {
    /// A journal that made the streams and the mapping.
    #[must_use]
    pub fn new(settings: &MappingSettings) -> Self {
        let mut journal = Self {
            entries: Vec::new(),
            synced: 0,
            written: 0,
            view: NodeView::new(),
            published: NodeView::new(),
            puts: Vec::new(),
            died_with: Vec::new(),
            mapping: MappingId(1),
            bodies: BTreeMap::new(),
            takes_closed_letters: false,
            forgets_outages: false,
            next_stream: FIRST_OUTPUT.next(),
        };
        journal.change(RegistryChange {
            streams: vec![
                stream(SOURCE, "in", false),
                stream(LETTERS, "letters", true),
                stream(FIRST_OUTPUT, "out", false),
            ],
            mappings: vec![mapping(journal.mapping, LETTERS, settings)],
            ..RegistryChange::default()
        });
        journal.write();
        journal.sync();
        journal
    }

    /// The unit at present.
    #[must_use]
    pub const fn unit(&self) -> UnitId {
        UnitId {
            mapping: self.mapping,
            stream: SOURCE,
            shard: ShardNumber(0),
        }
    }

    /// A record that was put.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn put_at(&self, position: Ordinal) -> Put {
        let index = usize::try_from(position.0 - 1).expect("an index");
        self.puts[index]
    }

    /// The unit as everything accepted has it.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn accepted(&self, unit: UnitId) -> &UnitView {
        self.view.unit(unit).expect("the unit exists")
    }

    /// The last published position of the source.
    #[must_use]
    pub fn published_tail(&self) -> Ordinal {
        self.published
            .tail(SOURCE, ShardNumber(0))
            .expect("the source exists")
            .last()
    }

    /// Puts records.
    ///
    /// # Panics
    /// If the view refuses them.
    pub fn put(&mut self, puts: &[Put], now: Timestamp) {
        let mut keys = ColumnBuilder::default();
        let mut data = ColumnBuilder::default();
        for put in puts {
            keys.push(&key_bytes(put.key));
            data.push(b"0123456789");
        }
        let records = Arc::new(NewRecords {
            keys: keys.finish(),
            data: data.finish(),
            hash_keys: vec![0; puts.len()],
            hops: Vec::new(),
            origins: Vec::new(),
        });
        let entry = self
            .view
            .evaluate_append(StreamRef::Id(SOURCE), &records, None, now)
            .expect("the source is open");
        self.append(entry);
        let arrival = self.puts.last().map_or(now, |last| last.arrival.max(now));
        let puts = puts.iter().map(|put| Put { arrival, ..*put });
        self.puts.extend(puts);
    }

    /// Appoints an owner; usable once `lsn` is synced.
    ///
    /// # Panics
    /// If the unit does not exist.
    pub fn lease(&mut self) -> (LeaseEpoch, Lsn) {
        let entry = self.view.evaluate_lease(&[self.unit()]);
        let Entry::Lease { grants } = &entry else {
            panic!("{entry:?}");
        };
        let epoch = grants[0].1;
        (epoch, self.append(entry))
    }

    /// Takes a commit, or says why not.
    pub fn commit(&mut self, commit: Commit, now: Timestamp) -> CommitAnswer {
        let commit = Arc::new(commit);
        let fault = self.view.commit_fault(&commit);
        assert!(
            !fault.is_some_and(|fault| fault.is_bug()),
            "an error of ours: {fault:?} in {commit:?}"
        );
        match self.view.evaluate_commit(&commit, now) {
            Ok(entry) => CommitAnswer::Accepted(self.append(entry)),
            Err(CommitAnswer::Refused { .. }) if self.takes_closed_letters => {
                self.commit_unguarded(&commit, now)
            }
            Err(answer) => answer,
        }
    }

    /// Takes a redrive without asking what became of its letter.
    fn commit_unguarded(&mut self, commit: &Arc<Commit>, now: Timestamp) -> CommitAnswer {
        let blind = Arc::new(Commit {
            redriven: None,
            ..Commit::clone(commit)
        });
        match self.view.evaluate_commit(&blind, now) {
            Ok(Entry::Commit {
                outputs,
                dead_letters,
                ..
            }) => CommitAnswer::Accepted(self.append(Entry::Commit {
                commit: Arc::clone(commit),
                outputs,
                dead_letters,
            })),
            Ok(entry) => panic!("{entry:?} is no commit"),
            Err(answer) => answer,
        }
    }

    /// The dead-letter stream of the mapping at present.
    ///
    /// # Panics
    /// If there is no mapping.
    #[must_use]
    pub fn letters_stream(&self) -> StreamId {
        let mapping = self.view.registry().mapping(self.mapping);
        mapping.expect("there always is one").dead_letters
    }

    /// The body of a letter; `None`: there is none, or it is lost.
    #[must_use]
    pub fn letter(&self, stream: StreamId, body: Ordinal) -> Option<&DeadLetter> {
        let index = usize::try_from(body.0.checked_sub(1)?).ok()?;
        self.bodies.get(&stream)?.get(index)
    }

    /// Where bodies of letters lie that are published, and open there, with their bytes.
    #[must_use]
    pub fn open_letters(&self, stream: StreamId) -> Vec<(Ordinal, u64)> {
        let view = &self.published;
        let last = view.tail(stream, LETTERS_SHARD).map_or(0, |t| t.last().0);
        let known = view.letters(stream);
        let is_open = |body: &Ordinal| known.is_none_or(|letters| letters.is_open(*body));
        let bytes = |body| self.letter(stream, body).map_or(0, DeadLetter::byte_len);
        let open = (1..=last).map(Ordinal).filter(is_open);
        open.map(|body| (body, bytes(body))).collect()
    }

    /// Throws letters away: how many.
    pub fn purge(&mut self, stream: StreamId, letters: &[(Ordinal, u64)]) -> u64 {
        let Some((entry, count)) = self.view.evaluate_purge(stream, letters) else {
            return 0;
        };
        self.append(entry);
        count
    }

    /// Sends the unit to the place after a record; its owner is fenced, or the world is wrong.
    ///
    /// # Panics
    /// If the unit does not exist.
    pub fn seek(&mut self, after: Ordinal, is_fenced: bool) -> Sought {
        let epoch = self.accepted(self.unit()).epoch;
        let sought = self.view.evaluate_seek(&[(self.unit(), after)]);
        let (mut entry, mut sought) = sought.expect("the unit exists");
        if let (false, Entry::Seek { seeks, .. }) = (is_fenced, &mut entry) {
            seeks[0].epoch = epoch;
        }
        self.append(entry);
        sought.remove(0)
    }

    /// Notes how far the relay of the mapping is; `None`: it is that far already.
    pub fn copied(&mut self, through: Ordinal, now: Timestamp) -> Option<Lsn> {
        let entry = self.view.evaluate_copied(self.mapping, through, now)?;
        Some(self.append(entry))
    }

    /// Changes the mapping's policy: its owner is fenced by the same entry.
    pub fn change_mapping(&mut self, settings: &MappingSettings) {
        let change = RegistryChange {
            mappings: vec![mapping(self.mapping, self.letters_stream(), settings)],
            ..RegistryChange::default()
        };
        self.change(change);
    }

    /// Deletes the mapping and makes one of the same name. Open letters outlive it.
    pub fn remake_mapping(&mut self, settings: &MappingSettings) {
        let deleted_mappings = vec![self.mapping];
        let letters = self.letters_stream();
        let deleted_streams = match self.view.open_in(letters) {
            0 => vec![letters],
            _ => Vec::new(),
        };
        self.mapping = self.mapping.next();
        let id = self.next_stream;
        self.next_stream = id.next();
        self.change(RegistryChange {
            streams: vec![stream(id, &format!("letters-{}", id.0), true)],
            mappings: vec![mapping(self.mapping, id, settings)],
            deleted_mappings,
            deleted_streams,
            ..RegistryChange::default()
        });
    }

    /// Deletes the output stream, or makes it anew. Nobody is fenced: lanes are held meanwhile.
    pub fn toggle_output(&mut self) {
        let name = output_name();
        let existing = self.view.registry().stream_by_name(&name).map(|s| s.id);
        match existing {
            Some(id) => self.change_catalogue(RegistryChange {
                deleted_streams: vec![id],
                ..RegistryChange::default()
            }),
            None => {
                let id = self.next_stream;
                self.next_stream = id.next();
                self.change_catalogue(RegistryChange {
                    streams: vec![stream(id, "out", false)],
                    ..RegistryChange::default()
                });
            }
        }
    }

    /// What a unit's owner is told of circuits that are open.
    #[must_use]
    pub fn told_of(&self, unit: UnitId) -> Outages {
        match self.published.unit(unit) {
            Some(view) if !self.forgets_outages => view.outages.clone(),
            _ => Outages::default(),
        }
    }

    /// The marks of a unit's records that the last process died with.
    #[must_use]
    pub fn died_with(&self, unit: UnitId) -> Vec<AttemptMark> {
        let of_unit = self.died_with.iter().filter(|(of, _)| *of == unit);
        of_unit.map(|(_, mark)| mark.clone()).collect()
    }

    /// Whether the output stream exists.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.view
            .registry()
            .stream_by_name(&output_name())
            .is_some()
    }

    /// Starts to write a frame with everything accepted.
    pub const fn write(&mut self) {
        if self.written == self.synced {
            self.written = self.entries.len();
        }
    }

    /// The frame is synced: publish.
    pub fn sync(&mut self) {
        for entry in &self.entries[self.synced..self.written] {
            self.published.apply(entry);
        }
        self.synced = self.written;
    }

    /// The node dies; the frame being written is on the disk or not. What is left is replayed, some of
    /// it twice, as redo may.
    pub fn crash(&mut self, keeps_frame: bool, repeats_from: usize) {
        let kept = if keeps_frame {
            self.written
        } else {
            self.synced
        };
        self.entries.truncate(kept);
        self.view = NodeView::new();
        for entry in &self.entries {
            self.view.apply(entry);
        }
        for entry in &self.entries[repeats_from.min(kept)..] {
            self.view.apply(entry);
        }
        if !keeps_frame {
            let left: BTreeMap<_, _> = self.view.units().collect();
            let right: BTreeMap<_, _> = self.published.units().collect();
            assert_eq!(left, right, "what was visible is retracted");
        }
        self.died_with = self.view.marks_in_hand().collect();
        self.synced = kept;
        self.written = kept;
        self.published = self.view.clone();
        let mapping = self.view.registry().mappings_of(SOURCE).next();
        self.mapping = mapping.expect("there always is one").id;
        let records = usize::try_from(self.published_tail().0).expect("few");
        self.puts.truncate(records);
        self.bodies.clear();
        for entry in &self.entries {
            keep_bodies(&mut self.bodies, entry);
        }
    }

    fn change(&mut self, change: RegistryChange) {
        let unit = self.unit();
        let fenced = self.view.unit(unit).map(|view| UnitChange {
            unit,
            epoch: view.epoch.next(),
            expired: None,
        });
        let units = fenced.into_iter().collect();
        self.append(Entry::Meta {
            change: Arc::new(change),
            units,
        });
    }

    fn change_catalogue(&mut self, change: RegistryChange) {
        self.append(Entry::Meta {
            change: Arc::new(change),
            units: Vec::new(),
        });
    }

    fn append(&mut self, entry: Entry) -> Lsn {
        self.view.apply(&entry);
        keep_bodies(&mut self.bodies, &entry);
        self.entries.push(entry);
        Lsn(self.entries.len() as u64)
    }
}

fn keep_bodies(bodies: &mut BTreeMap<StreamId, Vec<DeadLetter>>, entry: &Entry) {
    if let Entry::Commit {
        commit,
        dead_letters: Some(placement),
        ..
    } = entry
    {
        let of_stream = bodies.entry(placement.stream).or_default();
        of_stream.extend(commit.dead_letters.iter().cloned());
    }
}

fn stream(id: StreamId, name: &str, is_internal: bool) -> Arc<Stream> {
    Arc::new(Stream {
        id,
        name: StreamName::parse(name).expect("a name"),
        shards: vec![Shard {
            number: ShardNumber(0),
            range: HashKeyRange::initial(1)[0],
            created_at: Timestamp(0),
            parents: Vec::new(),
            is_closed: false,
        }],
        retention_ms: 86_400_000,
        ack: Ack::Synced,
        created_at: Timestamp(0),
        is_internal,
        options: StreamOptions::default(),
    })
}

fn mapping(id: MappingId, dead_letters: StreamId, settings: &MappingSettings) -> Arc<Mapping> {
    let output = OutputName::parse("default").expect("a name");
    Arc::new(Mapping {
        id,
        function: FunctionId(1),
        stream: SOURCE,
        stream_name: StreamName::parse("in").expect("a name"),
        dead_letters,
        settings: settings.clone(),
        outputs: BTreeMap::from([(output, OutputBinding::Stream(output_name()))]),
        state: MappingState::Running,
        state_since: Timestamp(0),
        starting_after: BTreeMap::new(),
        created_at: Timestamp(0),
    })
}
