//! Kinds of problems with the text: encoding, JSON syntax (R001 to R039), and what other programs left in it (R090).
use super::Kind;
use crate::problem::Severity;

/// R001: not UTF-8.
pub const NOT_UTF8: Kind = Kind {
    code: "R001",
    slug: "not-utf8",
    title: "not UTF-8",
    severity: Severity::Error,
    explanation: "A registry is UTF-8 text, as JSON demands. The bytes named are something else, mostly Latin-1 from \
        an old editor or UTF-16; a reader would have to guess what they mean.",
    bad: r#"[{"model_name": "caf\xE9", "backend": "mock"}]"#,
    good: r#"[{"model_name": "café", "backend": "mock"}]"#,
};

/// R002: byte order mark.
pub const BYTE_ORDER_MARK: Kind = Kind {
    code: "R002",
    slug: "byte-order-mark",
    title: "byte order mark",
    severity: Severity::Warning,
    explanation: "The file begins with the three bytes EF BB BF that some editors write. We read past them; other JSON \
        readers refuse the file.",
    bad: "\u{FEFF}[]",
    good: "[]",
};

/// R003: empty file.
pub const EMPTY_FILE: Kind = Kind {
    code: "R003",
    slug: "empty-file",
    title: "empty file",
    severity: Severity::Error,
    explanation: "There is nothing in the file. An empty registry is an empty list, `[]`; an empty file is more likely \
        one that was cut off while it was written.",
    bad: "",
    good: "[]",
};

/// R010: trailing comma.
pub const TRAILING_COMMA: Kind = Kind {
    code: "R010",
    slug: "trailing-comma",
    title: "trailing comma",
    severity: Severity::Error,
    explanation: "JSON has no comma after the last item of a list or the last key of an object, other than Python and \
        JavaScript.",
    bad: r#"[{"model_name": "m", "backend": "mock", "languages": ["en", "de",]}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "languages": ["en", "de"]}]"#,
};

/// R011: comment.
pub const COMMENT: Kind = Kind {
    code: "R011",
    slug: "comment",
    title: "comment",
    severity: Severity::Error,
    explanation: "JSON has no comments. Unknown keys are allowed in a registry, so a remark can be a key, for instance \
        `\"comment\"`.",
    bad: "[] // mine",
    good: "[]",
};

/// R012: string not in double quotes.
pub const QUOTES: Kind = Kind {
    code: "R012",
    slug: "quotes",
    title: "string not in double quotes",
    severity: Severity::Error,
    explanation: "JSON strings stand in double quotes; single, back and typographic quotes are not quotes.",
    bad: r#"[{'model_name': 'm', "backend": "mock"}]"#,
    good: r#"[{"model_name": "m", "backend": "mock"}]"#,
};

/// R013: key without quotes.
pub const UNQUOTED_KEY: Kind = Kind {
    code: "R013",
    slug: "unquoted-key",
    title: "key without quotes",
    severity: Severity::Error,
    explanation: "The key of an object is a string in double quotes, also where it looks like a name or a number.",
    bad: r#"[{"model_name": "m", "backend": "mock", seed: 7}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "seed": 7}]"#,
};

/// R014: not how JSON writes it.
pub const PYTHON_LITERAL: Kind = Kind {
    code: "R014",
    slug: "literal",
    title: "not how JSON writes it",
    severity: Severity::Error,
    explanation: "JSON writes `true`, `false` and `null`, in lower case. `True`, `False` and `None` are Python's \
        words, `undefined` is JavaScript's.",
    bad: r#"[{"model_name": "m", "backend": "mock", "open_weight": True}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "open_weight": true}]"#,
};

/// R015: NaN or infinity.
pub const NOT_A_NUMBER: Kind = Kind {
    code: "R015",
    slug: "not-a-number",
    title: "NaN or infinity",
    severity: Severity::Error,
    explanation: "JSON has no word for NaN and infinity. Python writes them all the same; no other reader takes them, \
        and NaN would match no selector, not even itself.",
    bad: r#"[{"model_name": "m", "backend": "mock", "temperature": NaN}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "temperature": 0.0}]"#,
};

