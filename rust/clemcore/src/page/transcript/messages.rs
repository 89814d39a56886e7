//! The messages of `transcript.html`.
//!
//! The template writes what stands around the text of a message. That depends on its two ends and its type alone,
//! so it is rendered once for all messages that share them.
use super::images::names_of_images;
use super::{COLORS, Ends, GM, MOST_HEADS, Transcript, action, ends, names};
use crate::json::{Borrowed, Members};
use crate::page::visible::visible;
use crate::page::{engine, markdown};
use minijinja::{HtmlEscape, Value as Shown, context};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

/// Where the text of a message comes. No text that is made visible has this character.
const PLACE: char = '\0';

/// Writes messages one after the other.
pub(super) struct Messages<'t> {
    transcript: &'t Transcript<'t>,
    players: &'t [&'t str],
    images: &'t HashMap<String, String>,
    is_markdown: bool,
    known: Vec<(Head<'t>, String)>,
}

/// Sender, receiver, type if it is one of the game master's notes, and whether the message is forgotten.
type Head<'t> = (Cow<'t, str>, Cow<'t, str>, Option<Cow<'t, str>>, bool);

impl<'t> Messages<'t> {
    pub(super) fn new(
        transcript: &'t Transcript<'t>,
        players: &'t [&'t str],
        images: &'t HashMap<String, String>,
        is_markdown: bool,
    ) -> Self {
        Self { transcript, players, images, is_markdown, known: Vec::new() }
    }

    /// Appends the HTML of a message.
    ///
    /// # Errors
    /// A fault of ours.
    pub(super) fn write(&mut self, event: &'t Members<'t>, out: &mut String) -> Result<(), String> {
        let content = action(event).and_then(|action| action.get("content"));
        let content = content.map(Borrowed::text).unwrap_or_default();
        let content = visible(&content);
        let head = head(event);
        let named = names_of_images(action(event));
        if !named.is_empty() {
            out.push_str(&self.rendered(&head, self.text(&content), &named)?);
            out.push('\n');
            return Ok(());
        }
        let known = match self.known.iter().position(|(known, _)| *known == head) {
            Some(known) => known,
            None => self.around(head)?,
        };
        let (before, after) =
            self.known[known].1.split_once(PLACE).ok_or("a message has no place for its text")?;
        out.push_str(before);
        if self.is_markdown {
            out.push_str(&markdown::to_html(&content));
        } else if is_plain(&content) {
            out.push_str(&content);
        } else {
            let _ = write!(out, "{}", HtmlEscape(&content));
        }
        out.push_str(after);
        out.push('\n');
        Ok(())
    }

    fn text(&self, content: &str) -> Shown {
        if self.is_markdown {
            Shown::from_safe_string(markdown::to_html(content))
        } else {
            Shown::from(content)
        }
    }

    /// Keeps what stands around the text of messages with this head; gives its place.
    fn around(&mut self, head: Head<'t>) -> Result<usize, String> {
        if self.known.len() == MOST_HEADS {
            self.known.clear();
        }
        let rendered = self.rendered(&head, Shown::from_safe_string(PLACE.to_string()), &[])?;
        self.known.push((head, rendered));
        Ok(self.known.len() - 1)
    }

    fn rendered(&self, head: &Head<'_>, text: Shown, named: &[String]) -> Result<String, String> {
        let (from, to, kind, is_forgotten) = head;
        let speaker = kind.as_ref().map_or_else(
            || format!("{} to {}", self.transcript.with_role(from), self.transcript.with_role(to)),
            |kind| format!("Game Master: {kind}"),
        );
        let images =
            named.iter().map(|name| context! { name => &*visible(name), data => self.images.get(name) });
        let message = context! {
            classes => classes(&ends(from, to, self.players), *is_forgotten),
            speaker => &*visible(&speaker),
            form => if self.is_markdown { "markdown" } else { "text" },
            text => text,
            images => images.collect::<Vec<Shown>>(),
        };
        engine::render("message.html", context! { message => message })
    }
}

/// Whether a text has none of the characters that the engine escapes. Without an early end, its bytes are compared many
/// at a time.
fn is_plain(text: &str) -> bool {
    let is_special = |byte| matches!(byte, b'<' | b'>' | b'&' | b'"' | b'\'' | b'/');
    !text.bytes().fold(false, |any, byte| any | is_special(byte))
}

fn head<'t>(event: &'t Members<'t>) -> Head<'t> {
    let field = |name| action(event).and_then(|action| action.get(name));
    let (from, to) = names(event);
    let kind = (from == GM && to == GM).then(|| field("type").map(Borrowed::text).unwrap_or_default());
    let is_forgotten = field("label").and_then(Borrowed::as_str) == Some("forget");
    (from, to, kind, is_forgotten)
}

/// Class names, of which none is a text of the episode.
fn classes(ends: &Ends, is_forgotten: bool) -> String {
    let (kind, player) = match (ends.from, ends.to) {
        (None, None) => ("gm-gm", None),
        (None, to) => ("gm-p", to),
        (from, _) => ("p-gm", from),
    };
    let mut names = kind.to_owned();
    if let Some(player) = player {
        let _ = write!(names, " p{} c{}", player + 1, player % COLORS + 1);
    }
    if is_forgotten {
        names.push_str(" forget");
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_leaves_as_it_is_is_plain() {
        for char in (0..0x2100).filter_map(char::from_u32) {
            let text = format!("a{char}b");
            assert_eq!(is_plain(&text), HtmlEscape(&text).to_string() == text, "{char:?}");
        }
    }
}
