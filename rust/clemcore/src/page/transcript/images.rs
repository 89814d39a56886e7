//! Which images the messages of an episode name.
use super::Transcript;
use crate::json::{Borrowed, Cursor, Members};

/// The images of a message: of its action, or of a content that is JSON, as games of 2024 wrote it.
pub(in super::super) fn names_of_images(action: Option<&Members<'_>>) -> Vec<String> {
    let Some(action) = action else { return Vec::new() };
    let mut found = Vec::new();
    let mut take = |value: &Borrowed<'_>| match value {
        Borrowed::Text(name) => found.push(name.clone().into_owned()),
        Borrowed::List(names) => found.extend(names.iter().filter_map(Borrowed::as_str).map(str::to_owned)),
        _ => {}
    };
    action.get("image").into_iter().for_each(&mut take);
    match action.get("content") {
        Some(Borrowed::Object(content)) => content.get("image").into_iter().for_each(&mut take),
        Some(Borrowed::Text(text)) if text.trim_start().starts_with('{') && text.contains("\"image\"") => {
            let inner = Cursor::new(text, 0).whole_object();
            inner.as_ref().and_then(|inner| inner.get("image")).into_iter().for_each(&mut take);
        }
        _ => {}
    }
    found
}

impl Transcript<'_> {
    /// The names of all images of the episode.
    #[must_use]
    pub fn images(&self) -> Vec<String> {
        self.rounds().flatten().flat_map(|event| names_of_images(super::action(event))).collect()
    }
}
