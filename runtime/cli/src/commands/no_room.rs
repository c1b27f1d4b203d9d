//! What is said of a server whose disk has no room.

use fnctl_core::spec::request::NoRoom;

use crate::output::pasted;

/// What gives room, a line each.
pub(crate) fn fixes(no_room: &NoRoom) -> Vec<String> {
    let steps = no_room.actions.iter();
    steps
        .map(|step| format!("{}        {}", step.command, step.effect))
        .collect()
}

/// What is said and what to do, a line each.
pub(crate) fn words(no_room: &NoRoom) -> Vec<String> {
    let fixes = fixes(no_room);
    let fixes = fixes.iter().map(|fix| format!("  {}", pasted::line(fix)));
    [no_room.message.clone()].into_iter().chain(fixes).collect()
}
