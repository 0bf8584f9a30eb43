"""What a reviewer reads: one sentence, then what was asked, in fewer than 60 lines."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from markdown_it import MarkdownIt

from tests.conftest import ENVIRONMENT, ROOT
from tests.small_pipeline import Small, answered, small_pipeline, source_row
from tuneline.cli import main
from tuneline.comparing.report import CHARACTERS, CUT, cut

Diff = Callable[..., str]


@pytest.fixture
def project(tmp_path: Path) -> Small:
    return small_pipeline(tmp_path)


@pytest.fixture
def diff(project: Small, monkeypatch: pytest.MonkeyPatch) -> Diff:
    """`tuneline diff`, here against HEAD where nothing is said."""
    monkeypatch.chdir(project.root)
    monkeypatch.setenv("BASE", "HEAD")

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(main, ["diff", *words])
        assert done.exit_code == code, done.output
        assert len(done.output.splitlines()) < 60
        return done.output

    return run


def evaluate(project: Small, rows: list[dict[str, Any]], adapter: str = "mine") -> None:
    right = sum(row["figures"]["tuned"]["right"] for row in rows) / len(rows)
    project.write(f"metrics/{adapter}/eval.json", {"base": {"right": 0.0}, "tuned": {"right": round(right, 4)}})
    project.made(f"metrics/{adapter}/predictions.jsonl", rows)


def test_of_no_change_one_line(project: Small, diff: Diff) -> None:
    commit = project.run("git", "rev-parse", "--short=7", "HEAD").stdout.strip()
    assert diff() == f"No figure, knob, row, prompt or code of a stage differs from `HEAD` ({commit}).\n"
    project.write("docs.md", "words that no stage reads")
    assert len(diff().splitlines()) == 1


def test_a_change_is_named(project: Small, diff: Diff) -> None:
    evaluate(project, [answered(at, at < 40) for at in range(100)])
    project.commit()
    project.edit("params.yaml", "rank: 32", "rank: 16")
    project.edit("recipes/mine/system.md", "Be short.", "Be kind.")
    project.write("recipes/mine/source/rows.jsonl", [source_row(at) for at in range(1, 8)])
    evaluate(project, [answered(at, 3 < at < 20, answer="a | wrong\n`one`") for at in range(100)])
    commit = project.run("git", "rev-parse", "--short=7", "HEAD").stdout.strip()
    said = diff()
    first, *lines = said.splitlines()
    assert first == (
        "**`lora.rank` `32` → `16`, rows of `mine`, 1 prompt**: 1 figure moved, 0 test rows won, 24 lost. "
        f"Against `HEAD` ({commit})."
    )
    (figure,) = (line for line in lines if line.startswith("| `mine` | `tuned.right`"))
    assert "| 0.4000 | 0.1600 | **−0.2400** | [−0." in figure
    assert "<code>mine</code> by <code>right</code>: 0 test rows won, 24 lost of 100; the worst" in said
    assert sum("| `question " in line for line in lines) == 5
    assert "| `question 0` | `answer 0` | as wanted | `` a \\| wrong `one` `` |" in lines
    assert "Rows of <code>mine</code>: 2 added, 1 removed in its source" in said
    assert "+ what is the number 6 → it is number 6" in lines
    assert "- what is the number 0 → it is number 0" in lines
    assert "-Be short." in lines and "+Be kind." in lines


def test_noise_is_told_apart(project: Small, diff: Diff) -> None:
    evaluate(project, [answered(at, at % 2) for at in range(100)])
    project.commit()
    evaluate(project, [answered(at, (at + (at < 9)) % 2) for at in range(100)])
    said = diff()
    assert said.startswith("**run again**: no figure moved, 1 within the noise, 5 test rows won, 4 lost. ")
    assert "Within the noise: `mine` `tuned.right` +0.0100 [−0." in said
    assert "| figure |" not in said


def test_what_has_nothing_to_open_is_an_item_of_a_list(project: Small, diff: Diff) -> None:
    """After a block that opens, too: before a blank line it would be a part of that block's HTML."""
    for name in ("first", "second", "third", "fourth"):
        evaluate(project, [answered(at, at < 9) for at in range(20)], name)
    project.commit()
    for name, most in (("first", 5), ("second", 15), ("third", 8), ("fourth", 7)):
        evaluate(project, [answered(at, at < most) for at in range(20)], name)
    shown = MarkdownIt().render(diff())
    assert re.search("<li>(<p>)?<code>second</code> by <code>right</code>: 6 test rows won, 0 lost", shown)
    assert "\n- " not in shown


def test_two_commits(project: Small, diff: Diff) -> None:
    project.edit("params.yaml", "rank: 32", "rank: 16")
    project.commit()
    project.edit("params.yaml", "rank: 16", "rank: 8")
    assert diff("HEAD~1", "HEAD").startswith("**`lora.rank` `32` → `16`**: no figure moved. Against `HEAD~1` (")
    assert diff("HEAD~1").startswith("**`lora.rank` `32` → `8`**")


