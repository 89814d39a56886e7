//! JSON that borrows from its text: strings without escapes are not copied, and objects are short lists of members.
//!
//! For texts of which little is looked at. It accepts what [`Cursor`] accepts, and reads the same from it.
use super::{Cursor, MAX_DEPTH};
use crate::text::repr;
use crate::value::{Dict, Value};
use std::borrow::Cow;

/// One value.
#[derive(Debug)]
pub(crate) enum Borrowed<'t> {
    Text(Cow<'t, str>),
    List(Vec<Borrowed<'t>>),
    Object(Members<'t>),
    /// A number, a flag or `null`.
    Plain(Value),
}

/// The members of an object, as they were written.
#[derive(Debug, Default)]
pub(crate) struct Members<'t>(Vec<(Cow<'t, str>, Borrowed<'t>)>);

impl<'t> Members<'t> {
    /// The value of a name; the last one counts, as in Python.
    pub(crate) fn get(&self, name: &str) -> Option<&Borrowed<'t>> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Adds a member.
    pub(crate) fn push(&mut self, name: Cow<'t, str>, value: Borrowed<'t>) {
        self.0.push((name, value));
    }

    /// The object as a dict of its own.
    pub(crate) fn to_dict(&self) -> Dict {
        let mut dict = Dict::with_capacity(self.0.len());
        for (name, value) in &self.0 {
            dict.insert(&**name, value.to_value());
        }
        dict
    }
}

impl<'t> Borrowed<'t> {
    /// The text, where the value is one.
    pub(crate) fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The text of its own, where the value is one.
    pub(crate) fn to_text(&self) -> Option<Cow<'t, str>> {
        if let Self::Text(text) = self { Some(text.clone()) } else { None }
    }

    /// The whole number, where the value is one.
    pub(crate) fn as_int(&self) -> Option<i64> {
        if let Self::Plain(Value::Int(number)) = self { Some(*number) } else { None }
    }

    /// The members, where the value is an object.
    pub(crate) fn as_object(&self) -> Option<&Members<'t>> {
        if let Self::Object(members) = self { Some(members) } else { None }
    }

    /// The value as Python's `str` gives it.
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Plain(value) => repr::text_of(value),
            other => Cow::Owned(repr::text_of(&other.to_value()).into_owned()),
        }
    }

    fn to_value(&self) -> Value {
        match self {
            Self::Text(text) => Value::String(text.clone().into_owned()),
            Self::List(items) => Value::List(items.iter().map(Self::to_value).collect()),
            Self::Object(members) => Value::Dict(members.to_dict()),
            Self::Plain(value) => value.clone(),
        }
    }
}

impl<'t> Cursor<'t> {
    /// Reads an object that ends its text.
    pub(crate) fn whole_object(&mut self) -> Option<Members<'t>> {
        let members = self.members(0)?;
        self.next().is_none().then_some(members)
    }

    /// Reads the members of an object with some names, and passes the others; the cursor stands before its bracket.
    pub(crate) fn picked(&mut self, names: &[&str], depth: usize) -> Option<Members<'t>> {
        let mut members = Vec::with_capacity(names.len());
        self.each_member(depth, |cursor, name| {
            if names.contains(&&*name) {
                members.push((name, cursor.borrowed(depth + 1)?));
                Some(())
            } else {
                cursor.pass(depth + 1)
            }
        })?;
        Some(Members(members))
    }

    /// Asks a reader for the value of each member of an object; the cursor stands before its bracket.
    pub(crate) fn each_member(
        &mut self,
        depth: usize,
        mut read: impl FnMut(&mut Self, Cow<'t, str>) -> Option<()>,
    ) -> Option<()> {
        (depth < MAX_DEPTH).then_some(())?;
        self.expect(b'{')?;
        if self.closes(b'}')? {
            return Some(());
        }
        loop {
            (self.next()? == b'"').then_some(())?;
            let name = self.string()?;
            self.expect(b':')?;
            read(self, name)?;
            if !self.goes_on(b'}')? {
                return Some(());
            }
        }
    }

    /// Asks a reader for each item of a list; the cursor stands before its bracket.
    pub(crate) fn each_item(
        &mut self,
        depth: usize,
        mut read: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        (depth < MAX_DEPTH).then_some(())?;
        self.expect(b'[')?;
        if self.closes(b']')? {
            return Some(());
        }
        loop {
            read(self)?;
            if !self.goes_on(b']')? {
                return Some(());
            }
        }
    }

    fn members(&mut self, depth: usize) -> Option<Members<'t>> {
        let mut members = Vec::with_capacity(4);
        self.each_member(depth, |cursor, name| {
            members.push((name, cursor.borrowed(depth + 1)?));
            Some(())
        })?;
        Some(Members(members))
    }

    pub(crate) fn borrowed(&mut self, depth: usize) -> Option<Borrowed<'t>> {
        match self.next()? {
            b'"' => self.string().map(Borrowed::Text),
            b'{' => self.members(depth).map(Borrowed::Object),
            b'[' => self.items(depth).map(Borrowed::List),
            _ => self.value(depth).map(Borrowed::Plain),
        }
    }

    fn items(&mut self, depth: usize) -> Option<Vec<Borrowed<'t>>> {
        let mut items = Vec::new();
        self.each_item(depth, |cursor| {
            items.push(cursor.borrowed(depth + 1)?);
            Some(())
        })?;
        Some(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn both(text: &str) -> (Option<Dict>, Option<Dict>) {
        let mut cursor = Cursor::new(text, 0);
        let owned = cursor.dict(0).filter(|_| cursor.next().is_none());
        (Cursor::new(text, 0).whole_object().map(|members| members.to_dict()), owned)
    }

    #[test]
    fn the_last_of_equal_names_counts() {
        let found = Cursor::new(r#"{"a": 1, "b": [2.5, null], "a": {"x": "\n"}}"#, 0).whole_object().unwrap();
        assert_eq!(found.get("a").unwrap().text(), r"{'x': '\n'}");
        assert_eq!(found.get("b").unwrap().text(), "[2.5, None]");
        assert_eq!(found.to_dict().keys().collect::<Vec<_>>(), ["a", "b"]);
    }

    proptest! {
        #[test]
        fn it_reads_what_the_reader_of_values_reads(
            text in r#"\{("[ab\\n]*": ?(-?[0-9]{1,20}|"\PC{0,5}"|\[(1,)?\]|\{"a": true\}|null|x),? ?){0,4}\} ?"#,
        ) {
            let (borrowed, owned) = both(&text);
            prop_assert_eq!(borrowed, owned);
        }

        #[test]
        fn it_reads_any_json(value in crate::json::borrowed::tests::any_json()) {
            let text = serde_json::to_string_pretty(&serde_json::json!({ "value": value })).unwrap();
            let (borrowed, owned) = both(&text);
            prop_assert!(owned.is_some());
            prop_assert_eq!(borrowed, owned);
        }
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map("[a-z\"\n]{0,3}", inner, 0..4)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
