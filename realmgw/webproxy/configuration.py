"""What HAProxy is told when it begins: its configuration, and the file of its map; text, for HAProxy 2.6 and later.

Nothing in it depends on names: they stand in the map, so it is the same whoever comes and goes. Each request is asked
for its host, also on a connection that has had others, and a connection to a host is never another client's.

TLS is passed on as it is, but for names whose route says that it ends here: they are led to a frontend of the proxy
itself that has the certificates, and from there on as those who come by HTTP. Whoever asks for a name that is none of
ours by TLS, or for no name, is led to a server of the proxy itself that has no certificate: it answers with the alert
`unrecognized_name` (RFC 6066, 3).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from realmgw.config.certificates import Bundle
from realmgw.config.settings import Address, Webproxy
from realmgw.config.terms import Look
from realmgw.config.webproxy import Health
from realmgw.webproxy import names

SEPARATOR = names.SEPARATOR
CLIENTS_KEPT = 100_000
"""So many senders the proxy remembers the connections of."""
HTTP, TLS, ENDED = "http", "tls", "https"
"""Where clients come in; and where those come in again whose TLS ends here."""
HTTP_HOSTS, TLS_HOSTS = ("http-hosts", "http-hosts-told"), ("tls-hosts", "tls-hosts-told")
"""Where they go: as they are, and with the PROXY protocol before it."""
CHECKED = {(way, look): f"{way}-hosts-{look.value}" for way in (HTTP, TLS) for look in Look}
"""Where those go whose host is looked at, by how they come and how that is done."""
HTTP_UNKNOWN, TLS_UNKNOWN, TLS_NAMELESS = "http-unknown", "tls-unknown", "tls-nameless"
"""Where those end whose name is none of ours, and those who say none."""
TLS_HIDDEN = "tls-hidden"
"""The same, if they say by Encrypted Client Hello that another name may be meant."""
REFUSAL = "refusal.sock"
"""The socket at which it answers those in the folder that it sees."""
TLS_ENDING, MISDIRECTED = "tls-ending", "https-misdirected"
"""Where TLS goes that ends here, and requests for another name than that by which TLS was begun (RFC 9110, 15.5.20)."""
ENDING = "https.sock"
"""The socket at which TLS is ended, in the same folder."""
CHALLENGES = "/.well-known/acme-challenge/"
"""What a host's certificate may depend on, by HTTP (RFC 8555, 8.3)."""
TOLD_BY_PROXIES = "^(forwarded|x[-_]forwarded[-_].*|x[-_]real[-_]ip)$"
"""Header fields that hosts believe of a proxy, in small letters. To CGI and its like an underscore is a hyphen."""
HOST = r"^(([a-z0-9_-]+(\.[a-z0-9_-]+)*\.?|\[[0-9a-f:.]+\])(:[0-9]*)?)?$"
"""What `Host` may be: a name, an address, a port behind it, or nothing (RFC 9112, 3.2). Two have a comma."""
HIDING = "FE0D.{4}00000[123]000[123]"
"""The extension that hides which name is meant (RFC 9849), in hexadecimal: its kind, and how it is encrypted."""
_BEFORE_TAG = ":"
_PAGE = "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>{0}</title><h1>{0}</h1><p>{1}"
_HTML = 'content-type "text/html; charset=utf-8"'
PAGE = _PAGE.format("Not here", "There is no web site of this name at this address.")
"""What is told those who ask for a name that is none of ours."""
DOWN = (
    (503, _PAGE.format("Not reached", "The server of this web site does not take connections at present."), "10"),
    (504, _PAGE.format("No answer", "The server of this web site has not answered in time."), "60"),
)
"""What is told those whose host does not accept a connection, or says nothing; and after how many seconds they may ask
again. Nobody may keep it."""


