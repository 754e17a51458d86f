"""Why a request is not granted: problem documents (RFC 9457)."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from realmgw.errors import RealmGatewayError
from realmgw.subscribers.exchange import Fault

MAX_FAULTS = 100
"""How many faults a client is told of at once."""
PROBLEM_TYPE = "application/problem+json"
"""The media type."""


class RefusedError(RealmGatewayError):
    """A request that is not granted; the repository is as it was before.

    Attributes:
        status: Of the response.
        detail: What is wrong, and what to do, for humans.
        faults: What is wrong in the document, or in the lines, that the request carried; pointers (RFC 6901) into it.
    """

    def __init__(self, status: HTTPStatus, detail: str, faults: Iterable[Fault] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.faults = tuple(faults)

    def document(self) -> dict[str, object]:
        """The problem document; its `errors` are at most `MAX_FAULTS`, and `detail` tells when there are more."""
        document: dict[str, object] = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
        }
        if self.faults:
            document["errors"] = [
                {"pointer": fault.pointer, "detail": fault.text} for fault in self.faults[:MAX_FAULTS]
            ]
        if len(self.faults) > MAX_FAULTS:
            document["detail"] = f"{self.detail} (the first {MAX_FAULTS} of {len(self.faults)} errors)"
        return document


def invalid(faults: Iterable[Fault]) -> RefusedError:
    """Documents that can not be accepted."""
    return RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "the content is not acceptable, see the errors", faults)


def taken(faults: Iterable[Fault]) -> RefusedError:
    """Documents that claim what belongs to others."""
    return RefusedError(
        HTTPStatus.CONFLICT, "names and addresses belong to one subscriber each, see the errors", faults
    )
