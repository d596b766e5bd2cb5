"""All targets, by name."""

from __future__ import annotations

from tests.fuzz import databases, domains, files, minds, servers
from tests.fuzz.base import Target

TARGETS: dict[str, Target] = {t.name: t for part in (files, domains, minds, servers, databases) for t in part.TARGETS}
