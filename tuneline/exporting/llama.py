"""llama.cpp, in a process of its own, asked over loopback: the tokens that it reads, and those that it answers.

python -P tuneline/exporting/llama.py FILE TOKENS    serves FILE with a context of TOKENS, and says where.
"""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tuneline.exporting.parity import Answer, Asked
    from tuneline.files import Row

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy of the environment would ask itself


def is_installed() -> bool:
    return util.find_spec("xllamacpp") is not None


@contextmanager
def serve(gguf: Path, context: int) -> Iterator["Llama"]:
    """A server of its own process: what it prints is its own, and a model that fails takes nothing with it.

    Raises click.ClickException when llama.cpp does not load the file.
    """
    import click

    command = [sys.executable, "-P", __file__, str(gguf), str(context)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            line = next((line for line in process.stdout if line.startswith("http://")), "")
            if not line:
                raise click.ClickException(f"llama.cpp does not load {gguf.name}: it ended with {process.wait()}")
            yield Llama(line.strip())
        finally:
            process.kill()


class Llama:
    """One model behind its server."""

    def __init__(self, url: str) -> None:
        self.url, self.tool = url, f"llama.cpp of xllamacpp {metadata.version('xllamacpp')}"

    def tokens(self, text: str) -> list[int]:
        """Of a text in which special tokens are spelled out; none is added."""
        return self._post("/tokenize", content=text, add_special=False, parse_special=True)["tokens"]

    def prompt(self, messages: Sequence["Row"], tools: Sequence["Row"] | None) -> str:
        given = {"messages": messages} | ({"tools": tools} if tools else {})
        return self._post("/apply-template", **given)["prompt"]

    def answer(self, asked: Sequence["Asked"], most: int, ours: Sequence["Answer"]) -> list["Answer"]:
        from tuneline.files import bar

        return [self._answer(one, most, our) for one, our in zip(bar("llama.cpp", asked), ours, strict=True)]

    def _answer(self, one: "Asked", most: int, ours: "Answer") -> "Answer":
        from tuneline.exporting.parity import LIKELIEST, Answer

        greedy = {"temperature": 0, "top_k": 1, "n_probs": LIKELIEST, "cache_prompt": False}
        said = self._post("/completion", prompt=one.ids, n_predict=most, **greedy)
        steps = said.get("completion_probabilities", [])  # none of a token that ends within a letter
        same = shared([step["id"] for step in steps], ours.ids)
        places = [{top["id"]: top["logprob"] for top in step["top_logprobs"]} for step in steps[:same]]
        return Answer(said["content"], [], places)

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        with DIRECT.open(request) as answer:
            return json.load(answer)


def shared(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens both begin with."""
    ends = (at for at, (a, b) in enumerate(zip(first, second, strict=False)) if a != b)
    return next(ends, min(len(first), len(second)))


def main(gguf: str, context: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = gguf
    params.n_ctx = int(context)
    params.n_parallel = 1
    params.use_jinja = True
    params.cpuparams.n_threads = int(
        os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)
    )  # its threads wait by spinning
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    while os.getppid() != 1:  # who started it may have been killed
        time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
