//! One call of a model, as people read it: what was sent, what came back, and what it took.
use crate::json::{Cursor, to_json, to_json_pretty};
use crate::text::repr::text_of;
use crate::value::{Dict, Value};
use std::collections::HashMap;

/// A call of an episode.
#[derive(Debug, Clone, Copy)]
pub struct Call<'t> {
    /// Its number in the episode, from 0.
    pub number: u32,
    /// Who made it: "Player 1", or "GM".
    pub player: &'t str,
    /// The round, from 0.
    pub round: u32,
    /// "model", or "program".
    pub kind: &'t str,
    /// The attempt at the episode that made it, from 1.
    pub attempt: u32,
    /// The answer; `None` if the call failed.
    pub text: Option<&'t str>,
    /// The entry of the record, as JSON.
    pub record: &'t [u8],
    /// The same without what this crate cannot read, such as half a character; `None` if there is nothing such.
    pub readable: Option<&'t [u8]>,
}

/// What the calls of an episode took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Taken {
    /// Calls of models; programs are not among them.
    pub calls: u32,
    /// Tokens of the prompts, where they are counted.
    pub input_tokens: u64,
    /// Tokens that were generated.
    pub output_tokens: u64,
    /// What they cost, where that is known.
    pub usd: f64,
    /// Seconds, waiting included.
    pub seconds: f64,
}

/// A message of a prompt: who says it, and the text.
pub(super) type Message = (String, String);

/// The last prompt of each player, so that of the next one only what is new is shown.
#[derive(Default)]
pub(super) struct Prompts<'t>(HashMap<&'t str, Vec<Message>>);

impl<'t> Prompts<'t> {
    /// How many messages a prompt has in common with the player's last one. At least one is left to be shown.
    pub(super) fn in_common(&self, player: &str, prompt: &[Message]) -> usize {
        let before = self.0.get(player).map_or(&[][..], Vec::as_slice);
        let same = before.iter().zip(prompt).take_while(|(one, other)| one == other).count();
        same.min(prompt.len().saturating_sub(1))
    }

    pub(super) fn keep(&mut self, player: &'t str, prompt: Vec<Message>) {
        self.0.insert(player, prompt);
    }
}

