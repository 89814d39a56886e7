//! The transcript of an episode: who said what to whom, round by round.
//!
//! ```text
//! interactions ─ Transcript ─┬─ document + messages + calls ─ HTML
//!                            └─ rows ─ TeX
//! ```
mod calls;
mod document;
mod images;
mod messages;
mod rows;

pub(super) use images::names_of_images;

use super::visible::visible;
use crate::json::{Borrowed, Cursor, Members};
use crate::text::repr::text_of;
use crate::value::{Dict, Value};
use std::borrow::Cow;

const GM: &str = "GM";
/// Colours of players, after which they begin again.
const COLORS: usize = 8;
/// Heads of messages that are kept: a search in more of them takes longer than to make one.
const MOST_HEADS: usize = 30;

/// What happened in an episode.
#[derive(Debug)]
pub struct Transcript<'t> {
    interactions: Members<'t>,
    players: Option<Dict>,
}

/// Two ends of a message, as numbers of players; `None` is the game master.
struct Ends {
    from: Option<usize>,
    to: Option<usize>,
}

impl<'t> Transcript<'t> {
    /// Reads the interactions of an episode, in the form of any release.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(bytes: &'t [u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
        let interactions = Cursor::new(text, 0).whole_object().ok_or("is not JSON, or ends early")?;
        let players = interactions.get("players").and_then(Borrowed::as_object).map(Members::to_dict);
        Ok(Self { interactions, players })
    }

    /// The players that are not the game master, in their order.
    pub(super) fn players(&self) -> Vec<&str> {
        self.players.iter().flat_map(Dict::keys).filter(|name| *name != GM).collect()
    }

    fn title(&self) -> String {
        let meta = self.interactions.get("meta").and_then(Borrowed::as_object);
        let field = |name| meta.and_then(|meta| meta.get(name)).map(Borrowed::text).unwrap_or_default();
        let mut line_up = field("results_folder");
        if line_up.is_empty() {
            line_up = field("dialogue_pair");
        }
        let (game, experiment, episode) = (field("game_name"), field("experiment_name"), field("game_id"));
        visible(&format!("{game}, {experiment}, episode {episode}, with {line_up}")).into_owned()
    }

    pub(super) fn rounds(&self) -> impl Iterator<Item = Vec<&Members<'t>>> {
        let rounds = match self.interactions.get("turns") {
            Some(Borrowed::List(rounds)) => rounds.as_slice(),
            _ => &[],
        };
        rounds.iter().map(|round| match round {
            Borrowed::List(events) => events.iter().filter_map(Borrowed::as_object).collect(),
            _ => Vec::new(),
        })
    }

    /// The role of a player, and the model; a 1.x file only has a text.
    pub(super) fn about(&self, name: &str) -> (Cow<'_, str>, Cow<'_, str>) {
        let nothing = || Cow::Borrowed("");
        match self.players.as_ref().and_then(|players| players.get(name)) {
            Some(Value::Dict(about)) => {
                let told = |name| match about.get(name) {
                    None | Some(Value::Null) => nothing(),
                    Some(value) => text_of(value),
                };
                (told("game_role"), told("model_name"))
            }
            Some(other) => (nothing(), text_of(other)),
            None => (nothing(), nothing()),
        }
    }

    fn with_role(&self, name: &str) -> String {
        let (role, _) = self.about(name);
        if role.is_empty() { name.replace(GM, "Game Master") } else { format!("{name} ({role})") }
    }
}

/// What a message does: its type, its content and more.
pub(super) fn action<'e, 't>(event: &'e Members<'t>) -> Option<&'e Members<'t>> {
    event.get("action").and_then(Borrowed::as_object)
}

fn names<'e>(event: &'e Members<'_>) -> (Cow<'e, str>, Cow<'e, str>) {
    let name = |side| event.get(side).map(Borrowed::text).unwrap_or_default();
    (name("from"), name("to"))
}

