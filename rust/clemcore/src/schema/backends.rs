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

/// Models that run in this process.
pub(super) const LOCAL: &[&str] = &["huggingface_local", "llamacpp"];
pub(super) const HUGGINGFACE: &[&str] = &["huggingface_local"];
pub(super) const LLAMACPP: &[&str] = &["llamacpp"];
pub(super) const SLURK: &[&str] = &["slurk"];
pub(super) const MOCK: &[&str] = &["mock"];
/// Services that are asked over the network.
pub(super) const REMOTE: &[&str] =
    &["anthropic", "azure", "cohere", "google", "mistral", "openai", "openai_compatible", "openrouter"];
/// Whatever has an address of its own.
pub(super) const SERVERS: &[&str] = &[
    "anthropic",
    "azure",
    "cohere",
    "google",
    "mistral",
    "openai",
    "openai_compatible",
    "openrouter",
    "slurk",
];
/// Whatever may want a key.
pub(super) const KEYED: &[&str] = &[
    "anthropic",
    "azure",
    "cohere",
    "google",
    "huggingface_local",
    "mistral",
    "openai",
    "openai_compatible",
    "openrouter",
];
/// Services of the Chat Completions protocol.
pub(super) const COMPLETIONS: &[&str] = &["azure", "openai", "openai_compatible", "openrouter"];
/// The backend of 3.x for vision-language models, whose keys old registries still have.
pub(super) const OLD_MULTIMODAL: &[&str] = &["huggingface_multimodal"];
