"""The six doors of a recipe: loaded by their place, held to what they must have, told in one line when they are not."""

import multiprocessing
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.conftest import ENVIRONMENT, ROOT
from tuneline.recipe.own import DOORS, call, has_door, load, open_door

GOOD = {
    "reader": """
        from pydantic import BaseModel

        class Settings(BaseModel):
            pass

        def read(recipe, settings, out, state):
            return None
        """,
    "offline": """
        def answer(facts):
            return facts
        """,
    "checks": """
        def wrong(row):
            return None
        """,
    "measures": """
        FIGURES = {"length": "mean"}

        def score(row, answer, outcomes):
            return len(answer)
        """,
    "orders": """
        def check(shares):
            return None

        def draw(dimensions, rng):
            return None

        def faults(order, text):
            return []

        def write(order, rng):
            return None
        """,
    "commands": """
        import click

        @click.group()
        def commands():
            pass
        """,
}


def write(recipe: Path, **files: str) -> Path:
    """A recipe's folder with these modules; each is dedented."""
    for name, text in files.items():
        path = recipe / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = text.strip("\n").split("\n")
        indent = len(lines[0]) - len(lines[0].lstrip())
        path.write_text("\n".join(line[indent:] for line in lines) + "\n", encoding="utf-8")
    return recipe


def refused(recipe: Path, door: str) -> str:
    """The one line that a door is refused with, without the recipe's folder."""
    with pytest.raises(click.ClickException) as error:
        open_door(recipe, door)
    assert "\n" not in error.value.message
    return error.value.message.replace(f"{recipe}/", "")


def test_there_are_six() -> None:
    assert list(GOOD) == list(DOORS)


@pytest.mark.parametrize("door", DOORS)
def test_a_door_that_has_what_it_must_is_opened(door: str, tmp_path: Path) -> None:
    recipe = write(tmp_path / "r", **{door: GOOD[door]})
    assert has_door(recipe, door)
    module = open_door(recipe, door)
    assert Path(module.__file__) == recipe / f"{door}.py"
    assert open_door(recipe, door) is module


@pytest.mark.parametrize("door", DOORS)
def test_a_door_that_is_wanted_and_not_there_is_named(door: str, tmp_path: Path) -> None:
    recipe = write(tmp_path / "r", **{name: text for name, text in GOOD.items() if name != door})
    assert not has_door(recipe, door)
    assert refused(recipe, door) == f"{door}.py is missing, and recipe.yaml asks for it"


@pytest.mark.parametrize(
    ("door", "old", "new", "says"),
    [
        ("reader", "(recipe, settings, out, state)", "(recipe, settings)",
         "read(recipe, settings) does not take what it is given: read(recipe, settings, out, state)"),
        ("reader", "def read(", "def reads(", "has no function read(recipe, settings, out, state)"),
        ("reader", "class Settings", "class Options", "has no Settings, type"),
        ("offline", "(facts)", "()", "answer() does not take what it is given: answer(facts)"),
        ("offline", "(facts)", "(facts, rubric)",
         "answer(facts, rubric) does not take what it is given: answer(facts)"),
        ("offline", "def answer(facts):\n            return facts", "answer = {}", "has no function answer(facts)"),
        ("checks", "def wrong(row)", "def wrong(row, *, strict)",
         "wrong(row, *, strict) does not take what it is given: wrong(row)"),
        ("measures", "FIGURES", "FIGURE", "has no FIGURES, Mapping"),
        ("measures", "(row, answer, outcomes)", "(answer)",
         "score(answer) does not take what it is given: score(row, answer, outcomes)"),
        ("orders", "faults(order, text)", "faults(text)", "faults(text) does not take what it is given: faults("),
        ("orders", "def draw", "def drawn", "has no function draw(dimensions, rng)"),
        ("commands", "def commands", "def group", "has no commands, Group"),
    ],
)  # fmt: skip
def test_what_a_door_lacks_is_one_sentence(door: str, old: str, new: str, says: str, tmp_path: Path) -> None:
    assert old in GOOD[door]
    recipe = write(tmp_path / "r", **{door: GOOD[door].replace(old, new)})
    assert refused(recipe, door).startswith(f"{door}.py: {says}")


@pytest.mark.parametrize("form", ["(row, answer, outcomes=())", "(*given)", "(row, answer, outcomes, more=None)"])
def test_a_door_may_take_more_than_it_is_given(form: str, tmp_path: Path) -> None:
    text = GOOD["measures"].replace("(row, answer, outcomes)", form).replace("len(answer)", "0")
    assert open_door(write(tmp_path / "r", measures=text), "measures").score({}, "", []) == 0


