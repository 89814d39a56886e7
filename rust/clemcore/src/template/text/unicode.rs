//! Character properties as Python's `str` methods see them.
//!
//! The built-in tables are Unicode 14 (Python 3.11). A newer Python knows more characters as printable. The binding asks
//! it for these once ([`unassigned`], [`set_newer_printable`]), before the first render: a render itself must not call
//! Python, because it borrows the texts of Python's strings.

use std::sync::OnceLock;

use super::tables;
use crate::template::budget::look;
use crate::template::error::Result;

/// What the running Python prints and the built-in tables do not know: inclusive ranges, in order.
static NEWER: OnceLock<Box<[(u32, u32)]>> = OnceLock::new();

/// The version of Unicode that the built-in tables are.
pub const UNICODE_VERSION: &str = "14.0.0";

/// The characters that were not assigned in [`UNICODE_VERSION`].
///
/// Planes 4 to 13 are left out, and most of plane 14: Unicode has no plans for them.
pub fn unassigned() -> impl Iterator<Item = char> {
    let mut known: Vec<_> = tables::PRINTABLE.iter().chain(&tables::HIDDEN).copied().collect();
    known.extend([(0, 0x7F), (0x4_0000, 0xD_FFFF), (0xE_1000, 0x10_FFFF)]);
    known.sort_unstable();
    let mut next = 0;
    let gaps = known.into_iter().map(move |(low, high)| {
        let gap = next..low;
        next = next.max(high + 1);
        gap
    });
    gaps.flatten().filter_map(char::from_u32)
}

/// Gives the characters among [`unassigned`] that the running Python prints, in order.
pub fn set_newer_printable(characters: impl Iterator<Item = char>) {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for code in characters.map(u32::from) {
        match ranges.last_mut() {
            Some((_, high)) if *high + 1 == code => *high = code,
            _ => ranges.push((code, code)),
        }
    }
    // A second call changes nothing: there is one Python in a process.
    let _ = NEWER.set(ranges.into());
}

fn within(table: &[(u32, u32)], c: char) -> bool {
    let code = u32::from(c);
    table
        .binary_search_by(|&(low, high)| {
            if high < code {
                std::cmp::Ordering::Less
            } else if low > code {
                std::cmp::Ordering::Greater
            } else {
                std::cmp::Ordering::Equal
            }
        })
        .is_ok()
}

/// `str.isprintable` of one character.
pub(crate) fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return (' '..='~').contains(&c);
    }
    if within(&tables::PRINTABLE, c) {
        return true;
    }
    NEWER.get().is_some_and(|newer| within(newer, c))
}

/// Whether the built-in tables know the character at all.
pub(crate) fn is_assigned(c: char) -> bool {
    c.is_ascii() || within(&tables::PRINTABLE, c) || within(&tables::HIDDEN, c)
}

pub(crate) fn is_alpha(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphabetic() } else { within(&tables::ALPHABETIC, c) }
}

pub(crate) fn is_decimal(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_digit() } else { within(&tables::DECIMAL, c) }
}

pub(crate) fn is_digit(c: char) -> bool {
    is_decimal(c) || within(&tables::DIGIT, c)
}

pub(crate) fn is_numeric(c: char) -> bool {
    is_digit(c) || within(&tables::NUMERIC, c)
}

pub(crate) fn is_alnum(c: char) -> bool {
    is_alpha(c) || is_numeric(c)
}

pub(crate) fn is_lower(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_lowercase() } else { within(&tables::LOWER, c) }
}

pub(crate) fn is_upper(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_uppercase() } else { within(&tables::UPPER, c) }
}

/// Title-case digraphs such as ǅ: cased, but neither upper nor lower.
pub(crate) fn is_title(c: char) -> bool {
    matches!(u32::from(c),
        0x1c5 | 0x1c8 | 0x1cb | 0x1f2 | 0x1f88..=0x1f8f | 0x1f98..=0x1f9f | 0x1fa8..=0x1faf | 0x1fbc | 0x1fcc | 0x1ffc)
}

/// The value of a decimal digit.
pub(crate) fn decimal_value(c: char) -> Option<u32> {
    if c.is_ascii() {
        return c.to_digit(10);
    }
    let code = u32::from(c);
    let after = tables::DECIMAL.partition_point(|(low, _)| *low <= code);
    let (low, high) = tables::DECIMAL[after.checked_sub(1)?];
    (code <= high).then(|| (code - low) % 10)
}

/// How many bytes of text are paid for at once where its characters are looked up.
const CHUNK: usize = 1 << 16;

/// A text in parts, each of which is paid for before it is looked at: a single text may take long.
pub(crate) fn paid(text: &str) -> impl Iterator<Item = Result<&str>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len().min(CHUNK);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (chunk, after) = rest.split_at(end);
        rest = after;
        Some(look(per_character(chunk)).map(|()| chunk))
    })
}

/// What looking up each character of a text costs, in bytes of text that is only read.
pub(crate) fn per_character(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.len().saturating_mul(8) }
}

/// The special title case of a character, where it is not its upper case.
pub(super) fn special_title(c: char) -> Option<&'static str> {
    special(&tables::TITLE, c)
}

/// The special case folding of a character, where it is not its lower case.
pub(super) fn special_fold(c: char) -> Option<&'static str> {
    special(&tables::FOLD, c)
}

fn special(table: &'static [(char, &'static str)], c: char) -> Option<&'static str> {
    table.binary_search_by_key(&c, |row| row.0).ok().map(|i| table[i].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_assigned_is_in_no_table() {
        let found: Vec<char> = unassigned().collect();
        assert!(found.is_sorted() && found.contains(&'\u{1FAE8}') && found.contains(&'\u{378}'));
        let outside = |c: &char| matches!(u32::from(*c), 0x80..0x4_0000 | 0xE_0000..0xE_1000);
        assert!(found.iter().all(|c| !is_assigned(*c) && outside(c)));
        let expected = (0x80..0xE_1000).filter_map(char::from_u32).filter(|c| outside(c) && !is_assigned(*c));
        assert_eq!(found.len(), expected.count());
    }
}
