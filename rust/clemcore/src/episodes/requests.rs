//! The calls of a file of requests: `player_1.requests.json` of 3.4 and later, and the lists of earlier releases.
//!
//! The record of a call stays the text that it is in the file; a reader of prompts and answers reads it again.
use crate::json::{Borrowed, Cursor, Members};
use crate::value::Value;
use std::borrow::Cow;

/// What every record has.
const FIELDS: [&str; 3] = ["timestamp", "manipulated_prompt_obj", "raw_response_obj"];

/// A call, and what its file says about it.
#[derive(Debug, Default)]
pub struct RequestedCall<'t> {
    /// Its number in the episode, where the file says it.
    pub number: Option<i64>,
    /// When it was made.
    pub timestamp: Cow<'t, str>,
    /// Who made it; may be empty.
    pub player: Cow<'t, str>,
    /// The round, from 0.
    pub round: i64,
    /// "model", or "program".
    pub kind: Cow<'t, str>,
    /// SHA-256 of the request in hex; may be empty.
    pub request: Cow<'t, str>,
    /// The answer, where it is a text.
    pub text: Option<Cow<'t, str>>,
    /// The record, as it stands in the file.
    pub record: &'t str,
    /// The attempt at the episode that made it, from 1.
    pub attempt: i64,
}

/// What stands in a record.
#[derive(Default)]
struct Record<'t> {
    text: &'t str,
    timestamp: Cow<'t, str>,
    /// What clemcore 4 adds, as far as it is needed; `None` if it is not there, or empty.
    facts: Option<Members<'t>>,
    /// What 3.4 to 3.7.2 put into the response.
    response: Members<'t>,
}

/// The calls of a file of requests, in its order; `None` if it is not exactly as a release of clemcore writes it.
#[must_use]
pub fn requested_calls(bytes: &[u8]) -> Option<Vec<RequestedCall<'_>>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut cursor = Cursor::new(text, 0);
    let mut calls = Vec::new();
    let mut meta = Members::default();
    if cursor.next()? == b'[' {
        cursor.each_item(0, |cursor| {
            calls.push((Members::default(), record(cursor, 1)?));
            Some(())
        })?;
    } else {
        let mut has_calls = false;
        cursor.each_member(0, |cursor, name| match &*name {
            "meta" => {
                meta = cursor.picked(&["player_name", "model_name"], 1)?;
                Some(())
            }
            "calls" if !has_calls => {
                has_calls = true;
                cursor.each_item(1, |cursor| {
                    calls.push(entry(cursor, 2)?);
                    Some(())
                })
            }
            "calls" => None,
            _ => cursor.pass(1),
        })?;
        has_calls.then_some(())?;
    }
    cursor.next().is_none().then_some(())?;
    calls.into_iter().map(|(around, record)| call(&around, record, &meta)).collect()
}

/// What stands around a record, and the record.
fn entry<'t>(cursor: &mut Cursor<'t>, depth: usize) -> Option<(Members<'t>, Record<'t>)> {
    let mut around = Members::default();
    let mut found = None;
    cursor.each_member(depth, |cursor, name| {
        if name == "call" {
            // Only the last of two would count.
            return found.replace(record(cursor, depth + 1)?).is_none().then_some(());
        }
        around.push(name, cursor.borrowed(depth + 1)?);
        Some(())
    })?;
    Some((around, found?))
}

fn record<'t>(cursor: &mut Cursor<'t>, depth: usize) -> Option<Record<'t>> {
    cursor.next()?;
    let begin = cursor.at;
    let mut found = Record::default();
    let mut has = [false; FIELDS.len()];
    cursor.each_member(depth, |cursor, name| {
        if let Some(field) = FIELDS.iter().position(|field| *field == name) {
            // Only the last of two would count.
            (!std::mem::replace(&mut has[field], true)).then_some(())?;
        }
        match &*name {
            "timestamp" => {
                let Borrowed::Text(stamp) = cursor.borrowed(depth + 1)? else { return None };
                found.timestamp = stamp;
                Some(())
            }
            "raw_response_obj" if cursor.next()? == b'{' => {
                found.response = cursor.picked(&["clem_player"], depth + 1)?;
                Some(())
            }
            "clemcore" => {
                cursor.next()?;
                let start = cursor.at + 1;
                let facts = cursor.picked(&["scope", "response_text"], depth + 1)?;
                let is_empty = cursor.text.get(start..cursor.at - 1)?.trim_ascii().is_empty();
                found.facts = (!is_empty).then_some(facts);
                Some(())
            }
            _ => cursor.pass(depth + 1),
        }
    })?;
    found.text = cursor.text.get(begin..cursor.at)?;
    has.iter().all(|has| *has).then_some(found)
}

