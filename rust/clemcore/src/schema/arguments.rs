//! Generation arguments beside those that every entry may have, and the backends that send them.
use super::backends::COMPLETIONS;

const WITH_COHERE: &[&str] = &["azure", "cohere", "mistral", "openai", "openai_compatible", "openrouter"];
const WITH_MISTRAL: &[&str] = &["azure", "mistral", "openai", "openai_compatible", "openrouter"];
const WITH_GOOGLE: &[&str] =
    &["azure", "cohere", "google", "mistral", "openai", "openai_compatible", "openrouter"];
const WITH_CLAUDE: &[&str] =
    &["anthropic", "azure", "cohere", "google", "mistral", "openai", "openai_compatible", "openrouter"];
const GOOGLE: &[&str] = &["google", "openai_compatible", "openrouter"];
const MISTRAL: &[&str] = &["mistral", "openai_compatible", "openrouter"];

/// Names that mean a generation argument wherever they stand, and the backends that can send each. Those that pass on
/// any field (`openai_compatible` and `openrouter`) can send them all.
pub const ARGUMENTS: &[(&str, &[&str])] = &[
    ("candidate_count", GOOGLE),
    ("function_call", COMPLETIONS),
    ("functions", COMPLETIONS),
    ("logit_bias", COMPLETIONS),
    ("logprobs", WITH_GOOGLE),
    ("max_completion_tokens", COMPLETIONS),
    ("n", WITH_MISTRAL),
    ("parallel_tool_calls", WITH_MISTRAL),
    ("prediction", WITH_MISTRAL),
    ("random_seed", MISTRAL),
    ("response_format", WITH_COHERE),
    ("response_mime_type", GOOGLE),
    ("response_schema", GOOGLE),
    ("safe_prompt", MISTRAL),
    ("safety_settings", GOOGLE),
    ("stop_sequences", &["anthropic", "azure", "cohere", "google", "openai_compatible", "openrouter"]),
    ("stream_options", COMPLETIONS),
    ("thinking_config", GOOGLE),
    (
        "tool_choice",
        &["anthropic", "azure", "cohere", "mistral", "openai", "openai_compatible", "openrouter"],
    ),
    ("tools", WITH_CLAUDE),
    ("top_logprobs", &["azure", "google", "mistral", "openai", "openai_compatible", "openrouter"]),
    ("verbosity", COMPLETIONS),
    ("web_search_options", COMPLETIONS),
];

/// The backends that send a generation argument; `None` for a name that is none of [`ARGUMENTS`].
#[must_use]
pub fn senders(name: &str) -> Option<&'static [&'static str]> {
    ARGUMENTS.iter().find(|(known, _)| *known == name).map(|(_, backends)| *backends)
}
