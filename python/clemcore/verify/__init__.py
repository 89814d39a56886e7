"""Checking a record for changes, and comparing two records.

What is proven, what is consistent, and what a record cannot prove: ``docs/verification.md``.
"""

from __future__ import annotations

from clemcore.verify.check import verify
from clemcore.verify.difference import first_difference, without_times
from clemcore.verify.report import CheckedCall, Finding, Verification

__all__ = ["CheckedCall", "Finding", "Verification", "first_difference", "verify", "without_times"]