/// What a record says about a call.
#[derive(Debug, Default)]
pub(super) struct Details {
    pub(super) prompt: Vec<Message>,
    /// Reasoning of the model, which is not part of the answer.
    pub(super) thinking: Option<String>,
    /// How the answer came to be: asked, a program, or a cache.
    pub(super) origin: &'static str,
    /// Names and values, to be shown.
    pub(super) facts: Vec<(&'static str, String)>,
    /// Generation arguments, and what happened to them.
    pub(super) arguments: Vec<(String, String)>,
    pub(super) error: Option<String>,
    pub(super) taken: Taken,
}

/// Reads the record of a call; `None` if it is not a JSON object.
pub(super) fn read(call: &Call<'_>) -> Option<Details> {
    let text = std::str::from_utf8(call.readable.unwrap_or(call.record)).ok()?;
    let mut cursor = Cursor::new(text, 0);
    let record = cursor.dict(0).filter(|_| cursor.next().is_none())?;
    let none = Dict::new();
    let known = record.get("clemcore").and_then(Value::as_dict).unwrap_or(&none);
    let mut details = Details { origin: origin(call, known), ..Details::default() };
    details.prompt = record.get("manipulated_prompt_obj").map(messages).unwrap_or_default();
    let response = record.get("raw_response_obj").and_then(Value::as_dict);
    let thought = known.get("reasoning").or_else(|| response.and_then(|found| found.get("cot_content")));
    details.thinking =
        thought.filter(|value| **value != Value::Null).map(shown).filter(|text| !text.is_empty());
    details.error = known.get("error").map(fault);
    take_facts(&record, known, call, &mut details);
    take_arguments(known, &mut details.arguments);
    Some(details)
}

fn origin(call: &Call<'_>, known: &Dict) -> &'static str {
    match known.get("cache").and_then(Value::as_str) {
        _ if call.kind == "program" => "program",
        Some("hit") => "replayed from a cache",
        _ => "the model was asked",
    }
}

fn fault(error: &Value) -> String {
    let Some(error) = error.as_dict() else { return text_of(error).into_owned() };
    let parts = ["type", "message", "provider_message"].iter().filter_map(|name| error.get(name));
    parts.filter(|part| **part != Value::Null).map(text_of).collect::<Vec<_>>().join(": ")
}

fn take_facts(record: &Dict, known: &Dict, call: &Call<'_>, details: &mut Details) {
    let part = |name: &str| known.get(name).and_then(Value::as_dict);
    let usage = part("usage");
    let count = |name: &str| usage.and_then(|usage| usage.get(name)).and_then(whole);
    let usd = part("cost").and_then(|cost| cost.get("usd")).and_then(real);
    let seconds = known.get("duration_seconds").and_then(real);
    let (input, output) = (count("input_tokens"), count("output_tokens"));
    details.taken = Taken {
        calls: u32::from(call.kind != "program"),
        input_tokens: input.unwrap_or_default(),
        output_tokens: output.unwrap_or_default(),
        usd: usd.unwrap_or_default(),
        seconds: seconds.unwrap_or_default(),
    };
    let mut add =
        |name: &'static str, value: Option<String>| details.facts.extend(value.map(|text| (name, text)));
    let told = |value: Option<&Value>| {
        value.filter(|value| **value != Value::Null).map(|value| text_of(value).into_owned())
    };
    add("time", told(record.get("timestamp")));
    add("seconds", seconds.map(|number| format!("{number:.3}")));
    add("tokens in", input.map(|number| number.to_string()));
    add("tokens out", output.map(|number| number.to_string()));
    add("tokens of reasoning", count("reasoning_tokens").map(|number| number.to_string()));
    add("tokens from a cache", count("cached_tokens").map(|number| number.to_string()));
    add("USD", usd.map(|number| number.to_string()));
    add("outcome", told(known.get("outcome")).filter(|outcome| outcome != "answer"));
    add("finish reason", told(known.get("finish_reason")));
    add("served model", told(known.get("served_model")));
    add("attempts", told(part("wire").and_then(|wire| wire.get("attempts"))).filter(|count| count != "1"));
    add(
        "attempt at the episode",
        Some(call.attempt).filter(|number| *number > 1).map(|number| number.to_string()),
    );
}

fn take_arguments(known: &Dict, out: &mut Vec<(String, String)>) {
    let Some(given) = known.get("gen_args").and_then(Value::as_dict) else { return };
    for (name, value) in given.get("all").and_then(Value::as_dict).into_iter().flat_map(Dict::iter) {
        out.push((name.to_owned(), to_json(value)));
    }
    if let Some(sent) = given.get("sent").filter(|sent| **sent != Value::Null) {
        out.push(("sent as".to_owned(), to_json(sent)));
    }
    for (what, value) in known.get("parameters").and_then(Value::as_dict).into_iter().flat_map(Dict::iter) {
        let is_empty = matches!(value, Value::Null)
            || matches!(value, Value::List(items) if items.is_empty())
            || value.as_dict().is_some_and(Dict::is_empty);
        if !is_empty {
            out.push((what.to_owned(), to_json(value)));
        }
    }
}

fn real(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number).filter(|number| number.is_finite()),
        Value::Int(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// A text as it is; everything else as JSON.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| to_json_pretty(value, "  ", 0), str::to_owned)
}

/// The messages of a request in any wire format. What has no messages is shown as it is.
fn messages(prompt: &Value) -> Vec<Message> {
    match prompt {
        Value::List(items) if items.iter().any(|item| item.as_dict().is_some_and(is_message)) => {
            items.iter().map(message).collect()
        }
        Value::Dict(body) if is_message(body) => vec![message(prompt)],
        Value::Dict(body) => {
            let mut found = Vec::new();
            for name in ["system", "instructions", "systemInstruction", "system_instruction"] {
                found.extend(body.get(name).map(|value| ("system".to_owned(), content(value))));
            }
            match ["messages", "input", "contents", "inputs"].iter().find_map(|name| body.get(name)) {
                Some(Value::List(items)) => found.extend(items.iter().map(message)),
                Some(Value::String(text)) => found.push(("prompt".to_owned(), text.clone())),
                _ => found.push(("request".to_owned(), shown(prompt))),
            }
            found
        }
        Value::Null => Vec::new(),
        other => vec![("prompt".to_owned(), shown(other))],
    }
}

fn is_message(body: &Dict) -> bool {
    body.contains_key("role") && (body.contains_key("content") || body.contains_key("parts"))
}

fn message(item: &Value) -> Message {
    let Some(body) = item.as_dict() else { return ("prompt".to_owned(), shown(item)) };
    let role = body.get("role").map(text_of).unwrap_or_default().into_owned();
    match body.get("content").or_else(|| body.get("parts")).filter(|value| **value != Value::Null) {
        Some(said) => (role, content(said)),
        None => (role, shown(item)),
    }
}

/// The text of a content. A part that is not text is named, because an image can have megabytes.
fn content(value: &Value) -> String {
    match value {
        Value::List(parts) => parts.iter().map(content).collect::<Vec<_>>().join("\n"),
        Value::Dict(part) => {
            match (part.get("text"), part.get("parts"), part.get("type").and_then(Value::as_str)) {
                (Some(text), _, _) => shown(text),
                (None, Some(parts), _) => content(parts),
                (None, None, Some(kind)) => format!("[{kind}]"),
                (None, None, None) => match part.keys().next() {
                    Some(name) if part.len() == 1 => format!("[{name}]"),
                    _ => shown(value),
                },
            }
        }
        other => shown(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(record: &str) -> Details {
        let record = record.as_bytes();
        let call = Call {
            number: 0,
            player: "P",
            round: 0,
            kind: "model",
            attempt: 1,
            text: None,
            record,
            readable: None,
        };
        read(&call).unwrap()
    }

    #[test]
    fn the_messages_of_each_wire_format_are_found() {
        let same = [
            r#"[{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]"#,
            r#"{"model": "m", "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": [{"type": "text", "text": "U"}]}]}"#,
            r#"{"system": "S", "messages": [{"role": "user", "content": "U"}]}"#,
            r#"{"system": [{"type": "text", "text": "S"}], "messages": [{"role": "user", "content": "U"}]}"#,
            r#"{"instructions": "S", "input": [{"role": "user", "content": [{"type": "input_text", "text": "U"}]}]}"#,
            r#"{"contents": [{"role": "user", "parts": [{"text": "U"}]}], "systemInstruction": {"parts": [{"text": "S"}]}}"#,
        ];
        for prompt in same {
            let found = details(&format!("{{\"manipulated_prompt_obj\": {prompt}}}")).prompt;
            let wanted =
                [("system", "S"), ("user", "U")].map(|(role, text)| (role.to_owned(), text.to_owned()));
            assert_eq!(found, wanted, "{prompt}");
        }
        let found =
            details(r#"{"manipulated_prompt_obj": {"inputs": "<|user|>U", "temperature": 0}}"#).prompt;
        assert_eq!(found, [("prompt".to_owned(), "<|user|>U".to_owned())]);
        let found = details(r#"{"manipulated_prompt_obj": {"role": "user", "content": "U"}}"#).prompt;
        assert_eq!(found, [("user".to_owned(), "U".to_owned())]);
        let image = r#"{"manipulated_prompt_obj": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:AA"}}]}]}"#;
        assert_eq!(details(image).prompt[0].1, "[image_url]");
    }

    #[test]
    fn what_a_call_took_is_found() {
        let found = details(
            r#"{"timestamp": "T", "raw_response_obj": {"cot_content": "hm"}, "clemcore": {"duration_seconds": 1.5,
            "usage": {"input_tokens": 7, "output_tokens": 3, "reasoning_tokens": 2}, "cost": {"usd": 0.25},
            "gen_args": {"all": {"temperature": 0.0}, "sent": null}, "parameters": {"dropped": ["seed"]},
            "wire": {"attempts": 2}, "cache": "hit"}}"#,
        );
        assert_eq!(
            found.taken,
            Taken { calls: 1, input_tokens: 7, output_tokens: 3, usd: 0.25, seconds: 1.5 }
        );
        assert_eq!(found.thinking.as_deref(), Some("hm"));
        assert_eq!(found.origin, "replayed from a cache");
        assert!(found.facts.contains(&("attempts", "2".to_owned())));
        let arguments = [("temperature", "0.0"), ("dropped", "[\"seed\"]")];
        assert_eq!(found.arguments, arguments.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let failed =
            details(r#"{"clemcore": {"error": {"type": "RateLimitError", "message": "slow down"}}}"#);
        assert_eq!(failed.error.as_deref(), Some("RateLimitError: slow down"));
    }
}
