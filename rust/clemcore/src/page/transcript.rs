//! The transcript of an episode: who said what to whom, round by round.
use super::call::Call;
use super::{engine, markdown, tex, transcript_calls};
use crate::json::Cursor;
use crate::report::is_hidden;
use crate::text::repr::text_of;
use crate::value::{Dict, Value};
use minijinja::{Value as Shown, context};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

const GM: &str = "GM";
const STYLE: &str = include_str!("../../pages/transcript.css");
/// Nothing is loaded and nothing runs; the style sheet is the only style. A test compares the hash.
const POLICY: &str = "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; \
    style-src 'sha256-dC3w+4spIOUPcvMx+MjL5l48MWhbrf9yQUi7VcWIYKg='";
/// Colours of players, after which they begin again.
const COLORS: usize = 8;
const TEX_COLORS: [&str; COLORS] = [
    "0.99,0.91,0.78",
    "0.90,0.86,0.97",
    "0.83,0.94,0.89",
    "0.98,0.85,0.87",
    "0.84,0.91,0.97",
    "0.95,0.94,0.77",
    "0.91,0.86,0.82",
    "0.87,0.90,0.92",
];
/// Heads of messages that are kept: a search in more of them takes longer than to make one.
const MOST_HEADS: usize = 30;
const TEX_GM: &str = "0.92,0.92,0.92";

/// What happened in an episode.
#[derive(Debug)]
pub struct Transcript {
    interactions: Dict,
}

/// Two ends of a message, as numbers of players; `None` is the game master.
struct Ends {
    from: Option<usize>,
    to: Option<usize>,
}

impl Transcript {
    /// Reads the interactions of an episode, in the form of any release.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8")?;
        let mut cursor = Cursor::new(text, 0);
        let interactions = cursor.dict(0).filter(|_| cursor.next().is_none());
        Ok(Self { interactions: interactions.ok_or("is not JSON, or ends early")? })
    }

    fn part(&self, name: &str) -> Option<&Dict> {
        self.interactions.get(name).and_then(Value::as_dict)
    }

    /// The players that are not the game master, in their order.
    pub(super) fn players(&self) -> Vec<&str> {
        let all = self.part("players").into_iter().flat_map(Dict::keys);
        all.filter(|name| *name != GM).collect()
    }

    fn title(&self) -> String {
        let meta = self.part("meta");
        let field = |name| meta.and_then(|meta| meta.get(name)).map(text_of).unwrap_or_default();
        let mut line_up = field("results_folder");
        if line_up.is_empty() {
            line_up = field("dialogue_pair");
        }
        let (game, experiment, episode) = (field("game_name"), field("experiment_name"), field("game_id"));
        visible(&format!("{game}, {experiment}, episode {episode}, with {line_up}")).into_owned()
    }

    pub(super) fn rounds(&self) -> impl Iterator<Item = Vec<&Dict>> {
        let rounds = match self.interactions.get("turns") {
            Some(Value::List(rounds)) => rounds.as_slice(),
            _ => &[],
        };
        rounds.iter().map(|round| match round {
            Value::List(events) => events.iter().filter_map(Value::as_dict).collect(),
            _ => Vec::new(),
        })
    }

    /// The role of a player, and the model; a 1.x file only has a text.
    pub(super) fn about(&self, name: &str) -> (Cow<'_, str>, Cow<'_, str>) {
        let nothing = || Cow::Borrowed("");
        match self.part("players").and_then(|players| players.get(name)) {
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
        let is_markdown = self.interactions.get("markdown") == Some(&Value::Bool(true));
        let about: Vec<Shown> = [GM]
            .iter()
            .chain(&players)
            .map(|name| {
                let (role, model) = self.about(name);
                context! { name => &*visible(name), role => &*visible(&role), model => &*visible(&model) }
            })
            .collect();
        let mut heads = Heads { transcript: self, players: &players, known: Vec::new() };
        let nothing = Shown::from(Vec::<Shown>::new());
        let mut rounds: Vec<Shown> = self
            .rounds()
            .map(|events| {
                let messages = events.into_iter().map(|event| {
                    let (classes, speaker) = heads.of(event);
                    message(event, classes, speaker, is_markdown, images, &nothing)
                });
                Shown::from(messages.collect::<Vec<Shown>>())
            })
            .collect();
        if rounds.is_empty() && !calls.is_empty() {
            rounds.push(nothing); // the calls are all that there is
        }
        let page = context! {
            policy => POLICY,
            style => Shown::from_safe_string(STYLE.to_owned()),
            title => self.title(),
            players => about,
            two_players => players.len() == 2,
            calls => transcript_calls::by_round(calls, rounds.len()),
            rounds => rounds,
        };
        engine::render("transcript.html", page)
    }

    /// `transcript.tex`.
    ///
    /// # Errors
    /// A fault of ours.
    pub fn tex(&self) -> Result<String, String> {
        let players = self.players();
        let mut rows = Rows { players: &players, known: Vec::new() };
        let mut messages = String::new();
        for event in self.rounds().flatten() {
            rows.write(event, &mut messages);
        }
        let page = context! {
            title => self.title(),
            two_players => players.len() == 2,
            messages => Shown::from_safe_string(messages),
        };
        engine::render("transcript.tex", page)
    }
}

