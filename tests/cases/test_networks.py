"""Networks of institutes: proxies and hosts without them, silent connections; addresses and keys as pasted."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clemcore.backends.service.http.connections import proxy_of
from clemcore.backends.service.http.no_proxy import bypasses
from clemcore.errors import PermissionDeniedError, RemoteConnectionError, SpecError
from support.remote import CANARY, HELLO, make_model, open_model, write_keys
from support.wire_server import Answer, Received, WireServer, completion

pytestmark = pytest.mark.usefixtures("no_proxies")

# NO_PROXY, host, port, and whether the host is reached without a proxy.
HOSTS = [
    ("10.0.0.0/8", "10.1.2.3", 8000, True),
    ("10.0.0.0/8", "11.1.2.3", 8000, False),
    ("10.9.9.9/8", "10.1.2.3", 8000, True),
    ("fd12::7", "fd12::7", 8000, True),
    ("192.168.0.0/16 , .lab.test", "gpu.lab.test", 8000, True),
    ("a.test b.test", "b.test", 8000, True),
    ("lab.test", "lab.test", 8000, True),
    ("lab.test", "gpu.lab.test", 8000, True),
    ("lab.test", "mylab.test", 8000, False),
    ("LAB.test", "GPU.Lab.Test", 8000, True),
    (".lab.test", "gpu.lab.test", 8000, True),
    (".lab.test", "lab.test.example", 8000, False),
    ("lab.test.", "gpu.lab.test", 8000, True),
    ("10.1.2.3", "10.1.2.3", 8000, True),
    ("10.1.2.3", "10.1.2.30", 8000, False),
    ("*", "lab.test", 8000, True),
    ("", "lab.test", 8000, False),
    (",, ,", "lab.test", 8000, False),
    ("10.0.0.0/99", "10.1.2.3", 8000, False),
]
# Forms that curl does not know, or reads in some of its versions alone.
MORE_HOSTS = [
    ("fd00::/8", "fd12::7", 8000, True),
    ("fd00::/8", "fe80::7", 8000, False),
    ("[fd00::1]", "fd00::1", 8000, True),
    ("fd00:0:0::1", "fd00::1", 8000, True),
    ("*.lab.test", "gpu.lab.test", 80, True),
    ("*.lab.test", "gpu.lab.test.example", 80, False),
    ("*.lab.test", "mylab.test", 80, False),
    ("lab.test:80", "lab.test", 80, True),
    ("lab.test:80", "gpu.lab.test", 80, True),
    ("lab.test:80", "lab.test", 443, False),
    ("10.1.2.3:80", "10.1.2.3", 80, True),
    ("10.1.2.3:80", "10.1.2.3", 81, False),
    ("[fd00::1]:80", "fd00::1", 80, True),
    ("[fd00::1]:80", "fd00::1", 81, False),
    ("lab.test/8", "lab.test", 80, False),
    ("10.1.2.3", "::ffff:10.1.2.3", 80, True),
]


@pytest.mark.parametrize(("no_proxy", "host", "port", "expected"), [*HOSTS, *MORE_HOSTS])
def test_hosts_without_a_proxy(no_proxy: str, host: str, port: int, expected: bool) -> None:
    assert bypasses(no_proxy, host, port) is expected


@pytest.mark.parametrize(("no_proxy", "host", "port", "expected"), HOSTS)
def test_curl_reads_the_variable_as_we_do(
    wire_server: WireServer, no_proxy: str, host: str, port: int, expected: bool
) -> None:
    program = shutil.which("curl")
    version = () if program is None else tuple(map(int, _output(program, "--version").split()[1].split(".")))
    if program is None or version < (7, 86):
        pytest.skip("needs curl 7.86 or newer, which knows networks in NO_PROXY")
    shown = f"[{host}]" if ":" in host else host
    found = subprocess.run(
        # Without the proxy the call goes to a port of this machine where nothing listens.
        [program, "-sS", "--max-time", "5", "--connect-to", "::127.0.0.1:1", f"http://{shown}:{port}/"],
        env={"PATH": os.environ["PATH"], "http_proxy": wire_server.url, "no_proxy": no_proxy},
        capture_output=True,
        check=False,
    )
    assert (not wire_server.requests) is expected, found


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_call_goes_past_the_proxy(wire_server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", wire_server.url)
    for no_proxy, url, expected in (
        ("10.0.0.0/8", "http://10.1.2.3:8000/v1", None),
        ("10.0.0.0/8", "http://11.1.2.3:8000/v1", f"{wire_server.url}/"),
        ("*.lab.test", "http://gpu.lab.test/v1", None),
        ("gpu.lab.test:80", "http://gpu.lab.test/v1", None),
        ("gpu.lab.test:80", "http://gpu.lab.test:8000/v1", f"{wire_server.url}/"),
        ("", "http://127.0.0.77:8000/v1", None),
        ("", "http://my.localhost:8000/v1", None),
    ):
        monkeypatch.setenv("no_proxy", no_proxy)
        assert proxy_of(url)[0] == expected, (no_proxy, url)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_to_blame(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{free.getsockname()[1]}/"
    monkeypatch.setenv(f"{scheme}_proxy", proxy.replace("//", f"//me:{CANARY}@"))
    with pytest.raises(RemoteConnectionError) as caught:
        open_model(f"{scheme}://models.example", total_timeout=2).generate_response(HELLO)
    words = str(caught.value)
    assert f"through the proxy {proxy} got no reply: cannot connect to the proxy: Connection refused" in words
    assert "NO_PROXY" in words
    assert "up?" not in words
    assert CANARY not in words


def test_a_proxy_whose_name_is_unknown_is_to_blame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
    with pytest.raises(
        RemoteConnectionError, match=r"proxy\.invalid:3128/ got no reply: cannot connect to the proxy"
    ):
        open_model("http://models.example", total_timeout=2).generate_response(HELLO)


def test_a_refusal_through_a_proxy_names_it(wire_server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", wire_server.url)
    wire_server.script = [Answer(407, b"login, please")]
    with pytest.raises(
        PermissionDeniedError, match=r"through the proxy .* answered 407.*check the proxy's address"
    ):
        open_model("http://models.example").generate_response(HELLO)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_silent_connections_are_kept_alive(wire_server: WireServer) -> None:
    port, timers = f":{int(wire_server.url.rsplit(':', 1)[1]):04X}", list[str]()

    def answer(_: Received) -> Answer:
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        # The client's end of the established connection; 02 is a timer that keeps it alive.
        timers.extend(row[5].split(":")[0] for row in rows if row[2].endswith(port) and row[3] == "01")
        return completion()

    wire_server.script = [answer]
    open_model(wire_server.url).generate_response(HELLO)
    assert timers == ["02"]


# -- addresses ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/my models/v1", "/my%20models/v1"),
        ("/für/v1", "/f%C3%BCr/v1"),
        ("/already%20done/v1", "/already%20done/v1"),
        ("/100%/v1", "/100%25/v1"),
        ('/"quoted"/v1', "/%22quoted%22/v1"),
        ("/a+b=c@d:e/v1/", "/a+b=c@d:e/v1"),
    ],
)
def test_a_path_is_written_as_an_address(wire_server: WireServer, path: str, sent: str) -> None:
    config = {"requires_api_key": False}
    make_model("openai_compatible", base_url=wire_server.url + path, model_config=config).generate_response(HELLO)
    assert wire_server.only.target == f"{sent}/chat/completions"


def test_a_host_is_written_as_an_address() -> None:
    model: Any = open_model("http://bücher.example:8000")
    assert model._errors.endpoint.base_url == "http://xn--bcher-kva.example:8000/v1"
    with pytest.raises(SpecError, match="is not a URL"):
        open_model(f"http://{'a' * 70}.example")


AZURE = "https://mine.openai.azure.com"


@pytest.mark.parametrize(
    ("pasted", "advice"),
    [
        (
            f"{AZURE}/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21",
            f'"base_url": "{AZURE}", "model_id": "my-gpt", "api_version": "2024-10-21"',
        ),
        (
            f"{AZURE}/openai/deployments/gpt/chat/completions?api-version=2025-01-01-preview&x={CANARY}",
            f'"base_url": "{AZURE}", "model_id": "gpt", "api_version": "2025-01-01-preview"',
        ),
        (f"{AZURE}/openai/deployments/gpt", f'"base_url": "{AZURE}", "model_id": "gpt"'),
        (
            f"{AZURE}/openai/responses?api-version=2025-04-01-preview",
            f'"base_url": "{AZURE}", "api_version": "2025-04-01-preview"',
        ),
    ],
)
@pytest.mark.parametrize("backend", ["azure", "openai_compatible"])
def test_an_address_of_one_call_is_taken_apart(backend: str, pasted: str, advice: str) -> None:
    key = {"api_key": CANARY, "base_url": pasted}
    write_keys(azure_gpt=key, openai_compatible=key)
    entries: list[dict[str, Any]] = [{}, {"base_url": pasted}]
    for entry in entries:
        with pytest.raises(SpecError) as caught:
            make_model(backend, **entry)
        assert f"is the address of one call: write {advice}" in str(caught.value)
        assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"{AZURE}/openai/deployments/gpt/chat/completions?api-version={CANARY}", "must hold no user"),
        (f"https://me:{CANARY}@mine.example/openai/deployments/gpt", "must hold no user"),
        ("http://h/v1/responses", "must end before '/responses', which is added"),
        ("http://h/anthropic/v1/messages", "must end before '/v1/messages'"),
    ],
)
def test_other_addresses_of_calls(url: str, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        make_model("openai_compatible", base_url=url, model_config={"requires_api_key": False})
    assert CANARY not in str(caught.value)


def test_an_address_that_was_taken_apart_works(wire_server: WireServer) -> None:
    write_keys(azure_gpt={"api_key": CANARY, "base_url": wire_server.url})
    make_model("azure", model_id="my-gpt", api_version="2024-10-21").generate_response(HELLO)
    assert wire_server.only.target == "/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"


# -- keys --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("key", "words"),
    [
        (f'"{CANARY}"', "stands in quotes"),
        (f"'{CANARY}'", "stands in quotes"),
        (f" `{CANARY}`\n", "stands in quotes"),
        (f"Bearer {CANARY}", "begins with 'Bearer'"),
        (f"LAB_API_KEY={CANARY}", "begins with the name of a variable"),
        (f"export LAB_API_KEY={CANARY}", "begins with the name of a variable"),
        ("$OPENAI_API_KEY", "is the name of a variable"),
        ("${OPENAI_API_KEY}", "is the name of a variable"),
    ],
)
def test_a_key_as_it_was_copied(wire_server: WireServer, key: str, words: str) -> None:
    write_keys(openai_compatible={"api_key": key, "base_url": f"{wire_server.url}/v1"})
    with pytest.raises(SpecError, match=words) as caught:
        make_model("openai_compatible")
    assert "'api_key' of the key 'openai_compatible' in" in str(caught.value)
    assert CANARY not in str(caught.value)
    assert not wire_server.requests


@pytest.mark.parametrize(
    ("base_url", "words"),
    [
        (
            "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
            "of one call: write",
        ),
        ("http://127.0.0.1:11434/api/chat", "must end before '/api/chat'"),
        (
            "https://h.example/v1beta/models/m:generateContent",
            "must end before '/v1beta/models/NAME:generateContent'",
        ),
    ],
)
def test_addresses_of_calls_of_further_servers(base_url: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        make_model("openai_compatible", base_url=base_url, model_config={"requires_api_key": False})
