"""Names of 3.7.2 that this version does not have yet: they can be imported, and say so when they are used."""

from __future__ import annotations

from typing import Any, NoReturn


class Later:
    """Stands for something that comes later; any use of it raises an error that says so."""

    def __init__(self, name: str, what: str) -> None:
        self._name = name
        self._what = what

    def _refuse(self) -> NoReturn:
        raise NotImplementedError(
            f"{self._name} of clemcore 3.7.2 is not part of this version yet: it will come with {self._what}. "
            "To play games, use the command 'clem run', or clemcore.clemgame.play_game in a program"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:  # noqa: ARG002 - whatever is given
        """Refuse to be called."""
        self._refuse()

    def __getattr__(self, name: str) -> Any:
        """Refuse, but let the import system and inspections ask for what every object may have."""
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()

    def __mro_entries__(self, bases: tuple[Any, ...]) -> NoReturn:
        """Refuse to be a base class."""
        self._refuse()

    def __repr__(self) -> str:
        return f"<{self._name}, which comes later>"


_ENVIRONMENTS = ("ClemGameAction", "ClemGameEnv", "ClemGameObservation", "ClemGameState")
globals().update({name: Later(f"clemcore.clemgame.{name}", "environments on servers") for name in _ENVIRONMENTS})
