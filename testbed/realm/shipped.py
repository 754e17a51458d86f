"""Resolvers as Debian ships them: their configuration, with the least changed that makes them run here.

Each takes the files that its package has put into /etc, or nothing where these say nothing, and leaves out the lines
that can not be so here. What is added is told by docs/resolvers.md: where to listen and ask from, privileges and
folders, the hints of our own root, and no trust anchor for it, since it is not signed. Then come the lines of a
setting, which their users would have written.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

import attrs

from testbed.realm.root import HINTS, HINTS6
from testbed.realm.topology import GATEWAY


@attrs.frozen
class Site:
    """Where a resolver runs."""

    folder: Path
    """A folder of its own."""
    address: str
    """Where it listens, and asks from."""
    program: str
    """What to start."""
    upstream: str = GATEWAY
    """Whom one asks that begins at no root."""
    lines: tuple[str, ...] = ()
    """What its user has set, in its own words."""
    address6: str = ""
    """Where it listens besides, and asks from as it likes; not of all kinds."""

    def write(self, name: str, text: str) -> Path:
        """Writes a file into its folder.

        Args:
            name: Of the file.
            text: Its contents.
        """
        path = self.folder / name
        path.write_text(text)
        return path

    @property
    def hints(self) -> Path:
        """A file with the root hints."""
        return self.write("root.hints", HINTS6 if self.address6 else HINTS)


def shipped(*paths: Path, without: str) -> str:
    """The configuration that a package has put into files, without some of its lines.

    Args:
        paths: In the order in which they count; those that are not there say nothing.
        without: A regular expression; lines with it are left out.
    """
    lines = (line for path in paths if path.is_file() for line in path.read_text().splitlines())
    return "".join(f"{line}\n" for line in lines if not re.search(without, line))


def unbound(site: Site) -> Sequence[str]:
    """`/etc/unbound/unbound.conf.d`, which is all that its main file asks for.

    Args:
        site: Where it runs.
    """
    parts = sorted(Path("/etc/unbound/unbound.conf.d").glob("*.conf"))
    own = shipped(*parts, without=r"^\s*(auto-trust-anchor-file|control-enable|control-interface):")
    six = ("interface: {0}", "outgoing-interface: {0}", "access-control: ::/0 allow", "prefer-ip6: yes")
    besides = [line.format(site.address6) for line in six] if site.address6 else ["do-ip6: no"]
    text = f"""{own}
server:
  directory: "{site.folder}"
  username: ""
  use-syslog: no
  logfile: ""
  interface: {site.address}
  outgoing-interface: {site.address}
  access-control: 0.0.0.0/0 allow
  root-hints: "{site.hints}"
{_indented([*besides, *site.lines])}remote-control:
  control-enable: no
"""
    return [site.program, "-d", "-p", "-c", str(site.write("unbound.conf", text))]


def bind(site: Site) -> Sequence[str]:
    """Whatever `/etc/bind/named.conf` includes: the options, which are ours to end, and the usual zones.

    Args:
        site: Where it runs.
    """
    included = re.findall(r'^include "(.*)";', shipped(Path("/etc/bind/named.conf"), without="^//"), re.MULTILINE)
    parts = [shipped(Path(path), without=r"^\s*(directory|dnssec-validation|listen-on-v6)\b") for path in included]
    options = "".join(part for part in parts if re.search(r"^options\b", part, re.MULTILINE))
    zones = "".join(part for part in parts if part != options).replace("/usr/share/dns/root.hints", str(site.hints))
    six = (f"listen-on-v6 {{ {site.address6}; }};", f"query-source-v6 address {site.address6};")
    family = [] if site.address6 else ["-4"]
    text = f"""{options.rpartition("}")[0] or "options {"}
  directory "{site.folder}";
  pid-file none;
  session-keyfile none;
  listen-on {{ {site.address}; }};
  query-source address {site.address};
  allow-recursion {{ any; }};
  dnssec-validation no;
{_indented([*(six if site.address6 else ()), *site.lines])}}};
controls {{ }};
{zones}"""
    return [site.program, *family, "-g", "-c", str(site.write("named.conf", text))]


def knot(site: Site) -> Sequence[str]:
    """`kresd.conf`, which has `hints`, `stats` and `predict` loaded.

    Args:
        site: Where it runs.
    """
    six = (f"net.listen('{site.address6}', 53, {{ kind = 'dns' }})", f"net.outgoing_v6('{site.address6}')")
    own = six if site.address6 else ("net.ipv6 = false",)
    text = f"""rawset(cache, 'current_storage', 'lmdb://{site.folder}')
{shipped(Path("/etc/knot-resolver/kresd.conf"), without="^net.listen")}
net.listen('{site.address}', 53, {{ kind = 'dns' }})
net.outgoing_v4('{site.address}')
trust_anchors.remove('.')
hints.root_file('{site.hints}')
{_indented([*own, *site.lines])}"""
    return [site.program, "-n", "-c", str(site.write("kresd.conf", text)), str(site.folder)]


def powerdns(site: Site) -> Sequence[str]:
    """`recursor.conf`, as it is: the command line counts more, and speaks its language in every version.

    Its trust anchor may stay, since it validates for those only who ask for that.

    Args:
        site: Where it runs.
    """
    site.write("recursor.conf", shipped(Path("/etc/powerdns/recursor.conf"), without=r"^config-dir="))
    ours = ("daemon=no", "write-pid=no", "disable-syslog", f"config-dir={site.folder}", f"socket-dir={site.folder}")
    where = (f"local-address={site.address}", f"query-local-address={site.address}", f"hint-file={site.hints}")
    return [site.program, *(f"--{word}" for word in (*ours, *where, "dont-query=", *site.lines))]


def dnsmasq(site: Site) -> Sequence[str]:
    """Nothing: the file that Debian ships has comments only.

    Args:
        site: Where it runs.
    """
    return [
        *(site.program, "--keep-in-foreground", "--user=root", "--conf-file=/dev/null", "--pid-file="),
        *("--no-resolv", f"--server={site.upstream}@{site.address}", "--log-facility=-"),
        *("--bind-interfaces", f"--listen-address={site.address}"),
        *(f"--{line}" for line in site.lines),
    ]


def resolved(site: Site) -> Sequence[str]:
    """Nothing: the file that Debian ships has comments only.

    It knows one place only for its configuration and its state: in a mount namespace, these are ours.

    Args:
        site: Where it runs.
    """
    text = f"""[Resolve]
DNS={site.upstream}
Domains=~.
DNSStubListenerExtra={site.address}
"""
    config = site.write("resolved.conf", text + "".join(f"{line}\n" for line in site.lines))
    script = f"""set -e
mount -t tmpfs none /run/systemd 2>/dev/null || {{ mkdir -p /run/systemd; mount -t tmpfs none /run/systemd; }}
mkdir -p /run/systemd/resolve /run/systemd/resolved.conf.d
cp {shlex.quote(str(config))} /run/systemd/resolved.conf.d/testbed.conf
chown -R 65534 /run/systemd/resolve
exec setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=+net_bind_service,+net_raw,+setpcap \\
    --ambient-caps=+net_bind_service,+net_raw,+setpcap {shlex.quote(site.program)}
"""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]


def _indented(lines: Sequence[str]) -> str:
    return "".join(f"  {line}\n" for line in lines)
