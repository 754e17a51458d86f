"""Tests for `realmgw.synnode.entries`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from realmgw.synnode.entries import MOST_CHANGES, MOST_VARIETIES, Entries, Refusal
from realmgw.synproxy.codec import TCP, Key, Operation, Request, TcpOptions
from realmgw.test.synnode.keys import FULL, GATEWAY, HOST, HOST6, PLAIN, add, delete, flush, key, mod, packed


class EntriesTests(SynchronousTestCase):
    """What requests do."""

    def setUp(self) -> None:
        """A table with room for three."""
        self.table = Entries(3)

    def test_add_is_refused_where_there_is_one(self) -> None:
        """And the one that is there stays."""
        self.assertIsNone(self.table.apply(GATEWAY, add(key())))
        self.assertIs(self.table.apply(GATEWAY, add(key(), PLAIN)), Refusal.EXISTS)
        self.assertEqual([each.options for each in self.table], [FULL])

    def test_mod_adds_and_replaces(self) -> None:
        """Whichever is needed."""
        self.assertIsNone(self.table.apply(GATEWAY, mod(key())))
        self.assertIsNone(self.table.apply(GATEWAY, mod(key(), PLAIN)))
        self.assertEqual([(each.key, each.options) for each in self.table], [(key(), PLAIN)])

    def test_del_is_refused_where_there_is_none(self) -> None:
        """The key must be the same in all its parts."""
        self.table.apply(GATEWAY, mod(key(HOST, 80, TCP)))
        for other in (key(), key(HOST, 80), key(HOST, 81, TCP), key("203.0.113.6", 80, TCP)):
            self.assertIs(self.table.apply(GATEWAY, delete(other)), Refusal.MISSING)
        self.assertIsNone(self.table.apply(GATEWAY, delete(key(HOST, 80, TCP))))
        self.assertEqual((len(self.table), self.table.varieties), (0, 0))

    def test_flush_of_an_address_leaves_others(self) -> None:
        """And that of all zeros, of either family, leaves none."""
        for zeros in ("0.0.0.0", "::"):
            for where in (key(), key(HOST, 80), key(HOST6)):
                self.table.apply(GATEWAY, mod(where))
            self.assertIsNone(self.table.apply(GATEWAY, flush(HOST)))
            self.assertEqual([each.key for each in self.table], [key(HOST6)])
            self.assertIsNone(self.table.apply(GATEWAY, flush(zeros)))
            self.assertEqual((len(self.table), self.table.varieties), (0, 0))

    def test_a_full_table_takes_no_more_and_changes_what_it_has(self) -> None:
        """Until one goes."""
        for port in range(1, 4):
            self.table.apply(GATEWAY, mod(key(HOST, port)))
        self.assertIs(self.table.apply(GATEWAY, mod(key(HOST, 4))), Refusal.FULL)
        self.assertIsNone(self.table.apply(GATEWAY, mod(key(HOST, 3), PLAIN)))
        self.table.apply(GATEWAY, delete(key(HOST, 1)))
        self.assertIsNone(self.table.apply(GATEWAY, mod(key(HOST, 4))))

    def test_there_are_not_more_varieties_than_objects_for_them(self) -> None:
        """Whoever sends all that there could be makes no million objects in the kernel."""
        table = Entries(MOST_VARIETIES + 2)
        for number in range(MOST_VARIETIES):
            self.assertIsNone(table.apply(GATEWAY, mod(key(HOST, number + 1), TcpOptions(1000 + number, False, 0))))
        self.assertIs(table.apply(GATEWAY, mod(key(HOST, 60000), TcpOptions(1, False, 0))), Refusal.VARIETY)
        self.assertIsNone(table.apply(GATEWAY, mod(key(HOST, 60000), TcpOptions(1000, False, 0))))

    def test_entries_of_an_earlier_run_are_counted_as_others(self) -> None:
        """Those of no effect, until they are forgotten or said otherwise."""
        table = Entries(9, lambda address: address != packed(HOST))
        table.adopt({(packed(HOST), 80): FULL, (packed(HOST), 81): FULL, (packed(HOST6), 80): FULL})
        self.assertEqual(table.idle, 2)
        table.apply(GATEWAY, delete(key(HOST, 80)))
        self.assertEqual(table.idle, 1)
        table.forget_adopted()
        self.assertEqual((table.idle, len(table)), (0, 0))

    def test_of_a_target_the_entry_for_tcp_counts(self) -> None:
        """Then that of any protocol; one of another protocol says nothing about TCP."""
        for protocol, options, effective in ((17, FULL, None), (0, PLAIN, PLAIN), (TCP, FULL, FULL)):
            self.table.apply(GATEWAY, mod(key(HOST, 80, protocol), options))
            self.assertEqual(self.table.effective((packed(HOST), 80)), effective)

    def test_changes_are_told_once_by_target(self) -> None:
        """With what is in force by then; what is gone has nothing."""
        self.table.apply(GATEWAY, mod(key(HOST, 80), PLAIN))
        self.table.apply(GATEWAY, mod(key(HOST, 80), FULL))
        self.table.apply(GATEWAY, mod(key(HOST6)))
        self.table.apply(GATEWAY, delete(key(HOST6)))
        self.assertTrue(self.table.has_changed)
        self.assertEqual(self.table.take_changes(), {(packed(HOST), 80): FULL, (packed(HOST6), 0): None})
        self.assertFalse(self.table.has_changed)
        self.assertEqual(self.table.take_changes(), {})

    def test_of_several_gateways_the_one_that_has_begun_last_counts(self) -> None:
        """With whatever it says of TCP; where it says nothing, the one before, and at last what was adopted."""
        target = packed(HOST), 80
        table, third = Entries(9), TcpOptions(900, False, 3)
        table.adopt({target: PLAIN})
        self.assertEqual(table.effective(target), PLAIN)
        table.apply("one", mod(key(HOST, 80, TCP), FULL))
        table.apply("two", mod(key(HOST, 80, 17), FULL))
        self.assertEqual(table.effective(target), FULL)
        table.apply("two", mod(key(HOST, 80), third))
        self.assertEqual(table.effective(target), third)
        for request in (flush("0.0.0.0"), mod(key(HOST, 80), FULL)):
            table.apply("one", request)
        self.assertEqual(table.effective(target), FULL)
        for client, left in (("one", third), ("two", PLAIN)):
            table.apply(client, flush("0.0.0.0"))
            self.assertEqual(table.effective(target), left)
        table.forget_adopted()
        self.assertEqual((table.effective(target), table.has_adopted, table.varieties), (None, False, 0))
        self.assertEqual(table.take_changes(), {target: None})

    def test_what_is_adopted_is_no_change(self) -> None:
        """The kernel has it; it is of any protocol, and nobody's."""
        self.table.adopt({(packed(HOST), 80): FULL})
        self.assertFalse(self.table.has_changed)
        self.assertEqual([each.key for each in self.table], [key(HOST, 80)])
        self.assertIsNone(self.table.apply(GATEWAY, delete(key(HOST, 80))))
        self.assertEqual((len(self.table), self.table.has_adopted), (0, False))

    def test_too_many_changes_are_not_remembered_one_by_one(self) -> None:
        """While the kernel takes its time, somebody may set and remove others all the while."""
        self.table.apply(GATEWAY, mod(key(HOST6, 80, TCP)))
        for number in range(MOST_CHANGES + 3):
            where = Key(number.to_bytes(4, "big"), 1)
            self.table.apply(GATEWAY, mod(where))
            self.table.apply(GATEWAY, delete(where))
        self.assertTrue(self.table.has_changed)
        self.assertIsNone(self.table.take_changes())
        self.assertEqual(self.table.everything(), {(packed(HOST6), 80): FULL})


