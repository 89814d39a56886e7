//! Methods of strings that answer yes or no about their characters.

use crate::template::budget::look;
use crate::template::builtins::args::Args;
use crate::template::error::{Error, Result};
use crate::template::text::case::{is_all, is_titled};
use crate::template::text::space::is_space;
use crate::template::text::unicode::{
    is_alnum, is_alpha, is_decimal, is_digit, is_numeric, is_printable, paid, per_character,
};
use crate::template::value::Value;

pub(super) fn call<'a>(this: &str, name: &str, args: Args<'a>) -> Result<Value<'a>> {
    args.positional::<0>(name, 0)?;
    let every = |test: fn(char) -> bool| {
        for chunk in paid(this) {
            if !chunk?.chars().all(test) {
                return Ok(false);
            }
        }
        Ok::<_, Box<Error>>(true)
    };
    let all = |test| Ok::<_, Box<Error>>(!this.is_empty() && every(test)?);
    Ok(Value::Bool(match name {
        "isalnum" => all(is_alnum)?,
        "isalpha" => all(is_alpha)?,
        "isascii" => this.is_ascii(),
        "isdecimal" => all(is_decimal)?,
        "isdigit" => all(is_digit)?,
        "isnumeric" => all(is_numeric)?,
        "isspace" => all(is_space)?,
        "isprintable" => every(is_printable)?,
        "islower" => is_all(this, true)?,
        "isupper" => is_all(this, false)?,
        "istitle" => {
            look(per_character(this))?;
            is_titled(this)
        }
        "isidentifier" => {
            if !this.is_ascii() {
                return Err(Error::unsupported("isidentifier beyond ASCII"));
            }
            let start = this.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            start && this.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        }
        _ => return Err(Error::unsupported(format!("the method {name} of str"))),
    }))
}
