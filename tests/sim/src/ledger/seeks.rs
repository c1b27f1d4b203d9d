//! What a seek ends, and what it does not.

use fnctl_core::{
    commit::UnitTotals,
    id::{Ordinal, UnitId},
    invariants::Violation,
    view::NodeView,
};

use super::{Ledger, account::Account, broken};

impl Ledger {
    /// A unit was sent elsewhere: its accounts begin anew, and its mapping keeps what they said.
    pub(crate) fn seek(&mut self, unit: UnitId, after: Ordinal) -> Result<(), Violation> {
        let sought = Account::starting_after(after);
        match self.accounts.insert(unit, sought) {
            Some(before) => {
                let kept = self.before_seeks.entry(unit).or_default();
                *kept = *kept + before.totals;
                before.close(unit.shard)
            }
            None => Ok(()),
        }
    }

    /// A unit's counters go on where its totals began anew.
    ///
    /// # Errors
    /// They forgot something, or made it up.
    pub(crate) fn counters_outlive_seeks(
        &self,
        unit: UnitId,
        view: &NodeView,
    ) -> Result<(), Violation> {
        let expected = self.before_seeks.get(&unit).copied().unwrap_or_default();
        let shown = view.totals_before_seeks(unit);
        // What retention took since the accounts last met the view they do not know.
        let expected = UnitTotals {
            expired: shown.expired.max(expected.expired),
            ..expected
        };
        if shown != expected {
            return Err(broken(format!(
                "before its seeks {unit:?} counted {expected:?}, and {shown:?} is kept"
            )));
        }
        Ok(())
    }
}
