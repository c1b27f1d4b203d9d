//! `FN21`: manifests, functions, versions and what binds them to streams.

use super::{Explanation, explained};
use crate::error_code::ErrorCode;

pub(super) const ALL: &[Explanation] = &[
    explained(
        ErrorCode::ManifestInvalid,
        "`fnctl.toml` cannot be read or breaks a rule",
        "It is no TOML, has a key that is not known (the nearest one is named), or a value that is not allowed. All problems are \
         listed with their lines; nothing was deployed.",
        &[
            "mend the lines that the error names",
            "fnctl deploy --dry-run        (tries the manifest and changes nothing)",
        ],
    ),
    explained(
        ErrorCode::SettingsInvalid,
        "Settings out of range or contradicting each other",
        "A setting is above or below its bounds, or two of them cannot hold at once, such as `--ordering shard` with a \
         parallelization factor above 1. Nothing was changed.",
        &["choose what the error says", "fnctl mappings update --help"],
    ),
    explained(
        ErrorCode::OutputUnbound,
        "A declared output that no mapping binds",
        "The component declares an output by `output!`, and no stream is named for it. Rows would be lost, so it is refused.",
        &["add --to OUTPUT=STREAM, or --to OUTPUT=none to count its rows only"],
    ),
    explained(
        ErrorCode::NoSuchOutput,
        "An output is bound that the component does not declare",
        "`--to` or `outputs` names an output that is not in the component: a slip, or an older build.",
        &["leave it out, or declare it: output!(\"name\")"],
    ),
    explained(
        ErrorCode::Loop,
        "A mapping that closes a cycle of streams",
        "What the function puts out would reach it again, through this mapping or through others, for ever.",
        &[
            "bind the output to another stream",
            "where it is meant, and ends by itself: --allow-loop; records pass at most 16 times",
        ],
    ),
    explained(
        ErrorCode::NoSuchArtifact,
        "The uploaded component is not there any more",
        "A deploy is an upload and a change; the upload went with a restart or by age before the change came.",
        &["deploy again: fnctl deploy"],
    ),
    explained(
        ErrorCode::NoSuchFunction,
        "No such function",
        "Nothing of that name was deployed here, or it was deleted; or another server is meant.",
        &[
            "fnctl functions list",
            "name the server that has it: --server URL",
        ],
    ),
    explained(
        ErrorCode::NoSuchVersion,
        "No such version",
        "Versions are numbered from 1, and old ones are forgotten after a while.",
        &["fnctl functions describe FUNCTION"],
    ),
    explained(
        ErrorCode::NothingBefore,
        "Nothing was live before",
        "A rollback goes back to what was live before, and this function has had one version only.",
        &[
            "deploy a mended one: fnctl deploy",
            "hold it meanwhile: fnctl mappings pause MAPPING",
        ],
    ),
    explained(
        ErrorCode::FunctionInUse,
        "The function still has mappings",
        "Deleting it would leave streams that nobody reads. The mappings are named.",
        &[
            "fnctl mappings delete MAPPING",
            "with its mappings and their progress: fnctl functions delete FUNCTION --force",
        ],
    ),
    explained(
        ErrorCode::FailsOnRecords,
        "The version was committed and a shard failed on it while being waited for",
        "`deploy --wait` saw the first outcome of each shard, and one was a failure. The new version is live all the same.",
        &[
            "fnctl status MAPPING",
            "fnctl rollback FUNCTION        (in under a second, loses nothing)",
        ],
    ),
    explained(
        ErrorCode::NoCanary,
        "The function has no canary",
        "`promote` makes a canary live or gives it another share; there is none, or its guard has taken it back already.",
        &[
            "fnctl deploy FILE.wasm --canary 10%",
            "fnctl functions describe FUNCTION        (its last switches, and why)",
        ],
    ),
];
