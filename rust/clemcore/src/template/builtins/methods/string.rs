//! Methods of strings that make strings.

use super::{find, predicate, split};
use crate::template::budget::{gather, grow, look, make, room, spend};
use crate::template::builtins::args::{Args, absent, size_or, text};
use crate::template::builtins::markup::{escape, like};
use crate::template::error::{Error, ErrorKind, Result};
use crate::template::eval::Vm;
use crate::template::text::space::strip_range;
use crate::template::text::unicode::paid;
use crate::template::text::{case, format};
use crate::template::value::Value;

/// Calls a string method.
pub(super) fn call<'a>(vm: &mut Vm<'a>, owner: &Value<'a>, name: &str, args: Args<'a>) -> Result<Value<'a>> {
    let result = dispatch(vm, owner, name, args);
    match result {
        // Markup makes text of other arguments before they are looked at.
        Err(error) if error.kind == ErrorKind::Type && matches!(owner, Value::Markup(_)) => {
            Err(Error::unsupported(format!("{name} on markup with these arguments")))
        }
        result => result,
    }
}

fn dispatch<'a>(vm: &mut Vm<'a>, owner: &Value<'a>, name: &str, args: Args<'a>) -> Result<Value<'a>> {
    let this = owner.as_str().unwrap_or_default();
    match name {
        "strip" => strip(owner, this, args, true, true),
        "lstrip" => strip(owner, this, args, true, false),
        "rstrip" => strip(owner, this, args, false, true),
        "split" | "rsplit" | "splitlines" | "partition" | "rpartition" => {
            split::call(owner, this, name, args)
        }
        "startswith" | "endswith" | "find" | "rfind" | "index" | "rindex" | "count" => {
            find::call(this, name, args)
        }
        "upper" | "lower" | "title" | "capitalize" | "swapcase" | "casefold" => {
            args.positional::<0>(name, 0)?;
            // Characters one by one take longer than copying them, and a sigma has the whole text looked at.
            let slow = matches!(name, "title" | "swapcase" | "casefold") || !this.is_ascii();
            let times = if slow { 8 + 4 * this.matches('Σ').count() } else { 1 };
            look(this.len().saturating_mul(times))?;
            // No character grows beyond three times its bytes.
            make(if this.is_ascii() { this.len() } else { this.len().saturating_mul(3) })?;
            change_case(this, name).map(|text| like(owner, text))
        }
        "replace" => replace(owner, this, args),
        "join" => join(vm, owner, this, args),
        "format" => {
            plain(owner, name)?;
            let named = |key: &str| {
                spend(args.kw.len() / 4)?;
                Ok(args
                    .kw
                    .iter()
                    .find(|(known, _)| known.as_str() == Some(key))
                    .map(|(_, value)| value.clone()))
            };
            format::format(this, &format::Fields { pos: &args.pos, named: &named }).map(Value::string)
        }
        "format_map" => {
            plain(owner, name)?;
            let [mapping] = args.positional::<1>(name, 1)?;
            let Value::Dict(dict) = &mapping else { return Err(Error::unsupported("format_map of no dict")) };
            let named = |key: &str| Ok(dict.get_str(key).cloned());
            format::format(this, &format::Fields { pos: &[], named: &named }).map(Value::string)
        }
        "removeprefix" => {
            let [prefix] = args.positional::<1>(name, 1)?;
            let prefix = text(&prefix, name)?;
            Ok(owner.part(if this.starts_with(prefix) { prefix.len() } else { 0 }, this.len()))
        }
        "removesuffix" => {
            let [suffix] = args.positional::<1>(name, 1)?;
            let suffix = text(&suffix, name)?;
            Ok(owner.part(0, this.len() - if this.ends_with(suffix) { suffix.len() } else { 0 }))
        }
        "center" | "ljust" | "rjust" => pad(owner, this, name, args),
        "zfill" => zfill(owner, this, args),
        "expandtabs" => expandtabs(owner, this, args),
        "translate" => translate(owner, this, args),
        _ => predicate::call(this, name, args),
    }
}

