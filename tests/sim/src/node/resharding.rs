//! Shards split and merge while everything else goes on.

use fnctl_core::{registry::Command, shard::Reshard};

use super::{
    Branch, World,
    control::name,
    life::{Node, poll_once},
};

/// Open shards of a stream, at most: a day is short.
const OPEN_SHARDS_MAX: usize = 5;

impl World {
    /// Now and then splits a shard of a stream, merges two, or asks for a number of them.
    pub(super) fn reshard(&mut self, node: &mut Node) {
        if self.profile.reshard == 0 || !self.reshards.chance(self.profile.reshard) {
            return;
        }
        let text = self.reshards.pick(&["in", "in", "out", "short"]);
        let open: Vec<_> = node.store.view(|view| {
            let stream = view.registry().stream_by_name(&name(text));
            let mut open: Vec<_> = stream
                .into_iter()
                .flat_map(|stream| stream.open_shards())
                .map(|shard| (shard.range.start, shard.number))
                .collect();
            open.sort_unstable();
            open.into_iter().map(|(_, number)| number).collect()
        });
        if open.is_empty() {
            return;
        }
        let (shard, at) = (self.reshards.pick(&open), self.reshards.next());
        let at = at as usize % open.len();
        let how = match self.reshards.below(5) {
            0 => Reshard::Resize {
                shards: u32::try_from(self.reshards.between(1, 4)).expect("few"),
            },
            1 | 2 if open.len() < OPEN_SHARDS_MAX => Reshard::Split { shard, at: None },
            _ => match open.get(at..at + 2) {
                Some([shard, adjacent]) => Reshard::Merge {
                    shard: *shard,
                    adjacent: *adjacent,
                },
                _ => return,
            },
        };
        self.say(format_args!("reshard {text}: {how:?}"));
        self.coverage.note(Branch::Resharded);
        let store = node.store.clone();
        let mut request = Box::pin(async move {
            let name = name(text);
            // Another one may have come first, and then it is refused.
            drop(store.command(Command::Reshard { name, how }).await);
        });
        if poll_once(request.as_mut()).is_pending() {
            node.scratches.push(request);
        }
    }
}
