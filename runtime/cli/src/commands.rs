//! One file a command.

pub(crate) mod backup;
pub(crate) mod build;
pub(crate) mod capture;
pub(crate) mod deploy;
pub(crate) mod dev;
pub(crate) mod dlq;
pub(crate) mod doctor;
pub(crate) mod dump;
pub(crate) mod filter;
pub(crate) mod functions;
pub(crate) mod invoke;
pub(crate) mod logs;
pub(crate) mod mapping_flags;
pub(crate) mod mappings;
pub(crate) mod new;
pub(crate) mod promote;
pub(crate) mod put;
pub(crate) mod replay;
pub(crate) mod restore;
pub(crate) mod rollback;
pub(crate) mod server;
pub(crate) mod shadow;
pub(crate) mod streams;
pub(crate) mod tail;
pub(crate) mod tokens;
pub(crate) mod version;
