//! One episode as data for the page's script: what happened, with the calls behind it.
//!
//! The script shows every text as text. It does not know what a message means.
use super::call::{Call, Details, Prompts, Taken, read};
use super::transcript::{Transcript, action, names_of_images};
use crate::json::{Borrowed, Members};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// An episode as JSON, and what can be counted in it.
#[derive(Debug)]
pub struct EpisodeView {
    /// `{"players": …, "rounds": …, "calls": …}`.
    pub json: String,
    /// What its calls took.
    pub taken: Taken,
    /// The answers, in the order of the calls.
    pub answers: Vec<String>,
    /// The type of the last event of the game master with itself; empty if there is none.
    pub last_event: String,
}

/// Brings an episode into the form that the page's script reads.
///
/// # Arguments
/// * `interactions`: the content of `interactions.json`; an empty text if there is none.
/// * `calls`: its calls by number.
/// * `images`: `data:` addresses by the names that messages give.
///
/// # Errors
/// What is wrong with the interactions.
pub fn view(
    interactions: &[u8],
    calls: &[Call<'_>],
    images: &BTreeMap<String, String>,
) -> Result<EpisodeView, &'static str> {
    let transcript = Transcript::read(if interactions.is_empty() { b"{}" } else { interactions })?;
    let mut events: Vec<Vec<Event>> = transcript
        .rounds()
        .map(|round| round.into_iter().map(|event| Event::of(event, images)).collect())
        .collect();
    let mut taken = Taken::default();
    let mut prompts = Prompts::default();
    let mut told = Vec::with_capacity(calls.len());
    for call in calls {
        attach(&mut events, call);
        let details = read(call).unwrap_or_default();
        taken = add(taken, details.taken);
        let earlier = prompts.in_common(call.player, &details.prompt);
        told.push(call_json(call, &details, earlier));
        prompts.keep(call.player, details.prompt);
    }
    let last = events.iter().flatten().rev().find(|event| event.from == "GM" && event.to == "GM");
    let last_event = last.map(|event| event.kind.clone()).unwrap_or_default();
    let players: Map<String, Value> = transcript
        .players()
        .into_iter()
        .map(|name| {
            let (role, model) = transcript.about(name);
            (name.to_owned(), json!([role, model]))
        })
        .collect();
    let rounds: Vec<Vec<Value>> =
        events.into_iter().map(|round| round.into_iter().map(Event::json).collect()).collect();
    Ok(EpisodeView {
        json: json!({ "players": players, "rounds": rounds, "calls": told }).to_string(),
        taken,
        answers: calls.iter().filter_map(|call| call.text.map(str::to_owned)).collect(),
        last_event,
    })
}

struct Event {
    from: String,
    to: String,
    kind: String,
    content: String,
    is_forgotten: bool,
    images: Vec<[Option<String>; 2]>,
    call: Option<u32>,
}

impl Event {
    fn of(event: &Members<'_>, images: &BTreeMap<String, String>) -> Self {
        let action = action(event);
        let part = |name: &str| action.and_then(|action| action.get(name));
        let text = |value: Option<&Borrowed<'_>>| value.map(Borrowed::text).unwrap_or_default().into_owned();
        let named = names_of_images(action);
        Self {
            from: text(event.get("from")),
            to: text(event.get("to")),
            kind: text(part("type")),
            content: text(part("content")),
            is_forgotten: part("label").and_then(Borrowed::as_str) == Some("forget"),
            images: named.into_iter().map(|name| [images.get(&name).cloned(), Some(name)]).collect(),
            call: None,
        }
    }

    fn json(self) -> Value {
        let mut told =
            json!({ "from": self.from, "to": self.to, "type": self.kind, "content": self.content });
        if self.is_forgotten {
            told["forget"] = true.into();
        }
        if !self.images.is_empty() {
            told["images"] = json!(self.images);
        }
        if let Some(call) = self.call {
            told["call"] = call.into();
        }
        told
    }
}

