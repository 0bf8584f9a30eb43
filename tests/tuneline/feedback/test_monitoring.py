"""Metrics of a real database through real HTTP into a real Prometheus; the log with several processes."""

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import uvicorn
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import ENVIRONMENT, ROOT
from tuneline.feedback.commands import serve
from tuneline.feedback.gate_settings import read_gate_settings
from tuneline.feedback.judging import CALLS, SECONDS, SPEND
from tuneline.feedback.metrics import BLOCK, StateCollector
from tuneline.feedback.server import Settings, create_app
from tuneline.feedback.store import DIMENSIONS, KEPT, PROMOTED, TASKS, Judgement, Sample, Store
from tuneline.retraining.commands import PORT
from tuneline.retraining.events import MOST_BYTES, MOST_SIGNS, NAME, log_event

MONITORING = ROOT / "monitoring"
BOARD = json.loads((MONITORING / "grafana/dashboards/tuneline.json").read_text("utf-8"))
RULES = yaml.safe_load((MONITORING / "alerts.yml").read_text("utf-8"))["groups"][0]["rules"]
ASKED = [(panel["title"], target["expr"]) for panel in BOARD["panels"] for target in panel.get("targets", [])]
FILLED = {"$__rate_interval": "1m", "$measure": ".*", "$task": ".*"}
GATE = read_gate_settings(ROOT)
FIGURES = {"sides": {side: {"rouge_l": {"mean": mean}} for side, mean in (("base", 0.1), ("new", 0.4))}}
needs_prometheus = pytest.mark.skipif(
    not (shutil.which("prometheus") and shutil.which("promtool")), reason="prometheus is not installed"
)


def judge(store: Store, task: str, name: str, overall: float) -> None:
    """One sample in, judged by a call of 0.2 s that cost 0.01 USD."""
    store.add([Sample(task, f"source {name}", f"summary {name}")], now=1000.0)
    (sample,) = store.to_judge(1)
    scores = dict.fromkeys(DIMENSIONS, 0.55) | {"overall": overall}
    call = [
        (CALLS, {"task": task, "outcome": "answered"}, 1.0),
        (f"{SECONDS}_bucket", {"le": "0.25"}, 1.0),
        (f"{SECONDS}_sum", {}, 0.2),
        (SPEND, {}, 0.01),
    ]
    assert store.judged(sample.number, Judgement(scores, "", "test"), 0.8, tallies=call)


def fill(root: Path) -> Path:
    """Runs of each kind, and samples in each state; the database."""
    gate = GATE.model_copy(update={"min_new_samples": 2}).model_dump(by_alias=True)
    (root / "params.yaml").write_text(json.dumps({"gate": gate}))
    (root / "served/summaries/v0.1.0").mkdir(parents=True)
    (root / "served/summaries/current").symlink_to("v0.1.0")
    database = root / "feedback.sqlite"
    with Store(database) as store:
        for number, overall in enumerate((0.9, 0.8, 0.3)):
            judge(store, "summarization", f"first {number}", overall)
        run = store.open_run("summarization", "c0", 2, now=2000.0)
        store.finish_run(run.number, PROMOTED, "v0.1.0", "c1", "better", FIGURES, 90.0, 0.25, now=3000.0)
        for number in range(2):
            judge(store, "summarization", f"second {number}", 1.0)
        run = store.open_run("summarization", "c1", 2, now=4000.0)
        store.finish_run(run.number, KEPT, None, "c2", "not better", FIGURES, 400.0, 0.25, now=5000.0)
        judge(store, "summarization", "third", 1.0)
        for task in ("classification", "question-answering"):
            judge(store, task, task, 0.95)
        run = store.open_run("classification", "c2", 1)
        store.fail_run(run.number, "no disk", most=1, seconds=5.0)
        assert store.open_run("classification", "c2", 1).number == run.number + 1
        store.add([Sample("question-answering", "late", "late")], now=6000.0)
        (late,) = store.to_judge(1)
        store.judge_failed(
            late.number, "503", tallies=[(CALLS, {"task": "question-answering", "outcome": "failed"}, 1.0)]
        )
    return database


