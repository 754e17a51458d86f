# Sourced by testbed/check, testbed/demo and testbed/bench: prepares a fresh Debian, and says what it does.
#
#   here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
#   source "$here/setup.sh"  # answers --help, and refuses an option that the program's help does not tell of (help.sh)
#   need_root; need_apt "${APT_PACKAGES[@]}"; need_venv
#   "$PYTHON" ...            # from here on $VENV/bin is first in PATH as well
#
# Everything here is idempotent and quick when there is nothing to do.

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$CHECKOUT/.venv
PYTHON=$VENV/bin/python
PROMETHEUS=$CHECKOUT/testbed/build/prometheus

# Whoever starts us may have no environment at all, or one without the administrator's programs. The last one is of need_promtool.
export PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:$PROMETHEUS/usr/bin HOME=${HOME:-/root}

source "$CHECKOUT/testbed/help.sh"

# What the gateway, the testbed and the tests need of Debian. NetfilterQueue and the kernel module's user-space part are
# built on the spot: hence the compiler and the headers.
APT_PACKAGES=(
    nftables libnftables1 iptables conntrack iproute2 libnetfilter-queue-dev build-essential python3-dev python3-venv
    pkg-config bind9-dnsutils curl procps ethtool
)

# What ./testbed/kmod-check needs besides: Debian's kernels are booted under qemu, and a module is built for them.
KMOD_PACKAGES=(
    qemu-system-x86 busybox-static cpio kmod libxtables-dev libelf-dev xz-utils debian-archive-keyring dkms
)

# What the tests need besides: each of these shells completes our commands, the manual is read by mandoc, the log by
# systemd's journal, hosts configure themselves by what radvd advertises, DHCP servers tell the gateway of theirs, HAProxy
# is the reverse proxy, tshark reads what was captured, nfdump collects flow records, and ulogd2 what rules tell of. need_promtool and
# need_suricata have one more each.
TEST_PACKAGES=(
    haproxy
    fish zsh mandoc systemd radvd iputils-ping knot-dnsutils
    busybox-static isc-dhcp-client isc-dhcp-server kea-dhcp4-server kea-dhcp6-server kea-dhcp-ddns-server
    tshark nfdump ulogd2
)

# The resolvers of testbed/matrix, testbed/traffic and the kernel tests. What Debian does not have is left out, by name.
# The last one is a library of systemd's, for systemd-resolved.
RESOLVER_PACKAGES=(unbound bind9 knot-resolver pdns-recursor dnsmasq-base libsystemd-shared)

# What Debian starts of all these as soon as it is installed, and at each boot: not here.
UNITS=(
    unbound named kresd@1 pdns-recursor radvd isc-dhcp-server kea-dhcp4-server kea-dhcp6-server kea-dhcp-ddns-server
    haproxy nfdump ulogd2 suricata
)

# What a Debian that has no Suricata of its own gives of its backports: that, and the library of that version that it wants.
BACKPORTS=(suricata libhtp2)

# Options of apt, besides those of need_apt.
apt_options=()

# Ctrl-C ends all of it. Without a trap bash would go on with the next step where a program (apt, pip, ruff) has minded the signal itself.
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# say TEXT...: one line of progress for the person who watches.
say() { printf '==> %s\n' "$*"; }

# die TEXT...: one line that says what to do, and the end.
die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# need_root: ends the program, with a hint, when it does not run as root.
need_root() {
    [ "$(id -u)" -eq 0 ] || die "needs root (namespaces, nftables, NFQUEUE): run  sudo $0"
}

# missing_packages PKG...: prints those that are not installed, each on a line.
missing_packages() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

