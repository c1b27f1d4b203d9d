//! `FN5`: the data directory, its disk and its backups.

use super::{Explanation, explained};
use crate::error_code::ErrorCode;

pub(super) const ALL: &[Explanation] = &[
    explained(
        ErrorCode::DiskFull,
        "No room for new records",
        "Less than twice the reserve is free on the disk of the data directory; the reserve, 320MiB and a little, is kept for progress and \
         clean-up. Puts are refused below about 640MiB, reads and the settling of records go on, and puts are taken again by themselves \
         once there is room. The error says both figures, and so do fnctl_disk_free_bytes and fnctl_disk_reserve_bytes.",
        &[
            "free space on the disk of --data-dir: df -h D",
            "shorten a stream's retention: fnctl streams update STREAM --retention 1h",
            "find what grows: fnctl streams list",
        ],
    ),
    explained(
        ErrorCode::Stopping,
        "The server is stopping or has stopped",
        "It was told to stop, or it ended itself because a write to its disk failed: after that nothing more is acknowledged. What \
         was acknowledged before is safe.",
        &[
            "wait for its next start, and send it again",
            "where it ended itself, its log says the file and the error; check the disk",
        ],
    ),
    explained(
        ErrorCode::Damaged,
        "Stored bytes are damaged",
        "Bytes that were read are not those that were written: the disk, its controller or memory changed them. What lies \
         in front of the place and behind it is served; what lies there is named, and nothing is skipped in silence.",
        &[
            "fnctl doctor --data-dir D        (the server stopped; names file, offset, stream, shard and records)",
            "fnctl restore --from BACKUP --data-dir NEW",
        ],
    ),
    explained(
        ErrorCode::DataDirectoryLocked,
        "Another server has the data directory",
        "One process has one data directory, by a lock that ends with it. The holder's process id stands in the error.",
        &["stop that server, or give this one --data-dir of its own"],
    ),
    explained(
        ErrorCode::DataDirectoryUnusable,
        "The data directory cannot be used",
        "It is no directory, not yours to write in, on a network file system, or holds what fnctl did not write.",
        &[
            "name an empty directory on a local disk: --data-dir D",
            "its owner and mode: ls -ld D",
        ],
    ),
    explained(
        ErrorCode::DataDamaged,
        "`doctor` found stored bytes that are damaged or missing",
        "Every file was read. Those at fault are listed with what they held; the rest is whole.",
        &[
            "fnctl restore --from BACKUP --data-dir NEW",
            "without a backup: fnctl server --data-dir D serves what is readable",
        ],
    ),
    explained(
        ErrorCode::DataDirectoryNewer,
        "A newer version wrote the data directory, or the backup",
        "Later versions may write what this one does not know; reading on would lose it. Nothing was changed.",
        &["use the fnctl that wrote it, or a later one"],
    ),
    explained(
        ErrorCode::BackupUnusable,
        "A backup that is damaged, or no backup",
        "The directory or file is not what `fnctl backup` writes, is cut short, or its sums do not fit.",
        &[
            "restore an older backup",
            "make a new one of the running server: fnctl backup --to DIR",
        ],
    ),
    explained(
        ErrorCode::ReadsAlone,
        "The server serves reads alone",
        "A start met a part of the journal that cannot be read, or a disk without room for a journal file. What can be read is served; \
         nothing is written, and no function is called. Nothing of this request was done, and sending it again changes nothing.",
        &[
            "fnctl doctor --data-dir D        (the server stopped; what is damaged, file by file)",
            "fnctl restore --from BACKUP --data-dir NEW, and serve that",
            "where the disk is full: free space, and start it again",
        ],
    ),
];