fn plain(owner: &Value<'_>, name: &str) -> Result<()> {
    match owner {
        Value::Markup(_) => Err(Error::unsupported(format!("{name} on markup"))),
        _ => Ok(()),
    }
}

fn strip<'a>(owner: &Value<'a>, this: &str, args: Args<'a>, left: bool, right: bool) -> Result<Value<'a>> {
    let (start, end) = if args.pos.is_empty() && args.kw.is_empty() {
        strip_range(this, None, left, right)
    } else {
        let [chars] = args.positional::<1>("strip", 0)?;
        if matches!(chars, Value::None) {
            strip_range(this, None, left, right)
        } else {
            let Some(chars) = chars.as_str() else {
                return Err(Error::type_error("strip arg must be None or str"));
            };
            strip_range(this, Some(chars), left, right)
        }
    };
    Ok(owner.part(start, end))
}

/// Appends the other case of each part of a text.
fn by_parts(this: &str, change: fn(&str) -> String) -> Result<String> {
    let mut out = String::with_capacity(this.len());
    for chunk in paid(this) {
        out.push_str(&change(chunk?));
    }
    Ok(out)
}

fn change_case(this: &str, name: &str) -> Result<String> {
    Ok(match name {
        "upper" => by_parts(this, case::upper)?,
        "lower" => case::lower(this),
        "title" => case::title(this),
        "capitalize" => case::capitalize(this),
        "swapcase" => case::swap(this),
        _ => by_parts(this, case::fold)?,
    })
}

fn replace<'a>(owner: &Value<'a>, this: &str, args: Args<'a>) -> Result<Value<'a>> {
    let [old, new, count] = args.positional::<3>("replace", 2)?;
    let (old, new) = (text(&old, "replace")?, text(&new, "replace")?);
    let mut safe = String::new();
    let new = if matches!(owner, Value::Markup(_)) {
        escape(new, &mut safe)?;
        &safe
    } else {
        new
    };
    let limit = size_or(&count, -1)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let found = if old.is_empty() { this.chars().count() + 1 } else { this.matches(old).count() }.min(limit);
    if found == 0 {
        return Ok(owner.clone());
    }
    let made = (this.len() - found.saturating_mul(old.len())).saturating_add(found.saturating_mul(new.len()));
    look(found.saturating_mul(16))?;
    make(made)?;
    Ok(like(owner, this.replacen(old, new, limit)))
}

fn join<'a>(vm: &mut Vm<'a>, owner: &Value<'a>, this: &str, args: Args<'a>) -> Result<Value<'a>> {
    let [items] = args.positional::<1>("join", 1)?;
    let markup = matches!(owner, Value::Markup(_));
    let mut out = String::new();
    for (i, item) in vm.collect(items)?.iter().enumerate() {
        if i > 0 {
            grow(&out, this.len())?;
            out.push_str(this);
        }
        let Some(part) = item.as_str() else {
            if markup {
                return Err(Error::unsupported("join of markup and other values"));
            }
            let name = item.type_name();
            return Err(Error::type_error(format!("sequence item {i}: expected str instance, {name} found")));
        };
        if markup && !matches!(item, Value::Markup(_)) {
            escape(part, &mut out)?;
        } else {
            grow(&out, part.len())?;
            out.push_str(part);
        }
    }
    Ok(like(owner, out))
}

