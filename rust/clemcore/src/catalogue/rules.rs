//! Kinds of problems that come from the rules about one entry (R071 and up).
use super::Kind;
use crate::problem::Severity;

/// R071: model that clemcore cannot run.
pub const UNRUNNABLE: Kind = Kind {
    code: "R071",
    slug: "unrunnable",
    title: "model that clemcore cannot run",
    severity: Severity::Hint,
    explanation: "This version of clemcore does not include the backend of the entry, or the backend refuses one of the \
        entry's keys. Loading the model fails with the same sentence, and `clem list models` marks it.",
    bad: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "do_sample": true}]"#,
    good: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "temperature": 0.7}]"#,
};

/// R072: number outside of its range.
pub const OUT_OF_RANGE: Kind = Kind {
    code: "R072",
    slug: "out-of-range",
    title: "number outside of its range",
    severity: Severity::Warning,
    explanation: "The key takes numbers of a certain range, and this one is outside: shares are numbers between 0 and 1, \
        not percentages, and no sampling temperature is below zero. Calls with it are refused.",
    bad: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "top_p": 90}]"#,
    good: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "top_p": 0.9}]"#,
};

/// R073: keys that contradict each other.
pub const CONTRADICTION: Kind = Kind {
    code: "R073",
    slug: "contradiction",
    title: "keys that contradict each other",
    severity: Severity::Warning,
    explanation: "Two keys of the entry exclude each other, or say different things about one setting. Nobody can tell \
        which one was meant, so the model is not loaded.",
    bad: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"load_in_4bit": true, "load_in_8bit": true}}]"#,
    good: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"load_in_4bit": true}}]"#,
};

/// R074: key that needs another one.
pub const INCOMPLETE: Kind = Kind {
    code: "R074",
    slug: "incomplete",
    title: "key that needs another one",
    severity: Severity::Warning,
    explanation: "A key of the entry works only together with another key, which is missing. The model is not loaded.",
    bad: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"cot_output": true}}]"#,
    good: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "model_config": {"cot_output": true, "cot_end_tag": "</think>"}}]"#,
};

/// R075: limits that do not fit together.
pub const SIZE_CONFLICT: Kind = Kind {
    code: "R075",
    slug: "size-conflict",
    title: "limits that do not fit together",
    severity: Severity::Warning,
    explanation: "An answer or an input cannot be longer than the context, and `max_tokens` cannot be more than the \
        longest answer. One of the two numbers is wrong, or has another unit.",
    bad: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "context_size": 8192, "max_output_tokens": 64000}]"#,
    good: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "context_size": "128k", "max_output_tokens": 64000}]"#,
};

/// R076: invalid price.
pub const PRICE: Kind = Kind {
    code: "R076",
    slug: "price",
    title: "invalid price",
    severity: Severity::Warning,
    explanation: "`prices` holds numbers of USD per million tokens: `input` and `output`, perhaps `cached_input`, and \
        perhaps `tiers`, a list of such objects with `above`. Without valid prices no call can be priced, so the model \
        is not loaded.",
    bad: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "prices": {"input": "$0.55", "output": 2.2}}]"#,
    good: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "prices": {"input": 0.55, "output": 2.2}}]"#,
};

/// R077: price per token.
pub const PRICE_UNIT: Kind = Kind {
    code: "R077",
    slug: "price-unit",
    title: "price per token",
    severity: Severity::Warning,
    explanation: "`prices` are per million tokens. This price is so low that it is probably one per token, and every \
        cost would be a millionth of the real one.",
    bad: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "prices": {"input": 5.5e-07, "output": 2.2e-06}}]"#,
    good: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "prices": {"input": 0.55, "output": 2.2}}]"#,
};

/// R078: address that cannot be called.
pub const ADDRESS: Kind = Kind {
    code: "R078",
    slug: "address",
    title: "address that cannot be called",
    severity: Severity::Warning,
    explanation: "The address of a server begins with `http://` or `https://` and a host, and ends before the path that \
        each protocol adds, such as `/chat/completions`. It holds no password: keys belong into `key.json` or the \
        environment. Loading refuses it with the same words.",
    bad: r#"[{"model_name": "m", "backend": "openai_compatible", "model_id": "m", "base_url": "localhost:8000/v1"}]"#,
    good: r#"[{"model_name": "m", "backend": "openai_compatible", "model_id": "m", "base_url": "http://localhost:8000/v1"}]"#,
};

/// R079: not the id of a repository.
pub const HUB_ID: Kind = Kind {
    code: "R079",
    slug: "hub-id",
    title: "not the id of a repository",
    severity: Severity::Warning,
    explanation: "`huggingface_id` is the id of a repository on the hub, as `org/model`, or the path of a local folder. \
        The hub finds nothing under the address of a page, or under an id with a slash at its end.",
    bad: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "https://huggingface.co/org/m"}]"#,
    good: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "org/m"}]"#,
};

/// R080: whitespace around a name.
pub const WHITESPACE: Kind = Kind {
    code: "R080",
    slug: "whitespace",
    title: "whitespace around a name",
    severity: Severity::Warning,
    explanation: "Names and ids are compared character by character. With whitespace before or after it, this name is \
        not found without the same whitespace.",
    bad: r#"[{"model_name": " m1 ", "backend": "mock"}]"#,
    good: r#"[{"model_name": "m1", "backend": "mock"}]"#,
};

/// R081: generation argument in `model_config`.
pub const MISPLACED: Kind = Kind {
    code: "R081",
    slug: "misplaced",
    title: "generation argument in model_config",
    severity: Severity::Warning,
    explanation: "Generation arguments such as `temperature` and `max_tokens` stand in the entry itself. In `model_config` \
        nothing reads them, and the model would run with other values. The model is not loaded.",
    bad: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "model_config": {"temperature": 0.7}}]"#,
    good: r#"[{"model_name": "m", "backend": "openai", "model_id": "m", "temperature": 0.7}]"#,
};

/// R082: plain text that is escaped like a pattern.
pub const ESCAPED_TEXT: Kind = Kind {
    code: "R082",
    slug: "escaped-text",
    title: "plain text that is escaped like a pattern",
    severity: Severity::Warning,
    explanation: "In the flat layout of 2024, `eos_to_cull` is plain text, not a regular expression. No answer ends with \
        these backslashes, so nothing is ever cut off.",
    bad: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "eos_to_cull": "<\\|im_end\\|>"}]"#,
    good: r#"[{"model_name": "m", "backend": "huggingface_local", "huggingface_id": "o/m", "eos_to_cull": "<|im_end|>"}]"#,
};

/// R083: key without effect.
pub const NO_EFFECT: Kind = Kind {
    code: "R083",
    slug: "no-effect",
    title: "key without effect",
    severity: Severity::Warning,
    explanation: "The entry's backend does not read this key where it stands: a generation argument that the backend \
        does not send, a key of the entry inside `model_config`, a setting that only other backends have, or a key of an object \
        whose keys are listed, such as `multimodality`, that is none of these.",
    bad: r#"[{"model_name": "m", "backend": "anthropic", "model_id": "m", "response_format": {"type": "json_object"}}]"#,
    good: r#"[{"model_name": "m", "backend": "anthropic", "model_id": "m"}]"#,
};
