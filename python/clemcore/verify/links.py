"""Whether each call of a file is linked to the one in front of it."""

from __future__ import annotations

from collections.abc import Sequence

from clemcore.calls.encoding import FACTS, LINK, sha256_of_value
from clemcore.calls.reader import RecordedCall
from clemcore.verify.report import CheckedCall

_NAME = f"{FACTS}.{LINK}"


def check_links(calls: Sequence[RecordedCall], checked: Sequence[CheckedCall]) -> str | None:
    """Check the links of a file; return the hash of its last call, or None where no call is linked."""
    digests = [sha256_of_value(call.fields) for call in calls]
    places = {digest: call.place for digest, call in zip(digests, calls, strict=True)}
    before: str | None = None
    for call, each, digest in zip(calls, checked, digests, strict=True):
        if LINK in call.facts:
            _check(call.facts[LINK], before, places, each)
        elif call.facts:
            each.unproven(_NAME, "is missing: nothing shows that the call was recorded at this place")
        before = digest
    return before if any(LINK in call.facts for call in calls) else None


def _check(link: object, before: str | None, places: dict[str, str], each: CheckedCall) -> None:
    if link == before:
        each.proven.append(_NAME)
    elif link is None:
        each.wrong(_NAME, "says that the call was the first of its file: it was moved or copied to this place")
    elif isinstance(link, str) and link in places:
        each.wrong(_NAME, f"names {places[link]} as the call in front of it: calls were moved, copied or removed")
    elif before is None:
        each.wrong(_NAME, "names a call in front of it, which was removed")
    else:
        each.wrong(_NAME, "is not the hash of the call in front of it, which was changed, moved or removed")
