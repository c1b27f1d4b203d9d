//! Why a component is refused: what, why, and what to do about it.

use std::fmt;

use crate::{
    bindings::{HANDLER, PACKAGE, VERSION},
    limits::{COMPONENT_BYTES_MAX, DECLARED_OUTPUTS_MAX},
};

/// The command that builds a component from Rust.
const BUILD: &str = "cargo build --release --target wasm32-wasip2        (or: fnctl build)";

/// A refused component. Codes are stable; `message`, `why` and `fix` are for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ComponentError {
    /// Neither a component nor anything that could become one.
    NotWasm {
        /// Its size, bytes.
        bytes: usize,
    },
    /// Above `COMPONENT_BYTES_MAX`.
    TooLarge {
        /// Its size, bytes.
        bytes: usize,
    },
    /// A core module.
    CoreModule,
    /// Machine code, of Wasmtime or of anybody else.
    Precompiled,
    /// WAT or WIT text.
    Text,
    /// Damaged, or not valid.
    Invalid {
        /// The validator's words.
        detail: String,
    },
    /// Valid only with a proposal that is switched off here.
    NeedsFeature {
        /// The proposal.
        feature: &'static str,
    },
    /// Built for another version of the world.
    WrongVersion {
        /// The import or export, as the component spells it.
        name: String,
    },
    /// Imports what this host does not offer.
    UnsupportedImport {
        /// All of them, functions as `interface.function`.
        imports: Vec<String>,
    },
    /// Does not export the handler.
    MissingExport {
        /// What it exports instead.
        found: Vec<String>,
    },
    /// Linking or the trial instantiation failed.
    DoesNotInstantiate {
        /// What happened.
        detail: String,
    },
    /// The custom section `fnctl:outputs` is not a list of names.
    BadOutputs {
        /// What is wrong.
        detail: String,
    },
    /// Too much to compile within the limits.
    TooComplex {
        /// Which limit.
        detail: String,
    },
    /// The version's memory is below what the component starts with.
    MemoryTooSmall {
        /// Bytes the component starts with.
        needed_bytes: u64,
        /// Bytes the version allows.
        limit_bytes: u64,
    },
    /// Too many uploads wait to be compiled, or one waited too long.
    Busy,
    /// The host's own trouble: disk, compiler, threads.
    Internal {
        /// What happened.
        detail: String,
    },
}

