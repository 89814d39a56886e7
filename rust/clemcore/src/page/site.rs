//! The page of results: its frame, and the data that goes with it.
//!
//! The data is JSON within a `<script type="application/json">`, which no browser runs; or text in base64, in which
//! no character can end anything.
use super::engine;
use minijinja::{Value as Shown, context};
use std::borrow::Cow;

/// The style sheet of the page.
pub const STYLE: &str = include_str!("../../pages/page.css");
/// The script of the page.
pub const SCRIPT: &str = include_str!("../../pages/page.js");

/// What the page may do: its own script and style, images that came with it, and nothing else. A text cannot be
/// turned into elements.
const REST: &str =
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types clem";

/// What goes into a page.
#[derive(Debug, Clone, Copy)]
pub struct Site<'t> {
    /// The title.
    pub title: &'t str,
    /// The data that the script begins with, as JSON.
    pub start: &'t str,
    /// With these, the page is one file: the data that is otherwise in files beside it, by name, in base64.
    pub parts: Option<&'t [(String, String)]>,
    /// SHA-256 of [`STYLE`] and of [`SCRIPT`] in base64. A page in one file allows these two.
    pub hashes: [&'t str; 2],
}

/// Renders `index.html`.
///
/// # Errors
/// A fault of ours.
pub fn render(site: &Site<'_>) -> Result<String, String> {
    let [style, script] = site.hashes;
    let policy = match site.parts {
        Some(_) => format!(
            "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; img-src data:; {REST}"
        ),
        None => {
            format!("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; {REST}")
        }
    };
    let parts: Vec<Shown> = site
        .parts
        .unwrap_or_default()
        .iter()
        .map(|(name, body)| context! { name => name, body => Shown::from_safe_string(quoted(body)) })
        .collect();
    let page = context! {
        policy => policy,
        title => site.title,
        start => Shown::from_safe_string(island(site.start).into_owned()),
        is_single => site.parts.is_some(),
        style => Shown::from_safe_string(STYLE.to_owned()),
        script => Shown::from_safe_string(SCRIPT.to_owned()),
        parts => parts,
    };
    engine::render("page.html", page)
}

fn quoted(text: &str) -> String {
    island(&serde_json::Value::from(text).to_string()).into_owned()
}

/// JSON that can stand within an element: characters that HTML or a script could take for its own are escapes.
///
/// ```
/// assert_eq!(clemcore::page::island(r#"{"a": "</script>"}"#), r#"{"a": "\u003c/script\u003e"}"#);
/// ```
#[must_use]
pub fn island(json: &str) -> Cow<'_, str> {
    let escape = |char| match char {
        '<' => Some("\\u003c"),
        '>' => Some("\\u003e"),
        '&' => Some("\\u0026"),
        '\u{2028}' => Some("\\u2028"),
        '\u{2029}' => Some("\\u2029"),
        _ => None,
    };
    if !json.chars().any(|char| escape(char).is_some()) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 64);
    for char in json.chars() {
        match escape(char) {
            Some(escaped) => out.push_str(escaped),
            None => out.push(char),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_end_the_element_that_it_is_in() {
        let start = r#"{"models": ["</script><script>alert(1)</script>", "<!--", "&quot;"]}"#;
        let parts = [("c0".to_owned(), "</script>".to_owned())];
        let site = Site { title: "<b>", start, parts: Some(&parts), hashes: ["S", "J"] };
        let page = render(&site).unwrap();
        assert!(!page.contains("alert(1)<") && !page.contains("<b>") && !page.contains("\"<!--"), "{page}");
        assert!(page.contains("&lt;b&gt;"));
        let folder = render(&Site { parts: None, ..site }).unwrap();
        assert!(folder.contains("src=\"page.js\"") && !folder.contains("sha256-"));
    }

    #[test]
    fn style_and_script_are_small() {
        assert!(STYLE.len() <= 40_000 && SCRIPT.len() <= 40_000, "{} {}", STYLE.len(), SCRIPT.len());
    }
}
