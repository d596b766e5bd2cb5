"""Bar strips of block characters: one series per strip, readable without colour and over a slow connection.

Textual's own Sparkline is not used because it loses information: it scales each series to its own minimum and maximum,
so rates from 0 to 1 cannot be compared between strips; it has no gaps for missing values; it stretches a short series
over the whole width, so a growing run would not fill from the left; and it draws a series of one value as full height.

Left out: axes with ticks, and several series in one plot, which cannot be told apart without colour.
"""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"


def columns(values: Sequence[float | None], width: int) -> list[float | None]:
    """Resample `values` to at most `width` columns: means of bins if there are more values, wider bars if fewer."""
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
    """Draw `values` as bars.

    Args:
        values: the series; None leaves a gap.
        width: maximum characters per line.
        height: number of lines.
        low, high: values of the lowest bar (a thin line) and of the highest; values beyond are clipped.

    Returns:
        `height` lines, top first. The highest bar ends an eighth of a line below the top, so that strips drawn below
        each other stay separate.
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
