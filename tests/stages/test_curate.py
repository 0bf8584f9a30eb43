"""curate: what is dropped and why, and what never is."""

import csv
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.curate import Wrong, check_row, curate, main
from tests.ending import end_line
from tests.recipe_folder import write_recipe
from tests.servers.scripted_server import scripted
from tests.teaching import flags
from tests.teaching import settings as judge_settings
from tuneline.data.similarity import jaccard, shingles
from tuneline.files import read_jsonl, write_jsonl
from tuneline.recipe.forms import read_form
from tuneline.recipe.own import open_door
from tuneline.recipe.settings import Checks, Curate
from tuneline.rows import make_row

SETTINGS = Curate(near_duplicate=0.8, same_group=0.5, contamination=0.7)
LONG = "the quarterly budget of the northern region was approved by the board in late october"


def row(asked: str, answer: str = "yes", origin: str = "source", **extra: str) -> dict:
    return make_row(read_form({"prompt": asked, "response": answer}), "a.jsonl", 1, origin, **extra)


def asked(rows: list[dict]) -> list[str]:
    return [one["messages"][0]["content"] for one in rows]


def test_an_exact_copy_goes() -> None:
    kept, dropped = curate([row("one thing"), row("another matter"), row("one thing")], SETTINGS)
    assert asked(kept) == ["one thing", "another matter"]
    assert [(drop["reason"], drop["of"]) for drop in dropped] == [("duplicate", kept[0]["id"])]


def test_a_near_duplicate_goes_and_says_of_what_and_how_near() -> None:
    kept, dropped = curate([row(LONG), row("something else"), row(LONG + "s")], SETTINGS)
    assert asked(kept) == [LONG, "something else"]
    (drop,) = dropped
    assert (drop["reason"], drop["of"]) == ("near duplicate", kept[0]["id"])
    assert drop["similarity"] == round(jaccard(shingles(LONG), shingles(LONG + "s")), 4) >= 0.8


def test_case_and_spaces_do_not_hide_a_near_duplicate() -> None:
    kept, dropped = curate([row(LONG), row(LONG.upper().replace(" ", "  "))], SETTINGS)
    assert (len(kept), dropped[0]["similarity"]) == (1, 1.0)


def test_a_row_too_near_a_test_row_goes_though_it_stands_before_it() -> None:
    kept, dropped = curate([row(LONG), row(LONG + "?", set="test")], SETTINGS)
    assert [one.get("set") for one in kept] == ["test"]
    assert [(drop["reason"], drop["of"]) for drop in dropped] == [("contamination", kept[0]["id"])]


def test_a_copy_of_a_test_row_leaves_the_test_row() -> None:
    kept, dropped = curate([row(LONG), row(LONG, set="test")], SETTINGS)
    assert [one.get("set") for one in kept] == ["test"]
    assert [drop["reason"] for drop in dropped] == ["duplicate"]


def test_near_test_rows_all_stay() -> None:
    kept, dropped = curate([row(LONG, set="test"), row(LONG + "!", set="test")], SETTINGS)
    assert (len(kept), dropped) == (2, [])


def test_a_made_row_never_displaces_a_source_row() -> None:
    kept, dropped = curate([row(LONG + "!", origin="grammar"), row(LONG)], SETTINGS)
    assert [one["origin"] for one in kept] == ["source"]
    assert [drop["reason"] for drop in dropped] == ["near duplicate"]


def test_a_made_row_too_near_a_test_row_goes() -> None:
    _, dropped = curate([row(LONG + "!", origin="grammar"), row(LONG, set="test")], SETTINGS)
    assert [(drop["origin"], drop["reason"]) for drop in dropped] == [("grammar", "contamination")]


# Groups

A = "alpha beta gamma delta epsilon zeta"
B = "theta iota kappa lambda omicron sigma"
C = "a third matter, of which nobody has heard"


