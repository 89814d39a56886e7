"""Builds wheel and sdist, looks into both, and installs each into an empty environment: ``make package-check``.

The wheel with the extra of each backend that calls a service answers there, against a server of its own.
It is a script and no test of the suite, because it compiles the core twice more.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The backends that call a service, each with the whole reply of its service to a call.
CHAT = {"choices": [{"message": {"role": "assistant", "content": "Canberra."}, "finish_reason": "stop"}]}
REPLIES = {
    "anthropic": {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Canberra."}]},
    "azure": CHAT,
    "cohere": {"message": {"role": "assistant", "content": [{"type": "text", "text": "Canberra."}]}},
    "google": {"candidates": [{"content": {"parts": [{"text": "Canberra."}]}}]},
    "mistral": CHAT,
    "openai": CHAT,
    "openai_compatible": CHAT,
    "openrouter": CHAT,
}

USE = """
import sys, clemcore
from clemcore import backends
text = backends.get_model_for("mock").generate_response([{"role": "user", "content": "Hello!"}]).text
assert text == "Hello!", text
assert len(backends.load_model_registry()) > 5
print(clemcore.__version__, clemcore.__file__)
"""


CALL = """
import http.server, json, sys, threading
from clemcore import backends

backend, reply = sys.argv[1], sys.argv[2].encode()

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
model = backends.get_model_for({
    "model_name": "m", "model_id": "m", "backend": backend, "base_url": f"http://127.0.0.1:{server.server_port}",
    "model_config": {"requires_api_key": False},
})
with backends.record("requests.json"), backends.cache("calls.sqlite3"):
    assert model.generate_response([{"role": "user", "content": "Hello!"}]).text == "Canberra."
    assert [each.text for each in model.generate_batch_response([[{"role": "user", "content": "Hi!"}]] * 3)]
print(len(json.load(open("requests.json"))), "calls of", backend)
"""


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command, show what it printed when it fails."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def check_wheel(wheel: Path) -> None:
    """The wheel holds the package and nothing else at its top level."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"clemcore", next(top for top in tops if top.endswith(".dist-info"))}, tops
    # One wheel for every Python from 3.10 on (docs/decisions/0003-template-engine.md).
    assert "-cp310-abi3-" in wheel.name, wheel.name
    room = ("backends/slurk/layout.json", "backends/slurk/room.js")
    for part in ("py.typed", "_core.pyi", "backends/mock.py", "cli/__init__.py", *room):
        name = f"clemcore/{part}"
        assert name in names, f"{name} is missing in {wheel.name}"


def check_sdist(sdist: Path) -> None:
    """The sdist holds what it takes to build, with the lock file and the packaged registry."""
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("Cargo.lock", "model_registry.json", "LICENSE", "rust/clemcore/src/lib.rs", "pyproject.toml"):
        assert name in names, f"{name} is missing in {sdist.name}"


def check_install(package: Path, work: Path) -> None:
    """The package installs into an empty environment, with its one dependency, and answers."""
    run(sys.executable, "-m", "venv", work)
    python = work / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", package)
    listed = run(python, "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check").lower().split()
    installed = {line.split("==")[0] for line in listed} - {"pip", "setuptools"}
    assert installed == {"clemcore", "click"}, installed
    print(run(python, "-c", USE, cwd=work).strip())
    version = run(work / "bin" / "clem", "--version", cwd=work)
    assert "4." in version, version
    listed_backends = run(work / "bin" / "clem", "list", "backends", cwd=work)
    for backend in REPLIES:
        assert f"{backend}\t" in listed_backends, listed_backends
    assert "clemcore[openai]" in listed_backends, listed_backends
    check_first_steps(work)


def check_first_steps(work: Path) -> None:
    """The commands with which the README begins work in an empty folder, with nothing else installed."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, steps = page.partition("## First steps\n")
    commands = steps.partition("```sh\n")[2].partition("```")[0]
    assert commands.startswith("clem "), commands
    folder = work / "first-steps"
    folder.mkdir()
    path = f"PATH={work / 'bin'}:{os.environ['PATH']}"
    assert run("env", path, "bash", "-euo", "pipefail", "-c", commands, cwd=folder).strip()


def check_extra(backend: str, wheel: Path, work: Path) -> None:
    """With the one extra of its backend a model answers; no SDK comes with it."""
    extra = "openai" if backend == "openai_compatible" else backend
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, work)
    python = work / "bin" / "python"
    install = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python)
    run(*install, f"clemcore[{extra}] @ {wheel.as_uri()}")
    print(run(python, "-W", "error", "-c", CALL, backend, json.dumps(REPLIES[backend]), cwd=work).strip())
    sdks = ["openai", "anthropic", "google.genai", "mistralai", "cohere", "httpx", "requests", "pydantic", "torch"]
    found = "import importlib.util as u, sys; print([n for n in sys.argv[1:] if u.find_spec(n.split('.')[0])])"
    assert run(python, "-c", found, *sdks, cwd=work).strip() == "[]"


def main() -> None:
    """Build, look, install, use."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        run(sys.executable, "-m", "maturin", "build", "--release", "--sdist", "--out", work)
        (wheel,), (sdist,) = work.glob("*.whl"), work.glob("*.tar.gz")
        check_wheel(wheel)
        check_sdist(sdist)
        for package in (wheel, sdist):
            check_install(package, work / package.suffix.strip("."))
            print(f"{package.name}: {package.stat().st_size / 1e6:.1f} MB, installs into an empty environment")
        for backend in REPLIES:
            check_extra(backend, wheel, work / backend)


if __name__ == "__main__":
    main()
