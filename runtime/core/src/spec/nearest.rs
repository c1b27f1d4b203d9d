//! The nearest known name to one that is not known, for `did you mean`.

/// The candidate that differs least, if it differs little enough to be a slip: one edit in three letters
/// of it, and one in any. `-` and `_` are one letter.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| (distance(&name, &candidate.replace('-', "_")), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits from `a` to `b`: insert, delete, replace, or swap two neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut above: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i];
        for j in 1..=b.len() {
            let replaced = row[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(above[j - 2] + 1);
            }
            next.push(least);
        }
        above = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let keys = ["batch_size", "batch_window", "timeout", "memory"];
        assert_eq!(nearest("batch_sise", keys), Some("batch_size"));
        assert_eq!(nearest("batch-size", keys), Some("batch_size"));
        assert_eq!(nearest("tiemout", keys), Some("timeout"));
        assert_eq!(nearest("concurrency", keys), None);
        let commands = ["new", "build", "deploy", "put", "tail", "logs", "data-dir"];
        for (given, meant) in [
            ("depoly", Some("deploy")),
            ("tial", Some("tail")),
            ("log", Some("logs")),
            ("putt", Some("put")),
            ("data-dri", Some("data-dir")),
            ("bogus", None),
            ("pull", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, commands), meant, "{given}");
        }
    }
}
