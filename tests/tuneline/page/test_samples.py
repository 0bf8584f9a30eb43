"""Sample answers: their groups, what fits on the page, and text that cannot leave its element."""

import json
from pathlib import Path

from tests.tuneline.page.run import answers, edit, evaluated, run, sample_rows
from tuneline.page.reading import System, find_systems
from tuneline.page.samples import LONGEST, deciding_figure, groups_of, packed, samples, within


def test_a_row_has_both_answers_their_figures_and_what_is_said_of_them(tmp_path: Path) -> None:
    row = samples(find_systems(run(tmp_path))[0])[4]
    assert row == {
        "id": "row-4",
        "q": [["user", "message 4: please look into this"]],
        "r": "hardware",
        "b": "other",
        "t": "hardware",
        "f": {"accuracy": [False, True], "letters": [5, 8]},
        "g": {"language": "fr"},
        "m": ["reason: said other", "reason: said hardware"],
    }


def test_the_base_after_examples_stands_third(tmp_path: Path) -> None:
    rows = sample_rows()
    run(tmp_path)
    evaluated(
        tmp_path, "mine", rows, {"base": answers(rows, 0), "shots": answers(rows, 0.5), "tuned": answers(rows, 1)}
    )
    (system,) = find_systems(tmp_path)
    row = samples(system)[7]
    assert (row["b"], row["s"], row["t"]) == ("other", "other", "hardware")
    assert samples(system)[1]["f"]["accuracy"] == [False, True, True]
    assert row["m"][2] == "reason: said other" and deciding_figure(system) == "accuracy"


def test_groups_come_from_what_has_their_values_as_often(tmp_path: Path) -> None:
    run(tmp_path)
    report = tmp_path / "metrics/mine/report.json"
    kinds = {kind: {"rows": 4, "accuracy": 1} for kind in ("billing", "hardware", "other")}
    edit(report, per_kind={"base": kinds, "tuned": kinds})
    found = groups_of(find_systems(tmp_path)[0])
    assert found["kind"][:4] == ["billing", "hardware", "other", "billing"], "the actual kinds of the heat map"
    assert found["language"][:5] == ["fr", "en", "en", "en", "fr"], "a field of the test rows"
    edit(report, per_kind={"base": kinds, "tuned": {"billing": {"rows": 12, "accuracy": 1}}})
    assert "kind" not in groups_of(find_systems(tmp_path)[0]), "nothing has that value twelve times"


def test_the_figure_that_decides(tmp_path: Path) -> None:
    (system,) = find_systems(run(tmp_path))
    assert deciding_figure(system) == "accuracy"
    figures = {"parses": True, "exact": False, "loose": True, "f1": 0.5}
    both = [{**figures, "exact": True}, {**figures, "loose": False}, figures]
    rows = [{"id": "1", "base": "", "tuned": "", "figures": {"base": one, "tuned": one}} for one in both]
    assert deciding_figure(System("mine", "mine", predictions=rows)) == "exact", "the yes or no with the fewest yes"
    assert deciding_figure(System("mine", "mine")) is None


def test_other_kinds_of_rows(tmp_path: Path) -> None:
    nan, marks = float("nan"), {"base": {"exact": False, "empty": ""}, "tuned": {"checks": {"short": True}}}
    rows = [
        {"id": "1", "text": "words", "base": 8.25, "tuned": 7.5, "figures": {"base": {"x": nan}, "tuned": {"x": 1}}},
        {
            "id": "2",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "x" * (LONGEST + 7)}],
            "reference": "yes",
            "base": "",
            "tuned": "yes",
            "figures": {"base": {"exact_match": False}, "tuned": {"exact_match": True}},
            "marks": marks,
        },
    ]
    text, chat = samples(System("mine", "mine", predictions=rows))
    assert (text["q"], text["r"], text["b"]) == ([["text", "words"]], None, "8.25 bits")
    assert text["f"] == {"x": [None, 1]}, "what is no number in JSON is none"
    assert [role for role, _ in chat["q"]] == ["system", "user"]
    assert chat["q"][1][1].endswith("x… (7 characters more)")
    assert chat["m"] == ["", 'checks: {"short": true}'], "a mark that is a figure already stands there once"


def test_what_fits_is_drawn_the_same_each_time(tmp_path: Path) -> None:
    run(tmp_path)
    many = sample_rows(400)
    evaluated(tmp_path, "mine", many, {"base": answers(many, 0), "tuned": answers(many, 1)})
    rows = samples(find_systems(tmp_path)[0])
    few = {"few": rows[:5], "many": rows, "more": rows}
    assert within(few) == few
    size = len(packed(rows[0]).encode())
    kept = within(few, room=100 * size)
    assert kept["few"] == rows[:5], "who needs little has all of it"
    assert kept == within(few, room=100 * size)
    for name in ("many", "more"):
        places = [rows.index(row) for row in kept[name]]
        assert 40 <= len(places) <= 50 and places == sorted(places)
    assert sum(len(packed(row).encode()) for mine in kept.values() for row in mine) <= 100 * size
    assert within({"none": []}) == {"none": []}


def test_packed_text_stays_in_its_element() -> None:
    hostile = "</script><!-- <script>\u2028\ud800\x00"
    assert "<" not in packed([hostile]) and "\u2028" not in packed([hostile])
    assert json.loads(packed([hostile])) == [hostile.replace("\ud800", "\ufffd")]
