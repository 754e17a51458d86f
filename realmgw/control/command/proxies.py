"""The SYN proxies as lines for humans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from realmgw.control.lines import duration


def proxies(answer: Mapping[str, Any]) -> Iterator[str]:
    """How each SYN proxy is."""
    if not answer["proxies"]:
        yield "There is no SYN proxy: synproxy.proxies names none."
    for each in answer["proxies"]:
        counts = each["counts"]
        yield f"{each['proxy']}: {each['state']} for {duration(each['since'])}{', with IPv6' if each['ipv6'] else ''}"
        yield (
            f"  {each['entries']} entries for reservations, {each['waiting']} wait to be told, "
            f"{each['outstanding']} requests are not answered yet"
        )
        yield f"  {', '.join(f'{name} {count}' for name, count in counts.items() if count) or 'nothing was counted'}"
        if each["error"]:
            yield f"  {each['error']}"
