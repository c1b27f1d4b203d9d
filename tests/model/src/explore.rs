//! Breadth first through every reachable state, then backwards from the goal.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
    time::{Duration, Instant},
};

use crate::check::Violation;

/// Something with states and steps between them.
pub(crate) trait System {
    /// All that matters at one moment.
    type State: Clone;
    /// What leads from one state to another.
    type Step: fmt::Display;

    /// Everything that can happen in `state`: where it leads, or the rule it breaks.
    fn successors(&mut self, state: &Self::State, out: &mut Successors<Self>);

    /// Equal for states that behave alike, different for others.
    fn fingerprint(&mut self, state: &Self::State) -> u128;

    /// Whether everything is done.
    fn is_goal(&self, state: &Self::State) -> bool;

    /// Views reached and questions that the production view was asked.
    fn counts(&self) -> (usize, usize);
}

/// Where the steps from a state lead.
pub(crate) type Successors<S> = Vec<(<S as System>::Step, Result<<S as System>::State, Violation>)>;

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No violation in any reachable state, and from each a path to the goal.
    Holds,
    /// The shortest schedule that ends in a violation, step by step.
    Fails(Violation, Vec<String>),
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
}

impl Graph {
    /// The state's id, and whether it is new.
    fn visit(&mut self, fingerprint: u128, parent: u32, is_goal: bool) -> (u32, bool) {
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

/// Explores a system to exhaustion, or to its first violation.
pub(crate) fn search<S: System>(
    name: &'static str,
    states_max: usize,
    system: &mut S,
    start: &S::State,
) -> Report {
    let started = Instant::now();
    let mut graph = Graph {
        ids: HashMap::default(),
        parents: Vec::new(),
        goals: Vec::new(),
        steps: Vec::new(),
    };
    graph.visit(system.fingerprint(start), 0, system.is_goal(start));

    let mut next_steps = Vec::new();
    let mut front = vec![(0u32, start.clone())];
    let mut depth = 0;
    let mut violation: Option<(u32, String, Violation)> = None;
    'levels: while !front.is_empty() && graph.parents.len() <= states_max {
        depth += 1;
        let mut next_front = Vec::new();
        for (from, state) in front.drain(..) {
            system.successors(&state, &mut next_steps);
            for (step, outcome) in next_steps.drain(..) {
                let next = match outcome {
                    Ok(next) => next,
                    Err(broken) => {
                        violation = Some((from, step.to_string(), broken));
                        break 'levels;
                    }
                };
                let is_goal = system.is_goal(&next);
                let (id, is_new) = graph.visit(system.fingerprint(&next), from, is_goal);
                graph.steps.push((id, from));
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
            let mut schedule = walk(system, &graph, start, from);
            schedule.push(step);
            Verdict::Fails(broken, schedule)
        }
        None if !is_exhausted => Verdict::Unfinished,
        None => match graph.stuck() {
            None => Verdict::Holds,
            Some(id) => Verdict::Fails(Violation::Stuck, walk(system, &graph, start, id)),
        },
    };
    Report {
        name,
        verdict,
        states: graph.parents.len(),
        transitions: graph.steps.len(),
        depth,
        views: system.counts(),
        elapsed: started.elapsed(),
    }
}

/// The steps to a state, found again from the start: states themselves are not kept.
fn walk<S: System>(system: &mut S, graph: &Graph, start: &S::State, id: u32) -> Vec<String> {
    let mut state = start.clone();
    let mut schedule = Vec::new();
    let mut next_steps = Vec::new();
    for &to in graph.path_to(id).iter().skip(1) {
        system.successors(&state, &mut next_steps);
        let (step, next) = next_steps
            .drain(..)
            .find_map(|(step, next)| {
                let next = next.ok()?;
                let id = graph.ids.get(&system.fingerprint(&next));
                (id == Some(&to)).then(|| (step.to_string(), next))
            })
            .expect("a parent leads to its child");
        schedule.push(step);
        state = next;
    }
    schedule
}
