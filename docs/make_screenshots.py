"""The pictures of the documentation, out of what this checkout has run. It wants Chromium on the PATH.

python docs/make_screenshots.py
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parent
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def make_report(folder: Path, *adapters: str) -> Path:
    page = folder / "report.html"
    words = [sys.executable, "-m", "tuneline.cli", "report", *adapters, "--out", str(page)]
    subprocess.run(words, check=True)
    return page


def take(chromium: str, page: Path, out: Path, width: int, height: int) -> None:
    """The top of a page, `width` × `height` pixels of it, as one who prefers light sees it."""
    off = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    picture = (f"--screenshot={out}", f"--window-size={width},{height}")
    subprocess.run([chromium, *off, profile, *picture, page.as_uri()], check=True, stderr=subprocess.DEVNULL)
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")


def main() -> None:
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if not chromium:
        sys.exit("there is no Chromium; Debian's package is called chromium")
    with tempfile.TemporaryDirectory() as folder:
        page = make_report(Path(folder), "query_json")
        take(chromium, page, DOCS / "report.png", 1200, 1270)


if __name__ == "__main__":
    main()
