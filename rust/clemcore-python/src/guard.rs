//! The last line of defence: no panic of the core reaches Python.
//!
//! A panic is a bug of ours. `PyO3` would raise it as a `PanicException`, which `except Exception` does not catch, so
//! that one bad template could end an evaluation of a week. [`guarded`] raises it as a `ClemcoreError` instead. Every
//! exported function and method calls it, except getters that only read a field.
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use pyo3::prelude::*;

pyo3::import_exception!(clemcore.errors, ClemcoreError);

thread_local! {
    /// How many calls of [`guarded`] are under way in this thread.
    static OPEN: Cell<usize> = const { Cell::new(0) };
    /// Where the last panic in such a call arose.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps panics that will be raised as errors off the standard error stream. Only this library is affected: it has a
/// Rust runtime of its own.
pub(crate) fn install() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        if OPEN.get() == 0 {
            usual(info);
        } else {
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            PLACE.with_borrow_mut(|kept| *kept = place);
        }
    }));
}

/// Runs the body of an exported function, and raises a panic in it as an error.
#[inline]
pub(crate) fn guarded<T>(body: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    OPEN.set(OPEN.get() + 1);
    // What a panic leaves half done is dropped with the call: objects that Python sees do not change (`frozen`).
    let result = panic::catch_unwind(AssertUnwindSafe(body));
    OPEN.set(OPEN.get() - 1);
    result.unwrap_or_else(|payload| Err(bug(&*payload)))
}

#[cold]
fn bug(payload: &(dyn Any + Send)) -> PyErr {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
    let place = PLACE.take();
    ClemcoreError::new_err(format!(
        "this is a bug in clemcore: {text} ({place}). Please report it, with the call that led here"
    ))
}

/// Panics, so that a test can see what becomes of it.
#[pyfunction]
#[pyo3(name = "_panic")]
#[allow(clippy::panic, reason = "that is what it is for")]
pub(crate) fn panic_for_test(message: &str) -> PyResult<()> {
    guarded(|| panic!("{message}"))
}
