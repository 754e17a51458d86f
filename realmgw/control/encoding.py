"""What operators are answered, in JSON: long lists some at a time, or queries and packets would wait for them. Pure."""

from __future__ import annotations

from realmgw.config.steps import PORTION, Steps, portions
from realmgw.system.jsonform import encode


def encoded(value: object) -> Steps[bytes]:
    """A value in JSON; where it is an object, the long lists that this has are gone through in portions.

    Raises:
        TypeError: There is no form for it.
    """
    if not isinstance(value, dict):
        return encode(value)
    members = list[bytes]()
    for key, each in value.items():
        if isinstance(each, list) and len(each) > PORTION:
            rows = list[bytes]()
            for portion in portions(each):
                rows.append(encode(portion)[1:-1])
                yield None
            members.append(b"%s:[%s]" % (encode(key), b",".join(rows)))
        else:
            members.append(b"%s:%s" % (encode(key), encode(each)))
    return b"{%s}" % b",".join(members)
