//! Kinds of problems with what the entries say (R040 to R070).
use super::Kind;
use crate::problem::Severity;

/// R040: not a list of entries.
pub const NOT_A_LIST: Kind = Kind {
    code: "R040",
    slug: "not-a-list",
    title: "not a list of entries",
    severity: Severity::Error,
    explanation: "A registry is a list of objects (one object alone is taken as a list of one).",
    bad: r#""gpt-4o""#,
    good: r#"[{"model_name": "gpt-4o", "backend": "openai", "model_id": "m"}]"#,
};

/// R041: not an entry.
pub const NOT_AN_ENTRY: Kind = Kind {
    code: "R041",
    slug: "not-an-entry",
    title: "not an entry",
    severity: Severity::Error,
    explanation: "Each item of a registry is an object that describes one model.",
    bad: r#"["gpt-4o"]"#,
    good: r#"[{"model_name": "gpt-4o", "backend": "openai", "model_id": "m"}]"#,
};

/// R042: missing field.
pub const MISSING_FIELD: Kind = Kind {
    code: "R042",
    slug: "missing-field",
    title: "missing field",
    severity: Severity::Error,
    explanation: "Every entry says its `model_name`, by which it is selected, and its `backend`, which runs it.",
    bad: r#"[{"model_name": "gpt-4o"}]"#,
    good: r#"[{"model_name": "gpt-4o", "backend": "openai", "model_id": "m"}]"#,
};

/// R043: empty field.
pub const EMPTY_FIELD: Kind = Kind {
    code: "R043",
    slug: "empty-field",
    title: "empty field",
    severity: Severity::Error,
    explanation: "`model_name` and `backend` must say something: an empty or blank name selects nothing.",
    bad: r#"[{"model_name": "", "backend": "openai", "model_id": "m"}]"#,
    good: r#"[{"model_name": "gpt-4o", "backend": "openai", "model_id": "m"}]"#,
};

/// R044: wrong type.
pub const WRONG_TYPE: Kind = Kind {
    code: "R044",
    slug: "wrong-type",
    title: "wrong type",
    severity: Severity::Error,
    explanation: "The value of a known key is of a type that no reader of the key understands. Strings, numbers, \
        booleans, lists and objects never stand for each other in a registry: `\"true\"` is not `true`.",
    bad: r#"[{"model_name": "m", "backend": "mock", "open_weight": "yes"}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "open_weight": true}]"#,
};

/// R045: entry without the model's id.
pub const MISSING_ID: Kind = Kind {
    code: "R045",
    slug: "missing-id",
    title: "entry without the model's id",
    severity: Severity::Warning,
    explanation: "A backend has to know which model it runs: services by `model_id`, local backends by \
        `huggingface_id`. An entry without it can be listed, and fails when it is used.",
    bad: r#"[{"model_name": "m", "backend": "openai", "huggingface_id": "org/m"}]"#,
    good: r#"[{"model_name": "m", "backend": "openai", "model_id": "m-2024-01-31"}]"#,
};

/// R050: the same entry twice.
pub const DUPLICATE_ENTRY: Kind = Kind {
    code: "R050",
    slug: "duplicate-entry",
    title: "the same entry twice",
    severity: Severity::Warning,
    explanation: "Two entries say exactly the same; the later one is never used.",
    bad: r#"[{"model_name": "m", "backend": "mock"}, {"model_name": "m", "backend": "mock"}]"#,
    good: r#"[{"model_name": "m", "backend": "mock"}]"#,
};

/// R051: entry that nothing selects.
pub const UNREACHABLE_ENTRY: Kind = Kind {
    code: "R051",
    slug: "unreachable-entry",
    title: "entry that nothing selects",
    severity: Severity::Warning,
    explanation: "A selector gets the first entry that does not contradict it. An earlier entry says nothing but what \
        this one says too, so every selector that fits this one stops at the earlier one. Put the more \
        special entry first, or let them differ in a key that both have.",
    bad: r#"[{"model_name": "m", "backend": "mock"}, {"model_name": "m", "backend": "mock", "seed": 7}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "seed": 7}, {"model_name": "m", "backend": "mock"}]"#,
};

/// R052: unknown backend.
pub const UNKNOWN_BACKEND: Kind = Kind {
    code: "R052",
    slug: "unknown-backend",
    title: "unknown backend",
    severity: Severity::Warning,
    explanation: "No backend of this name comes with clemcore. That is right where a `NAME_api.py` in the working \
        directory or an installed package provides it.",
    bad: r#"[{"model_name": "m", "backend": "open_ai", "model_id": "m"}]"#,
    good: r#"[{"model_name": "m", "backend": "openai", "model_id": "m"}]"#,
};

