"""What a backend assumes about the service that it calls. It imports no HTTP library."""

from __future__ import annotations

from dataclasses import dataclass

from clemcore.backends.base import require
from clemcore.backends.service.dialects.base import Dialect


@dataclass(frozen=True)
class Service:
    """What a backend presupposes about its service.

    Attributes:
        backend: name of the backend, for messages.
        key_name: under which name the key is looked for when the entry names none.
        dialect: the wire format that it speaks.
        extra: the extra of clemcore that installs what it needs.
        base_url: address when neither the entry nor the key gives one, or None. It is also the address that
            a key without an address of its own was written for.
        takes_several: whether ``base_url`` may be a list or a file of addresses.
    """

    backend: str
    key_name: str
    dialect: Dialect
    extra: str = "openai"
    base_url: str | None = None
    takes_several: bool = False

    def require_engine(self) -> None:
        """Import what every call needs.

        Raises:
            MissingExtraError: it is not installed; the message holds the pip line.
        """
        require("aiohttp", backend=self.backend, extra=self.extra)
        require("tenacity", backend=self.backend, extra=self.extra)
