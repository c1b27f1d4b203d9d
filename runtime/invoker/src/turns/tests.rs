//! Who is next, asked without a clock: futures are polled by hand.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::*;

type Taking = Pin<Box<dyn Future<Output = Turn>>>;

fn take(turns: &Arc<Turns>, mapping: &str) -> Taking {
    let (turns, mapping) = (Arc::clone(turns), Arc::from(mapping));
    let mut taking: Taking = Box::pin(async move { turns.take(&mapping).await });
    // It stands in the queue from its first poll on.
    assert!(poll(&mut taking).is_none(), "nothing is free");
    taking
}

fn poll(taking: &mut Taking) -> Option<Turn> {
    match taking
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(turn) => Some(turn),
        Poll::Pending => None,
    }
}

fn now(turns: &Arc<Turns>, mapping: &str) -> Turn {
    let (turns, mapping) = (Arc::clone(turns), Arc::from(mapping));
    let mut taking: Taking = Box::pin(async move { turns.take(&mapping).await });
    poll(&mut taking).expect("there is room")
}

/// Ends the running call, again and again: the names of those that run after it, in order.
fn order(mut running: VecDeque<Turn>, mut waiting: Vec<(&str, Taking)>) -> String {
    let mut names = String::new();
    while !waiting.is_empty() {
        drop(running.pop_front());
        let at = waiting
            .iter_mut()
            .position(|(_, taking)| match poll(taking) {
                Some(turn) => {
                    running.push_back(turn);
                    true
                }
                None => false,
            });
        names.push_str(waiting.remove(at.expect("a turn is free")).0);
    }
    names
}

#[test]
fn a_mapping_that_floods_leaves_each_other_one_every_second_turn() {
    for limit in [1, 2] {
        let turns = Turns::new(Some(limit));
        let running = (0..limit).map(|_| now(&turns, "flood")).collect();
        let mut waiting: Vec<_> = (0..5).map(|_| ("f", take(&turns, "flood"))).collect();
        waiting.extend((0..2).map(|_| ("t", take(&turns, "trickle"))));
        assert_eq!(order(running, waiting), "ftftfff", "at most {limit}");
    }
}

#[test]
fn every_mapping_that_waits_has_one_call_before_any_has_two() {
    let turns = Turns::new(Some(1));
    let running = VecDeque::from([now(&turns, "a")]);
    let mut waiting = Vec::new();
    for name in ["a", "a", "a", "b", "b", "c"] {
        waiting.push((name, take(&turns, name)));
    }
    assert_eq!(order(running, waiting), "abcaba");
}

#[test]
fn a_call_that_is_taken_back_leaves_no_turn_behind() {
    let turns = Turns::new(Some(1));
    let first = now(&turns, "a");
    let mut second = take(&turns, "a");
    drop(take(&turns, "a"));
    let granted = take(&turns, "b");
    drop(first);
    let second = poll(&mut second).expect("its turn");
    drop(second);
    // Its turn came, and it was dropped before it knew.
    drop(granted);
    drop(now(&turns, "c"));
    let state = turns.lock();
    assert_eq!(state.running, 0);
    assert!(state.order.is_empty() && state.waiting.is_empty());
}

#[test]
fn another_limit_holds_from_then_on() {
    let turns = Turns::new(Some(2));
    let running = [now(&turns, "a"), now(&turns, "a")];
    let mut third = take(&turns, "a");
    turns.set_limit(Some(1));
    let [first, second] = running;
    drop(first);
    assert!(poll(&mut third).is_none(), "one runs, and one may");
    drop(second);
    let _third = poll(&mut third).expect("none runs");
    let mut fourth = take(&turns, "a");
    turns.set_limit(None);
    let _fourth = poll(&mut fourth).expect("as many as the node can make");
    turns.bound(1);
    drop(take(&turns, "a"));
}
