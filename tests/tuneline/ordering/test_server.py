"""The instruction server: what it hands out and takes, and what it does with everything else that may come."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from http.client import HTTPException
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.conftest import ENVIRONMENT
from tests.servers.instruction_server import RECIPE, Api, raw, serving, settings, start_process, text_for
from tuneline.files import read_jsonl
from tuneline.http_service import MOST_BYTES
from tuneline.loopback import is_loopback
from tuneline.ordering.agents import Client, Task, run
from tuneline.ordering.balance import Counts
from tuneline.ordering.commands import instructions
from tuneline.ordering.seed_cases import read_seed_cases
from tuneline.ordering.server import create_app, read_page
from tuneline.ordering.shares import read_shares
from tuneline.ordering.snapshot import write_snapshot
from tuneline.ordering.store import Reader, Store
from tuneline.ordering.summary import summarize

SHARES = read_shares(RECIPE / "dimensions.yaml")
LINES = ("issued_instructions", "generated_cases", "generated_cases_train_mistral", "full_training_cases_mistral")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def exported(folder: Path) -> dict[str, bytes]:
    """name → bytes of all exports."""
    kept = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(("state.", "lock"))]
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def assert_exports_say_what_sqlite_says(folder: Path, total: int) -> None:
    """Every case once in every file, no file torn, and the summary as the database has it."""
    reader = Reader(folder / "state.sqlite")
    issued = [one.id for one in reader.instructions()]
    cases = [(submission.case_text, instruction.target_toon) for submission, instruction in reader.cases()]
    sent = [one.id for one in reader.submissions()]
    assert [row["instruction_id"] for row in read_jsonl(folder / "issued_instructions.jsonl")] == issued
    assert [(row["case_text"], row["target_toon"]) for row in read_jsonl(folder / "generated_cases.jsonl")] == cases
    for name in LINES[2:]:
        rows = read_jsonl(folder / f"{name}.jsonl")
        assert [(r["messages"][0]["content"], r["messages"][1]["content"]) for r in rows] == cases
    for name, ids in (("instructions", issued), ("submissions", sent)):
        assert sorted(path.name for path in (folder / name).iterdir()) == sorted(f"{one}.json" for one in ids)
        for path in (folder / name).iterdir():
            assert path.stem in json.loads(path.read_bytes()).values()
    assert json.loads((folder / "summary.json").read_bytes()) == summarize(reader, SHARES, [], total)
    reader.close()


# ---------------------------------------------------------------- what it is for


def test_an_instruction_and_its_case(tmp_path: Path) -> None:
    with serving(settings(tmp_path)) as api:
        instruction = api.next()
        assert instruction["instruction_id"] == "INS-0001"
        assert instruction["target_toon"] in instruction["prompt"]
        assert api.submit("INS-0001", text_for(instruction)) == (200, {"accepted": True, "refusals": [], "missing": []})
        assert api.ask("/health")[1] == {"status": "ok", "to_write": 40, "accepted": 1, "out": 0}
        assert api.ask("/next-instruction")[1]["instruction_id"] == "INS-0002"
        assert api.ask("/next-instruction?agent_id=agent-02")[1]["instruction_id"] == "INS-0003"
        assert api.ask("/next-instruction", b"")[1]["instruction_id"] == "INS-0004"
    assert_exports_say_what_sqlite_says(tmp_path, 40)
    assert [row["agent_id"] for row in read_jsonl(tmp_path / "issued_instructions.jsonl")] == [
        "agent-01",
        "anonymous",
        "agent-02",
        "anonymous",
    ]


def test_refusals_say_why_and_what_is_missing(tmp_path: Path) -> None:
    clock = Clock()
    with serving(settings(tmp_path, clock=clock, expire_after=60.0)) as api:
        first, second = api.next(), api.next()
        status, verdict = api.submit(first["instruction_id"], "Bonjour, voici mon histoire.")
        assert (status, verdict["accepted"], len(verdict["missing"])) == (422, False, 2)
        assert verdict["missing"] == [one["detail"] for one in verdict["refusals"]]
        both = f"{text_for(first)} {text_for(second)}"
        assert api.submit(first["instruction_id"], both)[0] == 200  # the same instruction, corrected
        assert api.submit(second["instruction_id"], text_for(first))[0] == 422
        verdict = api.submit(second["instruction_id"], both)[1]
        assert [one["reason"] for one in verdict["refusals"]] == ["near_duplicate"]
        assert api.submit("INS-0099", "x")[1]["refusals"][0]["reason"] == "unknown"
        assert api.submit("INS-1", text_for(first))[0] == 404
        assert api.submit(first["instruction_id"], text_for(first) + " Voilà.")[0] == 409
        clock.now += 61
        status, verdict = api.submit(second["instruction_id"], text_for(second))
        assert (status, verdict["refusals"][0]["reason"]) == (410, "expired")
    assert (
        json.loads((tmp_path / "summary.json").read_bytes())["refusals"]
        == {
            "missing": 2,
            "near_duplicate": 1,
            "unknown": 2,
            "used": 1,
            "expired": 1,
        }
        | {}
    )


def test_a_case_sent_twice_is_accepted_once(tmp_path: Path) -> None:
    with serving(settings(tmp_path)) as api:
        instruction = api.next()
        text = text_for(instruction)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: api.submit(instruction["instruction_id"], text), range(16)))
        assert {(status, verdict["accepted"]) for status, verdict in answers} == {(200, True)}
        assert api.submit(instruction["instruction_id"], text, "agent-02")[0] == 409
        assert api.ask("/health")[1]["accepted"] == 1
    assert len(read_jsonl(tmp_path / "generated_cases.jsonl")) == 1
    assert_exports_say_what_sqlite_says(tmp_path, 40)


def test_agents_at_once_never_share_an_instruction_and_meet_the_shares(tmp_path: Path) -> None:
    done: list[str] = []

    def agent(number: int) -> None:
        for _ in range(25):
            done.append(api.write(f"agent-{number:02d}"))

    with serving(settings(tmp_path, total=200)) as api:
        threads = [threading.Thread(target=agent, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(done) == [f"INS-{number:04d}" for number in range(1, 201)]
        status, answer, headers = api.ask("/next-instruction")
        assert (status, answer["error"], headers["Retry-After"]) == (409, "complete", None)
    summary = json.loads((tmp_path / "summary.json").read_bytes())
    assert all(abs(of["share"] - of["target"]) < 1.5 for name in ("persona", "voice", "topic", "noise")
               for of in summary["coverage"][name].values())  # fmt: skip
    assert_exports_say_what_sqlite_says(tmp_path, 200)


def test_what_is_out_counts_until_it_expires(tmp_path: Path) -> None:
    clock = Clock()
    with serving(settings(tmp_path, total=5, clock=clock, expire_after=60.0)) as api:
        out = [api.next() for _ in range(5)]
        clock.now += 20.5
        status, answer, headers = api.ask("/next-instruction")
        assert (status, answer["error"], headers["Retry-After"]) == (409, "all_out", "40")
        assert api.submit(out[0]["instruction_id"], text_for(out[0]))[0] == 200
        clock.now += 40
        again = [api.next() for _ in range(4)]
        assert [one["instruction_id"] for one in again] == [f"INS-{n:04d}" for n in range(6, 10)]
    first, second = Counts(SHARES), Counts(SHARES)
    for counts, drawn in ((first, out), (second, [out[0], *again])):
        for one in drawn:
            counts.add(one["dimensions"])
    assert second.mean_deviation() == pytest.approx(first.mean_deviation(), rel=0.1)  # as if they had never been out
    assert_exports_say_what_sqlite_says(tmp_path, 5)


def test_a_clock_that_goes_back_ends_no_lease_and_makes_none_endless(tmp_path: Path) -> None:
    clock = Clock()
    with serving(settings(tmp_path, total=2, clock=clock, expire_after=60.0)) as api:
        kept, forgotten = api.next(), api.next()
        clock.now -= 500_000
        assert api.ask("/next-instruction")[2]["Retry-After"] == "60"
        clock.now += 59
        assert api.submit(kept["instruction_id"], text_for(kept))[0] == 200
        clock.now += 2
        assert api.next()["instruction_id"] not in (kept["instruction_id"], forgotten["instruction_id"])


def test_a_restart_goes_on_as_if_there_had_been_none(tmp_path: Path) -> None:
    def run(folder: Path, restarts: bool) -> list[dict[str, Any]]:
        made = []
        for part in (range(12), range(12, 24)) if restarts else (range(24),):
            with serving(settings(folder)) as api:
                for number in part:
                    made.append(api.next())
                    if number % 3:
                        api.submit(made[-1]["instruction_id"], text_for(made[-1]))
        return made

    assert run(tmp_path / "twice", True) == run(tmp_path / "once", False)


def test_seed_cases_are_counted_and_known(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    rows = [{"case_text": f"Cas {n}", "target_toon": f"n: {n}", "dimensions": {"persona": "enfant"}} for n in range(30)]
    rows.append({"case_text": "Sans fiche", "dimensions": {}})
    seeds.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with serving(settings(tmp_path / "state", seed_cases=seeds)) as api:
        assert api.ask("/health")[1]["to_write"] == 9
        drawn = [api.next()["dimensions"]["persona"] for _ in range(9)]
        assert "enfant" not in drawn
        assert Counter(drawn).most_common(1)[0][0] == "conjoint"
    assert len(read_jsonl(tmp_path / "state/full_training_cases_mistral.jsonl")) == 30
    seeds.write_text('{"case_text": 3}\n{"case_text": "x", "dimensions": []}\n[]\n', encoding="utf-8")
    with pytest.raises(click.ClickException, match="line 1, 3"):
        read_seed_cases(seeds)


def test_writers_fill_a_corpus_and_correct_what_is_refused(tmp_path: Path) -> None:
    def write(tasks: list[Task]) -> list[str | None]:
        """Every third instruction's first text lacks its facts; the fifth instruction has no text at all."""
        texts: list[str | None] = []
        for task in tasks:
            number = int(task.instruction["instruction_id"].removeprefix("INS-"))
            text = text_for(task.instruction) if task.faults or number % 3 else "Je ne sais pas."
            texts.append(None if number == 5 else text)
        return texts

    with serving(settings(tmp_path, total=12)) as api:
        client = Client(api.url, "")
        counts = run(client, write, 4, 9)
        client.close()
        assert counts == {"accepted": 9, "refused: missing": 3, "given_up": 1}
        assert api.ask("/health")[1] == {"status": "ok", "to_write": 12, "accepted": 9, "out": 1}
    agents = json.loads((tmp_path / "summary.json").read_bytes())["agents"]
    assert {agent["agent_id"] for agent in agents} == {f"writer-{n:02d}" for n in range(1, 5)}


