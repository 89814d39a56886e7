//! Character properties as Python's `str` methods see them.
//!
//! The built-in tables are Unicode 14 (Python 3.11). Whether a character that was unassigned then is printable depends
//! on the running Python, which the binding lends as an oracle; without one the answer is "no".

use std::sync::OnceLock;

use super::tables;

static ORACLE: OnceLock<fn(char) -> bool> = OnceLock::new();

/// Lends the running Python's `str.isprintable` for characters newer than the built-in tables.
pub fn set_printable_oracle(oracle: fn(char) -> bool) {
    // A second call changes nothing: there is one Python in a process.
    let _ = ORACLE.set(oracle);
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
    !within(&tables::HIDDEN, c) && ORACLE.get().is_some_and(|oracle| oracle(c))
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
    tables::DECIMAL
        .iter()
        .find(|(low, high)| (*low..=*high).contains(&code))
        .map(|(low, _)| (code - low) % 10)
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
