"""What the testbed's clients and hosts speak, and how results are counted: these need no kernel and no root."""

from __future__ import annotations

import contextlib
import io
import math
import os
import shlex
import struct
import subprocess
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.command.cli import main
from realmgw.test import programs

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.player.visits import Visit, percentile
    from testbed.programs.demo import OPERATORS
    from testbed.programs.narration import Narration
    from testbed.realm import host, icmp, sctp

MISSING = programs.missing_modules("testbed")
HOST = "192.168.0.100"
OCTETS_16 = st.integers(0, 0xFFFF)
OCTETS_32 = st.integers(0, 0xFFFFFFFF)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@contextlib.contextmanager
def columns(count: int) -> Iterator[None]:
    """A terminal of that width."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


class SctpTests(SynchronousTestCase):
    """`testbed.realm.sctp`."""

    skip = MISSING

    def test_has_the_castagnoli_checksum(self) -> None:
        """The check value of CRC-32C over the digits 1 to 9 (RFC 3720 and others) comes out."""
        self.assertEqual(0xE3069283, sctp.crc32c(b"123456789"))

    @given(OCTETS_16, OCTETS_16, OCTETS_32, st.integers(0, 255), st.binary(max_size=64))
    def test_decodes_what_it_encodes(self, source: int, destination: int, tag: int, kind: int, value: bytes) -> None:
        """A packet comes back as it was."""
        packet = sctp.Packet(source, destination, tag, kind, value)
        self.assertEqual(packet, sctp.decode(packet.encode()))

    @given(st.binary(max_size=64))
    def test_drops_what_is_no_packet(self, data: bytes) -> None:
        """Octets at random are no packet: their checksum is wrong."""
        self.assertIsNone(sctp.decode(data))

    def test_finds_the_cookie_behind_other_parameters(self) -> None:
        """An INIT ACK may have other parameters before the state cookie."""
        other = struct.pack("!HH2sxx", 0x8002, 6, b"xx")
        value = sctp.initiation(7) + other + sctp.initiation(7, b"cookie")[16:]
        self.assertEqual((7, b"cookie"), (sctp.initiate_tag(value), sctp.state_cookie(value)))

    def test_sets_an_association_up(self) -> None:
        """The host's half: INIT -> INIT ACK with its address as cookie, COOKIE ECHO -> COOKIE ACK."""
        init = sctp.Packet(40000, 2000, 0, sctp.INIT, sctp.initiation(99))
        accepted = sctp.decode(host.associate(init.encode(), HOST) or b"")
        assert accepted is not None
        self.assertEqual((40000, 99, sctp.INIT_ACK), (accepted.destination, accepted.tag, accepted.kind))
        cookie = sctp.state_cookie(accepted.value)
        self.assertEqual(HOST.encode(), cookie[4:])
        echo = accepted.reply(sctp.initiate_tag(accepted.value), sctp.COOKIE_ECHO, cookie)
        done = sctp.decode(host.associate(echo.encode(), HOST) or b"")
        self.assertEqual(sctp.Packet(2000, 40000, 99, sctp.COOKIE_ACK), done)


class IcmpTests(SynchronousTestCase):
    """`testbed.realm.icmp`."""

    skip = MISSING

    def test_says_who_answers(self) -> None:
        """A host writes its address over the question."""
        self.assertEqual(HOST, icmp.answerer(icmp.reply(icmp.echo(1, 2), HOST) or b""))

    def test_echoes_everything_else(self) -> None:
        """The payload of an ordinary ping comes back unchanged."""
        answer = icmp.reply(icmp.echo(1, 2, b"abcdefgh"), HOST)
        assert answer is not None
        self.assertEqual((0, b"abcdefgh"), (answer[0], answer[8:]))

    def test_does_not_take_an_echo_for_an_answer(self) -> None:
        """A reply from someone who does not know the question says nothing about who he is."""
        self.assertEqual("", icmp.answerer(b"\0" + icmp.echo(1, 2)[1:]))

    def test_has_the_internet_checksum(self) -> None:
        """All 16-bit words of a message add up to 0xffff in ones' complement (RFC 1071)."""
        message = icmp.echo(0x1234, 0xFFFF, b"odd")
        words = struct.unpack(f"!{(len(message) + 1) // 2}H", message + b"\0")
        self.assertEqual(0, sum(words) % 0xFFFF)


class CountTests(SynchronousTestCase):
    """What is counted, and what is made of it."""

    skip = MISSING

    def test_takes_the_nearest_rank(self) -> None:
        """A percentile is one of the values; of none there is none."""
        values = [float(value) for value in range(100, 0, -1)]
        self.assertEqual([50.0, 99.0, 100.0], [percentile(values, share) for share in (0.5, 0.99, 1.0)])
        self.assertTrue(math.isnan(percentile([], 0.5)))

    def test_tells_failure_from_mis_delivery(self) -> None:
        """A flow without answer failed; one that another host answered was mis-delivered."""
        lost, wrong = Visit("x.", HOST), Visit("x.", HOST, host="192.168.0.101")
        self.assertEqual((False, False), (lost.succeeded, lost.mis_delivered))
        self.assertEqual((False, True), (wrong.succeeded, wrong.mis_delivered))

    def test_fails_for_one_false_claim(self) -> None:
        """The exit status is 0 only if every claim was true, and the false ones are named in the end."""
        for truth, status in ((True, 0), (False, 1)):
            out = io.StringIO()
            tell = Narration(out)
            tell.step("A step")
            tell.claim("this holds", True)
            tell.claim("that holds", truth)
            self.assertEqual(status, tell.conclude())
            self.assertEqual(truth, "FAIL step 1: that holds" not in out.getvalue())

    def test_has_no_colours_in_a_file(self) -> None:
        """Only a terminal gets colours and a live line."""
        out = io.StringIO()
        tell = Narration(out)
        tell.progress("half")
        tell.end_progress("whole")
        self.assertEqual("   whole\n", out.getvalue())

    def test_tells_operators_commands_that_there_are(self) -> None:
        """Of a testbed that is kept, each is one that the command line takes: all that is wrong is the main file."""
        for words in OPERATORS:
            with contextlib.redirect_stderr(io.StringIO()) as errors, contextlib.redirect_stdout(errors):
                status = main(["--config", "none.yaml", *words])
            self.assertEqual((status, "there is no such file" in errors.getvalue()), (1, True), words)

    def test_breaks_commands_between_words_on_a_terminal(self) -> None:
        """As a shell takes them, so that they can be copied; nothing in quotes is torn apart."""
        out = Terminal()
        words = ["curl", "--silent", "--write-out", "at the address %{remote_ip} of the pool", "http://h105.gwa.demo/"]
        with columns(60):
            Narration(out).command(shlex.join(words))
        shown = [line.removeprefix("   $ ") for line in out.getvalue().splitlines()]
        self.assertGreater(len(shown), 1)
        taken = subprocess.run(
            ["sh", "-c", r"printf '%s\n' " + "\n".join(shown)], capture_output=True, text=True, check=True
        )
        self.assertEqual(words, taken.stdout.splitlines())

    def test_shows_what_it_runs(self) -> None:
        """A command is shown as it can be typed, with its output and a bad exit status."""
        out = io.StringIO()
        done = Narration(out).type("sh", "-c", "echo 'so it is'; exit 3")
        self.assertEqual(3, done.returncode)
        self.assertEqual(
            ["   $ sh -c 'echo '\"'\"'so it is'\"'\"'; exit 3'", "     so it is", "     (exit status 3)"],
            out.getvalue().splitlines(),
        )
