"""What setup.cfg can not say: the version, which setuptools-scm finds, is written into the package that is built."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithVersion(build_py):
    """The checkout stays as it is; nobody asks git when the package is imported."""

    def run(self) -> None:
        """Copies, and puts the version in its place.

        Raises:
            RuntimeError: That place is not there.
        """
        super().run()
        path = Path(self.build_lib, "realmgw", "__init__.py")
        line = f'__version__ = "{self.distribution.get_version()}"'
        text, replaced = re.subn(r"^__version__ = .*$", line, path.read_text(), flags=re.MULTILINE)
        if replaced != 1:
            raise RuntimeError(f"{path} has {replaced} versions")
        path.write_text(text)


setup(cmdclass={"build_py": BuildWithVersion})
