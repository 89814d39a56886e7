"""Where calls go and with which key: addresses, key rules, headers, TLS, proxies."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clemcore.errors import MissingKeyError, PermissionDeniedError, RemoteCallError, SpecError
from support.certificates import write_certificate
from support.remote import CANARY, HELLO, make_model, open_model, write_keys
from support.wire_server import Answer, WireServer, refusal

OTHER = "sk-other-99887766554433"


@pytest.fixture
def second_server() -> Iterator[WireServer]:
    with WireServer() as server:
        yield server


def compatible(**entry: Any) -> Any:
    return make_model("openai_compatible", **entry)


def authorization(server: WireServer) -> str | None:
    return server.requests[-1].headers.get("authorization")


# -- address and key ---------------------------------------------------------------------------------------------
def test_no_authorization_header_where_none_is_wanted(
    wire_server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_COMPATIBLE_API_KEY", "OPENAI_ADMIN_KEY"):
        monkeypatch.setenv(name, CANARY)
    open_model(wire_server.url).generate_response(HELLO)
    sent = {"host", "accept", "accept-encoding", "content-type", "content-length", "user-agent"}
    assert wire_server.only.headers.keys() == sent
    assert CANARY.encode() not in wire_server.only.raw


def test_the_address_comes_from_the_entry_or_from_the_key(
    wire_server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_keys(openai_compatible={"api_key": CANARY, "base_url": f"{wire_server.url}/v1/"})
    compatible().generate_response(HELLO)
    assert authorization(wire_server) == f"Bearer {CANARY}"
    compatible(base_url=f"{wire_server.url}/other/v2").generate_response(HELLO)
    assert wire_server.requests[-1].target == "/other/v2/chat/completions"
    compatible(model_config={"base_url": f"{wire_server.url}/v3"}).generate_response(HELLO)
    assert wire_server.requests[-1].target == "/v3/chat/completions"
    Path("key.json").unlink()
    monkeypatch.setenv("OPENAI_COMPATIBLE_API_KEY", OTHER)
    monkeypatch.setenv("OPENAI_COMPATIBLE_BASE_URL", f"{wire_server.url}/v4")
    compatible().generate_response(HELLO)
    assert (wire_server.requests[-1].target, authorization(wire_server)) == (
        "/v4/chat/completions",
        f"Bearer {OTHER}",
    )


def test_a_key_is_not_sent_to_a_host_that_it_was_not_written_for(
    wire_server: WireServer, second_server: WireServer
) -> None:
    write_keys(openai_compatible={"api_key": CANARY, "base_url": f"{wire_server.url}/v1"}, lab={"api_key": OTHER})
    elsewhere = f"{second_server.url}/v1"
    with pytest.raises(SpecError, match=f"key 'openai_compatible' was written for {wire_server.url}/v1 and is not"):
        compatible(base_url=elsewhere)
    compatible(base_url=elsewhere, model_config={"requires_api_key": False}).generate_response(HELLO)
    assert authorization(second_server) is None
    compatible(base_url=elsewhere, key_name="lab").generate_response(HELLO)
    assert authorization(second_server) == f"Bearer {OTHER}"
    # To name a key in the entry does not say that it belongs there.
    with pytest.raises(SpecError, match="is not sent elsewhere"):
        compatible(base_url=elsewhere, model_config={"key_name": "openai_compatible"})
    assert not wire_server.requests


def test_another_port_or_scheme_is_another_host(wire_server: WireServer) -> None:
    write_keys(openai_compatible={"api_key": CANARY, "base_url": "https://models.example/v1"})
    for base_url in ("http://models.example/v1", "https://models.example:8443/v1", "https://models.example.org/v1"):
        with pytest.raises(SpecError, match="is not sent elsewhere"):
            compatible(base_url=base_url)
    compatible(base_url="https://MODELS.example:443/v2")


def test_openai_keys_go_to_openai_only(wire_server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", CANARY)
    model: Any = make_model("openai")
    assert model._errors.endpoint.base_url == "https://api.openai.com/v1"
    with pytest.raises(SpecError, match=r"key 'openai' was written for openai\.com and is not sent"):
        make_model("openai", base_url=f"{wire_server.url}/v1")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{wire_server.url}/v1")
    with pytest.raises(SpecError, match=r"environment redirects its key to http://127\.0\.0\.1"):
        make_model("openai")
    make_model("openai", base_url=f"{wire_server.url}/v1").generate_response(HELLO)
    assert authorization(wire_server) == f"Bearer {CANARY}", "entry and environment agree"


def test_the_environment_of_the_sdk_changes_nothing(
    wire_server: WireServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = ("X-Ambient: ambient", "Host: ambient", "User-Agent: ambient", f"Authorization: Bearer {OTHER}")
    ambient = {
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        "OPENAI_API_KEY": OTHER,
        "OPENAI_ADMIN_KEY": OTHER,
        "OPENAI_ORG_ID": "org-ambient",
        "OPENAI_PROJECT_ID": "proj-ambient",
        "OPENAI_CUSTOM_HEADERS": "\n".join(headers),
        "HTTP_PROXY": "http://127.0.0.1:1",
        "ALL_PROXY": "http://127.0.0.1:1",
    }
    for name, value in ambient.items():
        monkeypatch.setenv(name, value)
    write_keys(openai_compatible={"api_key": CANARY, "base_url": f"{wire_server.url}/v1"})
    compatible().generate_response(HELLO)
    assert authorization(wire_server) == f"Bearer {CANARY}"
    assert b"ambient" not in wire_server.only.raw.lower()
    assert OTHER.encode() not in wire_server.only.raw


def test_organization_and_project_of_the_key_are_sent(wire_server: WireServer) -> None:
    key = {"api_key": CANARY, "organisation": "org-1", "project": "proj-1", "base_url": f"{wire_server.url}/v1"}
    write_keys(openai=key)
    make_model("openai").generate_response(HELLO)
    headers = wire_server.only.headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")


def test_a_key_that_is_required_and_missing() -> None:
    with pytest.raises(MissingKeyError, match=r"no key for 'openai_compatible': set \$OPENAI_COMPATIBLE_API_KEY"):
        compatible(base_url="http://127.0.0.1:1/v1")
    with pytest.raises(MissingKeyError, match="no key for 'lab'"):
        compatible(base_url="http://127.0.0.1:1/v1", key_name="lab")
    write_keys(openai_compatible={"base_url": "http://127.0.0.1:1/v1"})
    with pytest.raises(MissingKeyError, match=r"has no 'api_key'; add it, or set model_config\.requires_api_key"):
        compatible()
    compatible(model_config={"requires_api_key": False})


@pytest.mark.parametrize("key", ["sk-with space", "sk-line\nbreak", "sk-ключ"])
def test_a_key_that_no_header_can_carry_is_refused_unseen(key: str) -> None:
    write_keys(openai_compatible={"api_key": key, "base_url": "http://127.0.0.1:1/v1"})
    with pytest.raises(SpecError, match="holds a space, a line break or a character outside ASCII") as caught:
        compatible()
    assert key not in str(caught.value)
    write_keys(openai_compatible={"api_key": CANARY, "organization": key, "base_url": "http://127.0.0.1:1/v1"})
    with pytest.raises(SpecError, match="'organization' of the key 'openai_compatible'"):
        compatible()


def test_white_space_around_a_key_is_left_out(wire_server: WireServer) -> None:
    write_keys(openai_compatible={"api_key": f" {CANARY}\n", "base_url": f"{wire_server.url}/v1"})
    compatible().generate_response(HELLO)
    assert authorization(wire_server) == f"Bearer {CANARY}"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, 'has no address: add "base_url"'),
        ({"base_url": "127.0.0.1:8000/v1"}, "must start with http:// or https://"),
        ({"base_url": "ftp://h/v1"}, "must start with http:// or https://"),
        ({"base_url": "http://h:x/v1"}, "has a port that is not a number from 1 to 65535"),
        ({"base_url": f"http://user:{CANARY}@h/v1"}, "must hold no user, password, query or fragment"),
        ({"base_url": f"http://h/v1?key={CANARY}"}, "must hold no user, password, query or fragment"),
        ({"base_url": "http://h/v1/chat/completions"}, "must end before '/chat/completions'"),
        ({"base_url": 3}, "base_url must be a string or a list of strings, not an integer"),
        (
            {"base_url": "http://a/v1", "model_config": {"base_url": "http://b/v1"}},
            "base_url has one value in the entry and another in model_config",
        ),
        (
            {"base_url": "http://h/v1", "model_config": {"timeout": 0}},
            r"model_config\.timeout must be a positive number of seconds, not 0",
        ),
        ({"base_url": "http://h/v1", "model_config": {"timeout": "9"}}, "timeout must be a number, not a string"),
        (
            {"base_url": "http://h/v1", "model_config": {"timeout": True}},
            "timeout must be a number, not a boolean",
        ),
        (
            {"base_url": "https://h/v1", "model_config": {"ca_file": "gone.pem"}},
            "the ca_file gone.pem is not there",
        ),
        ({"base_url": "http://h/v1", "model_config": []}, "model_config must be an object"),
        ({"base_url": "http://h/v1", "context_size": "big"}, "context_size must be like 8192"),
    ],
)
def test_entries_that_cannot_be_used(entry: dict[str, Any], words: str) -> None:
    config = entry.get("model_config", {})
    if isinstance(config, dict):
        entry = {**entry, "model_config": {"requires_api_key": False, **config}}
    with pytest.raises(SpecError, match=words) as caught:
        compatible(**entry)
    assert CANARY not in str(caught.value)


def test_a_key_over_plain_http_is_warned_about(caplog: pytest.LogCaptureFixture) -> None:
    write_keys(openai_compatible={"api_key": CANARY})
    with caplog.at_level(logging.WARNING, "clemcore"):
        compatible(base_url="http://127.0.0.1:1/v1")
        assert not caplog.text
        compatible(base_url="http://gpu.example:8000/v1")
    assert "goes to http://gpu.example:8000/v1 without encryption" in caplog.text


# -- TLS ---------------------------------------------------------------------------------------------------------
def test_tls_is_verified_and_an_authority_of_ones_own_can_be_named(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    with WireServer((certificate, key)) as server:
        with pytest.raises(RemoteCallError, match=r"CERTIFICATE_VERIFY_FAILED.*model_config\.ca_file") as caught:
            open_model(server.url).generate_response(HELLO)
        assert caught.value.facts["wire"]["attempts"] == 1, "the next attempt would see the same certificate"
        assert caught.value.prompt is None
        assert not server.requests
        result = open_model(server.url, ca_file=str(certificate)).generate_response(HELLO)
        assert result[2] == "Canberra."
        assert server.only.json == result[0]
        with pytest.raises(SpecError, match="holds no certificate in PEM form"):
            open_model(server.url, ca_file=str(key))
        assert len(server.requests) == 1


def test_verification_can_be_turned_off_for_one_entry_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate, key = write_certificate(tmp_path, "127.0.0.9")
    with WireServer((certificate, key)) as server, caplog.at_level(logging.WARNING, "clemcore"):
        result: Any = open_model(server.url, verify_tls=False).generate_response(HELLO)
        assert result.facts["wire"]["tls_verified"] is False
        assert caplog.text.count(f"TLS IS NOT VERIFIED for {server.url}/v1") == 1
        open_model(server.url, verify_tls=False)
        assert caplog.text.count("TLS IS NOT VERIFIED") == 1, "once per process and address"
        with pytest.raises(RemoteCallError, match="CERTIFICATE_VERIFY_FAILED"):
            open_model(server.url, verify_tls=True).generate_response(HELLO)
        with pytest.raises(SpecError, match="ca_file names an authority, but verify_tls is false"):
            open_model(server.url, verify_tls=False, ca_file=str(certificate))
        server.script = [refusal(400, "no")]
        with pytest.raises(RemoteCallError) as caught:
            open_model(server.url, verify_tls=False).generate_response(HELLO)
        assert caught.value.facts["wire"]["tls_verified"] is False


def test_a_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "127.0.0.9")
    with WireServer((certificate, key)) as server:
        with pytest.raises(RemoteCallError, match=r"CERTIFICATE_VERIFY_FAILED.*IP address mismatch"):
            open_model(server.url, ca_file=str(certificate)).generate_response(HELLO)
        assert not server.requests


# -- proxies -----------------------------------------------------------------------------------------------------
def test_a_proxy_of_the_environment_is_used(wire_server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", wire_server.url.replace("//", "//user:hidden-password@"))
    monkeypatch.setenv("no_proxy", "direct.example")
    model = open_model("http://models.example")
    assert model.generate_response(HELLO)[2] == "Canberra."
    assert wire_server.only.target == "http://models.example/v1/chat/completions"
    assert wire_server.only.headers["host"] == "models.example"
    assert wire_server.only.headers["proxy-authorization"].startswith("Basic ")


def test_a_proxy_that_refuses_is_asked_once(wire_server: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", wire_server.url.replace("//", "//user:hidden-password@"))
    wire_server.script = [Answer(407, b"", {"X-Echo": "hidden-password"})]
    with pytest.raises(PermissionDeniedError, match=r"the proxy refused: status 407.*NO_PROXY") as caught:
        open_model("https://models.example").generate_response(HELLO)
    assert (wire_server.only.method, wire_server.only.target) == ("CONNECT", "models.example:443")
    assert "hidden-password" not in str(caught.value)
    assert caught.value.prompt is None, "nothing was sent"


def test_a_kind_of_proxy_that_is_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(SpecError, match="a proxy of the kind 'socks5'"):
        open_model("http://models.example")
    for proxy in ("http://me:hidden-word@[::1", "http://me:hidden/word@h:1", "socks5://me:hidden-word@h"):
        monkeypatch.setenv("all_proxy", proxy)
        with pytest.raises(SpecError, match=r"through a proxy (whose address is not a URL|of the kind)") as caught:
            open_model("http://models.example")
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        frames = [frame for frame in shown.stack if "clemcore" in frame.filename]
        assert not any("hidden" in str(frame.locals) for frame in frames)
        assert "hidden" not in str(caught.value)
    monkeypatch.setenv("no_proxy", "models.example")
    open_model("http://models.example")


# -- without the extra -------------------------------------------------------------------------------------------
def test_without_the_engine_the_pip_line_is_printed(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['aiohttp'] = None\n"
        "from clemcore import backends\n"
        "from clemcore.errors import MissingExtraError\n"
        "assert backends.BackendRegistry.from_packaged_and_cwd_files().is_supported('openai')\n"
        "try: backends.get_model_for({'model_name': 'm', 'backend': 'openai', 'model_id': 'x'})\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "pip install 'clemcore[openai]'" in done.stdout


def test_importing_the_backends_imports_no_sdk(tmp_path: Path) -> None:
    code = (
        "import json, sys, clemcore.backends.openai, clemcore.backends.openai_compatible\n"
        "print(json.dumps([name for name in ('openai', 'httpx2', 'aiohttp', 'tenacity', 'pydantic')"
        " if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert json.loads(done.stdout) == []