impl ComponentError {
    /// The stable code, `FN2003`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotWasm { .. } => "FN2001",
            Self::TooLarge { .. } => "FN2002",
            Self::CoreModule => "FN2003",
            Self::Precompiled => "FN2004",
            Self::Text => "FN2005",
            Self::Invalid { .. } => "FN2006",
            Self::NeedsFeature { .. } => "FN2007",
            Self::WrongVersion { .. } => "FN2008",
            Self::UnsupportedImport { .. } => "FN2009",
            Self::MissingExport { .. } => "FN2010",
            Self::DoesNotInstantiate { .. } => "FN2011",
            Self::BadOutputs { .. } => "FN2012",
            Self::TooComplex { .. } => "FN2013",
            Self::MemoryTooSmall { .. } => "FN2014",
            Self::Busy => "FN4006",
            Self::Internal { .. } => "FN9001",
        }
    }

    /// Whether the component is at fault, and not the host.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        !matches!(self, Self::Internal { .. } | Self::Busy)
    }

    /// What is wrong with `name`, in one line.
    #[must_use]
    pub fn message(&self, name: &str) -> String {
        match self {
            Self::NotWasm { .. } => format!("{name} is not a WebAssembly component"),
            Self::TooLarge { bytes } => {
                format!("{name} is {bytes} bytes, above the limit of {COMPONENT_BYTES_MAX}")
            }
            Self::CoreModule => format!("{name} is a core module, not a component"),
            Self::Precompiled => format!("{name} is precompiled machine code, not a component"),
            Self::Text => format!("{name} is text, not a binary component"),
            Self::Invalid { .. } => format!("{name} is not a valid component"),
            Self::NeedsFeature { feature } => {
                format!("{name} needs {feature}, which is not offered")
            }
            Self::WrongVersion { name: item } => {
                format!("{name} was built for another version of the world: `{item}`")
            }
            Self::UnsupportedImport { imports } => {
                let quoted: Vec<String> =
                    imports.iter().map(|import| format!("`{import}`")).collect();
                format!("{name} imports what is not offered: {}", quoted.join(", "))
            }
            Self::MissingExport { .. } => format!("{name} does not export `{HANDLER}`"),
            Self::DoesNotInstantiate { .. } => format!("{name} does not start"),
            Self::BadOutputs { .. } => format!("{name} declares outputs that cannot be read"),
            Self::TooComplex { .. } => format!("{name} takes too much to compile"),
            Self::MemoryTooSmall {
                needed_bytes,
                limit_bytes,
            } => {
                format!(
                    "{name} starts with {needed_bytes} bytes of memory, above its limit of {limit_bytes}"
                )
            }
            Self::Busy => format!("{name} was not compiled"),
            Self::Internal { .. } => format!("{name} could not be prepared"),
        }
    }

    /// How it came to be so.
    #[must_use]
    pub fn why(&self) -> String {
        let world = "fnctl runs world fnctl:function/stream-function@0.1";
        match self {
            Self::NotWasm { bytes: 0 } => "it is empty".to_owned(),
            Self::NotWasm { bytes } => format!("its {bytes} bytes do not start as WebAssembly does; {world}"),
            Self::TooLarge { .. } => "every node that runs it loads and compiles it".to_owned(),
            Self::CoreModule => format!("it was built for wasm32-wasip1 or wasm32-unknown-unknown; {world}"),
            Self::Precompiled => "machine code from elsewhere cannot be checked, so it is never loaded".to_owned(),
            Self::Text => format!("it is WAT, WIT or another text; {world}"),
            Self::Invalid { detail }
            | Self::DoesNotInstantiate { detail }
            | Self::BadOutputs { detail }
            | Self::TooComplex { detail }
            | Self::Internal { detail } => detail.clone(),
            Self::NeedsFeature { feature } => {
                format!("it is valid only with {feature}; a function here runs one call to its end")
            }
            Self::WrongVersion { .. } => format!("this host serves {PACKAGE}@{VERSION}"),
            Self::UnsupportedImport { .. } => {
                "a function has context, log, config, emit, state and metrics, and WASI's io, cli, clocks, random, filesystem and \
                 sockets of 0.2 (with nothing behind them)"
                    .to_owned()
            }
            Self::MissingExport { found } if found.is_empty() => format!("it exports nothing; {world}"),
            Self::MissingExport { found } => format!("it exports {}; {world}", found.join(", ")),
            Self::Busy => "too many components wait to be compiled, or those before it take too long".to_owned(),
            Self::MemoryTooSmall { .. } => "its data and its stack have to fit".to_owned(),
        }
    }

    /// What to do.
    #[must_use]
    pub fn fix(&self) -> String {
        match self {
            Self::NotWasm { .. } | Self::CoreModule | Self::Precompiled | Self::Text | Self::Invalid { .. } => {
                BUILD.to_owned()
            }
            Self::TooLarge { .. } => {
                "build with `--release`, and `strip = \"debuginfo\"` in the profile; large tables belong in a stream"
                    .to_owned()
            }
            Self::NeedsFeature { feature } if *feature == "component-model async" => {
                "build without `async` exports and imports, for wasm32-wasip2".to_owned()
            }
            Self::NeedsFeature { feature } => format!("build without {feature}"),
            Self::WrongVersion { .. } => "build with the SDK that this `fnctl` carries: fnctl new".to_owned(),
            Self::UnsupportedImport { .. } => {
                "remove the dependency that needs it; if its interface is newer than this server, upgrade the server"
                    .to_owned()
            }
            Self::MissingExport { .. } => {
                "put `#[stream_fn]` on a function of a `cdylib` crate that uses fnctl-sdk: fnctl new".to_owned()
            }
            Self::DoesNotInstantiate { .. } => {
                "whatever runs before `handle` must end at once, and what it starts with must fit its limits".to_owned()
            }
            Self::BadOutputs { .. } => {
                format!("declare outputs with `output!(\"name\")`: at most {DECLARED_OUTPUTS_MAX}, of a-z, 0-9, _ and -")
            }
            Self::TooComplex { .. } => {
                "build with `--release`, split its largest functions, or use fewer dependencies".to_owned()
            }
            Self::Busy => "try again in a minute".to_owned(),
            Self::MemoryTooSmall { needed_bytes, .. } => {
                format!("give it at least --memory {}MiB", needed_bytes.div_ceil(1 << 20))
            }
            Self::Internal { .. } => "see the server's log; the same component may be deployed again".to_owned(),
        }
    }
}

impl fmt::Display for ComponentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message("the component"), self.why())
    }
}

impl std::error::Error for ComponentError {}
