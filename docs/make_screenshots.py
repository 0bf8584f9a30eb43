"""The pictures of the documentation, out of what this checkout has run. It wants Chromium on the PATH.

    python docs/make_screenshots.py BASE

BASE: a commit; the picture of a pull request's comment is what `tuneline diff BASE` says.
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
COLUMNS = 120  # of a terminal
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 24px; background: {back}; color: {fore}; font: 14px/1.5 system-ui, sans-serif }}
pre {{ font: 13px/1.35 "DejaVu Sans Mono", monospace; margin: 0 }}
table {{ border-collapse: collapse; margin: 12px 0 }}
td, th {{ border: 1px solid #d1d9e0; padding: 5px 12px }}
code {{ background: #eff1f3; padding: 1px 4px; border-radius: 4px }}
</style>{body}"""


def tuneline(*words: str) -> str:
    """What a command writes to a terminal of COLUMNS with colours."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(COLUMNS)}
    command = [sys.executable, "-m", "tuneline.cli", *words]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env=environment).stdout


def terminal(*commands: tuple[str, ...]) -> str:
    """A page of a terminal in which each of them has run."""
    from rich.console import Console
    from rich.terminal_theme import MONOKAI
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for words in commands:
        console.print(Text(f"$ tuneline {' '.join(words)}", style="bold"))
        console.print(Text.from_ansi(tuneline(*words)))
    body = console.export_html(theme=MONOKAI, inline_styles=True, code_format="<pre>{code}</pre>")
    return PAGE.format(back="#0c0c0c", fore="#d9d9d9", body=body)


def comment(base: str) -> str:
    """A page with the comment, as a forge shows its Markdown."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(tuneline("diff", base))
    return PAGE.format(back="#ffffff", fore="#1f2328", body=body)


def take(chromium: str, page: Path, out: Path, width: int, height: int) -> None:
    """The top of a page, `width` × `height` pixels of it, as one who prefers light sees it."""
    off = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    picture = (f"--screenshot={out}", f"--window-size={width},{height}")
    subprocess.run([chromium, *off, profile, *picture, page.as_uri()], check=True, stderr=subprocess.DEVNULL)
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")


def main(base: str) -> None:
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if not chromium:
        sys.exit("there is no Chromium; Debian's package is called chromium")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        tuneline("report", "query_json", "--out", str(page))
        take(chromium, page, DOCS / "report.png", 1200, 1270)
        page.write_text(terminal(("show", "metrics/query_json"), ("experiments",)), encoding="utf-8")
        take(chromium, page, DOCS / "terminal.png", 1000, 560)
        page.write_text(comment(base), encoding="utf-8")
        take(chromium, page, DOCS / "comment.png", 1000, 880)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