/// R016: not how JSON writes a number.
pub const NUMBER_FORM: Kind = Kind {
    code: "R016",
    slug: "number-form",
    title: "not how JSON writes a number",
    severity: Severity::Error,
    explanation: "A JSON number has no leading zeros, no `+`, digits on both sides of the point, no `_`, no unit and \
        no base but ten. Dates and sizes such as 128k are strings.",
    bad: r#"[{"model_name": "m", "backend": "mock", "max_tokens": 0300}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "max_tokens": 300}]"#,
};

/// R017: number out of range.
pub const NUMBER_RANGE: Kind = Kind {
    code: "R017",
    slug: "number-range",
    title: "number out of range",
    severity: Severity::Error,
    explanation: "The number is too large for a double, or has more than 4300 digits, Python's own limit. It would \
        silently become infinity or fail later.",
    bad: r#"[{"model_name": "m", "backend": "mock", "temperature": 1e999}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "temperature": 1.0}]"#,
};

/// R018: missing comma.
pub const MISSING_COMMA: Kind = Kind {
    code: "R018",
    slug: "missing-comma",
    title: "missing comma",
    severity: Severity::Error,
    explanation: "Items of a list and keys of an object are separated by commas.",
    bad: r#"[{"model_name": "m", "backend": "mock", "languages": ["en" "de"]}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "languages": ["en", "de"]}]"#,
};

/// R019: missing colon.
pub const MISSING_COLON: Kind = Kind {
    code: "R019",
    slug: "missing-colon",
    title: "missing colon",
    severity: Severity::Error,
    explanation: "A key and its value are separated by a colon.",
    bad: r#"[{"model_name": "m", "backend": "mock", "seed" 7}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "seed": 7}]"#,
};

/// R020: string without end.
pub const UNTERMINATED_STRING: Kind = Kind {
    code: "R020",
    slug: "unterminated-string",
    title: "string without end",
    severity: Severity::Error,
    explanation: "The string does not end on its line: the closing quote is missing.",
    bad: r#"[{"model_name": "m", "backend": "mock", "languages": ["en, "de"]}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "languages": ["en", "de"]}]"#,
};

/// R021: unknown escape.
pub const BAD_ESCAPE: Kind = Kind {
    code: "R021",
    slug: "bad-escape",
    title: "unknown escape",
    severity: Severity::Error,
    explanation: "After a backslash JSON knows only `\"`, `\\\\`, `/`, `b`, `f`, `n`, `r`, `t` and `u` with four \
        hexadecimal digits. A backslash itself, as in a regular expression, is written twice.",
    bad: r#"[{"model_name": "m", "backend": "mock", "note": "\d+"}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "note": "\\d+"}]"#,
};

/// R022: half a character.
pub const LONE_SURROGATE: Kind = Kind {
    code: "R022",
    slug: "lone-surrogate",
    title: "half a character",
    severity: Severity::Error,
    explanation: "Characters beyond U+FFFF are escaped as two `\\u` escapes, a high and a low surrogate. One of them \
        alone is not a character and cannot be stored as UTF-8.",
    bad: r#"[{"model_name": "m", "backend": "mock", "note": "\ud83d"}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "note": "\ud83d\ude00"}]"#,
};

/// R023: raw control character in a string.
pub const CONTROL_CHARACTER: Kind = Kind {
    code: "R023",
    slug: "control-character",
    title: "raw control character in a string",
    severity: Severity::Error,
    explanation: "Line breaks, tabs and other control characters inside a string are written as escapes: `\\n`, `\\t`, \
        `\\u0000`.",
    bad: r#"[{"model_name": "m", "backend": "mock", "note": "first
second"}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "note": "first\nsecond"}]"#,
};

/// R024: bracket never closed.
pub const UNCLOSED_BRACKET: Kind = Kind {
    code: "R024",
    slug: "unclosed-bracket",
    title: "bracket never closed",
    severity: Severity::Error,
    explanation: "The list or object that begins here never ends. Most often the file was cut off, or the bracket at \
        the end of one entry is missing.",
    bad: r#"[{"model_name": "m", "backend": "mock"}"#,
    good: r#"[{"model_name": "m", "backend": "mock"}]"#,
};

