"""The reverse proxy as a service of the gateway: HAProxy runs, and knows all names. Edge: the reactor."""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator, Iterable
from functools import partial
from heapq import nsmallest
from pathlib import Path
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from realmgw.config.settings import Settings
from realmgw.config.steps import PORTION, Blocking, Steps, portions
from realmgw.errors import PlatformError, RealmGatewayError
from realmgw.subscribers.model import Directory
from realmgw.subscribers.registry import Changes
from realmgw.webproxy import port, runtime
from realmgw.webproxy.certifying import Certificates
from realmgw.webproxy.configuration import Place, map_text
from realmgw.webproxy.health import Hosts
from realmgw.webproxy.names import Names, asking_groups
from realmgw.webproxy.telling import Counts, Telling, reason

FIRST_WAIT, LONGEST_WAIT = 0.2, 30.0  # seconds
"""How long until HAProxy is started again; twice as long each time, up to the second one."""
STEADY = 30.0  # seconds
"""Who has run for so long begins with the first one again."""
LOOK = 10.0  # seconds
"""How often HAProxy's figures are read."""
NOWHERE = "pools.service is empty: write an address that the web proxy listens at"
NAMED = 20
"""So many names without a route, or without a certificate, are shown."""
FEW = 3
"""So many of the latter are told with what is wrong."""

_log = Logger()


class State(enum.Enum):
    """How the proxy is."""

    OFF = "off"
    """The gateway runs none."""
    STARTING = "starting"
    """It is about to run, or to answer for the first time."""
    IN_STEP = "in step"
    """It knows all names, or is being told of changes."""
    OUT_OF_STEP = "out of step"
    """It runs, and its map could not be changed: that is tried again."""
    CLOSED = "closed"
    """A purge has ended it; a reload begins it anew."""
    WAITING = "waiting"
    """It does not run, and is started again in a while."""