_keys = some.builds(
    Key, some.sampled_from([bytes(4), packed(HOST), packed(HOST6)]), some.integers(0, 2), some.sampled_from([0, 6, 17])
)
_options = some.builds(TcpOptions, some.integers(1, 3), some.booleans(), some.just(0))
_requests = some.one_of(
    some.builds(Request, some.sampled_from([Operation.ADD, Operation.MOD]), _keys, _options),
    some.builds(Request, some.just(Operation.DEL), _keys),
    some.builds(Request, some.just(Operation.FLUSH), some.builds(Key, some.sampled_from([bytes(4), packed(HOST)]))),
)


class ModelTests(SynchronousTestCase):
    """The table beside a plain dictionary."""

    @given(some.lists(some.tuples(some.sampled_from("ab"), _requests), max_size=40), some.integers(0, 40))
    def test_what_was_told_is_what_there_is(self, requests: list[tuple[str, Request]], pause: int) -> None:
        """However requests of two gateways follow on each other, and whenever changes are taken."""
        table, model = Entries(5, lambda address: address != packed(HOST)), dict[tuple[str, Key], TcpOptions]()
        kernel = dict[object, TcpOptions]()
        for number, (client, request) in enumerate(requests):
            self.assertEqual(table.apply(client, request) is None, _do(model, client, request))
            if number == pause:
                _tell(table, kernel)
        _tell(table, kernel)
        self.assertEqual({(each.client, each.key): each.options for each in table}, model)
        self.assertEqual((len(table), table.varieties), (len(model), len(set(model.values()))))
        self.assertEqual(table.idle, sum(where.address == packed(HOST) for _, where in model))
        self.assertEqual(kernel, table.everything())


def _tell(table: Entries, kernel: dict[object, TcpOptions]) -> None:
    for target, options in (table.take_changes() or {}).items():
        kernel.pop(target, None)
        if options is not None:
            kernel[target] = options


def _do(model: dict[tuple[str, Key], TcpOptions], client: str, request: Request) -> bool:
    """Does it; returns whether it could be done."""
    where, options, address = (client, request.key), request.options, request.key.address
    if request.operation is Operation.FLUSH:
        for each in [each for each in model if each[0] == client and (not any(address) or each[1].address == address)]:
            del model[each]
        return True
    if options is None:
        return model.pop(where, None) is not None
    if (where in model and request.operation is Operation.ADD) or (where not in model and len(model) >= 5):
        return False
    model[where] = options
    return True
