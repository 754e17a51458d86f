"""The kernel's figures from octets and text."""

from __future__ import annotations

import contextlib
import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.netlink import codec, counters
from realmgw.datapath.netlink.counters import Count
from realmgw.errors import RealmGatewayError
from realmgw.test.datapath.answers import AnsweringChannel, done

# linux/netfilter/nf_tables.h, written out once more: the codec's own numbers would prove nothing.
NEWOBJ = 0x0A12


def attribute(kind: int, value: bytes) -> bytes:
    """A netlink attribute."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, body: bytes, *, sequence: int = 9, flags: int = 2) -> bytes:
    """A netlink message."""
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body + bytes(-len(body) % 4)


def counter(name: str, packets: int, octets: int, *, flags: int = 2) -> bytes:
    """The kernel's message about a counter; the nested attribute carries NLA_F_NESTED, as the kernel's does."""
    data = attribute(1, struct.pack("!Q", octets)) + attribute(2, struct.pack("!Q", packets))
    body = struct.pack("!BBH", 1, 0, 0) + attribute(1, b"realmgw\0") + attribute(2, name.encode() + b"\0")
    return message(NEWOBJ, body + attribute(3, struct.pack("!I", 1)) + attribute(0x8004, data), flags=flags)


class ParseTests(SynchronousTestCase):
    """`listed`: what the kernel answers."""

    @given(st.dictionaries(st.from_regex(r"[a-z_]{1,20}", fullmatch=True), st.tuples(*[st.integers(0, 2**64 - 1)] * 2)))
    def test_counters_come_back_as_they_were_sent(self, sent: dict[str, tuple[int, int]]) -> None:
        """All values of 64 bits, in network order; messages one by one or many in one read."""
        messages = [counter(name, *values) for name, values in sent.items()]
        wanted = {name: Count(*values) for name, values in sent.items()}
        for reads in ([b"".join([*messages, done(9)])], [*messages, done(9)]):
            self.assertEqual(self.read(*reads), wanted)

    def read(self, *reads: bytes) -> dict[str, Count]:
        """What is in the answers to a request."""
        return counters.listed(codec.dump(AnsweringChannel(*reads), counters.request("realmgw", 9), "counters"))

    @given(st.binary(max_size=80), st.integers(0, 120))
    def test_malformed_answer_raises_nothing_but_our_error(self, noise: bytes, cut: int) -> None:
        """Cut off anywhere and followed by anything, it is refused or taken, and does not go on for ever."""
        for reads in ([counter("c", 1, 2)[:cut] + noise, done(9)], [noise, done(9)]):
            with contextlib.suppress(RealmGatewayError):
                self.read(*reads)


class QueueFiguresTests(SynchronousTestCase):
    """`queue_figures`: the queue's line."""

    LISTING = "    1  31621     3 2    64     5     6   123456  1\n   11  31622     0 2    64     0     0        0  1\n"

    def test_line_of_the_queue_is_read(self) -> None:
        """Columns as /proc has them; the queue's number is compared as a number."""
        found = counters.queue_figures(self.LISTING, 1)
        self.assertEqual(found, counters.QueueFigures(owner=31621, waiting=3, full=5, unsent=6, last=123456))

    def test_queue_without_a_listener_has_none(self) -> None:
        """Neither an empty listing nor one of other queues."""
        self.assertEqual([counters.queue_figures(text, 2) for text in ("", self.LISTING)], [None, None])

    def test_refuses_another_format(self) -> None:
        """Better no figure than a wrong one."""
        for text in ("1 2 3\n", "queue owner\n", "\n"):
            self.assertRaises(RealmGatewayError, counters.queue_figures, text, 1)