def test_near_source_rows_share_a_group() -> None:
    kept, _ = curate([row(A), row(A + " eta"), row(B)], Curate(near_duplicate=0.99, same_group=0.5, contamination=1))
    one, near, other = (one["group"] for one in kept)
    assert one == near != other


def test_a_row_near_to_two_groups_makes_them_one() -> None:
    settings = Curate(near_duplicate=0.99, same_group=0.3, contamination=1)
    assert jaccard(shingles(A), shingles(B)) < 0.3
    before, _ = curate([row(B), row(A)], settings)
    assert len({one["group"] for one in before}) == 2
    kept, _ = curate([row(B), row(A), row(f"{A} {B}")], settings)
    assert {one["group"] for one in kept} == {row(B)["group"]}


def test_a_group_that_the_source_gives_is_joined_whole() -> None:
    settings = Curate(near_duplicate=0.99, same_group=0.5, contamination=1)
    kept, _ = curate([row(A, group="d1"), row(B, group="d2"), row(A + " eta", group="d2")], settings)
    assert [one["group"] for one in kept] == ["d1", "d1", "d1"]


WORDS = ("budget", "meeting", "Zoé", "report", "last week", "Lyon")
QUERY = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
ROWS = st.lists(
    st.builds(
        lambda asked, answer, where: row(asked, answer, **where),
        QUERY,
        st.sampled_from(["a", "b"]),
        st.sampled_from([{}, {"set": "test"}, {"origin": "grammar"}]),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=20)
@given(ROWS)
def test_no_row_is_lost_and_none_is_kept_wrongly(rows: list[dict]) -> None:
    kept, dropped = curate(rows, SETTINGS)
    assert len(kept) + len(dropped) == len(rows)
    assert all(drop["reason"] for drop in dropped)
    tests = [one["id"] for one in kept if one.get("set") == "test"]
    assert tests == [one["id"] for one in rows if one.get("set") == "test"]  # copies too
    # Whatever is kept beside the made rows is kept without them, in the same groups.
    without, _ = curate([one for one in rows if one["origin"] == "source"], SETTINGS)
    assert [one for one in kept if one["origin"] == "source"] == without
    # No two near source rows in two groups.
    sources = [one for one in kept if one["origin"] == "source" and one.get("set") != "test"]
    for one, other in itertools.combinations(sources, 2):
        near = jaccard(shingles(folded(one)), shingles(folded(other))) >= SETTINGS.same_group
        assert not near or one["group"] == other["group"]


def folded(one: dict) -> str:
    return one["messages"][0]["content"].casefold()


# Rows that a strategy made

ASKS = "Pour vous répondre : quelle est votre nationalité ? Et quelle est la date d'expiration de votre titre ?"
TELLS = "La demande se dépose en ligne sur le site de l'ANEF, entre quatre et deux mois avant l'expiration du titre."
ENGLISH = "You have to apply online between four and two months before the residence permit expires."
CHECKS = Checks(
    language="fr", boilerplate=["mod[eè]le de langage", r"\[[^\]]*\]"], filled=["reasoning", "topic"], own=True
)
OWN_CHECKS = """
from tuneline.rows import answer, visible


def wrong(row):
    behavior = row["fields"].get("behavior")
    if not behavior:
        return "no behavior", ""
    asks = "?" in visible(answer(row))
    if behavior == "clarify" and not asks:
        return "answers instead of asking", ""
    return ("asks instead of answering", "") if behavior == "direct" and asks else None
"""
OWN_JUDGE = """
def answer(facts):
    words = len(facts["answer"].split())
    return {"reason": f"{words} words", "score": min(words, 10)}
"""


def write_doors(recipe: Path) -> Path:
    (recipe / "checks.py").write_text(OWN_CHECKS, encoding="utf-8")
    (recipe / "offline.py").write_text(OWN_JUDGE, encoding="utf-8")
    return recipe


@pytest.fixture
def wrong(tmp_path: Path) -> Wrong:
    return open_door(write_doors(write_recipe(tmp_path / "checked")), "checks").wrong


def made(answer: str, n: int = 0, **fields: Any) -> dict:
    asked = f"Comment puis-je renouveler mon titre de séjour numéro {n} à la préfecture ?"
    fields = {"behavior": "direct", "reasoning": ["parce que"], "topic": "t", **fields}
    body = read_form({"prompt": asked, "response": answer})
    return make_row({**body, "fields": fields}, "p.md", 1, "self_instruct", lineage=[], made_by={})


@pytest.mark.parametrize(
    ("answer", "fields", "why"),
    [
        (TELLS, {}, None),
        (f"<thinking>\n{ENGLISH}\n</thinking>\n\n{TELLS}", {}, None),
        (ASKS, {"behavior": "clarify"}, None),
        (f"{TELLS} {ASKS}", {"behavior": "hybrid"}, None),
        ("<thinking>\nrien\n</thinking>", {}, ("empty answer", "")),
        ("<thinking>\nrien et sans fin", {}, ("empty answer", "")),
        (f"{TELLS} Je suis un MODÈLE de langage.", {}, ("boilerplate", "MODÈLE de langage")),
        (f"{TELLS} Écrivez à [adresse].", {}, ("boilerplate", "[adresse]")),
        (TELLS, {"reasoning": []}, ("no reasoning", "")),
        (TELLS, {"reasoning": [], "topic": ""}, ("no reasoning", "")),
        (TELLS, {"topic": ""}, ("no topic", "")),
        (TELLS, {"behavior": "clarify"}, ("answers instead of asking", "")),
        (ASKS, {"behavior": "direct"}, ("asks instead of answering", "")),
        (f"{TELLS} [nom]", {"topic": "", "behavior": None}, ("boilerplate", "[nom]")),  # the recipe's own come last
        (TELLS, {"behavior": None}, ("no behavior", "")),
    ],
)
def test_what_a_made_row_must_be(answer: str, fields: dict, why: tuple[str, str] | None, wrong: Wrong) -> None:
    assert check_row(made(answer, **fields), CHECKS, wrong) == why


def test_a_row_in_another_language_goes_and_says_which() -> None:
    row_in_english = make_row(
        read_form({"prompt": "How do I renew my residence permit in this town?", "response": ENGLISH}), "p", 1, "made"
    )
    assert check_row(row_in_english, Checks(language="fr")) == ("language", "en")
    assert check_row(row_in_english, Checks(language="en")) is None
    assert check_row(made(ENGLISH), Checks(language="fr")) == ("language", "en")  # to a French question
    assert check_row(made(ENGLISH), Checks()) is None
    assert check_row(row("Oui ?", "No."), Checks(language="fr")) is None  # too little to tell


def test_source_rows_are_held_to_no_check(wrong: Wrong) -> None:
    rows = [row("How do I renew my residence permit in this town?", ENGLISH), made(ENGLISH)]
    kept, dropped = curate(rows, SETTINGS.model_copy(update={"checks": CHECKS}), wrong)
    assert [one["origin"] for one in kept] == ["source"]
    assert [(drop["origin"], drop["reason"]) for drop in dropped] == [("self_instruct", "language")]


def run(tmp_path: Path, rows: list[dict], section: dict[str, Any], judge: list[str] | None = None) -> Result:
    recipe = write_doors(write_recipe(tmp_path / "r", curate=section))
    (recipe / "judge").mkdir()
    (recipe / "judge/row.md").write_text("${question} ${behavior} ${topic} ${answer}")
    (recipe / "judge/odd.md").write_text("${expected}")
    write_jsonl(tmp_path / "in.jsonl", rows)
    words = ["--recipe", str(recipe), "--rows", str(tmp_path / "in.jsonl"), "--answers", str(tmp_path / "answers")]
    for name in ("out", "drops", "metrics", "reasons"):
        words += [f"--{name}", str(tmp_path / name)]
    words += ["--engine", "local"]
    return CliRunner().invoke(main, [*words, *(judge or flags(judge_settings(provider="offline")))])


def bars(tmp_path: Path) -> dict[str, int]:
    with (tmp_path / "reasons").open(newline="") as lines:
        return {line["what"]: int(line["rows"]) for line in csv.DictReader(lines)}


JUDGED = {"rubric": "judge/row.md", "threshold": 6}


MIXED = [
    row(LONG),
    made(TELLS, 111, behavior="clarify", missing_info=["nationalité"]),
    made(ASKS, 333, behavior="clarify", missing_info=["nationalité", "date d'expiration"]),
    made("Oui.", 555),
    made("<thinking>\nrien\n</thinking>", 777),
]


def test_every_drop_has_its_reason_and_its_bar(tmp_path: Path) -> None:
    result = run(tmp_path, MIXED, {"checks": {"own": True}, "judge": JUDGED})
    assert result.exit_code == 0, result.output
    assert end_line(result.stderr) == "curate r 5 → 2 rows 40.0 % kept"
    kept, dropped = read_jsonl(tmp_path / "out"), read_jsonl(tmp_path / "drops")
    assert sorted(drop["reason"] for drop in dropped) == ["answers instead of asking", "empty answer", "judged low"]
    assert bars(tmp_path) == {"kept": 2, "answers instead of asking": 1, "empty answer": 1, "judged low": 1}
    assert len(kept) + len(dropped) == len(MIXED)
    source, judged = kept
    assert "judged" not in source  # people wrote it
    assert judged["judged"]["by"] == "offline"
    assert judged["judged"]["score"] >= 6
    (low,) = [drop for drop in dropped if drop["reason"] == "judged low"]
    assert low["judged"]["score"] < 6
    assert low["detail"] == low["judged"]["reason"] != ""
    assert json.loads((tmp_path / "metrics").read_text())["judge"] == "offline"


def test_a_recipe_whose_checks_are_not_there_is_one_line(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path / "r", curate={"checks": {"own": True}})
    write_jsonl(tmp_path / "in.jsonl", MIXED)
    words = ["--recipe", recipe, "--rows", tmp_path / "in.jsonl", "--answers", tmp_path / "answers"]
    for name in ("out", "drops", "metrics", "reasons"):
        words += [f"--{name}", tmp_path / name]
    words += ["--engine", "local"]
    result = CliRunner().invoke(main, [*map(str, words), *flags(judge_settings(provider="offline"))])
    assert (result.exit_code, result.output.count("\n")) == (1, 1)
    assert f"{recipe}/checks.py is missing" in result.output
    assert not (tmp_path / "out").exists()


UNJUDGED = [row(LONG), *(made(TELLS, number) for number in (111, 333, 555))]


def judged_by(replies: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Result:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with scripted(*replies) as server:
        chosen = judge_settings(base_url=server.openai_url, attempts=1, concurrency=1)
        section = {"judge": {**JUDGED, "threshold": 0}, "near-duplicate": 1}
        result = run(tmp_path, UNJUDGED, section, flags(chosen))
        assert len(server.prompts) == 3  # a source row is not judged
    dropped = read_jsonl(tmp_path / "drops")
    assert {(drop["reason"], "judged" in drop) for drop in dropped} == {("unjudged", False)}
    assert all(drop["detail"].startswith("invalid: it is not JSON") for drop in dropped)
    return result


def test_a_row_that_the_judge_cannot_judge_is_no_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = judged_by((json.dumps({"reason": "bon", "score": 5}), "no", "nor this"), tmp_path, monkeypatch)
    assert result.exit_code == 0, result.output
    assert bars(tmp_path) == {"kept": 2, "unjudged": 2}
    assert "judge: 2 of 3 rows have no judgement: invalid 2 (it is not JSON" in result.output


def test_a_judge_that_says_nothing_of_use_fails_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").write_text("of before")
    result = judged_by(("no",), tmp_path, monkeypatch)
    assert result.exit_code == 1
    assert "judge: 3 of 3 rows have no judgement: invalid 3 (it is not JSON" in result.output
    assert f"Error: not one of 3 rows could be judged; {tmp_path}/drops has each" in result.output
    assert (tmp_path / "out").read_text() == "of before"


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"checks": {"boilerplate": ["("]}}, "curate.checks.boilerplate.0: input should be a valid regular expression"),
        ({"checks": {"langage": "fr"}}, "curate.checks.langage: unknown key; valid keys are language, boilerplate"),
        ({"judge": {"rubric": "judge/row.md"}}, "curate.judge.threshold: field required"),
        ({"judge": {**JUDGED, "rubric": "judge/none.md"}}, "judge/none.md is missing; recipe.yaml names it"),
        ({"judge": {**JUDGED, "rubric": "judge/odd.md"}}, "rubric: unknown expected; known are answer, behavior"),
    ],
)
def test_a_wrong_check_or_rubric_is_one_line(tmp_path: Path, section: dict, says: str) -> None:
    result = run(tmp_path, MIXED, section)
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert says in result.output.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_the_stage_counts_each_reason_and_keeps_the_drops(tmp_path: Path) -> None:
    rows = [row(LONG, set="test"), row(LONG + "!"), row(B), row(B), row(B + "s", origin="grammar")]
    result = run(tmp_path, rows, {})
    assert result.exit_code == 0, result.output
    assert asked(read_jsonl(tmp_path / "out")) == [LONG, B]
    assert len(read_jsonl(tmp_path / "drops")) == 3
    assert json.loads((tmp_path / "metrics").read_text()) == {
        "in": 5,
        "out": 2,
        "dropped": {"contamination": 1, "duplicate": 1, "near duplicate": 1},
    }


