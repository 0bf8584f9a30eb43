"""A real model behind llama.cpp's own OpenAI-compatible server: SmolLM2-135M, in 4 bits, on loopback.

python tests/servers/llama_server.py SmolLM2-135M-Instruct.Q4_1.gguf
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Llama:
    openai_url: str


@contextmanager
def llama(gguf: Path) -> Iterator[Llama]:
    """A server of its own process: what it prints is its own, and a model that fails takes no test with it."""
    command = [sys.executable, __file__, str(gguf)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            line = next((line for line in process.stdout if line.startswith("http://")), "")
            assert line, f"the server of {gguf.name} ended with {process.wait()}"
            yield Llama(f"{line.strip()}/v1")
        finally:
            process.kill()


def main(gguf: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = gguf
    params.n_ctx = 4096
    params.n_parallel = 2
    params.use_jinja = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    time.sleep(3600)


if __name__ == "__main__":
    main(sys.argv[1])
