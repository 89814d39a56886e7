"""Everything that an error could show to a reader of a terminal, a log or a pickle; for tests of secrets."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from typing import Any


def shown_by(work: Callable[[], Any], *errors: type[BaseException]) -> list[str]:
    """Return what the error of a function shows: itself, its chain, its locals, its pickle; nothing if it has none.

    Args:
        work: the function.
        errors: the errors that it may raise.
    """
    try:
        work()
    except errors as error:
        seen = [traceback.format_exc(), pickle.dumps(error).decode("latin-1")]
        seen += traceback.TracebackException.from_exception(error, capture_locals=True).format()
        chain: BaseException | None = error
        while chain is not None:
            seen += [repr(chain), str(chain), repr(vars(chain))]
            chain = chain.__cause__ or chain.__context__
        return seen
    return []