# One question, several answers


def test_answers_tell_rows_with_one_question_apart() -> None:
    rows = [row(LONG, "yes"), row(LONG, "no"), row(LONG, " YES "), row(LONG, "yes")]
    rows = [{**one, "id": str(number)} for number, one in enumerate(rows)]
    kept, dropped = curate(rows, SETTINGS)
    assert [one["id"] for one in kept] == ["0", "1"]
    assert [(drop["id"], drop["reason"], drop["of"]) for drop in dropped] == [
        ("2", "near duplicate", "0"),
        ("3", "duplicate", "0"),
    ]


def test_near_questions_with_other_answers_are_no_duplicates() -> None:
    sums = [row(f"Please calculate the following sum for me: {n} + 17", str(n + 17)) for n in range(30, 60)]
    kept, dropped = curate(sums, SETTINGS)
    assert (len(kept), dropped) == (30, [])
    assert len({one["group"] for one in kept}) == 30


def test_what_stands_before_the_last_question_is_asked_too() -> None:
    def chat(system: str, *said: str) -> dict:
        turns = conversation(*said)["messages"]
        before = [{"role": "system", "content": system}] if system else []
        return make_row(read_form({"messages": [*before, *turns]}), "a.jsonl", 1)

    rows = [chat(B, LONG, "yes"), chat("", LONG, "yes"), chat("", C, "hm", LONG, "yes"), chat("", C, B, LONG, "yes")]
    settings = Curate(near_duplicate=0.9, same_group=0.9, contamination=0.9)
    assert (len(curate(rows, settings)[0]), curate(rows, settings)[1]) == (4, [])