/// Marks the message that holds the answer of a call: the first one that no earlier call has.
fn attach(rounds: &mut [Vec<Event>], call: &Call<'_>) {
    let Some(text) = call.text else { return };
    let first = (call.round as usize).min(rounds.len());
    let is_answer =
        |event: &&mut Event| event.call.is_none() && event.from == call.player && event.content == text;
    if let Some(event) = rounds[first..].iter_mut().flatten().find(is_answer) {
        event.call = Some(call.number);
    }
}

fn add(one: Taken, other: Taken) -> Taken {
    Taken {
        calls: one.calls + other.calls,
        input_tokens: one.input_tokens + other.input_tokens,
        output_tokens: one.output_tokens + other.output_tokens,
        usd: one.usd + other.usd,
        seconds: one.seconds + other.seconds,
    }
}

fn call_json(call: &Call<'_>, details: &Details, earlier: usize) -> Value {
    let mut told = json!({
        "number": call.number,
        "player": call.player,
        "round": call.round,
        "origin": details.origin,
        "prompt": details.prompt[earlier..],
        "facts": details.facts,
        "raw": String::from_utf8_lossy(call.record),
    });
    let mut put = |name: &str, value: Value| told[name] = value;
    if earlier > 0 {
        put("earlier", earlier.into());
    }
    if let Some(text) = call.text {
        put("response", text.into());
    }
    if let Some(thinking) = &details.thinking {
        put("thinking", thinking.as_str().into());
    }
    if !details.arguments.is_empty() {
        put("arguments", json!(details.arguments));
    }
    if let Some(error) = &details.error {
        put("error", error.as_str().into());
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_leads_to_its_call_and_a_prompt_is_told_once() {
        let interactions = br#"{"players": {"GM": {}, "P": {"game_role": "R", "model_name": "m"}}, "turns": [
            [{"from": "GM", "to": "P", "action": {"type": "send message", "content": "one"}},
             {"from": "P", "to": "GM", "action": {"type": "get message", "content": "yes"}}],
            [{"from": "P", "to": "GM", "action": {"type": "get message", "content": "yes"}},
             {"from": "GM", "to": "GM", "action": {"type": "parse", "content": "ok", "image": "a.png"}}]]}"#;
        let records = [
            r#"{"manipulated_prompt_obj": [{"role": "user", "content": "one"}]}"#,
            r#"{"manipulated_prompt_obj": [{"role": "user", "content": "one"}, {"role": "assistant", "content": "yes"},
               {"role": "user", "content": "two"}]}"#,
        ];
        let calls: Vec<Call<'_>> = records
            .iter()
            .zip(0..)
            .map(|(record, number)| Call {
                number,
                player: "P",
                round: number,
                kind: "model",
                attempt: 1,
                text: Some("yes"),
                record: record.as_bytes(),
                readable: None,
            })
            .collect();
        let found = view(interactions, &calls, &BTreeMap::new()).unwrap();
        let told: Value = serde_json::from_str(&found.json).unwrap();
        assert_eq!(told["rounds"][0][1]["call"], 0);
        assert_eq!(told["rounds"][1][0]["call"], 1);
        assert_eq!(told["rounds"][1][1]["images"], json!([[null, "a.png"]]));
        assert_eq!(told["calls"][1]["earlier"], 1);
        assert_eq!(told["calls"][1]["prompt"][1], json!(["user", "two"]));
        assert_eq!(told["calls"][1]["raw"], records[1]);
        assert_eq!(found.taken.calls, 2);
        assert_eq!(found.last_event, "parse");
        assert_eq!(found.answers, ["yes", "yes"]);
    }

    #[test]
    fn an_episode_without_interactions_shows_its_calls() {
        let call = Call {
            number: 3,
            player: "P",
            round: 9,
            kind: "program",
            attempt: 2,
            text: None,
            record: b"\xFF{",
            readable: None,
        };
        let told = view(b"", &[call], &BTreeMap::new()).unwrap();
        assert!(told.json.contains("\"number\":3"), "{}", told.json);
        assert!(view(b"[", &[], &BTreeMap::new()).is_err());
    }
}