/// R053: key that looks like a typing error.
pub const UNKNOWN_KEY: Kind = Kind {
    code: "R053",
    slug: "unknown-key",
    title: "key that looks like a typing error",
    severity: Severity::Warning,
    explanation: "Entries may have any keys, but this one is unknown and very similar to a known key. Nothing reads \
        it under this name.",
    bad: r#"[{"model_name": "m", "backend": "mock", "contxt_size": "8k"}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "context_size": "8k"}]"#,
};

/// R054: value that no reader knows.
pub const UNKNOWN_VALUE: Kind = Kind {
    code: "R054",
    slug: "unknown-value",
    title: "value that no reader knows",
    severity: Severity::Warning,
    explanation: "The key takes one of a few texts, or a value of a certain form, such as a size of memory (`24GB`), and \
        this is none of them: the backend refuses it or reads it as something else.",
    bad: r#"[{"model_name": "m", "backend": "mock", "model_config": {"on_exhausted": "cycel"}}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "model_config": {"on_exhausted": "cycle"}}]"#,
};

/// R055: number that has to be above zero.
pub const NOT_POSITIVE: Kind = Kind {
    code: "R055",
    slug: "not-positive",
    title: "number that has to be above zero",
    severity: Severity::Warning,
    explanation: "Limits, times and counts are above zero; zero or less would let nothing through, and \
        backends refuse it.",
    bad: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "model_config": {"total_timeout": 0}}]"#,
    good: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "model_config": {"total_timeout": 60}}]"#,
};

/// R056: one name for two models.
pub const SAME_NAME: Kind = Kind {
    code: "R056",
    slug: "same-name",
    title: "one name for two models",
    severity: Severity::Warning,
    explanation: "Two entries have the same name and backend and contradict each other elsewhere. The name \
        alone always means the first; the second is found only by a selector that names the \
        difference, and results of both stand under one name. Entries of an earlier layer hide those of \
        a later one on purpose; across layers only another `model_id` or `huggingface_id` is reported.",
    bad: r#"[{"model_name": "m", "backend": "openai", "model_id": "m-1"}, {"model_name": "m", "backend": "openai", "model_id": "m-2"}]"#,
    good: r#"[{"model_name": "m-1", "backend": "openai", "model_id": "m-1"}, {"model_name": "m-2", "backend": "openai", "model_id": "m-2"}]"#,
};

/// R057: alias that is taken.
pub const ALIAS_TAKEN: Kind = Kind {
    code: "R057",
    slug: "alias-taken",
    title: "alias that is taken",
    severity: Severity::Warning,
    explanation: "An alias never counts where it is the name of an entry, in this layer or another: the name wins. \
        Of two entries with one alias the first is meant. So this one finds another model than it seems to.",
    bad: r#"[{"model_name": "m-1", "backend": "mock"}, {"model_name": "m-2", "backend": "mock", "aliases": ["m-1"]}]"#,
    good: r#"[{"model_name": "m-1", "backend": "mock"}, {"model_name": "m-2", "backend": "mock", "aliases": ["m"]}]"#,
};

/// R060: no ISO date.
pub const RELEASE_DATE: Kind = Kind {
    code: "R060",
    slug: "release-date",
    title: "no ISO date",
    severity: Severity::Warning,
    explanation: "Dates are written year-month-day, as `2024-01-06` (`2024-01` or `2024` where no more is known). \
        Other orders are read differently in different countries.",
    bad: r#"[{"model_name": "m", "backend": "mock", "release_date": "06-01-24"}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "release_date": "2024-01-06"}]"#,
};

/// R061: no size in tokens.
pub const CONTEXT_SIZE: Kind = Kind {
    code: "R061",
    slug: "context-size",
    title: "no size in tokens",
    severity: Severity::Warning,
    explanation: "A context size is a whole number of tokens, or a number with `k` (times 1024) or `M` (times \
        1048576): `131072`, `128k`, `1.5k`. Anything else is not understood, and the model would run with \
        another limit than the one meant.",
    bad: r#"[{"model_name": "m", "backend": "mock", "context_size": "128 thousand"}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "context_size": "128k"}]"#,
};

/// R062: broken regular expression.
pub const BAD_PATTERN: Kind = Kind {
    code: "R062",
    slug: "bad-pattern",
    title: "broken regular expression",
    severity: Severity::Warning,
    explanation: "`eos_to_cull` and `cot_end_tag` in `model_config` are Python regular expressions, and this one does \
        not compile. Characters with a meaning, such as `|`, `*` and brackets, need a backslash, which JSON \
        writes twice.",
    bad: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"eos_to_cull": "*END*"}}]"#,
    good: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"eos_to_cull": "\\*END\\*"}}]"#,
};

