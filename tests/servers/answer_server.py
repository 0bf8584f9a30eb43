"""A base of random weights with two adapters, and the server of their answers in a thread, for tests."""

import contextlib
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn

from tests.servers.instruction_server import Api
from tests.small_base import write_class_base
from tuneline.files import write_json
from tuneline.http_service import configure
from tuneline.models.base import read_base
from tuneline.serving.server import Settings, create_app
from tuneline.serving.voices import Voices

SCHEMA = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"], "additionalProperties": False}
TEXT = {"type": "string"}


def write_adapters(root: Path, kind: str = "llama", backend: str = "cuda", **changed: Any) -> dict[str, Path]:
    """`json`, under a system prompt and held to SCHEMA, and `text`, with a prefix, on models/small in `root`.

    The weights are so large that answers differ from question to question.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    from tuneline.backends.cuda import load_model

    folder = write_class_base(root / "models/small", kind, initializer_range=0.2, **changed)
    base = read_base(folder)
    made = {}
    for seed, (name, system, prefix, schema) in enumerate(
        (("json", "Query to JSON.", "", SCHEMA), ("text", "Answer — shortly.", "Say:", TEXT))
    ):
        torch.manual_seed(seed)
        config = LoraConfig(r=2, target_modules=base.pattern("linear"), init_lora_weights=False)
        made[name] = root / "adapters" / name
        get_peft_model(load_model(base, "none"), config).save_pretrained(made[name])
        told = {"base": "models/small", "quantization": "none", "backend": backend, "prefix": prefix}
        write_json(made[name] / "adapter.json", told)
        write_json(made[name] / "schema.json", schema)
        (made[name] / "system.md").write_text(f"{system}\n", encoding="utf-8")
        (made[name] / "README.md").unlink(missing_ok=True)
    return made


def copy_adapter(adapter: Path, to: Path, **told: Any) -> Path:
    """The same under another name; `told`: of adapter.json."""
    shutil.copytree(adapter, to)
    known = json.loads((to / "adapter.json").read_text("utf-8"))
    write_json(to / "adapter.json", {**known, **told})
    return to


@contextlib.contextmanager
def serving(voices: Voices, **knobs: Any) -> Iterator[Api]:
    """The server on a free port, in a thread."""
    settings = Settings(**knobs)
    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    server = uvicorn.Server(configure(create_app(voices, settings)))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield Api(f"http://127.0.0.1:{listening.getsockname()[1]}", settings.token)
    finally:
        server.should_exit = True
        thread.join()
