//! What Python's operators do with values.
//!
//! Knows arithmetic, comparison, truth, subscripts and slices. Does not know variables, calls or output.

pub(crate) mod compare;
pub(crate) mod float;
pub(crate) mod index;
pub(crate) mod number;
pub(crate) mod slice;
pub(crate) mod truth;
