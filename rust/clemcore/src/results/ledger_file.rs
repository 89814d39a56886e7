//! The file that scores are kept in: numbers of fixed length, texts by number, and a sum at the end.
//!
//! It does not know whether what is kept is still so.
use super::ledger::{Known, Ledger, Place, State};
use super::rows::{Evaluation, Row};
use super::statistics::checksum;
use super::value::Score;
use std::collections::HashMap;

/// What rows depend on besides the files: other code may read other scores.
const CODE: [&str; 5] = [
    env!("CARGO_PKG_VERSION"),
    include_str!("ledger.rs"),
    include_str!("ledger_file.rs"),
    include_str!("scores.rs"),
    include_str!("value.rs"),
];
const MAGIC: &[u8] = b"clemcore scores 2\n";
const INT: u8 = 0;
const FLOAT: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const TEXT: u8 = 4;

/// Writes a ledger.
#[derive(Default)]
pub(super) struct Writer<'t> {
    numbers: HashMap<&'t str, u32>,
    names: Vec<&'t str>,
    /// Numbers here of the names of the evaluation, by their numbers there.
    numbers_of: Vec<Option<u32>>,
    count: u32,
    body: Vec<u8>,
}

impl<'t> Writer<'t> {
    fn number(&mut self, name: &'t str) -> u32 {
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(name).or_insert_with(|| {
            self.names.push(name);
            next
        })
    }

    fn name(&mut self, name: &'t str) {
        let number = self.number(name);
        self.body.extend(number.to_le_bytes());
    }

    fn name_of(&mut self, evaluation: &'t Evaluation, number: u32) {
        let place = number as usize;
        if self.numbers_of.len() <= place {
            self.numbers_of.resize(place + 1, None);
        }
        let known = self.numbers_of[place].unwrap_or_else(|| self.number(evaluation.names.name(number)));
        self.numbers_of[place] = Some(known);
        self.body.extend(known.to_le_bytes());
    }

    pub(super) fn episode(&mut self, evaluation: &'t Evaluation, place: &Place<'t>, rows: &'t [Row]) {
        let (Some(first), Ok(count)) = (rows.first(), u32::try_from(rows.len())) else { return };
        self.count += 1;
        self.name(place.folder);
        self.name(place.name);
        for name in &first.names[..4] {
            self.name_of(evaluation, *name);
        }
        self.body.extend(place.state.iter().flat_map(|each| each.to_le_bytes()));
        self.body.extend(count.to_le_bytes());
        for row in rows {
            self.name_of(evaluation, row.names[4]);
            let (kind, bits) = match &row.score {
                Score::Int(number) => (INT, number.to_le_bytes()),
                Score::Float(number) => (FLOAT, number.to_le_bytes()),
                Score::Bool(flag) => (if *flag { TRUE } else { FALSE }, [0; 8]),
                Score::Text(text) => (TEXT, u64::from(self.number(text)).to_le_bytes()),
            };
            self.body.push(kind);
            self.body.extend(bits);
        }
    }

    pub(super) fn finish(self, origin: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.body.len() + 64 * self.names.len());
        out.extend(MAGIC);
        out.extend((self.names.len() as u64).to_le_bytes());
        for text in [origin].iter().chain(&self.names) {
            out.extend((text.len() as u64).to_le_bytes());
            out.extend(text.as_bytes());
        }
        out.extend(self.count.to_le_bytes());
        out.extend(self.body);
        let sum = checksum(&CODE, &out);
        out.extend(sum);
        out
    }
}

/// Reads what [`Writer`] wrote for a folder; `None` if it is damaged, of other code or of another folder.
pub(super) fn read(bytes: &[u8], origin: &str) -> Option<Ledger> {
    parsed(checked(bytes)?, origin)
}

/// The body, if the sum at the end is the one of these bytes and this code.
fn checked(bytes: &[u8]) -> Option<&[u8]> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(16)?)?;
    if checksum(&CODE, body) == sum { body.strip_prefix(MAGIC) } else { None }
}

/// Reads numbers and texts from bytes.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    fn number(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn long(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'b str> {
        let length = usize::try_from(self.long()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn state(&mut self) -> Option<State> {
        Some([self.long()?, self.long()?, self.long()?, self.long()?])
    }

    /// The number of one of so many names.
    fn name(&mut self, count: usize) -> Option<u32> {
        self.number().filter(|number| (*number as usize) < count)
    }
}

fn parsed(body: &[u8], origin: &str) -> Option<Ledger> {
    let mut reader = Reader(body);
    let count = usize::try_from(reader.long()?).ok()?;
    if reader.text()? != origin {
        return None;
    }
    let mut ledger = Ledger::default();
    for _ in 0..count {
        ledger.names.push(reader.text()?.into());
    }
    ledger.numbers = vec![None; count];
    for _ in 0..reader.number()? {
        let (folder, name) = (reader.name(count)?, reader.name(count)?);
        let mut names = [0; 4];
        for each in &mut names {
            *each = reader.name(count)?;
        }
        let state = reader.state()?;
        let start = ledger.scores.len();
        for _ in 0..reader.number()? {
            let metric = reader.name(count)?;
            let [kind] = reader.take()?;
            let bits = reader.take()?;
            let score = match kind {
                INT => Score::Int(i64::from_le_bytes(bits)),
                FLOAT => Score::Float(f64::from_le_bytes(bits)),
                FALSE | TRUE => Score::Bool(kind == TRUE),
                TEXT => {
                    Score::Text(ledger.names.get(usize::try_from(u64::from_le_bytes(bits)).ok()?)?.clone())
                }
                _ => return None,
            };
            ledger.scores.push((metric, score));
        }
        ledger.episodes.push(Known { folder, name, names, state, scores: [start, ledger.scores.len()] });
    }
    reader.0.is_empty().then_some(ledger)
}
