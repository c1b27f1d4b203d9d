//! The backend of the `log` crate, and what is said about a panic.

#[cfg(target_os = "wasi")]
pub(crate) use wasm::start_call;

/// The words of a record; most have no arguments and need no memory.
fn words(record: &::log::Record<'_>) -> std::borrow::Cow<'static, str> {
    match record.args().as_str() {
        Some(text) => text.into(),
        None => record.args().to_string().into(),
    }
}

#[cfg(target_os = "wasi")]
mod wasm {
    use std::{fmt::Write as _, panic::PanicHookInfo, sync::Once};

    use super::words;
    use crate::{call::in_hand, error::cut, host};

    struct HostLog;

    impl ::log::Log for HostLog {
        fn enabled(&self, metadata: &::log::Metadata<'_>) -> bool {
            metadata.level() <= ::log::max_level()
        }

        fn log(&self, record: &::log::Record<'_>) {
            host::write_log(record.level(), in_hand(), &words(record));
        }

        fn flush(&self) {}
    }

    /// Installs logger and panic hook once, and takes over the level that the operator wants now.
    pub(crate) fn start_call() {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(|| {
            std::panic::set_hook(Box::new(report));
            // Nothing runs before the first call, so no other logger can be there.
            let _ = ::log::set_logger(&HostLog);
        });
        ::log::set_max_level(host::max_level());
    }

    /// One line: message, place, and the record to charge.
    fn report(info: &PanicHookInfo<'_>) {
        let mut words = String::from("panicked");
        if let Some(place) = info.location() {
            // A String takes everything.
            let _ = write!(words, " at {place}");
        }
        words.push_str(": ");
        words.push_str(info.payload_as_str().unwrap_or("no words"));
        cut(&mut words);
        host::panicking(in_hand(), &words);
    }
}

#[cfg(not(target_os = "wasi"))]
pub(crate) mod native {
    use std::sync::Once;

    use super::words;
    use crate::{
        call::{NO_RECORD, in_hand},
        host::native::with,
        testing::LogEntry,
    };

    struct HarnessLog;

    impl ::log::Log for HarnessLog {
        fn enabled(&self, _: &::log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &::log::Record<'_>) {
            let source = Some(in_hand()).filter(|index| *index != NO_RECORD);
            let message = words(record).into_owned();
            // Outside of a harness nobody asked for it.
            with(|scene| {
                scene.logs.push(LogEntry {
                    level: record.level(),
                    source,
                    message,
                })
            });
        }

        fn flush(&self) {}
    }

    /// Makes the harness the logger of this process, unless a test has its own.
    pub(crate) fn install() {
        static INSTALL: Once = Once::new();
        INSTALL.call_once(|| {
            if ::log::set_logger(&HarnessLog).is_ok() {
                ::log::set_max_level(::log::LevelFilter::Trace);
            }
        });
    }
}
