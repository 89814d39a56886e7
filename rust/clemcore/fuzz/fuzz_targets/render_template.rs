//! Any text is a template or has a fault; whatever it does ends within its bounds, and does the same again.
#![no_main]
use std::cell::Cell;

use clemcore::template::{Arena, Data, ErrorKind, Input, Options, Template, Variables, Verdict};
use libfuzzer_sys::fuzz_target;

/// How often a render may ask whether it may go on. It has three million steps, and asks every 20,000 of them.
const MOST_LOOKS: u32 = 400;
/// No text is longer, whatever the template does.
const MOST_TEXT: usize = 48 << 20;

thread_local! {
    static LOOKS: Cell<u32> = const { Cell::new(0) };
}

fn watch() -> Verdict {
    LOOKS.set(LOOKS.get() + 1);
    Verdict::GoOn
}

fn text(text: &str) -> Data {
    Data::Str(text.to_owned())
}

fn dict(pairs: &[(&str, Data)]) -> Data {
    Data::Dict(pairs.iter().map(|(key, value)| (text(key), value.clone())).collect())
}

fn context() -> [(&'static str, Data); 6] {
    let call = dict(&[("name", text("f")), ("arguments", dict(&[("x", Data::Int(1)), ("y", Data::Float(0.5))]))]);
    let messages = Data::List(vec![
        dict(&[("role", text("system")), ("content", text("Be brief. "))]),
        dict(&[("role", text("user")), ("content", text("h\u{e9} <b>\u{1F600}\n"))]),
        dict(&[("role", text("assistant")), ("content", Data::None), ("tool_calls", Data::List(vec![call.clone()]))]),
    ]);
    [
        ("messages", messages),
        ("tools", Data::List(vec![call])),
        ("documents", Data::None),
        ("add_generation_prompt", Data::Bool(true)),
        ("bos_token", text("<s>")),
        ("n", Data::BigInt("123456789012345678901234567890".to_owned())),
    ]
}

/// What a render gives: the text, or the kind of its error.
fn rendered(template: &Template, context: &[(&str, Data)]) -> Result<String, ErrorKind> {
    let arena = Arena::default();
    let mut variables = Variables::new(template, &arena);
    for (name, value) in context {
        if let Ok(input) = Input::data(value) {
            variables.set(name, input);
        }
    }
    LOOKS.set(0);
    let options = Options { watch: Some(watch), ..Options::default() };
    let result = Template::render(variables, options, String::new());
    assert!(LOOKS.get() < MOST_LOOKS, "asked {} times", LOOKS.get());
    result.map(|rendered| rendered.text).map_err(|fault| fault.error.kind)
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(source) = std::str::from_utf8(bytes) else { return };
    let Ok(template) = Template::compile(source, &|_| None) else { return };
    let context = context();
    let first = rendered(&template, &context);
    assert!(first.as_ref().map_or(0, String::len) <= MOST_TEXT);
    assert!(!matches!(first, Err(ErrorKind::Paused | ErrorKind::Interrupted)));
    assert_eq!(first, rendered(&template, &context));
});
