//! The known keys of `model_config`.
use super::Type::{Bool, Int, Number, Object, String, Strings};
use super::backends::{
    CHATTING, COMPLETIONS, HUGGINGFACE, KEYED, LLAMACPP, LOCAL, MOCK, OLD_MULTIMODAL, REMOTE, SELECTIVE,
    SERVERS, SLURK,
};
use super::{Field, Rule};

const fn field(name: &'static str, types: &'static [super::Type], meaning: &'static str) -> Field {
    Field::new(name, types, meaning)
}

/// Keys of 3.x for vision-language models, which nothing reads any more.
const fn old(name: &'static str, types: &'static [super::Type], meaning: &'static str) -> Field {
    field(name, types, meaning)
        .read_by(OLD_MULTIMODAL)
        .deprecated("huggingface_local needs nothing of the kind")
}

/// What `multimodality` may say.
pub(super) const MODALITIES: &[(&str, &str)] = &[
    ("single_image", "one image in a dialogue"),
    ("multiple_images", "several images"),
    ("max_images", "how many images a dialogue may have"),
    ("max_image_bytes", "how large an image may be, in bytes"),
    ("max_image_tokens", "how many tokens an image counts at most"),
    ("image_types", "which types are taken, as `[\"image/png\"]`"),
    ("audio", "sound"),
    ("video", "moving images"),
];

