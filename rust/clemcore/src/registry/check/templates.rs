//! Chat templates: whether they compile, and whether they read what they are given.
use super::Context;
use crate::catalogue as kind;
use crate::json::{Member, Node};
use crate::template::{ErrorKind, Fault, Template};

/// Variables that transformers itself takes, whether the template reads them or not.
const OF_TRANSFORMERS: &[&str] = &["tools", "documents"];

/// Checks the chat template of an entry of a backend that reads it, wherever it stands.
pub(super) fn check(entry: &Node<'_>, config: Option<&Node<'_>>, context: &mut Context<'_>) {
    let place = |key| {
        let nested = config.and_then(|config| config.get(key)).map(|member| ("model_config.", member));
        nested.or_else(|| entry.get(key).map(|member| ("", member)))
    };
    let Some((path, member)) = place("custom_chat_template") else { return };
    // No template is without a brace: such a text is the path of a file, which is not read here.
    let Some(source) = member.value.as_str().filter(|text| text.contains('{')) else { return };
    if context.spoiled(member.value.span) {
        return;
    }
    let read = match compile(source) {
        Compiled::Read(variables) => variables,
        Compiled::Faulty(fault) => return report(&fault, path, member, context),
        Compiled::Unknown => return,
    };
    if context.backend.as_deref() != Some("huggingface_local") {
        return;
    }
    if let Some((path, kwargs)) = place("chat_template_kwargs") {
        let unread = |member: &&Member<'_>| {
            let key = &&*member.key.text;
            !OF_TRANSFORMERS.contains(key) && !read.iter().any(|name| name == key)
        };
        for member in kwargs.value.members().unwrap_or_default().iter().filter(unread) {
            unread_variable(&member.key.text, &format!("{path}chat_template_kwargs"), member, &read, context);
        }
    }
    if let Some((path, effort)) =
        place("cot_effort").filter(|_| !read.iter().any(|name| name == "reasoning_effort"))
        && effort.value.as_str().is_some_and(|effort| !effort.is_empty())
    {
        unread_variable("reasoning_effort", &format!("{path}cot_effort"), effort, &read, context);
    }
}

enum Compiled {
    /// The names that it reads.
    Read(Vec<String>),
    Faulty(Fault),
    /// It uses something that only jinja2 can judge.
    Unknown,
}

fn compile(source: &str) -> Compiled {
    // Characters by name need Unicode's table of names, which only Python has here.
    if source.contains("\\N{") {
        return Compiled::Unknown;
    }
    match Template::compile(source, &|_| None) {
        Ok(template) => Compiled::Read(template.variables().to_vec()),
        Err(fault) if fault.error.kind == ErrorKind::Syntax => Compiled::Faulty(fault),
        Err(_) => Compiled::Unknown,
    }
}

fn report(fault: &Fault, path: &str, member: &Member<'_>, context: &mut Context<'_>) {
    let place = fault.place.as_ref().map_or_else(std::string::String::new, |place| {
        let line: String = place.excerpt.trim().chars().take(60).collect();
        format!(" (line {}, column {} of the template: {line})", place.line, place.column)
    });
    let words = fault.to_string();
    let message = format_args!("the chat template does not compile: {}{place}", words.trim_end_matches('.'));
    context
        .at(&kind::CHAT_TEMPLATE, member.value.span, message)
        .field(format_args!("{path}custom_chat_template"))
        .help("fix the template; `clem render` shows what it makes of a dialogue");
}

fn unread_variable(name: &str, field: &str, member: &Member<'_>, read: &[String], context: &mut Context<'_>) {
    let shown: String = name.chars().take(40).collect();
    let mut names: Vec<_> = read.iter().filter(|name| *name != "messages").map(String::as_str).collect();
    names.sort_unstable();
    let help = match crate::text::similar::near_miss(name, names.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if names.is_empty() => "it reads nothing but messages; leave this out".to_owned(),
        None => format!("it reads {}; leave this out, or use the template that reads it", names.join(", ")),
    };
    context
        .at(&kind::UNREAD_VARIABLE, member.key.span, format_args!("the chat template never reads {shown:?}"))
        .field(field)
        .help(help);
}
