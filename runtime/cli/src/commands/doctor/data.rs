//! `fnctl doctor --data-dir D`: whether everything that was stored is there, offline.

use std::{fmt::Write as _, path::Path};

use fnctl_core::error_code::ErrorCode;
use fnctl_host::{OfflineTokens, SystemClock};
use fnctl_store::{
    Options,
    disk::real::RealDisk,
    doctor::{self, DoctorError, Finding, Found, Health, Report, Severity},
};
use serde_json::{Value, json};

use crate::{
    cli::Session,
    commands::tokens::failed,
    error::CliError,
    output::{progress::Progress, words},
};

/// Examines a data directory and says what it found.
///
/// # Errors
/// It is not whole (1: a start mends it, 7: something is damaged), in use, or none.
pub(super) fn examine(data_dir: &Path, session: &mut Session) -> Result<(), CliError> {
    let mut progress = Progress::new(&session.out, "examining", None);
    let report = tokio::task::block_in_place(|| {
        let options = Options::new(data_dir);
        doctor::examine(&options, RealDisk, SystemClock, &mut |bytes| {
            progress.add(bytes)
        })
    });
    drop(progress);
    let report = report.map_err(refused)?;
    if session.out.is_json() {
        session.out.json(&object(&report))?;
    } else {
        for line in text(&report) {
            session.out.line(&line)?;
        }
    }
    let worst = |severity| {
        let findings = report.findings.iter();
        findings.filter(|f| f.kind.severity() == severity).count() as u64
    };
    let directory = data_dir.display();
    match report.health() {
        Health::Whole => OfflineTokens::check(data_dir).map_err(failed),
        Health::Repairable => Err(CliError::new(
            ErrorCode::Unhealthy,
            format!("`{directory}` needs a start, which mends it: nothing acknowledged is missing"),
        )
        .fix(format!("fnctl server --data-dir {directory}"))),
        Health::Damaged => Err(CliError::new(
            ErrorCode::DataDamaged,
            format!(
                "`{directory}` is damaged: {}",
                words::count(worst(Severity::Damaged), "finding")
            ),
        )
        .because("stored bytes cannot be read; no start brings them back")
        .fix("fnctl restore --from BACKUP, or go on with what can be read")),
    }
}

fn refused(error: DoctorError) -> CliError {
    let words = error.to_string();
    match error {
        DoctorError::NoData(_) => CliError::new(ErrorCode::FileUnreadable, words)
            .fix("--data-dir D, where `fnctl server` keeps its data"),
        DoctorError::Locked { .. } => CliError::new(ErrorCode::DataDirectoryLocked, words)
            .because("what a server writes meanwhile would look damaged")
            .fix("stop the server first; fnctl backup copies a running one"),
        DoctorError::NewerVersion { .. } => CliError::new(ErrorCode::DataDirectoryNewer, words)
            .because(format!("this is fnctl {}", super::VERSION))
            .fix("use the fnctl that wrote it, or a later one"),
        DoctorError::Io { .. } => CliError::new(ErrorCode::DataDirectoryUnusable, words).fix(
            "run it as the user of the server; where the disk itself fails, see the kernel's log",
        ),
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Repairable => "repairable",
        Severity::Damaged => "damaged",
    }
}

fn relative<'a>(report: &Report, finding: &'a Finding) -> &'a Path {
    let below = finding.file.strip_prefix(&report.data_dir);
    below
        .ok()
        .filter(|path| !path.as_os_str().is_empty())
        .unwrap_or(&finding.file)
}

fn object(report: &Report) -> Value {
    let found = |found: Found| json!({ "files": found.count, "bytes": found.bytes });
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "severity": severity(finding.kind.severity()),
                "kind": finding.kind.as_str(),
                "file": relative(report, finding),
                "offset": finding.offset,
                "stream": finding.stream_name,
                "stream_id": finding.shard.map(|(stream, _)| stream.to_string()),
                "shard": finding.shard.map(|(_, shard)| shard.to_string()),
                "first_record": finding.records.map(|(first, _)| first.to_string()),
                "last_record": finding.records.map(|(_, last)| last.to_string()),
                "first_lsn": finding.entries.map(|(first, _)| first.to_string()),
                "last_lsn": finding.entries.and_then(|(_, last)| last).map(|lsn| lsn.to_string()),
                "message": finding.message,
                "fix": finding.fix,
            })
        })
        .collect();
    json!({
        "status": report.health().as_str(),
        "data_dir": report.data_dir,
        "streams": report.streams,
        "records_in_segments": report.records,
        "next_lsn": report.next.map(|lsn| lsn.to_string()),
        "cut_lsn": report.cut.map(|lsn| lsn.to_string()),
        "read_only": report.read_only,
        "journal": found(report.journal),
        "snapshots": found(report.snapshots),
        "segments": found(report.segments),
        "artifacts": found(report.artifacts),
        "findings": findings,
        "findings_omitted": report.findings_omitted,
    })
}

fn text(report: &Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{}  {}  {}, {} in segments",
        report.data_dir.display(),
        report.health().as_str(),
        words::count(report.streams, "stream"),
        words::count(report.records, "record"),
    )];
    for (what, found) in [
        ("journal", report.journal),
        ("snapshots", report.snapshots),
        ("segments", report.segments),
        ("artifacts", report.artifacts),
    ] {
        let files = words::count(found.count, "file");
        lines.push(format!(
            "  {what:<10} {files:<10} {}",
            words::size(found.bytes)
        ));
    }
    for finding in &report.findings {
        let mut place = relative(report, finding).display().to_string();
        let mut add = |words: std::fmt::Arguments<'_>| {
            place.write_fmt(words).expect("a string takes everything");
        };
        if let Some(offset) = finding.offset {
            add(format_args!(" at {offset}"));
        }
        if let Some((stream, shard)) = finding.shard {
            let name = finding
                .stream_name
                .clone()
                .unwrap_or_else(|| stream.to_string());
            add(format_args!(", stream {name} shard {shard}"));
        }
        if let Some((first, last)) = finding.records {
            add(format_args!(", records {first} to {last}"));
        }
        match finding.entries {
            Some((first, Some(last))) => add(format_args!(", entries {first} to {last}")),
            Some((first, None)) => add(format_args!(", entries from {first} on")),
            None => {}
        }
        lines.push(format!("{:<11} {place}", severity(finding.kind.severity())));
        lines.push(format!("            {}", finding.message));
        if let Some(fix) = &finding.fix {
            lines.push(format!("            do: {fix}"));
        }
    }
    if report.findings_omitted > 0 {
        lines.push(format!("            and {} more", report.findings_omitted));
    }
    lines
}
