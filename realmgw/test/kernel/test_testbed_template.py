"""Traffic templates: what a file says is what is played. These need no kernel and no root."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.test import programs

with contextlib.suppress(ImportError):  # installed without the testbed: then these tests skip, and say so
    from testbed.player import template
    from testbed.player.template import Kind, Place, Span
    from testbed.programs import noise

MISSING = programs.missing_modules("testbed")

EXAMPLE = """
duration: 20
backoff: 1.5
global_traffic:
  dnsdata:
    dns_laddr: [[192.0.2.1, 0, 17]]
    dns_raddr: [[198.51.100.1, 53, 17]]
    data_raddr: [[www.example.org, 80, 6]]
    dns_timeouts: [0.25, 0.5]
    data_delay: [0, 0.25]
traffic:
  - {type: dnsdata, load: 30, distribution: fixed, edns_options: [ecs, nsid]}
  - {type: dnsdata, load: 5, dns_raddr: [[198.51.100.2, 53, 6]]}
"""


class TemplateTests(SynchronousTestCase):
    """`testbed.player.template`."""

    skip = MISSING

    def problems(self, text: str) -> list[str]:
        """What is wrong with a template."""
        error = self.assertRaises(template.TemplateError, template.parse, text)
        return str(error).splitlines()

    def test_a_stream_has_the_defaults_of_its_kind(self) -> None:
        """What `global_traffic` says, and over it what the stream says itself."""
        found = template.parse(EXAMPLE)
        first, second = found.streams
        self.assertEqual((found.duration, found.backoff, first.load, second.load), (20.0, 1.5, 30.0, 5.0))
        self.assertEqual(first.dns_timeouts, (0.25, 0.5))
        self.assertEqual(first.data_delay, Span(0.0, 0.25))
        self.assertEqual(first.dns_raddr, (Place("198.51.100.1", 53, 17),))
        self.assertEqual(second.dns_raddr, (Place("198.51.100.2", 53, 6),))
        self.assertEqual(second.data_raddr, first.data_raddr)

    def test_every_problem_is_told_with_its_place(self) -> None:
        """All of them at once."""
        text = (
            EXAMPLE.replace("load: 30", "load: much").replace("[ecs, nsid]", "[ecs, esc]").replace("[0, 0.25]", "[1]")
        )
        self.assertEqual(
            [line.partition(":")[0] for line in self.problems(text)],
            ["traffic[0].data_delay", "traffic[0].load", "traffic[0].edns_options[1]", "traffic[1].data_delay"],
        )

    def test_a_kind_that_there_is_not_is_told(self) -> None:
        """With those that there are."""
        (line,) = self.problems("traffic: [{type: dnssnoop, load: 1}]")
        self.assertIn("dnsdata, dns, data, dnsspoof, dataspoof", line)

    def test_a_stream_without_a_target_is_told(self) -> None:
        """It would send nothing."""
        self.assertEqual(
            self.problems("traffic: [{type: data, load: 1}]"),
            ["traffic[0]: data wants data_raddr, here or in global_traffic"],
        )

    def test_what_is_no_template_is_told(self) -> None:
        """Whatever it is."""
        for text in ("", "[]", "traffic: {}", "{", "traffic: [1]", "duration: -1\ntraffic: [{}]", "x: 1", "- !x y"):
            with self.subTest(text=text):
                self.assertTrue(self.problems(text))

    def test_every_template_of_ours_can_be_read(self) -> None:
        """There is one for the honest clients, and one for each kind of noise, at the same load."""
        loads = {path.stem: sum(each.load for each in template.read(path).streams) for path in _ours()}
        self.assertEqual(set(loads), {"ideal", *(kind.value for kind in noise.KINDS)})
        self.assertEqual(set(loads.values()), {30.0})

    @given(st.sampled_from(["ideal", "dns", "data", "dnsspoof", "dataspoof"]), st.floats(0.01, 2.0))
    def test_a_template_survives_being_written(self, name: str, share: float) -> None:
        """`parse` reads what `text` writes, as it was."""
        found = noise.scaled(noise.read(name), share, 12.5)
        self.assertEqual(template.parse(found.text()), found)

    @given(st.text(max_size=200))
    def test_nothing_else_is_raised(self, text: str) -> None:
        """Whatever the text."""
        with contextlib.suppress(template.TemplateError):
            template.parse(text)

    def test_names_of_kinds_are_those_of_the_format(self) -> None:
        """Files of others can be used."""
        self.assertEqual([kind.value for kind in Kind], ["dnsdata", "dns", "data", "dnsspoof", "dataspoof"])


def _ours() -> list[Path]:
    return sorted(noise.TEMPLATES.glob("*.yaml"))
