//! What is built in: filters, tests, methods and global functions.
//!
//! Each takes evaluated arguments and gives a value, as the Python function of the same name would.

pub(crate) mod args;
pub(crate) mod filters;
pub(crate) mod globals;
pub(crate) mod markup;
pub(crate) mod methods;
pub(crate) mod tests;

use super::budget::BYTES_PER_UNIT;
use super::error::Result;
use super::eval::Vm;
use super::value::Value;
use args::Args;

/// A filter: operand and arguments to a value.
pub(crate) type FilterFn = for<'a> fn(&mut Vm<'a>, Value<'a>, Args<'a>) -> Result<Value<'a>>;
/// What every filter, test, method and global function pays before it begins, for the texts that it is given. What is
/// within containers is paid for as it is reached.
pub(crate) fn admit<'a>(vm: &mut Vm<'a>, operand: &Value<'a>, args: &Args<'a>) -> Result<()> {
    let steps = |value: &Value<'_>| value.as_str().map_or(0, |text| text.len() / BYTES_PER_UNIT);
    let given = args.pos.iter().chain(args.kw.iter().map(|(_, value)| value));
    vm.pay(args.kw.len() + given.fold(1 + steps(operand), |sum, value| sum + 1 + steps(value)))
}

/// A test: operand and arguments to yes or no.
pub(crate) type TestFn = for<'a> fn(&mut Vm<'a>, &Value<'a>, Args<'a>) -> Result<bool>;
