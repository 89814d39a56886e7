"""``clem prove MODEL --server URL``: are a server's prompts ours, and are its answers those of the model here?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clemcore.cli.compare_engines import show
from clemcore.cli.respond import print_json
from clemcore.cli.selection import name_or_folder
from clemcore.cli.terminal import Styled, note, out, progress
from clemcore.errors import SpecError

if TYPE_CHECKING:
    from clemcore.prompts.proof import Case

# So many dialogues are answered; of all, the prompts are compared.
_SAMPLE = 4
_TOKENS = 24
HOLDS, DIFFERS, CANNOT_BE_RUN = 0, 1, 2


def prove_server(
    model: str, set_: Sequence[str], url: str, model_id: str | None, cases: Sequence[Case], *, as_json: bool
) -> int:
    """Compare a server with the model here; return the exit status.

    Args:
        model: name, selector or folder.
        set_: what ``--set`` says.
        url: the server's address.
        model_id: the model's name there.
        cases: further conversations.
        as_json: print JSON.

    Raises:
        ClemcoreError: the server or the model failed.
    """
    from clemcore import loading
    from clemcore.backends.compared.comparison import compare
    from clemcore.backends.compared.dialogues import fitting
    from clemcore.backends.compared.engines import LocalEngine
    from clemcore.backends.compared.server import ServerEngine
    from clemcore.backends.compared.store import save
    from clemcore.backends.local.measured import MeasuredModel

    server = ServerEngine(url, model_id)
    spec = name_or_folder(model, set_)
    with progress(f"loading {model}"):
        loaded = loading.get_model_for(spec)
    if not isinstance(loaded, MeasuredModel):
        raise SpecError(
            f"'{model}' has the backend '{spec.get('backend')}': name the model as it runs here, such as its folder"
        )
    local = LocalEngine(loaded, "here")
    dialogues = fitting([local], None, _TOKENS)
    dialogues += fitting([local], [case.messages for case in cases], _TOKENS) if cases else []

    def tell(words: str) -> None:
        note(Styled(f"asking: {words} …", "dim"))

    with progress(f"proving {url}"):
        made = compare(model, local, server, dialogues, new_tokens=_TOKENS, progress=tell, answers=_SAMPLE)
    id_ = save(made.to_dict(), {engine.name: engine.fingerprint for engine in (local, server)})
    is_shown = made.equal_prompts + made.differing_prompts == made.prompts
    if as_json:
        print_json({"id": id_, "way": server.way, "model_id": server.model_id, **made.to_dict()})
    else:
        show(made, id_)
        out(f"the server shows prompts by: {server.way}")
        words = "differ" if made.differing_prompts else "are equal" if is_shown else "are equal in number only"
        out(f"result: the prompt ids {words}")
    if made.differing_prompts:
        return DIFFERS
    return HOLDS if is_shown else CANNOT_BE_RUN
