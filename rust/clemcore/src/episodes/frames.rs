//! The frames of an episode that ended: each a checksum, a line of JSON and the bytes that it describes.
//!
//! The record of a call repeats parts of earlier ones of its episode, and pieces that episodes share.
use crate::json::{Borrowed, Cursor};

/// Digits of the checksum.
const CHECKSUM: usize = 8;
/// Items of the line of a call.
const ITEMS: usize = 9;

/// A call of an episode.
#[derive(Debug, PartialEq)]
pub struct StoredCall {
    /// Its number in the episode, from 0.
    pub number: i64,
    /// Who made it.
    pub player: String,
    /// The round, from 0.
    pub round: i64,
    /// "model", or "program".
    pub kind: String,
    /// SHA-256 of the request in hex.
    pub request: String,
    /// The answer; `None` if the call failed.
    pub text: Option<String>,
    /// The entry of the record.
    pub record: Vec<u8>,
    /// The attempt at the episode that made it, from 1.
    pub attempt: i64,
}

/// A part of a record.
enum Part {
    New(usize),
    Piece(u32),
    Copy { call: usize, start: usize, length: usize },
}

enum Frame<'t> {
    Call { line: Vec<Borrowed<'t>>, parts: Vec<Part>, payload: &'t [u8] },
    Differs(i64),
}

/// The frames of an episode that ended, read and not yet put together.
pub struct Frames<'t>(Vec<Frame<'t>>);

impl<'t> Frames<'t> {
    /// Reads frames; `None` if they are not exactly what was written.
    #[must_use]
    pub fn read(mut bytes: &'t [u8]) -> Option<Self> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let length = bytes.iter().position(|byte| *byte == b'\n')?;
            let line = line(std::str::from_utf8(bytes.get(CHECKSUM..length)?).ok()?)?;
            let begin = length + 1;
            let (frame, end) = match line.first()?.as_str()? {
                "c" if line.len() == ITEMS => {
                    let parts = parts(line.last()?)?;
                    let new = parts.iter().map(|part| if let Part::New(length) = part { *length } else { 0 });
                    let end = begin.checked_add(new.sum())?;
                    (Frame::Call { line, parts, payload: bytes.get(begin..end)? }, end)
                }
                "d" => (Frame::Differs(line.get(1)?.as_int()?), begin),
                _ => return None,
            };
            let checksum = std::str::from_utf8(bytes.get(..CHECKSUM)?).ok()?;
            let is_whole = u32::from_str_radix(checksum, 16).ok()?
                == zlib_rs::crc32::crc32(0, bytes.get(CHECKSUM..end)?);
            is_whole.then_some(())?;
            found.push(frame);
            bytes = bytes.get(end..)?;
        }
        Some(Self(found))
    }

    /// The numbers of the shared pieces that the records need.
    #[must_use]
    pub fn needed(&self) -> Vec<u32> {
        let parts = self.0.iter().flat_map(|frame| match frame {
            Frame::Call { parts, .. } => parts.as_slice(),
            Frame::Differs(_) => &[],
        });
        parts.filter_map(|part| if let Part::Piece(number) = part { Some(*number) } else { None }).collect()
    }

    /// The calls that count, by number; `None` if a part does not exist.
    ///
    /// # Arguments
    /// * `piece`: gives a shared piece by its number.
    pub fn calls<P: AsRef<[u8]>>(self, piece: &impl Fn(u32) -> Option<P>) -> Option<Vec<StoredCall>> {
        let mut made: Vec<StoredCall> = Vec::new();
        let mut counts: Vec<usize> = Vec::new();
        for frame in self.0 {
            match frame {
                Frame::Differs(number) => {
                    counts.retain(|at| made.get(*at).is_some_and(|call| call.number < number));
                }
                Frame::Call { line, parts, payload } => {
                    let call = call(line, joined(&parts, payload, &made, piece)?)?;
                    counts.retain(|at| made.get(*at).is_some_and(|known| known.number != call.number));
                    counts.push(made.len());
                    made.push(call);
                }
            }
        }
        let mut at = 0;
        made.retain(|_| {
            at += 1;
            counts.contains(&(at - 1))
        });
        made.sort_by_key(|call| call.number);
        Some(made)
    }
}

fn line(text: &str) -> Option<Vec<Borrowed<'_>>> {
    let mut cursor = Cursor::new(text, 0);
    let mut found = Vec::with_capacity(ITEMS);
    cursor.each_item(0, |cursor| {
        found.push(cursor.borrowed(1)?);
        Some(())
    })?;
    (cursor.at == text.len()).then_some(found)
}

fn parts(value: &Borrowed<'_>) -> Option<Vec<Part>> {
    let size = |value: &Borrowed<'_>| usize::try_from(value.as_int()?).ok();
    let Borrowed::List(items) = value else { return None };
    items
        .iter()
        .map(|item| match item {
            Borrowed::List(part) => match &part[..] {
                [number] => Some(Part::Piece(u32::try_from(size(number)?).ok()?)),
                [call, start, length] => {
                    Some(Part::Copy { call: size(call)?, start: size(start)?, length: size(length)? })
                }
                _ => None,
            },
            length => size(length).map(Part::New),
        })
        .collect()
}

