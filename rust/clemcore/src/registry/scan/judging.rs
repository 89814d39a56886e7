//! Whether a key and its value pass, or the full check has to look at their entry.
use super::super::check::{clean, effect, languages, values};
use super::keys::{
    self, FALSE, FLOAT, INT, Known, Level, NULL, OBJECT, STRING, STRINGS, Standing, TRUE, Types,
};
use super::plain::{ends_plainly, is_plain_date, is_plain_id};
use super::{REMEMBERED, Scan};
use crate::json;
use crate::problem::Faults;
use crate::schema::Rule;

impl<'t> Scan<'t, '_> {
    /// Judges a key and its value, which stands from `start` to the cursor.
    #[inline]
    pub(super) fn judge(&mut self, key: usize, kind: Types, start: usize, level: Level) -> Option<()> {
        // The full check notes what must not be shown: a complaint about a neighbour may quote the whole line.
        self.doubt |= self.keys.get(key).secret && kind & (NULL | FALSE | TRUE) == 0;
        let known = match self.keys.standing(key, level) {
            None => return Some(()),
            Some(Standing::Own) => {
                let is_nested = level == Level::Config;
                self.doubt |= self.thorough && effect::may_concern(self.keys.get(key).text, is_nested);
                return Some(());
            }
            Some(Standing::NearMiss) => None,
            Some(Standing::Known(known)) => Some(known),
        };
        let fits = |known: &Known| kind & known.takes != 0;
        let Some(known) = known.filter(fits) else {
            self.doubt = true;
            return Some(());
        };
        let field = known.field;
        self.doubt |= self.thorough && keys::is_for_the_thorough(field, level, kind);
        let plain = field.rule == Rule::Plain && (field.values.is_empty() || kind != STRING);
        if plain || values::is_literal(field, level == Level::Entry) {
            return Some(());
        }
        let text = self.cursor.text.get(start..self.cursor.at)?;
        let first = text.as_bytes().get(usize::from(kind == STRING)).copied().unwrap_or_default();
        let quick = match field.rule {
            Rule::Date => kind == NULL || is_plain_date(text.as_bytes()),
            Rule::Size | Rule::Positive => kind == NULL || kind == INT && (b'1'..=b'9').contains(&first),
            // Loading does not compile templates.
            Rule::Template => true,
            Rule::Presence => kind != FALSE,
            Rule::Needed => {
                kind == STRING && first.is_ascii_alphanumeric() && (!self.thorough || is_plain_id(text))
            }
            // Only the full check looks at these.
            Rule::Prices | Rule::Address => !self.thorough,
            Rule::Languages => languages::are_plain(text.as_bytes()),
            Rule::Within(Some(0), _) if kind == INT => first == b'0' || first == b'1' && text.len() == 1,
            Rule::Required => {
                let is_plain = !self.thorough || ends_plainly(text);
                field.name == super::super::MODEL_NAME && first.is_ascii_alphanumeric() && is_plain
            }
            _ => false,
        };
        if field.rule == Rule::Needed && quick && level == Level::Entry {
            self.ids |= known.id;
        }
        if !quick {
            self.ask(key, known, kind, text);
        }
        Some(())
    }

    /// Gives the value of a key to the check that there is for it, unless it was asked about the same one before.
    fn ask(&mut self, key: usize, known: Known, kind: Types, text: &'t str) {
        let slot = keys::Ends::of(text.as_bytes()).hash().wrapping_add(key) % REMEMBERED;
        if (self.asked[slot].0, self.asked[slot].1) != (key, text) {
            let mut faults = Faults::default();
            let node = json::parse(text, &mut faults);
            let clean = kind & (STRING | STRINGS | INT | FLOAT | OBJECT) != 0
                && node.is_some_and(|node| clean::value(known.field, &node, self.backends, self.thorough));
            self.asked[slot] = (key, text, clean);
        }
        // Another backend may mean something else by the key; the full check knows.
        self.doubt |= !self.asked[slot].2;
    }
}
