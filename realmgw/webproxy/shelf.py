"""The certificates that the proxy uses: taken from the operator's folder, and kept as copies in ours.

HAProxy reads the copies when it begins: what was examined is what is used, whatever becomes of the operator's files
meanwhile. A copy has the name of its file and of its content, so another content is another file.

Edge: files.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath

import attrs

from realmgw.config import certificates
from realmgw.config.certificates import Bundle, Folder
from realmgw.errors import MalformedError
from realmgw.system import disk
from realmgw.webproxy.configuration import Place, certificate_line


@attrs.frozen
class Shelf:
    """What is used, and how it came."""

    bundles: Mapping[str, Bundle] = attrs.field(factory=dict)
    """Those in use, by their files."""
    folder: Folder = attrs.field(factory=Folder)
    """What was found in the operator's folder last."""
    faults: Mapping[str, str] = attrs.field(factory=dict)
    """Why others can not be used, by their files; what HAProxy refuses is among them."""
    sentences: tuple[str, ...] = ()
    """What an operator should know."""
    former: Mapping[str, Bundle] = attrs.field(factory=dict)
    """Those that an earlier run has left, where this is the first look."""
    is_old: bool = True
    """Whether nothing was looked at yet since the gateway began."""

    @property
    def names(self) -> frozenset[str]:
        """All that they are for."""
        return frozenset(name for each in self.bundles.values() for name in each.names)


@attrs.frozen
class Known:
    """What HAProxy has said of certificates."""

    taken: Mapping[str, Bundle] = attrs.field(factory=dict)
    """Those that it has taken last, by their files."""
    refused: Mapping[str, str] = attrs.field(factory=dict)
    """Why it does not take others, by their keys."""


def renewed(shelf: Shelf, known: Known, source: PurePath, folder: Path, place: Place, now: float) -> Shelf:
    """Look again, and keep copies of what is used from now on. It may block.

    Args:
        shelf: What is used.
        known: What can not be used although it looks well, and what is used in its place.
        source: The operator's folder.
        folder: Where the proxy's files are.
        place: Their names.
        now: Seconds since 1970.

    Raises:
        PlatformError: The copies can not be written; what was used is used.
    """
    former = _copies(folder / place.certificates) if shelf.is_old else _usable(shelf.bundles, known)
    looked = certificates.look(source, shelf.folder)
    found = _without(looked, known.refused)
    bundles = certificates.kept(former, found, now)
    if shelf.is_old or bundles != shelf.bundles:
        _store(bundles.values(), folder, place)
    said = tuple(certificates.sentences(found, bundles, now))
    return Shelf(bundles, looked, found.faults, said, former if shelf.is_old else {}, is_old=False)


def _usable(bundles: Mapping[str, Bundle], known: Known) -> dict[str, Bundle]:
    """What was used; where HAProxy refuses that, what it has taken last, if it has any."""
    pairs = ((file, known.taken.get(file) if each.key in known.refused else each) for file, each in bundles.items())
    return {file: each for file, each in pairs if each is not None}


def _without(found: Folder, refused: Mapping[str, str]) -> Folder:
    """What was found; what HAProxy refuses can not be used."""
    faults = {file: refused[each.key] for file, each in found.bundles.items() if each.key in refused}
    if not faults:
        return found
    bundles = {file: each for file, each in found.bundles.items() if file not in faults}
    return attrs.evolve(found, bundles=bundles, faults={**found.faults, **faults})


def _copies(path: Path) -> dict[str, Bundle]:
    """What an earlier run has kept; what can not be read of it is left out."""
    copies = dict[str, Bundle]()
    for each in sorted(path.glob("*.pem")):
        with contextlib.suppress(OSError, MalformedError):
            file = each.name.partition(".")[2]
            copies[file] = certificates.bundle(file, disk.read(each, certificates.MOST_READ))
    return copies


def _store(bundles: Iterable[Bundle], folder: Path, place: Place) -> None:
    """First the new ones, then the list of all, then none of those that are not in it any more."""
    path = folder / place.certificates
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    wanted = {each.key: each for each in bundles}
    there = {each.name for each in path.iterdir()}
    for key, each in wanted.items():
        if key not in there or (path / key).read_bytes() != each.pem:
            disk.write(path / key, each.pem)
    disk.write(folder / place.list, "".join(f"{certificate_line(each, place)}\n" for each in wanted.values()).encode())
    for name in there - wanted.keys():
        (path / name).unlink(missing_ok=True)
