"""Agents that write with the teacher of params.yaml: the instruction server, a model's server, the command."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from tests.conftest import ENVIRONMENT, ROOT, Project
from tests.servers.instruction_server import RECIPE, serving, settings
from tests.servers.scripted_server import Here, Said, served
from tests.teaching import flags
from tests.teaching import settings as teacher_settings

WRITERS, CASES = 3, 12


class Author(Here):
    """Writes a case to each prompt; the first text for every other instruction forgets the number."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[str] = []

    async def respond(self, request: web.Request, protocol: Any, arrived: float) -> web.Response:
        ask = protocol.ask(json.loads(await request.read()), "")
        self.prompts.append(ask.prompt)
        name, number = re.search(r"^nom: (.*)", ask.prompt, re.M)[1], re.search(r"^numero: (\d+)", ask.prompt, re.M)[1]
        forgets = int(number) % 2 == 0 and "missing: numero" not in ask.prompt
        text = f"Ma voisine dit que {name.strip(chr(34))} a laissé le numéro {'secret' if forgets else number}."
        fixed = Said(ask.model, ask.prompt, ask.schema, ask.characters)
        fixed.said = json.dumps({"case_text": text})
        return web.Response(text=json.dumps(protocol.completion(fixed, None)), content_type="application/json")


def agents(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    words = ["instructions", "agents", "--recipe", str(RECIPE), "--url", url]
    return subprocess.run(
        [sys.executable, "-m", "tuneline.cli", *words, "--n", str(WRITERS), "--teacher", "params"],
        cwd=folder,
        env={**ENVIRONMENT, "PYTHONPATH": str(ROOT), "DVC_ROOT": str(folder), "OPENAI_API_KEY": "sk-test"},
        capture_output=True,
        text=True,
    )


def write_pipeline(folder: Path, **knobs: Any) -> None:
    """A checkout whose dvc.yaml has the one stage that says who the teacher is."""
    command = ["python -m stages.sdg --recipe r --rows rows --answers $DVC_ROOT/answers --strategy all"]
    command += ["--out o --refused f --metrics m", *flags(teacher_settings(**knobs))]
    stage = {"foreach": [RECIPE.name], "do": {"cmd": " ".join(command)}}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"sdg": stage}}))
    Project(folder).run("git", "init", "-q")
    Project(folder).init_dvc()


def test_a_model_fills_the_corpus_and_mends_what_is_refused(tmp_path: Path) -> None:
    author = Author()
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    with served(author) as author.port, serving(settings(tmp_path / "state", total=CASES)) as api:
        write_pipeline(checkout, base_url=author.openai_url)
        done = agents(checkout, api.url)
        assert done.returncode == 0, done.stderr
        counts = dict(line.split(": ") for line in done.stdout.replace("refused: ", "refused ").splitlines())
        health = api.ask("/health")[1]
    assert counts["accepted"] == str(health["accepted"]) == str(CASES)
    mended = sum("missing: numero" in prompt for prompt in author.prompts)
    assert mended == int(counts["refused missing"]) > 0
    assert len(author.prompts) == CASES + mended
    assert "sk-test" not in done.stdout + done.stderr


def test_the_offline_teacher_of_params_is_no_writer_of_cases(tmp_path: Path) -> None:
    write_pipeline(tmp_path, provider="offline", model="offline")
    with serving(settings(tmp_path / "state")) as api:
        done = agents(tmp_path, api.url)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: teacher.provider of params.yaml is offline")
