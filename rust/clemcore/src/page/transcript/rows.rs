//! `transcript.tex`: a table with a row for each message.
use super::{COLORS, Ends, GM, MOST_HEADS, Transcript, action, ends, names};
use crate::json::{Borrowed, Members};
use crate::page::visible::visible;
use crate::page::{engine, tex};
use minijinja::{Value as Shown, context};

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
const TEX_GM: &str = "0.92,0.92,0.92";

impl Transcript<'_> {
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

/// Messages as rows of the table of `transcript.tex`; the text around a message depends on its ends alone.
struct Rows<'t> {
    players: &'t [&'t str],
    known: Vec<(Option<usize>, Option<usize>, [String; 2])>,
}

impl Rows<'_> {
    fn write(&mut self, event: &Members<'_>, out: &mut String) {
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
        let content = content.map(Borrowed::text).unwrap_or_default();
        let [before, after] = &self.known[at].2;
        out.push_str(before);
        for line in visible(&content).lines() {
            out.push_str("        \\texttt{");
            tex::escape(line, out);
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
