"""Conditional requests (RFC 9110 section 13): who may write over what, and who has seen everything already."""

from __future__ import annotations

import hashlib
import re
from http import HTTPStatus

import attrs

from realmgw.config.quoting import shortened
from realmgw.repository.refusals import RefusedError

_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_ELEMENT = rf"[ \t]*(?:{_TAG}[ \t]*)?"
_LIST = re.compile(rf"{_ELEMENT}(?:,{_ELEMENT})*")
"""RFC 9110 section 5.6.1: empty elements count for nothing. There is one way to read a text: it is read once."""


@attrs.frozen
class Tags:
    """The value of If-Match or If-None-Match."""

    any: bool
    """`*`: whatever there is."""
    listed: frozenset[str]
    """The tags, with their quotes; weak ones with their `W/`."""

    def match(self, tag: str | None) -> bool:
        """Whether what there is, if there is anything, matches by the strong comparison."""
        return tag is not None and (self.any or tag in self.listed)

    def match_weakly(self, tag: str | None) -> bool:
        """The same by the weak comparison."""
        return tag is not None and (self.any or tag in self.listed or f"W/{tag}" in self.listed)


def tags(text: str | None) -> Tags | None:
    """Reads such a value.

    Args:
        text: The field's value; None when the request has no such field.

    Raises:
        RefusedError: It is no list of tags.
    """
    if text is None:
        return None
    if text.strip() == "*":
        return Tags(True, frozenset())
    listed = frozenset(re.findall(_TAG, text)) if _LIST.fullmatch(text) else frozenset()
    if not listed:
        shown = shortened(repr(text))
        raise RefusedError(HTTPStatus.BAD_REQUEST, f'{shown} is no list of entity tags: write "...", with the quotes')
    return Tags(False, listed)


def tag(text: str) -> str:
    """The tag of a document: equal for equal content.

    Args:
        text: The document's JSON text as it is kept.
    """
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


@attrs.frozen
class Condition:
    """Under what condition a request may change a document."""

    match: Tags | None = None
    """If-Match."""
    none_match: Tags | None = None
    """If-None-Match."""

    def check(self, present: str | None) -> None:
        """Refuses a change that was not made in sight of what there is.

        Args:
            present: The tag of the document, None when there is none.

        Raises:
            RefusedError: 412 when the condition is not met, 428 when there is something to lose and no condition.
        """
        if self.match is not None and not self.match.match(present):
            raise RefusedError(
                HTTPStatus.PRECONDITION_FAILED,
                f"the document has the tag {present}: get it, and decide anew"
                if present
                else "there is no such document any more",
            )
        if self.none_match is not None and self.none_match.match_weakly(present):
            raise RefusedError(HTTPStatus.PRECONDITION_FAILED, f"the document is there, with the tag {present}")
        if present is not None and self.match is None and self.none_match is None:
            raise RefusedError(
                HTTPStatus.PRECONDITION_REQUIRED,
                "write If-Match with the tag of the document that you have seen, or * to write over whatever is there",
            )
