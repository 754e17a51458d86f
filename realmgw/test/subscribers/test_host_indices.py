"""Tests for `realmgw.subscribers.host_indices`."""

from __future__ import annotations

from collections.abc import Collection

import attrs
from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.steps import finish
from realmgw.datapath.marks import HOST_MASK
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.host_indices import LAST_INDEX, HostIndices

LOADS = strategies.lists(strategies.sets(strategies.sampled_from("abcdefgh")), max_size=8)


def following(indices: HostIndices, names: Collection[str], last: int = LAST_INDEX) -> HostIndices:
    """The indices when there are these hosts."""
    gone = [name for name in indices.by_name if name not in names]
    new = finish(indices.amending(gone, names, last=last))
    kept = {name: index for name, index in indices.by_name.items() if name in names}
    return attrs.evolve(new, by_name={**kept, **new.by_name})


class IndicesTests(SynchronousTestCase):
    """`HostIndices.amending` gives each host an index that it keeps."""

    def test_first_indices_are_in_the_order_in_which_hosts_are_told(self) -> None:
        """From 1."""
        self.assertEqual(following(HostIndices(), ["c", "a", "b"]).by_name, {"c": 1, "a": 2, "b": 3})

    def test_a_name_keeps_its_index(self) -> None:
        """New names get fresh ones."""
        indices = following(following(HostIndices(), ["b", "d"]), ["a", "b", "c", "d"])
        self.assertEqual(indices.by_name, {"b": 1, "d": 2, "a": 3, "c": 4})

    def test_a_freed_index_is_not_given_while_there_are_fresh_ones(self) -> None:
        """Not even to the name that had it: its flows may have ended up elsewhere."""
        indices = following(following(following(HostIndices(), ["a", "b"]), ["b"]), ["a", "b"])
        self.assertEqual(indices.by_name, {"b": 2, "a": 3})

    def test_the_index_that_was_free_for_longest_is_reused_first(self) -> None:
        """When there is no fresh one left."""
        indices = HostIndices()
        for names in (["a", "b", "c"], ["a", "c"], ["c"], ["c", "d", "e"]):
            indices = following(indices, names, last=4)
        self.assertEqual(indices.by_name, {"c": 3, "d": 4, "e": 2})
        self.assertEqual(indices.freed, (1,))

    def test_indices_that_came_free_do_not_become_ever_more(self) -> None:
        """When as many rest as shall, the one that was free for longest is given, though there are fresh ones."""
        indices = HostIndices(fresh=9, freed=(5, 3, 7))
        self.assertEqual(finish(indices.amending((), ["a", "b"], resting=2)).by_name, {"a": 9, "b": 5})

    def test_refuses_more_hosts_than_there_are_indices(self) -> None:
        """Nothing is given then."""
        error = self.assertRaises(RealmGatewayError, following, HostIndices(), ["a", "b", "c"], last=2)
        self.assertIn("3 more hosts are more than there are indices left (2 in all)", str(error))

    def test_every_index_fits_into_the_packet_mark(self) -> None:
        """The mark's layout is the data path's, one level above: the two must agree."""
        self.assertEqual(LAST_INDEX, HOST_MASK)

    @given(LOADS)
    def test_indices_are_a_one_to_one_map_at_any_time(self, loads: list[set[str]]) -> None:
        """Every name has one, none is given twice or lost, and what stays, stays the same."""
        indices = HostIndices()
        for names in loads:
            before, indices = indices, following(indices, sorted(names), last=10)
            self.assertEqual(set(indices.by_name), names)
            given_out = [*indices.by_name.values(), *indices.freed]
            self.assertEqual(sorted(given_out), list(range(1, indices.fresh)))
            self.assertTrue(all(indices.by_name[name] == before.by_name[name] for name in names & set(before.by_name)))
