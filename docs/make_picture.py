"""Draw the README's pictures from a finished run: `python docs/make_picture.py runs/quickstart`.

docs/run.svg is what `analyze` prints, docs/heldout.png and docs/setting.png are two of the figures that it draws.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from rich.console import Console

from arena.config import load_config
from arena.report.analysis import analyze
from arena.report.tables import print_report
from arena.report.write import write_pictures
from arena.store import Store

folder, docs = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/quickstart"), Path(__file__).resolve().parent
analysis = analyze(Store(folder / "run.db"), load_config(folder / "config.yaml"))
console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
print_report(console, analysis)
console.save_svg(str(docs / "run.svg"), title=f"python run_arena.py analyze {folder}")
for path in write_pictures(analysis, docs):
    print(f"wrote {path}")