def read(text: bytes) -> dict[tuple, float]:
    """{(name, label values in the order of their names): value}"""
    families = text_string_to_metric_families(text.decode())
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_say_what_the_database_says(tmp_path: Path) -> None:
    database = fill(tmp_path)
    text = StateCollector(database, tmp_path / "served").text()
    found = read(text)
    assert {
        key: found[key]
        for key in (
            ("finetuning_runs_total", "promoted", "summarization"),
            ("finetuning_runs_total", "kept", "summarization"),
            ("finetuning_runs_total", "failed", "classification"),
            ("finetuning_runs_total", "failed", "summarization"),
            ("finetuning_failed_attempts_total", "classification"),
            ("finetuning_duration_seconds_bucket", "60.0", "summarization"),
            ("finetuning_duration_seconds_bucket", "120.0", "summarization"),
            ("finetuning_duration_seconds_bucket", "+Inf", "summarization"),
            ("finetuning_duration_seconds_sum", "summarization"),
            ("finetuning_spend_usd_total", "summarization"),
            ("finetuning_last_success_timestamp_seconds", "summarization"),
            ("finetuning_new_samples", "summarization"),
            ("finetuning_min_new_samples", "summarization"),
            ("finetuning_measure", "rouge_l", "new", "summarization"),
            ("dataset_size_samples", "accepted", "summarization"),
            ("dataset_size_samples", "rejected", "summarization"),
            ("dataset_size_samples", "new", "question-answering"),
            ("quality_assessment_scores_bucket", "overall", "0.8", "summarization"),
            ("quality_assessment_scores_bucket", "overall", "1.0", "summarization"),
            ("quality_assessment_scores_count", "coverage", "summarization"),
            ("judge_calls_total", "answered", "summarization"),
            ("judge_calls_total", "failed", "question-answering"),
            ("judge_latency_seconds_bucket", "0.1"),
            ("judge_latency_seconds_bucket", "0.25"),
            ("judge_latency_seconds_count",),
            ("feedback_last_sample_timestamp_seconds", "question-answering"),
            ("served_model_info", "summarization", "v0.1.0"),
        )
    } == {
        ("finetuning_runs_total", "promoted", "summarization"): 1,
        ("finetuning_runs_total", "kept", "summarization"): 1,
        ("finetuning_runs_total", "failed", "classification"): 1,
        ("finetuning_runs_total", "failed", "summarization"): 0,
        ("finetuning_failed_attempts_total", "classification"): 1,
        ("finetuning_duration_seconds_bucket", "60.0", "summarization"): 0,
        ("finetuning_duration_seconds_bucket", "120.0", "summarization"): 1,
        ("finetuning_duration_seconds_bucket", "+Inf", "summarization"): 2,
        ("finetuning_duration_seconds_sum", "summarization"): 490,
        ("finetuning_spend_usd_total", "summarization"): 0.5,
        ("finetuning_last_success_timestamp_seconds", "summarization"): 5000,
        ("finetuning_new_samples", "summarization"): 1,
        ("finetuning_min_new_samples", "summarization"): 2,
        ("finetuning_measure", "rouge_l", "new", "summarization"): 0.4,
        ("dataset_size_samples", "accepted", "summarization"): 5,
        ("dataset_size_samples", "rejected", "summarization"): 1,
        ("dataset_size_samples", "new", "question-answering"): 1,
        ("quality_assessment_scores_bucket", "overall", "0.8", "summarization"): 2,
        ("quality_assessment_scores_bucket", "overall", "1.0", "summarization"): 6,
        ("quality_assessment_scores_count", "coverage", "summarization"): 6,
        ("judge_calls_total", "answered", "summarization"): 6,
        ("judge_calls_total", "failed", "question-answering"): 1,
        ("judge_latency_seconds_bucket", "0.1"): 0,
        ("judge_latency_seconds_bucket", "0.25"): 8,
        ("judge_latency_seconds_count",): 8,
        ("feedback_last_sample_timestamp_seconds", "question-answering"): 6000,
        ("served_model_info", "summarization", "v0.1.0"): 1,
    }
    assert found["judge_spend_usd_total",] == pytest.approx(0.08)
    assert found["quality_assessment_scores_sum", "overall", "summarization"] == pytest.approx(5.0)
    assert all(family.documentation for family in text_string_to_metric_families(text.decode()))
    assert "source" not in text.decode()  # of no sample

    with Store(database) as store:  # what comes later is seen, although scores are kept while nothing comes
        judge(store, "summarization", "fourth", 0.1)
    again = read(StateCollector(database, tmp_path / "served").text())
    assert again["quality_assessment_scores_bucket", "overall", "0.1", "summarization"] == 1


