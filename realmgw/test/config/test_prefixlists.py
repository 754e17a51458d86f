"""Tests for `realmgw.config.prefixlists`."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import collapse_addresses, ip_network
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems
from realmgw.config.prefixlists import AT_ONCE, MOST_PREFIXES, Prefixes, ordering, reading
from realmgw.config.steps import finish
from realmgw.config.values import Network

_networks = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda pair: ip_network(pair, strict=False)),
    st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(lambda pair: ip_network(pair, strict=False)),
)


def read(text: str) -> tuple[list[str], tuple[str, ...]]:
    """The prefixes of a file, and what is wrong with it."""
    problems = Problems("list.txt")
    found = finish(reading(text.encode(), problems))
    return [str(each) for each in found], problems.lines()


def ordered(networks: Iterable[Network]) -> Prefixes:
    """Prefixes in order."""
    return finish(ordering(list(networks)))


class ReadingTests(SynchronousTestCase):
    """`reading`: a file."""

    def test_prefixes_and_addresses_with_remarks(self) -> None:
        """One in each line."""
        text = "# head\n192.0.2.0/24 ; a remark\n\n  2001:db8::/32\n198.51.100.7#x\n"
        self.assertEqual(read(text), (["192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32"], ()))

    def test_what_is_no_prefix_is_told_with_its_place(self) -> None:
        """Text of nft, names, octets that are no text; each one."""
        found, wrong = read('192.0.2.0/24\n  1.2.3.4 } drop\nexample.org\n"\n192.0.2.1/24\n')
        self.assertEqual(found, ["192.0.2.0/24"])
        self.assertEqual([line.split(": ")[0] for line in wrong], [f"list.txt:{at}" for at in
                                                                  ("2:3", "3:1", "4:1", "5:1")])  # fmt: skip
        self.assertIn("write 192.0.2.0/24", wrong[-1])
        problems = Problems("list.txt")
        finish(reading(b"\xff\xfe\n", problems))
        self.assertEqual(len(problems.lines()), 1)

    def test_a_file_that_was_not_written_whole(self) -> None:
        """It is empty, or ends within a line."""
        for text, place in (("", "1:1"), ("# nobody\n", "1:1"), ("192.0.2.0/24\n10.0.0.0/8", "2:1")):
            [line] = read(text)[1]
            self.assertIn(f"list.txt:{place}: ", line)
            self.assertIn("written whole", line)

    def test_a_million_is_refused_where_it_is_too_much(self) -> None:
        """It is not read to its end."""
        text = "".join(f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}\n" for at in range(100_000)) + "rubbish\n" * 9
        [line] = read(text)[1]
        self.assertIn(f"list.txt:{MOST_PREFIXES + 1}:1: there are more than {MOST_PREFIXES} prefixes", line)

    def test_others_have_their_turn(self) -> None:
        """Between portions of lines."""
        text = b"192.0.2.1\n" * (3 * AT_ONCE)
        self.assertEqual(sum(1 for _ in reading(text, Problems("f"))), 3)


class OrderingTests(SynchronousTestCase):
    """`ordering`: what the kernel takes."""

    @given(st.lists(_networks))
    def test_has_the_same_addresses_and_nothing_twice(self, networks: list[Network]) -> None:
        """None is within another; in order."""
        found = ordered(networks)
        for version, text in ((4, found.ipv4), (6, found.ipv6)):
            said = [ip_network(each) for each in text.split(", ") if each]
            of_it = [each for each in networks if each.version == version]
            self.assertEqual(list(collapse_addresses(said)), list(collapse_addresses(of_it)))  # type: ignore[type-var]  # of one family
            self.assertTrue(set(said) <= set(of_it))
            for one, other in pairwise(said):
                self.assertLess(int(one.broadcast_address), int(other.network_address))
        self.assertEqual(found.count, len(found.ipv4.split()) + len(found.ipv6.split()))

    def test_nobody(self) -> None:
        """Is an empty list."""
        self.assertEqual(ordered([]), Prefixes())
