"""Builds wheel and sdist, looks into both, and installs each into an empty environment: ``make package-check``.

It is a script and no test of the suite, because it compiles the core twice more.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

USE = """
import sys, clemcore
from clemcore import backends
text = backends.get_model_for("mock").generate_response([{"role": "user", "content": "Hello!"}]).text
assert text == "Hello!", text
assert len(backends.load_model_registry()) > 5
print(clemcore.__version__, clemcore.__file__)
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
    # Built for the Python that runs it (docs/decisions/0003-template-engine.md says why).
    version = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert f"-{version}-{version}-" in wheel.name, wheel.name
    for part in ("py.typed", "_core.pyi", "backends/mock.py", "cli/__init__.py"):
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


if __name__ == "__main__":
    main()
