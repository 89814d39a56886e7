//! Text made safe to show: a file must not steer the terminal of whoever checks it, nor reorder a line.
use std::borrow::Cow;

/// Whether a character steers a terminal, or reorders the line that it stands in.
pub(crate) fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// The text with such characters as escapes; line feeds and tabs are among them.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden)
}

/// The text with such characters as escapes, other than line feeds and tabs.
///
/// ```
/// assert_eq!(clemcore::report::visible_lines("a\x1b[2J\n\u{202e}"), "a\\u{1b}[2J\n\\u{202e}");
/// ```
#[must_use]
pub fn visible_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| is_hidden(character) && !matches!(character, '\n' | '\t'))
}

fn escaped(text: &str, hidden: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&hidden) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if hidden(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escape).collect())
}