def test_rows_with_other_tools_are_no_duplicates() -> None:
    tools = [{"type": "function", "function": {"name": "add"}}]
    rows = [row(LONG), {**row(LONG), "tools": tools, "id": "t"}, {**row(LONG + "s"), "tools": tools, "id": "s"}]
    kept, dropped = curate(rows, SETTINGS)
    assert (len(kept), [(drop["id"], drop["of"]) for drop in dropped]) == (2, [("s", "t")])


def test_near_texts_are_duplicates_without_an_answer() -> None:
    texts = [make_row({"text": text}, "a", 1) for text in (LONG, LONG + "s", B)]
    kept, dropped = curate(texts, SETTINGS)
    assert ([one["text"] for one in kept], [drop["reason"] for drop in dropped]) == ([LONG, B], ["near duplicate"])


def test_a_corpus_written_to_one_instruction_stays_and_is_counted(tmp_path: Path) -> None:
    rows = [row("Write a poem.", f"Poem {number} of {number * number}.") for number in range(161)]
    result = run(tmp_path, rows, {})
    assert result.exit_code == 0, result.output
    assert len(read_jsonl(tmp_path / "out")) == 161
    assert "(161) │ of these: one question, several answers" in result.stdout
    assert json.loads((tmp_path / "metrics").read_text())["several_answers"] == 161


