"""A repository of git and DVC in miniature: one recipe, one adapter, whose lock and cache are written by hand."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import Project

STAGES = {
    "curate": {
        "foreach": "${recipes}",
        "do": {
            "cmd": "mkdir -p data/${item} && cp recipes/${item}/source/rows.jsonl data/${item}/curate.jsonl",
            "deps": ["recipes/${item}", "tool.py"],
            "outs": ["data/${item}/curate.jsonl"],
        },
    },
    "split": {
        "foreach": "${recipes}",
        "do": {
            "cmd": "mkdir -p data/${item}/split && cp data/${item}/curate.jsonl data/${item}/split/test.jsonl",
            "deps": ["data/${item}/curate.jsonl"],
            "outs": ["data/${item}/split"],
        },
    },
    "eval": {
        "foreach": "${recipes}",
        "do": {
            "cmd": (
                "mkdir -p metrics/${item} && cp tool.py metrics/${item}/eval.json && "
                "cp data/${item}/split/test.jsonl metrics/${item}/predictions.jsonl"
            ),
            "deps": ["data/${item}/split/test.jsonl", "tool.py"],
            "params": ["lora.rank"],
            "outs": ["metrics/${item}/predictions.jsonl"],
            "metrics": [{"metrics/${item}/eval.json": {"cache": False}}],
        },
    },
}


@dataclass
class Small(Project):
    """`outs`: path → hash of what its lock says that stages wrote. `commands`: what others ran, as it says."""

    outs: dict[str, str] = field(default_factory=dict)
    commands: dict[str, str] = field(default_factory=dict)

    def write(self, path: str, content: Any) -> None:
        """A text, bytes, or a value: JSON Lines where it is a list and the name says so, else JSON."""
        if path.endswith(".jsonl") and isinstance(content, list):
            content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content)
        elif not isinstance(content, str | bytes):
            content = json.dumps(content, ensure_ascii=False)
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)

    def made(self, path: str, rows: list[Any]) -> None:
        """Rows that a stage wrote: in DVC's cache and in the lock, not in the working tree."""
        raw = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode("utf-8")
        oid = hashlib.md5(raw).hexdigest()
        self.write(f".dvc/cache/files/md5/{oid[:2]}/{oid[2:]}", raw)
        self.outs[path] = oid
        outs = [{"path": name, "hash": "md5", "md5": oid} for name, oid in self.outs.items()]
        ran = {name: {"cmd": command} for name, command in self.commands.items()}
        self.write(
            "dvc.lock", yaml.safe_dump({"schema": "2.0", "stages": {"made@mine": {"cmd": "true", "outs": outs}, **ran}})
        )

    def commit(self) -> str:
        self.run("git", "add", "-A")
        self.run("git", "commit", "-q", "--allow-empty", "-m", "next")
        return self.run("git", "rev-parse", "HEAD").stdout.strip()


def small_pipeline(root: Path) -> Small:
    """One commit of it."""
    project = Small(root)
    project.write(".dvc/config", "[core]\nanalytics = false\n")
    project.write(".gitignore", "/data/\n/metrics/*/predictions.jsonl\n/.dvc/cache\n/.dvc/tmp\n")
    project.write("dvc.yaml", yaml.safe_dump({"stages": STAGES}, sort_keys=False))
    project.write("params.yaml", yaml.safe_dump({"recipes": ["mine"], "lora": {"rank": 32}}))
    project.write("tool.py", '{"tuned": {"right": 0.5}}\n')
    project.write("recipes/mine/source/rows.jsonl", [source_row(at) for at in range(6)])
    project.write("recipes/mine/system.md", "Answer.\nBe short.\n")
    project.run("git", "init", "-q")
    project.commit()
    return project


def source_row(at: int) -> dict[str, Any]:
    return {"query": f"what is the number {at}", "answer": f"it is number {at}"}


def answered(at: int, *right: bool, answer: str = "no", **more: Any) -> dict[str, Any]:
    """A line of predictions.jsonl: the base is wrong, `right` is whether the adapter is."""
    return {
        "id": f"row {at}",
        "messages": [{"role": "user", "content": f"question {at}"}],
        "reference": f"answer {at}",
        "base": "no",
        "tuned": f"answer {at}" if all(right) else answer,
        "figures": {"base": {"right": False}, "tuned": {"right": all(right)}},
        **more,
    }
