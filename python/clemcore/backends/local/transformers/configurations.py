"""The generation configurations of one model: made of what was asked over the model's own, and remembered.

While transformers generates, the model's own configuration is put aside. It computes nothing.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from clemcore.backends.local.arguments import Arguments
from clemcore.backends.local.failures import wrapped
from clemcore.backends.local.transformers.description import library_versions
from clemcore.backends.local.transformers.generation_config import (
    build_config,
    effective_arguments,
    end_tokens,
    is_search,
    plain_config,
    sent_arguments,
    sent_choices,
    without_values,
)
from clemcore.backends.local.transformers.own_config import check_for_sampling, check_own_config
from clemcore.backends.local.transformers.processors import beyond_ours
from clemcore.backends.local.transformers.quiet import QUIET, redirect_warnings
from clemcore.errors import ModelLoadError

# Generation configurations that are remembered; then all are forgotten.
_REMEMBERED = 64


@dataclass(frozen=True)
class Settings:
    """What ``generate`` is given for certain arguments.

    Attributes:
        config: the generation configuration.
        plain: the same for jobs whose tokens a hook chooses.
        is_search: whether transformers searches for the whole answer, as with beams.
        effective: what was asked for over the model's own defaults over the library's.
        processors: a configuration with what our own steps do not honour, or None if nothing is left.
        ends: ids of the tokens that end a reply.
        sent: what goes into the record, but for the seed.
        own: the fields of the model's own configuration from which these were made.
        limited: ``effective`` by its ``max_tokens``, each made once.
    """

    config: Any
    plain: Any
    is_search: bool
    effective: Arguments
    processors: Any
    ends: frozenset[int]
    sent: Mapping[str, Any]
    own: Mapping[str, Any]
    limited: dict[int, Arguments] = field(default_factory=dict)

    def effective_for(self, arguments: Arguments, seed: int | None) -> Arguments:
        """Return what holds for certain arguments, with their limit and a seed."""
        most = arguments.max_tokens
        found = self.limited.get(most)
        if found is None:
            found = self.limited[most] = dataclasses.replace(self.effective, max_tokens=most)
        return found if seed is None else dataclasses.replace(found, seed=seed)

    def sent_for(self, arguments: Arguments) -> dict[str, Any]:
        """Return what a job was computed with, for the record."""
        return {**self.sent, "max_new_tokens": arguments.max_tokens, **sent_choices(arguments)}


class Configurations:
    """Makes the generation configurations of one model."""

    def __init__(self, model: Any, tokenizer: Any, vocabulary: int, name: str) -> None:
        """Take the parts.

        Args:
            model: the transformers model.
            tokenizer: its tokenizer.
            vocabulary: number of tokens that the model has embeddings for.
            name: the model's name, for messages.

        Raises:
            ModelLoadError: the model's own configuration has a fault.
        """
        check_own_config(model.generation_config, name, vocabulary)
        self._model = model
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._name = name
        self._settings: dict[Arguments, Settings] = {}
        self._put_aside: Any = None
        self._nothing = without_values(type(model.generation_config))
        try:
            self.settings(Arguments(temperature=0.0, max_tokens=1))
        except Exception as error:
            step = "the generation configuration that came with it cannot be used"
            raise wrapped(error, ModelLoadError, name, step, library_versions()) from error

    def own(self) -> Any:
        """Return the model's own generation configuration, also while another thread has put it aside."""
        while True:
            config, aside = self._model.generation_config, self._put_aside
            if aside is not None:
                return aside
            if config is not self._nothing:
                return config

    def settings(self, arguments: Arguments) -> Settings:
        """Return what generate() is given, made anew where the model's own configuration has changed.

        It is the same for all seeds and all ``max_tokens``; who generates sets ``max_new_tokens`` in a copy.

        Raises:
            ModelLoadError: the model's own configuration was changed, and has a fault now.
            GenerationArgumentError: a sampled answer, for which the model's own configuration has a wrong value.
        """
        arguments = arguments.of_choice
        own = self.own()
        settings = self._settings.get(arguments)
        if settings is None or settings.own != vars(own):
            if len(self._settings) >= _REMEMBERED:
                self._settings.clear()
            check_own_config(own, self._name, self._vocabulary)
            config = build_config(arguments, own, self._tokenizer, self._vocabulary)
            if config.do_sample:
                check_for_sampling(own, config, self._name)
            fields = copy.deepcopy(vars(own))
            settings = Settings(
                config,
                plain_config(config),
                is_search(config),
                effective_arguments(arguments, config),
                beyond_ours(self._model, config),
                end_tokens(config),
                sent_arguments(config),
                fields,
            )
            self._settings[arguments] = settings
        return settings

    def sent(self, arguments: Arguments) -> dict[str, Any]:
        """Return what a job was computed with, for the record."""
        return self.settings(arguments).sent_for(arguments)

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Put the model's own generation configuration aside, and keep the library quiet.

        generate() would fill fields that we left open from it.
        """
        model = self._model
        self._put_aside = model.generation_config
        _set_configuration(model, self._nothing)
        redirect_warnings()
        token = QUIET.set(True)
        try:
            yield
        finally:
            QUIET.reset(token)
            self.restore()

    def restore(self) -> None:
        """Give the model its own configuration back; nothing happens if it has it."""
        if self._put_aside is not None:
            _set_configuration(self._model, self._put_aside)
            self._put_aside = None

    def close(self) -> None:
        """Forget the model."""
        self._model = None


def _set_configuration(model: Any, config: Any) -> None:
    """Give a model a generation configuration; torch's way would first look whether it is a weight or a module."""
    object.__setattr__(model, "generation_config", config)
