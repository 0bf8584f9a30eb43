# The environment of the pipeline, the server and the watcher. The code is no part of it: the repository is mounted,
# at the path that it has on the host, so an edit needs no new image; only pyproject.toml and constraints.txt do.
#   docker build -t tuneline .                              # PyTorch's CPU build
#   docker build -t tuneline --build-arg TORCH_INDEX= .     # CUDA, which is what pip's own index has
# A tag can be moved, a digest cannot: --build-arg BASE=python@sha256:… pins the base to its bytes.
ARG BASE=python:3.11.14-slim-bookworm
FROM ${BASE}

RUN apt-get update \
    && apt-get install -y --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    # The mounted repository belongs to somebody else when the caller's user is mapped to another one.
    && git config --system --add safe.directory '*'

# Any user of the host: it has no name here, and writes nothing but its home, /tmp and the mounted repository.
RUN install -d -m 1777 /home/tuneline
ENV HOME=/home/tuneline USER=tuneline PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HF_HUB_DISABLE_TELEMETRY=1 TOKENIZERS_PARALLELISM=true

WORKDIR /opt/tuneline
COPY pyproject.toml constraints.txt ./
# torch alone comes from its own index, which has other versions of what else is wanted.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python3 -m venv /opt/venv \
    && pip install --no-deps ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$(grep '^torch==' constraints.txt)" \
    && python3 -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
print(*project['dependencies'], *project['optional-dependencies']['cuda'], sep='\n')" > wanted.txt \
    && pip install --constraint constraints.txt --requirement wanted.txt \
    && printf '#!/bin/sh\nexec python -m tuneline.cli "$@"\n' > /opt/venv/bin/tuneline \
    && chmod 755 /opt/venv/bin/tuneline

USER 1000:1000
CMD ["tuneline", "--help"]
