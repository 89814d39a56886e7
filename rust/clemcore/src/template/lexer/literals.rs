//! The text of a string literal: Python's `unicode-escape` decoding.
//!
//! Unknown escapes stay as they are. `\N{NAME}` needs the Unicode name list, which the caller brings
//! ([`NameLookup`]); lone surrogates have no UTF-8 and make the template unsupported.

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::template::error::{Error, Result};

/// Finds the character of a Unicode name, as Python's `unicodedata` knows it.
pub(crate) type NameLookup<'n> = &'n dyn Fn(&str) -> Option<char>;

/// Decodes the inside of a string literal.
pub(super) fn string<'s>(raw: &'s str, names: NameLookup<'_>) -> Result<Cow<'s, str>> {
    if !raw.contains('\\') {
        return Ok(Cow::Borrowed(raw));
    }
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = escape(&rest[at + 1..], &mut out, names)?;
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}

/// Decodes one escape after its backslash; gives what follows it.
fn escape<'s>(rest: &'s str, out: &mut String, names: NameLookup<'_>) -> Result<&'s str> {
    let Some(c) = rest.chars().next() else {
        return Err(Error::syntax("\\ at end of string"));
    };
    let after = &rest[c.len_utf8()..];
    let simple = match c {
        '\n' => return Ok(after),
        '\\' | '\'' | '"' => c,
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        '0'..='7' => return octal(rest, out),
        'x' => return hex(after, 2, out),
        'u' => return hex(after, 4, out),
        'U' => return hex(after, 8, out),
        'N' => return named(after, out, names),
        _ => {
            out.push('\\');
            keep_unknown(c, out);
            return Ok(after);
        }
    };
    out.push(simple);
    Ok(after)
}

/// jinja2 encodes to ASCII with backslash escapes first, so `\é` comes out as the text `\xe9`.
fn keep_unknown(c: char, out: &mut String) {
    let code = u32::from(c);
    let _ = match code {
        0..=0x7f => {
            out.push(c);
            Ok(())
        }
        0x80..=0xff => write!(out, "x{code:02x}"),
        0x100..=0xffff => write!(out, "u{code:04x}"),
        _ => write!(out, "U{code:08x}"),
    };
}

fn octal<'s>(rest: &'s str, out: &mut String) -> Result<&'s str> {
    let length = rest.bytes().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
    let code =
        u32::from_str_radix(&rest[..length], 8).map_err(|_| Error::syntax("malformed octal escape"))?;
    push(code, out)?;
    Ok(&rest[length..])
}

fn hex<'s>(rest: &'s str, length: usize, out: &mut String) -> Result<&'s str> {
    let digits = rest.get(..length).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
    let Some(digits) = digits else {
        let shape = ["\\xXX", "\\uXXXX", "\\UXXXXXXXX"][length / 4];
        return Err(Error::syntax(format!("truncated {shape} escape")));
    };
    let code = u32::from_str_radix(digits, 16).map_err(|_| Error::syntax("malformed escape"))?;
    push(code, out)?;
    Ok(&rest[length..])
}

fn named<'s>(rest: &'s str, out: &mut String, names: NameLookup<'_>) -> Result<&'s str> {
    let inside = rest.strip_prefix('{').and_then(|r| r.split_once('}'));
    let Some((name, after)) = inside.filter(|(name, _)| !name.is_empty()) else {
        return Err(Error::syntax("malformed \\N character escape"));
    };
    let Some(c) = names(name) else {
        return Err(Error::syntax("unknown Unicode character name"));
    };
    out.push(c);
    Ok(after)
}

fn push(code: u32, out: &mut String) -> Result<()> {
    if (0xd800..0xe000).contains(&code) {
        return Err(Error::unsupported("a lone surrogate in a string literal"));
    }
    let Some(c) = char::from_u32(code) else {
        return Err(Error::syntax("illegal Unicode character"));
    };
    out.push(c);
    Ok(())
}
