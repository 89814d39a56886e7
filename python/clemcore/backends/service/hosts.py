"""The hosts of fixed services: a key of such a service is sent to no other host.

A registry can be downloaded, and so can the address in it. Only the user's own key file or environment can say that
a key belongs to another host (:mod:`clemcore.backends.service.endpoint`).
"""

from __future__ import annotations

from urllib.parse import urlsplit

_AZURE = ("openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com")
_COHERE = ("cohere.com", "cohere.ai")
_GOOGLE = ("generativelanguage.googleapis.com",)
_HUGGING_FACE = ("huggingface.co",)
_TOGETHER = ("together.xyz", "together.ai")
_ZHIPU = ("bigmodel.cn", "z.ai")

# By the name of the key: the hosts, each with its subdomains. No stranger can run a server at one of them. Other
# programs keep the key of the same service under another name ($CO_API_KEY, $GEMINI_API_KEY): these are listed too.
HOSTS = {
    "ai21": ("ai21.com",),
    "anthropic": ("anthropic.com",),
    "azure": _AZURE,
    "azure_ai": _AZURE,
    "azure_claude": ("services.ai.azure.com",),
    "azure_gpt": _AZURE,
    "azure_openai": _AZURE,
    "baseten": ("baseten.co",),
    "cerebras": ("cerebras.ai",),
    "claude": ("anthropic.com",),
    "co": _COHERE,
    "cohere": _COHERE,
    "dashscope": ("dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com"),
    "deepinfra": ("deepinfra.com",),
    "deepseek": ("deepseek.com",),
    "fireworks": ("fireworks.ai",),
    "fireworks_ai": ("fireworks.ai",),
    "gemini": _GOOGLE,
    "google": _GOOGLE,
    "google_generative_ai": _GOOGLE,
    "groq": ("groq.com",),
    "hf": _HUGGING_FACE,
    "huggingface": _HUGGING_FACE,
    "hyperbolic": ("hyperbolic.xyz",),
    "minimax": ("minimax.io", "minimaxi.com", "minimax.chat"),
    "mistral": ("mistral.ai",),
    "moonshot": ("moonshot.ai", "moonshot.cn"),
    "nebius": ("nebius.com",),
    "novita": ("novita.ai",),
    "nvidia": ("api.nvidia.com",),
    "nvidia_nim": ("api.nvidia.com",),
    "openai": ("openai.com",),
    "openrouter": ("openrouter.ai",),
    "perplexity": ("perplexity.ai",),
    "perplexityai": ("perplexity.ai",),
    "pplx": ("perplexity.ai",),
    "replicate": ("replicate.com",),
    "sambanova": ("sambanova.ai",),
    "siliconflow": ("siliconflow.cn", "siliconflow.com"),
    "together": _TOGETHER,
    "together_ai": _TOGETHER,
    "togetherai": _TOGETHER,
    "xai": ("x.ai",),
    "zai": ("z.ai",),
    "zhipuai": _ZHIPU,
}


def hosts_of(key_name: str) -> tuple[str, ...]:
    """Return the hosts of the service that a key is for; none where the key is not one of a fixed service.

    Names that read the same environment variable are one name.

    Examples:
        >>> hosts_of("openai"), hosts_of("OpenAI"), hosts_of("lab")
        (('openai.com',), ('openai.com',), ())
    """
    return HOSTS.get(key_name.lower().replace("-", "_").replace(".", "_"), ())


def is_at(base_url: str, hosts: tuple[str, ...]) -> bool:
    """Tell whether an address is at one of the hosts, encrypted and at the usual port.

    Examples:
        >>> is_at("https://eu.api.openai.com/v1", ("openai.com",))
        True
        >>> is_at("https://openai.com.example", ("openai.com",))
        False
    """
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    is_usual = parts.scheme == "https" and parts.port in (None, 443)
    return is_usual and any(host == each or host.endswith(f".{each}") for each in hosts)