def test_writers_say_that_there_is_no_server_and_that_it_wants_a_token(tmp_path: Path) -> None:
    with pytest.raises(click.ClickException, match="tuneline instructions serve"):
        Client("http://127.0.0.1:9", "").next("a")
    with serving(settings(tmp_path, token="a-secret")) as api:
        with pytest.raises(click.ClickException, match="TUNELINE_TOKEN"):
            Client(api.url, "another").next("a")
        assert Client(api.url, "a-secret").next("a")["instruction_id"] == "INS-0001"


# ---------------------------------------------------------------- files


def test_exports_may_be_deleted_torn_or_edited(tmp_path: Path) -> None:
    with serving(settings(tmp_path)) as api:
        for _ in range(6):
            api.write()
        api.submit("INS-0001", "autre texte")
    before = exported(tmp_path)
    (tmp_path / "generated_cases.jsonl").unlink()
    (tmp_path / "summary.json").unlink()
    (tmp_path / "instructions/INS-0003.json").write_bytes(b'{"instruc')
    (tmp_path / "submissions/SUB-0002.json").unlink()
    (tmp_path / "submissions/.SUB-0002.json.part").write_bytes(b"{")
    whole = (tmp_path / "issued_instructions.jsonl").read_bytes()
    (tmp_path / "issued_instructions.jsonl").write_bytes(whole[:-30])
    text = (tmp_path / "full_training_cases_mistral.jsonl").read_bytes()
    (tmp_path / "full_training_cases_mistral.jsonl").write_bytes(text.replace(b"voisine", b"cousine", 2) + b"more\n")
    with serving(settings(tmp_path)):
        assert exported(tmp_path) == before


