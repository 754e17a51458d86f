"""That there is one process of a table, and of a state. Edge: unix sockets, files, the log."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.logger import Logger

from realmgw.datapath.place import Place
from realmgw.errors import PlatformError
from realmgw.system.disk import HeldError, Hold


class InstanceLock(Service):
    """Makes sure, before anything is touched, that there is one gateway, or SYN proxy node, of a table and of a state.

    Args:
        place: That of the table.
        state: The file that says who has the state; where it can not be made, no state can be written. None: it keeps
            nothing.
    """

    name = "instance"

    def __init__(self, place: Place, state: Hold | None = None) -> None:
        self._place, self._state = place, state
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
            if self._state is not None:
                self._state.take()
        except HeldError:
            self._place.release()
            raise
        except PlatformError as error:
            self._log.warn("instance: {error}: nothing will be kept for the next start", error=error)
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        if self._state is not None:
            self._state.release()
        self._place.release()
