# Sourced by testbed/check, testbed/demo and testbed/bench: prepares a fresh Debian 12, and says what it does.
#
#   here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
#   source "$here/setup.sh"
#   need_root; need_apt "${APT_PACKAGES[@]}"; need_venv
#   "$PYTHON" ...            # from here on $VENV/bin is first in PATH as well
#
# Everything here is idempotent and quick when there is nothing to do.

CHECKOUT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$CHECKOUT/.venv
PYTHON=$VENV/bin/python

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

# need_apt PKG...: installs what is missing of these Debian packages, and nothing else.
need_apt() {
    local missing
    mapfile -t missing < <(missing_packages "$@")
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "needs ${missing[*]}, and can install them by apt-get only: install them yourself"
    [ "$(id -u)" -eq 0 ] || die "needs the packages ${missing[*]}: run  sudo apt-get install ${missing[*]}"
    say "installing Debian packages: ${missing[*]}"
    local options=(-o DPkg::Lock::Timeout=400 -o Acquire::Retries=3)
    DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" update </dev/null || die "apt-get update failed: is the network up?"
    DEBIAN_FRONTEND=noninteractive apt-get "${options[@]}" install --yes --no-install-recommends "${missing[@]}" </dev/null ||
        die "apt-get could not install ${missing[*]}"
}

# python_requirements: prints the run-time and the test requirements of setup.cfg, each on a line.
python_requirements() {
    /usr/bin/python3 - "$CHECKOUT/setup.cfg" <<'PYTHON'
import configparser, sys

configuration = configparser.ConfigParser()
configuration.read(sys.argv[1])
lists = configuration["options"]["install_requires"], configuration["options.extras_require"]["test"]
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
    "$PYTHON" -m pip install --disable-pip-version-check --retries 5 $1 </dev/null || die "pip could not install the requirements of setup.cfg"
    printf '%s\n' "$2" >"$VENV/stamp"
}
