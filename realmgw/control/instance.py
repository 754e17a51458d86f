"""That there is one gateway of a table and of a state. Edge: unix sockets, files, the log."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.logger import Logger

from realmgw.datapath.place import Place
from realmgw.errors import PlatformError
from realmgw.system.disk import HeldError, Hold


class InstanceLock(Service):
    """Makes sure, before anything is touched, that there is one gateway of a table and of a state.

    Args:
        table: The name of the nftables table.
        state: The file that says that a gateway has the state; where it can not be made, no state can be written.
    """

    name = "instance"

    def __init__(self, table: str, state: Hold) -> None:
        self._place = Place(table)
        self._state = state
        self._log = Logger()

    def startService(self) -> None:
        """Take the place.

        Raises:
            HeldError: Somebody has it.
        """
        try:
            self._place.take()
        except HeldError:
            raise
        except PlatformError as error:
            self._log.warn("instance: {error}", error=error)
        try:
            self._state.take()
        except HeldError:
            self._place.release()
            raise
        except PlatformError as error:
            self._log.warn("instance: {error}: nothing will be kept for the next start", error=error)
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        self._state.release()
        self._place.release()
