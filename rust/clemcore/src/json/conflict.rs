//! Merge conflicts that git left in the text. Their first side is read as if it stood there alone.
use super::lexer::Lexer;
use crate::catalogue as kind;
use crate::text::Span;

/// How often git writes the character of a marker.
const WIDTH: usize = 7;

/// What a line of a conflict says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Marker {
    /// `<<<<<<< HEAD`: the first side begins.
    Ours,
    /// `||||||| 1a2b3c4`: what both sides changed begins.
    Base,
    /// `=======`: the second side begins.
    Theirs,
    /// `>>>>>>> branch`: the end.
    End,
}

impl Marker {
    /// The marker at the beginning of a line, and the name behind it.
    fn of(line: &str) -> Option<(Self, &str)> {
        let marker = match line.as_bytes().first()? {
            b'<' => Self::Ours,
            b'|' => Self::Base,
            b'=' => Self::Theirs,
            b'>' => Self::End,
            _ => return None,
        };
        let run = line.bytes().take_while(|byte| *byte == line.as_bytes()[0]).count();
        let name = &line[run..];
        (run == WIDTH && (name.is_empty() || name.starts_with(' '))).then(|| (marker, name.trim()))
    }
}

/// Whether a line is one of those that git writes around the sides of a conflict.
pub(super) fn is_marker(line: &str) -> bool {
    Marker::of(line).is_some()
}

/// The line that begins at `at`, without its break.
fn line_at(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    &rest[..rest.find(['\n', '\r']).unwrap_or(rest.len())]
}

impl Lexer<'_, '_> {
    /// Passes a line of a conflict, and with the last line of its first side all up to its end.
    pub(super) fn skip_conflict(&mut self) -> bool {
        let begins = self.at == 0 || matches!(self.byte(self.at - 1), Some(b'\n' | b'\r'));
        let Some((marker, name)) = begins.then(|| Marker::of(line_at(self.text, self.at))).flatten() else {
            return false;
        };
        let line = Span::new(self.at, self.at + line_at(self.text, self.at).len());
        self.at = line.end;
        match marker {
            Marker::Ours => {
                // One that is not closed before the next one begins is a conflict too.
                self.in_conflict = true;
                self.report_conflict(line, name);
            }
            Marker::Base | Marker::Theirs if std::mem::take(&mut self.in_conflict) => self.pass_other_sides(),
            Marker::End if std::mem::take(&mut self.in_conflict) => {}
            _ => {
                let message = "a line of a merge conflict, without the line that begins it";
                let help = "remove it, and look whether both sides of the conflict are still there";
                self.faults.at(&kind::MERGE_CONFLICT, line, message).help(help);
            }
        }
        true
    }

    fn report_conflict(&mut self, line: Span, name: &str) {
        let message = if name.is_empty() {
            "a merge conflict that is not resolved".to_owned()
        } else {
            format!("a merge conflict that is not resolved: the side of {name} begins here")
        };
        let help = "keep one of the two sides, and remove the lines <<<<<<<, ======= and >>>>>>>";
        self.faults.at(&kind::MERGE_CONFLICT, line, message).help(help);
    }

    /// Passes the sides after the first; where no line ends them, only the line that was read.
    fn pass_other_sides(&mut self) {
        let mut at = self.at;
        while let Some(found) = self.text[at..].find(['\n', '\r']) {
            let line = line_at(self.text, at + found + 1);
            at += found + 1;
            match Marker::of(line) {
                Some((Marker::End, _)) => {
                    self.at = at + line.len();
                    return;
                }
                Some((Marker::Ours, _)) => return,
                _ => {}
            }
        }
    }
}
