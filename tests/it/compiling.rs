//! Components that are refused at deploy by the real server, whatever compiling or starting them does to
//! it; and a compiling process that never outlives anybody.

use std::{fs, thread};

use fnctl_tests::{Answer, Server, request};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;

use crate::{
    handmade::{ALLOCATE, LOOP, TRAP, bomb, starting},
    support::{guest, one, put, server, tail},
};

/// Takes some seconds of compiling, and more memory than a compilation may.
fn too_much() -> Vec<u8> {
    bomb(40_000, 40_000)
}

fn upload(server: &Server, component: &[u8]) -> Answer {
    request(&server.api, "PUT", "/v1/artifacts", &[], component)
        .unwrap_or_else(|e| panic!("{e}\nserver log: {}", server.log()))
}

fn error_of(answer: &Answer) -> Value {
    let body: Value = serde_json::from_str(&answer.text()).expect("an error object");
    body["error"].clone()
}

/// The compiling process of a server, waited for.
fn compiler_of(server: &Server) -> Pid {
    let tasks = format!("/proc/{}/task", server.pid());
    loop {
        let tasks = fs::read_dir(&tasks).expect("the server runs");
        let children = tasks.filter_map(|task| {
            let list = task.ok()?.path().join("children");
            fs::read_to_string(list).ok()
        });
        let first = children
            .flat_map(|list| {
                list.split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .next();
        if let Some(pid) = first
            .and_then(|pid| pid.parse().ok())
            .and_then(Pid::from_raw)
        {
            return pid;
        }
        thread::yield_now();
    }
}

/// Waits until a process is gone, or nothing but its entry is left.
fn gone(process: Pid) {
    let status = format!("/proc/{}/stat", process.as_raw_nonzero());
    let is_there = || {
        test_kill_process(process).is_ok()
            && fs::read_to_string(&status).is_ok_and(|stat| !stat.contains(") Z "))
    };
    while is_there() {
        thread::yield_now();
    }
}

/// The server answers, and deploys what is sound.
fn still_serves(server: &Server) {
    one(
        server,
        &["deploy", &guest("echo"), "--stream", "in", "--to", "out"],
    );
    put(server, "in", &["still here".to_owned()], &[]);
    assert_eq!(tail(server, "out", 1)[0]["data"], "still here");
}

#[test]
fn a_component_that_compiles_for_ever_is_refused_while_everyone_is_served() {
    let server = server();
    still_serves(&server);
    thread::scope(|scope| {
        let refused = scope.spawn(|| upload(&server, &too_much()));
        let compiling = compiler_of(&server);
        // Another process works on it: what runs goes on.
        put(&server, "in", &["meanwhile".to_owned()], &[]);
        assert_eq!(tail(&server, "out", 2)[1]["data"], "meanwhile");
        let answer = refused.join().expect("an answer");
        let error = error_of(&answer);
        assert_eq!(
            (answer.status, &error["code"]),
            (400, &"FN2013".into()),
            "{error}"
        );
        let why = error["why"].as_str().unwrap_or_default();
        assert!(why.contains("MiB of memory") || why.contains(" s"), "{why}");
        assert!(
            error["fix"]
                .as_str()
                .is_some_and(|fix| fix.contains("split")),
            "{error}"
        );
        gone(compiling);
    });
    one(
        &server,
        &["deploy", &guest("reader"), "--stream", "in", "--to", "read"],
    );
}

#[test]
fn a_component_that_does_not_start_is_refused_and_named() {
    let server = server();
    for (component, words) in [
        (starting(1, TRAP), "unreachable"),
        (starting(1, LOOP), "did not end within 1 s"),
        (starting(1, ALLOCATE), "MiB of memory"),
    ] {
        let answer = upload(&server, &component);
        let error = error_of(&answer);
        assert_eq!(
            (answer.status, &error["code"]),
            (400, &"FN2011".into()),
            "{error}"
        );
        assert!(
            error["why"].as_str().is_some_and(|why| why.contains(words)),
            "{error}"
        );
    }
    still_serves(&server);
}

#[test]
fn a_compiler_that_is_killed_costs_one_answer() {
    let server = server();
    thread::scope(|scope| {
        let answer = scope.spawn(|| upload(&server, &too_much()));
        kill_process(compiler_of(&server), Signal::KILL).expect("ours");
        let answer = answer.join().expect("an answer");
        let error = error_of(&answer);
        assert_eq!(
            (answer.status, &error["code"]),
            (500, &"FN9001".into()),
            "{error}"
        );
    });
    assert!(
        server.log().contains("killed from outside"),
        "{}",
        server.log()
    );
    still_serves(&server);
}

#[test]
fn a_compiler_dies_with_its_server_and_leaves_nothing_behind() {
    let server = server();
    let data_dir = server.data_dir.clone();
    let keep = tempfile::tempdir().expect("a folder");
    let component = keep.path().join("bomb.wasm");
    fs::write(&component, too_much()).expect("a file");
    let mut waiting = server
        .command(&["deploy", &component.to_string_lossy(), "--stream", "in"])
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("the command starts");
    let compiling = compiler_of(&server);
    server.signal(Signal::KILL).expect("it runs");
    gone(compiling);
    waiting.wait().expect("the command ends");
    let left: Vec<_> = fs::read_dir(data_dir.join("cache"))
        .expect("the cache")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name != "cache.key")
        .collect();
    assert_eq!(left, Vec::<String>::new());
}
