"""Tests for `realmgw.portal.page`."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from realmgw.portal.page import POLICY, Told, page
from realmgw.portal.words import WORDS

EVIL = """</p><script>alert("1")</script>&amp; it's 'quoted' "twice"\n<img src=x onerror=y>"""
VOID = {"meta", "link"}


class Reader(HTMLParser):
    """Reads a page.

    Attributes:
        tags: Its elements with their attributes, in their order.
        text: What stands in them, but for the style.
        style: That.
    """

    def __init__(self, made: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.text = self.style = ""
        self.feed(made.decode())
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes it."""
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """It is the last one that was opened."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Notes it."""
        if self._open[-1:] == ["style"]:
            self.style += data
        else:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all elements of that name."""
        return [attributes for each, attributes in self.tags if each == tag]


class PageTests(SynchronousTestCase):
    """`page`."""

    def test_guests_are_told_why_and_what_to_do(self) -> None:
        """In their language; with the operator's words and link."""
        told = Told("gw.example.org", {"en": "Come in.", "de": "Zum Empfang."}, "https://example.org/a")
        for language, words in WORDS.items():
            read = Reader(page(told, language, "192.0.2.9", known=False))
            for each in (words.guest, words.why, words.link, words.again, "192.0.2.9", "gw.example.org"):
                self.assertIn(each, read.text)
            self.assertEqual(read.of("html"), [{"lang": language}])
            self.assertIn("https://example.org/a", [each["href"] for each in read.of("a")])
            self.assertIn("Zum Empfang." if language == "de" else "Come in.", read.text)

    def test_subscribers_are_told_that_all_is_well(self) -> None:
        """And nothing of what guests have to do."""
        read = Reader(page(Told("gw", {"en": "Come in."}, "https://example.org"), "en", "fd00::9", known=True))
        self.assertIn(WORDS["en"].connected, read.text)
        self.assertNotIn("Come in.", read.text)
        self.assertEqual(read.of("a"), [])

    def test_the_operator_speaks_what_he_has_written(self) -> None:
        """The asker's language, or English, or the first one; and it says which it is."""
        for text, language, spoken in (
            ({"de": "a", "en": "b"}, "de", "de"),
            ({"de": "a", "en": "b"}, "fi", "en"),
            ({"fr": "a", "de": "b"}, "fi", "fr"),
        ):
            read = Reader(page(Told("gw", text), language, "192.0.2.9", known=False))
            self.assertEqual([each["lang"] for each in read.of("p") if "lang" in each], [spoken])
        self.assertNotIn(b"<p lang", page(Told("gw"), "en", "192.0.2.9", known=False))

    def test_whatever_the_operator_writes_is_text(self) -> None:
        """No element and no attribute comes of it."""
        plain = Reader(page(Told("gw", {"en": "x"}, "https://example.org"), "en", "192.0.2.9", known=False))
        read = Reader(page(Told(EVIL, {"en": EVIL}, f"https://example.org/{EVIL}"), "en", "192.0.2.9", known=False))
        self.assertEqual([tag for tag, _ in read.tags], [tag for tag, _ in plain.tags])
        self.assertEqual([list(found) for _, found in read.tags], [list(found) for _, found in plain.tags])
        self.assertEqual(read.text.count(EVIL), 2)

    @given(st.text(max_size=40))
    def test_whatever_stands_in_it_is_read_back(self, text: str) -> None:
        """As an address or as words."""
        text = re.sub(r"[\r\0\ud800-\udfff]", "", text)
        self.assertIn(text, Reader(page(Told("gw", {"en": text}), "en", "192.0.2.9", known=False)).text)

    def test_nothing_comes_from_elsewhere(self) -> None:
        """The policy lets a browser apply this very style, and nothing else; it is small, whatever happens."""
        made = page(Told("gw", {"en": "x" * 2000}, "https://example.org"), "en", "192.0.2.9", known=False)
        read = Reader(made)
        digest = b64encode(sha256(read.style.encode()).digest()).decode()
        self.assertIn(f"style-src 'sha256-{digest}';", POLICY)
        self.assertTrue(POLICY.startswith("default-src 'none';"))
        self.assertNotRegex(read.style, r"url|import|http")
        self.assertEqual({tag for tag, _ in read.tags} & {"script", "img", "iframe", "form", "base", "object"}, set())
        self.assertEqual([each["href"] for each in read.of("link")], ["data:,"])
        self.assertFalse(any(name.startswith("on") or name == "style" for _, each in read.tags for name in each))
        self.assertLess(len(made), 6000)

    def test_it_is_for_phones_and_for_the_dark(self) -> None:
        """As far as a test can say; a browser was looked at."""
        read = Reader(page(Told("gw"), "en", "192.0.2.9", known=False))
        self.assertIn({"name": "viewport", "content": "width=device-width, initial-scale=1"}, read.of("meta"))
        self.assertIn("prefers-color-scheme: dark", read.style)