def test_a_line_file_deleted_while_the_server_runs_comes_back_whole(tmp_path: Path) -> None:
    with serving(settings(tmp_path)) as api:
        api.write()
        for _ in range(100):
            if (tmp_path / "generated_cases.jsonl").stat().st_size:
                break
            time.sleep(0.05)
        (tmp_path / "generated_cases.jsonl").unlink()
        api.write()
    assert_exports_say_what_sqlite_says(tmp_path, 40)


def test_a_state_is_of_one_corpus(tmp_path: Path) -> None:
    with serving(settings(tmp_path / "state")) as api:
        api.write()
    other = tmp_path / "other"
    shutil.copytree(RECIPE, other)
    text = (RECIPE / "dimensions.yaml").read_text("utf-8")
    (other / "dimensions.yaml").write_text(text.replace("noise:", "mood:"), encoding="utf-8")
    with pytest.raises(click.ClickException, match=r"state is of a corpus by persona, voice.* name another folder"):
        create_app(settings(tmp_path / "state", recipe=other))
    words = ["snapshot", "--recipe", str(other), "--state", str(tmp_path / "state")]
    done = CliRunner().invoke(instructions, words)
    assert done.exit_code == 1
    assert "is of a corpus by" in done.output
    assert not (other / "source").exists()


