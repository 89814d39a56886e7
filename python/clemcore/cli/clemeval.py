"""3.7.2's ``clemcore.clemeval``: the evaluation of scores, which is not part of this version yet."""

from __future__ import annotations

from typing import Any


def perform_evaluation(  # noqa: PLR0917 - 3.7.2's parameters
    results_path: str,
    return_dataframe: bool = False,
    show_std: bool = False,
    sort_by: str = "model_name",
    model_selector: str | None = None,
    game_selector: str | None = None,
) -> Any:
    """Refuse to evaluate scores, which is not part of this version yet.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(
        "the evaluation is not part of this version yet; clemcore 3.7.2 can evaluate the same scores"
    )
