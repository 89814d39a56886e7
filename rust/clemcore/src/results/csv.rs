//! Fields of CSV files, written and read as Python's module `csv` does by default.
use std::borrow::Cow;

/// A text as a field: in quotes only if it must be.
///
/// Not changed for spreadsheets: they may take a text for a formula.
pub(super) fn field(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| matches!(byte, b',' | b'"' | b'\n' | b'\r')) {
        return Cow::Owned(format!("\"{}\"", text.replace('"', "\"\"")));
    }
    Cow::Borrowed(text)
}

/// The records of a CSV text, each with the number of its first line, from 1.
pub(super) struct Records<'t> {
    rest: &'t str,
    line: usize,
}

impl<'t> Records<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { rest: text, line: 1 }
    }

    fn plain(&mut self) -> Cow<'t, str> {
        let end = self.rest.find([',', '\n', '\r']).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        Cow::Borrowed(text)
    }

    /// The rest of a field after its opening quote; two quotes stand for one.
    fn quoted(&mut self) -> Cow<'t, str> {
        let mut text = String::new();
        loop {
            let Some(end) = self.rest.find('"') else {
                text.push_str(std::mem::take(&mut self.rest));
                return Cow::Owned(text);
            };
            text.push_str(&self.rest[..end]);
            self.rest = &self.rest[end + 1..];
            let Some(rest) = self.rest.strip_prefix('"') else {
                return Cow::Owned(text);
            };
            text.push('"');
            self.rest = rest;
        }
    }
}

impl<'t> Iterator for Records<'t> {
    type Item = (usize, Vec<Cow<'t, str>>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let line = self.line;
        let before = self.rest;
        let mut fields = Vec::with_capacity(7);
        loop {
            let text = if let Some(rest) = self.rest.strip_prefix('"') {
                self.rest = rest;
                self.quoted()
            } else {
                self.plain()
            };
            fields.push(text);
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest;
            } else {
                break;
            }
        }
        // After a closing quote, whatever comes before the end of the line is not ours; the row will not be taken.
        if !self.rest.is_empty() && !self.rest.starts_with(['\n', '\r']) {
            let more = self.plain();
            fields.push(more);
        }
        let ended = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix(['\n', '\r']));
        self.rest = ended.unwrap_or_default();
        let read = &before[..before.len() - self.rest.len()];
        self.line += read.bytes().filter(|byte| *byte == b'\n').count();
        Some((line, fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_only_where_they_must_be() {
        assert_eq!(field("a b"), "a b");
        assert_eq!(field("=1+1"), "=1+1");
        assert_eq!(field("a,b"), "\"a,b\"");
        assert_eq!(field("say \"a\""), "\"say \"\"a\"\"\"");
        assert_eq!(field("a\nb"), "\"a\nb\"");
    }

    #[test]
    fn what_is_written_is_read() {
        let names = ["a", "", "a,b", "\"", "a\nb\r\nc", "\"\"", "ä"];
        let line = names.map(field).join(",");
        let text = format!("{line}\n{line}\n");
        let records: Vec<_> = Records::new(&text).collect();
        assert_eq!(records.len(), 2);
        assert_eq!((records[0].0, records[1].0), (1, 4));
        assert!(records.iter().all(|(_, fields)| *fields == names));
    }
}
