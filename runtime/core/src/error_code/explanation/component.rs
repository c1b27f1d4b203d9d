//! `FN20`: components, and why one is refused at deploy.

use super::{Explanation, explained};
use crate::error_code::ErrorCode;

const BUILD: &str = "fnctl build        (or: cargo build --release --target wasm32-wasip2)";

pub(super) const ALL: &[Explanation] = &[
    explained(
        ErrorCode::NotWebAssembly,
        "The file is not WebAssembly",
        "It does not begin with the four bytes that every WebAssembly file begins with: a source file, an archive, or a program for \
         another machine was named.",
        &[BUILD, "name the file under target/wasm32-wasip2/release"],
    ),
    explained(
        ErrorCode::ComponentTooLarge,
        "A component above the size limit",
        "Usually a debug build, or one with its debug information or with large tables in it.",
        &[
            "build with --release, and `strip = true` under [profile.release]",
            "large tables belong in a stream or behind a service",
        ],
    ),
    explained(
        ErrorCode::NotAComponent,
        "A core module, not a component",
        "It was built for `wasm32-unknown-unknown` or `wasm32-wasip1`, which make core modules. fnctl runs components: modules with a \
         typed interface around them.",
        &["rustup target add wasm32-wasip2", BUILD],
    ),
    explained(
        ErrorCode::Precompiled,
        "Machine code compiled elsewhere",
        "The file is a component that some runtime compiled already (`.cwasm`). Machine code is never taken from outside: it would \
         run without the sandbox.",
        &["deploy the component itself; the server compiles it once and keeps that"],
    ),
    explained(
        ErrorCode::ComponentIsText,
        "WAT, WIT or another text",
        "The text form of WebAssembly was named, or an interface description. The server takes the binary form.",
        &[BUILD, "wasm-tools parse FILE.wat -o FILE.wasm"],
    ),
    explained(
        ErrorCode::ComponentInvalid,
        "A component that is not valid",
        "Its bytes break the rules of the format: a file cut short, changed on its way, or written by a broken tool. The error has \
         the validator's words and the byte.",
        &[
            "build it anew, and upload it again",
            "wasm-tools validate FILE.wasm",
        ],
    ),
    explained(
        ErrorCode::NeedsFeature,
        "A component that needs a WebAssembly feature that is not offered",
        "A proposal such as threads, exceptions or 64-bit memory was switched on when it was built.",
        &["build without that target feature: look at RUSTFLAGS and .cargo/config.toml"],
    ),
    explained(
        ErrorCode::WrongWorld,
        "A component of another version of the world",
        "It was built against another version of `fnctl:function` than this server runs.",
        &[
            "build it against the SDK of this version: fnctl new vendors it",
            "fnctl version",
        ],
    ),
    explained(
        ErrorCode::ImportNotGranted,
        "An import that is not offered",
        "The component asks for an interface that functions are not given: sockets, the file system, or an interface of another \
         host. Nothing is granted that was not asked of you.",
        &[
            "find what uses it: a dependency that opens files or sockets; wasm-tools component wit FILE.wasm lists imports",
            "read configuration with `cx.config`, secrets with `cx.secret`",
        ],
    ),
    explained(
        ErrorCode::ExportMissing,
        "A component without the handler",
        "It is a component, and exports no stream function: the attribute `#[stream_fn]` is missing, or the crate is not a `cdylib`.",
        &[
            "put #[stream_fn] on the function, and crate-type = [\"cdylib\"] under [lib]",
            "fnctl new my-function",
        ],
    ),
    explained(
        ErrorCode::DoesNotInstantiate,
        "A component that does not start",
        "It was tried once at deploy, as before a call, and trapped or passed a limit before it was ready.",
        &[
            "look for work in start-up code, and for static tables that are built there",
            "raise --memory",
        ],
    ),
    explained(
        ErrorCode::OutputsUnreadable,
        "Declared outputs cannot be read",
        "The custom section that `output!` writes is damaged, or a name in it breaks the rules (1 to 64 of a-z, 0-9 and -).",
        &[
            "build it anew with this version's SDK",
            "choose names of a-z, 0-9 and - for outputs",
        ],
    ),
    explained(
        ErrorCode::CompileTooExpensive,
        "Compilation passes its time or memory limit",
        "A component is compiled once, in a process of its own with bounds. Huge functions, as generators and interpreters make \
         them, may pass these.",
        &[
            "build with opt-level = \"s\"; leave out what is not used",
            "split it into several functions",
        ],
    ),
    explained(
        ErrorCode::MemoryTooSmall,
        "A component that starts with more memory than its limit",
        "Its static data and stack alone are above `--memory`.",
        &["raise --memory, as the error says"],
    ),
];
