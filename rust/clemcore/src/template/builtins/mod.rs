//! What is built in: filters, tests, methods and global functions.
//!
//! Each takes evaluated arguments and gives a value, as the Python function of the same name would.

pub(crate) mod args;
pub(crate) mod filters;
pub(crate) mod globals;
pub(crate) mod markup;
pub(crate) mod methods;
pub(crate) mod tests;

use super::error::Result;
use super::eval::Vm;
use super::value::Value;
use args::Args;

/// A filter: operand and arguments to a value.
pub(crate) type FilterFn = for<'a> fn(&mut Vm<'a>, Value<'a>, Args<'a>) -> Result<Value<'a>>;
/// A test: operand and arguments to yes or no.
pub(crate) type TestFn = for<'a> fn(&mut Vm<'a>, &Value<'a>, Args<'a>) -> Result<bool>;
