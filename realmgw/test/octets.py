"""Where a module takes an address for four octets, or a host for one that has IPv4: what it must say of itself."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from realmgw.test.source import Module

LENGTHS = {4, 16}
"""Of packed addresses."""
FAMILIES = {"AF_INET": "AF_INET6", "inet_aton": "inet_pton", "inet_ntoa": "inet_ntop", "ETH_P_IP": "ETH_P_IPV6"}
"""What is of IPv4 alone, each with what there is for both, or for the other."""
LONE = {"IPv4Address", "IPv4Interface", "IPv4Network"}
"""What is made for IPv4 alone."""
PACKED = re.compile(r"\d*4s")
"""Four octets in the format of a struct."""


def family(module: Module) -> str | None:
    """What a module says of families: the sentence that begins so in its docstring; None where there is none."""
    found = re.search(r"(?:^|\s)Family: ([^.]+)\.(?:\s|\Z)", ast.get_docstring(module.tree) or "")
    return found and found[1]


OCTETS = ("realmgw.dns.codec", "realmgw.datapath.netlink")
"""Rooms whose business octets are."""


def octets(tree: ast.Module) -> list[tuple[int, str]]:
    """Every place where an address is taken for four octets, or a host for one of IPv4, with its line."""
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    found = [each for node in ast.walk(tree) for each in (*_made(node, names), *_measured(node), *_written(node))]
    hosts = _hosts(tree)
    if "address6" not in names:
        found += [
            (node.lineno, f"{ast.unparse(node)}, and nothing of address6")
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and node.attr == "address" and _is_host(node.value, hosts)
        ]
    return found


def _made(node: ast.AST, names: set[str]) -> Iterator[tuple[int, str]]:
    """What is of IPv4 where there is nothing for IPv6: sockets, and values that are made of others' octets."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in LONE and name.replace("4", "6") not in names and not _is_constant(node.args):
            yield node.lineno, ast.unparse(node)
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    if name in FAMILIES and FAMILIES[name] not in names:
        yield getattr(node, "lineno", 1), name


def _is_constant(arguments: list[ast.expr]) -> bool:
    return all(isinstance(each, ast.Constant) for each in arguments)


def _measured(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Comparisons of lengths, slices and numbers of so many octets."""
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        lengths = [each for each in sides if isinstance(each, ast.Call) and ast.unparse(each.func) == "len"]
        if lengths and not LENGTHS.isdisjoint(map(_number, sides)):
            yield node.lineno, ast.unparse(node)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("bytes", "to_bytes"):
        if not LENGTHS.isdisjoint(map(_number, node.args)):
            yield node.lineno, ast.unparse(node)
    elif isinstance(node, ast.Slice):
        first, last = 0 if node.lower is None else _number(node.lower), _number(node.upper)
        if first is not None and last is not None and last - first in LENGTHS and not first % 4:
            yield getattr(node.upper, "lineno", 1), f"[{ast.unparse(node)}]"


def _number(node: ast.expr | None) -> int | None:
    """The number that stands somewhere."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else None


def _written(node: ast.AST) -> Iterator[tuple[int, str]]:
    """Octets with dots between them, and in the form of a struct."""
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "'.'.join":
        [argument] = node.args
        text = ast.unparse(argument)
        if text.startswith("map(str,") or re.match(r"[\[(]?str\(", text):
            yield node.lineno, ast.unparse(node)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("Struct", "pack", "unpack"):
        formats = [each.value for each in node.args[:1] if isinstance(each, ast.Constant)]
        if any(isinstance(each, str) and PACKED.search(each) for each in formats):
            yield node.lineno, ast.unparse(node)


def _hosts(tree: ast.Module) -> set[str]:
    """Names that a module says are hosts, or entries."""
    arguments = (each for node in ast.walk(tree) if isinstance(node, ast.arguments) for each in _all(node))
    annotated = [(each.arg, each.annotation) for each in arguments]
    annotated += [
        (ast.unparse(node.target), node.annotation) for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)
    ]
    return {name for name, kind in annotated if kind is not None and re.search(r"\b(Host|Entry)\b", ast.unparse(kind))}


def _all(arguments: ast.arguments) -> list[ast.arg]:
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def _is_host(value: ast.expr, hosts: set[str]) -> bool:
    text = ast.unparse(value)
    return text in hosts or re.search(r"(?:^|\.|_)(?:host|hosts\[.*\]|entry)$", text) is not None
