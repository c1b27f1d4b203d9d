//! Looks at an upload before any of it is compiled.
//!
//! Refusals are found in the order in which they help: what kind of file it is, whether it is valid,
//! and what it imports and exports, all differences at once.

use fnctl_core::id::OutputName;
use wasmparser::{
    Encoding, Parser, Payload, Validator, WasmFeatures, component_types::ComponentEntityType,
    types::Types,
};

use crate::{
    bindings::{HANDLER, OFFERED, PACKAGE, VERSION},
    error::ComponentError,
    limits::{
        COMPONENT_BYTES_MAX, COMPONENT_FUNCTIONS_MAX, DECLARED_OUTPUTS_MAX, FUNCTION_BODY_BYTES_MAX,
    },
};

/// The custom section in which a component names its outputs, one a line.
const OUTPUTS_SECTION: &str = "fnctl:outputs";
/// WASI packages that are always there, with nothing behind them.
const WASI_BASELINE: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];
/// Proposals that are off, by the name an author knows them by.
const PROPOSALS: [(&str, WasmFeatures); 10] = [
    ("component-model async", ASYNC),
    (
        "garbage collection",
        WasmFeatures::GC.union(WasmFeatures::FUNCTION_REFERENCES),
    ),
    ("exception handling", WasmFeatures::EXCEPTIONS),
    ("legacy exception handling", WasmFeatures::LEGACY_EXCEPTIONS),
    ("threads", WasmFeatures::THREADS),
    ("64-bit memory", WasmFeatures::MEMORY64),
    ("several memories in one module", WasmFeatures::MULTI_MEMORY),
    ("tail calls", WasmFeatures::TAIL_CALL),
    ("relaxed SIMD", WasmFeatures::RELAXED_SIMD),
    ("wide arithmetic", WasmFeatures::WIDE_ARITHMETIC),
];
const ASYNC: WasmFeatures = WasmFeatures::CM_ASYNC
    .union(WasmFeatures::CM_ASYNC_STACKFUL)
    .union(WasmFeatures::CM_MORE_ASYNC_BUILTINS)
    .union(WasmFeatures::CM_THREADING)
    .union(WasmFeatures::CM_ERROR_CONTEXT);

/// What the engine runs: the same set as its configuration (`engine/settings.rs`).
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::COMPONENT_MODEL);

/// What a component says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    /// Outputs declared besides `default`, sorted, each once.
    pub(crate) outputs: Vec<String>,
    /// Our interfaces that it imports, sorted.
    pub(crate) uses: Vec<String>,
}

/// Checks everything that can be seen without compiling.
pub(crate) fn scan(bytes: &[u8]) -> Result<Scan, ComponentError> {
    check_kind(bytes)?;
    let names = walk(bytes)?;
    let types = check_features(bytes)?;
    check_imports(&names.imports, &types)?;
    check_exports(&names.exports)?;
    let ours = names.imports.iter().filter_map(|import| ours(import));
    let mut uses: Vec<String> = ours
        .filter(|(name, _)| *name != "types")
        .map(|(name, _)| name.to_owned())
        .collect();
    uses.sort_unstable();
    Ok(Scan {
        outputs: outputs(&names.sections)?,
        uses,
    })
}

fn check_kind(bytes: &[u8]) -> Result<(), ComponentError> {
    if bytes.len() > COMPONENT_BYTES_MAX {
        return Err(ComponentError::TooLarge { bytes: bytes.len() });
    }
    if bytes.starts_with(b"\x7fELF") {
        return Err(ComponentError::Precompiled);
    }
    if Parser::is_component(bytes) {
        return Ok(());
    }
    if Parser::is_core_wasm(bytes) {
        return Err(ComponentError::CoreModule);
    }
    let head = &bytes[..bytes.len().min(512)];
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    let trimmed = head.trim_ascii_start();
    let is_source = [&b"("[..], b";;", b"package", b"world", b"interface", b"//"]
        .iter()
        .any(|start| trimmed.starts_with(start));
    if is_source && head.iter().all(is_text) {
        return Err(ComponentError::Text);
    }
    Err(ComponentError::NotWasm { bytes: bytes.len() })
}

struct Names<'a> {
    imports: Vec<&'a str>,
    exports: Vec<&'a str>,
    sections: Vec<&'a [u8]>,
}

/// Reads the outer component's imports and exports, the declared outputs wherever they lie, and counts
/// what would have to be compiled.
fn walk(bytes: &[u8]) -> Result<Names<'_>, ComponentError> {
    let mut names = Names {
        imports: Vec::new(),
        exports: Vec::new(),
        sections: Vec::new(),
    };
    let (mut depth, mut functions) = (0_u32, 0_u64);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::Version {
                encoding: Encoding::Module | Encoding::Component,
                ..
            } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 1 => {
                for import in imports {
                    names.imports.push(import.map_err(invalid)?.name.name);
                }
            }
            Payload::ComponentExportSection(exports) if depth == 1 => {
                for export in exports {
                    names.exports.push(export.map_err(invalid)?.name.name);
                }
            }
            Payload::CodeSectionStart { count, .. } => {
                functions += u64::from(count);
                if functions > COMPONENT_FUNCTIONS_MAX {
                    let detail = format!("it has more than {COMPONENT_FUNCTIONS_MAX} functions");
                    return Err(ComponentError::TooComplex { detail });
                }
            }
            Payload::CodeSectionEntry(body) if body.range().len() > FUNCTION_BODY_BYTES_MAX => {
                let detail = format!(
                    "one of its functions has {} bytes of code, above the limit of {FUNCTION_BODY_BYTES_MAX}",
                    body.range().len()
                );
                return Err(ComponentError::TooComplex { detail });
            }
            Payload::CustomSection(section) if section.name() == OUTPUTS_SECTION => {
                names.sections.push(section.data());
            }
            _ => {}
        }
    }
    Ok(names)
}

