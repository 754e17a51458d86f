"""Tests for `realmgw.subscribers.indices`."""

from __future__ import annotations

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath.marks import HOST_MASK
from realmgw.errors import RealmGatewayError
from realmgw.subscribers.indices import LAST_INDEX, Indices

LOADS = strategies.lists(strategies.sets(strategies.sampled_from("abcdefgh")), max_size=8)


class IndicesTests(SynchronousTestCase):
    """`Indices.following` gives each host an index that it keeps."""

    def test_first_load_is_in_the_order_of_names(self) -> None:
        """From 1, whatever the order of the files; a name that stands twice counts once."""
        self.assertEqual(Indices().following(["c", "a", "b", "a"]).by_name, {"a": 1, "b": 2, "c": 3})

    def test_a_name_keeps_its_index(self) -> None:
        """New names get fresh ones."""
        indices = Indices().following(["b", "d"]).following(["a", "b", "c", "d"])
        self.assertEqual(indices.by_name, {"b": 1, "d": 2, "a": 3, "c": 4})

    def test_a_freed_index_is_not_given_while_there_are_fresh_ones(self) -> None:
        """Not even to the name that had it: its flows may have ended up elsewhere."""
        indices = Indices().following(["a", "b"]).following(["b"]).following(["a", "b"])
        self.assertEqual(indices.by_name, {"b": 2, "a": 3})

    def test_the_index_that_was_free_for_longest_is_reused_first(self) -> None:
        """When there is no fresh one left."""
        indices = Indices()
        for names in (["a", "b", "c"], ["a", "c"], ["c"], ["c", "d", "e"]):
            indices = indices.following(names, last=4)
        self.assertEqual(indices.by_name, {"c": 3, "d": 4, "e": 2})
        self.assertEqual(indices.freed, (1,))

    def test_refuses_more_hosts_than_there_are_indices(self) -> None:
        """Nothing is given then."""
        error = self.assertRaises(RealmGatewayError, Indices().following, ["a", "b", "c"], last=2)
        self.assertIn("3 hosts are more than there are indices (2)", str(error))

    def test_every_index_fits_into_the_packet_mark(self) -> None:
        """The mark's layout is the data path's, one level above: the two must agree."""
        self.assertEqual(LAST_INDEX, HOST_MASK)

    @given(LOADS)
    def test_indices_are_a_one_to_one_map_at_any_time(self, loads: list[set[str]]) -> None:
        """Every name has one, none is given twice or lost, and what stays, stays the same."""
        indices = Indices()
        for names in loads:
            before, indices = indices, indices.following(names, last=10)
            self.assertEqual(set(indices.by_name), names)
            given_out = [*indices.by_name.values(), *indices.freed]
            self.assertEqual(sorted(given_out), list(range(1, indices.fresh)))
            self.assertTrue(all(indices.by_name[name] == before.by_name[name] for name in names & set(before.by_name)))
