//! The backends that come with clemcore, and those that older registries name.

/// The values of `"backend"` whose entries are known: those of the backends that clemcore includes, and of
/// [`NOT_INCLUDED`]. Callers with plugins name those besides.
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
    "replay",
    "slurk",
    "_player_human",
    "_player_programmed",
];

/// Backends whose entries are known although clemcore does not include them, and what to do instead.
pub const NOT_INCLUDED: &[(&str, &str)] = &[];

/// Backends of earlier releases, and what to do instead.
pub const RETIRED: &[(&str, &str)] = &[
    ("alephalpha", "use another backend, or write an alephalpha_api.py"),
    ("huggingface_multimodal", "use the backend huggingface_local with model_config.multimodal true"),
    ("vllm", "serve the model (`vllm serve`) and use the backend openai_compatible"),
];

/// That clemcore does not include a backend that older registries name, and what to do instead; `None` for every
/// other name. The check, the loader, `clem list` and `clem doctor` all say this sentence.
///
/// ```
/// let sentence = clemcore::schema::absence("vllm").unwrap();
/// assert!(sentence.starts_with("clemcore does not include the backend 'vllm': serve the model"));
/// assert!(clemcore::schema::absence("openai").is_none());
/// ```
#[must_use]
pub fn absence(backend: &str) -> Option<String> {
    let (name, instead) = NOT_INCLUDED.iter().chain(RETIRED).find(|(name, _)| *name == backend)?;
    Some(format!("clemcore does not include the backend '{name}': {instead}"))
}

/// Models that run in this process.
pub(super) const LOCAL: &[&str] = &["huggingface_local", "llamacpp"];
pub(super) const HUGGINGFACE: &[&str] = &["huggingface_local"];
pub(super) const LLAMACPP: &[&str] = &["llamacpp"];
/// Services, and models of the hub on this machine.
const SERVICES_AND_HUB: &[&str] = &[
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
/// Backends that tell the reasoning in an answer from the answer itself.
pub(super) const CHATTING: &[&str] = SERVICES_AND_HUB;
/// Backends that take generation arguments which they do not all support.
pub(super) const SELECTIVE: &[&str] = &[
    "anthropic",
    "azure",
    "cohere",
    "google",
    "huggingface_local",
    "llamacpp",
    "mistral",
    "openai",
    "openai_compatible",
    "openrouter",
    "slurk",
];
pub(super) const REPLAY: &[&str] = &["replay"];
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
pub(super) const KEYED: &[&str] = SERVICES_AND_HUB;
/// Services of the Chat Completions protocol.
pub(super) const COMPLETIONS: &[&str] = &["azure", "openai", "openai_compatible", "openrouter"];
/// The backend of 3.x for vision-language models, whose keys old registries still have.
pub(super) const OLD_MULTIMODAL: &[&str] = &["huggingface_multimodal"];
