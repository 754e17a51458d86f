"""Hosts that HAProxy looks at: the servers that it has for them, and what it says of these. Pure.

A name whose route says so has a server of its own for each way that is looked at; all others are led to their hosts
without one. A server never changes: its name ends with the tag of its route, so another address is another server. It
is there before the map leads to it, and goes when the map does not any more and its last connection has ended.

They have no weight, so nobody is led to one but by its name: who is meant for a server that is down gets to none.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from realmgw.config.terms import Look
from realmgw.config.webproxy import Health
from realmgw.errors import MalformedError
from realmgw.webproxy import names, runtime
from realmgw.webproxy.configuration import CHECKED, HTTP, TLS

LISTING = b"show stat -1 4 -1"
"""Asks for all servers and how they are."""
MOST_REASON = 100
"""So many characters of what HAProxy says of a look are kept: some of them may be the host's own."""
_BACKENDS = {name: way for (way, _), name in CHECKED.items()}
_COLUMNS = ("# pxname", "svname", "status", "lastchg", "check_status", "check_code", "last_chk", "check_desc")


def servers(name: str, route: str | None, how: Health) -> Mapping[str, str]:
    """The servers of a name: what HAProxy knows each by, and what it is told of it.

    Args:
        name: The name.
        route: What it stands for; None: nothing any more.
        how: How hosts are looked at.
    """
    fields = (route or "").split(names.SEPARATOR, names.PATH - 1)
    if len(fields) < names.PATH:
        return {}
    address, told, tag = (fields[each - 1] for each in (names.ADDRESS, names.PROXY_PROTOCOL, names.TAG))
    where = f"ipv6@{address}" if ":" in address else address
    first = " send-proxy-v2 check-send-proxy" if told == names.YES else ""
    looks = f"inter {round(how.interval * 1000)}ms rise {how.rise} fall {how.fall}"
    made = dict[str, str]()
    for way, port, look in ((HTTP, names.HTTP, names.HTTP_HEALTH), (TLS, names.HTTPS, names.HTTPS_HEALTH)):
        kind = fields[look - 1]
        if kind != names.NO:
            is_secure = way == TLS and kind == Look.REQUEST.value
            secure = f" check-ssl verify none check-sni {name}" if is_secure else ""
            known = f"{CHECKED[way, Look(kind)]}/{name}:{tag}"
            made[known] = f"{where}:{fields[port - 1]} weight 0{first} check{secure} {looks}"
    return made


Lines = Iterator[tuple[bytes, list[str]]]
"""What is said to HAProxy, each line with the servers that it is about."""


def bringing(made: Mapping[str, str]) -> Lines:
    """Adds servers, which are not looked at yet."""
    return runtime.lines((each, f"add server {each} {words};enable server {each}") for each, words in made.items())


def watching(known: Iterable[str]) -> Lines:
    """From now on servers are looked at."""
    return runtime.lines((each, f"enable health {each}") for each in known)


def returning(known: Iterable[str]) -> Lines:
    """Servers that were about to go get clients again."""
    return runtime.lines((each, f"enable server {each}") for each in known)


def removing(known: Iterable[str]) -> Lines:
    """Removes servers."""
    return runtime.lines((each, f"set server {each} state maint;del server {each}") for each in known)


def brought(answer: bytes) -> None:
    """Looks at the answers to additions.

    Raises:
        MalformedError: One of them was refused.
    """
    runtime.succeeded(answer.replace(b"New server registered.", b""))


def removed(known: Sequence[str], answer: bytes) -> Iterator[str]:
    """Those of the servers that were to be removed that are not there any more; others still have connections.

    Raises:
        MalformedError: There is not one answer for each.
    """
    said = [line for line in answer.splitlines() if line.strip()]
    if len(said) != len(known):
        raise MalformedError(f"HAProxy does not say which servers it has removed: {runtime.words(answer)}")
    return (each for each, line in zip(known, said, strict=True) if line.startswith(b"Server deleted"))


@attrs.frozen
class State:
    """How a host is, by one way."""

    way: str
    """By HTTP, or by TLS."""
    is_ill: bool
    """It gets no clients."""
    since: float
    """For how many seconds it has been so."""
    reason: str
    """What the last look has shown; empty where there was none."""


class Listing(runtime.Lines):
    """The servers for hosts that are looked at.

    Attributes:
        states: How they are, by what HAProxy knows them by.
    """

    what = "servers"

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, State] = {}
        self._columns: list[int] = []

    def _take(self, line: bytes) -> None:
        try:
            cells = next(csv.reader([line.decode("ascii", "replace")]))
            if not self._columns:
                self._columns = [cells.index(each) for each in _COLUMNS]
                return
            backend, name, status, since, check, code, said, meaning = (cells[each] for each in self._columns)
            if backend in _BACKENDS:
                reason = ", ".join(each for each in (meaning, code, said) if each) if check else ""
                self.states[f"{backend}/{name}"] = State(
                    _BACKENDS[backend], status.startswith("DOWN"), float(since or 0), _plain(reason)
                )
        except (ValueError, IndexError, csv.Error):
            raise MalformedError(f"HAProxy's servers can not be read: {runtime.words(line)}") from None


def _plain(text: str) -> str:
    """What a host may have said, as a few characters that do nothing to a terminal."""
    return "".join(each if each.isprintable() else "?" for each in text[:MOST_REASON])


def name_of(known: str) -> str:
    """The name that a server is for."""
    return known.partition("/")[2].rpartition(":")[0]
