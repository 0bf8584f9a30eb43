"""One application or model cannot fill a run, and none can speak in another's name."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from tests.tuneline.feedback.test_feedback import TASK, body, judgement, offline, sample, serving
from tuneline.cli import main
from tuneline.feedback import NotRecorded, record
from tuneline.feedback.judging import judge_new
from tuneline.feedback.server import Settings, create_app
from tuneline.feedback.signing import HEADER, MOST_SECONDS, check, own_key, read_keys, sign
from tuneline.feedback.store import ACCEPTED, KEPT, NEW, REJECTED, Caps, Store
from tuneline.retraining.events import format_event, secrets

KEY = "a key of the shop's own"
KEYS = {"shop": KEY.encode(), "desk": b"another one, of the desk"}


def test_a_source_has_so_many_accepted_for_a_run(tmp_path: Path) -> None:
    with Store(tmp_path / "f.sqlite") as store:
        store.add(
            sample(number, meta=meta)
            for number, meta in enumerate([{"application": "Web"}] * 2 + [{"application": " web "}] + [{}] * 3)
        )
        caps = Caps(per_source=2)
        done = [store.judged(number, judgement(0.9), 0.8, caps=caps) for number in range(1, 7)]
        assert done == [ACCEPTED, ACCEPTED, REJECTED, ACCEPTED, ACCEPTED, REJECTED]
        reasons = [one.reason for one in store.samples() if one.state == REJECTED]
        assert reasons == [
            "gate.most-per-source: 2 of web are accepted for the next run",
            "gate.most-per-source: 2 of no named source are accepted for the next run",
        ]
        run = store.open_run(TASK, "", 1)
        store.add([sample(9, meta={"application": "web"})])  # for the run after this one
        assert store.judged(7, judgement(0.9), 0.8, caps=caps) == ACCEPTED
        store.finish_run(run.number, KEPT, None, "", "", {}, 1, 0)
        store.add([sample(10, meta={"application": "web"}), sample(11, meta={"application": "web"})])
        assert [store.judged(number, judgement(0.9), 0.8, caps=caps) for number in (8, 9)] == [ACCEPTED, REJECTED]


SAME = (
    "Ma Model\u00e9",
    " ma  MODEL\u00c9\t",
    "\uff2da Modele\u0301",
    "ma\u00a0model\u00e9",
    "m\u200ba mod\u00adel\u00e9\x1b",
)


@pytest.mark.parametrize("by", ["model", "source"])
@pytest.mark.parametrize("names", [SAME, ("", " ", "\u200b", "\t\n")], ids=["a name", "none"])
def test_a_name_counts_as_one_however_it_is_written(by: str, names: tuple[str, ...], tmp_path: Path) -> None:
    with Store(tmp_path / "f.sqlite") as store:
        written = [{"model": name} if by == "model" else {"meta": {"application": name}} for name in names]
        store.add(sample(number, **name) for number, name in enumerate(written))
        caps = Caps(**{f"per_{by}": 1})
        done = [store.judged(number, judgement(0.9), 0.8, caps=caps) for number in range(1, 1 + len(names))]
        assert done == [ACCEPTED] + [REJECTED] * (len(names) - 1)
        (reason,) = {one.reason for one in store.samples() if one.state == REJECTED}
        assert reason.isprintable() and ("no named" in reason) is (not names[0])
        store.add([sample(9, **({"model": "another"} if by == "model" else {"meta": {"application": "another"}}))])
        assert store.judged(1 + len(names), judgement(0.9), 0.8, caps=caps) == ACCEPTED


def test_a_model_has_so_many_accepted_for_a_run(tmp_path: Path) -> None:
    """Of one task and one run, and not of what is forgotten, rejected or waits."""
    with Store(tmp_path / "f.sqlite") as store:
        caps = Caps(per_model=1)

        def taken(number: int, score: float = 0.9, **other: object) -> str:
            store.add([sample(number, model="m", **other)])
            return store.judged(store.newest(), judgement(score), 0.8, caps=caps)

        assert [taken(0, 0.1), taken(1), taken(2), taken(3, task="classification")] == [
            REJECTED, ACCEPTED, REJECTED, ACCEPTED,
        ]  # fmt: skip
        run = store.open_run(TASK, "", 1)
        assert [taken(4), taken(5)] == [ACCEPTED, REJECTED]  # for the run after this one
        store.fail_run(run.number, "no", 1)  # what it had is for the next one too
        assert taken(6) == REJECTED
        run = store.open_run(TASK, "", 1)
        store.finish_run(run.number, KEPT, None, "", "", {}, 1, 0)
        assert [taken(7), taken(8)] == [ACCEPTED, REJECTED]


def test_a_cap_that_binds_is_told_and_nothing_is_asked(tmp_path: Path) -> None:
    judging = replace(offline(tmp_path), min_score=0.0, caps=Caps(per_model=1))
    with Store(tmp_path / "f.sqlite") as store:
        store.add([sample(0, model="m-1"), sample(1, model="M-1"), sample(2, model="m-2"), sample(3, model="m-2")])
        said = str(judge_new(store, judging))
        assert said == (
            "2 accepted, 2 rejected, 0 failed; 1 over gate.most-per-model: 1 of m-1 are accepted for the next run; "
            "1 over gate.most-per-model: 1 of m-2 are accepted for the next run"
        )
        assert store.counts(TASK)[NEW] == 0
        store.add([sample(4, model="m-2")])
        judge_new(store, judging)
        assert store.sample(sample(4).key).judge == "none"


def test_any_name_can_be_written(tmp_path: Path) -> None:
    with Store(tmp_path / "f.sqlite") as store:
        strange = ["\ud800", 7, None, ["x"], "x" * 9999]
        assert store.add(sample(at, meta={"application": one}) for at, one in enumerate(strange)) == [True] * 5


# ---------------------------------------------------------------- signatures


JSON = {"Content-Type": "application/json"}


def client(tmp_path: Path) -> TestClient:
    return TestClient(create_app(Settings(tmp_path / "f.sqlite", keys=KEYS)), "http://localhost", headers=JSON)


def test_signed_samples_are_taken_in_their_applications_name(tmp_path: Path) -> None:
    sent = json.dumps([body(0), body(1, meta={"application": "Shop", "more": 1})]).encode()
    with client(tmp_path) as api:
        answer = api.post("/samples", content=sent, headers={HEADER: sign("shop", KEYS["shop"], sent)})
        assert answer.status_code == 200 and answer.json()["new"] == 2
        again = api.post("/samples", content=sent, headers={HEADER: sign("shop", KEYS["shop"], sent)})
        assert again.json()["known"] == 2
        other = api.post("/samples", content=sent, headers={HEADER: sign("desk", KEYS["desk"], sent)})
        assert other.status_code == 400 and other.json()["detail"] == [
            "1: meta.application is another than desk, which signed it"
        ]
    with Store(tmp_path / "f.sqlite") as store:
        assert [one.meta for one in store.samples()] == [{"application": "shop"}, {"application": "shop", "more": 1}]


SENT = json.dumps(body()).encode()


UNKNOWN = "is not of a key that is known here, or not of this body"


@pytest.mark.parametrize(
    ("signed", "said"),  # signed when the test runs: a header has its time
    [
        pytest.param(lambda: None, "there is no Tuneline-Signature", id="no header"),
        pytest.param(lambda: "", "there is no Tuneline-Signature", id="an empty one"),
        pytest.param(lambda: "shop", "is not: name, seconds", id="half of one"),
        pytest.param(lambda: sign("shop", KEYS["desk"], SENT), UNKNOWN, id="another's key"),
        pytest.param(lambda: sign("shop", KEYS["shop"], SENT + b" "), UNKNOWN, id="another body"),
        pytest.param(lambda: sign("nobody", b"none", SENT), UNKNOWN, id="a stranger"),
        pytest.param(lambda: sign("desk", KEYS["desk"], SENT).replace("desk", "shop"), UNKNOWN, id="another's name"),
        pytest.param(lambda: sign("shop", KEYS["shop"], SENT, time.time() - 999), "is of another time", id="old"),
        pytest.param(lambda: sign("shop", KEYS["shop"], SENT, time.time() + 999), "is of another time", id="early"),
    ],
)  # fmt: skip
def test_what_is_not_signed_now_by_who_it_says_is_refused(
    signed: Callable[[], str | None], said: str, tmp_path: Path
) -> None:
    header = signed()
    with client(tmp_path) as api:
        answer = api.post("/samples", content=SENT, headers={} if header is None else {HEADER: header})
        assert answer.status_code == 401 and said in answer.json()["detail"][0]
        assert api.get("/health").json()["samples"][TASK]["new"] == 0
        assert all(key.decode() not in answer.text for key in KEYS.values())


def test_the_edges_of_a_signatures_time() -> None:
    header = sign("shop", KEYS["shop"], SENT, 1000)
    assert check(header, SENT, KEYS, 1000 + MOST_SECONDS) == check(header, SENT, KEYS, 1000 - MOST_SECONDS) == "shop"
    with pytest.raises(ValueError, match="another time"):
        check(header, SENT, KEYS, 1001 + MOST_SECONDS)


def test_record_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api: Any
    with signing_server(tmp_path) as api:
        for environment, said in (
            ({}, "no Tuneline-Signature"),
            ({"TUNELINE_HMAC_SHOP": "not the shop's key"}, "is not of a key"),
            ({"TUNELINE_HMAC_SHOP": KEY, "TUNELINE_HMAC_DESK": KEY}, "TUNELINE_APPLICATION says which one signs"),
            ({"TUNELINE_HMAC_SHOP": KEY, "TUNELINE_APPLICATION": "desk"}, "there is no TUNELINE_HMAC_DESK"),
            ({"TUNELINE_HMAC_SHOP": "short"}, "TUNELINE_HMAC_SHOP: a key has at least 16 signs"),
        ):
            with monkeypatch.context() as patched:
                for name, value in environment.items():
                    patched.setenv(name, value)
                with pytest.raises(NotRecorded, match=said) as error:
                    record(**body(), to=api.url)
                assert not any(value in str(error.value) for name, value in environment.items() if "HMAC" in name)
        monkeypatch.setenv("TUNELINE_HMAC_SHOP", KEY)
        assert record(**body(), to=api.url)


def signing_server(folder: Path) -> Any:
    return serving(folder, keys=KEYS)


def test_a_key_is_shown_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNELINE_HMAC_SHOP", KEY)
    assert KEY not in format_event("failed", {"why": f"the key {KEY}"}, secrets(tmp_path), False)
    assert KEY not in repr(Settings(tmp_path, keys=read_keys()))
    assert own_key() == ("shop", KEY.encode())
    monkeypatch.setenv("TUNELINE_HMAC_DESK", "short")
    done = CliRunner().invoke(main, ["feedback", "serve", "--port", "0"])
    assert (done.exit_code, done.stderr) == (1, "Error: TUNELINE_HMAC_DESK: a key has at least 16 signs\n")