# need_apt PKG...: installs what is missing of these Debian packages, and nothing else, for their programs only: no service is
# started, neither now nor at the next boot.
need_apt() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "needs ${missing[*]}, and can install them by apt-get only: install them yourself"
    [ "$(id -u)" -eq 0 ] || die "needs the packages ${missing[*]}: run  sudo apt-get install ${missing[*]}"
    say "installing Debian packages: ${missing[*]}"
    local options=(-o DPkg::Lock::Timeout=400 -o Acquire::Retries=3 "${apt_options[@]}")
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq "${options[@]}" update </dev/null || die "apt-get update failed: is the network up?"
    (without_services apt-get -qq "${options[@]}" install --yes --no-install-recommends "${missing[@]}" </dev/null >/dev/null) ||
        die "apt-get could not install ${missing[*]}"
}

# need_resolvers: installs what is missing of the resolvers, each by itself. systemd-resolved, whose installation changes how this
# machine resolves names, is only unpacked below testbed/build.
need_resolvers() {
    local package missing unpacked=$CHECKOUT/testbed/build/resolvers
    mapfile -t missing < <(missing_packages "${RESOLVER_PACKAGES[@]}")
    # All at once is quicker; but one that Debian does not have must not keep the others away.
    if [ "${#missing[@]}" -gt 0 ] && ! (need_apt "${missing[@]}"); then
        for package in "${missing[@]}"; do
            (need_apt "$package") || say "MISSING: $package can not be installed"
        done
    fi
    (unpack_package systemd-resolved "$unpacked") || say "MISSING: systemd-resolved can not be downloaded"
}

# need_suricata: the intrusion detection system. Debian 12 has it in its backports only. Those are in sources, preferences and lists of apt
# that are gone afterwards, and nothing but BACKPORTS is taken of them.
need_suricata() {
    local private apt_options
    [ -n "$(missing_packages suricata)" ] || return 0
    private=$(mktemp -d) && mkdir -p "$private/lists/partial" || die "no temporary folder can be made"
    apt_options=(
        -o "Dir::Etc::SourceList=$private/sources.list" -o "Dir::Etc::Preferences=$private/preferences" -o "Dir::State::Lists=$private/lists"
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root
    )
    if apt-get -qq --simulate install suricata >/dev/null 2>&1; then
        apt_options=()
    else
        with_backports "$private"
    fi
    (need_apt suricata) || say "MISSING: suricata can not be installed"
    rm -rf "$private"
}

# with_backports FOLDER: used by need_suricata only. Writes sources of apt, this machine's and its Debian's backports from the same mirror,
# and preferences.
with_backports() {
    local mirror release
    source "$CHECKOUT/testbed/mirror.sh"
    mirror=$(debian_mirror main) release=$(. /etc/os-release && echo "${VERSION_CODENAME-}-backports")
    {
        cat /etc/apt/sources.list
        apt-get indextargets --format '$(RELEASE)' | grep -qxF "$release" || echo "deb [signed-by=$DEBIAN_KEYRING] $mirror $release main"
    } >"$1/sources.list" 2>/dev/null
    {
        cat /etc/apt/preferences && echo
        printf 'Package: %s\nPin: release n=%s\nPin-Priority: %s\n\n' "${BACKPORTS[*]}" "$release" 990 '*' "$release" -1
    } >"$1/preferences" 2>/dev/null
}

# need_promtool: Prometheus' own program to look at rules and metrics. Its package brings a service, and is only unpacked.
need_promtool() {
    (unpack_package prometheus "$PROMETHEUS") || say "MISSING: promtool can not be downloaded"
}

# without_services COMMAND...: used by need_apt only, in a shell of its own. What the command installs is not started, and not
# enabled; what was enabled before stays so.
without_services() {
    local policy=/usr/sbin/policy-rc.d unit enabled=() status
    for unit in "${UNITS[@]}"; do
        systemctl is-enabled --quiet "$unit" 2>/dev/null && enabled+=("$unit")
    done
    if [ ! -e "$policy" ]; then
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    fi
    "$@"
    status=$?
    for unit in "${UNITS[@]}"; do
        [[ " ${enabled[*]} " == *" $unit "* ]] || systemctl disable --quiet "$unit" 2>/dev/null
    done
    return $status
}

