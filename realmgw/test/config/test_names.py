"""Tests for `realmgw.config.names`."""

from __future__ import annotations

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from realmgw.config.names import MAX_NAME, absolute, is_reverse, is_within

LABELS = strategies.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", fullmatch=True)


class AbsoluteTests(SynchronousTestCase):
    """`absolute` brings names into one form."""

    def test_adds_the_final_dot_and_lowers_case(self) -> None:
        """However it was written, a name has one form."""
        for text in ("WWW.Example.ORG", "www.example.org", "www.example.org."):
            self.assertEqual(absolute(text), "www.example.org.")

    def test_accepts_service_labels_and_single_labels(self) -> None:
        """Underscores begin service names; a zone may be a top-level domain."""
        self.assertEqual(absolute("_sip._udp.example.org"), "_sip._udp.example.org.")
        self.assertEqual(absolute("demo"), "demo.")

    def test_takes_parts_of_networks(self) -> None:
        """Reverse zones may have a slash in a label (RFC 2317 section 4); no other names may."""
        for text in ("0/25.2.0.192.in-addr.arpa", "64/26.2.0.192.IN-ADDR.ARPA.", "9.0/25.2.0.192.in-addr.arpa"):
            self.assertEqual(absolute(text), text.lower().rstrip(".") + ".")
        for text in ("0/25.example.org", "a/25.2.0.192.in-addr.arpa", "0/.2.0.192.in-addr.arpa", "0/25.ip6.arpa"):
            self.assertRaises(ValueError, absolute, text)

    def test_refuses_what_is_no_name(self) -> None:
        """The message says what to write instead."""
        for text, advice in (
            ("", "single dots"),
            (".", "single dots"),
            ("a..example.org", "single dots"),
            ("-a.example.org", "no '-' at its ends"),
            ("a b.example.org", "letters, digits"),
            ("a\\046b.example.org", "letters, digits"),
            ("grün.example.org", "xn--"),
            ("a" * 64 + ".example.org", "64 characters"),
            (".".join(["a" * 63] * 4), "253 characters"),
        ):
            error = self.assertRaises(ValueError, absolute, text)
            self.assertIn(advice, str(error))

    def test_accepts_a_name_of_the_greatest_length(self) -> None:
        """255 octets on the wire are 254 characters with the final dot."""
        longest = ".".join(["a" * 63] * 3 + ["a" * 61]) + "."
        self.assertEqual(len(longest) + 1, MAX_NAME)
        self.assertEqual(absolute(longest), longest)
        self.assertRaises(ValueError, absolute, "b" + longest)

    @given(strategies.lists(LABELS, min_size=1, max_size=4))
    def test_is_idempotent(self, labels: list[str]) -> None:
        """A name in its form stays as it is."""
        name = absolute(".".join(labels)) if len(".".join(labels)) < 254 else "example.org."
        self.assertEqual(absolute(name), name)


class WithinTests(SynchronousTestCase):
    """`is_within` and `is_reverse` know where a name lies."""

    def test_counts_the_apex_and_whole_labels(self) -> None:
        """A name that merely ends alike lies elsewhere."""
        self.assertTrue(is_within("example.org.", "example.org."))
        self.assertTrue(is_within("a.b.example.org.", "example.org."))
        self.assertFalse(is_within("counterexample.org.", "example.org."))
        self.assertFalse(is_within("org.", "example.org."))

    def test_knows_both_reverse_trees(self) -> None:
        """Zones that map addresses to names."""
        self.assertTrue(is_reverse("0.168.192.in-addr.arpa."))
        self.assertTrue(is_reverse("8.b.d.0.1.0.0.2.ip6.arpa."))
        self.assertFalse(is_reverse("example.org."))
