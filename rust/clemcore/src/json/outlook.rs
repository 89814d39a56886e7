//! Whether a string goes on after a line break in it, as a template that was pasted in does.
//!
//! A later line decides. Strings without an end may come one after another, so that what was found is kept: no line is
//! looked at twice for quotes of one kind.
use super::conflict::is_marker;

/// How far ahead a closing quote is looked for after a line break inside a string.
const LOOK_AHEAD: usize = 1 << 16;

/// What is known of the lines ahead, for each kind of quote.
#[derive(Default)]
pub(super) struct Outlooks(Vec<Outlook>);

/// What is known for one kind of quote.
struct Outlook {
    close: &'static str,
    /// The line break after which the first line was looked at.
    from: usize,
    /// Where the last line ends that was looked at.
    to: usize,
    /// Whether the last line closes the string; `None` where it decides nothing, as all before it.
    last: Option<bool>,
    /// Where the last line begins.
    last_start: usize,
}

impl Outlooks {
    /// Whether the string goes on after the line break at `at`.
    ///
    /// It does when a later line has a quote that can end it, and no line before looks like the next key or bracket.
    /// `sure` becomes the end of that line.
    pub(super) fn goes_on(&mut self, text: &str, at: usize, close: &'static str, sure: &mut usize) -> bool {
        let outlook = self.of(close);
        if !(outlook.from..outlook.to).contains(&at) {
            (outlook.from, outlook.to, outlook.last) = (at, at, None);
        }
        let limit = at.saturating_add(LOOK_AHEAD);
        while outlook.last.is_none() && outlook.to < limit && outlook.to < text.len() {
            outlook.look(text);
        }
        if outlook.last == Some(true) && outlook.last_start <= limit {
            *sure = outlook.to;
            return true;
        }
        false
    }

    fn of(&mut self, close: &'static str) -> &mut Outlook {
        let place = self.0.iter().position(|outlook| outlook.close == close).unwrap_or_else(|| {
            self.0.push(Outlook { close, from: 0, to: 0, last: None, last_start: 0 });
            self.0.len() - 1
        });
        &mut self.0[place]
    }
}

impl Outlook {
    /// Looks at the next line; there is a line break where the last one ends.
    fn look(&mut self, text: &str) {
        self.last_start = self.to + 1;
        let rest = &text[self.last_start..];
        let line = &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())];
        self.to = self.last_start + line.len();
        self.last = decides(line, self.close);
    }
}

/// Whether a line ends a string for certain, or cannot belong to it; `None` where it says nothing.
fn decides(line: &str, close: &str) -> Option<bool> {
    if is_marker(line) {
        return Some(false);
    }
    let line = line.trim();
    let only_brackets = !line.is_empty() && line.chars().all(|c| "[]{},".contains(c));
    let is_member = line.strip_prefix(close).is_some_and(|rest| rest.contains(&format!("{close}:")));
    if only_brackets || is_member {
        return Some(false);
    }
    closes(line, close).then_some(true)
}

/// Whether a line has an unescaped quote after which a value can end.
fn closes(line: &str, close: &str) -> bool {
    line.match_indices(close).any(|(at, _)| {
        let after = line[at + close.len()..].trim_start();
        !line[..at].ends_with('\\') && (after.is_empty() || after.starts_with([',', '}', ']']))
    })
}
