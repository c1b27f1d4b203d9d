//! Which file systems keep no promise of ours: locks, syncs and renames of a server elsewhere, or of a
//! program, are not those of a disk (reliability guide, "What sled should mean", rule 7).

/// What a file system is called that a data directory does not lie on unless asked for; `None`: it may.
/// `magic` is what `statfs` says of its type.
pub(crate) const fn remote_name(magic: u64) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0x517B => "SMB",
        0xFF53_4D42 | 0xFE53_4D42 => "CIFS",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE or virtiofs",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x00C3_6400 => "Ceph",
        0x7375_7245 => "Coda",
        0x0BD0_0BD0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x786F_4256 => "vboxsf",
        0xBACB_ACBC => "vmhgfs",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::remote_name;

    #[test]
    fn what_a_network_carries_is_told_from_what_a_disk_holds() {
        for (magic, name) in [
            (0x6969, "NFS"),
            (0xFF53_4D42, "CIFS"),
            (0xFE53_4D42, "CIFS"),
            (0x0102_1997, "9p"),
            (0x6573_5546, "FUSE or virtiofs"),
        ] {
            assert_eq!(remote_name(magic), Some(name), "{magic:#x}");
        }
        // ext4, xfs, btrfs, tmpfs, overlay, zfs, f2fs, bcachefs.
        for magic in [
            0xEF53,
            0x5846_5342,
            0x9123_683E,
            0x0102_1994,
            0x794C_7630,
            0x2FC1_2FC1,
            0xF2F5_2010,
            0xCA45_1A4E,
        ] {
            assert_eq!(remote_name(magic), None, "{magic:#x}");
        }
    }
}
