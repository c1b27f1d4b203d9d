//! Desired mappings × running workers → what to start, stop and restart.
