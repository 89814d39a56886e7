"""What the pages say about gateways and backends of one's own, done as a user would do it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from clemcore import backends
from clemcore.errors import BadReplyError
from support.remote import HELLO, write_keys
from support.wire_server import WireServer, reply

DOCS = Path(__file__).parents[2] / "docs" / "backends"
PACKAGED = json.loads((DOCS.parents[1] / "model_registry.json").read_text(encoding="utf-8"))


def test_the_file_of_the_page_is_a_backend(wire_server: WireServer) -> None:
    page = (DOCS / "writing.md").read_text(encoding="utf-8")
    source = re.search(r"`lab_api.py`:\n```python\n(.*?)```", page, re.DOTALL)
    assert source is not None
    lines = [line for line in source[1].splitlines() if line.strip()]
    assert len(lines) <= 25, "about 20 lines, as the page says"
    Path("lab_api.py").write_text(source[1])
    Path("model_registry.json").write_text('[{"model_name": "lab-1", "backend": "lab", "model_id": "one"}]')
    write_keys(lab={"api_key": "sk-lab", "base_url": wire_server.url})
    wire_server.script = [reply(200, {"text": " Yes. ", "tokens": [9, 4]})]
    result = backends.get_model_for("lab-1", {"stop": "x"}).generate_response(HELLO)
    assert wire_server.only.target == "/generate"
    assert result[0] == wire_server.only.json
    assert result[2] == "Yes."
    wire_server.script = [reply(200, {"words": "Yes."})]
    with pytest.raises(BadReplyError, match=r"not the form of an answer \(KeyError: 'tokens'\)") as caught:
        backends.get_model_for("lab-1").generate_response(HELLO)
    assert caught.value.response == {"words": "Yes."}


def test_the_addresses_of_the_page_are_those_of_the_registry() -> None:
    page = (DOCS / "gateways.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| [^|]+ \| `(https://[^`]+)` \| `(\w+)` \|$", page, re.MULTILINE))
    listed = {key: url for url, key in rows.items()}
    packaged = {
        (entry["model_config"]["key_name"], entry["base_url"])
        for entry in PACKAGED
        if "base_url" in entry and "key_name" in entry.get("model_config", {})
    }
    assert packaged
    for key, url in packaged:
        assert listed[key] == url