@attrs.frozen
class Place:
    """Where the proxy's files are, and as whom it runs."""

    stem: str
    """What the names of its files begin with; they are in the folder in which it runs."""
    uid: int
    """Its user."""
    gid: int
    """Its group."""

    @property
    def configuration(self) -> str:
        """The file that HAProxy reads."""
        return f"{self.stem}.cfg"

    @property
    def map(self) -> str:
        """That of names and routes; the runtime API knows the map by this name."""
        return f"{self.stem}.map"

    @property
    def socket(self) -> str:
        """The socket of its runtime API."""
        return f"{self.stem}.sock"

    @property
    def certificates(self) -> str:
        """The folder of the certificates that it uses."""
        return f"{self.stem}.certificates"

    @property
    def list(self) -> str:
        """The file that names them; the runtime API knows their list by this name."""
        return f"{self.stem}.list"

    @property
    def root(self) -> str:
        """The only folder that it sees once it runs; nothing but its own sockets is in it."""
        return f"{self.stem}.root"


def text(how: Webproxy, addresses: Iterable[Address], place: Place) -> str:
    """The configuration.

    Args:
        how: What is asked for.
        addresses: Where it listens; at least one.
        place: Where its files are.
    """
    listen = tuple(addresses)
    sections: Mapping[str, Iterator[str]] = {
        "global": _global(how, place),
        "defaults": _defaults(how),
        "backend clients": iter([f"stick-table type ipv6 size {CLIENTS_KEPT} expire 5m store conn_cur"]),
        f"frontend {HTTP}": _http(how, listen, place),
        **{f"backend {name}": _http_hosts(is_told=bool(told)) for told, name in enumerate(HTTP_HOSTS)},
        f"backend {HTTP_UNKNOWN}": _http_unknown(),
        f"frontend {TLS}": _tls(how, listen, place),
        **{f"backend {name}": _tls_hosts(is_told=bool(told)) for told, name in enumerate(TLS_HOSTS)},
        **{f"backend {name}": _checked(how.health, way, look, place) for (way, look), name in CHECKED.items()},
        **{f"backend {name}": _tls_refused() for name in (TLS_UNKNOWN, TLS_NAMELESS, TLS_HIDDEN)},
        f"backend {TLS_ENDING}": iter([f"server ending unix@/{ENDING} send-proxy-v2"]),
        f"frontend {ENDED}": _ended(how, place),
        f"backend {MISDIRECTED}": _http_unknown(),
        "frontend tls-refusal": iter([f"bind {_inner(place, REFUSAL)} ssl strict-sni"]),
    }
    return "\n".join("".join(f"{line}\n" for line in (head, *(f"    {each}" for each in lines)))
                     for head, lines in sections.items())  # fmt: skip


def map_text(routes: Mapping[str, str]) -> str:
    """The file of the map. At first no host is looked at: what HAProxy needs for that can not be in its files."""
    return "".join(f"{name} {names.plain(route)}\n" for name, route in routes.items())


def certificate_line(bundle: Bundle, place: Place) -> str:
    """A line of the list of certificates: its file, and for which names it is asked for, with a last dot or without."""
    return f"{certificate_file(bundle, place)} {bundle.asked}"


def certificate_file(bundle: Bundle, place: Place) -> str:
    """The file of a certificate, as HAProxy knows it."""
    return f"{place.certificates}/{bundle.key}"


def _global(how: Webproxy, place: Place) -> Iterator[str]:
    yield f"uid {place.uid}"
    yield f"gid {place.gid}"
    yield f"chroot {place.root}"
    yield f"stats socket unix@{place.socket} mode 600 level admin"
    yield f"maxconn {how.taken}"
    yield "spread-checks 20"


def _defaults(how: Webproxy) -> Iterator[str]:
    yield "mode tcp"
    yield f"maxconn {how.connections}"
    yield f"timeout connect {_time(how.connect_timeout)}"
    yield f"timeout client {_time(how.idle_timeout)}"
    yield f"timeout server {_time(how.idle_timeout)}"
    yield f"timeout tunnel {_time(how.tunnel_timeout)}"
    yield f"timeout http-request {_time(how.request_timeout)}"
    yield "http-reuse never"


