"""Parts of a main file whose keys are of use only with each other: `consistency` looks at them, with their places."""

from __future__ import annotations

from typing import TypeVar

from realmgw.config.document import Node, Problems
from realmgw.config.labels import Label
from realmgw.config.steps import Steps
from realmgw.config.validators import Section

T = TypeVar("T")


class Part(Section[T]):
    """A section that is remembered once it was read: its value, and the node that its keys stand in."""

    def _reading(self, node: Node, problems: Problems) -> Steps[T | None]:
        value = yield from super()._reading(node, problems)
        if value is not None:
            problems.remember(Label.PART, value, node)
        return value