def test_the_first_answer_of_each_question_where_the_recipe_says_so(tmp_path: Path) -> None:
    rows = [row("Write a poem.", f"Poem {number}.") for number in range(9)] + [
        row(B, "x"),
        row("Write a poem.", "t", set="test"),
    ]
    settings = SETTINGS.model_copy(update={"answers": "first", "contamination": 1.0})
    kept, dropped = curate([one for one in rows if "set" not in one], settings)
    assert [one["messages"][1]["content"] for one in kept] == ["Poem 0.", "x"]
    assert {(drop["reason"], drop["of"]) for drop in dropped} == {("another answer", kept[0]["id"])}
    tests = [row("Write a poem.", f"Poem {number}.", set="test") for number in range(9)]
    assert curate(tests, settings)[0] == tests


# Contamination


def test_a_near_question_to_a_test_row_goes_whatever_it_answers() -> None:
    kept, dropped = curate([row(LONG + "s", "no"), row(LONG, "yes", set="test")], SETTINGS)
    assert [(one.get("set"), drop["reason"]) for one, drop in zip(kept, dropped, strict=True)] == [
        ("test", "contamination")
    ]


def test_an_instruction_of_test_rows_forbids_only_their_answers() -> None:
    poem = "The hills of the north are green in the morning and grey at night"
    tests = [row("Write a poem.", f"{poem} {number}.", set="test") for number in "ab"]
    others = [row("Write a poem.", B), row("Write a poem!", f"{poem} a!"), row("Write a poem.", f"{poem} B.")]
    kept, dropped = curate([*others, *tests], SETTINGS)
    assert [one["messages"][1]["content"] for one in kept if "set" not in one] == [B]
    assert [(drop["reason"], drop["of"]) for drop in dropped] == [
        ("contamination", tests[0]["id"]),
        ("contamination", tests[1]["id"]),
    ]


