"""Tests for `realmgw.repository.server`, over loopback."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import DeferredList, inlineCallbacks
from twisted.internet.task import deferLater

from realmgw.repository.tokens import Tokens
from realmgw.test.repository.site import (
    LINES,
    PATCH,
    READ_TOKEN,
    WRITE_TOKEN,
    SiteTestCase,
    host,
    lines,
)


class DocumentTests(SiteTestCase):
    """Single documents."""

    @inlineCallbacks
    def test_what_was_put_can_be_got(self) -> Any:
        """Under the canonical name, with a tag."""
        put = yield self.ask("PUT", "/v1/subscribers/A.example.org", host(1))
        self.assertEqual((put.status, put.value), (201, host(1)))
        self.assertEqual(put.headers.getRawHeaders("Location"), ["/v1/subscribers/a.example.org."])
        got = yield self.ask("GET", "/v1/subscribers/a.example.org.")
        self.assertEqual((got.status, got.value, got.tag), (200, host(1), put.tag))

    @inlineCallbacks
    def test_what_is_not_there_is_not_found(self) -> Any:
        """To get, to change and to delete."""
        for method, body, media in (("GET", None, ""), ("DELETE", None, ""), ("PATCH", {}, PATCH)):
            got = yield self.ask(method, "/v1/subscribers/a.example.org", body, media)
            self.assertEqual((got.status, got.value["status"]), (404, 404))

    @inlineCallbacks
    def test_a_known_document_is_not_sent_again(self) -> Any:
        """304 when the tag is listed."""
        put = yield self.ask("PUT", "/v1/policies/p", {"max_claims": 3})
        got = yield self.ask("GET", "/v1/policies/p", if_none_match=f'"x", W/{put.tag}')
        self.assertEqual((got.status, got.body, got.tag), (304, b"", put.tag))

    @inlineCallbacks
    def test_writing_needs_the_tag_of_what_is_written_over(self) -> Any:
        """428 without a condition, 412 with that of something else."""
        put = yield self.ask("PUT", "/v1/subscribers/a.example.org", host(1))
        for method, body, media in (
            ("PUT", host(2), "application/json"),
            ("PATCH", {"address": "10.0.0.2"}, PATCH),
            ("DELETE", None, ""),
        ):
            path = "/v1/subscribers/a.example.org"
            blind = yield self.ask(method, path, body, media)
            late = yield self.ask(method, path, body, media, if_match='"something-else"')
            self.assertEqual((blind.status, late.status), (428, 412))
        got = yield self.ask("PUT", "/v1/subscribers/a.example.org", host(2), if_match=put.tag)
        self.assertEqual((got.status, got.value), (200, host(2)))
        again = yield self.ask("PUT", "/v1/subscribers/a.example.org", host(3), if_match=put.tag)
        self.assertEqual(again.status, 412)

    @inlineCallbacks
    def test_a_new_document_can_be_made_only_once(self) -> Any:
        """With If-None-Match: *."""
        first = yield self.ask("PUT", "/v1/policies/p", {}, if_none_match="*")
        second = yield self.ask("PUT", "/v1/policies/p", {}, if_none_match="*")
        self.assertEqual((first.status, second.status), (201, 412))

    @inlineCallbacks
    def test_a_patch_changes_some_members(self) -> Any:
        """And removes those that are null."""
        yield self.ask("PUT", "/v1/subscribers/a.example.org", host(1, groups=["x"], max_claims=5))
        change = {"groups": None, "max_claims": 6}
        got = yield self.ask("PATCH", "/v1/subscribers/a.example.org", change, PATCH, if_match="*")
        self.assertEqual((got.status, got.value), (200, host(1, max_claims=6)))

    @inlineCallbacks
    def test_a_deleted_document_is_gone(self) -> Any:
        """And another host may have its address."""
        yield self.ask("PUT", "/v1/subscribers/a.example.org", host(1))
        gone = yield self.ask("DELETE", "/v1/subscribers/a.example.org", if_match="*")
        self.assertEqual((gone.status, gone.body), (204, b""))
        self.assertEqual((yield self.ask("GET", "/v1/subscribers/a.example.org")).status, 404)
        self.assertEqual((yield self.ask("PUT", "/v1/subscribers/b.example.org", host(1))).status, 201)

    @inlineCallbacks
    def test_every_wrong_member_is_told_by_its_pointer(self) -> Any:
        """As the schema of the files tells lines and columns."""
        services = {"a.example.org": {"port": "22"}, "b/~.example.org": None}
        wrong = {"address": "192.0.2.300", "services": services, "adress": 1}
        got = yield self.ask("PUT", "/v1/subscribers/a.example.org", wrong)
        self.assertEqual(got.status, 422)
        self.assertEqual(got.headers.getRawHeaders("Content-Type"), ["application/problem+json"])
        expected = ["/address", "/adress", "/services/a.example.org/port", "/services/b~1~0.example.org"]
        self.assertEqual(sorted(got.pointers), expected)
        self.assertEqual((yield self.ask("GET", "/v1/subscribers/a.example.org")).status, 404)

    @inlineCallbacks
    def test_the_established_style_is_taken(self) -> Any:
        """Its first FQDN is the document's name."""
        value = {"ID": {"FQDN": ["a.example.org."], "IPV4": ["192.168.0.1"]}, "SFQDN": [{"fqdn": "a.example.org."}]}
        self.assertEqual((yield self.ask("PUT", "/v1/subscribers/a.example.org", value)).status, 201)
        other = yield self.ask("PUT", "/v1/subscribers/b.example.org", value)
        self.assertEqual((other.status, other.pointers), (422, [""]))

    @inlineCallbacks
    def test_names_and_addresses_belong_to_one_host(self) -> Any:
        """Who comes second is refused, and told who has them."""
        yield self.ask("PUT", "/v1/subscribers/a.example.org", host(1, services={"x.example.org": None}))
        got = yield self.ask("PUT", "/v1/subscribers/b.example.org", host(1, services={"x.example.org": None}))
        self.assertEqual((got.status, got.pointers), (409, ["/address", "/services/x.example.org"]))
        self.assertIn("a.example.org.", got.value["errors"][0]["detail"])
        got = yield self.ask("PUT", "/v1/subscribers/b.example.org", host(2, other_addresses=["10.0.0.1"]))
        self.assertEqual((got.status, got.pointers), (409, ["/other_addresses/0"]))

    @inlineCallbacks
    def test_bodies_that_are_no_json_are_refused(self) -> Any:
        """Each with a reason."""
        for body in (b"", b"{", b'{"a": 1, "a": 2}', b"NaN", b"1e999", b'"\\ud800"', b"\xff", b"[" * 5000, b"9" * 5000):
            got = yield self.ask("PUT", "/v1/policies/p", body)
            self.assertEqual((got.status, got.value["title"]), (400, "Bad Request"), body)
        self.assertEqual((yield self.ask("PUT", "/v1/policies/p", b"{}", "text/plain")).status, 415)
        deep = json.dumps(host(1, groups=[[[[[[[[[[[[[[[[["x"]]]]]]]]]]]]]]]]])).encode()
        self.assertEqual((yield self.ask("PUT", "/v1/subscribers/a.example.org", deep)).status, 422)

    @inlineCallbacks
    def test_names_that_are_none_are_refused(self) -> Any:
        """Of both kinds."""
        for path in ("/v1/subscribers/a..b", "/v1/subscribers/%ff", "/v1/policies/a%2Fb", "/v1/policies/%20"):
            self.assertEqual((yield self.ask("PUT", path, {})).status, 400, path)

    @inlineCallbacks
    def test_a_body_that_is_too_long_is_refused(self) -> Any:
        """And forgotten while it comes; a document that a patch makes too long as well."""
        got = yield self.ask("PUT", "/v1/policies/p", b" " * 2**20)
        self.assertEqual((got.status, got.value["status"]), (413, 413))
        many = {f"{'a' * 60}.{'b' * 60}.s{number}.example.org": None for number in range(250)}
        more = {f"{'a' * 60}.{'b' * 60}.t{number}.example.org": dict[str, str]() for number in range(250)}
        put = yield self.ask("PUT", "/v1/subscribers/a.example.org", host(1, services=many))
        self.assertEqual(put.status, 201)
        change = {"services": more}
        got = yield self.ask("PATCH", "/v1/subscribers/a.example.org", change, PATCH, if_match="*")
        self.assertEqual((got.status, got.pointers), (422, [""]))


