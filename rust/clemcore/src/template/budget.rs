//! The bound on what one render may cost: steps, copied bytes and built items are all paid from one purse.
//!
//! The purse is per thread, so that the smallest helper can pay without being handed a context. When it is empty every
//! further payment fails, so a helper that cannot report an error may stop quietly: the next step of the evaluator ends
//! the render.

use std::cell::Cell;

use super::error::{Error, Result};

/// How many bytes of new text or memory cost as much as one step.
const BYTES_PER_UNIT: usize = 48;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(0) };
}

/// Fills the purse at the start of a render.
pub(crate) fn refill(units: u64) {
    LEFT.set(units);
}

/// Pays for `units` steps or items.
pub(crate) fn spend(units: usize) -> Result<()> {
    let left = LEFT.get();
    let units = units as u64;
    if left < units {
        LEFT.set(0);
        return Err(exhausted());
    }
    LEFT.set(left - units);
    Ok(())
}

/// Pays for new text.
pub(crate) fn spend_text(bytes: usize) -> Result<()> {
    spend(1 + bytes / BYTES_PER_UNIT)
}

#[cold]
fn exhausted() -> Box<Error> {
    Error::limit("the template takes too many steps or too much memory to render")
}
