"""More connections than a server has descriptors for, all of which keep silent."""

import contextlib
import socket
from collections.abc import Iterator

DESCRIPTORS, CONNECTIONS = 128, 160
LIMITED = ("bash", "-c", f'ulimit -n {DESCRIPTORS}; exec "$@"', "bash")  # before a server's command
HEAD = b"GET %s HTTP/1.1\r\nHost: localhost\r\n"
SILENT = {
    "nothing": b"",
    "half a header": HEAD % b"/health" + b"Acc",
    "answered and kept": HEAD % b"/openapi.json" + b"\r\n",
    "half a body": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{",
}


def check_floods(port: int, path: str = "/health") -> None:
    """Asks in each flood: after some tries there must be an answer, though nobody has gone."""
    for name, sent in SILENT.items():
        with _flood(port, sent):
            said = [_ask(port, path) for _ in range(20)]
        assert any(one.startswith(b"HTTP/1.1 200 ") for one in said), (name, said)


@contextlib.contextmanager
def _flood(port: int, sent: bytes) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            with contextlib.suppress(ConnectionError):  # the server may have closed it
                one.sendall(sent)
        yield


def _ask(port: int, path: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as one, contextlib.suppress(ConnectionError):
        one.sendall(HEAD % path.encode() + b"Connection: close\r\n\r\n")
        return one.recv(1024)
    return b""
