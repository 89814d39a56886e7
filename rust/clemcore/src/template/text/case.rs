//! Upper, lower, title and folded text, as Python maps it.

use super::unicode::{is_assigned, is_lower, is_title, is_upper, paid, special_fold, special_title};
use crate::template::error::Result;

/// `text.upper()`.
pub(crate) fn upper(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    let mut out = String::with_capacity(text.len());
    text.chars().for_each(|c| push_upper(c, &mut out));
    out
}

fn push_upper(c: char, out: &mut String) {
    let mut mapped = c.to_uppercase();
    // Rust's tables may be newer than Python's: a letter that Python does not know is no one's upper case.
    if mapped.clone().all(is_assigned) { out.extend(&mut mapped) } else { out.push(c) }
}

/// `text.lower()`, with the final sigma.
pub(crate) fn lower(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lowered = text.to_lowercase();
    if lowered.chars().all(is_assigned) {
        return lowered;
    }
    text.chars().map(|c| if is_assigned(c) { c.to_lowercase().to_string() } else { c.to_string() }).collect()
}

fn push_title(c: char, out: &mut String) {
    match special_title(c) {
        Some(title) => out.push_str(title),
        None => push_upper(c, out),
    }
}

/// `text.capitalize()`: the first character in title case, the rest in lower case.
pub(crate) fn capitalize(text: &str) -> String {
    let Some(first) = text.chars().next() else { return String::new() };
    let mut out = String::with_capacity(text.len());
    push_title(first, &mut out);
    out.push_str(&tail_lower(text, first.len_utf8()));
    out
}

/// The lower case of `text[at..]`, where the text before counts for the final sigma.
fn tail_lower(text: &str, at: usize) -> String {
    if text[at..].contains('Σ') {
        let head = text[..at].to_lowercase().len();
        return text.to_lowercase().split_off(head);
    }
    lower(&text[at..])
}

fn is_cased(c: char) -> bool {
    is_lower(c) || is_upper(c) || is_title(c)
}

/// `text.title()`: a letter after a cased character is lower, any other is title case.
pub(crate) fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut previous_cased = false;
    for (i, c) in text.char_indices() {
        if previous_cased {
            push_lower_at(text, i, c, &mut out);
        } else {
            push_title(c, &mut out);
        }
        previous_cased = is_cased(c);
    }
    out
}

/// The lower case of the character at `i`; for a sigma its surroundings decide.
fn push_lower_at(text: &str, i: usize, c: char, out: &mut String) {
    if c == 'Σ' {
        let before = text[..i].to_lowercase().len();
        let lowered = text.to_lowercase();
        out.extend(lowered[before..].chars().next());
    } else {
        out.push_str(&lower(c.encode_utf8(&mut [0; 4])));
    }
}

/// `text.swapcase()`.
pub(crate) fn swap(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (i, c) in text.char_indices() {
        if is_upper(c) {
            push_lower_at(text, i, c, &mut out);
        } else if is_lower(c) {
            push_upper(c, &mut out);
        } else {
            out.push(c);
        }
    }
    out
}

/// `text.casefold()`.
pub(crate) fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match special_fold(c) {
            Some(folded) => out.push_str(folded),
            None => out.push_str(&lower(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out
}

/// `text.istitle()`.
pub(crate) fn is_titled(text: &str) -> bool {
    let (mut cased, mut previous) = (false, false);
    for c in text.chars() {
        if is_upper(c) || is_title(c) {
            if previous {
                return false;
            }
            (cased, previous) = (true, true);
        } else if is_lower(c) {
            if !previous {
                return false;
            }
            (cased, previous) = (true, true);
        } else {
            previous = false;
        }
    }
    cased
}

/// `text.islower()` (`lower` true) or `text.isupper()`.
pub(crate) fn is_all(text: &str, lower: bool) -> Result<bool> {
    let mut seen = false;
    for chunk in paid(text) {
        for c in chunk?.chars() {
            let (wanted, other) = if lower { (is_lower(c), is_upper(c)) } else { (is_upper(c), is_lower(c)) };
            if other || is_title(c) {
                return Ok(false);
            }
            seen |= wanted;
        }
    }
    Ok(seen)
}
