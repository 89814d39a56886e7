"""Makes a proof: our engine and transformers render the corpus, and what the template's own words suggest."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from clemcore.errors import TemplateError
from clemcore.prompts.proof.cases import Case, adapted, corpus
from clemcore.prompts.proof.compare import BoundsError, Renderer, compare
from clemcore.prompts.proof.cover import Features
from clemcore.prompts.proof.oracle import Transformers
from clemcore.prompts.proof.result import Proof
from clemcore.prompts.proof.subject import Subject, versions
from clemcore.prompts.templates import ChatTemplate
from clemcore.prompts.templates.isolation import breaks_bounds


def prove(
    subject: Subject,
    *,
    now: datetime | None = None,
    more_cases: Iterable[Case] = (),
    ours: Renderer | None = None,
) -> Proof:
    """Compare our engine with transformers.

    Args:
        subject: what is to be proven.
        now: pins the clock of ``strftime_now`` on both sides; by default it stands still at the present.
        more_cases: further conversations.
        ours: another renderer in our engine's stead.

    Raises:
        TemplateError: the template has a fault that transformers finds, too, or breaks a bound.
    """
    begin = time.perf_counter()
    clock = now or datetime.now()
    theirs = Transformers(subject.tokenizer, subject.source, clock)
    engine = OurEngine(subject.source, subject.special_tokens, clock)
    if engine.fault is not None:
        if breaks_bounds(engine.fault):
            raise engine.fault
        _check_compiles(subject.source, engine.fault)
    cases = [*corpus(), *adapted(subject.source, engine.variables), *more_cases]
    result = compare(
        ours or engine,
        theirs,
        [_with(case, subject.template_kwargs) for case in cases],
        check_ids=theirs.check_ids if subject.with_ids else None,
    )
    find = Features(subject.source).of
    covered = [find(case.messages, case.arguments(), clock) for case in result.agreed]
    return Proof(
        id=subject.id,
        fingerprint=subject.fingerprint,
        special_tokens=subject.special_tokens,
        template_kwargs=dict(subject.template_kwargs),
        versions=versions(),
        tokenizer=subject.tokenizer_id,
        clock=clock.isoformat(),
        clock_is_pinned=now is not None,
        engine=engine.name,
        engine_reason=engine.reason,
        cases=result.cases,
        rendered=result.rendered,
        differing=result.differing,
        first=result.first,
        covered=frozenset().union(*covered),
        seconds=round(time.perf_counter() - begin, 6),
    )


class OurEngine:
    """Our engine as one side of a proof; a template that it cannot read is an error of every case.

    Attributes:
        fault: why the template cannot be read, or None.
    """

    def __init__(self, source: str, special_tokens: Mapping[str, Any], now: datetime) -> None:
        """Compile the template."""
        self._source = source
        self._template: ChatTemplate | None = None
        self.fault: TemplateError | None = None
        try:
            self._template = ChatTemplate(source, special_tokens=special_tokens, now=now)
        except TemplateError as fault:
            self.fault = fault

    @property
    def name(self) -> str:
        """Which engine it is."""
        return self._template.engine if self._template is not None else "clemcore"

    @property
    def reason(self) -> str:
        """Why it is not the core, or ""."""
        return self._template.engine_reason if self._template is not None else ""

    @property
    def variables(self) -> frozenset[str]:
        """The names that the template reads and does not set."""
        return self._template.variables if self._template is not None else frozenset()

    def __call__(self, case: Case) -> str:
        """Render a case."""
        if self._template is None:
            raise TemplateError(f"the template cannot be read: {self.fault}")
        try:
            return self._template.render(case.messages, **case.arguments())
        except TemplateError as fault:
            if breaks_bounds(fault):
                msg = f"{fault}; transformers has no bounds and is not asked"
                raise BoundsError(msg, line=fault.line, column=fault.column, excerpt=fault.excerpt) from fault
            raise


def _check_compiles(source: str, fault: TemplateError) -> None:
    """Raise our fault where transformers finds one, too."""
    import jinja2
    from transformers.utils import chat_template_utils

    compile_: Callable[[str], Any] = chat_template_utils._compile_jinja_template
    try:
        compile_(source)
    except (jinja2.TemplateError, SyntaxError, RecursionError):
        raise fault from None


def _with(case: Case, kwargs: Mapping[str, Any]) -> Case:
    return dataclasses.replace(case, kwargs={**kwargs, **case.kwargs}) if kwargs else case
