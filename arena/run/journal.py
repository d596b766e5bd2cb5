"""Completions of the phase in progress, written down as they arrive, so that none is paid for twice.

The records of a phase are stored when it is finished. Until then the answers of a server are in `journal.jsonl` of the
run folder, one JSON object a line, and a phase that is played again after a limit, an error or a killed process takes
them from there. A completion is reused only for the same key and the same digest of everything that was sent.

Left out: requests in flight when the process died. Not guaranteed: that lines survive a power cut; they are flushed,
not synced.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Any

from agents.engine import Completion

MOST = 2**53  # largest count; run.db holds sums of counts in 64 bits
UNUSED = "unused"  # key of the line that counts completions that were paid for and never used


@dataclass(frozen=True)
class Entry:
    """A completion, with its generation and phase and the digest of the request; `model` only in a mixed population."""

    generation: int
    phase: str
    digest: str
    completion: Completion
    model: str = ""

    def to_line(self) -> str:
        row = asdict(self)
        c = row.pop("completion")
        del c["logprobs"], c["values"]  # no model behind a server is trained
        if not self.model:
            del row["model"]
        return json.dumps(row | c | {"logprob": None if math.isnan(c["logprob"]) else c["logprob"]}) + "\n"


@dataclass(frozen=True)
class Unused:
    """Counts of completions that were paid for and are in no stored phase: the resumed run sent other requests."""

    requests: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0


class Journal:
    """The journal of one run, for the one process that plays it. Raises ValueError, naming the line, if it is damaged.

    An incomplete last line, as a killed process leaves it, is dropped.
    """

    def __init__(self, path: Path, finished: Collection[tuple[int, str]] = ()) -> None:
        """`finished` are the stored phases, whose completions are ignored because they are already counted."""
        self.path = path
        self.entries: dict[tuple[str, str], Entry] = {}
        self.unused: dict[str, Unused] = {}  # by model, "" for a population of one
        self._used = set[tuple[str, str]]()
        whole = 0
        data = path.read_bytes() if path.exists() else b""
        lines = data.splitlines(keepends=True)
        for number, line in enumerate(lines, 1):
            try:
                self._take(json.loads(line), finished)
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                if number == len(lines) and not line.endswith(b"\n"):
                    break
                raise ValueError(
                    f"{path}, line {number} holds no completion ({type(error).__name__}: {str(error)[:80]}): "
                    "take the line out, and what it held is asked for again"
                ) from None
            whole += len(line)
        self._file = path.open("ab")
        self._file.truncate(whole)
        if whole and data[whole - 1 : whole] != b"\n":
            self._file.write(b"\n")

    def _take(self, row: Any, finished: Collection[tuple[int, str]]) -> None:
        if not isinstance(row, dict):
            raise ValueError("no object")
        if UNUSED in row:
            self.unused[_text(row.get("model", ""))] = Unused(*(_whole(n) for n in row[UNUSED]))
            return
        logprob = math.nan if row["logprob"] is None else float(row["logprob"])
        counts = _whole(row["prompt_tokens"]), _whole(row["generated_tokens"])
        completion = Completion(_text(row["key"]), _text(row["text"]), _text(row["finish"]), *counts, logprob)
        where = _whole(row["generation"]), _text(row["phase"]), _text(row["digest"])
        entry = Entry(*where, completion, _text(row.get("model", "")))
        if (entry.generation, entry.phase) not in finished:
            self.entries[completion.key, entry.digest] = entry

    def found(self, key: str, digest: str) -> Completion | None:
        """The completion of this request, or None."""
        entry = self.entries.get((key, digest))
        if entry is None:
            return None
        self._used.add((key, digest))
        return entry.completion

    def keep(self, entry: Entry) -> None:
        """Write an entry and flush it. Raises OSError, naming the file, if the disk is full, and ValueError for a token
        count that run.db could not hold."""
        for count in (entry.completion.prompt_tokens, entry.completion.generated_tokens):
            _whole(count)
        at = (entry.completion.key, entry.digest)
        try:
            self._file.write(entry.to_line().encode())
            self._file.flush()
        except OSError as error:
            raise OSError(f"cannot write {self.path}: {error}") from None
        self.entries[at] = entry
        self._used.add(at)

    def empty(self) -> None:
        """Empty the journal after its phase was stored; completions that the phase did not use stay counted as
        unused."""
        for entry in (e for at, e in self.entries.items() if at not in self._used):
            counts = 1, entry.completion.prompt_tokens, entry.completion.generated_tokens
            before = astuple(self.unused.get(entry.model, Unused()))
            self.unused[entry.model] = Unused(*(a + b for a, b in zip(before, counts, strict=True)))
        self.entries.clear()
        self._used.clear()
        self._file.truncate(0)
        for model, unused in self.unused.items():
            line = {UNUSED: list(astuple(unused))} | ({"model": model} if model else {})
            self._file.write((json.dumps(line) + "\n").encode())
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MOST:
        raise ValueError(f"{str(value)[:40]} is not a count")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text")
    return value
