"""Former kernel settings, a file for each network namespace, of no use after a boot. Edge: files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath

from realmgw.datapath import client
from realmgw.datapath.machine.former import Former, NetworkNamespace, remembering
from realmgw.errors import MalformedError, PlatformError, RealmGatewayError
from realmgw.system import disk

FORMAT = b"realmgw-sysctls-1"
"""Of the files."""
KEPT = 64
"""So many files there are at most, the latest: containers come and go within a boot."""
_LONGEST = 65536  # octets


class FormerValues:
    """What kernel settings were before the gateway whose table has that name came.

    Args:
        folder: The state folder.
        table: The table's name.
        namespace: Tells where the settings are in force.
    """

    def __init__(
        self, folder: PurePath, table: str, namespace: Callable[[], NetworkNamespace] = client.network_namespace
    ) -> None:
        self._folder = Path(folder)
        self._table = table
        self._namespace = namespace

    def known(self) -> Mapping[str, int]:
        """By key; empty when nothing is remembered, or it can not be read."""
        with contextlib.suppress(RealmGatewayError):
            return self._read(self._namespace())
        return {}

    def remember(self, present: Mapping[str, int], *, standing: bool) -> str | None:
        """Remember what the settings are, before they are changed; what is remembered already counts.

        Args:
            present: The settings now.
            standing: See `remembering`.

        Returns:
            Why that can not be done, in a line; None when it was.
        """
        try:
            where = self._namespace()
            known = self._read(where)
            wanted = remembering(known, present, standing=standing)
            if wanted != known:
                disk.write(self._path(where), disk.sealed(FORMAT, Former(where, wanted).text()))
                self._tidy(where)
        except RealmGatewayError as error:
            return f"what kernel settings were is not remembered, so a purge will not put them back: {error}"
        return None

    def forget(self) -> None:
        """Remember nothing any more.

        Raises:
            PlatformError: The file can not be removed.
        """
        path = self._path(self._namespace())
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise PlatformError(f"{path} can not be removed: {error.strerror}") from error

    def _path(self, where: NetworkNamespace) -> Path:
        return self._folder / f"sysctls-{self._table}-{where.namespace}"

    def _read(self, where: NetworkNamespace) -> Mapping[str, int]:
        former = _former(self._path(where))
        return former.values if former is not None and former.where == where else {}

    def _tidy(self, where: NetworkNamespace) -> None:
        """Remove what is of earlier boots, and what is too much."""
        with contextlib.suppress(OSError):  # it is in nobody's way
            files = sorted(self._folder.glob("sysctls-*"), key=lambda path: path.stat().st_mtime, reverse=True)
            for number, path in enumerate(files):
                former = _former(path)
                if number >= KEPT or (former is not None and former.where.boot != where.boot):
                    path.unlink()


def _former(path: Path) -> Former | None:
    """What a file says; None when there is none, or it is damaged."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return Former.parse(disk.unsealed(FORMAT, file.read(_LONGEST)))
    except (OSError, MalformedError):
        return None
