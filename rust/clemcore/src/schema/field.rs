//! One known key as data: what its value may be, who reads it, what it means.

/// A known key.
#[derive(Debug, PartialEq, Eq)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What its value may be; the first is what is usually written.
    pub types: &'static [Type],
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// What is counted, as `tokens`; empty where nothing is.
    pub unit: &'static str,
    /// The texts that it takes, or that its list holds; empty for any.
    pub values: &'static [&'static str],
    /// The keys that an object under it holds, each with its meaning; empty for any.
    pub keys: &'static [(&'static str, &'static str)],
    /// What holds where the key is missing; empty where that is just "not known".
    pub default: &'static str,
    /// Which backends read it; empty for all. In entries of others its value is not judged.
    pub backends: &'static [&'static str],
    /// What to write today; empty for a key that is current.
    pub deprecated: &'static str,
    /// Whether it is a generation argument: calls can give it too, and `model_config` cannot hold it.
    pub is_argument: bool,
    /// Whether a key of the entry may stand in `model_config` too.
    pub nests: bool,
    /// Why the backends that know the key refuse it, and what to do instead; empty where they honour it.
    pub refused: &'static str,
    /// What is asked of its value, beside the type.
    pub rule: Rule,
}

/// The types of JSON that a key can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// Any number.
    Number,
    /// Text.
    String,
    /// A list of texts.
    Strings,
    /// Any list.
    List,
    /// An object with any keys.
    Object,
    /// Nothing known, `null`.
    Null,
}

impl Type {
    /// The name that JSON Schema gives to the type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int => "integer",
            Self::Number => "number",
            Self::String => "string",
            Self::Strings | Self::List => "array",
            Self::Object => "object",
            Self::Null => "null",
        }
    }

    /// In the words of a report.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Int => "an integer",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Strings => "a list of strings",
            Self::List => "a list",
            Self::Object => "an object",
            Self::Null => "null",
        }
    }
}

/// What is asked of a value, beside its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Nothing.
    Plain,
    /// It must be there and say something.
    Required,
    /// The backends that read it need it.
    Needed,
    /// A date.
    Date,
    /// A number of tokens, as `128k`.
    Size,
    /// A number greater than zero.
    Positive,
    /// A number that is at least the first and at most the second, where these are given.
    Within(Option<i32>, Option<i32>),
    /// A Python regular expression.
    Pattern,
    /// A chat template in Jinja.
    Template,
    /// What tokens cost: an object of numbers.
    Prices,
    /// The address of a server.
    Address,
    /// A list of BCP-47 codes.
    Languages,
    /// Older readers only look whether it is there.
    Presence,
    /// A size of memory: bytes, or a text such as `24GB`.
    Bytes,
    /// An object that holds something.
    Filled,
    /// One device.
    Device,
    /// Devices by the names of modules, or one text.
    Devices,
    /// Sizes of memory by device.
    Limits,
    /// How much a model reasons, and what follows where that is used up.
    Reasoning,
    /// An object of the keys that the field lists.
    Listed,
}

impl Field {
    /// A field that all backends read, with any value of the types.
    pub(super) const fn new(name: &'static str, types: &'static [Type], meaning: &'static str) -> Self {
        Self {
            name,
            types,
            meaning,
            unit: "",
            values: &[],
            keys: &[],
            default: "",
            backends: &[],
            deprecated: "",
            is_argument: false,
            nests: false,
            refused: "",
            rule: Rule::Plain,
        }
    }

    pub(super) const fn rule(mut self, rule: Rule) -> Self {
        self.rule = rule;
        self
    }

    pub(super) const fn read_by(mut self, backends: &'static [&'static str]) -> Self {
        self.backends = backends;
        self
    }

    pub(super) const fn unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }

    pub(super) const fn one_of(mut self, values: &'static [&'static str]) -> Self {
        self.values = values;
        self
    }

    pub(super) const fn holds(mut self, keys: &'static [(&'static str, &'static str)]) -> Self {
        self.keys = keys;
        self
    }

    pub(super) const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    pub(super) const fn argument(mut self) -> Self {
        self.is_argument = true;
        self
    }

    pub(super) const fn nests(mut self) -> Self {
        self.nests = true;
        self
    }

    pub(super) const fn refused(mut self, why: &'static str) -> Self {
        self.refused = why;
        self
    }

    /// Whether it is one of the keys that only some backends read, and this backend is one of those.
    #[must_use]
    pub fn is_read_by(&self, backend: &str) -> bool {
        self.backends.contains(&backend)
    }

    pub(super) const fn deprecated(mut self, instead: &'static str) -> Self {
        self.deprecated = instead;
        self
    }
}

/// The numbers of a range, as "between 0 and 1".
pub(crate) fn range_words(least: Option<i32>, most: Option<i32>) -> String {
    match (least, most) {
        (Some(least), Some(most)) => format!("between {least} and {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => "a number".to_owned(),
    }
}
