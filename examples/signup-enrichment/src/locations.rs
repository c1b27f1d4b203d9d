//! Zip codes, their cities, and what is offered there: a text sorted by zip code, searched where it lies.

/// A line a zip code, ascending: five digits, the class of its offers, a space, the city. Made by
/// `data/make.py`.
static TABLE: &str = include_str!("../data/locations.txt");

const ZIP_BYTES: usize = 5;
const CITY_AT: usize = ZIP_BYTES + 2;

/// A place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    pub(crate) city: &'static str,
    /// Megabits a second, ascending.
    pub(crate) offers: &'static [u32],
}

/// The place of a zip code.
pub(crate) fn find(zip: &str) -> Option<Location> {
    let mut left = TABLE;
    while !left.is_empty() {
        // The middle, moved to the start of its line.
        let middle = left.as_bytes()[..left.len() / 2]
            .iter()
            .rposition(|byte| *byte == b'\n');
        let (before, rest) = left.split_at(middle.map_or(0, |newline| newline + 1));
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        match line.get(..ZIP_BYTES)?.cmp(zip) {
            std::cmp::Ordering::Less => left = after,
            std::cmp::Ordering::Greater => left = before,
            std::cmp::Ordering::Equal => return location(line),
        }
    }
    None
}

fn location(line: &'static str) -> Option<Location> {
    Some(Location {
        city: line.get(CITY_AT..)?,
        offers: offers(line.as_bytes().get(ZIP_BYTES)?)?,
    })
}

/// What a class of places is offered. Keep in step with CLASSES in `data/make.py`.
fn offers(class: &u8) -> Option<&'static [u32]> {
    match class {
        b'a' => Some(&[25]),
        b'b' => Some(&[25, 100]),
        b'c' => Some(&[100, 1_000]),
        b'd' => Some(&[100, 1_000, 5_000]),
        _ => None,
    }
}

/// Every line of the table, for the tests.
#[cfg(test)]
pub(crate) fn lines() -> impl Iterator<Item = &'static str> {
    TABLE.lines()
}
