"""The page itself, its style and its script: files of this package. Edge: files."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

import attrs

TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
"""What files are, by the ends of their names."""
PATHS = {"/": "dashboard.html", "/dashboard.css": "dashboard.css", "/dashboard.js": "dashboard.js"}
"""Where each is."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""What a browser may do for the page's sake (Content-Security-Policy): nothing comes from elsewhere, nor goes there."""


@attrs.frozen
class Page:
    """A file."""

    kind: str
    """Its type."""
    body: bytes
    """Its content."""


def pages() -> Mapping[str, Page]:
    """All of them, by their paths."""
    folder = files("realmgw.dashboard") / "assets"
    return {
        path: Page(f"{TYPES[name.rpartition('.')[2]]}; charset=utf-8", (folder / name).read_bytes())
        for path, name in PATHS.items()
    }
