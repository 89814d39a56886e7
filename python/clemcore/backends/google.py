"""Backend ``google``: Gemini and Gemma by the Gemini API (``generateContent``).

Keys, entry, parameters, and what prompt and response look like: ``docs/backends/google.md``.
"""

from __future__ import annotations

from clemcore.backends.service.backend import ServiceBackend
from clemcore.backends.service.dialects.google_generate import GoogleGenerate
from clemcore.backends.service.service import Service


class Google(ServiceBackend):
    """Makes models behind Google's Gemini API."""

    service = Service(
        backend="google",
        key_name="google",
        dialect=GoogleGenerate(),
        extra="google",
        base_url="https://generativelanguage.googleapis.com",
    )
