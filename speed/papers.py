"""How fast papers become sections: a process a core against one process, on the recipe's twelve papers.

    python speed/papers.py
    python speed/papers.py --json      # one flat object
    python speed/papers.py --small

Both sides are measured in turn in each round, in fresh folders; the figures are medians.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import pymupdf

from recipes.papers.reader import Sources, cores, read_pdfs
from speed.bench import ROOT, small, tell

SOURCE = ROOT / "recipes/papers/source"


def seconds(papers: Sources, processes: int) -> float:
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        results = read_pdfs(papers, Path(cache), processes)
        taken = time.perf_counter() - start
    if wrong := [why for _, why in results.values() if why]:
        raise click.ClickException(wrong[0])
    return taken


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--papers", "count", type=click.IntRange(1), help="The first so many; all without it.")
@click.option("--json", "as_json", is_flag=True, help="One flat object.")
@small(rounds=1, count=1)
def main(rounds: int, count: int | None, as_json: bool) -> None:
    papers: Sources = [(path.stem, path, None) for path in sorted(SOURCE.glob("*.pdf"))[:count]]
    pages = sum(pymupdf.open(path).page_count for _, path, _ in papers)
    pairs = [(seconds(papers, 1), seconds(papers, cores())) for _ in range(rounds)]
    alone, together = (statistics.median(side) for side in zip(*pairs, strict=True))
    figures = {
        "papers": len(papers),
        "pages": pages,
        "processes": cores(),
        "one_process_seconds": round(alone, 2),
        "seconds": round(together, 2),
        "extract_speedup": round(statistics.median(one / many for one, many in pairs), 3),
        "pages_per_second": round(pages / together, 3),
    }
    tell(figures, as_json)


if __name__ == "__main__":
    main()
