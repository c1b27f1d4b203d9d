use std::sync::Mutex;

use super::*;

#[derive(Default)]
struct Kept(Mutex<Vec<(LogLevel, LogSource, String)>>);

impl LogSink for Kept {
    fn write(&self, entry: &LogEntry<'_>) {
        self.0
            .lock()
            .unwrap()
            .push((entry.level, entry.source, entry.message.to_owned()));
    }
}

fn run(scenario: impl FnOnce(&mut CallLog)) -> Vec<(LogLevel, LogSource, String)> {
    let kept = Arc::new(Kept::default());
    let mut log = CallLog::new(Arc::clone(&kept) as _, "enrich".into());
    scenario(&mut log);
    log.end();
    std::mem::take(&mut *kept.0.lock().unwrap())
}

#[test]
fn a_stream_becomes_lines_whatever_its_writes() {
    let lines = run(|log| {
        log.stream(LogSource::Stdout, b"one\ntw");
        log.stream(LogSource::Stderr, b"other\r\n");
        log.stream(LogSource::Stdout, b"o\n\nlast");
    });
    let (out, err) = (
        (LogLevel::Info, LogSource::Stdout),
        (LogLevel::Warn, LogSource::Stderr),
    );
    let expected = [
        (out, "one"),
        (err, "other"),
        (out, "two"),
        (out, ""),
        (out, "last"),
    ];
    assert_eq!(
        lines,
        expected.map(|((level, source), text)| (level, source, text.to_owned()))
    );
}

#[test]
fn a_flood_is_counted_and_not_kept() {
    let lines = run(|log| {
        for _ in 0..5_000 {
            log.stream(LogSource::Stdout, b"again\n");
        }
    });
    assert_eq!(lines.len(), LOG_LINES_MAX as usize + 1);
    assert_eq!(
        lines.last().unwrap().2,
        "4000 more lines of this call were dropped"
    );
}

#[test]
fn a_line_without_end_is_cut_and_a_call_has_a_budget_of_bytes() {
    let lines = run(|log| {
        for _ in 0..100 {
            log.stream(LogSource::Stdout, &[b'x'; 60_000]);
            log.stream(LogSource::Stdout, b"\n");
        }
    });
    assert!(
        lines
            .iter()
            .all(|(.., text)| text.len() <= LOG_LINE_BYTES_MAX)
    );
    assert!(lines.iter().map(|(.., text)| text.len()).sum::<usize>() <= LOG_BYTES_MAX + 100);
}

#[test]
fn the_tail_of_stderr_is_its_last_bytes() {
    let kept = Arc::new(Kept::default());
    let mut log = CallLog::new(kept, "enrich".into());
    log.stream(LogSource::Stderr, &[b'a'; 10_000]);
    log.stream(LogSource::Stderr, b"\nthe end\n");
    let tail = log.stderr_tail();
    assert!(tail.ends_with("a\nthe end") && tail.len() <= STDERR_TAIL_BYTES_MAX);
}

#[test]
fn control_characters_never_reach_a_terminal() {
    let lines = run(|log| log.stream(LogSource::Stdout, b"\x1b[2Jgone\tok\n"));
    assert_eq!(lines[0].2, "\u{fffd}[2Jgone\tok");
}
