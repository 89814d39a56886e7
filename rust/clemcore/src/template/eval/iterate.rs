//! Iteration: `iter(value)` and what generators do for each item.

use super::Vm;
use crate::template::budget::{gather, make, spend};
use crate::template::builtins::{admit, filters, tests};
use crate::template::error::{Error, Result};
use crate::template::ops::compare::equals;
use crate::template::ops::index::get_item;
use crate::template::ops::truth::truthy;
use crate::template::text::case::lower;
use crate::template::value::{Gen, Iter, Object, Select, Seq, Shared, Step, Value, View};

impl<'a> Vm<'a> {
    /// The next item.
    pub(crate) fn next(&mut self, iter: &mut Iter<'a>) -> Result<Option<Value<'a>>> {
        // Whoever asks for items pays for them here, so no filter can run for free.
        self.pay(1)?;
        Ok(match iter {
            Iter::Empty => None,
            Iter::Seq(seq, place) => {
                let item = seq.items.get(*place).cloned();
                *place += 1;
                item
            }
            Iter::SeqBack(seq, left) => {
                let Some(place) = left.checked_sub(1) else { return Ok(None) };
                *left = place;
                seq.items.get(place).cloned()
            }
            Iter::Chars(text, place) => {
                let Some(c) = text.as_str().and_then(|s| s[*place..].chars().next()) else { return Ok(None) };
                let start = *place;
                *place += c.len_utf8();
                // Iterating over markup gives plain strings.
                match text.part(start, *place) {
                    Value::Markup(s) => Some(Value::Owned(s)),
                    part => Some(part),
                }
            }
            Iter::View(view, dict, place) => {
                let item = dict.entries().get(*place).map(|entry| side(*view, entry)).transpose()?;
                *place += 1;
                item
            }
            Iter::ViewBack(view, dict, left) => {
                let Some(place) = left.checked_sub(1) else { return Ok(None) };
                *left = place;
                dict.entries().get(place).map(|entry| side(*view, entry)).transpose()?
            }
            Iter::Range { next, stop, step } => {
                if if *step > 0 { *next >= *stop } else { *next <= *stop } {
                    return Ok(None);
                }
                let item = *next;
                *next = next.saturating_add(*step);
                Some(Value::Int(item))
            }
            Iter::Pair(key, list, place) => {
                *place += 1;
                match *place {
                    1 => Some(key.clone()),
                    2 => Some(list.clone()),
                    _ => None,
                }
            }
            Iter::Gen(object) => {
                let object = object.clone();
                return self.resume(&object);
            }
        })
    }

    /// All items, as `list(value)` gives them.
    pub(crate) fn collect(&mut self, value: Value<'a>) -> Result<Vec<Value<'a>>> {
        if let Value::List(seq) | Value::Tuple(seq) = &value {
            gather(seq.items.len())?;
            return Ok(seq.items.to_vec());
        }
        let mut iter = iterate(value)?;
        let mut items = Vec::new();
        while let Some(item) = self.next(&mut iter)? {
            spend(1)?;
            items.push(item);
        }
        Ok(items)
    }

    fn resume(&mut self, object: &Shared<'a, Object<'a>>) -> Result<Option<Value<'a>>> {
        let Object::Gen(cell, _) = &**object else { return Ok(None) };
        // While it runs the generator is taken out, so a failed one stays finished, as in Python.
        let mut state = cell.replace(Gen::Done);
        if let Gen::Start(value, step) = state {
            state = self.start(value, step)?;
        }
        let item = match &mut state {
            Gen::Done | Gen::Start(..) => None,
            Gen::Plain(iter, _) => self.next(iter)?,
            Gen::Run(iter, step) => self.step(iter, step)?,
        };
        if item.is_some() {
            cell.replace(state);
        }
        Ok(item)
    }

    /// What a generator does before its first item.
    fn start(&mut self, value: Value<'a>, mut step: Box<Step<'a>>) -> Result<Gen<'a>> {
        let lenient =
            matches!(*step, Step::MapAttr { .. } | Step::MapFilter { .. } | Step::Fail(_) | Step::Select(_));
        if lenient && !truthy(&value) {
            return Ok(Gen::Done);
        }
        let iter = match &mut *step {
            Step::Fail(message) => return Err(Error::type_error(std::mem::take(message))),
            Step::Items => match value {
                Value::Undefined(_) => Iter::Empty,
                Value::Dict(dict) => Iter::View(View::Items, dict, 0),
                _ => return Err(Error::type_error("Can only get item pairs from a mapping.")),
            },
            Step::Slices { count, fill } => {
                let items = self.collect(value)?;
                Iter::Seq(Seq::new(slices(&items, *count, fill.as_ref())?)?.into(), 0)
            }
            _ => iterate(value)?,
        };
        Ok(Gen::Run(iter, step))
    }

