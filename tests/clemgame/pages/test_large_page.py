"""A tenth of the largest run that is promised: it is evaluated and shown within the promised memory.

Speed is measured by `benches/pages.py`, and not asserted: machines of CI are busy.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.chromium import PROGRAM

BENCH = Path(__file__).parents[3] / "benches" / "pages.py"
EPISODES = 40_000


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not PROGRAM, reason="no Chromium: install it with 'make browser'")
def test_a_large_run_is_evaluated_and_shown(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCH), "--episodes", str(EPISODES), "--folder", str(tmp_path)]
    done = subprocess.run(
        [*command, "--sizes", "--skip", "parquet"], capture_output=True, text=True, check=False, timeout=1200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    measured = dict(re.findall(r"^(.+): ([\d,.]+) \(wanted", done.stdout, re.MULTILINE))
    for name in ("bytes loaded at the start", "bytes of memory at the end", "seconds to open an episode"):
        assert float(measured[name].replace(",", "")) > 0
    assert "40,000 episodes, 20 models, 10 games" in (tmp_path / "page" / "index.html").read_text()