def _in(how: Webproxy, listen: Iterable[Address], port: int) -> Iterator[str]:
    """Where it listens, and whom it does not take."""
    yield from (f"bind {_address(each)}:{port}" for each in listen)
    yield "tcp-request connection track-sc0 src,ipmask(32,64) table clients"
    yield f"tcp-request connection reject if {{ sc0_conn_cur gt {how.connections_per_client} }}"


def _http(how: Webproxy, listen: Iterable[Address], place: Place) -> Iterator[str]:
    port = "" if how.https_port == 443 else f":{how.https_port}"  # the default of https (RFC 9110, 4.2.2)
    yield "mode http"
    yield from _in(how, listen, how.http_port)
    yield from _asked(place)
    yield (
        f"http-request redirect location https://%[var(txn.name)]{port}%[pathq] code 308"
        f" if {_is_yes(names.REDIRECT)} !{{ path_beg {CHALLENGES} }}"
    )
    yield from _passed_on("http")


def _ended(how: Webproxy, place: Place) -> Iterator[str]:
    """TLS ends here. Without a certificate for its name it is told so by TLS, and never has another's."""
    having = "" if how.certificates is None else f" crt-list {place.list}"
    yield "mode http"
    yield f"bind {_inner(place, ENDING)} accept-proxy ssl{having} strict-sni alpn h2,http/1.1 ssl-min-ver TLSv1.2"
    yield from _asked(place)
    yield "http-request set-var(txn.sni) ssl_fc_sni,lower,rtrim(.)"
    yield from _passed_on("https", f"use_backend {MISDIRECTED} if !{{ var(txn.sni),strcmp(txn.name) eq 0 }}")


def _asked(place: Place) -> Iterator[str]:
    """Which host is meant; or that it can not be told, or where the request ends."""
    yield "http-request deny deny_status 400 if { req.ver 1.1 } !{ req.fhdr(host) -m found }"
    yield f"http-request deny deny_status 400 if {{ req.fhdr(host) -m found }} !{{ req.fhdr(host) -i -m reg '{HOST}' }}"
    yield "http-request deny deny_status 400 if { req.ver 1.0 } { req.fhdr(transfer-encoding) -m found }"
    yield "http-request set-var(txn.name) req.fhdr(host),host_only,lower,rtrim(.)"
    yield f"http-request set-var(txn.route) var(txn.name),map_str({place.map})"


def _passed_on(scheme: str, *first: str) -> Iterator[str]:
    """What hosts are told of the client, and where they are; `first` says who does not get there."""
    # By HTTP/2 within the connection nobody would be asked for his name; and what `Connection` names, hosts take away.
    yield "http-request del-header upgrade if { req.fhdr(upgrade) -i -m sub h2c }"
    yield "http-request del-header http2-settings"
    upgrading = "{ req.fhdr(connection) -i -m sub upgrade } { req.fhdr(upgrade) -m found }"
    yield f"http-request del-header connection unless {upgrading}"
    yield "http-request set-header connection upgrade if { req.fhdr(connection) -m found }"
    yield f"http-request del-header {TOLD_BY_PROXIES} -m reg"
    yield "http-request set-header X-Forwarded-For %[src]"
    yield f"http-request set-header X-Forwarded-Proto {scheme}"
    yield from first
    yield from _leading(HTTP, HTTP_UNKNOWN, *HTTP_HOSTS)


def _http_hosts(*, is_told: bool) -> Iterator[str]:
    yield from _http_pages()
    yield from _leads("http-request", names.HTTP, is_told=is_told)


def _http_pages() -> Iterator[str]:
    yield "mode http"
    for status, page, seconds in DOWN:
        yield f'http-error status {status} {_HTML} string "{page}" hdr Retry-After {seconds} hdr Cache-Control no-store'


