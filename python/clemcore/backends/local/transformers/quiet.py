"""Keeps what transformers prints away from standard error while a model of ours loads or computes.

Messages and warnings of transformers and of what it computes with go to the logger of this module instead, at level
INFO. Progress bars are shown on terminals only.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
import warnings
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

logger = logging.getLogger(__name__)

# Whether what transformers logs in this context goes to our own logger; other contexts are as before.
QUIET: ContextVar[bool] = ContextVar("clemcore_transformers_quiet", default=False)


class _Redirect(logging.Filter):
    """Takes records of quiet contexts away from a handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not QUIET.get() or record.name.partition(".")[0] == "clemcore":
            return True
        logger.info("%s: %s", record.name, record.getMessage())
        return False


_redirect = _Redirect()


def redirect(name: str) -> None:
    """Let :data:`QUIET` hold for the handlers of a logger, too, and for loggers and warnings that have none."""
    # The last one prints what has no handler, as the messages of accelerate and bitsandbytes.
    last = [] if logging.lastResort is None else [logging.lastResort]
    for handler in [*logging.getLogger(name).handlers, *last]:
        handler.addFilter(_redirect)  # adding it again changes nothing
    redirect_warnings()


def redirect_warnings() -> None:
    """Let :data:`QUIET` hold for Python's warnings; nothing happens where it does already."""
    shown: Any = warnings.showwarning
    if getattr(shown, "is_quiet", False):
        return

    @functools.wraps(shown)
    def show(message: Any, category: Any, *where: Any, **more: Any) -> None:
        if QUIET.get():
            logger.info("%s: %s", category.__name__, message)
        else:
            shown(message, category, *where, **more)

    show.is_quiet = True  # type: ignore[attr-defined]
    warnings.showwarning = show


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Keep transformers quiet in this block; afterwards :data:`QUIET` alone does the same."""
    from transformers.utils import logging as library

    library.get_logger()  # makes its handler, if it was not made yet
    redirect("transformers")
    token = QUIET.set(True)
    try:
        yield
    finally:
        QUIET.reset(token)


@contextlib.contextmanager
def no_bar_of_conversion() -> Iterator[None]:
    """Hide the progress bar of the conversion of GGUF files, which knows no switch, except on terminals."""
    from transformers import modeling_gguf_pytorch_utils as conversion

    bar = conversion.tqdm
    if not sys.stderr.isatty():
        conversion.tqdm = functools.partial(bar, disable=True)
    try:
        yield
    finally:
        conversion.tqdm = bar


@contextlib.contextmanager
def progress_on_terminals_only() -> Iterator[None]:
    """Hide the progress bars of transformers and of downloads where standard error is not a terminal."""
    from huggingface_hub import constants
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars
    from transformers.utils import logging as library

    # Somebody who set the variable has decided already.
    decided = constants.HF_HUB_DISABLE_PROGRESS_BARS is not None
    if decided or sys.stderr.isatty() or not library.is_progress_bar_enabled():
        yield
        return
    downloads_hidden = are_progress_bars_disabled()
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.enable_progress_bar()  # that of downloads, too
        if downloads_hidden:
            disable_progress_bars()
