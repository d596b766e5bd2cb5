"""All fuzz targets, by name."""

from __future__ import annotations

from tests.fuzz import databases, domains, files, models, servers
from tests.fuzz.base import Target

TARGETS: dict[str, Target] = {t.name: t for part in (files, domains, models, servers, databases) for t in part.TARGETS}