fn ends(from: &str, to: &str, players: &[&str]) -> Ends {
    // A name that the players do not have is shown, in the first player's place.
    let number = |name: &str| {
        (name != GM).then(|| players.iter().position(|player| *player == name).unwrap_or_default())
    };
    Ends { from: number(from), to: number(to) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::Call;
    use std::collections::HashMap;

    const HOSTILE: &str = r#"{"meta": {"game_name": "<b>", "experiment_name": "\"'", "game_id": 1, "results_folder": "&"},
        "players": {"GM": {"game_role": "GM"}, "Player 1": {"game_role": "<i>", "model_name": "</style><script>"},
        "Player 2": "old"}, "turns": [[
        {"from": "GM", "to": "Player 1", "action": {"type": "t", "content": "<script>\u202e$x_1%</script>",
         "label": "forget", "image": ["a.png", "\" onerror=\"x"]}},
        {"from": "Player 2", "to": "GM", "action": {"content": {"image": "b.png"}}},
        {"from": "GM", "to": "GM", "action": {"type": "<u>", "content": 5}}]]}"#;

    #[test]
    fn what_is_said_is_text_in_html() {
        let transcript = Transcript::read(HOSTILE.as_bytes()).unwrap();
        let images = [("a.png".to_owned(), "data:image/png;base64,AA".to_owned())].into_iter().collect();
        let html = transcript.html(&images, &[]).unwrap();
        for forbidden in ["<script", "<b>", "<i>", "<u>", "</style><", "\u{202e}", "\" onerror"] {
            assert!(!html.contains(forbidden), "{forbidden}: {html}");
        }
        assert!(html.contains("&lt;script&gt;\\u{202e}$x_1%&lt;&#x2f;script&gt;"), "{html}");
        assert!(html.contains("class=\"message gm-p p1 c1 forget\""));
        assert_eq!(html.matches("<img").count(), 1);
        assert_eq!(transcript.images(), ["a.png", "\" onerror=\"x", "b.png"]);
    }

    #[test]
    fn what_is_said_is_text_in_tex() {
        let tex = Transcript::read(HOSTILE.as_bytes()).unwrap().tex().unwrap();
        let wanted = r"\texttt{\textless{}script\textgreater{}\textbackslash{}u\{202e\}\$x\_1\%\textless{}/script\textgreater{}}\\";
        assert!(tex.contains(wanted), "{tex}");
        assert!(tex.contains(r"& & \multicolumn{4}{p{0.6\linewidth}}{\cellcolor[rgb]{0.92,0.92,0.92}{\makecell[{{p{\linewidth}}}]{"));
        assert!(tex.contains(r"\texttt{\tiny{[GM$\langle$P2]}}\\"), "{tex}");
    }

    #[test]
    fn markdown_is_used_only_where_a_game_asks_for_it() {
        let text = r#"{"markdown": true, "players": {"GM": {}, "Player 1": {}}, "turns": [[
            {"from": "Player 1", "to": "GM", "action": {"content": "*a* <script>"}}]]}"#;
        let with = Transcript::read(text.as_bytes()).unwrap().html(&HashMap::new(), &[]).unwrap();
        assert!(with.contains("<em>a</em> &lt;script&gt;"), "{with}");
        let text = text.replace("true", "false");
        let without = Transcript::read(text.as_bytes()).unwrap().html(&HashMap::new(), &[]).unwrap();
        assert!(without.contains("*a* &lt;script&gt;"));
    }

    #[test]
    fn calls_are_shown_below_their_rounds_as_text() {
        let record = br#"{"manipulated_prompt_obj": [{"role": "user", "content": "<script>"}],
            "clemcore": {"reasoning": "</details>", "duration_seconds": 1.5, "usage": {"input_tokens": 7},
            "cost": {"usd": 0.25}, "gen_args": {"all": {"temperature": 0.0}}, "cache": "hit"}}"#;
        let call = |round| Call {
            number: 4,
            player: "<b>",
            round,
            kind: "model",
            attempt: 1,
            text: Some(""),
            record,
            readable: None,
        };
        for text in [r#"{"turns": [[], []]}"#, "{}"] {
            let transcript = Transcript::read(text.as_bytes()).unwrap();
            let html = transcript.html(&HashMap::new(), &[call(0), call(9)]).unwrap();
            for wanted in [
                "Call 4 of &lt;b&gt;: replayed from a cache",
                "&lt;script&gt;",
                "Thinking",
                "1.500",
                "temperature",
                "0.25",
                "<h3>Response</h3>",
            ] {
                assert_eq!(html.matches(wanted).count(), 2, "{wanted}: {html}");
            }
            assert!(!html.contains("<script") && !html.contains("<b>&lt;"), "{html}");
        }
    }

    #[test]
    fn anything_can_be_missing() {
        for text in ["{}", r#"{"turns": [[{}]], "players": []}"#, r#"{"turns": 1, "meta": 2}"#] {
            let transcript = Transcript::read(text.as_bytes()).unwrap();
            assert!(transcript.html(&HashMap::new(), &[]).unwrap().contains("<main"));
            assert!(transcript.tex().unwrap().contains("\\end{document}"));
        }
        assert!(Transcript::read(b"[").is_err());
    }

    #[test]
    fn no_template_turns_the_escaping_off() {
        for source in [
            include_str!("../../../pages/transcript.html"),
            include_str!("../../../pages/message.html"),
            include_str!("../../../pages/transcript.tex"),
        ] {
            assert!(!source.contains("safe") && !source.contains("autoescape"));
        }
    }
}