def test_scores_of_many_are_exact_while_they_are_judged(tmp_path: Path) -> None:
    """More than one block, one sample of the first of which stays new."""
    database = tmp_path / "feedback.sqlite"
    collector = StateCollector(database, tmp_path / "served", GATE)
    number = BLOCK + 500
    with Store(database) as store:
        store.add(Sample("summarization", f"source {n}", "summary") for n in range(number))
        for sample in store.to_judge(number)[1:]:
            store.judged(sample.number, Judgement(dict.fromkeys(DIMENSIONS, 0.5), "", "test"), 0.8)
            if sample.number in (BLOCK - 1, BLOCK, number - 7, number):
                found = read(collector.text())
                assert found["quality_assessment_scores_count", "overall", "summarization"] == sample.number - 1
        (late,) = store.to_judge(1)
        store.judged(late.number, Judgement(dict.fromkeys(DIMENSIONS, 0.9), "", "test"), 0.8)
        for _ in range(2):
            found = read(collector.text())
            assert found["quality_assessment_scores_count", "overall", "summarization"] == number
            assert found["quality_assessment_scores_bucket", "overall", "0.5", "summarization"] == number - 1
            assert found["quality_assessment_scores_sum", "accuracy", "summarization"] == (number - 1) / 2 + 0.9


def test_an_empty_store_counts_zero_and_has_no_success(tmp_path: Path) -> None:
    collector = StateCollector(tmp_path / "none.sqlite", tmp_path / "served")
    before = read(collector.text())
    assert not (tmp_path / "none.sqlite").exists()  # it only reads
    with Store(tmp_path / "none.sqlite"):
        assert read(collector.text()) == before
    assert set(before.values()) == {0.0}
    for task in TASKS:
        for outcome in ("promoted", "kept", "failed"):
            assert ("finetuning_runs_total", outcome, task) in before
        for dimension in DIMENSIONS:
            assert ("quality_assessment_scores_count", dimension, task) in before
    names = {key[0] for key in before}
    assert {"judge_calls_total", "judge_latency_seconds_count", "judge_spend_usd_total"} <= names
    assert not names & {"finetuning_last_success_timestamp_seconds", "served_model_info", "finetuning_measure"}


def test_the_textfile_is_whole_and_says_why_it_is_not(tmp_path: Path) -> None:
    database = fill(tmp_path)
    collector = StateCollector(database, tmp_path / "served", GATE)
    collector.write_textfile(tmp_path / "out/tuneline.prom")
    assert (tmp_path / "out/tuneline.prom").read_bytes() == collector.text()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tuneline.prom"]
    with pytest.raises(click.ClickException, match=r"tuneline\.prom: "):
        collector.write_textfile(database / "tuneline.prom")
    database.write_bytes(b"no database" * 1000)
    with pytest.raises(click.ClickException, match="not a database"):
        collector.write_textfile(tmp_path / "out/tuneline.prom")
    with pytest.raises(click.ClickException, match="another --port"):
        collector.serve(collector.serve(0))


