//! Python's text: `str`, `repr`, float text, string predicates, `%` and `format`, JSON, strftime.
//!
//! Knows how Python writes values and what its string methods do. Does not know the template language.

pub(crate) mod case;
pub(crate) mod float;
pub(crate) mod format;
pub(crate) mod json;
pub(crate) mod printf;
pub(crate) mod repr;
pub(crate) mod space;
pub(crate) mod spec;
pub(crate) mod strftime;
#[rustfmt::skip]
mod tables;
pub(crate) mod unicode;
