"""The log of a run in which all is well, as a small copy of the project has written it to a file."""

import re

from tests.conftest import LOG, Project

ADAPTER = ["trim", "split", "format", "train", "predict", "baseline", "eval"]


def lines(project: Project) -> list[str]:
    return (project.root / LOG).read_text("utf-8").splitlines()


def test_it_is_as_wide_as_a_terminal_and_warns_of_nothing(ran_project: Project) -> None:
    log = lines(ran_project)
    assert max(map(len, log)) <= 100
    assert not [line for line in log if re.search("warning|is empty|\\r|python -m", line, re.IGNORECASE)]


def test_a_line_a_stage_from_rows_to_table_and_then_the_recipes_without_an_adapter(ran_project: Project) -> None:
    log = lines(ran_project)
    ended = [(found[1], found[2]) for line in log if (found := re.match(r"([a-z]+) +(\S+) .* [\d,.]+ s  \S", line))]
    first = [("check", "params.yaml"), *((stage, "query_json") for stage in ("extract", "sdg", "curate", *ADAPTER))]
    assert ended[:11] == first
    assert {name for _, name in ended[11:]} == {"french_admin", "papers"}
    figure = r"eval +query_json +6 test rows +[\d.]+ s  slot_f1 [\d.]+ → [\d.]+"
    (end,) = [at for at, line in enumerate(log) if re.fullmatch(figure, line)]
    assert [at for at, line in enumerate(log) if "slot_f1" in line and at < end]  # its table stands above its line
