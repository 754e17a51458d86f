"""Tests for `realmgw.subscribers.files.incremental`: by shape, in pieces or as one document, a file says the same."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.document import Problems, parse
from realmgw.config.steps import finish
from realmgw.subscribers.fastpath.by_shape import ByShapeReader
from realmgw.subscribers.files.incremental import read
from realmgw.subscribers.schema import entries

HOSTS = (
    "a.example.org: {address: 192.168.0.1}\n",
    "b.example.org: {address: 192.168.0.2, services: {x.example.org: {protocol: tcp, port: 80}}}\n",
    "c.example.org:\n  address: 192.168.0.3\n  services:\n    c.example.org:\n    y.example.org: {port: 7}\n",
    "D.Example.org.:\n  ID: {FQDN: [d.example.org.], IPV4: ['192.168.0.4']}\n  SFQDN:\n    - {fqdn: d.example.org}\n",
    '"e.example.org": {address: "192.168.0.5", msisdn: "358145000001"}\n',
    "f.example.org: {\n  address: 192.168.0.6\n}\n",
    "g.example.org: {\naddress: 192.168.0.7\n}\n",
    "h.example.org: {address: 192.168.0.8, groups: ['a\nb: c']}\n",
    "? i.example.org\n: {address: 192.168.0.9}\n",
    "j.example.org: &j {address: 192.168.0.10}\n",
    "k.example.org: *j\n",
    "l.example.org: {<<: *j}\n",
    "m.example.org: !!map {address: 192.168.0.11}\n",
    "n.example.org: {address: 192.168.0.12, address: 192.168.0.13}\n",
    "o.example.org: {address: 192.168.0.300}\n",
    "p.example.org: {address: 192.168.0.14, other_names: [" + "x.example.org, " * 900 + "]}\n",
    "q.example.org: |\n  address: 192.168.0.15\n",
)
BETWEEN = (
    "", "\n", "# a comment\n", "---\n", "--- # begin\n", "...\n", "... # end\n", "---\n...\n", "%YAML 1.2\n---\n",
    "~\n", "null\n", "{}\n", "[]\n", "text\n", "  ", "\t", " # indented\n", "\r", "\r\n", "\x85", "\u2028",
    "# \u2028", "\0", "# \0\n", "\ufeff", "# \ufeff\n", "-\n", "- a\n", "}\n", "]\n", ",\n", ": x\n", "...a: b\n",
    "---a: b\n", "?\n",
    "|\n", ">\n text\n", '"', "'", "\x07", "\xa0", "...", "---", "#",
)  # fmt: skip
FILES = st.lists(st.one_of(st.sampled_from(HOSTS), st.sampled_from(HOSTS), st.sampled_from(BETWEEN)), max_size=8)
ENDS = st.sampled_from(("\n", "\n", "\n", "\r\n", "\r"))
CODES = st.sampled_from(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1"))


def as_one_document(text: bytes) -> dict[str, Any] | None:
    """What a file says by the full reading of all of it at once; None if anything is wrong with it."""
    problems = Problems("f")
    root = parse(text, problems)
    found = [] if root is None else entries(root, problems)
    said = {entry.name: attrs.astuple(entry, recurse=False) for entry in found}
    return None if problems.found or len(said) < len(found) else said


def as_it_is_read(text: bytes, by_shape: ByShapeReader) -> dict[str, Any] | None:
    """What a file says by the gateway's reading; None if anything is wrong with it."""
    unit = finish(read("f", text, None, by_shape))
    assert unit.problems or set(unit.tokens) == set(unit.entries), unit
    return None if unit.problems else {name: attrs.astuple(each, recurse=False) for name, each in unit.entries.items()}


class WholeTests(SynchronousTestCase):
    """One reader."""

    @settings(max_examples=600, deadline=None)
    @given(FILES, ENDS, CODES)
    @example([HOSTS[0], HOSTS[1], "..."], "\n", "utf-8")
    @example([HOSTS[0], "...\n"], "\n", "utf-8")
    @example(["  ", HOSTS[0]], "\n", "utf-8")
    @example(["# \u2028", HOSTS[0]], "\n", "utf-8")
    @example([HOSTS[0], "~\n"], "\n", "utf-8")
    @example(["# \0\n", HOSTS[0]], "\n", "utf-8")
    @example([HOSTS[6], HOSTS[7]], "\r\n", "utf-8-sig")
    @example([HOSTS[1], "\ufeff", HOSTS[0]], "\n", "utf-8")
    @example(["\ufeff", HOSTS[0]], "\n", "utf-8-sig")
    def test_every_way_of_reading_says_the_same(self, parts: list[str], end: str, code: str) -> None:
        """By shape, piece by piece, and as one document: the same subscribers, or that something is wrong."""
        text = "".join(parts).replace("\n", end).encode(code, errors="replace")
        expected, by_shape = as_one_document(text), ByShapeReader()
        for _ in range(3):  # what looks alike is learned, then known
            self.assertEqual(as_it_is_read(text, by_shape), expected, text)

    @settings(max_examples=300, deadline=None)
    @given(st.binary(max_size=60), st.sampled_from(HOSTS), st.integers(0, 60))
    def test_whatever_stands_in_a_file(self, noise: bytes, host: str, at: int) -> None:
        """It is read in the same way, or refused."""
        text = host.encode()
        text = text[:at] + noise + text[at:] + HOSTS[0].encode()
        self.assertEqual(as_it_is_read(text, ByShapeReader()), as_one_document(text), text)

    def test_documents_begin_and_end_without_being_one_piece(self) -> None:
        """So that a long file may have them."""
        many = "".join(
            f"h{number}.example.org: {{address: 10.0.{number // 250}.{number % 250 + 1}}}\n" for number in range(40000)
        )
        for text in (f"---\n{many}", f"# all\n\n--- # of them\n{many}...\n# end\n", many.replace("\n", "\r\n")):
            unit = finish(read("f", text.encode()))
            self.assertEqual((unit.problems, len(unit.tokens)), ((), 40000))
