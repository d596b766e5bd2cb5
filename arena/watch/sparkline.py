"""Small plots out of block characters: one series a strip, readable without colour and over a slow line.

Left out: axes with ticks, and several series in one plot, which nobody can tell apart without colour.
"""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"


def columns(values: Sequence[float | None], width: int) -> list[float | None]:
    """`values` spread over at most `width` columns: bins' means where there are more, wider bars where fewer."""
    n = len(values)
    if not n or width < 1:
        return []
    if n <= width:
        each = min(width // n, 4)
        return [v for v in values for _ in range(each)]
    bins = []
    for i in range(width):
        found = [v for v in values[i * n // width : (i + 1) * n // width] if v is not None]
        bins.append(sum(found) / len(found) if found else None)
    return bins


def strip(
    values: Sequence[float | None], width: int, height: int = 1, low: float = 0.0, high: float = 1.0
) -> list[str]:
    """Bars from the bottom, `height` lines of at most `width` characters; None leaves a gap, `low` a thin line.

    The highest bar stays an eighth short, so that strips under each other do not run together.
    """
    levels = []
    for v in columns(values, width):
        if v is None:
            levels.append(0)
            continue
        share = (v - low) / (high - low) if high > low else 0.0
        levels.append(max(1, round(min(max(share, 0.0), 1.0) * (8 * height - 1))))
    return [
        "".join(BLOCKS[min(max(level - 8 * row, 0), 8)] for level in levels) for row in range(height - 1, -1, -1)
    ]  # fmt: skip
