//! Scores of an earlier evaluation: those of a file that is as it was need not be read again.
//!
//! The caller looks at the files and says which are unchanged. A ledger that is damaged, that other code wrote, or that
//! is of another folder is not used. It does not know where a ledger is kept.
use super::Episode;
use super::ledger_file::{Writer, read};
use super::rows::{Evaluation, Row};
use super::value::Score;

/// Times, size and number of a file.
pub type State = [i64; 4];

/// Where the file of an episode is, and what it looked like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'t> {
    /// The folder that holds the folder of the episode.
    pub folder: &'t str,
    /// The name of the folder of the episode.
    pub name: &'t str,
    /// The state of the file.
    pub state: State,
}

/// Episodes of an earlier evaluation that are in one folder, and came one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recalled<'t> {
    /// The folder that holds the folders of the episodes.
    pub folder: &'t str,
    /// The number of the first episode.
    pub first: usize,
    /// The names of the folders of the episodes, and the states of their files.
    pub episodes: Vec<(&'t str, State)>,
}

/// The scores of an earlier evaluation.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) names: Vec<Box<str>>,
    /// The names in the evaluation, by the numbers here.
    pub(super) numbers: Vec<Option<u32>>,
    pub(super) episodes: Vec<Known>,
    pub(super) scores: Vec<(u32, Score)>,
}

/// One episode; names by number.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) folder: u32,
    pub(super) name: u32,
    pub(super) names: [u32; 4],
    pub(super) state: State,
    /// Where its scores begin and end.
    pub(super) scores: [usize; 2],
}

impl Ledger {
    fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |name| &**name)
    }
}

impl Evaluation {
    /// Takes the scores of an earlier evaluation, to be added where their files are as they were.
    ///
    /// # Arguments
    /// * `origin`: the folder that is evaluated; names of episodes come from it.
    ///
    /// Gives whether they can be used.
    pub fn recall(&mut self, bytes: &[u8], origin: &str) -> bool {
        let found = read(bytes, origin);
        let is_usable = found.is_some();
        self.ledger = found.unwrap_or_default();
        is_usable
    }

    /// The episodes of the earlier evaluation.
    #[must_use]
    pub fn recalled(&self) -> Vec<Recalled<'_>> {
        let ledger = &self.ledger;
        let mut first = 0;
        let parts = ledger.episodes.chunk_by(|one, next| one.folder == next.folder);
        parts
            .map(|part| {
                let folder = part.first().map_or(0, |known| known.folder);
                let episodes = part.iter().map(|known| (ledger.name(known.name), known.state)).collect();
                first += part.len();
                Recalled { folder: ledger.name(folder), first: first - part.len(), episodes }
            })
            .collect()
    }

    /// The names of an episode of the earlier evaluation, by number.
    #[must_use]
    pub fn recalled_episode(&self, number: usize) -> Option<Episode<'_>> {
        let known = self.ledger.episodes.get(number)?;
        let [game, model, experiment, episode] = known.names.map(|name| self.ledger.name(name));
        Some(Episode { game, model, experiment, episode })
    }

    /// Where an episode of the earlier evaluation is, by number.
    #[must_use]
    pub fn recalled_place(&self, number: usize) -> Option<Place<'_>> {
        let Known { folder, name, state, .. } = *self.ledger.episodes.get(number)?;
        Some(Place { folder: self.ledger.name(folder), name: self.ledger.name(name), state })
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
        // The second one is to be read again, and the third one has no scores.
        let episodes = vec![("a", [0, -1, i64::MAX, 0]), ("d", [3, -1, i64::MAX, 0])];
        assert_eq!(second.recalled(), [Recalled { folder: "m/taboo/e", first: 0, episodes }]);
        assert_eq!(second.recalled_episode(1), Some(episode("d")));
        assert_eq!(second.recalled_place(1), places()[3]);
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
        assert!(!other.recall(&kept, "/s") && other.recalled().is_empty());
    }
}
