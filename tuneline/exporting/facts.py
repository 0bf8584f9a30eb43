"""What is known of an adapter: dvc.lock, its evaluation, the licences of its base and its data, what it is for.

An adapter is what dvc.lock says only where its folder has the hash that stands there; of any other one nothing is told
but what lies in its own folder.
"""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import yaml

from tuneline.exporting.sums import folder_hash
from tuneline.files import Row
from tuneline.models.base import Base

Read = Callable[[str], str | None]  # a file of the checkout, or of a commit; None where it has none
LOCKS = ("dvc.lock", "benchmarks/dvc.lock")
OWN_CODE = ("stages/", "tuneline/", "data/checks/")
PATHS = {"tokens", "preamble", "schema", "base", "out", "curves", "summary", "state", "report-to", "processes"}


@dataclass(frozen=True)
class Facts:
    """`hashes`: DVC's MD5 of what the adapter was made from, by path. `knobs`: of its training. `licences`: of what →
    which. `commit`: of a registered version."""

    name: str
    known: bool = False
    recipe: str | None = None
    purpose: str = ""
    hashes: dict[str, str] = field(default_factory=dict)
    knobs: dict[str, str] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    licences: dict[str, str] = field(default_factory=dict)
    most: str | None = None
    commit: str | None = None


def read_folder(root: Path) -> Read:
    def read(path: str) -> str | None:
        file = root / path
        return file.read_text("utf-8") if file.is_file() else None

    return read


def find_facts(name: str, adapter: Path, base: Base, read: Read, commit: str | None = None) -> Facts:
    licences = {"base": base_licence(base)}
    stages = _stages_that_made(name, folder_hash(adapter), read)
    if not stages:
        return Facts(name, licences=licences, commit=commit)
    train = stages[f"train@{name}"]
    trim = _options(stages.get(f"trim@{name}", {}))
    recipe = Path(trim["recipe"]).name if "recipe" in trim else None
    return Facts(
        name,
        known=True,
        recipe=recipe,
        purpose=_title(read(f"recipes/{recipe}/README.md") or ""),
        hashes=_hashes(stages[stage] for stage in (f"{kind}@{name}" for kind in ("trim", "split", "train"))
                       if stage in stages),
        knobs={key: value for key, value in _options(train).items() if key not in PATHS},
        evaluation=_json(read(f"metrics/{name}/eval.json")),
        report=_json(read(f"metrics/{name}/report.json")),
        licences=licences | data_licence(recipe, read),
        most=_options(stages.get(f"predict@{name}", {})).get("max-new-tokens"),
        commit=commit,
    )  # fmt: skip


def _stages_that_made(name: str, adapter: str, read: Read) -> dict[str, Row]:
    """Those of the lock by which the adapter of that hash was trained; none where no lock tells of it."""
    for lock in LOCKS:
        stages = (yaml.safe_load(read(lock) or "") or {}).get("stages", {})
        made = {out["path"]: out.get("md5") for out in stages.get(f"train@{name}", {}).get("outs", ())}
        if made.get(f"adapters/{name}") == adapter:
            return stages
    return {}


def check_base(name: str, base: str, then: Read, now: Read) -> None:
    """`then`: the commit of a version; `now`: the checkout whose base it would be put on.

    Raises click.ClickException when the locks say that the base has become another: answers on both sides would be
    wrong alike.
    """
    was, its = (_base_hashes(base, read) for read in (then, now))
    if was and its and not was & its:
        raise click.ClickException(
            f"{name} was trained on another {base} than the one here: check out its commit to export it"
        )


def _base_hashes(base: str, read: Read) -> set[str]:
    stages = [stage for lock in LOCKS for stage in (yaml.safe_load(read(lock) or "") or {}).get("stages", {}).values()]
    return {dep["md5"] for stage in stages for dep in stage.get("deps", ()) if dep["path"] == base and "md5" in dep}


def _hashes(stages: Any) -> dict[str, str]:
    found = [item for stage in stages for item in (*stage.get("deps", ()), *stage.get("outs", ()))]
    own = (*OWN_CODE, "metrics/")
    return dict(sorted((item["path"], item["md5"]) for item in found if not item["path"].startswith(own)))


def _options(stage: Row) -> dict[str, str]:
    """The `--key value` of the command that DVC ran."""
    words = shlex.split(stage.get("cmd", ""))
    pairs = zip(words, [*words[1:], ""], strict=True)
    return {word[2:]: value for word, value in pairs if word.startswith("--") and not value.startswith("--")}


def _json(text: str | None) -> dict[str, Any]:
    return json.loads(text) if text else {}


def _title(readme: str) -> str:
    """The first heading of a recipe's page, which says what it is for."""
    found = re.search(r"^# (.+)$", readme, re.MULTILINE)
    return found[1].strip() if found else ""


def base_licence(base: Base) -> str:
    """By its terms, or by the head of its README; what is not told there is not guessed."""
    if base.terms:
        return f"{base.terms.name}, {base.terms.url}"
    readme = base.folder / "README.md"
    return _head(readme.read_text("utf-8")).get("license", "") if readme.is_file() else ""


def _head(text: str) -> dict[str, Any]:
    """The YAML between the first two `---`."""
    parts = re.split(r"^---\s*$", text, maxsplit=2, flags=re.MULTILINE)
    try:
        found = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def data_licence(recipe: str | None, read: Read) -> dict[str, str]:
    """Of a public source, by its external.yaml; of others, where the head of the recipe's README tells one."""
    external = yaml.safe_load(read(f"recipes/{recipe}/source/external.yaml") or "") or {}
    told = external.get("licence") or _head(read(f"recipes/{recipe}/README.md") or "").get("license")
    return {"data": told} if told else {}