class WebproxyService(Service):
    """Runs HAProxy, if it is asked for, and tells it of names.

    Args:
        settings: The gateway's.
        directory: All services. It is amended in place, and what is amended is told by `noting`.
        path: What the paths of the proxy's files begin with.
        reactor: Twisted's.
        elsewhere: Makes a call that may block, where it holds up nobody.
        tell: Told what is wrong, a line each, whenever that may have changed.
    """

    name = "webproxy"

    def __init__(
        self,
        settings: Settings,
        directory: Directory,
        path: Path,
        reactor: Any,
        elsewhere: Callable[[Blocking], Deferred[Any]],
        tell: Callable[[tuple[str, ...]], object],
    ) -> None:
        self._how, self._addresses = settings.webproxy, settings.pools.service
        self._directory, self._folder = directory, path.parent
        self._place = Place(path.name, *(settings.webproxy.runs_as or (0, 0)))
        self._reactor, self._elsewhere, self._tell = reactor, elsewhere, tell
        self._names = Names(asking=asking_groups(settings.policy.pipeline.groups), most=self._how.health.most)
        self._hosts = Hosts()
        self._certificates = Certificates(self._how, self._folder, self._place, elsewhere)
        self._counts, self._figures, self._silent = Counts(), runtime.NO_FIGURES, ""
        self._state, self._since, self._error = State.OFF, 0.0, ""
        self._child: port.Child | None = None
        self._telling: Telling | None = None
        self._wait, self._began = FIRST_WAIT, 0.0
        self._again: Any = None
        self._attempts, self._is_closed = 0, False
        self._looking = LoopingCall(self._look_around)
        self._looking.clock = reactor

    # Its beginning and end

    def startService(self) -> None:
        """Begin; HAProxy has not to be there."""
        super().startService()  # type: ignore[no-untyped-call]  # Twisted does not say
        if self._how.enabled:
            self._to(State.STARTING)
            self._gather().addErrback(self._fault)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """End HAProxy, and with it all connections; fires when it does not run any more."""
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted does not say
        if self._again is not None and self._again.active():
            self._again.cancel()
        if self._looking.running:
            self._looking.stop()
        if self._child is not None:
            yield self._child.end()
        self._to(State.OFF)
        self._tell(())

    def configure(self, settings: Settings) -> None:
        """From now on, go by these settings' groups, and listen at their service addresses.

        If these are others, HAProxy is started anew; if groups ask who sends that did not, or the other way round, all
        names are looked at again.
        """
        asking = asking_groups(settings.policy.pipeline.groups)
        if self._state is not State.OFF and asking != self._names.asking:
            self._names.asking = asking
            self._put_all().addErrback(self._fault)
        addresses, self._addresses = self._addresses, settings.pools.service
        if self._child is not None and set(addresses) != set(self._addresses):
            _log.info("the web proxy is started anew: the service pool has other addresses")
            self._child.end()

    def close(self, *, closed: bool) -> Deferred[None]:
        """Nobody comes in any more, until he may again.

        Args:
            closed: That he may not.

        Returns:
            Fires when HAProxy does not run any more, or is about to.
        """
        was, self._is_closed = self._is_closed, closed
        if self._state is State.OFF or closed is was:
            return succeed(None)
        if not closed:
            self._wait = FIRST_WAIT
            self._to(State.STARTING)
            self._retry()
            return succeed(None)
        if self._again is not None and self._again.active():
            self._again.cancel()
        self._to(State.CLOSED)
        return succeed(None) if self._child is None else self._child.end()

    @inlineCallbacks
    def _gather(self) -> Generator[Deferred[Any], Any, None]:
        """Find all certificates and names, then begin."""
        yield self._certificates.look()
        self._names.certified = self._certificates.names
        yield self._put_all()
        if self.running:
            self._looking.start(LOOK, now=False)
            yield self._begin()

    @inlineCallbacks
    def _put_all(self) -> Generator[Deferred[Any], Any, None]:
        """Look at all services, some at a time; what changes meanwhile is noted, too."""
        services = self._directory.services
        for portion in portions(tuple(services)):
            for name in portion:
                if name in services:
                    self._names.put(services[name])
            self._change(portion)
            yield deferLater(self._reactor, 0)

    @inlineCallbacks
    def _begin(self) -> Generator[Deferred[Any], Any, None]:
        """Start HAProxy with all names that there are; what can not be done now is tried again."""
        if self._is_closed:
            return
        self._attempts += 1
        self._again, attempt = None, self._attempts
        try:
            addresses, used = self._addresses, self._certificates.used
            if not addresses:
                raise PlatformError(NOWHERE)
            entries = partial(map_text, dict(self._names.routes))
            preparing = partial(port.prepare, self._how, addresses, self._folder, self._place, entries)
            yield self._elsewhere(Blocking(str(self._folder), preparing))
            if not self._may_run() or attempt != self._attempts:
                return
            self._certificates.taken(used)
            child = port.Child(self._reactor, self._ended)
            child.begin(self._how.program, self._folder, self._place)
        except (RealmGatewayError, OSError) as error:
            if isinstance(error, port.RefusedError) and self._certificates.refused(used, error.said, error.why):
                yield self._certificates.look()
                self._certify()
                if attempt == self._attempts and self._may_run():
                    self._retry()
            elif attempt == self._attempts:
                self._failed(str(error))
            return
        self._child, self._began = child, self._now()
        self._counts.starts += 1
        self._to(State.STARTING)
        path = self._folder / self._place.socket
        self._telling = Telling(
            self._names, self._how.health, self._place.map, path, self._reactor, self._counts, self._heard
        )
        if addresses != self._addresses:  # they have changed meanwhile
            child.end()

    def _ended(self, child: port.Child, why: str) -> None:
        """HAProxy does not run any more."""
        if child is self._child:
            self._child = None
        if self._telling is not None:
            self._telling.end()
            self._telling = None
        if self._now() - self._began >= STEADY:
            self._wait = FIRST_WAIT
        self._figures, self._silent, self._hosts = runtime.NO_FIGURES, "", Hosts()
        if self._may_run() and child.is_ending:
            self._to(State.STARTING)
            self._retry()
        else:
            self._failed(why)

    def _heard(self, is_in_step: bool | None, why: str) -> None:
        """How far HAProxy knows what it shall; None: it has not answered yet."""
        if not self._may_run():
            return
        if is_in_step is None:
            self._to(State.STARTING, why)
        elif self._state is State.STARTING and is_in_step:
            _log.info("the web proxy runs, with {count} names", count=len(self._names.routes))
            self._to(State.IN_STEP)
            self._look()
        else:
            self._to(State.IN_STEP if is_in_step else State.OUT_OF_STEP, why)

    def _failed(self, why: str) -> None:
        """It does not run: again, later."""
        if not self._may_run():
            return
        self._counts.failures += 1
        self._to(State.WAITING, why)
        self._again = self._reactor.callLater(self._wait, self._retry)
        self._wait = min(2 * self._wait, LONGEST_WAIT)

    def _may_run(self) -> bool:
        return bool(self.running) and not self._is_closed

    def _retry(self) -> None:
        self._begin().addErrback(self._fault)

    def _fault(self, failure: Any) -> None:
        """A fault of ours: it is told, and tried again."""
        _log.failure("fault in the web proxy", failure)
        if self._child is None:
            self._failed("a fault of our own, see the log")

    # What it knows

    def noting(self, changes: Changes) -> Steps[None]:
        """Subscribers are different; they are in force. In steps, of which each is short; few changes are one."""
        if self._state is State.OFF:
            return
        for gone in portions(changes.names_gone):
            for name in gone:
                self._names.drop(name)
            self._change(gone)
            if len(gone) == PORTION:
                yield None
        for came in portions(changes.services):
            for service in came:
                self._names.put(service)
            self._change(service.name for service in came)
            if len(came) == PORTION:
                yield None

    def _change(self, names: Iterable[str]) -> None:
        advanced = self._names.advance()
        if self._telling is not None:
            self._telling.change((*(name[:-1] for name in names), *advanced))

    # How it is

    @inlineCallbacks
    def _look_around(self) -> Generator[Deferred[Any], Any, None]:
        """Take up other certificates, then read HAProxy's figures."""
        yield self._certificates.look()
        telling = self._telling
        if telling is not None and self._state is not State.STARTING:
            yield self._certificates.tell(telling)
            telling.change()
        self._certify()
        yield self._look()

    def _certify(self) -> None:
        """TLS ends here for the names that there are certificates for."""
        names = self._certificates.names
        if names != self._names.certified and self.running:
            self._names.certified = names
            self._put_all().addErrback(self._fault)

    @inlineCallbacks
    def _look(self) -> Generator[Deferred[Any], Any, None]:
        """Read HAProxy's figures; they stay as they were if it does not answer."""
        telling = self._telling
        if telling is None or self._state is State.STARTING:
            return
        try:
            figures = runtime.figures((yield telling.answer(runtime.FIGURES)))
            states = yield telling.states()
        except Exception as error:  # noqa: BLE001 - whatever it is: it is told
            if telling is self._telling:
                self._silent = f"HAProxy does not tell its figures: {reason(error)}"
                self._tell(self._wrong())
            return
        if telling is self._telling:
            self._figures, self._silent = figures, ""
            self._log_health(*self._hosts.heard(states))
            self._tell(self._wrong())

    def _log_health(self, ill: list[str], well: list[str]) -> None:
        if ill:
            _log.warn("{count} names get no clients, as their hosts are not well: {names}", count=len(ill),
                      names=", ".join(ill[:FEW]))  # fmt: skip
        if well:
            _log.info("{count} names whose hosts were not well get clients again, or are gone: {names}",
                      count=len(well), names=", ".join(well[:FEW]))  # fmt: skip

    def _to(self, state: State, why: str = "") -> None:
        if (state, why) == (self._state, self._error):
            return
        if state is not self._state:
            self._since = self._now()
        self._state, self._error = state, why
        self._tell(self._wrong())

    def _wrong(self) -> tuple[str, ...]:
        names = ", ".join(nsmallest(FEW, self._names.uncertified))
        bare = f"{len(self._names.uncertified)} names have no certificate, among them {names}" if names else ""
        more = len(self._names.unchecked)
        beyond = f"{more} names are not looked at: webproxy.health.most is {self._names.most}" if more else ""
        said = (self._error, self._silent, bare, beyond, *self._certificates.wrong)
        return tuple(f"web proxy: {each}" for each in said if each)

    def counts(self) -> dict[str, object]:
        """What was counted, HAProxy's own figures since it was started last among it; empty where there is none."""
        if not self._how.enabled:
            return {}
        return {"names": len(self._names.routes), "withheld": len(self._names.withheld),
                "uncertified": len(self._names.uncertified), "well": self._hosts.well, "ill": len(self._hosts.ill),
                "unchecked": len(self._names.unchecked), **self._certificates.counts(),
                **attrs.asdict(self._counts), **self._figures}  # fmt: skip

    def show(self) -> Deferred[dict[str, object]]:
        """How it is, with its figures and certificates of this moment, as plain values."""
        return self._look_around().addCallback(lambda _: self._shown())

    def _shown(self) -> dict[str, object]:
        return {
            "state": self._state.value,
            "since": round(self._now() - self._since, 3) if self._how.enabled else None,
            "error": self._error,
            "pid": None if self._child is None else self._child.pid,
            "listens": [str(each) for each in self._addresses] if self._how.enabled else [],
            "http_port": self._how.http_port,
            "https_port": self._how.https_port,
            "withheld": sorted(self._names.withheld)[:NAMED],
            "uncertified": nsmallest(NAMED, self._names.uncertified),
            "ill": self._hosts.shown(NAMED),
            "certificates": self._certificates.shown(),
            "wrong": self._certificates.wrong,
            "counts": self.counts(),
        }

    def _now(self) -> float:
        now: float = self._reactor.seconds()
        return now