fn pad<'a>(owner: &Value<'a>, this: &str, name: &str, args: Args<'a>) -> Result<Value<'a>> {
    let [width, fill] = args.positional::<2>(name, 1)?;
    let width = usize::try_from(size_or(&width, 0)?).unwrap_or(0);
    let fill = if matches!(fill, Value::Missing) { Value::Str(" ") } else { fill };
    let mut chars = text(&fill, name)?.chars();
    let (Some(fill), None) = (chars.next(), chars.next()) else {
        return Err(Error::type_error("The fill character must be exactly one character long"));
    };
    if matches!(owner, Value::Markup(_)) && matches!(fill, '&' | '<' | '>' | '\'' | '"') {
        return Err(Error::type_error("The fill character must be exactly one character long"));
    }
    let length = this.chars().count();
    if width <= length {
        return Ok(owner.clone());
    }
    make(this.len().saturating_add((width - length).saturating_mul(fill.len_utf8())))?;
    let missing = width - length;
    let left = match name {
        "ljust" => 0,
        "rjust" => missing,
        // The odd character goes left or right by Python's own rule.
        _ => missing / 2 + (missing & width & 1),
    };
    let mut out: String = std::iter::repeat_n(fill, left).collect();
    out.push_str(this);
    out.extend(std::iter::repeat_n(fill, missing - left));
    Ok(like(owner, out))
}

fn zfill<'a>(owner: &Value<'a>, this: &str, args: Args<'a>) -> Result<Value<'a>> {
    let [width] = args.positional::<1>("zfill", 1)?;
    let width = usize::try_from(size_or(&width, 0)?).unwrap_or(0);
    let missing = width.saturating_sub(this.chars().count());
    make(this.len().saturating_add(missing))?;
    let (sign, digits) = this.split_at(usize::from(this.starts_with(['+', '-'])));
    Ok(like(owner, format!("{sign}{}{digits}", "0".repeat(missing))))
}

fn expandtabs<'a>(owner: &Value<'a>, this: &str, args: Args<'a>) -> Result<Value<'a>> {
    let [size] = args.bind("expandtabs", &["tabsize"], 0)?;
    let size = usize::try_from(size_or(&size, 8)?).unwrap_or(0);
    make(this.len())?;
    let mut out = String::with_capacity(this.len());
    let mut column = 0;
    for c in this.chars() {
        match c {
            '\t' => {
                let spaces = if size == 0 { 0 } else { size - column % size };
                grow(&out, spaces)?;
                out.extend(std::iter::repeat_n(' ', spaces));
                column += spaces;
            }
            '\n' | '\r' => {
                out.push(c);
                column = 0;
            }
            c => {
                out.push(c);
                column += 1;
            }
        }
    }
    Ok(like(owner, out))
}

/// `translate` with a dict from code points to text, code points or `None`.
fn translate<'a>(owner: &Value<'a>, this: &str, args: Args<'a>) -> Result<Value<'a>> {
    let [table] = args.positional::<1>("translate", 1)?;
    let Value::Dict(table) = &table else { return Err(Error::unsupported("translate with no dict")) };
    let mut out = String::new();
    for c in this.chars() {
        spend(1)?;
        match table.get(&Value::Int(i64::from(u32::from(c))))? {
            None => out.push(c),
            Some(Value::None) => {}
            Some(Value::Int(code)) => {
                let found = u32::try_from(*code).ok().and_then(char::from_u32);
                out.push(found.ok_or_else(|| Error::value("character mapping must be in range(0x110000)"))?);
            }
            Some(value) => match value.as_str() {
                Some(text) => {
                    grow(&out, text.len())?;
                    out.push_str(text);
                }
                None => {
                    return Err(Error::type_error("character mapping must return integer, None or str"));
                }
            },
        }
    }
    Ok(like(owner, out))
}

/// A list of parts of a string.
pub(super) fn parts<'a>(owner: &Value<'a>, ranges: &[(usize, usize)]) -> Result<Value<'a>> {
    gather(ranges.len())?;
    if !matches!(owner, Value::Str(_)) {
        // Each part is counted and lies by itself.
        let bytes = |(start, end): &(usize, usize)| end - start + 2 * size_of::<usize>();
        let bytes = ranges.iter().map(bytes).sum();
        look(bytes)?;
        room(bytes)?;
    }
    Value::list(ranges.iter().map(|(start, end)| owner.part(*start, *end)).collect())
}

/// A string argument that may be absent.
pub(super) fn optional<'v>(value: &'v Value<'_>, func: &str) -> Result<Option<&'v str>> {
    if absent(value) { Ok(None) } else { text(value, func).map(Some) }
}
