"""The one splitter: where sentences end in print, in what people type, and in a paper."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuneline.language.sentences import ends, is_ended, sentences


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("It rains. It pours!\nA line\n\n  Enfin… Oui ?  ", ["It rains.", "It pours!", "A line", "Enfin…", "Oui ?"]),
        ("It cost 3.5 million. “Too much.” She left.", ["It cost 3.5 million.", "“Too much.”", "She left."]),
        ("« Assez ? » Élise part (enfin.) 12 restent.", ["« Assez ? »", "Élise part (enfin.)", "12 restent."]),
        ("M. Roy et Mme. Lo, cf. Code, art. 5, no. 7.", ["M. Roy et Mme. Lo, cf. Code, art. 5, no. 7."]),
        ("« Quoi ? » dit-il. the end", ["« Quoi ? » dit-il. the end"]),
        ("", []),
        (" \n\t\n", []),
    ],
)
def test_a_printed_sentence_ends_before_a_capital_or_a_figure(text: str, said: list[str]) -> None:
    assert sentences(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bonjour. et ensuite ? merci", ["bonjour.", "et ensuite ?", "merci"]),
        ("quel motif (études, famille…) ? et où", ["quel motif (études, famille…) ?", "et où"]),
        ("selon art. 5 et M. Roy. ok", ["selon art. 5 et M. Roy.", "ok"]),
        ("il dit « non ! » puis part. Oui", ["il dit « non ! » puis part.", "Oui"]),
    ],
)
def test_what_people_type_ends_at_a_mark_but_at_no_bracket_or_quotation(text: str, said: list[str]) -> None:
    assert sentences(text, printed=False) == said


def test_a_capital_alone_is_a_name_and_in_mathematics_a_variable() -> None:
    text = "It came from J. Smith. We add row W. After that, it ends."
    assert sentences(text) == ["It came from J. Smith.", "We add row W. After that, it ends."]
    assert sentences("We add row W. After that, it ends.", initials=False) == ["We add row W.", "After that, it ends."]


def test_places_are_behind_the_mark_and_what_closes_with_it() -> None:
    text = 'She said "stop." Then\nshe left. The end.'
    assert [text[:place] for place in ends(text)] == ['She said "stop."', 'She said "stop." Then\nshe left.']


@pytest.mark.parametrize(("text", "ended"), [("Yes.", True), ("« Oui ! »", True), ("(so…)", True), ("a, b", False)])
def test_whether_a_text_is_ended(text: str, ended: bool) -> None:
    assert is_ended(text) is ended


@given(st.text(alphabet='.!?…"»)( \nAbÉ9M', max_size=60), st.booleans(), st.booleans())
def test_nothing_is_lost(text: str, printed: bool, initials: bool) -> None:
    said = sentences(text, printed, initials)
    assert "".join("".join(said).split()) == "".join(text.split())
    assert all(sentence == sentence.strip() != "" for sentence in said)
