//! Which bracket is at fault when two do not fit: a guess from what follows.
use super::lexer::Bracket;

/// What to do with a closing bracket that does not close the innermost open one.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was meant to close it: the wrong key was pressed.
    Typo,
    /// It closes an outer one; the innermost was forgotten.
    Forgotten,
    /// It closes nothing; pass over it.
    Stray,
}

/// Judges a closing bracket `found` with the open brackets (innermost last) and the text after it.
pub(super) fn judge(open: &[Bracket], found: Bracket, after: &str) -> Verdict {
    let outer = &open[..open.len().saturating_sub(1)];
    let as_typo = fits(outer, after);
    let closes_outer = outer.last() == Some(&found);
    if as_typo {
        Verdict::Typo
    } else if closes_outer {
        Verdict::Forgotten
    } else if outer.contains(&found) {
        // Several were forgotten; closing one after the other leads there.
        Verdict::Forgotten
    } else {
        Verdict::Stray
    }
}

/// Whether `after` can follow a value inside the innermost of `open`.
fn fits(open: &[Bracket], after: &str) -> bool {
    let after = after.trim_start();
    let Some(innermost) = open.last() else { return after.is_empty() };
    if after.starts_with(innermost.close()) {
        return true;
    }
    let Some(next) = after.strip_prefix(',') else { return false };
    let next = next.trim_start();
    match innermost {
        // The next thing in an object is a key: a string with a colon after it.
        Bracket::Curly => is_key(next),
        Bracket::Square => !is_key(next),
    }
}

fn is_key(text: &str) -> bool {
    let Some(body) = text.strip_prefix('"') else { return false };
    // Keys are short; a long text is not a key.
    let end = body.bytes().take(200).position(|byte| byte == b'"');
    end.is_some_and(|end| body[end + 1..].trim_start().starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::{
        Bracket::{Curly, Square},
        *,
    };

    #[test]
    fn the_rest_of_the_text_decides() {
        // [{"a": 1], {"b": 2}]
        assert_eq!(judge(&[Square, Curly], Square, ", {\"b\": 2}]"), Verdict::Typo);
        // [{"a": 1 ]
        assert_eq!(judge(&[Square, Curly], Square, "\n"), Verdict::Forgotten);
        // [{"l": ["en", "de"}, {"b": 2}]
        assert_eq!(judge(&[Square, Curly, Square], Curly, ", {\"b\": 2}]"), Verdict::Forgotten);
        // [{"l": ["en", "de"}, "b": 2}]
        assert_eq!(judge(&[Square, Curly, Square], Curly, ", \"b\": 2}]"), Verdict::Typo);
        // [1, 2} 3]
        assert_eq!(judge(&[Square], Curly, " 3]"), Verdict::Stray);
    }
}
