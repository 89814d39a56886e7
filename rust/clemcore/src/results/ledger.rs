//! Scores of an earlier evaluation: those of a file that is as it was need not be read again.
//!
//! The caller looks at the files and says which are unchanged. A ledger that is damaged, that other code wrote, or that
//! is of another folder is not used. It does not know where a ledger is kept.
use super::Episode;
use super::rows::{Evaluation, Row};
use super::statistics::checksum;
use super::value::Score;
use std::collections::HashMap;

/// What rows depend on besides the files: other code may read other scores.
const CODE: [&str; 4] = [
    env!("CARGO_PKG_VERSION"),
    include_str!("ledger.rs"),
    include_str!("scores.rs"),
    include_str!("value.rs"),
];
const MAGIC: &[u8] = b"clemcore scores 1\n";
const INT: u8 = 0;
const FLOAT: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const TEXT: u8 = 4;

/// Where the file of an episode is, and what it looked like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'t> {
    /// The folder that holds the folder of the episode.
    pub folder: &'t str,
    /// The name of the folder of the episode.
    pub name: &'t str,
    /// Times, size and number of the file.
    pub state: [i64; 4],
}

/// The scores of an earlier evaluation.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    names: Vec<Box<str>>,
    /// The names in the evaluation, by the numbers here.
    numbers: Vec<Option<u32>>,
    episodes: Vec<Known>,
    scores: Vec<(u32, Score)>,
}

/// One episode; names by number.
#[derive(Debug)]
struct Known {
    folder: u32,
    name: u32,
    names: [u32; 4],
    state: [i64; 4],
    /// Where its scores begin and end.
    scores: [usize; 2],
}

impl Evaluation {
    /// Takes the scores of an earlier evaluation, to be added where their files are as they were.
    ///
    /// # Arguments
    /// * `origin`: the folder that is evaluated; names of episodes come from it.
    ///
    /// Gives whether they can be used.
    pub fn recall(&mut self, bytes: &[u8], origin: &str) -> bool {
        let found = checked(bytes).and_then(|body| parsed(body, origin));
        let is_usable = found.is_some();
        self.ledger = found.unwrap_or_default();
        is_usable
    }

    /// The episodes of the earlier evaluation, by number.
    pub fn recalled(&self) -> impl Iterator<Item = (Episode<'_>, Place<'_>)> {
        let name = |number: u32| self.ledger.names.get(number as usize).map_or("", |name| &**name);
        self.ledger.episodes.iter().map(move |known| {
            let [game, model, experiment, episode] = known.names.map(name);
            let place = Place { folder: name(known.folder), name: name(known.name), state: known.state };
            (Episode { game, model, experiment, episode }, place)
        })
    }

    /// Adds the scores of an episode of the earlier evaluation, as [`Evaluation::add`] would; tells whether there is
    /// one of this number.
    pub fn add_recalled(&mut self, number: usize) -> bool {
        let mut ledger = std::mem::take(&mut self.ledger);
        let is_known = ledger.episodes.get(number).is_some();
        if let Some(known) = ledger.episodes.get(number) {
            let [start, end] = known.scores;
            let first = self.rows.len();
            for (metric, score) in &ledger.scores[start..end] {
                let [game, model, experiment, episode] = known.names;
                let names = [game, model, experiment, episode, *metric].map(|name| {
                    let place = &mut ledger.numbers[name as usize];
                    *place.get_or_insert_with(|| self.names.number(&ledger.names[name as usize]))
                });
                self.rows.push(Row { names, score: score.clone() });
            }
            self.spans.push([first, self.rows.len()]);
        }
        self.ledger = ledger;
        is_known
    }

    /// The scores of this evaluation for a later one.
    ///
    /// # Arguments
    /// * `origin`: the folder that is evaluated.
    /// * `places`: where each episode that was added is; `None` for one that is to be read again.
    #[must_use]
    pub fn ledger(&self, origin: &str, places: &[Option<Place<'_>>]) -> Vec<u8> {
        let mut writer = Writer::default();
        for (place, &[start, end]) in places.iter().zip(&self.spans) {
            if let Some(place) = place {
                writer.episode(self, place, &self.rows[start..end]);
            }
        }
        writer.finish(origin)
    }
}

/// Writes a ledger.
#[derive(Default)]
struct Writer<'t> {
    numbers: HashMap<&'t str, u32>,
    names: Vec<&'t str>,
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