def test_figures_of_other_code_are_called_so(project: Small, diff: Diff) -> None:
    project.write("metrics/mine/eval.json", {"tuned": {"right": 1.0}})
    said = diff()
    assert said.startswith("**no knob, row or code**: no figure moved, 1 new or gone. ")
    assert "**The figures are not of this commit**: " in said
    assert "`metrics/mine/eval.json is there, and no lock names it`" in said


def test_spend(project: Small, diff: Diff) -> None:
    project.write("metrics/mine/sdg.json", {"spend": {"usd": 1.5}})
    project.commit()
    project.write("metrics/mine/sdg.json", {"spend": {"usd": 2.0}})
    project.edit("params.yaml", "rank: 32", "rank: 16")
    assert "- Spend: USD 1.50 → 2.00 (`metrics/mine/sdg.json` +0.5000)." in diff()


def test_everything_at_once_is_still_short(project: Small, diff: Diff) -> None:
    names = [f"system-{at}" for at in range(40)]
    project.write("params.yaml", yaml.safe_dump({"recipes": ["mine"], "knobs": dict.fromkeys(names, 1)}))
    for name in names:
        project.write(f"recipes/{name}/source/rows.jsonl", [source_row(at) for at in range(20)])
        project.write(f"recipes/{name}/system.md", "word\n" * 40)
        evaluate(project, [answered(at, at < 15) for at in range(20)], name)
    project.commit()
    project.write("params.yaml", yaml.safe_dump({"recipes": ["mine"], "knobs": dict.fromkeys(names, "x" * 5000)}))
    for name in names:
        project.write(f"recipes/{name}/source/rows.jsonl", [{"query": "y" * 9000 + str(at)} for at in range(20)])
        project.write(f"recipes/{name}/system.md", "another\n" * 40)
        evaluate(project, [answered(at, at < 5, answer="z" * 9000) for at in range(20)], name)
    said = diff()
    assert said.startswith("**`knobs.system-0` `1` → `xxx")
    assert "38 more knobs" in said and "and 36 more: " in said
    assert len(said) < 20_000


HOSTILE = "@octocat <img src=x onerror=y> </details> [a](b) ![c](d) #1 | `x` ```\n# head\n\n- item\n| a | b |"


def test_hostile_rows_names_and_prompts_do_nothing(project: Small, diff: Diff) -> None:
    evaluate(project, [answered(at, True, reference=HOSTILE) for at in range(20)])
    project.commit()
    project.write("recipes/mine/source/rows.jsonl", [{"query": HOSTILE, "answer": HOSTILE}])
    project.write("recipes/mine/system.md", HOSTILE)
    project.write(f"recipes/mine/{HOSTILE.splitlines()[0].replace('/', '')}.md", HOSTILE)
    project.write("params.yaml", yaml.safe_dump({"recipes": ["mine"], "lora": {"rank": HOSTILE, HOSTILE: 1}}))
    evaluate(project, [answered(at, at > 3, answer=HOSTILE, reference=HOSTILE) for at in range(20)])
    project.write("metrics/mine/eval.json", {"tuned": {HOSTILE: 0.5, "right": 0.8}})
    for token in MarkdownIt("commonmark").enable("table").parse(diff()):
        inside = token.children or [token]
        for inner in (one for one in inside if one.type not in ("code_inline", "fence")):
            for sign in ("@octocat", "<img", "#1 ", "](", "head"):
                assert sign not in inner.content, inner
            assert inner.type not in ("link_open", "image", "heading_open", "bullet_item")


def test_a_comment_that_is_too_long_is_cut_between_blocks() -> None:
    block = "<details><summary>s</summary>\n\n" + "x" * 1000 + "\n\n</details>\n"
    said = cut("first\n" + block * 100)
    assert len(said) < CHARACTERS
    assert said.endswith(f"</details>\n{CUT}\n")
    assert said.count("<details>") == said.count("</details>") > 50
    assert cut(block) == block


# ------------------------------------------------------------------ what is wrong is one line


def test_a_base_that_is_no_commit(diff: Diff) -> None:
    said = diff("nothing/there", code=1)
    assert said.startswith("Error: nothing/there is no commit of this clone; `git fetch --unshallow` or")
    assert len(said.splitlines()) == 1


def test_a_folder_that_is_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["diff", "HEAD"])
    assert (done.exit_code, done.output) == (1, f"Error: {tmp_path} is no git repository; a comparison needs one\n")


def test_a_yaml_of_the_old_side_that_is_broken_stops_nothing(project: Small, diff: Diff) -> None:
    text = (project.root / "params.yaml").read_text("utf-8")
    for name in ("params.yaml", "dvc.lock"):
        project.write(name, "a: [")
    project.commit()
    project.write("params.yaml", text)
    (project.root / "dvc.lock").unlink()
    assert diff().startswith("**new ")


def test_it_needs_no_torch(project: Small) -> None:
    project.edit("params.yaml", "rank: 32", "rank: 16")
    code = (
        "import sys\nfrom tuneline.cli import main\nmain(['diff', 'HEAD'], standalone_mode=False)\n"
        "assert not {'torch', 'transformers', 'peft', 'trl', 'mlx'} & set(sys.modules), 'loaded'"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project.root, env={**ENVIRONMENT, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("**`lora.rank`")
