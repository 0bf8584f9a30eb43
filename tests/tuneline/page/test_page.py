"""`tuneline report`: one file that holds all it shows, the same bytes for the same files, in a headless browser too."""

import http.server
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.browser import Browser, browser, needs_chromium
from tests.tuneline.page.run import answers, edit, evaluated, run, sample_rows
from tuneline.cli import main
from tuneline.page.figures import measures
from tuneline.page.reading import System, find_systems

ROWS = 60


def report(root: Path, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.chdir(root)
    return CliRunner().invoke(main, ["report", *words])


def written(root: Path, *words: str) -> str:
    """The page of a checkout."""
    with pytest.MonkeyPatch.context() as patch:
        done = report(root, patch, *words)
    assert done.exit_code == 0, done.output
    return (root / "report" / "index.html").read_text("utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two adapters of one recipe, and one that never ran."""
    root = tmp_path_factory.mktemp("a project")
    rows = sample_rows(ROWS)
    run(root, "one", rows)
    run(root, "two", rows[:12])
    given = {"base": answers(rows[:12], 0), "shots": answers(rows[:12], 0.3), "tuned": answers(rows[:12], 1)}
    evaluated(root, "two", rows[:12], given)
    clean = {side: {"accuracy": 0.25} for side in given}
    edit(root / "metrics/two/report.json", main="accuracy", contamination={"rows": 2, "figures": clean})
    params = json.loads((root / "params.yaml").read_text("utf-8"))
    params["adapters"]["three"] = {"recipe": "messages"}
    (root / "params.yaml").write_text(json.dumps(params), encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def page(project: Path) -> str:
    return written(project)


def test_all_of_it_stands_in_one_file(page: str) -> None:
    assert re.findall(r"<h2[^>]*>(\w+)", page) == ["one", "three", "two"]
    for heading in ("Measures", "By language", "What goes wrong", "Training", "Rows on their way", "Cost", "Answers"):
        there = 3 if heading in ("Rows on their way", "Cost") else 2  # the recipe of all three has run
        assert page.count(f"<h3>{heading}</h3>") == there, heading
    for words in (
        "<code>dvc repro eval@three</code> runs it",
        '<span class="reads told">higher</span>',
        "$2.25",
        "near duplicate <strong>5</strong>",
        f"All {ROWS} test rows.",
        "recipe messages",
    ):
        assert words in page, words
    assert page.count("<svg role=") == 0 and page.count('role="img"') == 12
    assert not re.search(r"(src|href)=[\"'](?!#|data:)", page), "nothing is fetched"
    assert str(Path.cwd()) not in page and "/tmp" not in page


def test_the_base_after_examples_is_a_column(page: str, project: Path) -> None:
    told = "<caption>Over the base after 3 training rows as examples, fewer before 1 of the test rows</caption>"
    assert page.count(told) == 1 and page.count('class="key three"') == 1
    assert page.count('"var(--three)"') >= 4 and '"s":"' in page
    low, high = measures(find_systems(project, ["two"])[0])[0].over_edges
    assert 0 < low < high and f"[{low:+.3f}, {high:+.3f}]" in page
    tests = page.count("McNemar's exact test\">p ")
    assert tests == 3, "of accuracy, twice where there are examples; the number of letters is neither right nor wrong"
    assert "2 test rows stand in training rows</strong>, as they are or nearly; without them accuracy is 0.250" in page


def test_one_adapter_twice_and_its_charts(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert report(project, monkeypatch, "two", "--out", "first.html").exit_code == 0
    done = report(project, monkeypatch, "two", "--out", "elsewhere.html", "--svg", "pictures")
    assert done.exit_code == 0 and "pictures: 12 charts" in done.output
    names = sorted(path.name for path in (project / "pictures").iterdir())
    assert "two.confusion.svg" in names and "two.confusion.dark.svg" in names and len(names) == 12
    assert re.findall(r"<h2[^>]*>(\w+)", (project / "elsewhere.html").read_text("utf-8")) == ["two"]
    assert (project / "elsewhere.html").read_bytes() == (project / "first.html").read_bytes()


def test_what_goes_wrong_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = report(tmp_path, monkeypatch)
    assert done.exit_code == 1 and done.output.startswith("Error: metrics has no adapter's metrics")
    run(tmp_path)
    (tmp_path / "metrics/mine/eval.json").write_text("{", encoding="utf-8")
    done = report(tmp_path, monkeypatch)
    assert done.exit_code == 1 and done.output.count("\n") == 1 and "metrics/mine/eval.json: not JSON" in done.output
    assert not (tmp_path / "report").exists()


def test_many_rows_are_drawn_and_counted(tmp_path: Path) -> None:
    run(tmp_path)
    many = sample_rows(600)
    for row in many:
        row["messages"][0]["content"] += " again" * 900
    evaluated(tmp_path, "mine", many, {"base": answers(many, 0.5), "tuned": answers(many, 1)})
    html = written(tmp_path)
    assert len(html.encode()) < 5_000_000
    shown = re.search(r"(\d+) of 600 test rows, drawn", html)
    assert shown and 400 < int(shown[1]) < 600


def hostile_rows(port: int) -> list[dict]:
    """Test rows that would run a script, ask a network, end an element or turn the page around, if a page let them."""
    parts = (
        f'</script><script>alert(1)</script><img src="http://127.0.0.1:{port}/a" onerror="alert(2)">',
        "\"'><svg onload=alert(3)><!--",
        f"<link rel=stylesheet href=http://127.0.0.1:{port}/b><base href=http://127.0.0.1:{port}/>",
        "\u202e مرحبا בעולם 😀\u2028\x00 {{ 7 * 7 }} {% raw %} </style>",
        "long" * 5000,
        "\ud800",
    )
    rows = sample_rows(len(parts))
    for part, row in zip(parts, rows, strict=True):
        kind = part.replace("\ud800", "half")
        row["messages"] = [{"role": part, "content": part}, {"role": "assistant", "content": kind}]
        row["fields"]["language"] = row["id"] = kind[:200]
    return rows


class Counting(http.server.BaseHTTPRequestHandler):
    """Answers all, and keeps what was asked in its server's `asked`."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<link rel=icon href=data:,>heard")

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture(scope="module")
def listener() -> Iterator[http.server.ThreadingHTTPServer]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def address(root: Path) -> str:
    return (root / "report" / "index.html").as_uri()


CARDS = "[...document.querySelectorAll('#system-0 .row')]"
FOUND = "document.querySelector('#system-0 .found').textContent"


def choose(tab: Browser, select: str, value: str) -> str:
    """What is found after a choice."""
    tab.value(
        f"{{const it = document.querySelector('#system-0 {select}'); it.value = {json.dumps(value)};"
        "it.dispatchEvent(new Event(it.tagName === 'INPUT' ? 'input' : 'change')); 0}"
    )
    return tab.value(FOUND)


@needs_chromium
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("dark", [False, True])
def test_a_browser_shows_it(project: Path, page: str, tab: Browser, width: int, dark: bool) -> None:
    tab.open(address(project), width, dark)
    assert tab.value("document.documentElement.scrollWidth") <= width, "no part of it is wider than the screen"
    ground, ink, bar = (
        tab.value(f"getComputedStyle(document.querySelector('{where}')).{what}")
        for where, what in (
            ("body", "backgroundColor"),
            ("body", "color"),
            ("figure.measures circle, figure.measures path[fill^=var]", "fill"),
        )
    )
    light = "rgb(255, 255, 255)"
    assert (ground == light) is not dark and (ink == "rgb(31, 35, 40)") is not dark
    assert bar in ("rgb(140, 149, 159)", "rgb(125, 133, 144)", "rgb(9, 105, 218)", "rgb(88, 166, 255)")
    assert tab.value(f"{CARDS}.length") == 10
    assert tab.complaints == []
    assert tab.requests == [address(project)], "the file itself, and no request more"


@needs_chromium
def test_answers_are_searched_and_filtered(project: Path, page: str, tab: Browser) -> None:
    tab.open(address(project))
    assert tab.value(FOUND) == f"{ROWS} of {ROWS} rows"
    options = tab.value("[...document.querySelectorAll('#system-0 .show option')].map((one) => one.textContent)")
    assert options == ["all (60)", "wrong only (0)", "flipped (30)", "flipped to right (30)", "flipped to wrong (0)"]
    assert choose(tab, ".show", "won") == "30 of 60 rows"
    assert choose(tab, ".group", "=fr") == "7 of 60 rows"
    assert tab.value(f"{CARDS}.every((card) => /language: fr.*flipped to right/.test(card.textContent))")
    assert choose(tab, ".group", "") == "30 of 60 rows"
    assert choose(tab, ".show", "wrong") == "0 of 60 rows"
    assert choose(tab, ".deciding", "letters").endswith("of 60 rows"), "of a number the lowest quarter is shown"
    assert choose(tab, ".show", "lost") == "0 of 60 rows" and choose(tab, ".show", "all") == "60 of 60 rows"
    assert choose(tab, "input", "  MESSAGE 17:") == "1 of 60 rows"
    assert "message 17" in tab.value(f"{CARDS}[0].textContent")
    assert choose(tab, "input", "nowhere") == "0 of 60 rows"
    assert choose(tab, "input", "") == "60 of 60 rows"
    tab.value("document.querySelector('#system-0 .more').click()")
    assert tab.value(f"{CARDS}.length") == 20
    assert tab.value("document.activeElement.closest('.row') !== null"), "the keyboard goes on where rows were added"
    assert tab.complaints == [] and len(tab.requests) == 1


@needs_chromium
def test_hostile_rows_are_text(tmp_path: Path, tab: Browser, listener: http.server.ThreadingHTTPServer) -> None:
    port = listener.server_address[1]
    tab.open(f"http://127.0.0.1:{port}/heard")
    assert "/heard" in listener.asked, "the test listens"
    listener.asked.clear()
    rows = hostile_rows(port)
    run(tmp_path, "mine", rows)
    evaluated(tmp_path, "mine", rows, {side: [row["id"] for row in rows] for side in ("base", "tuned")})
    written(tmp_path)
    for width in (1280, 360):
        tab.open(address(tmp_path), width)
        assert tab.value(f"{CARDS}.length") == len(rows)
        assert "<script>alert(1)</script>" in tab.value(f"{CARDS}.map((card) => card.textContent).join()")
        assert (
            tab.value("document.querySelectorAll('main img, main link, main base, main script:not(.data)').length") == 0
        )
        assert tab.value("document.documentElement.scrollWidth") <= width
        assert tab.complaints == [] and tab.requests == [address(tmp_path)] and listener.asked == []


@needs_chromium
def test_the_pages_own_policy_lets_nothing_out(
    project: Path, page: str, tab: Browser, listener: http.server.ThreadingHTTPServer
) -> None:
    listener.asked.clear()
    tab.open(address(project))
    url = f"http://127.0.0.1:{listener.server_address[1]}/out"
    assert tab.value(f"fetch('{url}').then(() => 'sent', () => 'refused')") == "refused"
    tab.value(f"new Promise((done) => {{const it = new Image(); it.onerror = done; it.src = '{url}'}}).then(() => 0)")
    assert listener.asked == []


def test_an_adapter_that_never_ran_has_no_figures() -> None:
    assert System("mine", "mine").missing == ["mine has never run here: `dvc repro eval@mine` runs it."]
