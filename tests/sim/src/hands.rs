//! What a person does to records that are not done.

use fnctl_core::{
    id::Ordinal,
    pipeline::{Event, ShardPipeline},
};

use crate::random::Random;

/// Has one tried now, or everything that waits, or gives it up, or all of its key; `None`: an owner has none that is not done.
pub(crate) fn draw(pipeline: &ShardPipeline, random: &mut Random) -> Option<Event> {
    let unsettled: Vec<Ordinal> = pipeline.inspect().unsettled;
    if unsettled.is_empty() {
        return None;
    }
    if random.chance(150) {
        return Some(Event::ReleaseAll);
    }
    let mut positions = vec![random.pick(&unsettled)];
    if random.chance(300) {
        return Some(Event::Release { positions });
    }
    if random.chance(300) {
        positions = pipeline.records_of_keys(&positions);
    }
    let by = "somebody".into();
    Some(Event::GiveUp { positions, by })
}
