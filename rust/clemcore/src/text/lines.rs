//! From byte offset to line and column.
//!
//! Lines end with `\n`, `\r\n` or `\r`; columns count Unicode characters; both start at 1. A file may be one line of
//! 100 MB, so characters are counted once, at checkpoints, and a place costs the same everywhere.
const STEP: usize = 4096;

/// The lines of one text.
pub(crate) struct Lines<'t> {
    text: &'t str,
    /// Where each line starts.
    starts: Vec<usize>,
    /// Characters before each multiple of `STEP` bytes.
    characters: Vec<usize>,
}

/// How many lines end before each multiple of `STEP` bytes: for texts of which only few places are asked for.
#[derive(Debug)]
pub(crate) struct LineCounts(Vec<usize>);

impl LineCounts {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut seen = 0;
        let starts = (0..bytes.len()).step_by(STEP);
        let counted = starts.map(|start| {
            let before = seen;
            seen += line_ends(bytes, start, (start + STEP).min(bytes.len()));
            before
        });
        Self(counted.collect())
    }

    /// The line of a byte offset, from 1.
    pub(crate) fn line(&self, bytes: &[u8], offset: usize) -> usize {
        let step = offset / STEP;
        let Some(before) = self.0.get(step) else { return 1 };
        1 + before + line_ends(bytes, step * STEP, offset)
    }
}

/// How many lines end in a range of a text.
fn line_ends(bytes: &[u8], from: usize, to: usize) -> usize {
    let part = &bytes[from..to];
    #[allow(clippy::naive_bytecount, reason = "at most four kilobytes, and the compiler counts many at once")]
    let count = |wanted: u8| part.iter().filter(|byte| **byte == wanted).count();
    let returns = count(b'\r');
    if returns == 0 {
        return count(b'\n');
    }
    part.iter().enumerate().filter(|(at, byte)| ends_line(bytes, from + at, **byte)).count()
}

/// Line and column, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

fn ends_line(bytes: &[u8], at: usize, byte: u8) -> bool {
    byte == b'\n' || (byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'))
}

/// Counts the characters that start in `bytes`.
fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte & 0xC0) != 0x80).count()
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let mut starts = vec![0];
        for (at, byte) in bytes.iter().enumerate() {
            if ends_line(bytes, at, *byte) {
                starts.push(at + 1);
            }
        }
        let mut seen = 0;
        let mut characters = Vec::with_capacity(bytes.len() / STEP + 1);
        for chunk in bytes.chunks(STEP) {
            characters.push(seen);
            seen += count(chunk);
        }
        Self { text, starts, characters }
    }

    /// Characters before `offset`.
    fn characters_before(&self, offset: usize) -> usize {
        let step = (offset / STEP).min(self.characters.len().saturating_sub(1));
        let from = step * STEP;
        let known = self.characters.get(step).copied().unwrap_or(0);
        known + count(&self.text.as_bytes()[from..offset])
    }

    /// The place of a byte offset.
    pub(crate) fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts[line - 1];
        Place { line, column: self.characters_before(offset) - self.characters_before(start) + 1 }
    }

    /// Byte range of the line that holds `offset`, without its end.
    pub(crate) fn line_span(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset.min(self.text.len()));
        let start = self.starts[line - 1];
        let end = self.starts.get(line).copied().unwrap_or(self.text.len());
        let line = self.text[start..end].trim_end_matches(['\n', '\r']);
        (start, start + line.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str, offset: usize) -> (usize, usize) {
        let place = Lines::new(text).place(offset);
        (place.line, place.column)
    }

    #[test]
    fn every_line_end_counts_once() {
        let text = "a\nb\r\nc\rd";
        assert_eq!(place(text, text.find('b').unwrap()), (2, 1));
        assert_eq!(place(text, text.find('c').unwrap()), (3, 1));
        assert_eq!(place(text, text.find('d').unwrap()), (4, 1));
        assert_eq!(place(text, text.len()), (4, 2));
        assert_eq!(place("", 0), (1, 1));
    }

    #[test]
    fn counted_lines_are_the_same() {
        let text = "a\nb\r\nc\rd\n\n\r\r\n".repeat(2000) + "\r";
        let (lines, counts) = (Lines::new(&text), LineCounts::new(text.as_bytes()));
        for offset in 0..text.len() {
            assert_eq!(counts.line(text.as_bytes(), offset), lines.place(offset).line, "{offset}");
        }
    }

    #[test]
    fn columns_are_characters_on_long_lines_too() {
        assert_eq!(place("äöü|", "äöü".len()), (1, 4));
        let text = "é".repeat(10_000) + "\n" + &"日".repeat(10_000);
        assert_eq!(place(&text, text.len()), (2, 10_001));
        assert_eq!(place(&text, 2 * 10_000), (1, 10_001));
        assert_eq!(Lines::new("ab\r\ncd").line_span(1), (0, 2));
    }
}
