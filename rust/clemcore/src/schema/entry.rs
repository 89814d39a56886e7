//! The known keys of an entry.
use super::Type::{Bool, Int, Null, Number, Object, String, Strings};
use super::backends::{LLAMACPP, LOCAL, MOCK, REMOTE, REPLAY, SERVERS, SLURK};
use super::{Field, Rule};

const fn field(name: &'static str, types: &'static [super::Type], meaning: &'static str) -> Field {
    Field::new(name, types, meaning)
}

/// Keys that stand in the entry itself.
pub const ENTRY: &[Field] = &[
    // What it is called and who runs it.
    field("model_name", &[String], "The name by which the model is selected.").rule(Rule::Required),
    field(
        "backend",
        &[String],
        "The backend that runs the model: the name of a file in `clemcore/backends/`, of a `NAME_api.py` in the \
         working directory, or of a plugin.",
    )
    .rule(Rule::Required),
    field("aliases", &[Strings], "Further names by which the model is selected; an entry of that name comes before."),
    field("model_id", &[String], "The name under which the provider knows the model.")
        .read_by(REMOTE)
        .rule(Rule::Needed),
    field("huggingface_id", &[String], "The repository on the Hugging Face hub, or a local folder.")
        .read_by(LOCAL)
        .rule(Rule::Needed),
    field("filename", &[String], "The GGUF file in the repository; may be a glob.").read_by(LLAMACPP),
    field("model_config", &[Object], "Everything that only the backend has to know."),
    // Facts about the model.
    field("family", &[String], "The line of models that it belongs to, in lower case."),
    field("release_date", &[String, Null], "The day on which the model was released, as `2024-01-31`.")
        .rule(Rule::Date),
    field(
        "deprecation_date",
        &[String, Null],
        "The day on which the provider shuts the model down, announced or past.",
    )
    .read_by(REMOTE)
    .rule(Rule::Date),
    field("open_weight", &[Bool, Null], "Whether the weights can be had."),
    field(
        "parameters",
        &[String, Number, Null],
        "How many parameters the model has, as `7B`; empty where it is not known.",
    ),
    field("languages", &[Strings, Null], "The languages that the model is made for, as BCP-47 codes.")
        .rule(Rule::Languages),
    field(
        "license",
        &[Object, String, Null],
        "The licence of the weights or the service: an object with `name` and `url`.",
    )
    .holds(&[("name", "its usual name"), ("url", "where its text stands")]),
    // Limits and abilities.
    field(
        "context_size",
        &[String, Int, Null],
        "How many tokens fit into the context: `131072`, `128k` (k is 1024) or empty where it is not known.",
    )
    .unit("tokens")
    .rule(Rule::Size),
    field(
        "max_input_tokens",
        &[Int],
        "The longest input, where it is less than the context or the context is not known.",
    )
    .unit("tokens")
    .read_by(REMOTE)
    .rule(Rule::Positive),
    field("max_output_tokens", &[Int], "The longest answer, thinking included.")
        .unit("tokens")
        .read_by(REMOTE)
        .rule(Rule::Positive),
    field("prices", &[Object], "What tokens cost.").rule(Rule::Prices)
        .unit("USD per million tokens")
        .read_by(REMOTE)
        .holds(&[
            ("input", "a million tokens of input"),
            ("cached_input", "a million tokens of input that the provider has seen before"),
            ("output", "a million tokens of output"),
            ("tiers", "a list of other prices for long inputs: `above` (tokens of input), `input`, `output`"),
            ("date", "the day of the price list"),
        ]),
    field("thinking", &[Object], "How the model can think before it answers.").read_by(REMOTE).holds(&[
        ("supported", "whether it can"),
        ("style", "how it is asked to: by `effort` (a word), `budget` (tokens), `level` (a word) or `adaptive` (by itself)"),
        ("on_by_default", "whether it thinks unasked"),
        ("always", "whether it cannot be turned off"),
        ("efforts", "the words that it takes"),
        ("off", "the word that turns it off, where it is not `disabled`"),
    ])
    .rule(Rule::Listed),
    field(
        "sampling_parameters",
        &[Strings],
        "The sampling parameters that the service accepts; an empty list: none, not even with default values.",
    )
    .read_by(REMOTE),
    field(
        "sampling_parameters_without_thinking",
        &[Strings],
        "The sampling parameters that the service accepts only while thinking is turned off.",
    )
    .read_by(REMOTE),
    field("token_limit_parameter", &[String], "The name under which the limit on the answer is sent.")
        .read_by(REMOTE)
        .default("`max_tokens`"),
    field("prefill", &[Bool], "Whether an assistant message at the end is continued; false: it is refused.")
        .read_by(REMOTE),
    field("api_version", &[String], "The version of the protocol under which the parameters are accepted.")
        .read_by(&["anthropic", "azure", "google"])
        .default(
            "anthropic: `2023-06-01`, or `2026-10-21` where `sampling_parameters` is empty; google: `v1`",
        ),
    field("multimodality", &[Object], "What the model takes beside text.")
        .holds(super::model_config::MODALITIES)
        .rule(Rule::Listed),
    // How it is asked when nobody says otherwise.
    field("temperature", &[Number], "Sampling temperature; 0 is greedy.").argument().rule(Rule::Within(Some(0), None)).default("0"),
    field("max_tokens", &[Int], "How many tokens an answer may have.").argument().rule(Rule::Positive).unit("tokens").default("300"),
    field("seed", &[Int], "Seed of the sampling, where the backend has one.").argument(),
    field("top_p", &[Number], "Nucleus sampling: the share of probability that is sampled from.").argument().rule(Rule::Within(Some(0), Some(1))),
    field("top_k", &[Int], "How many tokens are sampled from.").argument().rule(Rule::Within(Some(-1), None)),
    field("min_p", &[Number], "Least probability of a sampled token, relative to the best.").argument().rule(Rule::Within(Some(0), Some(1))),
    field("stop", &[Strings, String], "Texts at which the answer ends.").argument(),
    field("presence_penalty", &[Number], "Penalty for tokens that have occurred.").argument().rule(Rule::Within(Some(-2), Some(2))),
    field("frequency_penalty", &[Number], "Penalty for tokens by how often they have occurred.").argument().rule(Rule::Within(Some(-2), Some(2))),
    field("repetition_penalty", &[Number], "Factor by which tokens that have occurred become less likely.").argument().rule(Rule::Positive)
        .read_by(&["huggingface_local", "llamacpp", "openai_compatible", "openrouter"]),
    // Where it is.
    field(
        "base_url",
        &[String, Strings],
        "Address of the server. For `openai_compatible` also a list of addresses, or the path of a file with one \
         address per line (`file:servers.txt`): several servers of one model.",
    )
    .rule(Rule::Address)
    .nests()
    .read_by(SERVERS),
    field(
        "key_name",
        &[String],
        "The key that is sent, by its name in `key.json` or in front of `_API_KEY` in the environment.",
    ).nests()
    .read_by(SERVERS)
    .default("the backend's name"),
    field("path", &[String], "The record whose answers are given again.").read_by(REPLAY),
    field("model", &[String], "The model of the record whose answers are given, where it has several.").read_by(REPLAY),
    field("slurk_host", &[String], "Address of the Slurk server.").rule(Rule::Address).nests().read_by(SLURK),
    field(
        "room_layout_path",
        &[String],
        "The layout of the chat room, a JSON file; `packaged` for the one that comes along.",
    ).nests()
    .read_by(SLURK)
    .default("`packaged`"),
    field("bot_name", &[String], "The name under which the game master speaks.").nests()
        .read_by(SLURK)
        .default("`Game Master`"),
    field("join_timeout", &[Number], "How long to wait for a player to join.").nests()
        .unit("seconds")
        .read_by(SLURK)
        .rule(Rule::Positive)
        .default("300"),
    field("response_timeout", &[Number], "How long to wait for an answer.").nests()
        .unit("seconds")
        .read_by(SLURK)
        .rule(Rule::Positive)
        .default("300"),
    field("responses", &[Strings], "What the backend answers, one after another; without it, the last message.")
        .read_by(MOCK),
    // About the entry itself.
    field(
        "lookup_source",
        &[String],
        "Where the entry comes from; set on loading where the entry does not say it.",
    ),
    field("lint", &[Object], "What `clem registry check` is told about this entry.")
        .holds(&[("allow", "codes of warnings and hints that are right here, as `[\"R064\"]`")]),
];

/// Keys that a selector has and an entry does not.
pub const SELECTOR: &[Field] = &[field(
    "override",
    &[Object],
    "Fields that replace those of the entry that was found, on purpose: objects are merged, `null` removes a field. \
     The record says what changed.",
)];
