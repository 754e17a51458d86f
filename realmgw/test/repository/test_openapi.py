"""Tests for `realmgw.repository.openapi`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase

from realmgw.repository.openapi import description
from realmgw.subscribers.schema import PLAIN, SERVICE
from realmgw.test.repository.site import SiteTestCase

METHODS = ("GET", "PUT", "PATCH", "DELETE", "POST")


def references(value: object) -> Iterator[str]:
    """Every reference in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for member in value:
            yield from references(member)


class DescriptionTests(SynchronousTestCase):
    """The document by itself."""

    def test_every_reference_leads_somewhere(self) -> None:
        """And everything that can be referred to is."""
        document = description()
        found = set(references(document))
        for reference in found:
            place: Any = document
            for token in reference.removeprefix("#/").split("/"):
                place = place[token]
        components = {
            f"#/components/{kind}/{name}"
            for kind in ("schemas", "parameters", "responses")
            for name in document["components"][kind]
        }
        self.assertEqual(found, components)

    def test_operations_have_names_of_their_own(self) -> None:
        """For those who make clients of it."""
        names = [
            operation["operationId"]
            for path in description()["paths"].values()
            for method, operation in path.items()
            if method != "parameters"
        ]
        self.assertEqual(len(names), len(set(names)))

    def test_every_key_of_a_subscriber_is_there(self) -> None:
        """In both styles, those of its services among them."""
        schemas = description()["components"]["schemas"]
        plain, established = (schemas[f"{style}_subscriber"]["properties"] for style in ("plain", "established"))
        self.assertEqual(set(plain), set(PLAIN.keys))
        self.assertEqual(set(plain["services"]["additionalProperties"]["properties"]), set(SERVICE.keys))
        words = established["SFQDN"]["items"]["properties"]
        self.assertEqual({word.lower() for word in words}, {"fqdn", *SERVICE.keys})


class ServedTests(SiteTestCase):
    """The document and the server."""

    @inlineCallbacks
    def test_the_server_has_these_paths_and_methods(self) -> Any:
        """And no others: they are refused with 405, and those that are allowed."""
        served = json.loads((yield self.ask("GET", "/openapi.json")).body)
        self.assertEqual(served["openapi"], "3.1.0")
        for path, operations in served["paths"].items():
            place = re.sub(r"\{\w+\}", "x", path)
            known = {method.upper() for method in operations} & set(METHODS)
            got = yield self.ask("OPTIONS", place)
            self.assertEqual(got.status, 405)
            [allowed] = got.headers.getRawHeaders("Allow")
            self.assertEqual(set(allowed.split(", ")), known, path)

    @inlineCallbacks
    def test_refusals_are_announced(self) -> Any:
        """Every status that these requests get is in the document."""
        served = (yield self.ask("GET", "/openapi.json")).value["paths"]
        for path, operations in served.items():
            for method in {method.upper() for method in operations} & set(METHODS):
                place = re.sub(r"\{\w+\}", "x.example.org", path)
                for body, media in ((None, ""), (b"{", "application/json"), (b"{}", "application/merge-patch+json")):
                    got = yield self.ask(method, place, body, media, if_match='"x"')
                    self.assertIn(str(got.status), operations[method.lower()]["responses"], f"{method} {path}")
