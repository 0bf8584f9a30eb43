"""The measures of summaries of real abstracts: which versions are measured, and the figures of a few rows."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from speed.summaries import name_of, served
from tests.conftest import ENVIRONMENT, ROOT
from tuneline.data.external import MIRROR


def test_it_takes_the_version_in_service_and_the_one_before(tmp_path: Path) -> None:
    assert served(tmp_path) == []
    for name in ("v0.2.0", "v0.9.0", "v0.10.0"):
        (tmp_path / name).mkdir()
    (tmp_path / "current").symlink_to("v0.10.0")
    assert [path.name for path in served(tmp_path)] == ["v0.10.0", "v0.9.0"]
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("v0.2.0")  # as after a rollback
    assert [path.name for path in served(tmp_path)] == ["v0.2.0"]
    assert name_of(Path("served/summaries/v0.10.0")) == "summaries_v0_10_0"


@pytest.mark.skipif(MIRROR not in os.environ, reason=f"{MIRROR} is not set")
def test_it_measures_the_first_rows() -> None:
    command = [
        sys.executable,
        "speed/summaries.py",
        "--json",
        "--rows",
        "3",
        "--max-new-tokens",
        "4",
        "--samples",
        "20",
    ]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["rows"] == 3
    for name in ("first_sentence", "last_sentence", "base"):
        assert 0 <= found[f"{name}_rouge_l_low"] <= found[f"{name}_rouge_l"] <= found[f"{name}_rouge_l_high"] <= 1
    assert found["first_sentence_rouge_1"] > 0
