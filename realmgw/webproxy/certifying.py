"""The proxy's certificates while it runs: the operator's folder is looked at now and then, and HAProxy is told.

What HAProxy has is what it says when it is asked, so whatever could not be told is told the next time. A certificate
that is different is brought before the former one is taken away: there is no moment without. Edge: the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from realmgw.config.certificates import moment
from realmgw.config.settings import Webproxy
from realmgw.config.steps import Blocking
from realmgw.webproxy import runtime
from realmgw.webproxy.configuration import Place, certificate_line
from realmgw.webproxy.shelf import Shelf, renewed
from realmgw.webproxy.telling import Telling, reason

SHOWN = 20
"""So many certificates are shown, and so many things that are wrong with them."""


class Certificates:
    """Those that are used, and what is wrong with others.

    Args:
        how: What is asked for.
        folder: Where the proxy's files are.
        place: Their names.
        elsewhere: Makes a call that may block, where it holds up nobody.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        how: Webproxy,
        folder: Path,
        place: Place,
        elsewhere: Callable[[Blocking], Deferred[Any]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._source = how.certificates if how.enabled else None
        self._folder, self._place = folder, place
        self._elsewhere, self._clock = elsewhere, now
        self._shelf, self._trouble, self._refused = Shelf(), "", ""
        self._is_looking = self._is_telling = False

    @property
    def names(self) -> frozenset[str]:
        """What they are for; `*` may be a first label."""
        return self._shelf.names

    @property
    def wrong(self) -> tuple[str, ...]:
        """What an operator should know, a line each."""
        said = tuple(f"certificates: {each}" for each in (self._trouble, self._refused, *self._shelf.sentences) if each)
        more = len(said) - SHOWN
        return said if more <= 0 else (*said[:SHOWN], f"certificates: {more} more are wrong")

    @inlineCallbacks
    def look(self) -> Generator[Deferred[Any], Any, bool]:
        """Look at the folder; whether the names that they are for are different. Never fails."""
        if self._source is None or self._is_looking:
            return False
        self._is_looking, names = True, self._shelf.names
        looking = partial(renewed, self._shelf, self._source, self._folder, self._place, self._clock())
        try:
            self._shelf = yield self._elsewhere(Blocking(str(self._source), looking))
            self._trouble = ""
        except Exception as error:  # noqa: BLE001 - whatever it is: those from before are used
            self._trouble = f"they can not be looked at: {reason(error)}"
        finally:
            self._is_looking = False
        return self._shelf.names != names

    @inlineCallbacks
    def tell(self, telling: Telling) -> Generator[Deferred[Any], Any, None]:
        """Tell HAProxy what it does not have, and what it shall not have any more. Never fails."""
        if self._source is None or self._is_telling:
            return
        self._is_telling = True
        try:
            yield from self._tell(telling)
            self._refused = ""
        except Exception as error:  # noqa: BLE001 - whatever it is: it is tried again
            self._refused = reason(error)
        finally:
            self._is_telling = False

    def _tell(self, telling: Telling) -> Generator[Deferred[Any], Any, None]:
        name = self._place.list
        has = runtime.listed((yield telling.answer(runtime.certificates(name))))
        wanted = {f"{self._place.certificates}/{each.key}": each for each in self._shelf.bundles.values()}
        refusals = list[Exception]()
        for file in (*(wanted.keys() - has), *(has - wanted.keys())):
            bundle, answer = wanted.get(file), b""
            lines = (
                runtime.removing(name, file)
                if bundle is None
                else runtime.bringing(name, certificate_line(bundle, self._place), bundle.pem)
            )
            for line in lines:
                answer = yield telling.answer(line)
            try:
                runtime.taken(answer)
            except Exception as error:  # noqa: BLE001 - the others are told all the same
                refusals.append(error)
        if refusals:
            raise refusals[0]

    def counts(self) -> dict[str, int]:
        """How many are used, and of how many files nothing can be."""
        folder = self._shelf.folder
        return {
            "certificates": len(self._shelf.bundles),
            "certificate_faults": len(folder.faults) + bool(folder.trouble),
        }

    def shown(self) -> list[dict[str, object]]:
        """Those that end first."""
        first = sorted(self._shelf.bundles.values(), key=lambda each: each.ends)[:SHOWN]
        return [{"file": each.file, "names": each.names[:SHOWN], "ends": moment(each.ends)} for each in first]
