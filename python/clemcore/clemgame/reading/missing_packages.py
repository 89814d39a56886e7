"""What to install for a game whose code asks for a package that is not there.

It does not import packages, and it does not know games.
"""

from __future__ import annotations

from pathlib import Path

# What 3.7.2 installed and public games import without a word; the extra `games` brings them.
OF_EXTRA = frozenset({"numpy", "nltk", "jinja2", "pandas", "requests", "yaml", "tqdm"})

# Packages whose name is not that of their module.
_PACKAGES = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "Levenshtein": "levenshtein",
    "PIL": "pillow",
    "pkg_resources": "setuptools",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
}
_REQUIREMENTS = "requirements.txt"
_LEVELS = 3


def advice_for(fault: BaseException, game_path: Path) -> str | None:
    """Say what to install, where an import of a missing package caused a fault; otherwise None."""
    missing = _missing_module(fault)
    if missing is None:
        return None
    if missing in OF_EXTRA:
        return "Install it and what other games need: pip install 'clemcore[games]'"
    package = _PACKAGES.get(missing, missing)
    requirements = _requirements_of(game_path)
    if requirements is not None:
        return f"Install what the game needs: pip install -r {requirements} (or only: pip install {package})"
    return f"If '{missing}' is a package, install it: pip install {package}"


def _missing_module(fault: BaseException | None) -> str | None:
    """Return the top-level module that was not found, also where the game raised another error because of it."""
    while fault is not None:
        if isinstance(fault, ModuleNotFoundError) and fault.name:
            return fault.name.partition(".")[0]
        fault = fault.__cause__ or fault.__context__
    return None


def _requirements_of(game_path: Path) -> Path | None:
    """Return the nearest ``requirements.txt``: of the game, or of the collection that it belongs to."""
    folder = game_path.absolute()
    for _ in range(_LEVELS):
        if (folder / _REQUIREMENTS).is_file():
            return folder / _REQUIREMENTS
        folder = folder.parent
    return None
