//! Pages for people: HTML and TeX, rendered from what was recorded.
//!
//! ```text
//! interactions ─ transcript (who said what to whom) ─ engine + templates in pages/ ─ HTML, TeX
//!       └─ episode ─ call (what a record says) ─ JSON ─┐
//! results ─ plot (SVG) ─────────────────────────────── site ─ the page of results
//! ```
//! What models, games and instances say is text, everywhere. Templates escape whatever is put into them. Only these
//! things are put into a page as they are: our own style sheet and script, the data of an image, whose kind the caller
//! has checked, the elements that [`markdown`] makes, which hold text alone, and JSON in which no character can end
//! its element. The messages of a transcript are put together from parts that the engine has escaped.
mod call;
mod engine;
mod episode;
mod markdown;
mod plot;
mod site;
mod tex;
mod transcript;
mod visible;

pub use call::{Call, Taken};
pub use episode::{EpisodeView, view};
pub use plot::{Line, outcomes as plot_outcomes, quality as plot_quality};
pub use site::{SCRIPT, STYLE, Site, island, render as site};
pub use transcript::Transcript;
