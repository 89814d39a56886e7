//! Names that occur in many rows: each is kept once, with its text in a CSV file.
use super::csv;
use std::collections::HashMap;

/// Names by number, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Names {
    numbers: HashMap<String, u32>,
    names: Vec<(String, String)>,
}

impl Names {
    /// The number of a name, which is kept if it is new.
    pub(super) fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.to_owned(), number);
        self.names.push((name.to_owned(), csv::field(name).into_owned()));
        number
    }

    /// The number of a name, if it is known.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        self.numbers.get(name).copied()
    }

    pub(super) fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |(name, _)| name)
    }

    /// The name as a field of a CSV file.
    pub(super) fn field(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |(_, field)| field)
    }
}