# unpack_package PACKAGE FOLDER: downloads a Debian package and unpacks its files, without installing it, unless the folder is there.
unpack_package() {
    local work status
    [ ! -d "$2" ] || return 0
    say "unpacking the Debian package $1 below testbed/build"
    work=$(mktemp -d) && chmod 755 "$work" && cd "$work" || return 1
    apt-get -o Acquire::Retries=3 -o APT::Sandbox::User=root download "$1" </dev/null && rm -rf "$2.part" && mkdir -p "$2.part" &&
        dpkg -x "$1"_*.deb "$2.part" && mv -T "$2.part" "$2" # whole, or not there
    status=$?
    rm -rf "$work"
    return $status
}

# python_requirements [EXTRA...]: prints the run-time and the test requirements of setup.cfg, each on a line; or those of extras.
python_requirements() {
    /usr/bin/python3 - "$CHECKOUT/setup.cfg" "$@" <<'PYTHON'
import configparser, sys

configuration = configparser.ConfigParser()
configuration.read(sys.argv[1])
extras = configuration["options.extras_require"]
if sys.argv[2:]:
    lists = [extras[name] for name in sys.argv[2:]]
else:
    lists = configuration["options"]["install_requires"], extras["test"]
print(*(line for each in lists for line in each.split("\n") if line), sep="\n")
PYTHON
}

# need_venv: a virtual environment in the checkout with all Python requirements, made again whenever they have changed (or the
# interpreter, or the place of the checkout). The project itself is not installed into it: it runs from the checkout, by PYTHONPATH.
need_venv() {
    local requirements stamp
    requirements=$(python_requirements) || die "setup.cfg can not be read"
    stamp=$(printf '%s\n' "$requirements" "$(/usr/bin/python3 --version)" "$VENV" | sha256sum)
    (
        flock 9 # two programs may be started at once
        [ "$(cat "$VENV/stamp" 2>/dev/null)" = "$stamp" ] || make_venv "$requirements" "$stamp"
    ) 9>"$CHECKOUT/.venv.lock" || exit 1
    export PATH=$VENV/bin:$PATH PYTHONPATH=$CHECKOUT${PYTHONPATH:+:$PYTHONPATH}
}

# make_venv REQUIREMENTS STAMP: used by need_venv only. The stamp is written last: what was interrupted is made again.
make_venv() {
    say "making the virtual environment .venv with $(/usr/bin/python3 --version)"
    rm -rf "$VENV"
    /usr/bin/python3 -m venv "$VENV" || die "needs the Debian package python3-venv"
    # shellcheck disable=SC2086 # one word each: requirements contain no spaces
    "$PYTHON" -m pip install -qq --disable-pip-version-check --retries 5 $1 </dev/null || die "pip could not install the requirements of setup.cfg"
    printf '%s\n' "$2" >"$VENV/stamp"
}

# need_extra NAME: installs the requirements of one of setup.cfg's extras into the environment of need_venv, if they are not there.
# Without a network it says so, and the program goes on without.
need_extra() {
    local requirements
    requirements=$(python_requirements "$1") || die "setup.cfg can not be read"
    # shellcheck disable=SC2086 # one word each
    "$PYTHON" - $requirements <<'PYTHON' && return
import re, sys
from importlib.metadata import PackageNotFoundError, version
try:
    [version(re.match("[A-Za-z0-9._-]+", each)[0]) for each in sys.argv[1:]]
except PackageNotFoundError:
    sys.exit(1)
PYTHON
    say "installing $(echo $requirements) into .venv"
    # shellcheck disable=SC2086
    "$PYTHON" -m pip install -qq --disable-pip-version-check --retries 5 $requirements </dev/null || say "SKIPPED: $(echo $requirements) can not be installed"
}