# Errors in a recipe's Python


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"checks": "def wrong(row):\n    return None\n\ndef more(:\n    pass"},
         ("checks.py:4: SyntaxError: ", "invalid syntax")),
        ({"checks": "def wrong(row):\nreturn None"}, ("checks.py:2: IndentationError: ", "expected an indented block")),
        ({"checks": GOOD["checks"] + "\n        from .words import x", "words": "a = 1\nx = ("},
         ("words.py:2: SyntaxError: ", "'(' was never closed")),
        ({"checks": "from .none import x"}, ("checks.py: ModuleNotFoundError: No module named ", ".none'")),
        ({"checks": "import no_such_library"}, ("checks.py: ModuleNotFoundError: No module named 'no_such_library'",)),
        ({"checks": "from .words import y", "words": "x = 1"},
         ("checks.py: ImportError: cannot import name 'y' from ",)),
        ({"checks": "FIRST = SECOND"}, ("checks.py: NameError: name 'SECOND' is not defined",)),
    ],
)  # fmt: skip
def test_what_cannot_be_imported_is_one_line_with_its_place(
    files: dict[str, str], says: tuple[str, ...], tmp_path: Path
) -> None:
    said = refused(write(tmp_path / "r", **files), "checks")
    assert said.startswith(says[0])
    assert all(part in said for part in says)


def test_a_door_that_was_mended_opens(tmp_path: Path) -> None:
    """A failed import leaves nothing behind."""
    recipe = write(tmp_path / "r", checks="def wrong(row)")
    refused(recipe, "checks")
    write(recipe, checks=GOOD["checks"])
    assert open_door(recipe, "checks").wrong({}) is None


# Where it is loaded from

WORDS = """
    from .texts.parts import SEPARATOR

    def count(text, more=0):
        return len(text.split(SEPARATOR)) + more
    """


def with_neighbours(recipe: Path, separator: str = " ") -> Path:
    measures = GOOD["measures"].replace("FIGURES", "from .words import count\n\n        FIGURES", 1)
    measures = measures.replace("len(answer)", "count(answer)")
    return write(recipe, measures=measures, words=WORDS, texts__parts=f"SEPARATOR = {separator!r}")


def test_a_door_imports_its_neighbours_and_what_is_below_them(tmp_path: Path) -> None:
    recipe = with_neighbours(tmp_path / "my-recipe")
    assert open_door(recipe, "measures").score({}, "a b c", []) == 3
    assert load(recipe, "texts.parts").SEPARATOR == " "
    assert load(recipe, "words") is sys.modules[open_door(recipe, "measures").__package__ + ".words"]


def test_two_checkouts_in_one_process_share_no_module(tmp_path: Path) -> None:
    one, other = (with_neighbours(tmp_path / name / "recipes/r", sign) for name, sign in (("main", " "), ("run", "-")))
    scores = [open_door(recipe, "measures").score({}, "a b-c-d", []) for recipe in (one, other, one)]
    assert scores == [2, 3, 2]
    assert load(one, "words") is not load(other, "words")
    assert load(one, "texts.parts").SEPARATOR != load(other, "texts.parts").SEPARATOR


def test_two_recipes_with_neighbours_of_one_name_share_no_module(tmp_path: Path) -> None:
    for name, sign in (("a", " "), ("b", "-")):
        with_neighbours(tmp_path / name, sign)
    assert [load(tmp_path / name, "words").count("a b-c-d") for name in "ab"] == [2, 3]
    assert "words" not in sys.modules


def test_a_relative_path_is_of_the_folder_that_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, sign in (("main", " "), ("run", "-")):
        with_neighbours(tmp_path / name / "recipes/r", sign)
    scores = []
    for name in ("main", "run"):
        monkeypatch.chdir(tmp_path / name)
        scores.append(load(Path("recipes/r"), "words").count("a b-c-d"))
    assert scores == [2, 3]


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_a_process_of_a_pool_can_be_told_to_call(method: str, tmp_path: Path) -> None:
    recipe = with_neighbours(tmp_path / "r")
    with multiprocessing.get_context(method).Pool(1) as pool:
        told = [pool.apply_async(call, (recipe, "words", "count", "a b c", more)) for more in (0, 5)]
        assert [one.get(60) for one in told] == [3, 8]


# The engine imports none


def test_importing_the_stages_imports_no_recipe() -> None:
    code = (
        "import importlib, pathlib, sys\n"
        "names = sorted(path.stem for path in pathlib.Path('stages').glob('[a-z]*.py'))\n"
        "for name in names: importlib.import_module(f'stages.{name}')\n"
        "print(len(names), [name for name in sys.modules if name.split('.')[0] == 'recipes'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, found = done.stdout.split(" ", 1)
    assert (int(count) >= 12, found.strip()) == (True, "[]")
