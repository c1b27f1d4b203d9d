//! Files of secrets that somebody else keeps: keys, tokens, a certificate's key. Whoever can log in to the machine must
//! not read them; that they can is told, and nothing is refused for it: such a file serves as well as another, and a
//! server that does not start after a restart is worse.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

/// What everybody but owner and group may do: read.
const OTHERS_READ: u32 = 0o004;

/// Says in the log that others may read a file. Its group may: that is how Kubernetes hands secrets on. Blocks.
pub(crate) fn look_at(path: &Path, what: &str) {
    if may_others_read(path) {
        tracing::warn!(
            path = %path.display(),
            what,
            "everybody on this machine may read a file of secrets: chmod o-rwx"
        );
    }
}

/// Whether others may read it. What cannot be looked at is told once it is read.
fn may_others_read(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & OTHERS_READ != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_may_read_what_is_not_for_owner_and_group_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("credentials");
        fs::write(&path, "[k]").expect("written");
        for (mode, is_open) in [(0o600, false), (0o440, false), (0o644, true), (0o604, true)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            assert_eq!(may_others_read(&path), is_open, "{mode:o}");
        }
        assert!(!may_others_read(&folder.path().join("none")));
    }
}