def test_texts_after_one_template_are_compared_by_themselves() -> None:
    told = "Read the letter below and say in one sentence what its writer wants from the town hall. Letter: "
    letters = [f"{told}{A if n % 2 else B} {n * 7919} of street {n * 104729}, house {n * n}" for n in range(60)]
    rows = [row(letter, str(n), **({"set": "test"} if n < 10 else {})) for n, letter in enumerate(letters)]
    kept, dropped = curate(
        [*rows, row(letters[3] + "!", "no")], Curate(near_duplicate=0.9, same_group=0.9, contamination=0.85)
    )
    assert len(kept) == 60
    assert [(drop["reason"], drop["of"]) for drop in dropped] == [("contamination", rows[3]["id"])]
    assert len({one["group"] for one in kept}) == 60


def test_ten_examples_under_one_long_system_prompt_are_not_alike() -> None:
    system = {"role": "system", "content": f"You answer for the town hall. {LONG}. {A}. {B}." * 3}
    rows = []
    for number, asked_for in enumerate(
        "a passport,a place in the creche,a tree to be cut,a map,my taxes,the mayor".split(",")
    ):
        said = [{"role": "user", "content": f"I want {asked_for}"}, {"role": "assistant", "content": str(number)}]
        held_out = {"set": "test"} if number == 0 else {}
        rows.append(make_row(read_form({"messages": [system, *said]}), "a", number, **held_out))
    kept, dropped = curate(rows, SETTINGS)
    assert (len(kept), dropped, len({one["group"] for one in kept})) == (6, [], 6)