fn check_features(bytes: &[u8]) -> Result<Types, ComponentError> {
    let validate = |features| Validator::new_with_features(features).validate_all(bytes);
    let error = match validate(FEATURES) {
        Ok(types) => return Ok(types),
        Err(error) => error,
    };
    let proposal = PROPOSALS
        .iter()
        .find(|(_, features)| validate(FEATURES | *features).is_ok());
    Err(proposal.map_or_else(
        || invalid(error),
        |&(feature, _)| ComponentError::NeedsFeature { feature },
    ))
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the shape that `map_err` wants"
)]
fn invalid(error: wasmparser::BinaryReaderError) -> ComponentError {
    ComponentError::Invalid {
        detail: error.to_string(),
    }
}

/// `(interface, version)` of a name in our package.
fn ours(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
    Some(rest.split_once('@').unwrap_or((rest, "")))
}

/// `0.1.7` is as good as `0.1.0`: what it needs is seen by its functions.
fn is_served(version: &str) -> bool {
    let minor = |version: &str| version.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    minor(version).is_some_and(|found| Some(found) == minor(VERSION))
}

/// All differences at once: a linker names the first alone.
fn check_imports(imports: &[&str], types: &Types) -> Result<(), ComponentError> {
    let mut unsupported = Vec::new();
    for &import in imports {
        if let Some((interface, version)) = ours(import) {
            let offered = match OFFERED.iter().find(|(name, _)| *name == interface) {
                Some((_, functions)) => *functions,
                None if interface == "types" => &[],
                None => {
                    unsupported.push(import.to_owned());
                    continue;
                }
            };
            if !is_served(version) {
                return Err(ComponentError::WrongVersion {
                    name: import.to_owned(),
                });
            }
            let missing = functions(import, types).filter(|function| !offered.contains(function));
            unsupported.extend(missing.map(|function| format!("{import}.{function}")));
        } else if !is_wasi_baseline(import) {
            unsupported.push(import.to_owned());
        }
    }
    if unsupported.is_empty() {
        Ok(())
    } else {
        Err(ComponentError::UnsupportedImport {
            imports: unsupported,
        })
    }
}

/// The functions that an imported interface is expected to have.
fn functions<'a>(import: &str, types: &'a Types) -> impl Iterator<Item = &'a str> {
    let instance = types
        .component_item_for_import(import)
        .and_then(|item| match item.ty {
            ComponentEntityType::Instance(id) => Some(&types[id]),
            _ => None,
        });
    let exports = instance.into_iter().flat_map(|instance| &instance.exports);
    exports
        .filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)))
        .map(|(name, _)| &**name)
}

fn is_wasi_baseline(import: &str) -> bool {
    let Some((package, rest)) = import
        .strip_prefix("wasi:")
        .and_then(|rest| rest.split_once('/'))
    else {
        return false;
    };
    WASI_BASELINE.contains(&package)
        && rest
            .split_once('@')
            .is_some_and(|(_, version)| version.starts_with("0.2."))
}

fn check_exports(exports: &[&str]) -> Result<(), ComponentError> {
    let handler = exports
        .iter()
        .find(|export| ours(export).is_some_and(|(interface, _)| interface == "handler"));
    match handler {
        Some(handler) if ours(handler).is_some_and(|(_, version)| is_served(version)) => Ok(()),
        Some(handler) => Err(ComponentError::WrongVersion {
            name: (*handler).to_owned(),
        }),
        None => {
            debug_assert!(
                ours(HANDLER).is_some(),
                "the handler is an interface of ours"
            );
            Err(ComponentError::MissingExport {
                found: exports.iter().map(|&export| export.to_owned()).collect(),
            })
        }
    }
}

fn outputs(sections: &[&[u8]]) -> Result<Vec<String>, ComponentError> {
    let bad = |detail: String| ComponentError::BadOutputs { detail };
    let mut names = Vec::new();
    for section in sections {
        let text = str::from_utf8(section)
            .map_err(|_| bad("the section fnctl:outputs is not text".to_owned()))?;
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && *line != "default")
        {
            let name = OutputName::parse(line).map_err(|error| bad(error.to_string()))?;
            names.push(name.as_str().to_owned());
        }
    }
    names.sort_unstable();
    names.dedup();
    if names.len() > DECLARED_OUTPUTS_MAX {
        return Err(bad(format!(
            "it declares {} outputs, above the limit of {DECLARED_OUTPUTS_MAX}",
            names.len()
        )));
    }
    Ok(names)
}

#[cfg(test)]
mod tests;