/// R063: regular expression that matches too much.
pub const LOOSE_PATTERN: Kind = Kind {
    code: "R063",
    slug: "loose-pattern",
    title: "regular expression that matches too much",
    severity: Severity::Warning,
    explanation: "`eos_to_cull` and `cot_end_tag` in `model_config` are regular expressions, in which `|` means \"or\" \
        and `[EOS]` means one of three letters. Without backslashes this one matches other text than the \
        marker that it shows, or matches everywhere.",
    bad: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"eos_to_cull": "<|im_end|>"}}]"#,
    good: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"eos_to_cull": "<\\|im_end\\|>"}}]"#,
};

/// R064: flag that counts by being there.
pub const FALSE_FLAG: Kind = Kind {
    code: "R064",
    slug: "false-flag",
    title: "flag that counts by being there",
    severity: Severity::Hint,
    explanation: "Older readers of this key only look whether it is there, so for them `false` means true. Leave the \
        key out where it does not apply.",
    bad: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "model_config": {"reasoning_model": false}}]"#,
    good: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "model_config": {}}]"#,
};

/// R065: secret in a registry.
pub const SECRET: Kind = Kind {
    code: "R065",
    slug: "secret",
    title: "secret in a registry",
    severity: Severity::Error,
    explanation: "A registry is shared and committed; keys and passwords do not belong there. Put it into the \
        environment or into `key.json`, and take it back from the provider if the file was ever shared.",
    bad: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "api_key": "…"}]"#,
    good: r#"[{"model_name": "m", "backend": "openai", "model_id": "m"}]"#,
};

/// R066: chat template that does not compile.
pub const CHAT_TEMPLATE: Kind = Kind {
    code: "R066",
    slug: "chat-template",
    title: "chat template that does not compile",
    severity: Severity::Warning,
    explanation: "`custom_chat_template` is a Jinja template as transformers renders it. This one has a fault \
        of syntax, or uses a filter or a test that does not exist, so no prompt can be made of it.",
    bad: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"custom_chat_template": "{{ messages[0].content | trimm }}"}}]"#,
    good: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"custom_chat_template": "{{ messages[0].content | trim }}"}}]"#,
};

/// R067: variable that the chat template never reads.
pub const UNREAD_VARIABLE: Kind = Kind {
    code: "R067",
    slug: "unread-variable",
    title: "variable that the chat template never reads",
    severity: Severity::Warning,
    explanation: "A chat template is given variables (`chat_template_kwargs`; `cot_effort` as \
        `reasoning_effort`) that it never reads. They have no effect: what was to be turned on or \
        off by them is not.",
    bad: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"custom_chat_template": "{% if enable_thinking %}{% endif %}{{ messages }}", "chat_template_kwargs": {"enable_thinkin": false}}}]"#,
    good: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"custom_chat_template": "{% if enable_thinking %}{% endif %}{{ messages }}", "chat_template_kwargs": {"enable_thinking": false}}}]"#,
};

/// R068: no code of a language.
pub const LANGUAGE: Kind = Kind {
    code: "R068",
    slug: "language",
    title: "no code of a language",
    severity: Severity::Warning,
    explanation: "Languages are named by BCP-47 codes: the shortest code of the language (`en`, `ceb`), \
        perhaps with script and region (`zh-Hant-TW`). Old codes, names and codes of countries are \
        not found by a search for the language.",
    bad: r#"[{"model_name": "m", "backend": "mock", "languages": ["iw", "English"]}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "languages": ["he", "en"]}]"#,
};

/// R069: deprecated key.
pub const DEPRECATED_KEY: Kind = Kind {
    code: "R069",
    slug: "deprecated-key",
    title: "deprecated key",
    severity: Severity::Hint,
    explanation: "The backend of this entry knows the key from earlier releases. It has another name today, or no \
        effect any more; the help says which.",
    bad: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"torch_dtype": "bfloat16"}}]"#,
    good: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"dtype": "bfloat16"}}]"#,
};

/// R070: allow without effect.
pub const IDLE_ALLOW: Kind = Kind {
    code: "R070",
    slug: "idle-allow",
    title: "allow without effect",
    severity: Severity::Hint,
    explanation: "`lint.allow` lists codes of warnings and hints that are right in this entry. This one \
        changes nothing: there is no such complaint here, no such code, or it is an error, which \
        cannot be allowed.",
    bad: r#"[{"model_name": "m", "backend": "mock", "lint": {"allow": ["R060"]}}]"#,
    good: r#"[{"model_name": "m", "backend": "mock", "release_date": "spring", "lint": {"allow": ["R060"]}}]"#,
};
