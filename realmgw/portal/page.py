"""The page as HTML: small, without anything from elsewhere, for a phone and for the dark."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256
from html import escape

import attrs

from realmgw.portal.words import USUAL, WORDS

STYLE = """
:root { color-scheme: light dark; font: 1.0625rem/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: flex; background: #f3f5f8; color: #1b222c; }
main { box-sizing: border-box; width: 100%; max-width: 32rem; margin: auto; padding: 2rem 1.5rem; background: #fff; }
h1 { margin: 0 0 .75rem; font-size: 1.625rem; line-height: 1.2; }
p { margin: 0 0 1rem; overflow-wrap: anywhere; white-space: pre-line; }
.button { display: block; padding: .85rem 1rem; border-radius: .6rem; background: #0b57b8; color: #fff;
 text-align: center; text-decoration: none; font-weight: 600; }
.button:focus, .button:hover { background: #083f87; }
dl { margin: 1.25rem 0; padding-top: 1rem; border-top: 1px solid #d5dbe3; display: grid;
 grid-template-columns: auto 1fr; gap: .25rem 1rem; font-size: .9375rem; }
dt { color: #55606e; }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
a { color: #0b57b8; }
@media (min-width: 36rem) { main { border-radius: 1rem; box-shadow: 0 .25rem 1.5rem #1b222c22; } }
@media (prefers-color-scheme: dark) {
 body { background: #10151c; color: #e7ebf0; } main { background: #1a212b; }
 dl { border-color: #36404d; } dt { color: #a2adbb; } a { color: #8fbcff; }
 .button { background: #8fbcff; color: #0c1420; } .button:focus, .button:hover { background: #b9d5ff; } }
"""
"""All of it: there is no other file."""
_HASH = b64encode(sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
"""What a browser may do for its sake (Content-Security-Policy): apply that style."""


@attrs.frozen
class Told:
    """What the operator has the page say."""

    network: str
    """Whose it is."""
    text: Mapping[str, str] = attrs.Factory(dict)
    """In his own words, by language."""
    link: str | None = None
    """Where guests are registered."""


def page(told: Told, language: str, address: str, *, known: bool) -> bytes:
    """The page.

    Args:
        told: By the operator.
        language: One of `WORDS`.
        address: The asker's.
        known: He is a subscriber.
    """
    words = WORDS[language]
    title = words.connected if known else words.guest
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="{language}">',
            '<head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            '<link rel="icon" href="data:,">',
            f"<style>{STYLE}</style></head>",
            "<body><main>",
            f"<h1>{escape(title)}</h1>",
            f"<p>{escape(words.all_is_well if known else words.why)}</p>",
            *(() if known else _operator(told, language)),
            f"<dl><dt>{escape(words.address)}</dt><dd>{escape(address)}</dd>",
            f"<dt>{escape(words.network)}</dt><dd>{escape(told.network)}</dd></dl>",
            *(() if known else (f'<p><a href="/">{escape(words.again)}</a></p>',)),
            "</main></body></html>\n",
        ]
    ).encode()


def _operator(told: Told, language: str) -> Iterator[str]:
    """What he says: in that language, or else in the usual one, or in the first that he has written."""
    spoken = next((each for each in (language, USUAL, *told.text) if each in told.text), None)
    if spoken is not None:
        yield f'<p lang="{escape(spoken)}">{escape(told.text[spoken])}</p>'
    if told.link is not None:
        yield f'<p><a class="button" rel="noreferrer" href="{escape(told.link)}">{escape(WORDS[language].link)}</a></p>'
