//! Text in which nothing is unseen.
use crate::report::is_hidden;
use std::borrow::Cow;

/// The text with controls as escapes: those that steer a terminal, reorder a line, or cannot be seen.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let is_unseen = |char: char| {
        (is_hidden(char) && !matches!(char, '\n' | '\t'))
            || matches!(char, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
    };
    // Without an early end, the bytes are compared many at a time.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) || !text.chars().any(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        if is_unseen(char) { out.extend(char.escape_default()) } else { out.push(char) }
    }
    Cow::Owned(out)
}
