"""What stands beside the gateway: services of registered hosts, the web proxy, a repository."""

from __future__ import annotations

from pathlib import PurePath

from realmgw.config.consistency.found import LISTENING, Found, at, parts, values
from realmgw.config.document import Problems
from realmgw.config.labels import Label
from realmgw.config.settings import Webproxy
from realmgw.config.terms import DefaultService
from realmgw.system.endpoints import Endpoint


def _registered(problems: Problems) -> Found[None]:
    """Services of hosts that are registered and known nowhere else."""
    there = set[str | None]()
    for service, node in values(problems, Label.DEFAULT_SERVICE, DefaultService):
        if service.proxy_required and not problems.remembered.get(Label.SERVICE):
            yield node, "'proxy_required' needs the service pool, and there is none: write pools.service, or remove it"
        yield (node, "there are two services of this name: remove one") if service.label in there else None
        there.add(service.label)


def _webproxy(problems: Problems) -> Found[None]:
    """Where it listens, and nobody else."""
    for how, node in parts(problems, Webproxy):
        if not how.enabled:
            continue
        if not problems.remembered.get(Label.SERVICE):
            yield at(node, "enabled"), "the web proxy needs the service pool, and there is none: write pools.service"
        if how.http_port == how.https_port:
            word = "https_port" if "https_port" in node.pairs else "http_port"
            yield at(node, word), f"HTTP and TLS can not both have port {how.http_port}: write another"
        ports = how.http_port, how.https_port
        service = {address for address, _ in problems.remembered.get(Label.SERVICE, ())}
        for label, who in LISTENING:
            for listen, there in problems.remembered.get(label, ()):
                if isinstance(listen, Endpoint) and listen.address in service and listen.port in ports:
                    where = f"port {listen.port} of {listen.address}"
                    yield there, f"the web proxy has {where}: have {who} listen elsewhere"
                yield None


def _repository(problems: Problems) -> Found[None]:
    url = next((value for value, _ in values(problems, Label.URL, str)), None)
    for label, word in ((Label.TOKEN_FILE, "token_file"), (Label.CA_FILE, "ca_file")):
        for _, node in values(problems, label, PurePath):
            if url is None:
                yield node, f"{word!r} is of no use without 'url': write the repository's 'url', or remove it"
    for _, node in values(problems, Label.CA_FILE, PurePath):
        if url is not None and url.startswith("http:"):
            yield node, "'ca_file' is of no use with http: write https in 'url', or remove it"


PARTS = (_registered, _webproxy, _repository)
"""Each says what is wrong with its own."""
