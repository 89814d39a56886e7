"""Makes a chat template that is rendered by our own engine where a proof covers the conversation.

A proof is valid for one template with its tokens and variables, one tokenizer and certain versions (see
:mod:`clemcore.prompts.proof`). :mod:`clemcore.prompts.proof.cover` decides about each conversation.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from clemcore.errors import TemplateError
from clemcore.prompts.proof import Subject, Transformers, proof_for
from clemcore.prompts.proof.compare import BoundsError
from clemcore.prompts.proof.cover import Cover, CoveredTemplate, OwnTemplate
from clemcore.prompts.templates import ChatTemplate
from clemcore.prompts.templates.isolation import IsolatedTemplate

logger = logging.getLogger(__name__)


def proven_template(tokenizer: Any, model_name: str, source: str, now: datetime | None) -> CoveredTemplate:
    """Compile one model's chat template; its proofs are found or made when they are first needed.

    Args:
        tokenizer: a transformers tokenizer.
        model_name: named in errors.
        source: the template's text.
        now: pins the template's clock.

    Raises:
        TemplateError: it has a fault that jinja2 finds, too; with line and column.
    """

    def find(template_kwargs: Mapping[str, Any]) -> Cover:
        try:
            proof = proof_for(Subject.of_model(source, tokenizer, template_kwargs), now)
        except BoundsError:
            raise
        except Exception as fault:  # noqa: BLE001 - whatever it is, transformers' text is there and is right
            return Cover(frozenset(), {}, f"the proof failed: {type(fault).__name__}: {fault}")
        logger.info("model '%s': proof %s holds: %s", model_name, proof.id, proof.holds)
        refusal = "" if proof.holds else f"the proof does not hold: {proof.reason}"
        return Cover(proof.covered, proof.facts(), refusal)

    own = _own(source, Subject.of_model(source, tokenizer).special_tokens, now, model_name)
    return CoveredTemplate(model_name, own, Transformers(tokenizer, source, now), find)


def _own(source: str, tokens: Mapping[str, Any], now: datetime | None, model_name: str) -> OwnTemplate:
    """Return our own side, which may be unable to read the template."""
    try:
        template = ChatTemplate(source, special_tokens=tokens, now=now)
    except TemplateError as fault:
        try:
            variables = IsolatedTemplate(source).variables()
        except TemplateError:
            raise TemplateError(
                f"the chat template of '{model_name}' has a fault: {fault}",
                line=fault.line,
                column=fault.column,
                excerpt=fault.excerpt,
            ) from fault
        return OwnTemplate(
            source, tokens, now, None, f"clemcore's engine cannot read the template: {fault}", variables
        )
    return OwnTemplate(source, tokens, now, template, "", template.variables)