def test_which_recipe_is_asked_where_there_are_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(settings(tmp_path / "state")) as api:
        api.write()
    for names, code, said in (
        ((), 1, "which recipe? --recipe names its folder"),
        (("one",), 0, "recipes/one/source/cases.jsonl: 1 cases"),
        (("two",), 1, "which recipe? --recipe recipes/one or recipes/two"),
    ):
        for name in names:
            shutil.copytree(RECIPE, tmp_path / "recipes" / name)
            (tmp_path / "recipes" / name / "source").mkdir()
        done = CliRunner().invoke(instructions, ["snapshot", "--state", "state"])
        assert done.exit_code == code, done.output
        assert said in done.output


def test_one_server_a_folder(tmp_path: Path) -> None:
    with Store(tmp_path), pytest.raises(click.ClickException, match="another server"):
        create_app(settings(tmp_path))


def test_the_snapshot_is_the_accepted_cases_in_one_order(tmp_path: Path) -> None:
    out = tmp_path / "cases.jsonl"
    with serving(settings(tmp_path / "state")) as api:
        taken = [api.next() for _ in range(4)]
        for instruction in (taken[2], taken[0], taken[3]):
            api.submit(instruction["instruction_id"], text_for(instruction))
        assert write_snapshot(tmp_path / "state", out, SHARES) == 3  # beside a running server
    first = out.read_bytes()
    assert [row["id"] for row in read_jsonl(out)] == ["INS-0001", "INS-0003", "INS-0004"]
    assert set(read_jsonl(out)[0]) == {"id", "case_text", "target_toon", "dimensions", "written_by", "toon"}
    words = ["snapshot", "--recipe", str(RECIPE), "--out", str(out)]
    done = CliRunner().invoke(instructions, [*words, "--state", str(tmp_path / "state")])
    assert (done.exit_code, out.read_bytes()) == (0, first)
    done = CliRunner().invoke(instructions, [*words, "--state", str(tmp_path / "none")])
    assert (done.exit_code, out.read_bytes()) == (1, first)
    assert "state.sqlite is not there" in done.output


# ---------------------------------------------------------------- what may come


def hostile_bodies(rng: random.Random) -> list[bytes]:
    """Bodies that no agent should send: broken JSON and UTF-8, wrong shapes, control signs, paths, deep and long."""
    good = {"instruction_id": "INS-0001", "agent_id": "agent-01", "case_text": "Mon père est mort."}
    values = [None, True, 3, -1e308, [], {}, [good], "", "\x00", "../../etc/passwd", "a" * 65, "\ud800", {"$ne": 1}]
    values += ["INS-0001\x00", "<script>alert(1)</script>", "'; DROP TABLE instructions; --", "agent\r\nX: y", " "]
    bodies: list[bytes] = []
    while len(bodies) < 1000:
        kind = len(bodies) % 8
        if kind == 0:
            bodies.append(rng.randbytes(rng.randrange(1, 200)))
        elif kind == 1:
            bodies.append(json.dumps(good).encode()[: rng.randrange(1, 60)])
        elif kind == 2:
            bodies.append(json.dumps({**good, "agent_id": rng.choice(values)}).encode())
        elif kind == 3:
            bodies.append(json.dumps({**good, rng.choice(["admin", "__proto__", "path", "\ud800"]): 1}).encode())
        elif kind == 4:
            depth = rng.randrange(1000, 60_000)
            bodies.append(rng.choice([b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth]))
        elif kind == 5:
            bodies.append(json.dumps(rng.choice(values)).encode() or b"x")
        elif kind == 6:
            bodies.append(json.dumps({**good, "case_text": rng.choice(["x" * 20_001, "a\x00b", None, 7])}).encode())
        else:
            number = rng.choice(
                [b"9" * 5000, b"NaN", b"-Infinity", b"1e999", b'"\xff\xfe"', b'{"a":1,}', b"\xef\xbb\xbf{}"]
            )
            bodies.append(number)
    return bodies


