//! `json.dumps` with the options that the `tojson` filter of transformers passes on.

use std::fmt::Write as _;

use super::float;
use crate::template::budget::{gather, grow, spend};
use crate::template::error::{Error, Result};
use crate::template::ops::compare::sort_by;
use crate::template::value::{Object, Value};

/// Texts up to this length are paid for with the item that they belong to.
const SHORT: usize = 48;

/// How long the escaped form of a character is at most: a pair of surrogates.
const LONGEST_ESCAPE: usize = 12;

/// The options of `json.dumps` that a template can set.
pub(crate) struct Options {
    pub(crate) ensure_ascii: bool,
    pub(crate) indent: Option<String>,
    pub(crate) item_separator: String,
    pub(crate) key_separator: String,
    pub(crate) sort_keys: bool,
}

/// Appends the JSON text of `value`.
pub(crate) fn write(value: &Value<'_>, options: &Options, out: &mut String) -> Result<()> {
    Writer { options, out, level: 0 }.value(value)
}

struct Writer<'o> {
    options: &'o Options,
    out: &'o mut String,
    level: usize,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value<'_>) -> Result<()> {
        spend(1)?;
        match value {
            Value::None => self.out.push_str("null"),
            Value::Bool(b) => self.out.push_str(if *b { "true" } else { "false" }),
            Value::Int(i) => {
                let _ = write!(self.out, "{i}");
            }
            Value::Big(_) => super::repr::write_repr(value, self.out)?,
            Value::Float(f) => float::json(*f, self.out),
            Value::Str(s) => self.string(s)?,
            Value::Owned(s) | Value::Markup(s) => self.string(s)?,
            Value::List(seq) | Value::Tuple(seq) => self.list(&seq.items)?,
            Value::Dict(dict) => self.dict(dict.entries())?,
            Value::Object(object) => match &**object {
                Object::Group(key, list) => self.list(&[key.clone(), list.clone()])?,
                _ => return Err(refused(value)),
            },
            Value::Missing | Value::Undefined(_) => return Err(refused(value)),
        }
        Ok(())
    }

    fn list(&mut self, items: &[Value<'_>]) -> Result<()> {
        if items.is_empty() {
            self.out.push_str("[]");
            return Ok(());
        }
        self.out.push('[');
        self.level += 1;
        for (i, item) in items.iter().enumerate() {
            self.between(i)?;
            self.value(item)?;
        }
        self.close(']')
    }

    fn dict(&mut self, entries: &[(Value<'_>, Value<'_>)]) -> Result<()> {
        if entries.is_empty() {
            self.out.push_str("{}");
            return Ok(());
        }
        self.out.push('{');
        self.level += 1;
        let sorted;
        let entries = if self.options.sort_keys {
            gather(2 * entries.len())?;
            sorted = sort_by(entries.to_vec(), |(key, _)| key, false)?;
            &sorted
        } else {
            entries
        };
        for (i, (key, value)) in entries.iter().enumerate() {
            self.between(i)?;
            self.key(key)?;
            self.push(&self.options.key_separator)?;
            self.value(value)?;
        }
        self.close('}')
    }

    /// Keys become strings, as `json.dumps` writes them.
    fn key(&mut self, key: &Value<'_>) -> Result<()> {
        match key {
            Value::Str(s) => self.string(s)?,
            Value::Owned(s) | Value::Markup(s) => self.string(s)?,
            Value::None | Value::Bool(_) | Value::Int(_) | Value::Big(_) | Value::Float(_) => {
                self.out.push('"');
                self.value(key)?;
                self.out.push('"');
            }
            other => {
                let name = other.type_name();
                return Err(Error::type_error(format!(
                    "keys must be str, int, float, bool or None, not {name}"
                )));
            }
        }
        Ok(())
    }

    /// What stands before item `i`: separator and line.
    fn between(&mut self, i: usize) -> Result<()> {
        if i > 0 {
            self.push(&self.options.item_separator)?;
        }
        self.line()
    }

    fn line(&mut self) -> Result<()> {
        if let Some(indent) = &self.options.indent {
            self.out.push('\n');
            for _ in 0..self.level {
                self.push(indent)?;
            }
        }
        Ok(())
    }

    fn close(&mut self, bracket: char) -> Result<()> {
        self.level -= 1;
        self.line()?;
        self.out.push(bracket);
        Ok(())
    }

    /// Appends a text that the template chose, of any length.
    fn push(&mut self, text: &str) -> Result<()> {
        if text.len() > SHORT {
            grow(self.out, text.len())?;
        }
        self.out.push_str(text);
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<()> {
        if text.len() > SHORT {
            grow(self.out, text.len())?;
        }
        self.out.push('"');
        let mut plain = 0;
        for (i, c) in text.char_indices() {
            let escaped = match c {
                '"' | '\\' | '\0'..='\x1f' => true,
                c => self.options.ensure_ascii && !(' '..='~').contains(&c),
            };
            if escaped {
                self.out.push_str(&text[plain..i]);
                plain = i + c.len_utf8();
                self.escape(c)?;
            }
        }
        self.out.push_str(&text[plain..]);
        self.out.push('"');
        Ok(())
    }

    fn escape(&mut self, c: char) -> Result<()> {
        grow(self.out, LONGEST_ESCAPE)?;
        let short = match c {
            '"' => "\\\"",
            '\\' => "\\\\",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\x08' => "\\b",
            '\x0c' => "\\f",
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(self.out, "\\u{unit:04x}");
                }
                return Ok(());
            }
        };
        self.out.push_str(short);
        Ok(())
    }
}

fn refused(value: &Value<'_>) -> Box<Error> {
    Error::type_error(format!("Object of type {} is not JSON serializable", value.type_name()))
}
