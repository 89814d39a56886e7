"""The hosts of fixed services: a key of such a service is sent to no other host.

A registry can be downloaded, and so can the address in it. Only the user's own key file or environment can say that
a key belongs to another host (:mod:`clemcore.backends.service.endpoint`).
"""

from __future__ import annotations

from urllib.parse import urlsplit

# By the name of the key: the hosts, each with its subdomains. No stranger can run a server at one of them.
HOSTS = {
    "anthropic": ("anthropic.com",),
    "azure_claude": ("services.ai.azure.com",),
    "azure_gpt": ("openai.azure.com", "services.ai.azure.com", "cognitiveservices.azure.com"),
    "cerebras": ("cerebras.ai",),
    "cohere": ("cohere.com", "cohere.ai"),
    "deepinfra": ("deepinfra.com",),
    "deepseek": ("deepseek.com",),
    "fireworks": ("fireworks.ai",),
    "google": ("generativelanguage.googleapis.com",),
    "groq": ("groq.com",),
    "huggingface": ("huggingface.co",),
    "mistral": ("mistral.ai",),
    "moonshot": ("moonshot.ai", "moonshot.cn"),
    "nebius": ("nebius.com",),
    "nvidia": ("api.nvidia.com",),
    "openai": ("openai.com",),
    "openrouter": ("openrouter.ai",),
    "perplexity": ("perplexity.ai",),
    "sambanova": ("sambanova.ai",),
    "together": ("together.xyz", "together.ai"),
    "xai": ("x.ai",),
    "zai": ("z.ai",),
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
