"""The proxy's certificates while it runs: the operator's folder is looked at now and then, and HAProxy is told.

What HAProxy has is what it says when it is asked, so whatever could not be told is told the next time. A certificate
that is different is brought before the former one is taken away: there is no moment without. One that HAProxy refuses
is a fault of its file: what it has taken last is used in its place, and it is asked again after a while. Edge: the
clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, inlineCallbacks

from realmgw.config.certificates import Bundle, moment
from realmgw.config.settings import Webproxy
from realmgw.config.steps import Blocking
from realmgw.errors import MalformedError
from realmgw.webproxy import runtime
from realmgw.webproxy.configuration import Place, certificate_file, certificate_line
from realmgw.webproxy.shelf import Known, Shelf, renewed
from realmgw.webproxy.telling import Telling, reason

SHOWN = 20
"""So many certificates are shown, and so many things that are wrong with them."""
AGAIN = 600.0  # seconds
"""So long what HAProxy has refused is not brought again."""


@attrs.frozen
class _Refusal:
    """What HAProxy does not take."""

    why: str
    """What it says."""
    until: float
    """When it is asked again, in seconds since 1970."""


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
        self._shelf, self._trouble, self._silent = Shelf(), "", ""
        self._taken: Mapping[str, Bundle] = {}
        self._refusals: Mapping[str, _Refusal] = {}
        self._untold: Mapping[str, str] = {}
        self._is_looking = self._is_telling = False

    @property
    def names(self) -> frozenset[str]:
        """What they are for; `*` may be a first label."""
        return self._shelf.names

    @property
    def wrong(self) -> tuple[str, ...]:
        """What an operator should know, a line each."""
        untold = (f"{file}: {why}" for file, why in self._untold.items() if file not in self._shelf.faults)
        every = (self._trouble, self._silent, *untold, *self._shelf.sentences)
        said = tuple(f"certificates: {each}" for each in every if each)
        more = len(said) - SHOWN
        return said if more <= 0 else (*said[:SHOWN], f"certificates: {more} more are wrong")

    @inlineCallbacks
    def look(self) -> Generator[Deferred[Any], Any, bool]:
        """Look at the folder; whether the names that they are for are different. Never fails."""
        if self._source is None or self._is_looking:
            return False
        self._is_looking, names, now = True, self._shelf.names, self._clock()
        self._refusals = {key: each for key, each in self._refusals.items() if each.until > now}
        known = Known(self._taken, {key: each.why for key, each in self._refusals.items()})
        looking = partial(renewed, self._shelf, known, self._source, self._folder, self._place, now)
        try:
            self._put((yield self._elsewhere(Blocking(str(self._source), looking))))
            self._trouble = ""
        except Exception as error:  # noqa: BLE001 - whatever it is: those from before are used
            self._trouble = f"they can not be looked at: {reason(error)}"
        finally:
            self._is_looking = False
        return self._shelf.names != names

    def _put(self, shelf: Shelf) -> None:
        """Another one; of files that are gone nothing is remembered."""
        if self._shelf.is_old:
            self._taken = shelf.former
        self._shelf = shelf
        self._taken = {file: each for file, each in self._taken.items() if file in shelf.bundles}
        if not shelf.folder.trouble:
            keys = {each.key for each in shelf.folder.bundles.values()}
            self._refusals = {key: each for key, each in self._refusals.items() if key in keys}

    @property
    def used(self) -> Mapping[str, Bundle]:
        """Those in use, by their files."""
        return self._shelf.bundles

    def taken(self, used: Mapping[str, Bundle]) -> None:
        """HAProxy would begin with these."""
        self._taken = used

    def refused(self, used: Mapping[str, Bundle], said: str, why: str) -> bool:
        """HAProxy would not begin with these; whether that is due to some that it was not known to refuse.

        Args:
            used: They.
            said: All that it says.
            why: What is wrong, in a line.
        """
        named = [each for each in used.values() if f"'{certificate_file(each, self._place)}'" in said]
        fresh = [each for each in named if each.key not in self._refusals]
        self._refuse(fresh, f"HAProxy refuses it: {why}")
        return bool(fresh)

    def _refuse(self, bundles: Iterable[Bundle], why: str) -> None:
        refusal = _Refusal(why, self._clock() + AGAIN)
        self._refusals = {**self._refusals, **{each.key: refusal for each in bundles}}
        self._taken = {file: each for file, each in self._taken.items() if each.key not in self._refusals}

    @inlineCallbacks
    def tell(self, telling: Telling) -> Generator[Deferred[Any], Any, None]:
        """Tell HAProxy what it does not have, and what it shall not have any more. Never fails."""
        if self._source is None or self._is_telling:
            return
        self._is_telling = True
        try:
            is_refused = yield from self._tell(telling)
            self._silent = ""
            if is_refused:
                yield self.look()
        except Exception as error:  # noqa: BLE001 - whatever it is: it is tried again
            self._silent = reason(error)
        finally:
            self._is_telling = False

    def _tell(self, telling: Telling) -> Generator[Deferred[Any], Any, bool]:
        """Each file for itself; whether one was refused. Raises whatever keeps HAProxy from answering anything."""
        has = runtime.listed((yield telling.answer(runtime.certificates(self._place.list))))
        wanted = {certificate_file(each, self._place): each for each in self._shelf.bundles.values()}
        untold, is_refused = dict[str, str](), False
        for path in sorted(wanted.keys() - has):
            bundle = wanted[path]
            line = certificate_line(bundle, self._place)
            try:
                yield from self._say(telling, runtime.bringing(self._place.list, line, bundle.pem))
            except Exception as error:  # noqa: BLE001 - the others are told all the same
                untold[bundle.file] = reason(error)
                if isinstance(error, MalformedError):
                    self._refuse((bundle,), reason(error))
                    is_refused = True
                yield from self._discard(telling, path)
        for path in sorted(has - wanted.keys()):
            file = path.rpartition("/")[2].partition(".")[2]
            if file in untold:
                continue  # it has nothing else for its names
            try:
                yield from self._say(telling, runtime.removing(self._place.list, path))
            except Exception as error:  # noqa: BLE001 - as above
                untold[file] = f"it can not be taken away: {reason(error)}"
                yield telling.answer(runtime.certificates(self._place.list))
        told = {each.file: each for each in wanted.values() if each.file not in untold}
        self._taken, self._untold = {**self._taken, **told}, untold
        return is_refused

    def _say(self, telling: Telling, lines: Iterable[bytes]) -> Generator[Deferred[Any], Any, None]:
        """Bring or remove one; raises `MalformedError` if HAProxy refuses that, or whatever keeps it from answering."""
        answer = b""
        for line in lines:
            answer = yield telling.answer(line)
        runtime.taken(answer)

    def _discard(self, telling: Telling, path: str) -> Generator[Deferred[Any], Any, None]:
        """Leave nothing of one that was not taken; whatever that raises, nothing else can be told either."""
        for line in runtime.discarding(self._place.list, path):
            yield telling.answer(line)

    def counts(self) -> dict[str, int]:
        """How many are used, and of how many files nothing can be."""
        faults = self._shelf.faults.keys() | self._untold.keys()
        return {
            "certificates": len(self._shelf.bundles),
            "certificate_faults": len(faults) + bool(self._shelf.folder.trouble),
        }

    def shown(self) -> list[dict[str, object]]:
        """Those that end first."""
        first = sorted(self._shelf.bundles.values(), key=lambda each: each.ends)[:SHOWN]
        return [{"file": each.file, "names": each.names[:SHOWN], "ends": moment(each.ends)} for each in first]
