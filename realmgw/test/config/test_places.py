"""Tests for `realmgw.config.places`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Mapping, Problems, parse
from realmgw.config.places import nearest, node, placing, told_at
from realmgw.config.steps import finish

TEXT = """name: gw.example.org
zones: {example.org: {ttl: 1}}
webproxy:
  enabled: true
dns:
  forward: {ca_file: a, lists: [{name: ads}, {name: more}]}
policy: {pipeline: {groups: {basic: {rules: []}}, preemptive: {black_list: {file: b}}}}
"""


class PlacesTests(SynchronousTestCase):
    """Where keys are."""

    def setUp(self) -> None:
        """All of a file."""
        root = parse(TEXT.encode(), Problems("f"))
        assert isinstance(root, Mapping)
        self.places = finish(placing(root, "f"))

    def test_each_key_has_its_place(self) -> None:
        """At every depth, with the values of some lists; what may be long has one for all that is in it."""
        for key, place in (
            ("name", "f:1:1"), ("webproxy.enabled", "f:4:3"), ("dns.forward.ca_file", "f:6:13"),
            ("dns.forward.lists.1", "f:6:46"), ("policy.pipeline.preemptive.black_list.file", "f:7:77"),
        ):  # fmt: skip
            self.assertEqual(self.places[key], place)
        self.assertEqual([key for key in self.places if key.startswith(("zones", "policy.pipeline.groups"))],
                         ["zones", "policy.pipeline.groups"])  # fmt: skip

    def test_what_is_not_written_has_the_place_of_what_is_around_it(self) -> None:
        """If anything is."""
        for key, place in (
            ("webproxy.program", "f:3:1"), ("webproxy.health.most", "f:3:1"), ("dns.forward.pins", "f:6:3"),
            ("metrics.listen", None), ("", None),
        ):  # fmt: skip
            self.assertEqual(nearest(self.places, key), place)
        found = node(self.places, "dns.forward.pins")
        assert found is not None
        self.assertEqual((found.source, found.line, found.column), ("f", 6, 3))
        self.assertIsNone(node(self.places, "metrics.listen"))

    def test_problems_are_told_where_they_are_put_right(self) -> None:
        """At their own place, at the key that they begin with, or, where there is none, at the file's begin."""
        for line, place in (
            ("webproxy.program: there is no program", "f:3:1"), ("webproxy.enabled: x", "f:4:3"), ("name: x", "f:1:1"),
            ("dns.forward.ca_file: a can not be read", "f:6:13"), ("IPv6 is switched off", "f:1:1"),
            ("the portal can not listen", "f:1:1"), ("metrics.group: x", "f:1:1"),
        ):  # fmt: skip
            self.assertEqual(told_at(line, self.places, "f"), f"{place}: {line}")
        own = "lists/ads.hosts:2:1: 'x y' is no domain name"
        self.assertEqual(told_at(own, self.places, "f"), own)
