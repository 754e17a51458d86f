"""Tests of which generations of the ruleset are taken for our own."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.watch.generations import REMEMBERED, Generations, OwnNft
from realmgw.errors import RealmGatewayError


class CountingNft:
    """Makes a generation with each transaction, unless it is told to refuse; somebody else may make some more."""

    def __init__(self) -> None:
        """The first generation."""
        self.generation, self.others, self.refuses, self.closed = 1, 0, False, False

    def run(self, commands: str, *, dry: bool = False) -> str:
        """See `Nft`."""
        if self.refuses:
            raise RealmGatewayError("nft: no")
        self.generation += (not dry) + self.others
        return commands

    def close(self) -> None:
        """See `Nft`."""
        self.closed = True


class GenerationsTests(SynchronousTestCase):
    """`Generations` and `OwnNft`."""

    def setUp(self) -> None:
        """One transaction of somebody else was made before."""
        self.nft = CountingNft()
        self.generations = Generations(lambda: self.nft.generation)
        self.own = OwnNft(lambda: self.nft, self.generations)

    def test_a_transaction_of_ours_is_known(self) -> None:
        """And those of others are not."""
        self.assertEqual(self.own.run("table inet t\n"), "table inet t\n")
        self.nft.generation += 1
        self.assertEqual([number in self.generations for number in (1, 2, 3)], [False, True, False])

    def test_what_happens_at_the_same_time_is_taken_for_nobodys(self) -> None:
        """Rather one repair too many than one too few."""
        self.nft.others = 1
        self.own.run("table inet t\n")
        self.assertEqual([number in self.generations for number in (2, 3)], [False, False])

    def test_nothing_is_made_by_a_dry_run_or_a_refusal(self) -> None:
        """The number is as it was."""
        self.own.run("table inet t\n", dry=True)
        self.nft.refuses = True
        self.assertRaises(RealmGatewayError, self.own.run, "table inet t\n")
        self.nft.generation += 1
        self.assertNotIn(2, self.generations)

    def test_only_the_latest_are_remembered(self) -> None:
        """Events come right after what they are of."""
        for _ in range(REMEMBERED + 1):
            self.own.run("")
        self.assertEqual([number in self.generations for number in (2, 3)], [False, True])

    def test_closing_closes(self) -> None:
        """The access itself, where it was used."""
        self.own.close()
        self.assertFalse(self.nft.closed)
        self.own.run("")
        self.own.close()
        self.assertTrue(self.nft.closed)
