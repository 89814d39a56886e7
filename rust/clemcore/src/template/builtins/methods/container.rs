//! Methods of dicts, lists and tuples that do not change them.

use crate::template::budget::gather;
use crate::template::builtins::args::{Args, integer_or};
use crate::template::error::{Error, Result};
use crate::template::eval::Vm;
use crate::template::ops::compare::equals;
use crate::template::value::Shared;
use crate::template::value::{Dict, Object, Seq, Value, View};

pub(super) fn dict<'a>(
    vm: &mut Vm<'a>,
    dict: &Shared<'a, Dict<'a>>,
    name: &str,
    args: Args<'a>,
) -> Result<Value<'a>> {
    let view = match name {
        "get" => {
            let [key, default] = args.positional::<2>("get", 1)?;
            let found = dict.get(&key)?.cloned();
            let default = if matches!(default, Value::Missing) { Value::None } else { default };
            return Ok(found.unwrap_or(default));
        }
        "copy" => {
            args.positional::<0>(name, 0)?;
            // Values cannot change, so a copy only has to be another object.
            let mut copy = Dict::with_capacity(dict.len());
            gather(2 * dict.len())?;
            dict.entries().iter().for_each(|(key, value)| copy.push_new(key.clone(), value.clone()));
            return Ok(Value::Dict(copy.into()));
        }
        "fromkeys" => return fromkeys(vm, args),
        "keys" => View::Keys,
        "values" => View::Values,
        _ => View::Items,
    };
    args.positional::<0>(name, 0)?;
    Ok(Value::object(Object::View(view, dict.clone())))
}

/// `dict.fromkeys(keys, value)`.
pub(super) fn fromkeys<'a>(vm: &mut Vm<'a>, args: Args<'a>) -> Result<Value<'a>> {
    let [keys, value] = args.positional::<2>("fromkeys", 1)?;
    let value = if matches!(value, Value::Missing) { Value::None } else { value };
    let mut out = Dict::default();
    for key in vm.collect(keys)? {
        out.insert(key, value.clone())?;
    }
    Ok(Value::Dict(out.into()))
}

pub(super) fn sequence<'a>(
    owner: &Value<'a>,
    seq: &Shared<'a, Seq<'a>>,
    name: &str,
    args: Args<'a>,
) -> Result<Value<'a>> {
    gather(seq.items.len())?;
    match name {
        "copy" => {
            args.positional::<0>(name, 0)?;
            Value::list(seq.items.to_vec())
        }
        "count" => {
            let [wanted] = args.positional::<1>(name, 1)?;
            Ok(Value::size(seq.items.iter().filter(|item| equals(item, &wanted)).count()))
        }
        _ => {
            let [wanted, start, stop] = args.positional::<3>(name, 1)?;
            let length = i64::try_from(seq.items.len()).unwrap_or(i64::MAX);
            let clip = |bound: i64| {
                let bound = if bound < 0 { bound.saturating_add(length).max(0) } else { bound };
                usize::try_from(bound.min(length)).unwrap_or(0)
            };
            let (start, stop) = (clip(integer_or(&start, 0)?), clip(integer_or(&stop, i64::MAX)?));
            let range = seq.items.get(start..stop).unwrap_or_default();
            let place = range.iter().position(|item| equals(item, &wanted));
            let kind = owner.type_name();
            place
                .map(|i| Value::size(start + i))
                .ok_or_else(|| Error::value(format!("value is not in {kind}")))
        }
    }
}