    fn step(&mut self, iter: &mut Iter<'a>, step: &mut Step<'a>) -> Result<Option<Value<'a>>> {
        loop {
            if let Step::Batch { count, fill } = step {
                return self.batch(iter, *count, fill.as_ref());
            }
            spend(1)?;
            let Some(item) = self.next(iter)? else { return Ok(None) };
            match step {
                Step::MapAttr { parts, default } => {
                    return walk(item, parts, default.as_ref()).map(Some);
                }
                Step::MapFilter { name, args } => {
                    let func = filters::by_value(name)?;
                    admit(self, &item, args)?;
                    return func(self, item, args.clone()).map(Some);
                }
                Step::Select(select) => {
                    if self.selected(&item, select)? {
                        return Ok(Some(item));
                    }
                }
                Step::Unique { parts, case_sensitive, seen } => {
                    let key = fold(walk(item.clone(), parts, None)?, *case_sensitive)?;
                    crate::template::value::check_hashable(&key)?;
                    spend(seen.len() / 8)?;
                    if !seen.iter().any(|known| equals(known, &key)) {
                        seen.push(key);
                        return Ok(Some(item));
                    }
                }
                _ => return Ok(Some(item)),
            }
        }
    }

    fn selected(&mut self, item: &Value<'a>, select: &Select<'a>) -> Result<bool> {
        let subject = match &select.attr {
            Some(parts) => walk(item.clone(), parts, None)?,
            None => item.clone(),
        };
        let passed = match &select.test {
            None => truthy(&subject),
            Some((name, args)) => {
                let test = tests::by_value(name)?;
                admit(self, &subject, args)?;
                test.call(self, &subject, args.clone())?
            }
        };
        Ok(passed == select.keep)
    }

    fn batch(
        &mut self,
        iter: &mut Iter<'a>,
        count: i64,
        fill: Option<&Value<'a>>,
    ) -> Result<Option<Value<'a>>> {
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        let mut items = Vec::new();
        // A count of zero or less never matches the length, so everything lands in one batch.
        while wanted == 0 || items.len() < wanted {
            spend(1)?;
            let Some(item) = self.next(iter)? else { break };
            items.push(item);
        }
        if items.is_empty() {
            return Ok(None);
        }
        if let (Some(fill), Ok(wanted)) = (fill, usize::try_from(count)) {
            gather(wanted.saturating_sub(items.len()))?;
            while items.len() < wanted {
                items.push(fill.clone());
            }
        }
        Value::list(items).map(Some)
    }
}

/// Python's `iter(value)`.
pub(crate) fn iterate(value: Value<'_>) -> Result<Iter<'_>> {
    Ok(match value {
        Value::Undefined(_) => Iter::Empty,
        Value::Str(_) | Value::Owned(_) | Value::Markup(_) => Iter::Chars(value, 0),
        Value::List(seq) | Value::Tuple(seq) => Iter::Seq(seq, 0),
        Value::Dict(dict) => Iter::View(View::Keys, dict, 0),
        Value::Object(object) => match &*object {
            Object::View(view, dict) => Iter::View(*view, dict.clone(), 0),
            Object::Range { start, stop, step } => Iter::Range { next: *start, stop: *stop, step: *step },
            Object::Group(key, list) => Iter::Pair(key.clone(), list.clone(), 0),
            Object::Gen(..) => Iter::Gen(object),
            Object::Loop(_) => return Err(Error::unsupported("iterating over the loop variable")),
            _ => return Err(not_iterable(object.type_name())),
        },
        other => return Err(not_iterable(other.type_name())),
    })
}

fn not_iterable(name: &str) -> Box<Error> {
    Error::type_error(format!("'{name}' object is not iterable"))
}

fn side<'a>(view: View, entry: &(Value<'a>, Value<'a>)) -> Result<Value<'a>> {
    match view {
        View::Keys => Ok(entry.0.clone()),
        View::Values => Ok(entry.1.clone()),
        View::Items => Value::tuple(vec![entry.0.clone(), entry.1.clone()]),
    }
}

/// Follows the parts of an attribute path; `default` replaces what is undefined on the way.
pub(crate) fn walk<'a>(
    item: Value<'a>,
    parts: &[Value<'a>],
    default: Option<&Value<'a>>,
) -> Result<Value<'a>> {
    let mut item = item;
    for part in parts {
        spend(1)?;
        item = get_item(&item, part)?;
        if let (Some(default), true) = (default, item.is_undefined()) {
            item = default.clone();
        }
    }
    Ok(item)
}

/// Lower case, for comparing without regard to case.
pub(crate) fn fold(value: Value<'_>, case_sensitive: bool) -> Result<Value<'_>> {
    match value.as_str() {
        Some(text) if !case_sensitive => {
            make(text.len())?;
            Ok(Value::string(lower(text)))
        }
        _ => Ok(value),
    }
}

fn slices<'a>(items: &[Value<'a>], count: i64, fill: Option<&Value<'a>>) -> Result<Vec<Value<'a>>> {
    let Some(count) = usize::try_from(count).ok().filter(|count| *count > 0) else {
        if count == 0 {
            return Err(Error::new(
                crate::template::error::ErrorKind::ZeroDivision,
                "integer division or modulo by zero",
            ));
        }
        return Ok(Vec::new());
    };
    gather(items.len())?;
    gather(count)?;
    let (each, extra) = (items.len() / count, items.len() % count);
    let mut start = 0;
    let mut out = Vec::with_capacity(count);
    for number in 0..count {
        spend(4)?;
        let end = start + each + usize::from(number < extra);
        let mut slice = items[start..end].to_vec();
        if let (Some(fill), true) = (fill, number >= extra) {
            slice.push(fill.clone());
        }
        out.push(Value::list(slice)?);
        start = end;
    }
    Ok(out)
}
