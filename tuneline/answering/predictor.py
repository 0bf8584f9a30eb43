"""Messages → answers, and texts → the bits that they cost, in batches, with the rendering that training used."""

import importlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

from tuneline.answering.begun import Begun, begun, files_of
from tuneline.answering.constraint import schema_constraint
from tuneline.answering.examples import fitting
from tuneline.answering.prompts import prompt_ids
from tuneline.files import Clock, Row, bar, check_file, say, write_jsonl
from tuneline.models.adapter import Adapter, read_adapter
from tuneline.models.base import Base, read_base
from tuneline.rendering.chat import Chat, load_chat
from tuneline.rendering.lengths import Most, most_new_tokens
from tuneline.rendering.preamble import Preamble
from tuneline.running.processes import gathered, launched, rank, world_size

LOGITS = 2**28  # of a batch that is scored: a GiB of float32, however long its rows and large its vocabulary


def predict_options(command: Callable) -> Callable:
    """The flags of `predict` in params.yaml, for click."""
    options = [
        click.option("--batch-size", type=click.IntRange(1), required=True, help="Rows."),
        click.option("--max-new-tokens", type=Most(), required=True, help="Or auto: by the test rows' references."),
        click.option("--constrain/--no-constrain", required=True, help="Hold answers to the schema."),
        click.option("--processes", type=click.IntRange(1), required=True, help="Among which the rows are divided."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def divided(backend: str, processes: int, module: str) -> bool:
    """Whether so many processes have done the work of the stage `module`, each of them a share of the rows.

    Raises click.ClickException where the machine has no room for so many, and where one has failed.
    """
    count = max(processes, world_size())
    known = importlib.import_module(f"tuneline.backends.{backend}")
    if count > 1 and (refused := known.refused_processes("predict.processes", count)):
        raise click.ClickException(refused)
    return launched(processes, module, lambda: "answers that were whole are kept")


class Predictor:
    """A loaded base, with or without an adapter, asked under a preamble. `precision`: of training. `schema`: hold every
    answer to it.
    """

    def __init__(
        self,
        backend: str,
        base: Base,
        quantization: str,
        precision: str,
        preamble: Preamble,
        adapter: Path | None = None,
        schema: Path | None = None,
    ) -> None:
        self.backend = importlib.import_module(f"tuneline.backends.{backend}")
        self.writer = importlib.import_module(f"tuneline.answering.{backend}")
        self.chat, self.context = load_chat(base, preamble), base.context
        precision = self.backend.answering_precision(precision)
        self.model = self.backend.load_model(base, quantization, precision)
        if adapter:
            self.model = self.backend.load_adapter(self.model, adapter)
        self._hold_to(schema)
        held = schema.read_text("utf-8") if schema else None
        self.telling = [files_of(base.folder), files_of(adapter), backend, quantization, precision, held]

    def switch(self, adapter: Path, preamble: Preamble, schema: Path | None) -> None:
        """Another adapter on the same base, in place."""
        self.model = self.backend.switch_adapter(self.model, adapter)
        self.chat = self.chat.under(preamble)
        self._hold_to(schema)

    def _hold_to(self, schema: Path | None) -> None:
        self.constrain = None
        if schema:
            self.constrain = schema_constraint(schema, self.chat.tokenizer, self.backend.vocabulary(self.model))

    def answer(
        self,
        conversations: Sequence[Sequence[Row]],
        batch_size: int,
        max_new_tokens: int,
        label: str,
        beside: Sequence[Row] | None = None,
        kept: Begun | None = None,
    ) -> list[str]:
        """The answer to each conversation, which ends with the user's turn. Greedy.

        `beside`: of each, what its row has else: `tools`, and in `where` its place in a file. `kept`: answers that need
        not be made again, and where those that are whole are kept. Raises click.ClickException when one leaves no room
        for an answer in the base's context.
        """
        beside = beside or [{}] * len(conversations)
        prompts = [prompt_ids(self.chat, said, row) for said, row in zip(conversations, beside, strict=True)]
        names = [row.get("where", f"question {number}") for number, row in enumerate(beside, 1)]
        self._check_fit(names, [len(prompt) + 1 for prompt in prompts])

        mine, kept = prompts[rank() :: world_size()], kept or Begun()
        before = [kept.of(prompt) for prompt in mine]
        left = [prompt for prompt, answer in zip(mine, before, strict=True) if answer is None]
        if known := len(mine) - len(left):
            say(f"{label}: {known:,} of {len(mine):,} answers are there from a run that was stopped")
        with bar(label, total=len(mine), initial=known) as done:

            def told(at: int, answer: list[int]) -> None:
                kept.keep(left[at], answer)
                done.update()

            made = iter(self._generate(left, max_new_tokens, batch_size, told))
        found = [(next(made) if answer is None else answer, answer is None) for answer in before]
        told_all = gathered([(self.chat.heard(answer)[1], new) for answer, new in found])
        kept.made += sum(new for _, new in told_all)
        return [text for text, _ in told_all]

    def _generate(self, prompts: list[list[int]], most: int, size: int, told: Callable[..., None]) -> list[list[int]]:
        if not prompts:
            return []
        return self.writer.generate(self.model, prompts, most, self.chat.stop_ids, size, self.constrain, told)

    def bits(self, rows: Sequence[Row], batch_size: int, label: str) -> list[float]:
        """Of each row that is only text: -log2 of the probability of its tokens, each given all before it, summed.

        The first is given the token that begins a text, else the one that ends one. The end is not counted.
        Raises click.ClickException when a text is longer than the base's context: it would be told in pieces.
        """
        tokenizer = self.chat.tokenizer
        own = (tokenizer.bos_token_id, tokenizer.eos_token_id, *self.chat.stop_ids)
        first = next(token for token in own if token is not None)
        begin = tokenizer.bos_token or ""
        encoded = [self.chat.backend.encode(begin + row["text"], add_special_tokens=False).ids for row in rows]
        texts = encoded if begin else [[first, *ids] for ids in encoded]
        self._check_fit([f"text {number}" for number in range(1, len(texts) + 1)], [len(ids) - 1 for ids in texts])
        found = self.score(texts[rank() :: world_size()], batch_size, label)
        return gathered([round(bits, 4) for bits in found])

    def score(self, texts: Sequence[list[int]], batch_size: int, label: str) -> list[float]:
        """The bits of each text's ids but the first, which is given."""
        found, room = [0.0] * len(texts), LOGITS // self.backend.vocabulary(self.model)
        with bar(label, total=len(texts)) as done:
            for batch in batches([len(ids) for ids in texts], batch_size, room):
                for at, bits in zip(batch, self.writer.score(self.model, [texts[at] for at in batch]), strict=True):
                    found[at] = bits
                done.update(len(batch))
        return found

    def _check_fit(self, names: Sequence[str], tokens: Sequence[int]) -> None:
        for name, count in zip(names, tokens, strict=True):
            if count > self.context:
                raise click.ClickException(
                    f"{name} has {count:,} tokens as the base reads it, more than its context of "
                    f"{self.context:,}; shorten or divide it"
                )


def write_answers(
    out: Path,
    predictor: Predictor,
    rows: Sequence[Row],
    batch_size: int,
    max_new_tokens: int | str,
    clock: Clock,
    state: Path,
    shots: int = 0,
    examples: Sequence[Row] = (),
) -> dict[str, float]:
    """`{"id", "answer"}` of each test row, whose last message is the right answer and is not shown; `{"id", "bits"}` of
    one that is only text. The stage's line ends it; gives what the log of runs is told.

    Where `shots` are asked for, of `examples`, also `"shots"`, what is answered after so many of them, and
    `"examples"`, how many there were room for. A run that is stopped leaves its whole answers below `state`. Raises
    click.ClickException where there is no row, and IsADirectoryError where a folder stands at `out`.
    """
    check_file(out)
    if not rows:
        raise click.ClickException("no test row; make them again with `dvc repro --force`")
    began, label = time.monotonic(), f"{clock.stage} {clock.name}"
    texts, asked = [row for row in rows if "text" in row], [row for row in rows if "text" not in row]
    most = most_new_tokens(max_new_tokens, predictor.chat, asked)
    said: dict[str, Row] = {}
    with begun(state / "begun" / clock.name, clock.stage, [*predictor.telling, most]) as kept:
        if asked:
            answers = predictor.answer([row["messages"][:-1] for row in asked], batch_size, most, label, asked, kept)
            said |= {row["id"]: {"answer": text} for row, text in zip(asked, answers, strict=True)}
        if asked and len(examples) < shots:
            say(f"{clock.name}: {len(examples)} of {shots} examples could be found among the training rows")
        if asked and (before := examples[:shots]):
            again = answer_after(predictor, asked, batch_size, most, f"{label}, after examples", before, kept)
            said = {row["id"]: said[row["id"]] | more for row, more in zip(asked, again, strict=True)}
        if texts:
            if shots:
                say(f"{clock.name}: {len(texts)} rows are only text, before which no example stands")
            found = predictor.bits(texts, batch_size, label)
            said |= {row["id"]: {"bits": bits} for row, bits in zip(texts, found, strict=True)}
        rate = (kept.made + len(texts)) / (time.monotonic() - began)
        if rank() == 0:
            write_jsonl(out, ({"id": row["id"], **said[row["id"]]} for row in rows))
    if rank() == 0:
        clock.tell(f"{len(rows):,} test rows", f"{rate:,.1f} answers a second")
    return {"rows": len(rows), "answers_per_second": round(rate, 3), "processes": world_size()}


def answer_after(
    predictor: Predictor,
    rows: Sequence[Row],
    batch_size: int,
    most: int,
    label: str,
    examples: Sequence[Row],
    kept: Begun,
) -> list[Row]:
    """`{"shots", "examples"}` of each row: the answer after the examples for which there is room, and their number."""
    room = predictor.context - most
    found = [fitting(predictor.chat, row, examples, room) for row in rows]
    if fewer := sum(count < len(examples) for _, count in found):
        say(
            f"{fewer} of {len(rows)} test rows are asked after fewer than {len(examples)} examples: with more there is "
            f"no room for an answer of {most:,} tokens in the base's {predictor.context:,}, or its template takes none"
        )
    answers = predictor.answer([conversation for conversation, _ in found], batch_size, most, label, rows, kept)
    return [{"shots": text, "examples": count} for text, (_, count) in zip(answers, found, strict=True)]


def open_adapter(folder: Path, constrain: bool, root: Path = Path()) -> Predictor:
    """An adapter on its base, asked as it was trained. `root`: of the checkout that has the base."""
    adapter = read_adapter(folder)
    schema = folder / "schema.json" if constrain else None
    base = read_base(root / adapter.base)
    preamble = adapter_preamble(folder)
    return Predictor(adapter.backend, base, adapter.quantization, adapter.precision, preamble, folder, schema)


def read_siblings(folders: Sequence[Path]) -> Adapter:
    """What adapters that answer on one loaded base have in common, as the first one says it.

    Raises click.ClickException when they are not of one base, quantization and backend.
    """
    (first, its), *others = [(folder, read_adapter(folder)) for folder in folders]
    for folder, other in others:
        if (other.base, other.quantization, other.backend) != (its.base, its.quantization, its.backend):
            raise click.ClickException(f"{folder} and {first} are not of one base; ask them one at a time")
    return its


def adapter_preamble(folder: Path) -> Preamble:
    try:
        system = (folder / "system.md").read_text("utf-8").strip()
    except (OSError, ValueError) as error:
        wrong = getattr(error, "strerror", None) or error
        raise click.ClickException(f"{folder}/system.md: {wrong}; make the adapter again with `make repro`") from None
    return Preamble(system, read_adapter(folder).prefix)


class Voices:
    """Adapters of one base, which is loaded once; each is asked as it was trained.

    Reads the adapters' folders and their base, nothing else.
    """

    def __init__(self, folders: Sequence[Path], constrain: bool) -> None:
        """Raises click.ClickException when the adapters are not of one base, quantization and backend."""
        read_siblings(folders)
        self.constrain = constrain
        self.predictor: Predictor | None = None

    def answer(self, folder: Path, asked: list[Row], batch_size: int, max_new_tokens: int) -> list[str]:
        """The answer to the last of each row's `messages`.

        Raises click.ClickException when a text spells out a special token, and for tools that the template leaves out.
        """
        if self.predictor is None:
            self.predictor = open_adapter(folder, self.constrain)
        else:
            schema = folder / "schema.json" if self.constrain else None
            self.predictor.switch(folder, adapter_preamble(folder), schema)
        check_questions(self.predictor.chat, asked)
        conversations = [row["messages"] for row in asked]
        return self.predictor.answer(conversations, batch_size, max_new_tokens, folder.name, asked)


def check_questions(chat: Chat, asked: Sequence[Row]) -> None:
    """Raises click.ClickException for a text that spells out a special token, and tools that a template leaves out."""
    chat.check_tools(asked)
    for row in asked:
        if token := chat.special_in(row):
            raise click.ClickException(
                f"{row.get('where', 'a text')} spells out {token}, which the model reads as a command; take it out"
            )


def batches(lengths: Sequence[int], size: int, room: int) -> Iterator[list[int]]:
    """Places of texts, the longest first, so that one for which memory does not suffice is met at once: at most `size`
    at a time, and `room` tokens with their padding, or one.
    """
    order = sorted(range(len(lengths)), key=lambda at: (-lengths[at], at))
    while order:
        count = min(size, max(1, room // lengths[order[0]]))
        yield order[:count]
        order = order[count:]
