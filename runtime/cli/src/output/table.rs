//! Columns that line up: as wide as their widest cell, two spaces apart, the last one ragged.

use super::words;

/// Rows of cells under a header.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    is_right: Vec<bool>,
}

impl Table {
    /// With a header; a name that ends in `>` is of a right-aligned column.
    pub(crate) fn new(header: &[&str]) -> Self {
        Self {
            rows: vec![
                header
                    .iter()
                    .map(|name| name.trim_end_matches('>').to_owned())
                    .collect(),
            ],
            is_right: header.iter().map(|name| name.ends_with('>')).collect(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        // A line break in a key would make a row of its own.
        let one_line = |cell: String| words::one_line(&cell).into_owned();
        self.rows.push(cells.into_iter().map(one_line).collect());
    }

    /// Whether there is nothing but the header.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    /// The lines, each after `indent` spaces.
    pub(crate) fn lines(&self, indent: usize) -> Vec<String> {
        let columns = self.is_right.len();
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        self.rows
            .iter()
            .map(|row| {
                let mut line = " ".repeat(indent);
                for (column, cell) in row.iter().enumerate() {
                    let gap = " ".repeat(widths[column] - cell.chars().count());
                    if self.is_right[column] {
                        line.push_str(&gap);
                        line.push_str(cell);
                    } else {
                        line.push_str(cell);
                        line.push_str(&gap);
                    }
                    line.push_str("  ");
                }
                line.truncate(line.trim_end().len());
                line
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_line_up_and_numbers_end_together() {
        let mut table = Table::new(&["name", "pending>", "state"]);
        table.row([
            "enrich/signups".to_owned(),
            "7".to_owned(),
            "running".to_owned(),
        ]);
        table.row(["a/b".to_owned(), "812402".to_owned(), "paused".to_owned()]);
        assert_eq!(
            table.lines(2),
            [
                "  name            pending  state",
                "  enrich/signups        7  running",
                "  a/b              812402  paused",
            ]
        );
    }

    #[test]
    fn a_line_break_makes_no_row() {
        let mut table = Table::new(&["key"]);
        table.row(["a\nforged".to_owned()]);
        assert_eq!(table.lines(0), ["key", "a\\nforged"]);
    }
}