/// Class names and speakers of messages; most messages of an episode share them.
struct Heads<'t> {
    transcript: &'t Transcript,
    players: &'t [&'t str],
    known: Vec<(Head<'t>, Shown, Shown)>,
}

/// Sender, receiver, type if it is one of the game master's notes, and whether the message is forgotten.
type Head<'t> = (Cow<'t, str>, Cow<'t, str>, Option<Cow<'t, str>>, bool);

impl<'t> Heads<'t> {
    fn of(&mut self, event: &'t Dict) -> (Shown, Shown) {
        let field = |name| action(event).and_then(|action| action.get(name));
        let (from, to) = names(event);
        let kind = (from == GM && to == GM).then(|| field("type").map(text_of).unwrap_or_default());
        let is_forgotten = field("label").and_then(Value::as_str) == Some("forget");
        let head = (from, to, kind, is_forgotten);
        if let Some((_, classes, speaker)) = self.known.iter().find(|(known, ..)| *known == head) {
            return (classes.clone(), speaker.clone());
        }
        let speaker = head.2.as_ref().map_or_else(
            || format!("{} to {}", self.transcript.with_role(&head.0), self.transcript.with_role(&head.1)),
            |kind| format!("Game Master: {kind}"),
        );
        let classes = Shown::from(classes(&ends(&head.0, &head.1, self.players), is_forgotten));
        let speaker = Shown::from(&*visible(&speaker));
        if self.known.len() < MOST_HEADS {
            self.known.push((head, classes.clone(), speaker.clone()));
        }
        (classes, speaker)
    }
}

fn message(
    event: &Dict,
    classes: Shown,
    speaker: Shown,
    is_markdown: bool,
    images: &HashMap<String, String>,
    nothing: &Shown,
) -> Shown {
    let field = |name| action(event).and_then(|action| action.get(name));
    let content = field("content").map(text_of).unwrap_or_default();
    let content = visible(&content);
    let named = names_of_images(field("image"), field("content"));
    let shown = |name: String| context! { name => &*visible(&name), data => images.get(&name) };
    context! {
        classes => classes,
        speaker => speaker,
        form => if is_markdown { "markdown" } else { "text" },
        text => if is_markdown {
            Shown::from_safe_string(markdown::to_html(&content))
        } else {
            Shown::from(&*content)
        },
        images => if named.is_empty() {
            nothing.clone()
        } else {
            Shown::from(named.into_iter().map(shown).collect::<Vec<Shown>>())
        },
    }
}

fn action(event: &Dict) -> Option<&Dict> {
    event.get("action").and_then(Value::as_dict)
}

fn names(event: &Dict) -> (Cow<'_, str>, Cow<'_, str>) {
    let name = |side| event.get(side).map(text_of).unwrap_or_default();
    (name("from"), name("to"))
}

fn ends(from: &str, to: &str, players: &[&str]) -> Ends {
    // A name that the players do not have is shown, in the first player's place.
    let number = |name: &str| {
        (name != GM).then(|| players.iter().position(|player| *player == name).unwrap_or_default())
    };
    Ends { from: number(from), to: number(to) }
}

/// Class names, of which none is a text of the episode.
fn classes(ends: &Ends, is_forgotten: bool) -> String {
    let (kind, player) = match (ends.from, ends.to) {
        (None, None) => ("gm-gm", None),
        (None, to) => ("gm-p", to),
        (from, _) => ("p-gm", from),
    };
    let mut names = kind.to_owned();
    if let Some(player) = player {
        let _ = write!(names, " p{} c{}", player + 1, player % COLORS + 1);
    }
    if is_forgotten {
        names.push_str(" forget");
    }
    names
}

/// Messages as rows of the table of `transcript.tex`; the text around a message depends on its ends alone.
struct Rows<'t> {
    players: &'t [&'t str],
    known: Vec<(Option<usize>, Option<usize>, [String; 2])>,
}

