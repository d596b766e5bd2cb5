"""Puts the shipped configs into the wheel; everything else about the package is in pyproject.toml.

`configs/` lies at the top of the repository, where people look for it, and is installed as `arena/shipped_configs/`.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Copy `configs/`, after removing modules that an earlier build in the same folder left behind."""

    def run(self) -> None:
        if self.editable_mode:
            super().run()
            return
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()
        shutil.copytree(Path(__file__).parent / "configs", Path(self.build_lib) / "arena" / "shipped_configs")


setup(cmdclass={"build_py": BuildWithConfigs})
