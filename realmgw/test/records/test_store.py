"""The database: what is kept, added up, asked for and deleted."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from realmgw.errors import PlatformError
from realmgw.records import history as module
from realmgw.records import tables
from realmgw.records.history import History
from realmgw.records.record import Record
from realmgw.records.store import LOOK, TRY_AGAIN, Store
from realmgw.records.tables import CONDITIONS, DAY, GROUP, HOST, HOUR

NOON = 20_000 * DAY + DAY // 2
ENDED = Record(
    "ends", NOON + 0.5, NOON - 1.5, "in", "tcp", "web.example.org.", ("gold", "all"), "www.example.org.",
    "192.168.0.11", 80, "192.0.2.3", 80, "203.0.113.5", 40112, True, 6, 1164, 5, 9164, "2f3",
)  # fmt: skip


class StoreTests(SynchronousTestCase):
    """On a real disk."""

    def setUp(self) -> None:
        """An empty folder."""
        self.path = Path(self.mktemp()) / "flows.sqlite"
        self.now, self.put_back = float(NOON), 0.0
        self.store = self.open()
        self.history = History(self.path)

    def open(self, rows: int = 1000) -> Store:
        """A store."""
        made = Store(self.path, rows, 3.0, lambda: self.now - self.put_back, lambda: self.now)
        self.addCleanup(made.close)
        return made

    def keep(self, *records: Record) -> None:
        """Kept at once."""
        self.store.add([(each, None) for each in records])
        self.store.keep(now=True)
        self.assertEqual(self.store.problem, "")

    def found(self, **given: Any) -> list[str]:
        """The protocols of what is found, by which records are told apart here."""
        return [each["protocol"] for each in self.history.flows(given, 99)["flows"]]

    def test_a_record_comes_back_as_it_was(self) -> None:
        """Also by another process, while it is written on; the youngest first."""
        self.assertEqual(self.history.flows({}, 9), {"flows": [], "more": False})
        self.keep(ENDED)
        self.assertEqual(self.history.flows({}, 9)["flows"], [{**ENDED._asdict(), "groups": ["gold", "all"]}])
        self.keep(*(ENDED._replace(protocol=str(number)) for number in range(3)))
        told = self.history.flows({}, 3)
        self.assertEqual(([each["protocol"] for each in told["flows"]], told["more"]), (["2", "1", "0"], True))

    def test_those_that_were_told_out_of_their_order_are_in_it(self) -> None:
        """As conntrack does, which comes across their ends one after the other."""
        self.keep(*(ENDED._replace(protocol=str(at), at=NOON + at) for at in (3, 1, 4, 2)))
        self.assertEqual(self.found(), ["4", "3", "2", "1"])
        self.assertEqual([each["protocol"] for each in self.history.flows({}, 3)["flows"]], ["4", "3", "2"])

    def test_a_clock_that_is_put_back_delays_nothing(self) -> None:
        """Records are kept each second, and what could not be kept is tried again."""
        self.keep(ENDED)
        self.put_back = 3600.0
        for number in range(3):
            self.now += 1.0
            self.store.add([(ENDED._replace(protocol=str(number)), None)])
            self.store.keep()
        self.assertEqual(len(self.found()), 4)

    def test_an_account_is_kept_until_its_day_or_hour_was_over_for_so_long(self) -> None:
        """Its beginning says nothing of its end: with half a day to keep, those of the morning stay at noon."""
        self.store = Store(self.path, 9, 0.5, lambda: self.now, lambda: self.now)
        self.addCleanup(self.store.close)
        for _ in range(4):
            self.keep(ENDED._replace(at=self.now))
            self.now += LOOK
        [row] = self.history.accounts(HOST, 0.0, "", 9)["accounts"]
        self.assertEqual(row["flows"], 4)
        self.now += DAY * 1.6
        self.keep(ENDED._replace(at=self.now))
        [row] = self.history.accounts(HOST, 0.0, "", 9)["accounts"]
        self.assertEqual(row["flows"], 1)

    def test_nothing_was_kept_before_its_tables_are_made(self) -> None:
        """There may be a file by then, and nothing in it; what is no database is told."""
        self.keep(ENDED)
        new = History(self.path.with_name("new.sqlite"))
        for made in (False, True):
            if made:
                new.path.touch()
            self.assertEqual(new.flows({}, 9), {"flows": [], "more": False})
        new.path.write_bytes(b"none of ours" * 100)
        self.assertRaises(PlatformError, new.flows, {}, 9)

    def test_each_condition_leaves_out_what_is_different(self) -> None:
        """All that may be said of a flow."""
        self.keep(
            ENDED,
            ENDED._replace(
                at=NOON - 60.0, protocol="udp", host=None, groups=(), name=None, address="192.168.0.12", via=None,
                client="2001:db8::5", trace_id=None, direction="out",
            ),
        )  # fmt: skip
        conditions = {
            "since": NOON, "host": "web.example.org.", "address": "192.168.0.11", "name": "www.example.org.",
            "via": "192.0.2.3", "protocol": "tcp", "client": "203.0.113.0/24",
            "trace_id": "2f3", "direction": "in", "named": "w.example.o",
        }  # fmt: skip
        for name, value in conditions.items():
            self.assertEqual(self.found(**{name: value}), ["tcp"], name)
        self.assertEqual(self.found(until=NOON), ["udp"])
        self.assertEqual(self.found(client="2001:db8::/32"), ["udp"])
        self.assertEqual(self.found(client="2001:db8::5/128"), ["udp"])
        self.assertEqual(self.found(client="203.0.113.5/32"), ["tcp"])
        self.assertEqual(self.found(client="203.0.113.4/32"), [])
        self.assertEqual(self.found(client="0.0.0.0/0"), ["tcp"])
        self.assertEqual(self.found(**conditions), ["tcp"])
        self.assertEqual(self.found(via="192.168.0.12"), ["udp"])  # it is not translated
        for one, other in (("203.0.113.5", "192.0.2.3"), ("192.168.0.11", "203.0.113.5")):
            self.assertEqual(self.found(one=one, other=other), ["tcp"])
        self.assertEqual(self.found(one="203.0.113.5", other="192.168.0.12"), [])
        self.assertEqual({*conditions, "until", "one", "other", "client_is"}, set(CONDITIONS))

    def test_a_database_of_an_earlier_version_is_made_one_of_this(self) -> None:
        """What is in it stays."""
        self.keep(ENDED)
        self.store.close()
        with closing(sqlite3.connect(self.path)) as database:
            database.executescript("ALTER TABLE flow DROP COLUMN trace_id; PRAGMA user_version = 1;")
        self.store = self.open()
        self.keep(ENDED)
        self.assertEqual([each["trace_id"] for each in self.history.flows({}, 9)["flows"]], ["2f3", None])
        self.assertEqual([each.name for each in self.path.parent.glob("*damaged*")], [])

    def test_a_bounded_number_is_kept_and_what_is_old_goes(self) -> None:
        """The oldest first."""
        self.store = self.open(rows=3)
        self.keep(*(ENDED._replace(protocol=str(number)) for number in range(9)))
        self.assertEqual(self.found(), ["8", "7", "6"])
        self.now += 4 * DAY + LOOK
        self.keep(ENDED._replace(at=self.now))
        self.assertEqual(self.found(), ["tcp"])
        told = self.history.accounts(HOST, 0.0, "web.example.org.", 9)["accounts"]
        self.assertEqual([each["since"] for each in told], [NOON - DAY // 2 + 4 * DAY])

    def test_accounts_are_added_up(self) -> None:
        """By day for a subscriber, by hour for each of his groups; what was not counted is nothing."""
        self.keep(ENDED, ENDED._replace(at=NOON + 2.0 * HOUR, octets_in=None))
        self.keep(ENDED._replace(host="one.example.org.", groups=(), octets_in=1), ENDED._replace(host=None, groups=()))
        sums = {"flows": 2, "packets_in": 12, "octets_in": 1164, "packets_out": 10, "octets_out": 2 * 9164}
        web, one = self.history.accounts(HOST, 0.0, "", 9)["accounts"]
        self.assertEqual(web, {"name": "web.example.org.", "since": NOON - DAY // 2, **sums})
        self.assertEqual((one["name"], one["flows"], one["octets_in"]), ("one.example.org.", 1, 1))
        late, early = self.history.accounts(GROUP, NOON, "gold", 9)["accounts"]
        self.assertEqual((early["since"], late["since"], late["octets_in"]), (NOON, NOON + 2 * HOUR, 0))
        self.assertEqual(len(self.history.accounts(GROUP, NOON + HOUR + 1.0, "gold", 9)["accounts"]), 1)
        told = self.history.accounts(GROUP, 0.0, "", 1)
        self.assertEqual((told["accounts"][0]["name"], told["more"], told["period"]), ("all", True, HOUR))

    def test_what_a_flow_has_carried_counts_when_it_was_looked_at(self) -> None:
        """And the flow itself when it has ended; one that lasts is no record that is found."""
        lasts = ENDED._replace(
            event="lasts", at=NOON - 0.5, packets_in=2, octets_in=400, packets_out=1, octets_out=1000
        )
        self.store.add([(lasts, None)])
        self.store.keep(now=True)
        self.assertEqual(self.found(), [])
        [account] = self.history.accounts(HOST, 0.0, "", 9)["accounts"]
        self.assertEqual((account["flows"], account["octets_in"]), (0, 400))
        self.store.add([(ENDED, lasts)])
        self.store.keep(now=True)
        late, early = self.history.accounts(GROUP, 0.0, "gold", 9)["accounts"]
        self.assertEqual((late["flows"], late["octets_in"], late["packets_out"]), (1, 764, 4))
        self.assertEqual((early["flows"], early["octets_out"]), (0, 1000))

    def test_what_can_not_be_kept_is_counted(self) -> None:
        """Nothing waits for it, and it is tried again after a while; what is added up is not lost."""
        self.path.parent.mkdir()
        self.path.mkdir()
        self.store.add([(ENDED, None)])
        self.store.keep()
        self.assertIn("can not be used", self.store.problem)
        self.path.rmdir()
        for _ in range(int(TRY_AGAIN) - 1):
            self.now += 1.0
            self.store.add([(ENDED, None)])
            self.store.keep()
        self.assertFalse(self.path.exists(), "to look whether a large file is whole takes long")
        self.assertEqual(self.store.unkept, TRY_AGAIN)
        self.now += 1.0
        self.store.add([(ENDED, None)])
        self.store.keep()
        self.assertEqual((self.store.problem, self.found()), ("", ["tcp"]))
        [account] = self.history.accounts(HOST, 0.0, "", 9)["accounts"]
        self.assertEqual(account["flows"], TRY_AGAIN + 1)

    def test_what_is_added_up_meanwhile_is_bounded(self) -> None:
        """For more hosts, it is as if their records were not there."""
        self.patch(tables, "MOST_SUMS", 2)
        told = [(ENDED._replace(host=f"h{number}.example.org."), None) for number in (1, 2, 3, 1)]
        self.store.add(told)
        self.store.keep()
        self.assertEqual((len(self.history.accounts(HOST, 0.0, "", 9)["accounts"]), self.store.unkept), (2, 1))

    def test_what_is_no_database_is_set_aside(self) -> None:
        """And begun anew."""
        self.path.parent.mkdir()
        self.path.write_bytes(b"x" * 5000)
        self.assertRaises(PlatformError, self.history.flows, {}, 9)
        self.keep(ENDED)
        self.assertEqual((self.found(), len(list(self.path.parent.glob("*damaged*")))), (["tcp"], 1))

    def test_a_question_that_takes_too_long_is_given_up(self) -> None:
        """It must not keep others from asking."""
        self.keep(*(ENDED._replace(protocol=str(number)) for number in range(900)))
        with closing(sqlite3.connect(self.path)) as database, database:
            for _ in range(6):
                fields = ", ".join(f'"{name}"' for name in Record._fields)
                database.execute(f"INSERT INTO flow SELECT NULL, {fields} FROM flow")
        self.patch(module, "PATIENCE", 0.0)
        error = self.assertRaises(PlatformError, self.history.flows, {"name": "nobody."}, 9)
        self.assertIn("ask for less", str(error))
