"""A small arXiv on loopback: the Atom feed, the OAI records and the PDFs, with the faults that a test asks for."""

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ENTRY = """<entry><id>http://arxiv.org/abs/{name}</id><updated>2025-01-02T00:00:00Z</updated>
<published>2025-01-0{day}T00:00:00Z</published><title>Paper {name},
 in two lines</title><summary>It counts.</summary><author><name>Ada Example</name></author>
<link href="{site}/abs/{name}" rel="alternate" type="text/html"/>
<link title="pdf" href="{site}/pdf/{name}" rel="related" type="application/pdf"/>
<arxiv:primary_category term="cs.DS"/><category term="cs.DS"/></entry>"""
FEED = """<?xml version="1.0" encoding="UTF-8"?><feed xmlns="http://www.w3.org/2005/Atom"
 xmlns:opensearch="http://a9.com/-/spec/opensearch/1.1/" xmlns:arxiv="http://arxiv.org/schemas/atom">
<title>query</title><id>x</id><updated>2025-01-02T00:00:00Z</updated>
<opensearch:totalResults>{total}</opensearch:totalResults><opensearch:startIndex>0</opensearch:startIndex>
<opensearch:itemsPerPage>{total}</opensearch:itemsPerPage>{entries}</feed>"""
LICENCE = "http://creativecommons.org/licenses/by/4.0/"


class Arxiv:
    """`papers`: name with version → PDF bytes. `faults`: path → its next answers: a status, "cut" or "empty"."""

    def __init__(self, papers: dict[str, bytes]) -> None:
        self.papers = papers
        self.faults: dict[str, list] = {}
        self.asked: Counter[str] = Counter()
        self.site = ""

    def feed(self, query: dict[str, list[str]]) -> bytes:
        wanted = query.get("id_list", [""])[0].split(",")
        names = [name for name in self.papers if name.rpartition("v")[0] in wanted or name in wanted or wanted == [""]]
        names = names[: int(query["max_results"][0])]
        entries = "".join(ENTRY.format(site=self.site, name=name, day=day) for day, name in enumerate(names, 1))
        return FEED.format(total=len(names), entries=entries).encode()

    def answer(self, path: str, query: dict[str, list[str]]) -> bytes | None:
        if path == "/api/query":
            return self.feed(query)
        if path == "/oai2":
            return f"<record><license>{LICENCE}</license></record>".encode()
        return self.papers.get(path.removeprefix("/pdf/"))


@contextlib.contextmanager
def serve(papers: dict[str, bytes]) -> Iterator[Arxiv]:
    arxiv = Arxiv(papers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
            arxiv.asked[path] += 1
            fault = arxiv.faults.get(path, [])
            said = fault.pop(0) if fault else None
            content = arxiv.answer(path, query)
            if said == "empty":
                content = FEED.format(total=5, entries="").encode()
            status = said if isinstance(said, int) else 200 if content is not None else 404
            content = content or b"no such paper"
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2] if said == "cut" else content)
            if said == "cut":
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    arxiv.site = f"http://127.0.0.1:{server.server_port}"
    try:
        yield arxiv
    finally:
        server.shutdown()
        server.server_close()
