//! Does what the record says: a word, and for some a number after a space. A host must live with all of
//! it.

use std::{
    env, fs,
    hash::{BuildHasher, RandomState},
    hint::black_box,
    io,
    net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket},
    process, thread,
    time::{Duration, Instant, SystemTime},
};

use fnctl_sdk::prelude::*;

const SIDE: Output = output!("side");

/// Bytes of a row that its output's stream takes.
const MIB: usize = 1 << 20;

#[stream_fn(batch)]
fn obey(batch: Batch<'_>, cx: &mut Context) -> Result<()> {
    batch.try_each(cx, one)?;
    // The call as a whole, once its records are through.
    match batch
        .iter()
        .find_map(|record| record.data().strip_prefix(b"call-"))
    {
        Some(b"retry") => Err(Error::retry("whole-retry", "the call is to be retried")),
        Some(b"skip") => Err(Error::skip("whole-skip", "the call is to be skipped")),
        Some(b"fatal") => Err(Error::fatal(
            "whole-fatal",
            "the call is to stop the mapping",
        )),
        Some(b"row") => cx.row().bytes(b"a row of no record"),
        _ => Ok(()),
    }
}

fn one(record: Record<'_>, cx: &mut Context) -> Result<()> {
    let text = record.text()?;
    let words = |text: &'static str| text.split_once(' ').unwrap_or((text, ""));
    let (word, number) = text.split_once(' ').unwrap_or((text, ""));
    // What a version is told by its configuration, it does with these.
    let (word, number) = match word.starts_with("told") {
        true => words(cx.config(word).unwrap_or("ok")),
        false => (word, number),
    };
    let number = || number.parse::<u64>().or_skip("bad-number", text);
    match word {
        "retry" => return Err(Error::retry("busy", "asked to fail")),
        "retry-after" => {
            let delay = Duration::from_millis(number()?);
            return Err(Error::retry("busy", "asked to wait").after(delay));
        }
        // Fails until its attempt of that number.
        "retry-until" if u64::from(record.attempt()) < number()? => {
            return Err(Error::retry(
                "not-yet",
                format_args!("attempt {}", record.attempt()),
            ));
        }
        // Until so many milliseconds since 1970: what it needs is down.
        "down-until" => {
            let until = SystemTime::UNIX_EPOCH + Duration::from_millis(number()?);
            if SystemTime::now() < until {
                return Err(Error::retry("upstream-down", "asked to come later"));
            }
        }
        "skip" => return Err(Error::skip("refused", "asked to be skipped")),
        "fatal" => return Err(Error::fatal("gone", "asked to stop")),
        "panic" => panic!("asked to panic"),
        "index" => return cx.emit(&[1][black_box(batch_len(text))]),
        "trap" => process::abort(),
        "exit" => process::exit(number()? as i32),
        "loop" => loop {
            black_box(0);
        },
        #[allow(
            clippy::disallowed_methods,
            reason = "a call that waits is what is asked for"
        )]
        "sleep" => thread::sleep(Duration::from_millis(number()?)),
        "allocate" => {
            let mut kept = Vec::new();
            loop {
                kept.push(black_box(vec![1u8; MIB]));
            }
        }
        "recurse" => {
            black_box(deeper(black_box(0)));
        }
        // As many mebibytes in rows of one.
        "emit" => {
            let row = vec![b'x'; MIB];
            for _ in 0..number()? {
                cx.emit_bytes(&row)?;
            }
        }
        // As many rows of one byte.
        "rows" => {
            for _ in 0..number()? {
                cx.emit_bytes(b"x")?;
            }
        }
        "row-too-large" => return cx.emit_bytes(&vec![b'x'; MIB + 1]),
        "bad-key" => return cx.row().key("").bytes(b"x"),
        "log" => {
            for line in 0..number()? {
                log::info!("line {line}");
            }
        }
        "log-huge" => log::warn!("{}", "x".repeat(number()? as usize)),
        "stdout" => {
            for line in 0..number()? {
                println!("line {line} \u{1b}[31m");
            }
        }
        "stderr" => eprintln!("said on stderr"),
        "side" => return cx.row().to(SIDE).bytes(record.data()),
        "unbound" => {
            return cx
                .row()
                .to(Output::named("never-declared"))
                .bytes(record.data());
        }
        "facts" => {
            let facts = (
                record.attempt(),
                record.sequence_number(),
                record.id(),
                cx.mapping(),
                cx.function_version(),
                cx.config("name"),
                cx.secret("token").map(|secret| secret.expose().len()),
                cx.remaining() > Duration::ZERO,
                record.header("name"),
            );
            return cx.emit(&facts);
        }
        // What of the world can be seen: as little as it may be.
        "world" => {
            let can = [
                fs::File::open("/etc/passwd").is_ok(),
                fs::File::create("written").is_ok(),
                fs::read_dir("/").is_ok(),
                TcpStream::connect(("127.0.0.1", 4_700)).is_ok(),
                TcpListener::bind(("127.0.0.1", 0)).is_ok(),
                UdpSocket::bind(("127.0.0.1", 0)).is_ok(),
                ("localhost", 80).to_socket_addrs().is_ok(),
            ];
            let read = io::stdin().lines().count();
            return cx.emit(&(env::vars().count(), env::args().count(), read, can));
        }
        // How finely time is seen: nanoseconds beyond whole milliseconds, of the day and of a wait.
        "clock" => {
            let day = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let day = day.or_skip("before-1970", text)?;
            let start = Instant::now();
            let mut waited = start.elapsed();
            while waited.is_zero() {
                waited = start.elapsed();
            }
            return cx.emit(&[day, waited].map(|time| time.subsec_nanos() % 1_000_000));
        }
        // Fails with what it sees of time and chance: the ms of the day, a wait, and a random number.
        "seen" => {
            let day = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let day = day.or_skip("before-1970", text)?.as_millis();
            let start = Instant::now();
            let chance = RandomState::new().hash_one(text);
            let left = cx.remaining().as_millis();
            let waited = start.elapsed().as_nanos();
            return Err(Error::retry(
                "seen",
                format_args!("day {day} waited {waited} left {left} chance {chance}"),
            ));
        }
        // Counts the calls of this instance: 1 in a fresh one.
        "calls" => {
            static CALLS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
            return cx.emit(&(1 + CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
        }
        _ => {}
    }
    cx.emit_bytes(record.data())
}

fn batch_len(text: &str) -> usize {
    text.len()
}

#[allow(unconditional_recursion, reason = "that is the point")]
fn deeper(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    frame[(depth % 64) as usize] + deeper(depth + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_do_what_they_say() {
        let inputs =
            ["ok", "retry", "skip", "retry-after 5", "bad-key", "side"].map(testing::record);
        let out = testing::run_batch(obey, inputs);
        assert_eq!(out.rows(Output::DEFAULT).len(), 1);
        assert_eq!(out.rows(SIDE).len(), 1);
        let codes: Vec<&str> = out.failures().iter().map(|failed| &*failed.code).collect();
        assert_eq!(codes, ["busy", "refused", "busy", "bad-key"]);
        let out = testing::run_batch(obey, [testing::record("call-retry")]);
        assert_eq!(out.call.unwrap_err().code(), "whole-retry");
    }

    #[test]
    fn an_attempt_may_be_waited_for() {
        let at = |attempt| [testing::record("retry-until 3").attempt(attempt)];
        assert_eq!(
            testing::run_batch(obey, at(2)).failures()[0].code,
            "not-yet"
        );
        assert!(testing::run_batch(obey, at(3)).failures().is_empty());
    }
}