class HttpTests(SiteTestCase):
    """What is the same for all resources."""

    @inlineCallbacks
    def test_there_is_nothing_at_other_paths(self) -> Any:
        """A problem document says so."""
        for path in ("/", "/v1", "/v1/", "/v1/subscribers/", "/v1/subscribers/a/b", "/v2/export", "/v1/export/x"):
            got = yield self.ask("GET", path)
            self.assertEqual((got.status, got.value["title"]), (404, "Not Found"), path)

    @inlineCallbacks
    def test_other_methods_are_refused(self) -> Any:
        """With those that are allowed."""
        got = yield self.ask("POST", "/v1/subscribers", {})
        self.assertEqual((got.status, got.headers.getRawHeaders("Allow")), (405, ["GET"]))

    @inlineCallbacks
    def test_head_has_no_body(self) -> Any:
        """But the same head."""
        yield self.ask("PUT", "/v1/policies/p", {})
        for path in ("/v1/policies/p", "/v1/policies", "/v1/export", "/openapi.json"):
            full, head = (yield self.ask("GET", path)), (yield self.ask("HEAD", path))
            self.assertEqual((head.status, head.body, head.tag), (200, b"", full.tag))
            self.assertEqual(head.headers.getRawHeaders("Content-Length"), [str(len(full.body))])

    @inlineCallbacks
    def test_unknown_arguments_are_refused(self) -> Any:
        """So are known ones with values that they can not have."""
        for query in ("limit=0", "limit=1001", "limit=x", "limt=1", "limit=1&limit=2", "wait=0", "wait=301"):
            self.assertEqual((yield self.ask("GET", f"/v1/subscribers?{query}")).status, 400, query)

    @inlineCallbacks
    def test_conditions_that_are_none_are_refused(self) -> Any:
        """Tags have quotes."""
        self.assertEqual((yield self.ask("GET", "/v1/export", if_none_match="abc")).status, 400)


