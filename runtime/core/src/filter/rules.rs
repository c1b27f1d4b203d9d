//! A pattern as the rules it stands for: each a set of fields that must all match; `$or`, and a field
//! that may be absent or match, make several of one (specification of filters, section 14).

use std::rc::Rc;

use super::{
    Mistakes,
    field::Field,
    matcher::Matcher,
    operators::{self, OPERATORS},
    pattern::{Member, Node, Value},
};
use crate::{limits, spec::nearest::nearest};

/// The key of alternatives.
const OR: &str = "$or";

/// What one field of a rule asks for.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// Unlike any other leaf's of the same filter.
    pub(super) number: u32,
    /// Keys from the top; keys with dots are several.
    pub(super) path: Vec<String>,
    pub(super) asks: Asks,
}

/// What is asked of a field.
#[derive(Clone, Debug)]
pub(super) enum Asks {
    /// A value that one of these matches.
    Value(Vec<Matcher>),
    /// That there is no value.
    Absence,
}

/// Fields that must all match.
pub(super) type Rule = Vec<Rc<Leaf>>;

/// Reads one pattern into its rules. `leaves` counts on over the patterns of a filter.
pub(super) fn rules(pattern: &Node, leaves: &mut u32, mistakes: &mut Mistakes) -> Vec<Rule> {
    let Value::Object(members) = &pattern.value else {
        let words = format!("{} where an object is expected", pattern.value.kind());
        mistakes.add("", pattern.at, words);
        return Vec::new();
    };
    if members.is_empty() {
        let words = "an empty object: name a field, `{\"data\": {…}}`";
        mistakes.add("", pattern.at, words);
        return Vec::new();
    }
    let mut reader = Reader { leaves, mistakes };
    reader.alternatives(members, &Place::default())
}

/// Where an object of the pattern stands.
#[derive(Clone, Default)]
struct Place {
    /// In the pattern, as it is told: `$or` and dotted keys as they are written.
    told: String,
    /// In a record.
    path: Vec<String>,
}

impl Place {
    fn told(&self, key: &str) -> String {
        if self.told.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.told)
        }
    }

    fn under(&self, key: &str) -> Self {
        let path = self.path.iter().map(String::as_str).chain(key.split('.'));
        Self {
            told: self.told(key),
            path: path.map(str::to_owned).collect(),
        }
    }
}

struct Reader<'a> {
    leaves: &'a mut u32,
    mistakes: &'a mut Mistakes,
}

