//! Filters that order: `sort`, `dictsort`, `groupby`, `min`, `max`.

use crate::template::eval::iterate;
use std::cmp::Ordering;

use super::select::attribute_parts;
use crate::template::budget::{gather, spend};
use crate::template::builtins::args::{Args, absent};
use crate::template::error::{Error, Result};
use crate::template::eval::{Vm, fold, walk};
use crate::template::ops::compare::{equals, order, sort_by};
use crate::template::ops::truth::truthy;
use crate::template::value::{Object, Value};

type Filtered<'a> = Result<Value<'a>>;

pub(super) fn sort<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [reverse, case_sensitive, attribute] =
        args.bind("do_sort", &["reverse", "case_sensitive", "attribute"], 0)?;
    let paths: Vec<Vec<Value<'a>>> = match attribute.as_str() {
        Some(text) => {
            let mut start = 0;
            text.split(',')
                .map(|piece| {
                    let part = attribute.part(start, start + piece.len());
                    start += piece.len() + 1;
                    attribute_parts(&part)
                })
                .collect()
        }
        None => vec![attribute_parts(&attribute)],
    };
    let mut keyed = Vec::new();
    for item in vm.collect(value)? {
        gather(paths.len())?;
        let mut key = Vec::with_capacity(paths.len());
        for parts in &paths {
            key.push(fold(walk(item.clone(), parts, None)?, truthy(&case_sensitive))?);
        }
        keyed.push((Value::list(key)?, item));
    }
    let sorted = sort_by(keyed, |(key, _)| key, backwards(&reverse)?)?;
    Value::list(sorted.into_iter().map(|(_, item)| item).collect())
}

/// The argument `reverse`; what else counts as true differs between versions of Python.
fn backwards(reverse: &Value<'_>) -> Result<bool> {
    match reverse {
        Value::Missing | Value::Bool(_) | Value::Int(_) => Ok(truthy(reverse)),
        _ => Err(Error::unsupported("sorting with such an argument")),
    }
}

pub(super) fn dictsort<'a>(_: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [case_sensitive, by, reverse] = args.bind("do_dictsort", &["case_sensitive", "by", "reverse"], 0)?;
    let by_value = match by.as_str() {
        None if matches!(by, Value::Missing) => false,
        Some("key") => false,
        Some("value") => true,
        _ => return Err(Error::runtime("You can only sort by either \"key\" or \"value\"")),
    };
    value.defined()?;
    let Value::Dict(dict) = &value else {
        let name = value.type_name();
        return Err(Error::type_error(format!("'{name}' object has no attribute 'items'")));
    };
    gather(8 * dict.len())?;
    let keyed = dict.entries().iter().map(|(key, value)| {
        let sort_key = if by_value { value } else { key };
        Ok((fold(sort_key.clone(), truthy(&case_sensitive))?, key.clone(), value.clone()))
    });
    let sorted = sort_by(keyed.collect::<Result<_>>()?, |(key, ..)| key, backwards(&reverse)?)?;
    let pairs = sorted.into_iter().map(|(_, key, value)| Value::tuple(vec![key, value]));
    Value::list(pairs.collect::<Result<_>>()?)
}

pub(super) fn groupby<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    let [attribute, default, case_sensitive] =
        args.bind("do_groupby", &["attribute", "default", "case_sensitive"], 1)?;
    let parts = attribute_parts(&attribute);
    let default = Some(default).filter(|d| !absent(d));
    let case_sensitive = truthy(&case_sensitive);
    let mut keyed = Vec::new();
    for item in vm.collect(value)? {
        let key = walk(item.clone(), &parts, default.as_ref())?;
        spend(1)?;
        keyed.push((fold(key.clone(), case_sensitive)?, key, item));
    }
    let sorted = sort_by(keyed, |(key, ..)| key, false)?;
    let mut groups: Vec<(Value<'a>, Value<'a>, Vec<Value<'a>>)> = Vec::new();
    for (folded, key, item) in sorted {
        match groups.last_mut() {
            Some((known, _, items)) if equals(known, &folded) => items.push(item),
            _ => groups.push((folded, key, vec![item])),
        }
    }
    let groups =
        groups.into_iter().map(|(_, key, items)| Ok(Value::object(Object::Group(key, Value::list(items)?))));
    Value::list(groups.collect::<Result<_>>()?)
}

pub(super) fn min<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    extreme(vm, value, args, Ordering::Less)
}

pub(super) fn max<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>) -> Filtered<'a> {
    extreme(vm, value, args, Ordering::Greater)
}

fn extreme<'a>(vm: &mut Vm<'a>, value: Value<'a>, args: Args<'a>, wanted: Ordering) -> Filtered<'a> {
    let [case_sensitive, attribute] = args.bind("min", &["case_sensitive", "attribute"], 0)?;
    let parts = attribute_parts(&attribute);
    let symbol = if wanted == Ordering::Less { "<" } else { ">" };
    let mut best: Option<(Value<'a>, Value<'a>)> = None;
    let mut iter = iterate(value)?;
    while let Some(item) = vm.next(&mut iter)? {
        spend(1)?;
        let key = fold(walk(item.clone(), &parts, None)?, truthy(&case_sensitive))?;
        let better = match &best {
            None => true,
            Some((known, _)) => order(&key, known, symbol)? == Some(wanted),
        };
        if better {
            best = Some((key, item));
        }
    }
    Ok(best
        .map_or_else(|| Value::undefined_hint("No aggregated item, sequence was empty."), |(_, item)| item))
}