class TokenTests(SiteTestCase):
    """Who may do what."""

    tokens = Tokens(WRITE_TOKEN, READ_TOKEN)

    @inlineCallbacks
    def test_without_a_known_token_nothing_is_told(self) -> Any:
        """But what the interface is."""
        for fields in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {WRITE_TOKEN}"}):
            got = yield self.ask("GET", "/v1/export", **fields)
            self.assertEqual(got.status, 401)
            self.assertEqual(got.headers.getRawHeaders("WWW-Authenticate"), ['Bearer realm="realmgw-repository"'])
        self.assertEqual((yield self.ask("GET", "/openapi.json")).status, 200)

    @inlineCallbacks
    def test_a_token_for_reading_does_not_write(self) -> Any:
        """The other one does."""
        reader, writer = f"Bearer {READ_TOKEN}", f"bearer {WRITE_TOKEN}"
        self.assertEqual((yield self.ask("PUT", "/v1/policies/p", {}, authorization=reader)).status, 403)
        self.assertEqual((yield self.ask("PUT", "/v1/policies/p", {}, authorization=writer)).status, 201)
        self.assertEqual((yield self.ask("GET", "/v1/policies/p", authorization=reader)).status, 200)

    @inlineCallbacks
    def test_only_who_may_write_may_send_much(self) -> Any:
        """Others are refused before their body is kept."""
        body = lines(*(("policies", f"p{number}", {}) for number in range(3000)))
        got = yield self.ask("POST", "/v1/import", body, LINES, authorization=f"Bearer {READ_TOKEN}")
        self.assertEqual(got.status, 403)
        got = yield self.ask("POST", "/v1/import", body, LINES, authorization=f"Bearer {WRITE_TOKEN}")
        self.assertEqual((got.status, got.value["changed"]), (200, 3000))


