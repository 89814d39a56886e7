//! The episode scores of a `scores.json`; the rest of the file is only passed over.
use super::value::Score;
use crate::json::Cursor;

const PART: &str = "episode scores";

/// Reads the episode scores of a file, in its order; of two equal names the last counts, as in Python.
///
/// # Errors
/// What is wrong with the file, to be read after its name.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<(String, Score)>, &'static str> {
    if bytes.is_empty() {
        return Err("is empty");
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
    // A byte order mark is what editors of Windows write, and Python reads.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.trim_start().starts_with('{') {
        return Err("holds no JSON object");
    }
    let mut found = None;
    let mut fault = "is not JSON, or ends early";
    file(text, &mut found, &mut fault).ok_or(fault)?;
    found.ok_or("has no object \"episode scores\"")
}

/// Reads a file, and the episode scores if it has some; `None` if it has a fault.
fn file(text: &str, found: &mut Option<Vec<(String, Score)>>, fault: &mut &'static str) -> Option<()> {
    let mut cursor = Cursor::new(text, 0);
    cursor.expect(b'{')?;
    if !cursor.closes(b'}')? {
        loop {
            let name = name(&mut cursor)?;
            if name == PART && cursor.next()? == b'{' {
                *found = Some(members(&mut cursor, fault)?);
            } else {
                cursor.skip()?;
            }
            if !cursor.goes_on(b'}')? {
                break;
            }
        }
    }
    cursor.next().is_none().then_some(())
}

fn name(cursor: &mut Cursor<'_>) -> Option<String> {
    (cursor.next()? == b'"').then_some(())?;
    let name = cursor.string()?.into_owned();
    cursor.expect(b':')?;
    Some(name)
}

fn members(cursor: &mut Cursor<'_>, fault: &mut &'static str) -> Option<Vec<(String, Score)>> {
    let mut scores: Vec<(String, Score)> = Vec::with_capacity(16);
    cursor.expect(b'{')?;
    if cursor.closes(b'}')? {
        return Some(scores);
    }
    loop {
        let name = name(cursor)?;
        let score = score(cursor, fault)?;
        match scores.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = score,
            None => scores.push((name, score)),
        }
        if !cursor.goes_on(b'}')? {
            return Some(scores);
        }
    }
}

/// One score; 3.7.2 could write numbers that JSON does not have.
fn score(cursor: &mut Cursor<'_>, fault: &mut &'static str) -> Option<Score> {
    cursor.next()?;
    let rest = &cursor.text[cursor.at..];
    for (word, number) in [("NaN", f64::NAN), ("Infinity", f64::INFINITY), ("-Infinity", f64::NEG_INFINITY)] {
        if rest.starts_with(word) {
            cursor.at += word.len();
            return Some(Score::Float(number));
        }
    }
    let score = Score::of(cursor.value(1)?);
    if matches!(score, Score::Float(number) if number.is_infinite()) {
        *fault = "has a number that is too large for a float";
        return None;
    }
    Some(score)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_read_in_the_order_of_the_file() {
        let text = br#"{"meta": {"a": [1, "}"]}, "episode scores": {"Lose": 0, "Main Score": NaN, "Lose": 1}, "z": 1}"#;
        let scores = read(text).unwrap();
        assert_eq!(scores[0], ("Lose".into(), Score::Int(1)));
        assert!(matches!(scores[1].1, Score::Float(number) if number.is_nan()));
        assert_eq!(scores.len(), 2);
    }

    #[test]
    fn every_file_that_ends_early_is_noticed() {
        let text = br#"{"turn scores": {"0": {"a": 1.5}}, "episode scores": {"Main Score": 50.5, "x": "y"}}"#;
        assert!(read(text).is_ok());
        for end in 0..text.len() {
            assert!(read(&text[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_not_part_of_the_text() {
        let marked = b"\xEF\xBB\xBF{\"episode scores\": {\"Main Score\": 1}}";
        assert_eq!(read(marked), Ok(vec![("Main Score".into(), Score::Int(1))]));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(read(b""), Err("is empty"));
        assert_eq!(read(b"\xFF"), Err("is not UTF-8"));
        assert_eq!(read(b"[]"), Err("holds no JSON object"));
        let large = format!("{{\"episode scores\": {{\"Main Score\": 1{}}}}}", "0".repeat(400));
        assert_eq!(read(large.as_bytes()), Err("has a number that is too large for a float"));
        assert_eq!(read(b"{]"), Err("is not JSON, or ends early"));
        assert_eq!(read(b"{}"), Err("has no object \"episode scores\""));
        assert_eq!(read(b"{\"episode scores\": null}"), Err("has no object \"episode scores\""));
    }
}
