"""The files that people and trainers read, made from the database by one thread, off the path of requests.

Lines are appended as events come; summaries are replaced at most once a second. Everything here may be
deleted: a line file is compared with the database on start, and before it grows where others have
touched it; a file of one event that is missing or of another size is made again on start.
"""

import errno
import itertools
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tuneline.files import dump_json, whole_file, write_json
from tuneline.ordering.seed_cases import SeedCase
from tuneline.ordering.shares import Shares
from tuneline.ordering.store import Case, Instruction, Reader, Submission, checkpoint
from tuneline.ordering.summary import live_view, markdown, summarize

INTERVAL = 1.0  # seconds between two summaries, at least
GATHER = 0.1  # seconds in which events come together before they are appended
IDLE = 5.0  # seconds between two views when nothing happens: a rate falls by itself


def issued_row(instruction: Instruction) -> dict[str, Any]:
    """An instruction as it was handed out; what became of it is in the database and in the summary."""
    row = {name: value for name, value in vars(instruction).items() if name not in ("number", "status")}
    return {"instruction_id": instruction.id, **row}


def submission_row(submission: Submission) -> dict[str, Any]:
    row = {name: value for name, value in vars(submission).items() if name != "number"}
    return {"submission_id": submission.id, **row}


def case_row(case: Case) -> dict[str, Any]:
    submission, instruction = case
    return {
        "instruction_id": instruction.id,
        "submission_id": submission.id,
        "agent_id": submission.agent_id,
        "case_text": submission.case_text,
        "target_toon": instruction.target_toon,
        "dimensions": instruction.dimensions,
    }


def chat_row(case_text: str, target_toon: str) -> dict[str, Any]:
    """A row for fine-tuning services: `messages` only."""
    return {"messages": [{"role": "user", "content": case_text}, {"role": "assistant", "content": target_toon}]}


def chat_of(case: Case) -> dict[str, Any]:
    return chat_row(case[0].case_text, case[1].target_toon)


class LineFile:
    """A JSON Lines file that repeats rows of the database in their order."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, -1

    def is_ours(self) -> bool:
        """Not deleted, cut or added to since the last write."""
        return self.path.is_file() and self.path.stat().st_size == self.size

    def append(self, rows: Iterable[Any]) -> None:
        if lines := b"".join(map(_line, rows)):
            with self.path.open("ab") as file:
                file.write(lines)
            self.size += len(lines)

    def mend(self, rows: Iterable[Any]) -> None:
        """Keeps the file as far as it holds the rows, and writes what follows anew."""
        self.path.touch()
        lines = map(_line, rows)
        kept, rest = 0, iter(())
        with self.path.open("r+b") as file:
            for line in lines:
                if file.read(len(line)) != line:
                    rest = itertools.chain([line], lines)
                    break
                kept += len(line)
            file.seek(kept)
            file.truncate()
            file.writelines(rest)
            self.size = file.tell()


def _line(row: Any) -> bytes:
    return f"{dump_json(row)}\n".encode()


class EventFiles:
    """A folder with a file for each event, whole or not at all; not synced, since the database can make it again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.there: dict[str, int] = {}  # file → bytes, of those that a process before this one wrote

    def open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for part in self.folder.glob(".*.part"):  # of a killed process
            part.unlink()
        with os.scandir(self.folder) as entries:
            self.there = {entry.name: entry.stat().st_size for entry in entries}

    def write(self, name: str, row: dict[str, Any]) -> None:
        line = _line(row)
        if self.there.pop(name, -1) == len(line):
            return
        part = f"{self.folder}/.{name}.part"
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)  # half the system calls of open()
        try:
            if os.write(file, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), part)
        finally:
            os.close(file)
        os.replace(part, f"{self.folder}/{name}")


class Exports:
    """The files of a state folder. `wake` says that there is something new; `view` is the dashboard's data."""

    def __init__(self, folder: Path, database: Path, shares: Shares, seeds: list[SeedCase], total: int) -> None:
        self.folder, self.database = folder, database
        self.shares, self.seeds, self.total = shares, seeds, total
        self.issued = self.submitted = 0  # numbers up to which events are exported
        self.summary: dict[str, Any] = {}
        self.view = b""
        self.news, self.closing = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._run, name="exports", daemon=True)
        self.instruction_files = EventFiles(folder / "instructions")
        self.submission_files = EventFiles(folder / "submissions")
        self.instructions = LineFile(folder / "issued_instructions.jsonl")
        self.cases = [
            (LineFile(folder / "generated_cases.jsonl"), case_row, []),
            (LineFile(folder / "generated_cases_train_mistral.jsonl"), chat_of, []),
            (LineFile(folder / "full_training_cases_mistral.jsonl"), chat_of, self._seed_chats()),
        ]  # file, a case's row, the rows before the cases

    def start(self) -> None:
        """Makes every file what the database says, then follows it on a thread of its own."""
        self.instruction_files.open()
        self.submission_files.open()
        reader = Reader(self.database)
        self.follow(reader)
        self.summarize(reader)
        reader.close()
        self.thread.start()

    def wake(self) -> None:
        self.news.set()

    def close(self) -> None:
        """Writes what is still to be written, and ends the thread."""
        self.closing.set()
        self.news.set()
        self.thread.join()

    def _run(self) -> None:
        reader = Reader(self.database)
        due, is_new = 0.0, False  # when the next summary may be made, and whether it would say more
        while not self.closing.is_set():
            wait = max(0.0, due - time.monotonic()) if is_new else IDLE
            try:
                if self.news.wait(wait):
                    self.news.clear()
                    self.follow(reader)
                    is_new = True
                if time.monotonic() >= due:
                    self.summarize(reader)
                    checkpoint(self.database)
                    due, is_new = time.monotonic() + INTERVAL, False
            except (OSError, sqlite3.Error) as error:  # a full disk: the database has it all, it is tried again
                print(f"exports: {error}", file=sys.stderr)
                self.news.set()
                for file in (self.instructions, *(file for file, _, _ in self.cases)):
                    file.size = -1  # compared with the database before anything is added
            self.closing.wait(GATHER)
        self.follow(reader)
        self.summarize(reader)
        reader.close()

    def follow(self, reader: Reader) -> None:
        """Exports the events that are not exported yet, in their order, from one view of the database."""
        with reader.one_view():
            issued = list(reader.instructions(self.issued))
            sent = list(reader.submissions(self.submitted))
            cases = list(reader.cases(self.submitted))
            if self.instructions.is_ours():
                self.instructions.append(map(issued_row, issued))
            else:
                self.instructions.mend(map(issued_row, reader.instructions()))
            for file, row, head in self.cases:
                if file.is_ours():
                    file.append(map(row, cases))
                else:
                    file.mend(itertools.chain(head, map(row, reader.cases())))
        for one in issued:
            self.instruction_files.write(f"{one.id}.json", issued_row(one))
            self.issued = one.number
        for one in sent:
            self.submission_files.write(f"{one.id}.json", submission_row(one))
            self.submitted = one.number

    def _seed_chats(self) -> list[dict[str, Any]]:
        return [chat_row(seed.case_text, seed.target_toon) for seed in self.seeds if seed.target_toon]

    def summarize(self, reader: Reader) -> None:
        summary = summarize(reader, self.shares, self.seeds, self.total)
        self.view = dump_json(live_view(reader, summary, time.time())).encode()
        if summary != self.summary:
            write_json(self.folder / "summary.json", summary)
            with whole_file(self.folder / "summary.md") as part:
                part.write_text(markdown(summary), encoding="utf-8")
            self.summary = summary