class CollectionTests(SiteTestCase):
    """Lists, exports and imports."""

    @inlineCallbacks
    def fill(self, count: int) -> Any:
        """Imports subscribers."""
        body = lines(*(("subscribers", f"h{number:04}.example.org", host(number)) for number in range(count)))
        got = yield self.ask("POST", "/v1/import", body, LINES)
        self.assertEqual((got.status, got.value["changed"]), (200, count))
        return got

    @inlineCallbacks
    def test_pages_follow_each_other(self) -> Any:
        """Until there is no next one."""
        yield self.fill(25)
        path, names = "/v1/subscribers?limit=10", []
        while path:
            page = (yield self.ask("GET", path)).value
            names += [item["name"] for item in page["items"]]
            path = page["next"]
        self.assertEqual(names, [f"h{number:04}.example.org." for number in range(25)])
        got = yield self.ask("GET", "/v1/subscribers/h0003.example.org")
        page = (yield self.ask("GET", "/v1/subscribers?limit=4")).value
        self.assertEqual((page["items"][3]["etag"], page["items"][3]["value"]), (got.tag, got.value))

    @inlineCallbacks
    def test_what_is_exported_can_be_imported(self) -> Any:
        """Nothing changes by it."""
        yield self.fill(3)
        export = yield self.ask("GET", "/v1/export")
        head, *documents = export.body.splitlines()
        self.assertEqual(json.loads(head)["count"], len(documents))
        got = yield self.ask("POST", "/v1/import?mode=replace", export.body, LINES, if_match=export.tag)
        self.assertEqual((got.status, got.tag, got.value["unchanged"]), (200, export.tag, 3))

    @inlineCallbacks
    def test_replacing_removes_what_is_not_mentioned(self) -> Any:
        """And needs to have seen it."""
        yield self.fill(3)
        body = lines(("subscribers", "h0000.example.org", host(2)), ("policies", "p", {}))
        self.assertEqual((yield self.ask("POST", "/v1/import?mode=replace", body, LINES)).status, 428)
        got = yield self.ask("POST", "/v1/import?mode=replace", body, LINES, if_match='"1-old"')
        self.assertEqual(got.status, 412)
        got = yield self.ask("POST", "/v1/import?mode=replace", body, LINES, if_match="*")
        self.assertEqual((got.value["changed"], got.value["deleted"]), (2, 2))
        page = (yield self.ask("GET", "/v1/subscribers")).value
        self.assertEqual([item["value"] for item in page["items"]], [host(2)])

    @inlineCallbacks
    def test_an_import_with_a_fault_changes_nothing(self) -> Any:
        """Every line that is wrong is told, by its index."""
        before = yield self.fill(2)
        body = lines(
            ("subscribers", "a.example.org", host(10)),
            ("subscribers", "b.example.org", host(11, port=1)),
            ("subscribers", "a.example.org.", host(12)),
            ("gateways", "g", {}),
        )
        got = yield self.ask("POST", "/v1/import", body + b"nothing\n", LINES)
        self.assertEqual((got.status, got.pointers), (422, ["/1/value/port", "/2/name", "/3", "/4"]))
        self.assertEqual((yield self.ask("GET", "/v1/export")).tag, before.tag)

    @inlineCallbacks
    def test_an_import_may_exchange_addresses(self) -> Any:
        """What counts is what is true at its end."""
        yield self.fill(2)
        swap = [("subscribers", "h0000.example.org", host(1)), ("subscribers", "h0001.example.org", host(0))]
        self.assertEqual((yield self.ask("POST", "/v1/import", lines(*swap), LINES)).status, 200)
        got = yield self.ask("POST", "/v1/import", lines(("subscribers", "c.example.org", host(1))), LINES)
        self.assertEqual((got.status, got.pointers), (409, ["/0/value"]))

    @inlineCallbacks
    def test_an_export_since_a_version_has_what_changed(self) -> Any:
        """With null for what was deleted; everything, when the version is not known."""
        tag = (yield self.fill(5)).tag
        yield self.ask("DELETE", "/v1/subscribers/h0001.example.org", if_match="*")
        yield self.ask("PUT", "/v1/subscribers/h0002.example.org", host(99), if_match="*")
        got = yield self.ask("GET", f"/v1/export?since={tag.strip(chr(34))}")
        head, *documents = map(json.loads, got.body.splitlines())
        self.assertEqual((head["since"], head["count"]), (tag.strip('"'), 2))
        self.assertEqual([document["value"] for document in documents], [None, host(99)])
        for unknown in ("1-0000000000000000", "x", "99-1", "%ff"):
            head, *documents = (yield self.ask("GET", f"/v1/export?since={unknown}")).body.splitlines()
            self.assertEqual((json.loads(head)["since"], len(documents)), (None, 4))

    @inlineCallbacks
    def test_who_waits_is_told_of_a_change_at_once(self) -> Any:
        """Everybody who does."""
        tag = (yield self.fill(1)).tag
        waiting = [self.ask("GET", "/v1/export", if_none_match=tag, prefer="wait=50") for _ in range(5)]
        waiting.append(self.ask("GET", "/v1/subscribers?wait=50", if_none_match=tag))
        yield deferLater(reactor, 0.2, lambda: None)
        self.assertFalse(any(each.called for each in waiting))
        yield self.ask("PUT", "/v1/policies/p", {})
        for success, got in (yield DeferredList(waiting)):
            self.assertTrue(success)
            self.assertEqual(got.status, 200)
            self.assertNotEqual(got.tag, tag)

    @inlineCallbacks
    def test_who_waits_in_vain_is_told_so(self) -> Any:
        """When his time is over."""
        tag = (yield self.fill(1)).tag
        got = yield self.ask("GET", "/v1/export", if_none_match=tag, prefer="respond-async, wait=1")
        self.assertEqual((got.status, got.headers.getRawHeaders("Preference-Applied")), (304, ["wait=1"]))

    @inlineCallbacks
    def test_documents_outlive_the_server(self) -> Any:
        """With their version."""
        tag = (yield self.fill(3)).tag
        yield self.tearDown()
        yield self.open()
        self.assertEqual((yield self.ask("GET", "/v1/export")).tag, tag)
