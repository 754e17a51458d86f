"""The SYN proxies and the web proxy as lines for humans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from realmgw.control.durations import duration


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


def web_proxy(answer: Mapping[str, Any]) -> Iterator[str]:
    """How the reverse proxy of the service pool is."""
    if answer["state"] == "off":
        yield "There is no web proxy: webproxy.enabled is false."
        return
    pid = f", process {answer['pid']}" if answer["pid"] else ""
    yield f"{answer['state']} for {duration(answer['since'])}{pid}"
    where = ", ".join(answer["listens"]) or "no address"
    yield f"  at {where}: HTTP port {answer['http_port']}, TLS port {answer['https_port']}"
    if answer["error"]:
        yield f"  {answer['error']}"
    yield from (f"  {each}" for each in answer["wrong"])
    for which, why in (("withheld", "not served, as rules of their hosts ask who sends"),
                       ("uncertified", "without a certificate")):  # fmt: skip
        if answer[which]:
            more = answer["counts"][which] - len(answer[which])
            yield f"  {why}: {', '.join(answer[which])}{f' and {more} more' if more else ''}"
    for each in answer["ill"]:
        why = f": {each['reason']}" if each["reason"] else ""
        yield f"  down for {duration(each['since'])}: {each['name']}, by {each['by'].upper()}{why}"
    names = len({each["name"] for each in answer["ill"]})
    if names and (more := answer["counts"]["ill"] - names):
        yield f"  and {more} more names are down"
    for each in answer["certificates"]:
        yield f"  certificate {each['file']} until {each['ends']}: {', '.join(each['names'])}"
    yield from (f"  {name}: {count}" for name, count in answer["counts"].items())
