//! The backends that come with clemcore, and those that older registries name.

/// The values of `"backend"` that clemcore itself provides. Callers with plugins name those besides.
pub const BACKENDS: &[&str] = &[
    "anthropic",
    "azure",
    "cohere",
    "google",
    "huggingface_local",
    "human",
    "llamacpp",
    "mistral",
    "mock",
    "openai",
    "openai_compatible",
    "openrouter",
    "slurk",
    "_player_human",
    "_player_programmed",
];

/// Backends of earlier releases, and what became of them.
pub const RETIRED: &[(&str, &str)] = &[
    ("alephalpha", "it is no longer part of clemcore; a NAME_api.py of your own can provide it"),
    (
        "huggingface_multimodal",
        "it became part of huggingface_local, where an entry says \"model_config\": {\"multimodal\": true}",
    ),
    ("vllm", "it is no longer part of clemcore; `vllm serve` answers through openai_compatible"),
];