impl Rows<'_> {
    fn write(&mut self, event: &Dict, out: &mut String) {
        let (from, to) = names(event);
        let Ends { from, to } = ends(&from, &to, self.players);
        let at = self.known.iter().position(|known| (known.0, known.1) == (from, to)).unwrap_or_else(|| {
            if self.known.len() == MOST_HEADS {
                self.known.clear();
            }
            self.known.push((from, to, around(from, to, self.players.len() == 2)));
            self.known.len() - 1
        });
        let content = action(event).and_then(|action| action.get("content"));
        let content = content.map(text_of).unwrap_or_default();
        let [before, after] = &self.known[at].2;
        out.push_str(before);
        for line in visible(&content).lines() {
            out.push_str("        \\texttt{");
            out.push_str(&tex::escape(line));
            out.push_str("}\\\\\n");
        }
        out.push_str(after);
    }
}

/// What comes before and after the lines of a message.
fn around(from: Option<usize>, to: Option<usize>, two_players: bool) -> [String; 2] {
    let short = |end: Option<usize>| end.map_or_else(|| GM.to_owned(), |player| format!("P{}", player + 1));
    // The first name is that on the left.
    let second = |end: Option<usize>| two_players && end == Some(1);
    let (left, arrow, right) = match (from, to) {
        (None, None) => (short(from), "$|$", short(to)),
        (None, player) if !second(player) => (short(to), "$\\langle$", short(from)),
        (player, None) if second(player) => (short(to), "$\\langle$", short(from)),
        _ => (short(from), "$\\rangle$", short(to)),
    };
    let (before, after, columns, width) = match (from, to) {
        (None, None) => ("& & & ", " & &", 2, "0.3"),
        (None, _) if two_players => ("& & ", " &", 4, "0.6"),
        (None, _) => ("& & & ", "", 4, "0.6"),
        (player, _) if second(player) => ("& & & ", "", 4, "0.6"),
        _ => ("& ", " & &", 4, "0.6"),
    };
    let color = from.map_or(TEX_GM, |player| TEX_COLORS[player % COLORS]);
    let before = format!(
        "\n    \\theutterance \\stepcounter{{utterance}}\n    {before}\\multicolumn{{{columns}}}{{p{{{width}\\linewidth}}}}\
         {{\\cellcolor[rgb]{{{color}}}{{\\makecell[{{{{p{{\\linewidth}}}}}}]{{\n        \
         \\texttt{{\\tiny{{[{left}{arrow}{right}]}}}}\\\\\n"
    );
    [before, format!("    }}}}}}{after} \\\\ \\\\\n")]
}

/// The images of a message: of its action, or of a content that is JSON, as games of 2024 wrote it.
pub(super) fn names_of_images(action: Option<&Value>, content: Option<&Value>) -> Vec<String> {
    let mut found = Vec::new();
    let mut take = |value: &Value| match value {
        Value::String(name) => found.push(name.clone()),
        Value::List(names) => found.extend(names.iter().filter_map(Value::as_str).map(str::to_owned)),
        _ => {}
    };
    action.into_iter().for_each(&mut take);
    match content {
        Some(Value::Dict(content)) => content.get("image").into_iter().for_each(&mut take),
        Some(Value::String(text)) if text.trim_start().starts_with('{') && text.contains("\"image\"") => {
            let mut cursor = Cursor::new(text, 0);
            let inner = cursor.dict(0).filter(|_| cursor.next().is_none());
            inner.as_ref().and_then(|inner| inner.get("image")).into_iter().for_each(&mut take);
        }
        _ => {}
    }
    found
}

/// The names of all images of an episode.
///
/// # Errors
/// What is wrong with the interactions.
pub fn images(bytes: &[u8]) -> Result<Vec<String>, &'static str> {
    let transcript = Transcript::read(bytes)?;
    let mut found = Vec::new();
    for event in transcript.rounds().flatten() {
        if let Some(action) = event.get("action").and_then(Value::as_dict) {
            found.extend(names_of_images(action.get("image"), action.get("content")));
        }
    }
    Ok(found)
}

/// The text with controls as escapes: those that steer a terminal, reorder a line, or cannot be seen.
pub(super) fn visible(text: &str) -> Cow<'_, str> {
    let is_unseen = |char: char| {
        (is_hidden(char) && !matches!(char, '\n' | '\t'))
            || matches!(char, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
    };
    // Without an early end, the bytes are compared many at a time.
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) || !text.chars().any(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        if is_unseen(char) { out.extend(char.escape_default()) } else { out.push(char) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(super::images(HOSTILE.as_bytes()).unwrap(), ["a.png", "\" onerror=\"x", "b.png"]);
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
        for source in
            [include_str!("../../pages/transcript.html"), include_str!("../../pages/transcript.tex")]
        {
            assert!(!source.contains("safe") && !source.contains("autoescape"));
        }
    }
}
