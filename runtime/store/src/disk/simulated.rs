//! A disk in memory that loses and tears what was not synced.
