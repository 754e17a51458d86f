"""What has to be true of several keys together.

The checks compare the values that were remembered while the file was read, so they work as well when other parts of it
are wrong, and note a problem at the value that should be changed. Each goes over its values one by one and says of each
what is wrong, or nothing: so all of it is done in steps, and in a time that grows with the number of values only.
"""

from __future__ import annotations

from itertools import chain

from realmgw.config.consistency import beside, faces, policy, pools, unused
from realmgw.config.consistency.policy import unknown_group as unknown_group
from realmgw.config.document import Problems
from realmgw.config.steps import Steps, finish, portions


def check(problems: Problems) -> None:
    """Notes everything that is wrong between keys, from what was remembered of one main file."""
    finish(checking(problems))


def checking(problems: Problems) -> Steps[None]:
    """What `check` does, step by step."""
    for portion in portions(chain.from_iterable(part(problems) for part in _PARTS)):
        for found in portion:
            if found is not None:
                problems.add(*found)
        yield None


_PARTS = (*faces.PARTS, *pools.PARTS, *policy.PARTS, *beside.PARTS, *unused.PARTS)