def _checked(how: Health, way: str, look: Look, place: Place) -> Iterator[str]:
    """Hosts that are looked at. Their servers are brought later, and are called by their name and the route's tag."""
    if way == HTTP:
        yield from _http_pages()
    yield "balance roundrobin"  # of servers that have no weight: nobody is led to one that is not his
    yield f"timeout check {_time(how.timeout)}"
    if look is Look.REQUEST:
        name = f"srv_name,field(1,{_BEFORE_TAG})"
        path = f"{name},map_str({place.map}),field({names.PATH},{SEPARATOR},0)"
        yield "option httpchk"
        yield f"http-check send meth GET uri-lf %[{path}] ver HTTP/1.1 hdr Host %[{name}] hdr User-Agent realmgw"
        yield f"http-check expect status {how.status}"
    rule = "http-request" if way == HTTP else "tcp-request content"
    # In a variable: what `use-server` makes of several parts is not what they say, in 2.6.
    yield f"{rule} set-var-fmt(txn.server) %[var(txn.name)]{_BEFORE_TAG}%[{_field(names.TAG)}]"
    yield "use-server %[var(txn.server)] if TRUE"


def _http_unknown() -> Iterator[str]:
    yield "mode http"
    yield f'http-request return status 421 {_HTML} string "{PAGE}"'


def _tls(how: Webproxy, listen: Iterable[Address], place: Place) -> Iterator[str]:
    yield from _in(how, listen, how.https_port)
    yield f"tcp-request inspect-delay {_time(how.request_timeout)}"
    yield "tcp-request content reject if !{ req.ssl_hello_type 1 }"
    # Only a condition waits until the whole ClientHello is there, so this one has to come first.
    yield "tcp-request content set-var(txn.nameless) bool(true) if !{ req.ssl_sni -m found }"
    yield "tcp-request content set-var(txn.name) req.ssl_sni,lower,rtrim(.)"
    yield f"tcp-request content set-var(txn.route) var(txn.name),map_str({place.map})"
    yield f"use_backend {TLS_NAMELESS} if {{ var(txn.nameless) -m found }}"
    yield f"use_backend {TLS_ENDING} if {_is_yes(names.ENDS_TLS)}"
    hidden = f"{{ req.payload(0,0),bytes(0,8000),hex -m reg {HIDING} }}"
    yield f"use_backend {TLS_HIDDEN} if !{{ var(txn.route) -m found }} {hidden}"
    yield from _leading(TLS, TLS_UNKNOWN, *TLS_HOSTS)


def _tls_hosts(*, is_told: bool) -> Iterator[str]:
    yield from _leads("tcp-request content", names.HTTPS, is_told=is_told)


def _tls_refused() -> Iterator[str]:
    yield f"server refusal unix@/{REFUSAL}"


def _leading(way: str, unknown: str, plain: str, told: str) -> Iterator[str]:
    yield f"use_backend {unknown} if !{{ var(txn.route) -m found }}"
    health = _field(names.HTTP_HEALTH if way == HTTP else names.HTTPS_HEALTH)
    yield from (f"use_backend {CHECKED[way, look]} if {{ {health} {look.value} }}" for look in Look)
    yield f"use_backend {told} if {_is_yes(names.PROXY_PROTOCOL)}"
    yield f"default_backend {plain}"


def _leads(rule: str, port: int, *, is_told: bool) -> Iterator[str]:
    """To the host that the route says."""
    yield f"{rule} set-dst {_field(names.ADDRESS)}"
    yield f"{rule} set-dst-port {_field(port)}"
    yield f"server host 0.0.0.0:0{' send-proxy-v2' if is_told else ''}"


def _field(number: int) -> str:
    return f"var(txn.route),field({number},{SEPARATOR})"


def _is_yes(number: int) -> str:
    return f"{{ {_field(number)} {names.YES} }}"


def _inner(place: Place, name: str) -> str:
    """Where the proxy listens for itself: only root and the gateway may make something there, and its user connect."""
    return f"unix@{place.root}/{name} uid {place.uid} gid {place.gid} mode 600"


def _address(address: Address) -> str:
    return f"ipv{address.version}@{address}"


def _time(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"