# ---------------------------------------------------------------- Prometheus


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@contextlib.contextmanager
def feedback_server(database: Path, served: Path) -> Iterator[int]:
    """`tuneline feedback serve` on a free port, in a thread."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(Settings(database, served=served))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def prometheus(folder: Path, targets: dict[str, int]) -> Iterator[str]:
    """Prometheus with the project's configuration, scraping `targets` (job → port) each second; its address."""
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text("utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in config["scrape_configs"]:
        job["static_configs"] = [{"targets": [f"127.0.0.1:{targets[job['job_name']]}"]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    shutil.copy(MONITORING / "alerts.yml", folder)
    port = free_port()
    command = [
        "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def ask(url: str, path: str, **fields: str) -> Any:
    """The data of an answer of Prometheus' API. Raises AssertionError with its reason for a refused query."""
    try:
        with urllib.request.urlopen(f"{url}{path}?{urllib.parse.urlencode(fields)}", timeout=30) as answer:
            return json.loads(answer.read())["data"]
    except urllib.error.HTTPError as error:
        if error.code == 503:
            raise  # it starts; who waits for it asks again
        raise AssertionError(f"{fields}: {error.read().decode()}") from None


def wait_for(what: str, seen: Any) -> None:
    for _ in range(600):
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            if seen():
                return
        time.sleep(0.1)
    raise AssertionError(f"not within a minute: {what}")


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """(Prometheus' address, database): server and watcher scraped some times, with samples judged meanwhile."""
    root = tmp_path_factory.mktemp("scraped")
    database = fill(root)
    watcher = StateCollector(database, root / "served").serve(0)
    with (
        feedback_server(database, root / "served") as server,
        prometheus(root, {"feedback": server, "watch": watcher}) as url,
    ):

        def scrapes(more: int) -> None:
            query = "min(sum_over_time(up[1h]))"
            start = [float(row["value"][1]) for row in ask(url, "/api/v1/query", query=query)["result"]]
            least = (start[0] if start else 0) + more

            def seen() -> bool:
                found = ask(url, "/api/v1/query", query=query)["result"]
                return len(found) == 1 and float(found[0]["value"][1]) >= least

            wait_for("scrapes of both jobs", seen)

        wait_for("Prometheus", lambda: ask(url, "/api/v1/query", query="up")["result"])
        scrapes(2)
        with Store(database) as store:
            judge(store, "summarization", "while it is scraped", 0.85)
        scrapes(3)
        yield url, database


def substituted(expression: str) -> str:
    for variable, value in FILLED.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression
    return expression


@needs_prometheus
@pytest.mark.parametrize(("title", "expression"), ASKED)
def test_every_panel_shows_something(scraped: tuple[str, Path], title: str, expression: str) -> None:
    assert ask(scraped[0], "/api/v1/query", query=substituted(expression))["result"]


@needs_prometheus
@pytest.mark.parametrize("variable", [one["definition"] for one in BOARD["templating"]["list"]])
def test_every_variable_has_values(scraped: tuple[str, Path], variable: str) -> None:
    metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable).groups()
    assert ask(scraped[0], f"/api/v1/label/{label}/values", **{"match[]": metric})


@needs_prometheus
def test_two_jobs_do_not_count_twice(scraped: tuple[str, Path]) -> None:
    url, database = scraped
    queries = dict(ASKED)
    shown = ask(url, "/api/v1/query", query=substituted(queries["Samples by state"]))["result"]
    with Store(database) as store:
        wanted = {(task, state): n for task in TASKS for state, n in store.counts(task).items()}
    assert {(row["metric"]["task"], row["metric"]["state"]): float(row["value"][1]) for row in shown} == wanted
    assert len(shown) == len(wanted)
    (spend,) = ask(url, "/api/v1/query", query=queries["Spend"])["result"]
    assert float(spend["value"][1]) == pytest.approx(0.5)


@needs_prometheus
def test_every_alert_is_evaluated(scraped: tuple[str, Path]) -> None:
    url, _ = scraped
    for rule in RULES:
        ask(url, "/api/v1/query", query=rule["expr"])

    def rules() -> list[dict[str, Any]]:
        return ask(url, "/api/v1/rules")["groups"][0]["rules"]

    wait_for("an evaluation of the rules", lambda: all(rule["health"] != "unknown" for rule in rules()))
    assert {rule["name"]: rule["health"] for rule in rules()} == {rule["alert"]: "ok" for rule in RULES}
    firing = {alert["labels"]["alertname"] for rule in rules() for alert in rule["alerts"]}
    assert "IntakeStopped" in firing  # the samples are of 1970
    assert "TunelineDown" not in firing


@needs_prometheus
@pytest.mark.parametrize(
    "words", ["check config prometheus.yml", "check rules alerts.yml", "test rules alerts_test.yml"]
)
def test_promtool(words: str) -> None:
    done = subprocess.run(["promtool", *words.split()], cwd=MONITORING, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_unit_test() -> None:
    tests = yaml.safe_load((MONITORING / "alerts_test.yml").read_text("utf-8"))["tests"]
    cases = [case for one in tests for case in one["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == {rule["alert"] for rule in RULES}


# ---------------------------------------------------------------- Grafana and compose


def test_the_dashboard_is_whole() -> None:
    panels = BOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [
        (x, y)
        for panel in panels
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(set(places)) == len(places)
    assert max(x for x, _ in places) == 23
    source = yaml.safe_load((MONITORING / "grafana/provisioning/datasources/prometheus.yaml").read_text("utf-8"))
    uids = {target["datasource"]["uid"] for panel in panels for target in panel.get("targets", [])}
    assert uids == {one["uid"] for one in source["datasources"]}


def test_every_metric_has_a_panel(tmp_path: Path) -> None:
    text = StateCollector(fill(tmp_path), tmp_path / "served").text().decode()
    asked = " ".join(expression for _, expression in ASKED)
    assert [family.name for family in text_string_to_metric_families(text) if family.name not in asked] == []


def test_compose_listens_on_loopback_alone() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    assert set(services) == {"feedback", "watch", "finetune", "prometheus", "grafana"}
    for name, service in services.items():
        assert service["network_mode"] == "host"
        assert "ports" not in service
        assert re.fullmatch(r"tuneline|\S+:v?\d+\.\d+\.\d+@sha256:\S+", service["image"]), name
        assert "healthcheck" in service or name == "finetune"
    said = json.dumps(services)
    assert set(re.findall(r"\d+\.\d+\.\d+\.\d+", said)) == {"127.0.0.1"}
    default = {option.name: option.default for option in serve.params}
    assert services["feedback"]["command"][3:] == ["--host", default["host"], "--port", str(default["port"])]
    assert services["watch"]["command"][-1] == str(PORT)
    jobs = yaml.safe_load((MONITORING / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}
    assert targets == {"feedback": [f"127.0.0.1:{default['port']}"], "watch": [f"127.0.0.1:{PORT}"]}


@pytest.mark.parametrize("files", [["compose.yaml"], ["compose.yaml", "compose.gpu.yaml"]])
def test_docker_compose_takes_the_files(files: list[str]) -> None:
    docker = shutil.which("docker")
    if not docker or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("docker compose is not installed")
    words = [word for file in files for word in ("--file", file)]
    done = subprocess.run(
        [docker, "compose", *words, "--profile", "finetune", "config", "--format", "json"],
        cwd=ROOT,
        env={**ENVIRONMENT, "PWD": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    services = json.loads(done.stdout)["services"]
    for name in ("feedback", "watch"):
        assert services[name]["working_dir"] == services[name]["environment"]["DVC_ROOT"] == str(ROOT)
    assert len({services[name]["image"] for name in ("feedback", "watch", "finetune")}) == 1
    assert ("deploy" in services["finetune"]) == (len(files) == 2)


# ---------------------------------------------------------------- the log

WRITER = """
import sys
from pathlib import Path
from tuneline.retraining.events import log_event
for number in range(int(sys.argv[3])):
    log_event(Path(sys.argv[1]), "written", writer=sys.argv[2], number=number, why="x" * 950)
"""


def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob(f"{NAME}*")) for line in path.open("rb")]


def test_several_processes_write_and_rotate_one_log(tmp_path: Path) -> None:
    each = 2 * MOST_BYTES // 3 // 1000
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(number), str(each)], cwd=ROOT, env=ENVIRONMENT
        )
        for number in range(3)
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    sizes = {path.name: path.stat().st_size for path in tmp_path.glob(f"{NAME}*")}
    assert {NAME, f"{NAME}.1", f"{NAME}.2"} == set(sizes)
    assert max(sizes.values()) <= MOST_BYTES
    written = [(event["writer"], event["number"]) for event in events(tmp_path)]
    assert sorted(written) == [(str(writer), number) for writer in range(3) for number in range(each)]


def test_no_secret_and_no_text_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = tmp_path / "logs"
    (tmp_path / ".env").write_text('GEMINI_API_KEY="of-the-file"\n')
    monkeypatch.setenv("OPENAI_API_KEY", 'sk-"quoted"')
    monkeypatch.setenv("TUNELINE_TOKEN", "töken")
    monkeypatch.delenv("TUNELINE_LOG_INPUTS", raising=False)
    fields = {
        "why": 'refused: sk-"quoted", of-the-file, töken',
        "sample": {"input": "a private letter", "outputs": ["of Mr Smith"], "id": 7},
        "path": Path("a\nb"),
        "body": "y" * (MOST_SIGNS + 1),
    }
    log_event(logs, "failed", **fields)
    monkeypatch.setenv("TUNELINE_LOG_INPUTS", "1")
    log_event(logs, "failed", **fields)
    hidden, shown = events(logs)
    assert hidden["why"] == shown["why"] == "refused: ***, ***, ***"
    assert hidden["sample"] == {"input": "(16 signs)", "outputs": ["(11 signs)"], "id": 7}
    assert shown["sample"] == fields["sample"]
    assert hidden["path"] == "a\nb"
    assert hidden["body"].startswith("yyy")
    assert len(hidden["body"]) < MOST_SIGNS + 30


def test_half_a_line_of_a_killed_writer_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"time": "2026')
    log_event(tmp_path, "whole")
    assert json.loads((tmp_path / NAME).read_text().splitlines()[1])["event"] == "whole"


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").write_text("a file")
    log_event(tmp_path / "logs", "lost")
    assert "File exists" in capsys.readouterr().err
