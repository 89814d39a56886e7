//! What fixes a fault, as a change of the text.
use crate::catalogue::{self as kind, Kind};
use crate::text::Span;

/// What fixes a fault without a doubt.
#[derive(Debug, Clone)]
pub(crate) enum Remedy {
    /// This text in place of the range.
    Write(Span, String),
    /// The member or item at the range goes, with one comma.
    Remove(Span),
}

impl Remedy {
    /// The range that changes and what is written there.
    pub(super) fn edit(&self, text: &str) -> Option<(Span, String)> {
        match self {
            Self::Write(span, new) => Some((*span, new.clone())),
            Self::Remove(span) => removal(*span, text).map(|span| (span, String::new())),
        }
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The range that takes an item out of its list or object, and leaves the others where they stand.
fn removal(item: Span, text: &str) -> Option<Span> {
    let bytes = text.as_bytes();
    let skip = |mut at: usize| {
        while bytes.get(at).copied().is_some_and(is_blank) {
            at += 1;
        }
        at
    };
    let back = |mut at: usize| {
        while at > 0 && is_blank(bytes[at - 1]) {
            at -= 1;
        }
        at
    };
    let (before, after) = (back(item.start), skip(item.end));
    match (before.checked_sub(1).map(|at| bytes[at]), bytes.get(after)) {
        (last, Some(b',')) => {
            let next = skip(after + 1);
            let is_last = matches!(bytes.get(next), Some(b'}' | b']'));
            match last {
                // The comma after the last one stays, for it is a fault of its own.
                Some(b',') if is_last => Some(Span::new(before - 1, item.end)),
                Some(b'{' | b'[') if is_last => Some(Span::new(before, next)),
                // The next one takes its place.
                _ => Some(Span::new(item.start, next)),
            }
        }
        (Some(b','), _) => Some(Span::new(before - 1, item.end)),
        (Some(b'{' | b'['), Some(b'}' | b']')) => Some(Span::new(before, after)),
        _ => None,
    }
}

/// Whether faults of this kind are fixed by [`syntax_remedy`].
pub(super) fn is_syntactic(of: &Kind) -> bool {
    let kinds = [
        &kind::TRAILING_COMMA,
        &kind::UNQUOTED_KEY,
        &kind::PYTHON_LITERAL,
        &kind::QUOTES,
        &kind::MISSING_COMMA,
    ];
    kinds.contains(&of)
}

/// Whether a fault is a quote that is missing.
pub(super) fn is_out_of_step(of: &Kind, span: Span, text: &str) -> bool {
    *of == kind::UNTERMINATED_STRING
        || (*of == kind::QUOTES
            && text[span.start..span.end].starts_with(|c: char| c.is_alphanumeric() || "_$@-.".contains(c)))
}

/// What fixes a fault of the syntax, where there is only one way.
pub(super) fn syntax_remedy(of: &Kind, span: Span, text: &str) -> Option<(Span, String)> {
    let found = &text[span.start..span.end];
    if *of == kind::TRAILING_COMMA {
        return (found == ",").then(|| (span, String::new()));
    }
    if *of == kind::UNQUOTED_KEY {
        // A number in the place of a key is something else that went wrong.
        let is_name = found.starts_with(|c: char| c.is_alphabetic() || "_$".contains(c));
        return (is_name && !found.contains(['"', '\\'])).then(|| (span, format!("\"{found}\"")));
    }
    if *of == kind::PYTHON_LITERAL {
        let right = match found.to_ascii_lowercase().as_str() {
            "true" => "true",
            "false" => "false",
            _ => "null",
        };
        return Some((span, right.to_owned()));
    }
    if *of == kind::QUOTES {
        return requoted(found).map(|right| (span, right));
    }
    if *of == kind::MISSING_COMMA {
        // On one line, something else may be missing.
        let rest = &text[span.start..];
        let blank = &rest[..rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len()];
        let begins = rest[blank.len()..].starts_with(['"', '{', '[']);
        return (begins && blank.contains('\n')).then(|| (span, ",".to_owned()));
    }
    None
}

/// The string in double quotes, if it is plain.
fn requoted(found: &str) -> Option<String> {
    const PAIRS: &[(char, &[char])] = &[
        ('\'', &['\'']),
        ('`', &['`']),
        ('“', &['”', '“']),
        ('„', &['“', '”']),
        ('”', &['”']),
        ('‘', &['’']),
    ];
    let mut characters = found.chars();
    let (first, last) = (characters.next()?, characters.next_back()?);
    let inside = characters.as_str();
    let is_pair = PAIRS.iter().any(|(open, close)| *open == first && close.contains(&last));
    let is_plain =
        !inside.contains(|c: char| c.is_control() || matches!(c, '\\' | '"' | '“' | '”') || c == first);
    (is_pair && is_plain).then(|| format!("\"{inside}\""))
}