    fn episode(&mut self, evaluation: &'t Evaluation, place: &Place<'t>, rows: &'t [Row]) {
        let (Some(first), Ok(count)) = (rows.first(), u32::try_from(rows.len())) else { return };
        self.count += 1;
        self.name(place.folder);
        self.name(place.name);
        for name in &first.names[..4] {
            self.name(evaluation.names.name(*name));
        }
        self.body.extend(place.state.iter().flat_map(|each| each.to_le_bytes()));
        self.body.extend(count.to_le_bytes());
        for row in rows {
            self.name(evaluation.names.name(row.names[4]));
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

    fn finish(self, origin: &str) -> Vec<u8> {
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
        let state = [reader.long()?, reader.long()?, reader.long()?, reader.long()?];
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

#[cfg(test)]
mod tests {
    use super::*;

    const SCORES: [&str; 4] = [
        r#"{"Aborted": 0, "Main Score": 50.5, "who": "a\"b"}"#,
        r#"{"Aborted": true, "Main Score": NaN}"#,
        "{}",
        r#"{"Aborted": 9223372036854775807, "Main Score": -0.0, "who": "Aborted"}"#,
    ];

    fn episode(name: &str) -> Episode<'_> {
        Episode { game: "taboo", model: "m", experiment: "e", episode: name }
    }

    fn places() -> Vec<Option<Place<'static>>> {
        let state = |time| [time, -1, i64::MAX, 0];
        ["a", "b", "c", "d"]
            .iter()
            .zip(0..)
            .map(|(name, time)| {
                (time != 1).then_some(Place { folder: "m/taboo/e", name, state: state(time) })
            })
            .collect()
    }

    fn evaluation() -> Evaluation {
        let mut found = Evaluation::default();
        for (scores, name) in SCORES.iter().zip(["a", "b", "c", "d"]) {
            found.add(episode(name), format!("{{\"episode scores\": {scores}}}").as_bytes()).unwrap();
        }
        found
    }

    #[test]
    fn what_is_recalled_gives_the_rows_of_the_files() {
        let mut first = evaluation();
        let kept = first.ledger("/r", &places());
        let mut second = Evaluation::default();
        assert!(second.recall(&kept, "/r"));
        let found: Vec<_> =
            second.recalled().map(|(of, at)| (of.episode.to_owned(), at.name.to_owned(), at.state)).collect();
        // The second one is to be read again, and the third one has no scores.
        assert_eq!(
            found,
            [("a".into(), "a".into(), [0, -1, i64::MAX, 0]), ("d".into(), "d".into(), [3, -1, i64::MAX, 0])]
        );
        assert!(second.add_recalled(0));
        second.add(episode("b"), format!("{{\"episode scores\": {}}}", SCORES[1]).as_bytes()).unwrap();
        second.add(episode("c"), br#"{"episode scores": {}}"#).unwrap();
        assert!(second.add_recalled(1) && !second.add_recalled(2));
        assert_eq!(second.ledger("/r", &places()), kept);
        first.count_played();
        second.count_played();
        assert_eq!(first.raw_csv(0, usize::MAX), second.raw_csv(0, usize::MAX));
    }

    #[test]
    fn rows_that_were_kept_are_not_those_of_an_episode() {
        let mut first = evaluation();
        first.count_played();
        let mut second = Evaluation::default();
        second.keep(first.raw_csv(0, usize::MAX).as_bytes(), Some("other"), None).unwrap();
        second.add(Episode { model: "other", ..episode("a") }, br#"{"episode scores": {"x": 1}}"#).unwrap();
        let kept = second.ledger("/r", &places()[..1]);
        let mut third = Evaluation::default();
        assert!(third.recall(&kept, "/r") && third.add_recalled(0));
        assert_eq!(third.raw_csv(0, usize::MAX).lines().last(), Some("0,taboo,other,e,a,x,1"));
    }

    #[test]
    fn a_ledger_that_is_damaged_or_of_another_folder_is_not_used() {
        let kept = evaluation().ledger("/r", &places());
        for end in 0..kept.len() {
            assert!(!Evaluation::default().recall(&kept[..end], "/r"), "{end}");
        }
        for at in 0..kept.len() {
            let mut damaged = kept.clone();
            damaged[at] ^= 1;
            assert!(!Evaluation::default().recall(&damaged, "/r"), "{at}");
        }
        let mut other = Evaluation::default();
        assert!(!other.recall(&kept, "/s") && other.recalled().next().is_none());
    }
}
