//! The rules of all patterns of a filter as one tree of keys. A record is walked once; each field that a
//! rule asks for is a bit.
//!
//! Bits are given out rule by rule and, within one, in the order of the tree: what a rule asks for below
//! a node is a run of bits. So an array is judged by looking whether one of its elements has the whole
//! run.

use std::{collections::BTreeMap, ops::Range};

use super::{
    field::Field,
    matcher::Matcher,
    rules::{Asks, Rule},
};

/// The tree and the rules.
#[derive(Clone, Debug, Default)]
pub(super) struct Compiled {
    /// The first is the top.
    pub(super) nodes: Vec<Node>,
    pub(super) rules: Vec<CompiledRule>,
    /// Bits in all.
    pub(super) bits: u32,
    /// Fields of the envelope but the payload that rules name, and their nodes.
    pub(super) envelope: Vec<(Field, u32)>,
    /// The payload's node.
    pub(super) data: Option<u32>,
}

/// A place in records that rules name, or that lies on the way to one.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    /// Keys and nodes, ascending by key.
    pub(super) children: Vec<(Box<str>, u32)>,
    pub(super) tests: Vec<Test>,
    /// What each rule asks for at and below this node.
    pub(super) runs: Vec<Range<u32>>,
    /// Whether no rule asks for two things here, and none for anything below: then elements of an array
    /// need not be told apart.
    pub(super) is_single: bool,
    /// As a person reads it: `data.user.id`.
    pub(super) path: Box<str>,
}

/// What is asked of a value at a node, and the bits of it, one for each rule.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) matchers: Vec<Matcher>,
    pub(super) bits: Vec<u32>,
}

/// A set of fields that must all match.
#[derive(Clone, Debug)]
pub(super) struct CompiledRule {
    /// The pattern it comes from.
    pub(super) pattern: usize,
    /// Its bits of the envelope.
    pub(super) envelope: Range<u32>,
    /// Its bits of the payload.
    pub(super) data: Range<u32>,
    /// Nodes that must have no value, of the envelope and of the payload.
    pub(super) absent: Vec<u32>,
    /// Whether it asks for fields in the payload, which then must be JSON.
    pub(super) needs_json: bool,
    /// Whether the envelope alone decides.
    pub(super) is_envelope_only: bool,
    /// The node of each bit, in order.
    pub(super) bit_nodes: Vec<u32>,
}

impl Compiled {
    /// Lays out the rules of all patterns; `rules` has the rules of each.
    pub(super) fn new(rules: Vec<Vec<Rule>>) -> Self {
        let mut compiled = Self {
            nodes: vec![Node::default()],
            ..Self::default()
        };
        // One leaf is in several rules; it is tested once.
        let mut tests = BTreeMap::new();
        for (pattern, rules) in rules.into_iter().enumerate() {
            for rule in rules {
                compiled.lay_out(pattern, rule, &mut tests);
            }
        }
        for node in &mut compiled.nodes {
            let is_one_each = node.runs.iter().all(|run| run.len() == 1);
            node.is_single = is_one_each && node.children.is_empty();
        }
        let top = compiled.nodes[0].children.clone();
        for (key, node) in top {
            match Field::parse(&key) {
                Some(Field::Data) => compiled.data = Some(node),
                Some(field) => compiled.envelope.push((field, node)),
                None => debug_assert!(false, "`{key}` was refused"),
            }
        }
        compiled
    }

    fn lay_out(
        &mut self,
        pattern: usize,
        mut rule: Rule,
        tests: &mut BTreeMap<u32, (usize, usize)>,
    ) {
        let is_data = |path: &[String]| path[0] == Field::Data.name();
        rule.sort_by(|one, other| {
            let (one, other) = (&one.path, &other.path);
            (is_data(one), one).cmp(&(is_data(other), other))
        });
        let begin = self.bits;
        let mut laid = CompiledRule {
            pattern,
            envelope: begin..begin,
            data: begin..begin,
            absent: Vec::new(),
            needs_json: false,
            is_envelope_only: true,
            bit_nodes: Vec::new(),
        };
        for leaf in rule {
            let route = self.route(&leaf.path);
            let node = *route.last().expect("a path has a key");
            let is_data = is_data(&leaf.path);
            laid.needs_json |= is_data && leaf.path.len() > 1;
            laid.is_envelope_only &= !is_data;
            let Asks::Value(matchers) = &leaf.asks else {
                laid.absent.push(node);
                continue;
            };
            let bit = self.bits;
            self.bits += 1;
            laid.bit_nodes.push(node);
            if !is_data {
                laid.envelope.end = bit + 1;
                laid.data = bit + 1..bit + 1;
            }
            laid.data.end = bit + 1;
            for &node in &route {
                let runs = &mut self.nodes[node as usize].runs;
                match runs.last_mut() {
                    Some(run) if run.end == bit && run.start >= begin => run.end = bit + 1,
                    _ => runs.push(bit..bit + 1),
                }
            }
            let (at, index) = *tests.entry(leaf.number).or_insert_with(|| {
                let of_node = &mut self.nodes[node as usize].tests;
                of_node.push(Test {
                    matchers: matchers.clone(),
                    bits: Vec::new(),
                });
                (node as usize, of_node.len() - 1)
            });
            self.nodes[at].tests[index].bits.push(bit);
        }
        self.rules.push(laid);
    }

    /// The nodes from below the top to a path's end; those that are missing are made.
    fn route(&mut self, path: &[String]) -> Vec<u32> {
        let mut at = 0;
        let mut route = Vec::with_capacity(path.len());
        for key in path {
            let made = u32::try_from(self.nodes.len()).expect("nodes are bounded by the pattern");
            let children = &mut self.nodes[at as usize].children;
            at = match children.binary_search_by(|(one, _)| (**one).cmp(key)) {
                Ok(index) => children[index].1,
                Err(index) => {
                    children.insert(index, (key.as_str().into(), made));
                    let above = &self.nodes[at as usize].path;
                    let path = match above.is_empty() {
                        true => key.clone(),
                        false => format!("{above}.{key}"),
                    };
                    self.nodes.push(Node {
                        path: path.into(),
                        ..Node::default()
                    });
                    made
                }
            };
            route.push(at);
        }
        route
    }

    /// The node of a key below another one.
    #[inline]
    pub(super) fn child(&self, node: u32, key: &str) -> Option<u32> {
        let children = &self.nodes[node as usize].children;
        let found = children.binary_search_by(|(one, _)| (**one).cmp(key));
        found.ok().map(|index| children[index].1)
    }
}
