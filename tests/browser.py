"""A headless Chromium that is spoken to over its debugging protocol: what it shows, says and asks a network for."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium; Debian's package is called chromium")
COMPLAINTS = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded", "Page.javascriptDialogOpening")


class Browser:
    """One tab. `events` are what it told since the last `open`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket, self.number, self.events = socket, 0, []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            said = json.loads(self.socket.recv(timeout=60))
            if said.get("id") == self.number:
                assert "error" not in said, said
                return said["result"]
            self.events.append(said)
            if said["method"] == "Page.javascriptDialogOpening":  # else the tab would wait for a person
                self.socket.send(
                    json.dumps({"id": 0, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}})
                )

    def open(self, url: str, width: int = 1280, dark: bool = False) -> Self:
        """A page, once it has loaded, on a screen of `width` pixels whose reader prefers light or dark."""
        self.events.clear()
        phone = width < 500
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=phone)
        prefers = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[prefers])
        self.ask("Page.navigate", url=url)
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(json.loads(self.socket.recv(timeout=60)))
        return self

    def value(self, expression: str) -> Any:
        """Of a JavaScript expression, awaited."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """Errors, what a script logged, dialogs."""
        return [event for event in self.events if event["method"] in COMPLAINTS]

    @property
    def requests(self) -> list[str]:
        told = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [one["request"]["url"] for one in told]


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """`profile`: an empty folder of its own."""
    off = ("gpu", "software-rasterizer", "extensions", "background-networking", "component-update", "sync", "breakpad")
    words = ("--headless=new", "--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in off))
    command = [CHROMIUM, *words, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with connect(_tab(profile / "DevToolsActivePort", process), max_size=None) as socket:
                yield Browser(socket)
        finally:
            process.terminate()


def _tab(told: Path, process: subprocess.Popen) -> str:
    """The address of the tab's debugger, once Chromium has written where it listens."""
    while not told.is_file() or "\n" not in told.read_text("utf-8"):
        assert process.poll() is None, "Chromium did not start"
        time.sleep(0.02)
    port = told.read_text("utf-8").split()[0]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
        return next(tab["webSocketDebuggerUrl"] for tab in json.load(answer) if tab["type"] == "page")