fn call<'t>(around: &Members<'t>, record: Record<'t>, meta: &Members<'t>) -> Option<RequestedCall<'t>> {
    let scope = match record.facts.as_ref().and_then(|facts| facts.get("scope")) {
        Some(Borrowed::Object(scope)) => Some(scope),
        _ => None,
    };
    let said = match record.response.get("clem_player") {
        Some(Borrowed::Object(said)) => Some(said),
        _ => None,
    };
    let answer = match record.facts.as_ref().and_then(|facts| facts.get("response_text")) {
        None => said.and_then(|said| said.get("response")),
        found => found,
    };
    let number = match around.get("number") {
        None => scope.and_then(|scope| scope.get("call")),
        found => found,
    };
    let model = match text_at(said, "model_name")? {
        model if model.is_empty() => text_at(Some(meta), "model_name")?,
        model => model,
    };
    let is_program = record.facts.is_none() && matches!(&*model, "programmatic" | "mock");
    let kind = match text_at(Some(around), "kind")? {
        kind if !kind.is_empty() => kind,
        _ if is_program => Cow::Borrowed("program"),
        _ => Cow::Borrowed("model"),
    };
    let player = match text_at(Some(meta), "player_name")? {
        player if player.is_empty() => text_at(scope, "player")?,
        player => player,
    };
    Some(RequestedCall {
        number: number.and_then(Borrowed::as_int),
        timestamp: record.timestamp,
        player,
        round: int_at(around, "round")?,
        kind,
        request: text_at(Some(around), "request")?,
        text: answer.and_then(Borrowed::to_text),
        record: record.text,
        attempt: int_at(around, "attempt")?.max(1),
    })
}

/// A text; an empty one where there is none. Gives up on anything else.
fn text_at<'t>(members: Option<&Members<'t>>, name: &str) -> Option<Cow<'t, str>> {
    match members.and_then(|members| members.get(name)) {
        None | Some(Borrowed::Plain(Value::Null)) => Some(Cow::Borrowed("")),
        Some(value) => value.to_text(),
    }
}

/// A whole number that is not negative; 0 where there is none. Gives up on anything else.
fn int_at(members: &Members<'_>, name: &str) -> Option<i64> {
    match members.get(name) {
        None | Some(Borrowed::Plain(Value::Null)) => Some(0),
        Some(value) => value.as_int().filter(|number| *number >= 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_of_a_file_are_found_with_their_bytes() {
        let record = r#"{"timestamp": "T", "manipulated_prompt_obj": [], "raw_response_obj": {"clem_player":
            {"response": "a\nb", "model_name": "m"}}}"#;
        let text = format!(
            r#"{{"calls": [{{"round": 2, "call": {record}, "number": 7, "kind": "model", "request": "ab"}}],
            "meta": {{"player_name": "Player 1", "model_name": "x"}}}}"#
        );
        let found = requested_calls(text.as_bytes()).unwrap();
        let [call] = &found[..] else { panic!("{found:?}") };
        assert_eq!((call.number, call.round, call.attempt), (Some(7), 2, 1));
        assert_eq!((&*call.player, &*call.kind, &*call.request), ("Player 1", "model", "ab"));
        assert_eq!((call.text.as_deref(), call.record), (Some("a\nb"), record));
        let list = format!("[{record}, {record}]");
        let found = requested_calls(list.as_bytes()).unwrap();
        assert_eq!((found.len(), found[1].number, &*found[1].player), (2, None, ""));
    }

    #[test]
    fn a_program_is_told_by_its_model() {
        let of = |model: &str, facts: &str| {
            let text = format!(
                r#"{{"meta": {{"model_name": "{model}"}}, "calls": [{{"call": {{"timestamp": "T",
                "manipulated_prompt_obj": null, "raw_response_obj": "R"{facts}}}}}]}}"#
            );
            requested_calls(text.as_bytes()).unwrap()[0].kind.clone().into_owned()
        };
        assert_eq!(of("mock", ""), "program");
        assert_eq!(of("mock", r#", "clemcore": { }"#), "program");
        assert_eq!(of("mock", r#", "clemcore": {"x": 1}"#), "model");
        assert_eq!(of("m", ""), "model");
    }

    #[test]
    fn it_gives_up_on_anything_else() {
        let call = r#"{"timestamp": "T", "manipulated_prompt_obj": 1, "raw_response_obj": 2}"#;
        for text in [
            String::new(),
            "1".into(),
            "{}".into(),
            "[{}]".into(),
            r#"{"calls": [{}]}"#.into(),
            r#"{"calls": [1]}"#.into(),
            format!("[{call}"),
            format!("[{call}] x"),
            call.replace("\"T\"", "5"),
            format!("[{}]", call.replace('1', "NaN")),
            format!("[{}]", call.replace('1', r#""\ud800""#)),
            format!("[{}]", call.replace('1', r#"1, "timestamp": "U""#)),
            format!(r#"{{"calls": [{{"round": "x", "call": {call}}}]}}"#),
            format!(r#"{{"calls": [{{"call": {call}, "call": {call}}}]}}"#),
        ] {
            assert!(requested_calls(text.as_bytes()).is_none(), "{text}");
        }
        assert!(requested_calls(b"\xff").is_none());
        assert!(requested_calls(format!("[{call}]").as_bytes()).is_some());
    }
}
