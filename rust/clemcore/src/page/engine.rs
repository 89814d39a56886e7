//! The template engine, with the templates that are compiled in.
use super::tex;
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, Output, State, Value, escape_formatter};
use std::sync::OnceLock;

const TEX: &str = "tex";

fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut made = Environment::empty();
        if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
            made.set_syntax(syntax);
        }
        made.set_auto_escape_callback(|name| {
            if name == "transcript.tex" { AutoEscape::Custom(TEX.into()) } else { AutoEscape::Html }
        });
        made.set_formatter(format);
        for (name, source) in [
            ("head.html", include_str!("../../pages/head.html")),
            ("transcript.html", include_str!("../../pages/transcript.html")),
            ("message.html", include_str!("../../pages/message.html")),
            ("transcript.tex", include_str!("../../pages/transcript.tex")),
            ("page.html", include_str!("../../pages/page.html")),
        ] {
            // A test renders each, so a fault in one cannot reach a user.
            let _ = made.add_template(name, source);
        }
        made
    })
}

fn format(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if !matches!(state.auto_escape(), AutoEscape::Custom(name) if name == TEX) {
        return escape_formatter(out, state, value);
    }
    match value.as_str() {
        Some(text) if !value.is_safe() => {
            let mut escaped = String::with_capacity(text.len() + 16);
            tex::escape(text, &mut escaped);
            out.write_str(&escaped).map_err(Error::from)
        }
        Some(text) => out.write_str(text).map_err(Error::from),
        _ => out.write_str(&value.to_string()).map_err(Error::from),
    }
}

/// Renders a template.
///
/// # Errors
/// A fault of ours in the template.
pub(super) fn render(name: &str, context: Value) -> Result<String, String> {
    let template = environment().get_template(name).map_err(|fault| fault.to_string())?;
    template.render(context).map_err(|fault| fault.to_string())
}
