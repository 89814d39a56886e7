"""The public split of instances for training and validation, as the LM Playschool publishes it on the hub."""

from __future__ import annotations

from collections.abc import Callable

from clemcore.clemgame.instances import Row, to_instance_filter
from clemcore.errors import EnvError
from clemcore.spelling import misspelling_of

SPLITS = ("train", "validation")
_DATASET = "colab-potsdam/playpen-data"


def filter_of_split(split: str) -> Callable[[Row], bool]:
    """Return the condition for the instances of a split.

    Raises:
        EnvError: there is no such split, or the package ``datasets`` is not installed (a ValueError).
        Exception: whatever ``datasets`` raises if the hub cannot be reached.
    """
    if split not in SPLITS:
        near = misspelling_of(split, SPLITS)
        hint = "." if near is None else f"; did you mean '{near}'?"
        raise EnvError(f"there is no split {split!r:.80}{hint} Choose {' or '.join(SPLITS)}")
    try:
        from datasets import load_dataset
    except ModuleNotFoundError:
        raise EnvError(
            "--split needs the package 'datasets', which is not installed: pip install datasets"
        ) from None
    return to_instance_filter(load_dataset(_DATASET, "instances", split=split))
