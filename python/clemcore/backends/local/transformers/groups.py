"""Divides jobs into groups that are computed in one padded call, with little padding. It computes nothing."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from clemcore.backends.local.engine import Job
from clemcore.backends.local.transformers.media import kind_of

# The share of the tokens of a group that may be padding.
MOST_PADDING = 0.2


def padding_of(batch: Sequence[Job]) -> float:
    """Return the share of padding in a call in which all prompts are filled up to the longest.

    Args:
        batch: the jobs.

    Examples:
        >>> from types import SimpleNamespace as Some
        >>> padding_of([Some(ids=[1, 2, 3, 4]), Some(ids=[5, 6])])
        0.25
    """
    longest = max(len(job.ids) for job in batch)
    return 1 - sum(len(job.ids) for job in batch) / (longest * len(batch))


def batch_key(job: Job) -> Hashable:
    """Return what is equal for jobs that one padded batch can compute."""
    return None if job.choose is not None else job.arguments.of_choice, kind_of(job)


def groups_of(jobs: Sequence[Job], most: int) -> list[list[Job]]:
    """Return groups of jobs of similar length, the longest first.

    Args:
        jobs: any jobs; those of one group have the same arguments but for ``max_tokens``, or all choose tokens;
            and the same kind of images.
        most: the most jobs of a group.
    """
    alike: dict[Any, list[Job]] = {}
    for job in jobs:
        alike.setdefault(batch_key(job), []).append(job)
    groups: list[list[Job]] = []
    for same in alike.values():
        group: list[Job] = []
        for job in sorted(same, key=lambda job: len(job.ids), reverse=True):
            if group and (len(group) == most or padding_of([*group, job]) > MOST_PADDING):
                groups.append(group)
                group = []
            group.append(job)
        groups.append(group)
    return groups
