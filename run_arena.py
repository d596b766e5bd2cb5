"""The command line as a script: `python run_arena.py COMMAND` does what `ratchet COMMAND` does."""

from __future__ import annotations

import sys

try:
    from arena.cli.app import main
except ModuleNotFoundError as missing:
    sys.exit(
        f"error: {missing.name} is not installed for {sys.executable}: run `make install`, then use .venv/bin/ratchet"
    )

if __name__ == "__main__":
    main()
