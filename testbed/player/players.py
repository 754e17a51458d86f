"""Has a traffic template played in a testbed: by processes in the honest clients' and in the attackers' namespace.

::

    playing = Playing(testbed, names, begin=time.monotonic() + 2.0)
    playing.start(template.read(path))
    for played in playing.finish():
        print(played.stream.kind, played.success)
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import attrs

from testbed.load import generator
from testbed.player.sender import PLAYED, Event
from testbed.player.template import UDP, Distribution, Kind, Place, Stream, Template
from testbed.player.visits import percentile
from testbed.realm.topology import ATTACKER, PUBLIC_LINK, ROUTER_PUBLIC, Testbed, TestbedError

HONEST = IPv4Network(f"{ROUTER_PUBLIC}/{PUBLIC_LINK}", strict=False)
"""The clients' network; everybody else is an attacker."""
LEAD = 1.5  # seconds
"""How long the players need until they are ready."""


@attrs.frozen
class Played:
    """A stream, and what became of it."""

    stream: Stream
    """Which."""
    events: Sequence[Event]
    """See `testbed.player.sender`; empty for spoofed ones, of whom nobody hears again."""
    sent: int
    """How many there were."""

    def after(self, when: float) -> Played:
        """The same without the events that began before.

        Args:
            when: Seconds since the beginning of the stream.
        """
        return self.between(when, math.inf)

    def between(self, begin: float, end: float) -> Played:
        """The same with those events alone that began then.

        Args:
            begin: Seconds since the beginning of the stream.
            end: Likewise; not included.
        """
        return attrs.evolve(self, events=[event for event in self.events if begin <= event[0] < end])

    @property
    def success(self) -> float:
        """The part of the events that came to a good end, 0 to 1; not a number without events."""
        return self.ok / len(self.events) if self.events else math.nan

    @property
    def ok(self) -> int:
        """How many events came to a good end."""
        return sum(event[1] == "ok" for event in self.events)

    @property
    def losses(self) -> Counter[str]:
        """How the others ended."""
        return Counter(event[1] for event in self.events if event[1] != "ok")

    def delay(self, share: float) -> float:
        """The time from the beginning to the connection that this share of the good ones does not exceed, in seconds.

        Args:
            share: More than 0, at most 1.
        """
        return percentile([event[3] for event in self.events if event[1] == "ok" and event[3] is not None], share)


def together(played: Sequence[Played]) -> Played:
    """Several streams as one.

    Args:
        played: At least one.
    """
    events = sorted((event for each in played for event in each.events), key=lambda event: event[0])
    return Played(played[0].stream, events, sum(each.sent for each in played))


class Playing:
    """Templates that are being played."""

    def __init__(self, testbed: Testbed, names: Path, begin: float) -> None:
        """Plays nothing yet.

        Args:
            testbed: A running testbed, with an attackers' namespace if there will be attackers.
            names: A file that `generator.write_names` wrote.
            begin: When the backoff of the templates begins, on the monotonic clock.
        """
        self._testbed = testbed
        self._names = names
        self._begin = begin
        self._senders: list[tuple[list[Stream], subprocess.Popen[bytes]]] = []
        self._strays: list[tuple[Stream, subprocess.Popen[bytes]]] = []
        self._longest = 0.0

    def start(self, what: Template, *, later: float = 0.0) -> None:
        """Starts the processes that play a template.

        Args:
            what: The template.
            later: How long after `begin`, in seconds.
        """
        begin = self._begin + later
        self._longest = max(self._longest, later + what.backoff + what.duration)
        own = [stream for stream in what.streams if stream.kind in PLAYED]
        for namespace in ("public", ATTACKER):
            streams = [stream for stream in own if namespace_of(stream) == namespace]
            if streams:
                self._start_sender(namespace, attrs.evolve(what, streams=tuple(streams)), begin)
        for stream in what.streams:
            if stream.kind not in PLAYED:
                self._start_strays(stream, what.duration, begin + what.backoff)

    def finish(self) -> list[Played]:
        """Waits for the end of everything, and returns what became of each stream, the honest ones first.

        Raises:
            TestbedError: A player failed.
        """
        played = []
        for streams, process in self._senders:
            output = self._output(process, "sender")
            events = json.loads(output)
            played += [Played(stream, each, len(each)) for stream, each in zip(streams, events, strict=True)]
        for stream, process in self._strays:
            played.append(Played(stream, (), json.loads(self._output(process, "strays"))["sent"]))
        return played

    def _output(self, process: subprocess.Popen[bytes], who: str) -> bytes:
        output, words = process.communicate(timeout=self._longest + generator.GRACE)
        if process.returncode:
            raise TestbedError(f"the {who} failed: {words.decode(errors='replace')[-2000:]}")
        return output

    def _start_sender(self, namespace: str, what: Template, begin: float) -> None:
        path = self._testbed.folder / f"template-{len(self._senders)}.yaml"
        path.write_text(what.text())
        argv = [
            sys.executable,
            "-m",
            "testbed.player.sender",
            str(path),
            "--names",
            str(self._names),
            "--begin",
            repr(begin),
        ]
        process = self._testbed.spawn(namespace, argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._senders.append((list(what.streams), process))

    def _start_strays(self, stream: Stream, duration: float, begin: float) -> None:
        for source, target in _pairs(stream):
            words: dict[str, object] = {
                "sources": source.address,
                "targets": target.address,
                "port": target.port or 53,
                "kind": _stray_kind(stream, target),
                "rate": stream.load / len(_pairs(stream)),
                "seconds": duration,
                "begin": f"{begin:.6f}",
            }
            if stream.kind is Kind.DNSSPOOF:
                words["names"] = self._wanted(stream)
            argv = [str(generator.BUILD / "strays")]
            argv += [word for key, each in words.items() for word in (f"--{key}", str(each))]
            argv += ["--fixed"] if stream.distribution is Distribution.FIXED else []
            process = self._testbed.spawn(ATTACKER, argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self._strays.append((stream, process))

    def _wanted(self, stream: Stream) -> Path:
        """A file with the names of a spoofed stream."""
        names = {f"{place.address.rstrip('.')}.": "192.0.2.1" for place in stream.data_raddr}
        return generator.write_names(self._testbed.folder / f"spoofed-{len(self._strays)}", names)


def _pairs(stream: Stream) -> list[tuple[Place, Place]]:
    """Sources and targets of a spoofed stream; each pair is a process."""
    if stream.kind is Kind.DNSSPOOF:
        return [(source, target) for source in stream.dns_laddr for target in stream.dns_raddr]
    return [(source, target) for source in stream.data_laddr for target in stream.data_raddr]


def _stray_kind(stream: Stream, target: Place) -> str:
    if stream.kind is Kind.DNSSPOOF:
        return "query"
    return "udp" if target.protocol == UDP else "syn"


def namespace_of(stream: Stream) -> str:
    """Where a stream comes from: `public` for addresses of the clients' network.

    Args:
        stream: With sources.
    """
    places = [*stream.dns_laddr, *stream.data_laddr]
    honest = all(IPv4Address(place.address.partition("+")[0]) in HONEST for place in places)
    return "public" if honest else ATTACKER
