//! Markdown as HTML, for games that say that their messages are Markdown.
//!
//! HTML in it is text, links are text with their target, images are not loaded. So its elements have no attribute
//! that holds a text of a model.
use pulldown_cmark::{CodeBlockKind, CowStr, Event, Parser, Tag, TagEnd, html};

/// The HTML of a Markdown text. A code mark around the whole text is removed, as in 3.7.2.
pub(super) fn to_html(text: &str) -> String {
    let mut text = text.trim();
    while let Some(inner) = text.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        text = inner;
    }
    let mut targets: Vec<CowStr<'_>> = Vec::new();
    let events = Parser::new(text).map(|event| match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(raw),
        Event::Start(Tag::Link { dest_url, .. }) => {
            targets.push(dest_url);
            Event::Text("".into())
        }
        Event::Start(Tag::Image { dest_url, .. }) => {
            targets.push(dest_url);
            Event::Text("Image: ".into())
        }
        Event::End(TagEnd::Link | TagEnd::Image) => {
            let target = targets.pop().unwrap_or("".into());
            Event::Text(format!(" ({target})").into())
        }
        Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced("".into())))
        }
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        other => other,
    });
    let mut out = String::with_capacity(text.len() * 3 / 2);
    html::push_html(&mut out, events);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_act_is_text() {
        let html =
            to_html("# A\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) ![y](https://a/b.png) *z*");
        assert!(html.contains("&lt;script&gt;"));
        assert!(html.contains("x (javascript:alert(1))"));
        assert!(html.contains("Image: y (https://a/b.png)"));
        assert!(html.contains("<em>z</em>"));
        for forbidden in ["<script", "<img", "<a ", "href", "src="] {
            assert!(!html.contains(forbidden), "{html}");
        }
    }

    #[test]
    fn code_has_no_class_of_the_text() {
        assert_eq!(to_html("```a\" onclick=\"b\nx < 1\n```").trim(), "<p>a\" onclick=\"b\nx &lt; 1</p>");
        assert_eq!(
            to_html("x\n```a\" onclick=\"b\n1 < 2\n```"),
            "<p>x</p>\n<pre><code>1 &lt; 2\n</code></pre>\n"
        );
    }
}
