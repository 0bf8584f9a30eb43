# The environment of the pipeline, the server and the watcher. The code is no part of it: the repository is mounted,
# at the path that it has on the host, so an edit needs no new image; only pyproject.toml and lock/ do.
#   docker build -t tuneline .                              # PyTorch's CPU build
#   docker build -t tuneline --build-arg TORCH_INDEX= .     # CUDA, which is what pip's own index has
# A tag can be moved, a digest cannot: this one is the list of all platforms, as Docker's record of its images has it.
ARG BASE=python:3.11.16-slim-bookworm@sha256:0bee7276f83efd4a1ee05bbbf4281d95ed28e079220a9457f25a93e3f1e3c31b
FROM ${BASE}

RUN apt-get update \
    && apt-get install -y --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*

# Any user of the host: it has no name here, and writes nothing but its home, /tmp and the mounted repository.
RUN install -d -m 1777 /home/tuneline
ENV HOME=/home/tuneline USER=tuneline PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    HF_HUB_DISABLE_TELEMETRY=1 TOKENIZERS_PARALLELISM=true

WORKDIR /opt/tuneline
COPY pyproject.toml ./
COPY lock ./lock
# torch alone comes from its own index, which has other versions of what else is wanted. Every file is checked by its hash.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python3 -m venv /opt/venv \
    && TORCH_INDEX="$TORCH_INDEX" python lock/install.py --without-project cuda \
    && printf '#!/bin/sh\nexec python -m tuneline.cli "$@"\n' > /opt/venv/bin/tuneline \
    && chmod 755 /opt/venv/bin/tuneline

# git and DVC take a repository of somebody else's only by name. It is where the container starts, and belongs to somebody
# else where the caller's user is mapped to another one; git's server side, which a fetch starts, asks for the .git.
ENV GIT_CONFIG_GLOBAL=/tmp/tuneline.gitconfig
RUN printf '%s\n' '#!/bin/sh' \
    'git config --global --replace-all safe.directory "$PWD" && git config --global --add safe.directory "$PWD/.git"' \
    'exec "$@"' > /opt/enter && chmod 755 /opt/enter
ENTRYPOINT ["/opt/enter"]

USER 1000:1000
CMD ["tuneline", "--help"]
