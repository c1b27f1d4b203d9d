//! Breadth first through every reachable state, then backwards from the goal.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
    time::{Duration, Instant},
};

use crate::{
    config::Config,
    state::State,
    step::{Step, Successors, initial, successors},
    views::{Views, Violation},
};

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No violation in any reachable state, and from each a path to the goal.
    Holds,
    /// The shortest schedule that ends in a violation.
    Fails(Violation, Vec<Step>),
    /// `states_max` was reached first.
    Unfinished,
}

/// What came out, and what it took.
#[derive(Clone, Debug)]
pub struct Report {
    /// The configuration's name.
    pub name: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub transitions: usize,
    /// Length of the longest shortest path.
    pub depth: usize,
    /// Views reached, and questions that the production view was asked.
    pub views: (usize, usize),
    /// How long it took.
    pub elapsed: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<52} {:>9} states {:>10} steps, depth {:>3}, {:>6} views, {:>7} questions, {:>5.1} s: ",
            self.name,
            self.states,
            self.transitions,
            self.depth,
            self.views.0,
            self.views.1,
            self.elapsed.as_secs_f32()
        )?;
        match &self.verdict {
            Verdict::Holds => f.write_str("holds, exhausted"),
            Verdict::Unfinished => f.write_str("unfinished"),
            Verdict::Fails(violation, schedule) => {
                for step in schedule {
                    write!(f, "\n    {step}")?;
                }
                write!(f, "\n    ==> {violation}")
            }
        }
    }
}

/// A fingerprint is a hash already.
#[derive(Default)]
struct Passed(u64);

impl Hasher for Passed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("fingerprints are u128");
    }

    fn write_u128(&mut self, fingerprint: u128) {
        self.0 = fingerprint as u64;
    }
}

struct Graph {
    ids: HashMap<u128, u32, BuildHasherDefault<Passed>>,
    /// Through whom each state was first reached.
    parents: Vec<u32>,
    goals: Vec<bool>,
    /// (to, from) of every step.
    steps: Vec<(u32, u32)>,
    buffer: Vec<u8>,
}

impl Graph {
    fn known(&mut self, state: &State) -> Option<u32> {
        let fingerprint = state.fingerprint(&mut self.buffer);
        self.ids.get(&fingerprint).copied()
    }

    /// The state's id, and whether it is new.
    fn visit(&mut self, state: &State, parent: u32, is_goal: bool) -> (u32, bool) {
        let fingerprint = state.fingerprint(&mut self.buffer);
        let new = u32::try_from(self.parents.len()).expect("fewer than 2^32 states");
        let id = *self.ids.entry(fingerprint).or_insert(new);
        if id == new {
            self.parents.push(parent);
            self.goals.push(is_goal);
        }
        (id, id == new)
    }

    /// Some state that no step leads to the goal from.
    fn stuck(&self) -> Option<u32> {
        let count = self.parents.len();
        let mut starts = vec![0u32; count + 1];
        for (to, _) in &self.steps {
            starts[*to as usize + 1] += 1;
        }
        for index in 0..count {
            starts[index + 1] += starts[index];
        }
        let mut sources = vec![0u32; self.steps.len()];
        let mut filled = starts.clone();
        for (to, from) in &self.steps {
            let at = &mut filled[*to as usize];
            sources[*at as usize] = *from;
            *at += 1;
        }
        drop(filled);
        let mut reaches = self.goals.clone();
        let mut open: Vec<u32> = (0u32..)
            .zip(&self.goals)
            .filter(|(_, is_goal)| **is_goal)
            .map(|(id, _)| id)
            .collect();
        while let Some(id) = open.pop() {
            let range = starts[id as usize] as usize..starts[id as usize + 1] as usize;
            for &source in &sources[range] {
                if !std::mem::replace(&mut reaches[source as usize], true) {
                    open.push(source);
                }
            }
        }
        (0u32..).zip(reaches).find(|(_, ok)| !ok).map(|(id, _)| id)
    }

    fn path_to(&self, id: u32) -> Vec<u32> {
        let mut path = vec![id];
        let mut at = id;
        while at != 0 {
            at = self.parents[at as usize];
            path.push(at);
        }
        path.reverse();
        path
    }
}

/// Explores a configuration to exhaustion, or to its first violation.
#[must_use]
pub fn explore(config: &Config) -> Report {
    let started = Instant::now();
    let (mut views, first) = Views::new(config);
    let start = initial(config, first);
    let mut graph = Graph {
        ids: HashMap::default(),
        parents: Vec::new(),
        goals: Vec::new(),
        steps: Vec::new(),
        buffer: Vec::new(),
    };
    graph.visit(&start, 0, false);

    let mut next_steps = Successors::new();
    let mut front = vec![(0u32, start)];
    let mut depth = 0;
    let mut violation: Option<(u32, Step, Violation)> = None;
    'levels: while !front.is_empty() && graph.parents.len() <= config.states_max {
        depth += 1;
        let mut next_front = Vec::new();
        for (from, state) in &front {
            successors(config, &mut views, state, &mut next_steps);
            for (step, outcome) in next_steps.drain(..) {
                let next = match outcome {
                    Ok(next) => next,
                    Err(broken) => {
                        violation = Some((*from, step, broken));
                        break 'levels;
                    }
                };
                let visible = views.facts(next.journal.visible(config));
                let is_goal = visible.settled == config.all();
                let (id, is_new) = graph.visit(&next, *from, is_goal);
                graph.steps.push((id, *from));
                if is_new {
                    next_front.push((id, next));
                }
            }
        }
        front = next_front;
    }

    let is_exhausted = front.is_empty();
    let verdict = match violation {
        Some((from, step, broken)) => {
            let mut schedule = walk(config, &mut views, &mut graph, start, from);
            schedule.push(step);
            Verdict::Fails(broken, schedule)
        }
        None if !is_exhausted => Verdict::Unfinished,
        None => match graph.stuck() {
            None => Verdict::Holds,
            Some(id) => Verdict::Fails(
                Violation::Stuck,
                walk(config, &mut views, &mut graph, start, id),
            ),
        },
    };
    Report {
        name: config.name,
        verdict,
        states: graph.parents.len(),
        transitions: graph.steps.len(),
        depth,
        views: views.counts(),
        elapsed: started.elapsed(),
    }
}

/// The steps to a state, found again from the start: states themselves are not kept.
fn walk(config: &Config, views: &mut Views, graph: &mut Graph, start: State, id: u32) -> Vec<Step> {
    let mut state = start;
    let mut schedule = Vec::new();
    let mut next_steps = Successors::new();
    for &to in graph.path_to(id).iter().skip(1) {
        successors(config, views, &state, &mut next_steps);
        let (step, next) = next_steps
            .drain(..)
            .find_map(|(step, next)| {
                let next = next.ok()?;
                (graph.known(&next) == Some(to)).then_some((step, next))
            })
            .expect("a parent leads to its child");
        schedule.push(step);
        state = next;
    }
    schedule
}
