//! What the exposition says of canaries.

use fnctl_core::{canary::GuardReason, function::Function, id::FunctionName};

use super::{Children, exposition::Exposition};

/// One function's canary as it is at a scrape.
#[derive(Clone, Debug)]
pub(crate) struct CanarySample {
    function: FunctionName,
    /// Thousandths of the keys; 0: there is none.
    weight: u16,
}

impl CanarySample {
    /// Of a function, whether it has one or not.
    pub(crate) fn of(function: &Function) -> Self {
        let canary = function.canary();
        Self {
            function: function.name.clone(),
            weight: canary.map_or(0, |canary| canary.weight.get()),
        }
    }
}

/// Writes weights and rollbacks.
pub(super) fn expose(out: &mut Exposition, children: &Children, canaries: &[CanarySample]) {
    let name = "fnctl_function_canary_weight";
    let help = "Share of the keys that meet a canary, 0 without one";
    out.family(name, "gauge", help);
    for canary in canaries {
        let ratio = f64::from(canary.weight) / 1e3;
        out.sample(name, "function", canary.function.as_str(), ratio);
    }
    let name = "fnctl_function_canary_rollbacks_total";
    let help = "Canaries that their guard took back since the server started";
    out.family(name, "counter", help);
    for (function, metrics) in &children.functions {
        let counters = GuardReason::ALL.iter().zip(&metrics.canary_rollbacks);
        for (reason, count) in counters {
            let function = ("function", function.as_str());
            out.sample2(name, function, ("reason", reason.as_str()), count.get());
        }
    }
}
