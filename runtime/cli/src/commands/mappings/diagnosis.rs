//! Why a mapping stands where it stands, what to do, and how fast it goes, as a person reads it.

use fnctl_core::{
    limits::BEHIND_AGE_MS,
    spec::size::ByteSize,
    status::{Diagnosis, MappingStatus, RecentRates, Trend},
};

use crate::output::{pasted, words};

/// Characters of a message, and of a command that others line up with.
const MESSAGE_CHARS: usize = 600;
const COMMAND_CHARS: usize = 60;

/// `caught up`, `120 ms behind`, `BEHIND 14m02s and growing`.
pub(super) fn behind(status: &MappingStatus) -> String {
    let age = words::age(status.iterator_age_ms);
    let waits = BEHIND_AGE_MS.saturating_add(status.settings.batch_window_ms);
    if status.state == "failed" {
        return "nothing left to read".to_owned();
    }
    if status.pending_records == 0 {
        return "caught up".to_owned();
    }
    if status.iterator_age_ms < waits {
        return format!("{age} behind");
    }
    let trend = status.rates.as_ref().and_then(|rates| rates.trend);
    let trend = match trend {
        _ if status.state != "running" => "",
        None | Some(Trend::Steady) => "",
        Some(Trend::Growing) => " and growing",
        Some(Trend::Shrinking) => " and shrinking",
        Some(Trend::Stuck) => ", nothing moves",
    };
    format!("BEHIND {age}{trend}")
}

/// The lines `why` and `do`.
pub(super) fn why(found: &Diagnosis) -> Vec<String> {
    let since = found.since.as_deref();
    let since = since.map_or_else(String::new, |since| {
        format!(" since {}", words::local(since))
    });
    let message = words::shown(&found.message, MESSAGE_CHARS);
    let mut lines = vec![format!("  why     {}{since}: {message}", found.code)];
    let steps = found.actions.iter();
    let steps: Vec<(String, &str)> = steps
        .map(|step| (pasted::line(&step.command), step.effect.as_str()))
        .collect();
    let lengths = steps.iter().map(|(command, _)| command.chars().count());
    let width = lengths.max().unwrap_or_default().min(COMMAND_CHARS);
    for (n, (command, effect)) in steps.iter().enumerate() {
        let label = if n == 0 { "do" } else { "" };
        lines.push(format!("  {label:<6}  {command:<width$}  # {effect}"));
    }
    lines
}

/// The line `5 min`, or of how much time there is.
pub(super) fn recent(rates: &RecentRates) -> String {
    let label = match rates.over_ms.div_ceil(60_000) {
        0 | 1 => "1 min".to_owned(),
        minutes => format!("{minutes} min"),
    };
    let mut said = vec![format!(
        "in {}  processed {}  dead-lettered {}",
        rates.in_per_second.map_or_else(|| "?".to_owned(), rate),
        rate(rates.processed_per_second),
        rate(rates.dead_lettered_per_second)
    )];
    if rates.filtered_per_second > 0.0 {
        said.push(format!("filtered {}", rate(rates.filtered_per_second)));
    }
    if let (Some(p50), Some(p99)) = (rates.call_p50_ms, rates.call_p99_ms) {
        let failed = match rates.failed_calls {
            0 => String::new(),
            failed => format!(", {failed} failed"),
        };
        said.push(format!(
            "     {}{failed}  p50 {}  p99 {}  memory {} of {}",
            words::count(rates.calls, "call"),
            took(p50),
            took(p99),
            ByteSize::from_bytes(rates.memory_bytes.next_multiple_of(1 << 20)),
            ByteSize::from_bytes(rates.memory_limit_bytes),
        ));
    }
    format!("  {label:<6}  {}", said.join("  "))
}

/// `310/s`, `0.2/s`.
fn rate(per_second: f64) -> String {
    match per_second {
        many if many >= 10.0 => format!("{many:.0}/s"),
        few => format!("{few:.1}/s"),
    }
}

/// `2.1 ms`, `812 ms`, `30.0 s`.
fn took(ms: f64) -> String {
    match ms {
        long if long >= 10_000.0 => format!("{:.1} s", long / 1_000.0),
        some if some >= 10.0 => format!("{some:.0} ms"),
        short => format!("{short:.1} ms"),
    }
}

#[cfg(test)]
mod tests {
    use fnctl_core::status::NextStep;

    use super::*;

    #[test]
    fn rates_and_times_are_short() {
        let rates: Vec<String> = [0.0, 0.23, 9.94, 310.4].map(rate).into();
        assert_eq!(rates, ["0.0/s", "0.2/s", "9.9/s", "310/s"]);
        let times: Vec<String> = [2.14, 812.3, 30_000.0].map(took).into();
        assert_eq!(times, ["2.1 ms", "812 ms", "30.0 s"]);
    }

    #[test]
    fn the_last_minutes_are_one_line() {
        let rates = RecentRates {
            over_ms: 291_000,
            in_per_second: Some(1204.4),
            processed_per_second: 310.0,
            dead_lettered_per_second: 0.21,
            filtered_per_second: 0.0,
            emitted_per_second: 310.0,
            trend: Some(Trend::Growing),
            calls: 100,
            failed_calls: 96,
            running_calls: 4,
            call_p50_ms: Some(2.1),
            call_p99_ms: Some(30_000.0),
            busy_ratio: 1.0,
            waiting_ratio: 0.0,
            memory_bytes: 40 << 20 | 1,
            memory_limit_bytes: 128 << 20,
        };
        assert_eq!(
            recent(&rates),
            "  5 min   in 1204/s  processed 310/s  dead-lettered 0.2/s       100 calls, 96 failed  p50 2.1 ms  \
             p99 30.0 s  memory 41MiB of 128MiB"
        );
    }

    #[test]
    fn what_can_be_done_lines_up_behind_why() {
        let step = |command: &str, effect: &str| NextStep {
            command: command.to_owned(),
            effect: effect.to_owned(),
        };
        let found = Diagnosis {
            code: "paused".to_owned(),
            since: None,
            message: "somebody paused it".to_owned(),
            actions: vec![step("fnctl a", "one"), step("fnctl bcd", "two")],
        };
        assert_eq!(
            why(&found),
            [
                "  why     paused: somebody paused it",
                "  do      fnctl a    # one",
                "          fnctl bcd  # two",
            ]
        );
    }
}
