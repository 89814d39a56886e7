"""What transformers and its companions print does not reach standard error while a model of ours computes."""

from __future__ import annotations

import logging
import warnings

import pytest

pytestmark = pytest.mark.slow  # importing transformers alone takes seconds


def test_a_message_without_a_handler(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """As those of accelerate and bitsandbytes: Python prints their warnings itself."""
    from clemcore.backends.local.transformers.quiet import quietly

    foreign = logging.getLogger("somebody.else")
    monkeypatch.setattr(foreign, "propagate", False)  # pytest has a handler at the root
    with quietly():
        foreign.warning("a line for each layer")
    assert capsys.readouterr().err == ""
    foreign.warning("shown")
    assert capsys.readouterr().err == "shown\n"


def test_a_message_of_ours_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from clemcore.backends.local.transformers.quiet import quietly

    ours = logging.getLogger("clemcore.somewhere")
    monkeypatch.setattr(ours, "propagate", False)
    with quietly():
        ours.warning("look")
    assert capsys.readouterr().err == "look\n"


def test_a_warning_of_python(caplog: pytest.LogCaptureFixture) -> None:
    from clemcore.backends.local.transformers.quiet import quietly

    shown: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, *_, **__: shown.append(str(message))
        with caplog.at_level(logging.INFO), quietly(), quietly():
            warnings.warn("ignoring the argument", UserWarning, stacklevel=1)
        assert shown == []
        assert "UserWarning: ignoring the argument" in caplog.text
        warnings.warn("of the program", UserWarning, stacklevel=1)
    assert shown == ["of the program"]
