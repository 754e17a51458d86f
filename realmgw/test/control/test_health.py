"""Tests for realmgw.control.health."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from realmgw.control.health import Health, Severity, State, Trouble


class HealthTests(SynchronousTestCase):
    """Tests for `Health`."""

    def setUp(self) -> None:
        """A gateway without troubles."""
        self.clock = Clock()
        self.began: list[str] = []
        self.ended: list[str] = []
        self.degraded: list[bool] = []
        self.health = Health(
            self.clock.seconds,
            lambda each: self.began.append(each.text),
            lambda each, is_well: self.ended.append(f"{each.text}{'; well again' if is_well else ''}"),
            lambda *, degraded, now: self.degraded.append(degraded),
        )

    def test_is_healthy_at_first(self) -> None:
        """Nobody has told anything."""
        self.assertEqual((self.health.state, self.health.troubles), (State.HEALTHY, ()))

    def test_tells_each_trouble_once_when_it_begins_and_when_it_ends(self) -> None:
        """However often a part says the same."""
        self.health.tell("links", ["eth0 is down"])
        self.health.tell("links", ["eth0 is down"])
        self.health.tell("links", ["eth1 is down", "eth0 is down"])
        self.health.tell("links", ["eth1 is down"])
        self.health.tell("links", [])
        self.assertEqual(self.began, ["eth0 is down", "eth1 is down"])
        self.assertEqual(self.ended, ["eth0 is down", "eth1 is down; well again"])

    def test_another_trouble_in_the_place_of_one_is_not_well(self) -> None:
        """A repository that is away for another reason now, for example; whatever other parts have."""
        self.health.tell("datapath", ["no route"], Severity.DEGRADED)
        for line in ("it does not answer", "its answer is too long"):
            self.health.tell("repository", [line])
        self.assertEqual(self.ended, ["it does not answer"])
        self.health.tell("repository", [])
        self.assertEqual(self.ended, ["it does not answer", "its answer is too long; well again"])

    def test_keeps_what_other_parts_and_other_severities_have_told(self) -> None:
        """A part replaces only its own troubles of the same severity."""
        self.health.tell("datapath", ["no route"], Severity.DEGRADED)
        self.health.tell("datapath", ["small table"])
        self.health.tell("repository", [])
        self.health.tell("datapath", [])
        self.assertEqual([each.text for each in self.health.troubles], ["no route"])

    def test_tells_when_lending_is_of_no_use_and_when_it_is_again(self) -> None:
        """Once each."""
        self.health.tell("datapath", ["no route"], Severity.DEGRADED)
        self.health.tell("links", ["eth0 is down"], Severity.DEGRADED)
        self.health.tell("datapath", [], Severity.DEGRADED)
        self.assertEqual(self.degraded, [True])
        self.health.tell("links", [], Severity.DEGRADED)
        self.assertEqual(self.degraded, [True, False])

    def test_a_notice_is_not_illness(self) -> None:
        """It is shown, and that is all."""
        self.health.tell("repository", ["does not answer"])
        self.assertIs(self.health.state, State.HEALTHY)

    def test_orders_the_worst_first_then_the_oldest(self) -> None:
        """As `status` shows them."""
        self.health.tell("repository", ["does not answer"])
        self.clock.advance(1)
        self.health.tell("configuration", ["old"], Severity.LAST_GOOD)
        self.clock.advance(1)
        self.health.tell("datapath", ["no route"], Severity.DEGRADED)
        self.assertEqual([each.part for each in self.health.troubles], ["datapath", "configuration", "repository"])
        self.assertEqual(self.health.troubles[0], Trouble("datapath", "no route", Severity.DEGRADED))
        self.assertEqual([each.since for each in self.health.troubles], [2, 1, 0])
        self.health.tell("datapath", [], Severity.DEGRADED)
        self.assertIs(self.health.state, State.LAST_GOOD)