def conversation(*said: str, **extra: str) -> dict:
    roles = ("user", "assistant") * (len(said) // 2)
    messages = [{"role": role, "content": content} for role, content in zip(roles, said, strict=True)]
    return make_row(read_form({"messages": messages}), "a.jsonl", 1, **extra)


TURNS = ("What is a tariff?", "A tax on what is imported.", LONG, "By whom?", B, "Nobody knows that.")


@pytest.mark.parametrize(("held_out", "other"), [(TURNS[:2], TURNS), (TURNS, TURNS[:4]), (TURNS[2:4], TURNS)])
def test_a_conversation_that_holds_a_held_out_ones_turns_or_is_held_goes(held_out: tuple, other: tuple) -> None:
    for name in ("test", "valid"):
        tested = conversation(*held_out, set=name)
        kept, dropped = curate([conversation(*other), conversation("hm", "yes"), tested], SETTINGS)
        assert [one.get("set") for one in kept] == [name, None]
        assert [(drop["reason"], drop["of"]) for drop in dropped] == [("contamination", tested["id"])]


def test_source_conversations_that_hold_one_another_share_a_group() -> None:
    rows = [
        conversation(*TURNS),
        conversation("hm", "yes"),
        conversation(*TURNS[:2]),
        conversation("ah", "no", *TURNS[2:4]),
    ]
    settings = SETTINGS.model_copy(update={"near_duplicate": 1})
    kept, dropped = curate([*rows, conversation(*TURNS[2:4])], settings)
    assert dropped == []
    assert [one["group"] == rows[0]["group"] for one in kept] == [True, False, True, True, True]


def test_many_conversations_that_begin_alike_are_groups_of_their_own() -> None:
    rows = [conversation("hi", "hello", f"{A if n % 2 else B} {n * 7919}", str(n)) for n in range(60)]
    kept, dropped = curate(rows, Curate(near_duplicate=0.9, same_group=0.95, contamination=0.9))
    assert (len({one["group"] for one in kept}), dropped) == (60, [])


def test_what_is_not_looked_for_is_told(tmp_path: Path) -> None:
    rows = [conversation("hi", "hello", f"{A if n % 2 else B} {n * 7919}", str(n)) for n in range(60)]
    result = run(tmp_path, [*rows, conversation("hi", "hello")], {"near-duplicate": 0.9, "same-group": 0.95})
    assert "r: 1 conversations of turns that many begin with" in result.stderr


# Groups


def test_given_groups_with_one_instruction_stay_apart() -> None:
    rows = [row("Write a poem.", f"Poem {n} of {n * n}.", group=f"author {n % 15}") for n in range(60)]
    kept, _ = curate(rows, SETTINGS)
    assert [one["group"] for one in kept] == [one["group"] for one in rows]
    kept, _ = curate([row(LONG, "yes", group="a"), row(LONG, "no", group="b"), row(B, group="b")], SETTINGS)
    assert {one["group"] for one in kept} == {"a"}


def test_every_adapters_rows_are_compared_with_each_adapters() -> None:
    own = row(LONG + "s", origin="made", adapter="one")
    assert [one["reason"] for one in curate([own, row(LONG, set="test")], SETTINGS)[1]] == ["contamination"]
    assert [one["reason"] for one in curate([own, row(LONG)], SETTINGS)[1]] == ["near duplicate"]
    other = row(LONG, origin="made", adapter="two")
    assert curate([own, other], SETTINGS)[1] == []
