"""A small model hub on loopback, as the Hub's own client asks it."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


class Hub:
    """`files`: of one model, by their names. `asked`: (path, token) of each request."""

    def __init__(self, model: str, revision: str, files: dict[str, bytes]) -> None:
        self.model, self.revision, self.files = model, revision, files
        self.asked: list[tuple[str, str | None]] = []
        self.site = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        said = {"Content-Type": "application/json"}
        if path in (f"/api/models/{self.model}/revision/{name}" for name in ("main", self.revision)):
            known = {"id": self.model, "sha": self.revision, "siblings": [{"rfilename": name} for name in self.files]}
            return 200, said, json.dumps(known).encode()
        if path == f"/api/models/{self.model}/tree/{self.revision}":
            tree = [{"type": "file", "path": name, "size": len(file), "oid": "0"} for name, file in self.files.items()]
            return 200, said, json.dumps(tree).encode()
        name = path.removeprefix(f"/{self.model}/resolve/{self.revision}/")
        if name in self.files:
            found = self.files[name]
            tag = hashlib.sha256(found).hexdigest()
            return 200, {"ETag": f'"{tag}"', "X-Repo-Commit": self.revision}, found
        known = self.model in path
        return 404, {"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"}, b"{}"


@contextlib.contextmanager
def serve(model: str, revision: str, folder: Path) -> Iterator[Hub]:
    names = (path for path in sorted(folder.rglob("*")) if path.is_file())
    hub = Hub(model, revision, {path.relative_to(folder).as_posix(): path.read_bytes() for path in names})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET(body=False)

        def do_GET(self, body: bool = True) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.asked.append((path, self.headers.get("Authorization")))
            status, headers, content = hub.answer(path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.site = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