fn joined<P: AsRef<[u8]>>(
    parts: &[Part],
    mut new: &[u8],
    made: &[StoredCall],
    piece: &impl Fn(u32) -> Option<P>,
) -> Option<Vec<u8>> {
    let mut record = Vec::with_capacity(made.last().map_or(0, |call| call.record.len()) + 2 * new.len());
    for part in parts {
        match part {
            Part::New(length) => {
                let (bytes, rest) = new.split_at_checked(*length)?;
                record.extend_from_slice(bytes);
                new = rest;
            }
            Part::Piece(number) => record.extend_from_slice(piece(*number)?.as_ref()),
            Part::Copy { call, start, length } => {
                let end = start.checked_add(*length)?;
                record.extend_from_slice(made.get(*call)?.record.get(*start..end)?);
            }
        }
    }
    Some(record)
}

fn call(line: Vec<Borrowed<'_>>, record: Vec<u8>) -> Option<StoredCall> {
    let [_, number, player, round, kind, request, attempt, text, _] = <[_; ITEMS]>::try_from(line).ok()?;
    let text = match text {
        Borrowed::Text(text) => Some(text.into_owned()),
        Borrowed::List(place) => {
            let [start, length] = &place[..] else { return None };
            let start = usize::try_from(start.as_int()?).ok()?;
            let end = start.checked_add(usize::try_from(length.as_int()?).ok()?)?;
            let quoted = std::str::from_utf8(record.get(start..end)?).ok()?;
            let mut cursor = Cursor::new(quoted, 0);
            (cursor.byte()? == b'"').then_some(())?;
            let text = cursor.string()?.into_owned();
            (cursor.at == quoted.len()).then_some(())?;
            Some(text)
        }
        Borrowed::Plain(crate::value::Value::Null) => None,
        _ => return None,
    };
    let own = |value: &Borrowed<'_>| value.as_str().map(str::to_owned);
    Some(StoredCall {
        number: number.as_int()?,
        player: own(&player)?,
        round: round.as_int()?,
        kind: own(&kind)?,
        request: own(&request)?,
        text,
        record,
        attempt: attempt.as_int()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(text: &str) -> Vec<u8> {
        format!("{:08x}{text}", zlib_rs::crc32::crc32(0, text.as_bytes())).into_bytes()
    }

    fn read(bytes: &[u8]) -> Option<Vec<StoredCall>> {
        Frames::read(bytes)?.calls(&|number| (number == 5).then_some(b"shared"))
    }

    #[test]
    fn records_are_put_together_and_the_last_call_of_a_number_counts() {
        let frames = [
            frame("[\"c\",0,\"P\",0,\"model\",\"ab\",1,[2,3],[6]]\n0 \"a\"!"),
            frame("[\"c\",1,\"P\",1,\"model\",\"\",1,null,[[0,0,4],[5],1]]\n."),
            frame("[\"d\",1]\n"),
            frame("[\"c\",2,\"P\",1,\"model\",\"\",2,\"t\",[[1,4,7]]]\n"),
            frame("[\"c\",1,\"Q\",1,\"program\",\"\",2,\"\\u00e9\",[]]\n"),
        ]
        .concat();
        assert_eq!(Frames::read(&frames).unwrap().needed(), [5]);
        let found = read(&frames).unwrap();
        let told: Vec<_> =
            found.iter().map(|call| (call.number, call.text.as_deref(), &call.record[..])).collect();
        let wanted: [(i64, Option<&str>, &[u8]); 3] =
            [(0, Some("a"), b"0 \"a\"!"), (1, Some("é"), b""), (2, Some("t"), b"shared.")];
        assert_eq!(told, wanted);
        assert_eq!(read(b"").unwrap(), []);
    }

    #[test]
    fn it_gives_up_on_damage() {
        let good = "[\"c\",0,\"P\",0,\"model\",\"ab\",1,null,[2]]\nxy";
        assert!(read(&frame(good)).is_some());
        let mut turned = frame(good);
        *turned.last_mut().unwrap() = b'z';
        for bytes in [
            turned,
            frame(good)[..frame(good).len() - 1].to_vec(),
            frame("[\"x\"]\n"),
            frame("[]\n"),
            frame(&good.replace("[2]", "[[6],2]")),
            frame(&good.replace("[2]", "[[0,0,1],2]")),
            frame(&good.replace("[2]", "[-1]")),
            frame(&good.replace("null", "[0,2]")),
            frame(&good.replace("null", "[1,99]")),
            frame(&good.replace("\"ab\"", "\"\\ud800\"")),
            b"no frame".to_vec(),
        ] {
            assert!(read(&bytes).is_none(), "{}", String::from_utf8_lossy(&bytes));
        }
    }
}
