//! Pages for people: HTML and TeX, rendered from what was recorded.
//!
//! ```text
//! interactions ─ transcript (who said what to whom) ─ engine + templates in pages/ ─ HTML, TeX
//! ```
//! What models, games and instances say is text, everywhere. Templates escape whatever is put into them. Only three
//! things are put into a page as they are: our own style sheet, the data of an image, whose kind the caller has
//! checked, and the elements that [`markdown`] makes, which hold text alone.
mod engine;
mod markdown;
mod tex;
mod transcript;

pub use transcript::{Transcript, images};
