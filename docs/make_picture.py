"""Draw the pictures of README.md and docs/tour.md from a finished run: `python docs/make_picture.py runs/quickstart`.

docs/run.svg is the first section of the terminal output of `analyze`; the others are figures of the report, which is
written into the run folder.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from rich.console import Console

from arena.config.schema import load_config
from arena.report.metrics.run_summary import analyze
from arena.report.source import Source
from arena.report.terminal import print_report
from arena.report.write import build_sections, write_report
from arena.run.store import Store

FIGURES = ("heldout", "setting", "ability", "tournament", "setters", "uplift", "entropy", "wrong-reasons")

folder, docs = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/quickstart"), Path(__file__).resolve().parent
store, config = Store(folder / "run.db"), load_config(folder / "config.yaml")
analysis = analyze(store, config)
console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
source = Source(folder, store, config, analysis)
sections = build_sections(source)
print_report(console, source, sections[:1])
console.save_svg(str(docs / "run.svg"), title=f"ratchet analyze {folder}")
write_report(source, sections)
for name in FIGURES:
    shutil.copyfile(folder / "report" / "figures" / f"{name}.png", docs / f"{name}.png")
    print(f"wrote {docs / name}.png")
