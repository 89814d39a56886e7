"""Chat templates: from messages to the exact text that transformers would make of them.

``template``: a template, compiled once and rendered any number of times. ``preparation``: what transformers does to
messages before a template sees them, by version. ``sources`` and ``gguf``: where templates are found (files, GGUF
files, registry entries). ``isolation``: jinja2 in a process of its own, for what the Rust core does
not cover. No model and no tokenizer is known here; the language itself is ``clemcore._core.TemplateCore``.
"""

from clemcore.prompts.templates.sources import TemplateSource, read_template
from clemcore.prompts.templates.template import ChatTemplate

__all__ = ["ChatTemplate", "TemplateSource", "read_template"]
