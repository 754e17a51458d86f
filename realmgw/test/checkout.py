"""Where the files beside the package are, for tests of documents, configuration and architecture."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import realmgw

PACKAGE = Path(realmgw.__file__).parent
"""The package's folder."""
CHECKOUT = PACKAGE.parent
"""The project's folder."""
NO_CHECKOUT = None if (CHECKOUT / "setup.cfg").is_file() else "the package is installed: its checkout is not there"
"""What tests that need the project's other files have as their `skip`."""

_YAML_BLOCK = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)


def project_files() -> list[Path]:
    """Every file that belongs to the project: what git knows, or, in an unpacked release, what is there."""
    git = shutil.which("git")
    if git is None or not (CHECKOUT / ".git").exists():
        return [path for path in CHECKOUT.rglob("*") if path.is_file() and not _is_made(path)]
    # Root may run the tests in somebody else's checkout, which git mistrusts.
    command = [git, "-c", "safe.directory=*", "-C", str(CHECKOUT), "ls-files", "-z"]
    listing = subprocess.run(command, check=True, capture_output=True, text=True)
    listed = (CHECKOUT / name for name in listing.stdout.split("\0") if name)
    return [path for path in listed if path.is_file()]


def _is_made(path: Path) -> bool:
    """Whether a file was made by a tool: then it lies in a hidden folder, or in one for what is built."""
    folders = path.relative_to(CHECKOUT).parts[:-1]
    return any(part.startswith((".", "_trial_temp")) or part in ("build", "__pycache__") for part in folders)


def yaml_blocks() -> list[tuple[str, str]]:
    """Every YAML block of the project's documents: where it is, and its text."""
    found = []
    for path in project_files():
        if path.suffix == ".md":
            text = path.read_text()
            for match in _YAML_BLOCK.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                found.append((f"{path.relative_to(CHECKOUT)}:{line}", match.group(1)))
    return found
