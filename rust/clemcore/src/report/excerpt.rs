//! The source line that a report shows: cut to a readable window, without tabs, without secrets.
use super::visible::is_hidden;
use crate::text::{Span, lines::Lines, mask};
use unicode_width::UnicodeWidthChar;

/// A piece of the source line around a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The text to show.
    pub text: String,
    /// How many columns of a terminal `text` takes before the place.
    pub before: usize,
    /// How many columns the place takes; at least one.
    pub width: usize,
}

/// Characters shown before the place and in all.
const BEFORE: usize = 50;
const WINDOW: usize = 110;

impl Excerpt {
    pub(crate) fn new(text: &str, lines: &Lines<'_>, span: Span, masks: &[Span]) -> Self {
        let (line_start, line_end) = lines.line_span(span.start);
        let place = span.start.min(line_end);
        // A line may be 100 MB long: walk out from the place, never over the whole line.
        let start = text[line_start..place]
            .char_indices()
            .rev()
            .nth(BEFORE - 1)
            .map_or(line_start, |(at, _)| line_start + at);
        let end = text[start..line_end].char_indices().nth(WINDOW).map_or(line_end, |(at, _)| start + at);
        let start = if end == line_end { widen(text, line_start, start, end) } else { start };

        let mut excerpt = Self { text: String::new(), before: 0, width: 0 };
        if start > line_start {
            excerpt.push('…', false, true);
        }
        for (at, character, hidden) in shown_characters(text, start, end, masks) {
            let inside = at >= place && at < span.end;
            excerpt.push_character(if hidden { '*' } else { character }, inside, at < place);
        }
        if end < line_end {
            excerpt.push('…', false, false);
        }
        excerpt.width = excerpt.width.max(1);
        excerpt
    }

    fn push_character(&mut self, character: char, inside: bool, before: bool) {
        match character {
            '\t' => (0..4).for_each(|_| self.push(' ', inside, before)),
            hidden if is_hidden(hidden) => self.push(char::REPLACEMENT_CHARACTER, inside, before),
            other => self.push(other, inside, before),
        }
    }

    fn push(&mut self, character: char, inside: bool, before: bool) {
        let columns = character.width().unwrap_or(0);
        self.text.push(character);
        self.before += if before { columns } else { 0 };
        self.width += if inside { columns } else { 0 };
    }
}

/// Takes more from the left where the right end of the line left room.
fn widen(text: &str, line_start: usize, start: usize, end: usize) -> usize {
    let room = WINDOW.saturating_sub(text[start..end].chars().count());
    if room == 0 {
        return start;
    }
    text[line_start..start].char_indices().rev().nth(room - 1).map_or(line_start, |(at, _)| line_start + at)
}

/// The characters of a window with their offsets, and whether each is part of a secret.
fn shown_characters<'t>(
    text: &'t str,
    start: usize,
    end: usize,
    masks: &'t [Span],
) -> impl Iterator<Item = (usize, char, bool)> + 't {
    // A secret that the window cuts in two would not be known for one: look at a wider piece.
    let (wide_start, wide_end) = (boundary(text, start.saturating_sub(WIDER)), boundary(text, end + WIDER));
    let wide = &text[wide_start..wide_end];
    let masked = mask::mask_text(wide);
    let looks_secret: Vec<bool> = wide.chars().zip(masked.chars()).map(|(a, b)| a != b).collect();
    let from = masks.partition_point(|mask| mask.end <= start);
    wide.char_indices()
        .zip(looks_secret)
        .map(move |((at, character), secret)| (wide_start + at, character, secret))
        .filter(move |(at, ..)| (start..end).contains(at))
        .map(move |(at, character, secret)| {
            let hidden = masks[from..].iter().take_while(|mask| mask.start <= at).any(|mask| at < mask.end);
            (at, character, hidden || secret)
        })
}

/// How many bytes around the window are searched for secrets.
const WIDER: usize = 256;

/// The next offset from `at` on where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}
