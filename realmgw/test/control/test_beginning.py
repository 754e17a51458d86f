"""Tests for `realmgw.control.beginning`."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config import schema
from realmgw.config.document import Problems, parse
from realmgw.control.beginning import Answers, Machine, delegation, main_file

MACHINE = Machine(
    {
        "lo": (ip_interface("127.0.0.1/8"),),
        "eth0": (ip_interface("2001:db8::2/64"), ip_interface("192.0.2.2/24"), ip_interface("10.0.0.1/8")),
        "eth1": (ip_interface("192.168.1.1/24"),),
        "eth2": (ip_interface("198.18.0.1/15"), ip_interface("fd00::1/64")),
        "eth3": (),
    },
    wan="eth0",
    resolvers=(ip_address("192.0.2.53"),),
)
ANSWERS = Answers(
    "gw.example.org", "eth0", ("eth1",), ip_address("192.0.2.2"), ("192.0.2.16/28", "198.51.100.0/28"),
    (ip_address("192.0.2.53"),),
)  # fmt: skip
WORDS = st.text(max_size=20) | st.sampled_from(
    ["no", "1e3", "0x10", "{a: b}", "a\nname: b", "- a", "# x", "'", '"', "\\"]
)


def settings_of(text: str) -> tuple[Any, tuple[str, ...]]:
    """What a main file says, and what is wrong with it."""
    problems = Problems("f")
    root = parse(text.encode(), problems)
    found = None if root is None else schema.GATEWAY(root, problems)
    return found, tuple(problems.lines())


class MachineTests(SynchronousTestCase):
    """What is proposed."""

    def test_lans_are_others_with_a_private_address(self) -> None:
        """Neither the WAN nor the loopback interface."""
        self.assertEqual(MACHINE.lan[:1], ("eth1",))
        self.assertNotIn("eth0", MACHINE.lan)
        self.assertNotIn("lo", MACHINE.lan)

    def test_the_first_address_of_ipv4(self) -> None:
        """There may be none, and no such interface."""
        self.assertEqual(MACHINE.address("eth0"), ip_address("192.0.2.2"))
        self.assertEqual((MACHINE.address("eth3"), MACHINE.address("eth9")), (None, None))


class MainFileTests(SynchronousTestCase):
    """What is written."""

    def test_a_gateway_takes_it(self) -> None:
        """Everything stands in its place."""
        settings, problems = settings_of(main_file(ANSWERS, MACHINE))
        self.assertEqual(problems, ())
        self.assertEqual(
            (settings.name, [each.name for each in settings.zones]), ("gw.example.org.", ["gw.example.org."])
        )
        self.assertEqual((settings.interfaces.wan, settings.interfaces.lan), ("eth0", ("eth1",)))
        self.assertEqual([str(each.network) for each in settings.pools.circular], ["192.0.2.16/28", "198.51.100.0/28"])
        self.assertEqual([each.attachment.value for each in settings.pools.circular], ["on-link", "routed"])
        self.assertEqual([str(each.address) for each in settings.dns.lan.listen], ["192.168.1.1"])
        self.assertEqual([str(each.endpoint.address) for each in settings.dns.forward.resolvers], ["192.0.2.53"])

    def test_words_that_mean_something_else_are_quoted(self) -> None:
        """An interface may be called `no`, a zone `1e3.org`."""
        answers = attrs.evolve(ANSWERS, zone="1e3.org", wan="no", lan=("0x10",))
        settings, problems = settings_of(main_file(answers, MACHINE))
        self.assertEqual((problems, settings.interfaces.wan, settings.interfaces.lan), ((), "no", ("0x10",)))

    def test_without_an_address_on_a_lan_nothing_is_heard_there(self) -> None:
        """Nor forwarded."""
        settings, problems = settings_of(main_file(attrs.evolve(ANSWERS, lan=("eth3",)), MACHINE))
        self.assertEqual((problems, settings.dns.lan.listen, settings.dns.forward.resolvers), ((), (), ()))

    @given(WORDS, WORDS, WORDS, WORDS)
    def test_nothing_that_is_said_says_more(self, zone: str, wan: str, lan: str, pool: str) -> None:
        """Whatever it is: a text at its place, or a problem, and no key of its own."""
        written = main_file(attrs.evolve(ANSWERS, zone=zone, wan=wan, lan=(lan,), pool=(pool,)), MACHINE)
        settings, problems = settings_of(written)
        if settings is None or problems:
            self.assertTrue(problems)
            return
        self.assertEqual((settings.interfaces.wan, settings.interfaces.lan), (wan, (lan,)))
        self.assertEqual(settings.subscribers, ("subscribers.d",))

    def test_what_the_zone_above_needs(self) -> None:
        """An NS record, and glue of the address's family."""
        lines = list(delegation(ANSWERS))
        self.assertIn("example.org", lines[0])
        self.assertEqual(lines[1].split(), ["gw.example.org.", "NS", "ns1.gw.example.org."])
        self.assertEqual(lines[2].split(), ["ns1.gw.example.org.", "A", "192.0.2.2"])
        six = list(delegation(attrs.evolve(ANSWERS, address=ip_address("2001:db8::2"))))
        self.assertEqual(six[2].split()[1], "AAAA")

    def test_it_is_started_as_it_was_installed(self) -> None:
        """By its unit, where there is one: whoever starts it by hand leaves it state that it can not use."""
        started = [list(delegation(ANSWERS, has_unit=has_unit))[-1].split("#")[0].strip() for has_unit in (True, False)]
        self.assertEqual(started, ["systemctl enable --now realmgw", "twistd --nodaemon realmgw"])
