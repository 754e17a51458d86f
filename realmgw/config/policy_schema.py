"""The schema of policies: a section of the main file, and the policy files of existing deployments.

Existing policy files have the keys CIRCULARPOOL, IPSET and IPTABLES. The first says what our section `policy` says, in
other words; the others are lists of rules for iptables and sets for ipset. All of these together are read and
translated by `realmgw.config.translation`, and left alone here.
"""

from __future__ import annotations

from collections.abc import Iterable

from realmgw.config.document import Mapping, Node, Problems, Scalar
from realmgw.config.policy import Policy
from realmgw.config.validators import Section, shape

ESTABLISHED = ("CIRCULARPOOL", "IPSET", "IPTABLES")
"""The keys of existing policy files."""
UNREAD = ("IPSET", "IPTABLES")
"""Those that are left alone here: what stands below them is for other programs, and nothing in it is a problem."""
_CHALLENGES = {
    "PBRA_DNS_POLICY_TCPCNAME": "tcpcname",
    "PBRA_DNS_POLICY_TCP": "tcp",
    "PBRA_DNS_POLICY_CNAME": "cname",
    "PBRA_DNS_LOG_UNTRUSTED": "log_untrusted",
}
"""What they call the challenges."""

POLICY = Section(Policy)
"""The section `policy`."""


def has_rules(root: Node | None) -> bool:
    """Whether a policy file says something to other programs."""
    return isinstance(root, Mapping) and any(word in root.pairs for word in UNREAD)


def fragment(root: Node, problems: Problems) -> Mapping | None:
    """What a policy file says, in the words of the section `policy`.

    Args:
        root: The file, with the keys of that section or in the established style.
        problems: Gets what is wrong with its style; the values are checked later.
    """
    if not isinstance(root, Mapping):
        problems.add(root, f"{shape(root)} stands here: write a mapping with {', '.join(POLICY.keys)}")
        return None
    if not any(word in root.pairs for word in ESTABLISHED):
        return root
    said = Mapping(root.line, root.column, source=root.source)
    for word, key, value in _members(root, problems):
        if word == "CIRCULARPOOL":
            _add_circular_pool(said, value, problems)
        elif word not in ESTABLISHED:
            problems.add(key, f"the key {word!r} is not known: write one of {', '.join(ESTABLISHED)}")
    return said


def _add_circular_pool(said: Mapping, node: Node, problems: Problems) -> None:
    for word, key, value in _members(node, problems):
        if word == "max":
            said.pairs["max_claims"] = key, value
        elif word == "DNS_GROUP_POLICY":
            said.pairs["groups"] = key, value
        elif word == "CONTROL_VARIABLES":
            _add_control_variables(said, value, problems)
        else:
            _refuse(key, ("max", "DNS_GROUP_POLICY", "CONTROL_VARIABLES"), problems)


def _add_control_variables(said: Mapping, node: Node, problems: Problems) -> None:
    challenges = Mapping(node.line, node.column, source=node.source)
    for word, key, value in _members(node, problems):
        if word == "SYSTEM_LOAD":
            said.pairs["system_load"] = key, value
        elif word in _CHALLENGES:
            challenges.pairs[_CHALLENGES[word]] = key, value
        else:
            _refuse(key, ("SYSTEM_LOAD", *_CHALLENGES), problems)
    if challenges.pairs:
        key, _ = next(iter(challenges.pairs.values()))
        said.pairs["challenges"] = key, challenges


def _members(node: Node, problems: Problems) -> Iterable[tuple[str, Scalar, Node]]:
    if not isinstance(node, Mapping):
        problems.add(node, f"{shape(node)} stands here: write a mapping, {{key: value}}")
        return
    for word, (key, value) in node.pairs.items():
        if problems.are_many(key.line, key.source):
            return
        yield word, key, value


def _refuse(key: Scalar, known: Iterable[str], problems: Problems) -> None:
    problems.add(key, f"the key {key.text!r} is not known: write one of {', '.join(known)}")
