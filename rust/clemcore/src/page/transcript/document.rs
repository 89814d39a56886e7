//! `transcript.html`.
use super::messages::Messages;
use super::{GM, Transcript, calls};
use crate::json::Borrowed;
use crate::page::visible::visible;
use crate::page::{Call, engine};
use crate::value::Value;
use minijinja::{Value as Shown, context};
use std::collections::HashMap;

const STYLE: &str = include_str!("../../../pages/transcript.css");
/// Nothing is loaded and nothing runs; the style sheet is the only style. A test compares the hash.
const POLICY: &str = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; \
    style-src 'sha256-dC3w+4spIOUPcvMx+MjL5l48MWhbrf9yQUi7VcWIYKg='";

impl Transcript<'_> {
    /// `transcript.html`.
    ///
    /// # Arguments
    /// * `images`: `data:` addresses by the names that messages give; other images are shown by their names. The
    ///   caller has checked that each is one.
    /// * `calls`: the calls of the episode by number, which are shown folded below their rounds.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn html(&self, images: &HashMap<String, String>, calls: &[Call<'_>]) -> Result<String, String> {
        let players = self.players();
        let about: Vec<Shown> = [GM]
            .iter()
            .chain(&players)
            .map(|name| {
                let (role, model) = self.about(name);
                context! { name => &*visible(name), role => &*visible(&role), model => &*visible(&model) }
            })
            .collect();
        let is_markdown =
            matches!(self.interactions.get("markdown"), Some(Borrowed::Plain(Value::Bool(true))));
        let mut messages = Messages::new(self, &players, images, is_markdown);
        let mut rounds: Vec<Shown> = Vec::new();
        for events in self.rounds() {
            let mut round = String::new();
            for event in events {
                messages.write(event, &mut round)?;
            }
            rounds.push(Shown::from_safe_string(round));
        }
        if rounds.is_empty() && !calls.is_empty() {
            rounds.push(Shown::from("")); // the calls are all that there is
        }
        let page = context! {
            policy => POLICY,
            style => Shown::from_safe_string(STYLE.to_owned()),
            title => self.title(),
            players => about,
            two_players => players.len() == 2,
            calls => calls::by_round(calls, rounds.len()),
            rounds => rounds,
        };
        engine::render("transcript.html", page)
    }
}
