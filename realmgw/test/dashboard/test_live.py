"""Tests for `realmgw.dashboard.live` and `realmgw.dashboard.readers`: what open pages are told, and what it costs."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from realmgw.config.limits import DASHBOARD_READERS
from realmgw.control.commands import CommandError, ExitStatus
from realmgw.control.streaming import Stream
from realmgw.dashboard.feeds import AT_ONCE, FEW, MANY, ROOM
from realmgw.dashboard.live import AGAIN, FLOWS, GATHERED, GONE_THROUGH, PERIOD, ROWS
from realmgw.dashboard.live import AT_ONCE as LOOKED_AT
from realmgw.dashboard.readers import PATIENCE
from realmgw.system.http import LIFE
from realmgw.test.dashboard.looking import FLOW, STATUS, LookingTestCase, events


class SnapshotTests(LookingTestCase):
    """What goes on."""

    def test_nothing_is_done_while_nobody_looks(self) -> None:
        """No timer, no command, nobody who hears of flows; nor after the last one has gone."""
        self.assertEqual((self.clock.getDelayedCalls(), self.commands.asked), ([], []))
        protocol, _ = self.look(self.enter())
        self.clock.advance(PERIOD)
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.commands.stopped, 2)
        self.commands.asked.clear()
        self.clock.pump([PERIOD] * 20)
        self.assertEqual((self.clock.getDelayedCalls(), self.commands.asked), ([], []))
        self.assertEqual(self.factory.counts()["readers"], 0)

    def test_a_page_is_told_every_second(self) -> None:
        """From the first moment on; rates are over the second before."""
        _, page = self.look(self.enter())
        self.commands.answers["status"] = {
            **STATUS,
            "uptime": 61.0,
            "counts": {"admission": {"refused": {"no_claim": 9}}},
        }
        self.clock.advance(PERIOD)
        first, second = [value for name, value in events(page) if name == "now"]
        self.assertEqual(
            (first["name"], first["in_all"]), ("gw.example.org.", {"hosts": 2, "services": 3, "resolvers": 0})
        )
        self.assertEqual(first["picture"]["waiting"], [1, 0, 0, 0])
        [row] = second["refused"]
        self.assertEqual((row["reason"], row["total"], row["rate"]), ("no_claim", 9, 2.0))
        self.assertIn("asking for the name again", row["remedy"])
        self.assertEqual(second["at"], 1001.0)

    def test_however_many_look_it_is_asked_once(self) -> None:
        """Who comes later is told the last snapshot at once."""
        cookie = self.enter()
        pages = [self.look(cookie)[1] for _ in range(3)]
        for page in pages:
            self.assertEqual([name for name, _ in events(page)][:1], ["flows" if page is pages[0] else "now"])
        self.clock.advance(PERIOD)
        self.assertEqual([path for path, _ in self.commands.asked].count("status"), 2)
        self.assertEqual(len(self.commands.streams), 1)

    def test_a_gateway_that_takes_its_time_is_not_asked_again_meanwhile(self) -> None:
        """Nor is anything told to who has come after the last one went."""
        slow: Deferred[object] = Deferred()
        self.commands.answers["picture"] = slow
        protocol, _ = self.look(self.enter())
        self.clock.pump([PERIOD] * 5)
        self.assertEqual([path for path, _ in self.commands.asked].count("status"), 1)
        protocol.connectionLost(Failure(ConnectionDone()))
        slow.callback(None)
        self.assertEqual(self.factory.counts()["told"], 0)

    def test_what_can_not_be_had_is_asked_for_again(self) -> None:
        """A fault of our own is logged."""
        self.commands.answers["reservations"] = CommandError(ExitStatus.FAILED, "the pool is changed at this moment")
        _, page = self.look(self.enter())
        self.commands.answers["reservations"] = ValueError("ours")
        self.clock.advance(PERIOD)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.commands.answers["reservations"] = {"addresses": 0, "reservations": []}
        self.clock.advance(PERIOD)
        self.assertEqual([name for name, _ in events(page)], ["flows", "decisions", "now"])
        self.assertEqual((self.factory.counts()["failed"], self.factory.counts()["told"]), (2, 1))

    def test_a_large_pool_is_gone_through_less_often(self) -> None:
        """Its cells are told all the same."""
        for size, times in (
            (LOOKED_AT, 9),
            (2 * LOOKED_AT, 5),
            (9 * LOOKED_AT, 3),
            (4 * GONE_THROUGH, 3),
            (1 << 17, 2),
        ):
            self.commands.answers["picture"] = {"size": size, "each": 256, "waiting": [], "lingering": []}
            self.commands.asked.clear()
            protocol, _ = self.look(self.enter())
            self.clock.pump([PERIOD] * 8)
            asked = [path for path, _ in self.commands.asked]
            found = [asked.count(each) for each in ("status", "picture", "reservations")]
            self.assertEqual(found, [9, times, times], size)
            protocol.connectionLost(Failure(ConnectionDone()))

    def test_where_much_stands_in_the_pool_it_is_asked_for_less_often(self) -> None:
        """Names and hosts are; its picture and all else are told every second."""
        row = {
            "address": "192.0.2.1",
            "service": "a.example.org.",
            "host": "a.example.org.",
            "claims": [],
            "sources": 1,
        }
        for rows, times in ((GATHERED, 11), (GATHERED + 1, 6), (ROWS, 3)):
            self.commands.answers["reservations"] = {"addresses": rows, "reservations": [row] * rows}
            self.commands.asked.clear()
            protocol, page = self.look(self.enter())
            self.clock.pump([PERIOD] * 10)
            asked = [path for path, _ in self.commands.asked]
            self.assertEqual([asked.count(each) for each in ("picture", "reservations")], [11, times])
            told = [value["names"][0]["addresses"] for name, value in events(page) if name == "now"]
            self.assertEqual(told, [rows] * 11)
            protocol.connectionLost(Failure(ConnectionDone()))


class FlowTests(LookingTestCase):
    """Flows that begin and end."""

    def test_they_are_told_within_a_second(self) -> None:
        """And those of the last time to who comes later."""
        cookie = self.enter()
        _, page = self.look(cookie)
        self.commands.streams[0].tell(FLOW)
        self.clock.advance(PERIOD)
        self.assertIn(("flows", {"rows": [FLOW], "lost": 0, "untold": ""}), events(page))
        _, later = self.look(cookie)
        self.assertIn(("flows", {"rows": [FLOW], "lost": 0, "untold": ""}), events(later))

    def test_there_are_so_many_at_most(self) -> None:
        """It is told that there were more; so it is when the kernel had no room."""
        cookie = self.enter()
        _, page = self.look(cookie)
        seconds = FLOWS // AT_ONCE + 1
        for _ in range(seconds):
            for _ in range(AT_ONCE + 2):
                self.commands.streams[0].tell(FLOW)
            self.clock.advance(PERIOD)
        self.commands.streams[0].leave_out(None)
        self.clock.advance(PERIOD)
        told = [value for name, value in events(page) if name == "flows"]
        self.assertEqual(
            [(len(each["rows"]), each["lost"]) for each in told], [(0, 0), *[(AT_ONCE, 2)] * seconds, (0, 1)]
        )
        _, later = self.look(cookie)
        [flows] = [value["rows"] for name, value in events(later) if name == "flows"]
        self.assertEqual((len(flows), self.factory.counts()["flows_lost"]), (FLOWS, 2 * seconds + 1))

    def test_where_they_are_not_told_it_is_told_why(self) -> None:
        """And tried again after a while."""
        self.commands.answers["flows/watch"] = CommandError(ExitStatus.FAILED, "4 watch already")
        _, page = self.look(self.enter())
        self.assertEqual(events(page)[0], ("flows", {"rows": [], "lost": 0, "untold": "4 watch already"}))
        del self.commands.answers["flows/watch"]
        self.clock.pump([PERIOD] * AGAIN)
        self.assertEqual(len(self.commands.streams), 1)


class DecisionTests(LookingTestCase):
    """What is decided."""

    def test_the_latest_are_told_and_what_comes(self) -> None:
        """By the command that follows it; to who looks later, too."""
        cookie = self.enter()
        _, page = self.look(cookie)
        self.assertEqual(
            [given for path, given in self.commands.asked if path == "log"], [{"limit": "50", "follow": "1"}]
        )
        row = {"at": 1000.0, "what": "refused", "why": "no_claim"}
        self.commands.logs[0].tell(row)
        self.clock.advance(PERIOD)
        self.assertIn(("decisions", {"rows": [row], "lost": 0, "untold": ""}), events(page))
        _, later = self.look(cookie)
        self.assertIn(("decisions", {"rows": [row], "lost": 0, "untold": ""}), events(later))

    def test_there_are_so_many_at_most(self) -> None:
        """It is told and counted that there were more, and that the gateway had kept less than there was."""
        _, page = self.look(self.enter())
        for _ in range(AT_ONCE + 2):
            self.commands.logs[0].tell({"what": "refused"})
        self.commands.logs[0].leave_out(1000)
        self.clock.advance(PERIOD)
        told = [(len(value["rows"]), value["lost"]) for name, value in events(page) if name == "decisions"]
        self.assertEqual((told, self.factory.counts()["decisions_lost"]), ([(0, 0), (AT_ONCE, 1002)], 1002))

    def test_no_more_is_made_than_pages_show(self) -> None:
        """Whoever tells is told how much there is room for."""
        self.look(self.enter())
        self.assertEqual(self.rooms(), [ROOM, ROOM])

    def test_where_far_more_is_decided_less_is_told(self) -> None:
        """As long as it is so, of what it is so of; what is told is a sample of it either way."""
        self.look(self.enter())
        for missing, room in ((MANY, ROOM), (MANY + 1, FEW), (9 * MANY, FEW), (MANY, ROOM), (9 * MANY, FEW), (0, ROOM)):
            self.commands.logs[0].leave_out(missing)
            self.clock.advance(PERIOD)
            self.assertEqual(self.rooms(), [ROOM, room], missing)

    def rooms(self) -> list[int]:
        """How many flows and decisions there is room for."""
        return [each.room for each in (*self.commands.streams, *self.commands.logs)]

    def test_where_they_are_not_told_it_is_told_why(self) -> None:
        """And tried again; an answer that comes when nobody looks any more is not followed."""
        late: Deferred[object] = Deferred()
        self.commands.answers["log"] = CommandError(ExitStatus.FAILED, "4 follow already")
        protocol, page = self.look(self.enter())
        self.assertIn(("decisions", {"rows": [], "lost": 0, "untold": "4 follow already"}), events(page))
        self.commands.answers["log"] = late
        self.clock.pump([PERIOD] * AGAIN)
        protocol.connectionLost(Failure(ConnectionDone()))
        stopped = self.commands.stopped
        late.callback(Stream(self.commands.stop))
        self.assertEqual(self.commands.stopped, stopped + 1)

    def test_a_page_that_comes_while_another_one_s_answer_is_due_has_its_own(self) -> None:
        """Somebody has it loaded twice: what was asked for the first time is let go, also where it is refused."""
        for refused in (False, True):
            first, second = Deferred[object](), Deferred[object]()
            cookie = self.enter()
            for answer in (first, second):
                self.commands.answers["log"] = answer
                protocol, _ = self.look(cookie)
                if answer is first:
                    protocol.connectionLost(Failure(ConnectionDone()))
            stopped, followed = self.commands.stopped, Stream(self.commands.stop)
            if refused:
                first.errback(CommandError(ExitStatus.FAILED, "the database is busy"))
            else:
                first.callback(Stream(self.commands.stop))
            self.assertEqual(self.commands.stopped, stopped + (not refused))
            second.callback(followed)
            self.assertEqual(followed.room, ROOM)
            before = self.commands.stopped
            protocol.connectionLost(Failure(ConnectionDone()))
            self.assertEqual(self.commands.stopped, before + 2)


class ReaderTests(LookingTestCase):
    """Who looks."""

    def test_for_one_more_the_oldest_has_to_go(self) -> None:
        """It is told so, and its page does not come again by itself."""
        cookie = self.enter()
        pages = [self.look(cookie)[1] for _ in range(DASHBOARD_READERS + 1)]
        self.assertEqual([each.disconnecting for each in pages], [True] + [False] * DASHBOARD_READERS)
        self.assertEqual(events(pages[0])[-1][0], "over")
        self.assertEqual(self.factory.counts()["readers_displaced"], 1)

    def test_who_does_not_read_is_not_waited_for(self) -> None:
        """Nothing is kept for him but how many flows he has missed; after a while he is cut."""
        cookie = self.enter()
        _, page = self.look(cookie)
        page.fill()
        said = len(page.value())
        self.commands.streams[0].tell(FLOW)
        self.clock.pump([PERIOD] * 5)
        self.assertEqual(len(page.value()), said)
        page.drain()
        self.clock.advance(PERIOD)
        self.assertIn(("flows", {"rows": [], "lost": 1, "untold": ""}), events(page))
        page.fill()
        self.clock.pump([PERIOD] * int(PATIENCE + 3))
        self.assertTrue(page.aborted)
        self.assertEqual(self.factory.counts()["stuck"], 1)
        self.assertGreater(self.factory.counts()["slow"], 5)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_is_told_to_go_and_does_not_is_cut(self) -> None:
        """At once if he does not read; else when he had time to read why."""
        cookie = self.enter()
        slow, other = (self.look(cookie)[1] for _ in range(2))
        slow.fill()
        for _ in range(DASHBOARD_READERS):
            self.look(cookie)
        self.assertEqual((slow.aborted, other.aborted, other.disconnecting), (True, False, True))
        self.clock.advance(LIFE)
        self.assertTrue(other.aborted)

    def test_all_end_with_the_gateway(self) -> None:
        """And with them the timer."""
        cookie = self.enter()
        pages = [self.look(cookie)[1] for _ in range(3)]
        self.factory.disconnect()
        self.assertTrue(all(each.aborted for each in pages))
        self.assertEqual((self.commands.stopped, self.factory.counts()["readers"]), (2, 0))