def test_a_thousand_hostile_bodies_are_refused(tmp_path: Path) -> None:
    with serving(settings(tmp_path)) as api:
        api.next()
        for body in hostile_bodies(random.Random(1)):
            status, answer, headers = api.ask("/submit-case", body)
            assert 400 <= status < 500, body[:80]
            assert headers.get_content_type() == "application/json"
            assert answer["detail"] if "detail" in answer else not answer["accepted"]
        api.write()
    assert_exports_say_what_sqlite_says(tmp_path, 40)


# A text may be refused however well the request is formed; that an id is unknown no schema can say.
SCHEMATHESIS = """
[checks]
positive_data_acceptance.expected-statuses = [200, 404, 409, 410, 422]
"""


# A token adds an answer, and takes none: without one, what is only read is enough.
@pytest.mark.parametrize(
    ("token", "chosen", "tested"),
    [
        ("a-secret", ["--phases", "examples,coverage,fuzzing"], 6),
        ("", ["--phases", "examples,fuzzing", "--include-method", "GET"], 4),
    ],
)
def test_the_server_keeps_what_its_openapi_document_says(
    tmp_path: Path, token: str, chosen: list[str], tested: int
) -> None:
    """schemathesis: no 5xx, no undocumented status, content type, header or body; what the schema forbids refused."""
    (tmp_path / "schemathesis.toml").write_text(SCHEMATHESIS, encoding="utf-8")
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", "--checks", "all", "--seed", "1"]
    command += ["--max-examples", "10", *chosen, "--suppress-health-check", "all"]
    command += ["--warnings", "off", *(["--header", f"Authorization: Bearer {token}"] if token else [])]
    with serving(settings(tmp_path / "state", total=60, token=token)) as api:
        done = subprocess.run(
            [*command, f"{api.url}/openapi.json"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stdout[-6000:]
    assert f"Tested: {tested}" in done.stdout


def test_bodies_are_limited_declared_or_streamed(tmp_path: Path) -> None:
    head = b"POST /submit-case HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
    long = b'{"case_text": "' + b"x" * (4 * MOST_BYTES) + b'"}'
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in [b"x" * 65536] * 16) + b"0\r\n\r\n"
    with serving(settings(tmp_path)) as api:
        declared = raw(api, head + b"Content-Length: %d\r\n\r\n" % len(long) + long)
        streamed = raw(api, head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        for answer in (declared, streamed):
            assert answer.startswith(b"HTTP/1.1 413 ")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == "too_large"
        api.write()


def test_other_paths_and_methods_have_json_answers(tmp_path: Path) -> None:
    with serving(settings(tmp_path)) as api:
        for path, method, status in (
            ("/nothing", "GET", 404),
            ("/instructions/../state.sqlite", "GET", 404),
            ("/submit-case", "GET", 405),
            ("/health", "DELETE", 405),
            ("/next-instruction/", "GET", 404),
            ("/next-instruction?agent_id=../x", "GET", 400),
        ):
            found, answer, headers = api.ask(path, method=method)
            assert (found, headers.get_content_type()) == (status, "application/json")
            assert answer["error"]


def test_agents_text_is_data(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script> & <img src=x onerror=alert(1)> ../../../etc"
    with serving(settings(tmp_path)) as api:
        instruction = api.next()
        text = f"{evil} {text_for(instruction)}"
        assert api.submit(instruction["instruction_id"], text)[0] == 200
        assert evil not in api.ask("/dashboard")[1]
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {"instructions", "submissions"}


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    with serving(settings(tmp_path, token="a secret")) as api:
        assert api.next()["instruction_id"] == "INS-0001"
        for token in ("", "another", "a secre"):
            stranger = Api(api.url, token)
            for path, body in (("/next-instruction", {}), ("/submit-case", {}), ("/dashboard/data", None)):
                status, answer, headers = stranger.ask(path, body)
                assert (status, answer["error"], headers["WWW-Authenticate"]) == (401, "unauthorized", "Bearer")
        assert Api(api.url).ask("/health")[0] == Api(api.url).ask("/dashboard")[0] == 200


def test_another_host_than_loopback_needs_a_token(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        instructions,
        ["serve", "--host", "0.0.0.0", "--recipe", str(RECIPE), "--state", str(tmp_path)],
        env={"TUNELINE_TOKEN": ""},
    )
    assert done.exit_code == 1
    assert "TUNELINE_TOKEN" in done.output
    hosts = ["127.0.0.1", "::1", "localhost", "127.9.9.9", "0.0.0.0", "::", "192.168.1.2", "example.org"]
    assert [is_loopback(host) for host in hosts] == [True] * 4 + [False] * 4


# ---------------------------------------------------------------- the dashboard


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.outside: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        self.ids += [given["id"]] if "id" in given else []
        self.outside += [
            f"{tag} {value}" for name, value in attributes if name in ("src", "href") and value != "data:,"
        ]
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_dashboard_stands_alone(tmp_path: Path) -> None:
    page, policy = read_page()
    tags = Tags(page)
    assert (tags.open, tags.outside) == ([], [])
    assert set(re.findall(r'(?:find|table)\("(\w+)"', page)) <= set(tags.ids)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|https?:", page)
    assert 'name="viewport"' in page
    assert "unsafe" not in policy
    with serving(settings(tmp_path)) as api:
        api.write()
        assert api.ask("/dashboard")[2]["Content-Security-Policy"] == policy
        for _ in range(60):
            data = api.ask("/dashboard/data")[1]
            if data["accepted"]:
                break
            time.sleep(0.05)
        for name in set(re.findall(r"\bdata\.(\w+)", page)):
            assert name in data
        assert data["recent_submissions"][0]["accepted"]
        assert data["agents"][0] | {"last_seen": 0} == {
            "agent_id": "agent-01", "issued": 1, "accepted": 1, "refused": 0, "last_seen": 0
        }  # fmt: skip


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium; Debian's package is called chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_browser_shows_the_dashboard(tmp_path: Path, width: int) -> None:
    evil = "<img src=x onerror=document.title='taken'>"
    with serving(settings(tmp_path / "state")) as api:
        instruction = api.next("agent-07")
        api.submit(instruction["instruction_id"], f"{evil} {text_for(instruction)}", "agent-07")
        time.sleep(2)
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
        command += [
            f"--window-size={width},1600",
            "--virtual-time-budget=4000",
            f"--screenshot={tmp_path / 'page.png'}",
        ]
        for more in ([], ["--dump-dom"]):
            done = subprocess.run(
                [*command, *more, f"{api.url}/dashboard"], capture_output=True, text=True, timeout=60, check=True
            )
    page = done.stdout
    assert "agent-07" in page
    assert "accepted of 40" in page
    assert "famille_recomposee" in page
    assert "&lt;img src=x" in page
    assert "<title>Corpus</title>" in page
    assert (tmp_path / "page.png").stat().st_size > 10_000


# ---------------------------------------------------------------- kill -9


@pytest.mark.parametrize("kills", [pytest.param(3, id="short"), pytest.param(20, marks=pytest.mark.soak, id="soak")])
def test_killed_under_load_it_loses_nothing_it_has_said(kills: int, tmp_path: Path) -> None:
    rng = random.Random(kills)
    said: dict[str, str] = {}  # instruction → text that the server said it accepted

    def agent(api: Api, name: str) -> None:
        try:
            while True:
                instruction = api.next(name)
                text = text_for(instruction)
                if api.submit(instruction["instruction_id"], text, name)[0] == 200:
                    said[instruction["instruction_id"]] = text
        except (OSError, HTTPException):
            return  # the server was killed

    for _ in range(kills):
        process, api = start_process(tmp_path)
        assert_exports_say_what_sqlite_says(tmp_path, 100_000)  # it mends before it listens
        threads = [threading.Thread(target=agent, args=(api, f"agent-{n}")) for n in range(6)]
        for thread in threads:
            thread.start()
        time.sleep(rng.uniform(0.05, 1.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        for thread in threads:
            thread.join()
    process, api = start_process(tmp_path)
    accepted = {s.instruction_id: s.case_text for s in Reader(tmp_path / "state.sqlite").submissions(accepted=True)}
    assert said.items() <= accepted.items()
    assert len(said) > 5 * kills
    repeat = next(iter(said))
    agent_id = next(Reader(tmp_path / "state.sqlite").submissions(accepted=True)).agent_id
    assert api.submit(repeat, said[repeat], agent_id)[0] in (200, 409)
    process.terminate()
    process.wait()
    process.stdout.close()
    assert_exports_say_what_sqlite_says(tmp_path, 100_000)
    assert len(read_jsonl(tmp_path / "generated_cases.jsonl")) == len(accepted)