impl Reader<'_> {
    /// The rules of an object and of everything in it.
    fn alternatives(&mut self, members: &[Member], place: &Place) -> Vec<Rule> {
        let mut fields = Vec::new();
        let mut choices = Vec::new();
        self.flatten(members, place, &mut fields, &mut choices);
        let mut rules = vec![Rule::new()];
        for (path, alternatives) in fields {
            let mut asked = Vec::new();
            if alternatives.absent {
                asked.push(vec![self.leaf(&path, Asks::Absence)]);
            }
            if !alternatives.matchers.is_empty() {
                asked.push(vec![self.leaf(&path, Asks::Value(alternatives.matchers))]);
            }
            rules = self.product(rules, asked);
        }
        for (place, branches) in choices {
            let mut either = Vec::new();
            for (index, branch) in branches.iter().enumerate() {
                let place = Place {
                    told: format!("{}[{index}]", place.told(OR)),
                    path: place.path.clone(),
                };
                match &branch.value {
                    Value::Object(members) if !members.is_empty() => {
                        either.extend(self.alternatives(members, &place));
                    }
                    _ => self.mistakes.add(place.told, branch.at, "an empty object"),
                }
            }
            rules = self.product(rules, either);
        }
        rules
    }

    /// Everything below an object that is not below an `$or`. Of fields with one path the last counts;
    /// objects with one path are all kept.
    fn flatten<'n>(
        &mut self,
        members: &'n [Member],
        place: &Place,
        fields: &mut Vec<(Vec<String>, operators::Alternatives)>,
        choices: &mut Vec<(Place, &'n [Node])>,
    ) {
        for Member { key, node } in members {
            let below = place.under(key);
            match &node.value {
                Value::Array(branches) if key == OR && is_choice(branches) => {
                    choices.push((place.clone(), branches));
                }
                Value::Array(items) if items.is_empty() => {
                    self.mistakes
                        .add(below.told, node.at, "an empty array: nothing would match");
                }
                Value::Array(items) => {
                    if place.path.is_empty() {
                        self.check_field(&below, true, node.at);
                    }
                    let read = operators::read(items, &below.told, self.mistakes);
                    fields.retain(|(path, _)| *path != below.path);
                    fields.push((below.path, read));
                }
                Value::Object(members) if members.is_empty() => {
                    let words =
                        "an empty object: name a field in it, or write `[{\"exists\": true}]`";
                    self.mistakes.add(below.told, node.at, words);
                }
                Value::Object(members) => {
                    if place.path.is_empty() {
                        self.check_field(&below, false, node.at);
                    }
                    self.flatten(members, &below, fields, choices);
                }
                other => {
                    let words = format!(
                        "{} where an array is expected: write the values in brackets",
                        other.kind()
                    );
                    self.mistakes.add(below.told, node.at, words);
                }
            }
        }
    }

    /// Looks that a path begins with a field of the envelope, and that what has no fields is asked for
    /// none.
    fn check_field(&mut self, place: &Place, is_leaf: bool, at: usize) {
        let name = place.path[0].as_str();
        let is_below = place.path.len() > 1 || !is_leaf;
        match Field::parse(name) {
            Some(Field::Data) => {}
            Some(_) if is_below => {
                let words = format!("`{name}` holds no fields: write its values in brackets");
                self.mistakes.add(place.told.clone(), at, words);
            }
            Some(_) => {}
            None => {
                let near = nearest(name, Field::ALL.map(Field::name));
                let hint = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!(
                        "the payload is `data`, the others are {}",
                        Field::ALL
                            .into_iter()
                            .filter(|field| *field != Field::Data)
                            .map(Field::name)
                            .collect::<Vec<_>>()
                            .join(", ")
                    ),
                };
                let words = format!("a record has no field `{name}`; {hint}");
                // Of several paths below one unknown field the first tells it.
                self.mistakes.add_once(name, at, words);
            }
        }
    }

    fn leaf(&mut self, path: &[String], asks: Asks) -> Rc<Leaf> {
        let number = *self.leaves;
        *self.leaves += 1;
        Rc::new(Leaf {
            number,
            path: path.to_vec(),
            asks,
        })
    }

    /// Every rule of one side with every one of the other.
    fn product(&mut self, rules: Vec<Rule>, with: Vec<Rule>) -> Vec<Rule> {
        if self.mistakes.is_too_large {
            return Vec::new();
        }
        let fields = |rules: &[Rule]| rules.iter().map(Vec::len).sum::<usize>();
        let (one, other) = (fields(&rules), fields(&with));
        let product = one * with.len() + other * rules.len();
        if product > limits::FILTER_FIELDS_MAX {
            self.mistakes.is_too_large = true;
            return Vec::new();
        }
        if let [one] = with.as_slice() {
            let mut rules = rules;
            rules
                .iter_mut()
                .for_each(|rule| rule.extend_from_slice(one));
            return rules;
        }
        let pairs = rules
            .iter()
            .flat_map(|rule| with.iter().map(move |other| (rule, other)));
        pairs
            .map(|(rule, other)| rule.iter().chain(other).cloned().collect())
            .collect()
    }
}

/// Whether the array of `$or` is a choice: two objects or more, none with an operator's name for a key.
/// Otherwise `$or` is a field like any other.
fn is_choice(branches: &[Node]) -> bool {
    branches.len() >= 2
        && branches.iter().all(|branch| match &branch.value {
            Value::Object(members) => members
                .iter()
                .all(|member| !OPERATORS.contains(&member.key.as_str())),
            _ => false,
        })
}