/// R025: bracket of the wrong kind.
pub const MISMATCHED_BRACKET: Kind = Kind {
    code: "R025",
    slug: "mismatched-bracket",
    title: "bracket of the wrong kind",
    severity: Severity::Error,
    explanation: "A list ends with `]`, an object with `}`.",
    bad: r#"[{"model_name": "m", "backend": "mock", "languages": ["en", "de"}}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "languages": ["en", "de"]}]"#,
};

/// R026: text after the end.
pub const TRAILING_DATA: Kind = Kind {
    code: "R026",
    slug: "trailing-data",
    title: "text after the end",
    severity: Severity::Error,
    explanation: "A registry is one list; after its closing bracket nothing may follow. Several objects one after the \
        other (JSON lines) have to be put into a list.",
    bad: "[] []",
    good: "[]",
};

/// R027: nested too deep.
pub const TOO_DEEP: Kind = Kind {
    code: "R027",
    slug: "too-deep",
    title: "nested too deep",
    severity: Severity::Error,
    explanation: "Lists and objects are nested more than 128 deep. No registry needs that; a reader that followed \
        could be brought down by it.",
    bad: "[[[[[[[[ … 129 brackets … ]]]]]]]]",
    good: "[]",
};

/// R028: unexpected text.
pub const UNEXPECTED: Kind = Kind {
    code: "R028",
    slug: "unexpected",
    title: "unexpected text",
    severity: Severity::Error,
    explanation: "Something stands where JSON has only brackets, commas, colons, strings, numbers, `true`, `false` and \
        `null`: mostly a value without quotes, or a stray character.",
    bad: r#"[{"model_name": "m", "backend": "mock", "seed": seven}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "seed": 7}]"#,
};

/// R029: missing value.
pub const MISSING_VALUE: Kind = Kind {
    code: "R029",
    slug: "missing-value",
    title: "missing value",
    severity: Severity::Error,
    explanation: "A comma, a colon or a bracket follows where a value has to stand: a key without value, or two \
        commas.",
    bad: r#"[{"model_name": "m", "backend": "mock", "seed": }]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "seed": 7}]"#,
};

/// R030: duplicate key.
pub const DUPLICATE_KEY: Kind = Kind {
    code: "R030",
    slug: "duplicate-key",
    title: "duplicate key",
    severity: Severity::Error,
    explanation: "One object has the same key twice. Readers keep one of the two without a word, mostly the last; what \
        was meant is for you to say.",
    bad: r#"[{"model_name": "m", "backend": "mock", "seed": 1, "seed": 2}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "seed": 1}]"#,
};

/// R031: YAML.
pub const YAML: Kind = Kind {
    code: "R031",
    slug: "yaml",
    title: "YAML in place of JSON",
    severity: Severity::Error,
    explanation: "A registry is written in JSON: lists in `[]`, objects in `{}`, keys and texts in double quotes.",
    bad: "- model_name: m\n  backend: mock\n",
    good: r#"[{"model_name": "m", "backend": "mock"}]"#,
};

/// R090: merge conflict.
pub const MERGE_CONFLICT: Kind = Kind {
    code: "R090",
    slug: "merge-conflict",
    title: "merge conflict",
    severity: Severity::Error,
    explanation: "git writes both sides of a conflict into the file, between lines of `<<<<<<<`, `=======` and \
        `>>>>>>>` (and `|||||||` before what both have changed). Only you know which side is right. The check reads the \
        first side. `--fix` changes nothing in a file with a conflict, because the other side would stay as it is.",
    bad: "[\n<<<<<<< HEAD\n{\"model_name\": \"m\", \"backend\": \"mock\"}\n=======\n{\"model_name\": \"m\", \"backend\": \
        \"openai\"}\n>>>>>>> other\n]",
    good: "[\n{\"model_name\": \"m\", \"backend\": \"mock\"}\n]",
};
