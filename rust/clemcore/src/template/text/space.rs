//! Python's idea of white space (`str.isspace`, `strip()`, `split()`, `splitlines()`), which differs from Rust's in
//! `\x1c`–`\x1f`.

use crate::template::budget::spend;
use crate::template::error::Result;

/// `str.isspace` of one character.
pub(crate) fn is_space(c: char) -> bool {
    if c.is_ascii() { is_ascii_space(c as u8) } else { c.is_whitespace() }
}

fn is_ascii_space(b: u8) -> bool {
    matches!(b, b' ' | 0x09..=0x0d | 0x1c..=0x1f)
}

/// Where the line ends at the start of `text`: its length, 0 for none. `\r\n` is one.
fn line_break(text: &str) -> usize {
    match text.chars().next() {
        Some('\r') if text[1..].starts_with('\n') => 2,
        Some(
            c @ ('\n' | '\r' | '\x0b' | '\x0c' | '\x1c' | '\x1d' | '\x1e' | '\u{85}' | '\u{2028}'
            | '\u{2029}'),
        ) => c.len_utf8(),
        _ => 0,
    }
}

/// `text.rstrip()`.
pub(crate) fn trim_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// `text.lstrip()`.
pub(crate) fn trim_start(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

/// The byte range of `text.strip(chars)`, from the given sides.
pub(crate) fn strip_range(text: &str, chars: Option<&str>, left: bool, right: bool) -> (usize, usize) {
    let strips = |c: char| chars.map_or_else(|| is_space(c), |set| set.contains(c));
    let mut kept = text;
    if left {
        kept = kept.trim_start_matches(strips);
    }
    let start = text.len() - kept.len();
    if right {
        kept = kept.trim_end_matches(strips);
    }
    (start, start + kept.len())
}

/// The byte ranges of `text.splitlines(keep)`.
pub(crate) fn lines(text: &str, keep: bool) -> Result<Vec<(usize, usize)>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut i = 0;
    while i < text.len() {
        let length = line_break(&text[i..]);
        if length == 0 {
            i += text[i..].chars().next().map_or(1, char::len_utf8);
            continue;
        }
        spend(1)?;
        found.push((start, if keep { i + length } else { i }));
        i += length;
        start = i;
    }
    if start < text.len() {
        found.push((start, text.len()));
    }
    Ok(found)
}

/// The byte ranges of `text.split(None, limit)`; a negative limit means all.
pub(crate) fn words(text: &str, limit: i64) -> Result<Vec<(usize, usize)>> {
    let mut found = Vec::new();
    let mut rest = trim_start(text);
    while !rest.is_empty() {
        let start = text.len() - rest.len();
        if usize::try_from(limit).is_ok_and(|limit| found.len() >= limit) {
            // What is left keeps all its spaces.
            found.push((start, text.len()));
            break;
        }
        spend(1)?;
        let length = rest.find(is_space).unwrap_or(rest.len());
        found.push((start, start + length));
        rest = trim_start(&rest[length..]);
    }
    Ok(found)
}

/// The byte ranges of `text.rsplit(None, limit)`.
pub(crate) fn words_back(text: &str, limit: i64) -> Result<Vec<(usize, usize)>> {
    let mut found = Vec::new();
    let mut rest = trim_end(text);
    while !rest.is_empty() {
        if usize::try_from(limit).is_ok_and(|limit| found.len() >= limit) {
            found.push((0, rest.len()));
            break;
        }
        spend(1)?;
        let start =
            rest.rfind(is_space).map_or(0, |i| i + rest[i..].chars().next().map_or(1, char::len_utf8));
        found.push((start, rest.len()));
        rest = trim_end(&rest[..start]);
    }
    found.reverse();
    Ok(found)
}
