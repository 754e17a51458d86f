"""Tests for `realmgw.datapath.includes`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.datapath import includes
from realmgw.datapath.includes import Include, problem

WORDS = st.lists(st.sampled_from(["{", "}", '"', "#", "\n", " ", "chain c", "flush ruleset", "include", "\\", "'"]))


def of(text: str) -> Include:
    """A file."""
    return Include("nft.d/a.nft", text + "\n")


def depths(text: str) -> list[int]:
    """How deep each place of a text is in braces, a character at a time; another way to say it."""
    found, depth, state = [], 0, ""
    for sign in text:
        if state == "#":
            state = "" if sign == "\n" else state
        elif state == '"':
            state = "" if sign == '"' else state
        elif sign in '#"':
            state = sign
        else:
            depth += (sign == "{") - (sign == "}")
        found.append(depth)
    return found


class ProblemTests(SynchronousTestCase):
    """What can not stand within a table."""

    def test_what_can(self) -> None:
        """Braces in strings and comments count for nothing."""
        for text in (
            "set subscribers_of_mine { }\nset groups { }\nchain c { ip saddr @subscribers drop; }",
            "", "chain c { }", 'chain c { log prefix "}{ #" }', "# } }\nset s { type ipv4_addr; } # {", "'",
            "set s { type ipv4_addr; flags interval; }", "chain c { tcp flags & (syn|ack) == syn drop; }",
            "chain no-include { }\nchain my-flags { }\nset flags.owner { type mark; }", "# flags dormant",
            'a "flags owner"',
        ):  # fmt: skip
            self.assertIsNone(problem(of(text)), text)

    def test_is_told_with_its_place(self) -> None:
        """Line and column of what is wrong."""
        for text, place, what in (
            ("}\nflush ruleset\ntable inet x {", "1:1", "closes nothing"),
            ("chain c { }\n  }", "2:3", "closes nothing"),
            ("chain c {\n", "1:9", "written to its end"),
            ("chain c { a {\n}", "1:9", "written to its end"),
            ('chain c { log prefix "x }', "1:22", "written to its end"),
            ('\ninclude "/etc/passwd"', "2:1", "can not include"),
            ('chain c { }; include "*.nft"', "1:14", "can not include"),
            ("chain c \0", "1:9", "octet 0"),
            ("set subscribers { type ipv4_addr; }", "1:1", "the gateway's own sets"),
            ("chain c { }\nmap group6_a-b { }", "2:1", "the gateway's own sets"),
            ('# "\n}', "2:1", "closes nothing"),
            ('log "#"\n}', "2:1", "closes nothing"),
            ("flags dormant\nchain c { }", "1:1", "does nothing"),
            ("chain c { }\n flags  owner;", "2:2", "ends with the program"),
            ("set s { flags interval; }; flags persist", "1:28", "are not yours"),
            ("flags # what\nowner", "1:1", "are not yours"),
            ("flags{owner}", "1:1", "are not yours"),
        ):
            told = problem(of(text)) or ""
            self.assertTrue(told.startswith(f"nft.d/a.nft:{place}: ") and what in told, (text, told))

    @given(WORDS)
    def test_nothing_that_passes_ends_the_table(self, words: list[str]) -> None:
        """Nowhere, and its braces are even at the end."""
        text = "".join(words)
        if problem(of(text)) is None:
            found = depths(text + "\n")
            self.assertEqual((min(found), found[-1]), (0, 0))

    def test_a_megabyte_takes_no_time_to_speak_of(self) -> None:
        """A file of braces, of quotation marks, of nothing but words: none of it grows with its square."""
        for text in ("{}" * (1 << 19), '""' * (1 << 19), "include" * (1 << 17), "#" * (1 << 20)):
            self.assertIsNone(problem(of(text)), text[:2])
        self.assertIn(f":1:{1 << 20}: this '{{'", problem(of("{" * (1 << 20))) or "")


class RefusalTests(SynchronousTestCase):
    """What nft says of a file."""

    def test_has_the_place_in_the_file(self) -> None:
        """Whatever stood before it."""
        before = [Include("a", "1\n2\n"), Include("b", "3\n")]
        text = includes.commands("x_local", "gw.example.org.", [*before, of("chain c {\nfoo\n}")])
        line = text.splitlines().index("foo") + 1
        message = f"nft --check -f -: /dev/stdin:{line}:1-3: Error: syntax error, unexpected string\nfoo\n^^^"
        told = includes.refusal(message, of("chain c {\nfoo\n}"), includes.lines_before(before, of("")))
        self.assertEqual(told, "nft.d/a.nft:2:1: syntax error, unexpected string")

    def test_without_a_place_it_is_the_files(self) -> None:
        """Nothing is made up, and no line that the file does not have."""
        self.assertEqual(includes.refusal("netlink: no\nmore", of(""), 2), "nft.d/a.nft:1:1: netlink: no")
        self.assertTrue(includes.refusal("", of(""), 2).startswith("nft.d/a.nft:1:1: nft refuses"))
        self.assertTrue(includes.refusal("/dev/stdin:99:1-2: Error: x", of("a"), 2).startswith("nft.d/a.nft:1:1: x"))
