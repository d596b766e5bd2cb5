"""Read a run with pandas (`pip install pandas`): `python examples/read_run_db.py runs/quickstart`.

`run.db` is SQLite. It is opened read-only here, so the run can be played at the same time.
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd

SOLVE_RATES = """
    SELECT generation, depth, AVG(correct) AS solve_rate
    FROM attempts JOIN problems USING (generation, round)
    GROUP BY generation, depth
"""


def read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Solve rate by generation (rows) and depth (columns); posts by generation and kind."""
    with closing(sqlite3.connect(f"{(folder / 'run.db').resolve().as_uri()}?mode=ro", uri=True)) as db:
        solved = pd.read_sql(SOLVE_RATES, db)
        posts = pd.read_sql("SELECT generation, kind FROM posts", db)
    return (
        solved.pivot(index="generation", columns="depth", values="solve_rate"),
        pd.crosstab(posts.generation, posts.kind),
    )


if __name__ == "__main__":
    for table in read(Path(sys.argv[1])):
        print(table.round(2), end="\n\n")
