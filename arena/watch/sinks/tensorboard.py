"""TensorBoard as a sink: event files in `<run folder>/tensorboard`, for `tensorboard --logdir runs`.

Events are written as they come and flushed after each phase, without a thread in between, so that a full disk is
noticed where it can be reported. A resumed run writes another file into the same folder, which TensorBoard reads as one
run.

Left out: histograms and images. Not guaranteed: equal files of two equal runs; events carry the wall-clock time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arena.text import fence

try:
    from tensorboardX import summary
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event
except ModuleNotFoundError as missing:
    raise ValueError(
        f"the sink 'tensorboard' needs a package that is not installed ({missing.name}): pip install .[tensorboard]"
    ) from None


class TensorBoard:
    def __init__(self, folder: Path) -> None:
        # tensorboardX names a file by the second and would write over one that was opened in the same second
        number = len(list(folder.glob("events.out.tfevents.*")))
        self.writer = EventsWriter(str(folder / "events"), f".{number:04d}")

    def scalars(self, generation: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._write(generation, summary.scalar(name, value))
        self.writer.flush()

    def text(self, generation: int, name: str, text: str) -> None:
        self._write(generation, summary.text(name, fence(text)))  # TensorBoard shows texts as Markdown
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()

    def _write(self, generation: int, what: Any) -> None:
        now = datetime.now(UTC).timestamp()
        self.writer.write_event(Event(wall_time=now, step=generation, summary=what))