/// Keys that stand in `model_config`, or in the flat layout of 2024 in the entry itself.
pub const MODEL_CONFIG: &[Field] = &[
    // From messages to a prompt.
    field("premade_chat_template", &[Bool], "Whether the tokenizer's own chat template is used.").read_by(LOCAL),
    field("custom_chat_template", &[String], "A chat template (Jinja) in place of the model's own: its text, or the path of its file.")
        .read_by(LOCAL)
        .rule(Rule::Template),
    field("chat_template_kwargs", &[Object], "Variables that the chat template is given.").read_by(LOCAL),
    field("chat_template_language", &[String], "The language that the chat template is given.")
        .read_by(HUGGINGFACE),
    field("template_now", &[String], "What the clock of the chat template tells, as `2026-07-26T12:00`.")
        .read_by(LOCAL)
        .default("the time of the call"),
    field(
        "control_tokens",
        &[String],
        "What becomes of the model's control tokens inside messages: counted in the record, read as text, or refused.",
    )
    .read_by(LOCAL)
    .one_of(&["record", "escape", "error"])
    .default("`record`"),
    field(
        "missing_text",
        &[String],
        "What becomes of a call whose prompt lacks the text of a message: it is refused, or noted in the record.",
    )
    .read_by(LOCAL)
    .one_of(&["error", "record"])
    .default("`error`"),
    field(
        "padding_side",
        &[String],
        "The side on which a batch is padded: with padding on the right, a model would continue the padding.",
    )
        .read_by(HUGGINGFACE)
        .one_of(&["left"])
        .default("`left`"),
    field("bos_string", &[String], "The text of the token that begins a sequence.").read_by(LLAMACPP),
    field("eos_string", &[String], "The text of the token that ends a sequence.").read_by(LLAMACPP),
    // From tokens to an answer.
    field(
        "eos_to_cull",
        &[String],
        "Regular expression of what is cut from the end of an answer (in the flat layout of 2024: plain text).",
    )
    .read_by(&["huggingface_local", "llamacpp", "vllm"])
    .rule(Rule::Pattern),
    field("output_split_prefix", &[String], "The answer begins after the last place where this text occurs.")
        .read_by(LOCAL),
    // Loading of weights.
    field("trust_remote_code", &[Bool], "Whether code from the model's repository may run.")
        .read_by(HUGGINGFACE)
        .default("false"),
    field("attn_implementation", &[String], "The implementation of attention, as `sdpa`.").read_by(HUGGINGFACE),
    field("dtype", &[String], "The type of the weights in memory, as `bfloat16`.")
        .read_by(HUGGINGFACE)
        .default("`auto`: as they are stored"),
    field("torch_dtype", &[String], "The type of the weights in memory, as `bfloat16`.")
        .read_by(HUGGINGFACE)
        .deprecated("`dtype` is the name in transformers 5; both are read"),
    field("revision", &[String], "The branch, tag or commit of the repository on the hub.")
        .read_by(LOCAL)
        .default("the newest of the main branch"),
    field("load_in_8bit", &[Bool], "Whether weights are quantised to 8 bits on loading.")
        .read_by(HUGGINGFACE)
        .default("false"),
    field("load_in_4bit", &[Bool], "Whether weights are quantised to 4 bits on loading.")
        .read_by(HUGGINGFACE)
        .default("false"),
    field("quantization_config", &[Object], "How weights are quantised, in the words of transformers.")
        .read_by(HUGGINGFACE)
        .rule(Rule::Filled),
    field("device", &[String], "The device that computes, as `cuda:1` or `cpu`.")
        .read_by(HUGGINGFACE)
        .rule(Rule::Device)
        .default("the accelerator that torch finds, else the CPU"),
    field(
        "device_map",
        &[String, Object],
        "Which device holds which layers: `auto`, or devices by the name of the module; `cpu` and `disk` are allowed.",
    )
    .read_by(&["huggingface_local", "huggingface_multimodal"])
    .rule(Rule::Devices),
    field("max_memory", &[Object], "The memory that `device_map` may use, by device, as `{\"0\": \"20GB\", \"cpu\": \"60GB\"}`.")
        .read_by(HUGGINGFACE)
        .rule(Rule::Limits),
    field("preflight", &[Bool], "Whether the memory that is needed is compared with the free memory before loading.")
        .read_by(LOCAL)
        .default("true"),
    field("own_weights", &[Bool], "Whether the model has weights of its own, as training needs; else equal models share theirs.")
        .read_by(LOCAL)
        .default("false"),
    field("peft_model", &[String], "An adapter that is put upon the model.").read_by(HUGGINGFACE),
    field("torch_num_threads", &[Int], "Over how many threads PyTorch spreads the work.")
        .unit("threads")
        .read_by(HUGGINGFACE)
        .rule(Rule::Positive)
        .default("as PyTorch decides"),
    field("slow_tokenizer", &[Bool], "Whether the slow tokenizer is used.")
        .read_by(HUGGINGFACE)
        .deprecated("it has no effect: transformers 5 has one tokenizer per model"),
    field("do_sample", &[Bool], "Whether tokens are sampled; otherwise the best one is taken.")
        .read_by(HUGGINGFACE)
        .rule(Rule::Presence)
        .refused("sampling follows the generation argument temperature (0 is greedy); remove the key"),
    field("multimodal", &[Bool], "Whether the model is loaded as a vision-language model, with its processor.")
        .read_by(HUGGINGFACE)
        .default("false"),
    field("filename", &[String], "The GGUF file in the repository or folder; llamacpp allows a glob.").read_by(LOCAL),
    field("additional_files", &[Strings], "The further parts of a model that is split over files.")
        .read_by(LLAMACPP),
    field("execute_on", &[String], "Where the model runs.").read_by(LLAMACPP).one_of(&["gpu", "cpu"]),
    field("gpu_layers_offloaded", &[Int], "How many layers are put on the GPU.")
        .unit("layers")
        .read_by(LLAMACPP)
        .default("all, where llama.cpp was built for a GPU"),
    field("threads", &[Int], "How many threads of the processor compute.")
        .unit("threads")
        .read_by(LLAMACPP)
        .rule(Rule::Positive)
        .default("`$OMP_NUM_THREADS`, else one per processor that this process may use"),
    field("cache_type", &[String], "The number format of the states of tokens (keys and values).")
        .read_by(LLAMACPP)
        .one_of(&["f16", "f32"])
        .default("`f16`"),
    // Computing.
    field(
        "exactness",
        &[String],
        "What an answer may depend on: `exact`, on nothing but the question; `fast`, also on what is computed with it; `certified`, fast, and computed again where that could change the answer.",
    )
    .read_by(LOCAL)
    .one_of(&["exact", "fast", "certified"])
    .default("`exact` for single calls, `fast` for batches"),
    field("prefill_block", &[Int], "In pieces of how many tokens a prompt is fed; 0: in one piece, and nothing is cached.")
        .unit("tokens")
        .read_by(LOCAL)
        .rule(Rule::Within(Some(0), None))
        .default("by device and number format"),
    field(
        "kept_cache",
        &[Int, String],
        "How much memory the states of earlier prompts may take: bytes, or a text like `4GB`; 0 keeps nothing.",
    )
    .read_by(LOCAL)
    .rule(Rule::Bytes)
    .default("a quarter of the memory that is free after loading"),
    // Reasoning.
    field("cot_output", &[Bool], "Whether the model writes its reasoning before the answer.")
        .read_by(CHATTING)
        .default("false"),
    field("cot_bypass", &[String], "Text with which the answer is made to begin, to skip the reasoning.")
        .read_by(HUGGINGFACE),
    field("cot_effort", &[String], "How much the model is asked to reason: `low`, `medium` or `high`.")
        .read_by(HUGGINGFACE),
    field("cot_start_tag", &[String], "Text with which the reasoning begins.").read_by(CHATTING),
    field("cot_end_tag", &[String], "Regular expression of what stands between reasoning and answer.")
        .read_by(CHATTING)
        .rule(Rule::Pattern),
    field(
        "reasoning_model",
        &[Bool],
        "Whether the model reasons before it answers, and takes no temperature of 0.",
    )
    .read_by(COMPLETIONS)
    .rule(Rule::Presence)
    .default("false"),
    field("reasoning_effort", &[String], "How much the model is asked to reason.")
        .read_by(REMOTE),
    field("thinking_mode", &[Bool], "Whether the model thinks before it answers.")
        .read_by(REMOTE)
        .rule(Rule::Presence)
        .default("false"),
    field("thinking_budget", &[Int], "How many tokens the model may think.").unit("tokens").read_by(REMOTE),
    field("reasoning", &[Object], "How much the model is asked to reason, in one form for services and local models.")
        .read_by(CHATTING)
        .rule(Rule::Reasoning)
        .holds(&[
            ("effort", "a word: `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`"),
            ("budget", "tokens, in place of a word"),
            ("on_exceed", "what follows where reasoning has used up its tokens: `empty`, an empty answer; `error`; or, for local models, `close`: the thought is closed and the answer goes on"),
            ("closing", "a sentence that a local model is made to end its thought with where `close` applies"),
        ]),
    // The service and its limits.
    field("api", &[String], "The protocol, where a service has several.")
        .read_by(COMPLETIONS)
        .one_of(&["chat_completions", "responses", "messages"])
        .default("`chat_completions`; `messages` for Claude at Azure"),
    field(
        "on_unsupported",
        &[String],
        "What becomes of a generation argument that was asked for and is not taken: it is refused, left out, or the nearest that is taken is sent.",
    )
    .read_by(SELECTIVE)
    .one_of(&["error", "drop", "nearest"])
    .default("`error`; `drop` for slurk"),
    field(
        "on_identity_change",
        &[String],
        "What follows when another model answers than before, or another version of its system (`served_model`, `system_fingerprint`): a warning, an error, or nothing.",
    )
    .read_by(REMOTE)
    .one_of(&["warn", "error", "ignore"])
    .default("`warn`"),
    field(
        "requires_api_key",
        &[Bool],
        "Whether a key is needed: by a server, or for weights that are only given to an account.",
    )
    .read_by(KEYED)
    .default("true for a server, false for weights"),
    field("extra_body", &[Object], "Further keys of the request body.").read_by(REMOTE),
    field(
        "ca_file",
        &[String],
        "PEM file of the only certificate authority that the server's certificate may come from.",
    )
    .read_by(SERVERS),
    field(
        "verify_tls",
        &[Bool],
        "Whether the server's certificate is verified; false lets any server that answers get your messages and key.",
    )
    .read_by(SERVERS)
    .default("true"),
    field(
        "on_close",
        &[String],
        "What becomes of the chat room at the end: the room is closed for writing and entering, it is deleted with all that was logged, or it stays as it is.",
    )
    .read_by(SLURK)
    .one_of(&["close", "delete", "keep"])
    .default("`close`"),
    field("max_connections", &[Int], "How many calls are under way at once at most.")
        .unit("calls")
        .read_by(REMOTE)
        .rule(Rule::Positive)
        .default("found out while running"),
    field("requests_per_minute", &[Number], "How many requests are sent in a minute at most.")
        .unit("requests per minute")
        .read_by(REMOTE)
        .rule(Rule::Positive),
    field("tokens_per_minute", &[Number], "How many tokens prompts and answers have in a minute at most.")
        .unit("tokens per minute")
        .read_by(REMOTE)
        .rule(Rule::Positive),
    field("total_timeout", &[Number], "How long a call may take, repeated attempts included.")
        .unit("seconds")
        .read_by(REMOTE)
        .rule(Rule::Positive)
        .default("600"),
    field("timeout", &[Number], "How long a call may take, repeated attempts included.")
        .unit("seconds")
        .read_by(REMOTE)
        .rule(Rule::Positive)
        .default("600"),
    field("attempt_timeout", &[Number], "How long one attempt may take.")
        .unit("seconds")
        .read_by(REMOTE)
        .rule(Rule::Positive)
        .default("300"),
    field("idle_timeout", &[Number], "How long nothing may come once an answer has begun.")
        .unit("seconds")
        .read_by(REMOTE)
        .rule(Rule::Positive)
        .default("60"),
    field(
        "bad_reply_attempts",
        &[Int],
        "How many requests a call may make while replies come that cannot be read; each may have to be paid for.",
    )
    .read_by(REMOTE)
    .rule(Rule::Positive)
    .default("1"),
    field("multimodality", &[Object], "What the model takes beside text.").holds(MODALITIES).rule(Rule::Listed),
    field("responses", &[Strings], "What the backend answers, one after another; without it, the last message.")
        .read_by(MOCK),
    field("on_exhausted", &[String], "What follows the last of `responses`.")
        .read_by(MOCK)
        .one_of(&["error", "cycle", "repeat"])
        .default("`error`"),
    // Of earlier releases.
    field("number_gpus", &[Int], "Over how many GPUs the server spreads the model; a note, nothing reads it.")
        .read_by(&["vllm"])
        .deprecated("it is said when the server is started"),
    old("model_class", &[String], "The class that loads the model."),
    old("processor_class", &[String], "The class that loads the processor."),
    old("processor_config", &[Object], "Arguments for loading the processor."),
    old("mm_model_config", &[Object], "Arguments for loading the model."),
    old("automodel_type", &[String], "The class that loads the model."),
    old("prompt", &[String], "The function that makes the prompt."),
    old("response", &[String], "The function that gets the answer."),
    old("use_tokenizer", &[Bool], "Whether a tokenizer takes the place of the processor."),
    old("use_bf16", &[Bool], "Whether the weights are held as bfloat16."),
    old("use_vllm", &[Bool], "Whether vLLM runs the model."),
    old("vllm_context", &[Int], "How many tokens vLLM reserves.").unit("tokens"),
    old("tokenizer_mode", &[String], "The kind of tokenizer, as `mistral`."),
    old("not_distributed", &[Bool], "Whether the model stays on one device."),
    old("low_cpu_mem_usage", &[Bool], "Whether loading saves memory."),
];
