"""Writes the special tokens that transformers' tokenizer classes have by default, for folders that name none.

python tools/token_defaults.py    # rewrites the table from the installed transformers
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parent.parent / "python/clemcore/prompts/templates/token_defaults.json"


def table() -> dict[str, Any]:
    """Return the defaults by class, and the classes by type of model, of the installed transformers."""
    import transformers
    from transformers.models.auto import tokenization_auto as auto

    generic = {"TokenizersBackend", "PythonBackend", "PreTrainedTokenizerFast", "MistralCommonBackend"}
    by_type = {
        kind: name.removesuffix("Fast") for kind, name in auto.TOKENIZER_MAPPING_NAMES.items() if name is not None
    }
    classes = {}
    for name in sorted(set(by_type.values()) - generic):
        tokenizer_class = auto.tokenizer_class_from_name(name)
        if tokenizer_class is None or tokenizer_class.__name__ in generic:
            continue
        parameters = inspect.signature(tokenizer_class.__init__).parameters
        classes[name] = {
            parameter: str(found.default)
            for parameter, found in parameters.items()
            if parameter.endswith("_token") and isinstance(found.default, (str, transformers.AddedToken))
        }
    return {
        "transformers": transformers.__version__,
        "classes": classes,
        "model_types": by_type,
        "wrong_classes": sorted(str(kind) for kind in auto.MODELS_WITH_INCORRECT_HUB_TOKENIZER_CLASS),
    }


if __name__ == "__main__":
    TABLE.write_text(json.dumps(table(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
