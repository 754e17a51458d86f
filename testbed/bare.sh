# Sourced by testbed/check and testbed/demo, after setup.sh: the same program in a Debian that has nothing but what debootstrap
# gives, so that whatever the program needs and does not install is found out.
#
#   bare_asked "$@"                           whether `--bare [SUITE]` is among them; bare_arguments is the rest
#   bare_run PROGRAM [ARGUMENT...]            runs ./testbed/PROGRAM there, and exits with its status
#
# The root is made of a base (debootstrap --variant=minbase), which is kept below testbed/build/bare for a week and never written
# to; a clone of what is committed lies in the home of its root. It has mounts, processes, a host name and IPC of its own: nothing is
# ever mounted in the machine's own view, and when the first process there is gone, the kernel ends all others and unmounts
# everything, whatever became of us. The network is the machine's, since packages are fetched all the time; the testbeds make
# network namespaces of their own, there as here. So is the way to the packages: apt's mirror, keys and options, pip's
# configuration and what it names, certificates, resolv.conf and hosts are those of the machine.

BARE=$CHECKOUT/testbed/build/bare
BARE_SUITES=(bookworm trixie)
BARE_PACKAGES=(debootstrap debian-archive-keyring git)
# Who makes the base, or works in the root: the process that unshare is, and the folder of this run.
bare_cage='' bare_folder=''

# bare_asked ARGUMENT...: whether `--bare [SUITE]` is among them, before a `--`. bare_suite is the suite then, and bare_arguments are
# the others in any case, without the `--`.
bare_asked() {
    bare_suite='' bare_arguments=()
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
        if [[ $1 == --bare || $1 == --bare=* ]]; then
            bare_suite=${BARE_SUITES[0]}
            [[ $1 == --bare ]] || bare_suite=${1#*=}
            [[ $1 != --bare || " ${BARE_SUITES[*]} " != *" ${2-} "* || -z ${2-} ]] || { bare_suite=$2 && shift; }
            [[ " ${BARE_SUITES[*]} " == *" $bare_suite "* ]] || refuse "--bare knows ${BARE_SUITES[*]}, not $bare_suite"
        else
            bare_arguments+=("$1")
        fi
        shift
    done
    bare_arguments+=("${@:2}")
    [ -n "$bare_suite" ]
}

# bare_run PROGRAM [ARGUMENT...]: in bare_suite.
bare_run() {
    local program=$1 suite=$bare_suite status
    shift
    set +e +o pipefail # what fails is looked at here, one by one
    need_root
    need_apt "${BARE_PACKAGES[@]}"
    mkdir -p "$BARE"
    trap bare_clean EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    bare_sweep
    bare_base "$suite"
    bare_begin
    say "a bare Debian ($suite), made of testbed/build/bare/$suite.tar"
    mkdir "$bare_folder/root"
    tar -C "$bare_folder/root" --numeric-owner -xpf "$BARE/$suite.tar" || die "the base can not be unpacked"
    bare_registries "$suite" "$bare_folder/root"
    bare_clone "$bare_folder/root/root/realmgw"
    say "./testbed/$program $* in it, as root"
    bare_caged bash -c 'source "$1"; shift; bare_enter "$@"' bare "$CHECKOUT/testbed/bare.sh" "$bare_folder" "./testbed/$program" "$@"
    status=$?
    exit $status
}

# bare_caged COMMAND...: runs it with mounts and processes of its own. Whatever ends this shell ends all of them.
bare_caged() {
    # In the background, so that a signal is heard at once; such a command would otherwise be deaf to ^C.
    env --default-signal=INT,QUIT setpriv --pdeathsig KILL unshare --mount --propagation private --uts --ipc --pid --fork \
        --kill-child --mount-proc "$@" </dev/null &
    bare_cage=$!
    wait "$bare_cage"
    local status=$?
    bare_cage=''
    return $status
}

# bare_begin: makes the folder of this run, and holds its lock as long as anybody lives who has to do with it.
bare_begin() {
    local all
    exec {all}>"$BARE/lock"
    flock "$all"
    bare_folder=$(mktemp -d "$BARE/run.XXXXXX") || die "testbed/build/bare can not be written to"
    chmod 755 "$bare_folder"
    exec {bare_lock}>"$bare_folder/lock"
    flock "$bare_lock"
    exec {all}>&-
}

# bare_sweep: removes folders of runs that were killed.
bare_sweep() {
    local all one folder
    exec {all}>"$BARE/lock"
    flock "$all"
    for folder in "$BARE"/run.*; do
        [ -d "$folder" ] || continue
        exec {one}>"$folder/lock"
        flock --nonblock "$one" && bare_delete "$folder"
        exec {one}>&-
    done
    exec {all}>&-
}

# bare_clean: ends what still runs, and removes the folder of this run.
bare_clean() {
    trap '' HUP INT TERM
    if [ -n "$bare_cage" ]; then
        # The first process of the cage; when it is gone, unshare ends, and nobody is left.
        kill -KILL $(cat "/proc/$bare_cage/task/$bare_cage/children" 2>/dev/null || echo "$bare_cage") 2>/dev/null
        wait "$bare_cage" 2>/dev/null
    fi
    [ -z "$bare_folder" ] || bare_delete "$bare_folder"
}

# bare_delete FOLDER: removes it, unless something is mounted there: then what is mounted would be removed.
bare_delete() {
    local place
    while read -r _ _ _ _ place _; do
        [[ $(printf '%b' "${place//\\/\\0}") != "$1"/* ]] || {
            say "NOT REMOVED: $1 has mounts: umount them, and remove it"
            return 1
        }
    done </proc/self/mountinfo
    rm -rf --one-file-system "$1"
}

# bare_base SUITE: makes testbed/build/bare/SUITE.tar, unless there is one of less than a week.
bare_base() {
    local mirror proxy lock tar=$BARE/$1.tar
    exec {lock}>"$BARE/$1.lock"
    flock "$lock"
    if [ -z "$(find "$tar" -mtime -7 2>/dev/null)" ]; then
        source "$CHECKOUT/testbed/mirror.sh"
        mirror=$(debian_mirror main)
        [ -n "$mirror" ] || die "the machine's apt sources name no Debian mirror"
        # debootstrap fetches by wget, which knows nothing of apt's configuration.
        proxy='' && eval "$(apt-config shell proxy Acquire::http::Proxy)"
        [ -z "$proxy" ] || export http_proxy=$proxy
        say "a minimal Debian ($1) by debootstrap: takes a minute, and is kept for a week"
        bare_begin
        bare_caged debootstrap --variant=minbase --keyring="$DEBIAN_KEYRING" "$1" "$bare_folder/root" "$mirror" >"$bare_folder/log" 2>&1 || {
            tail -n 20 "$bare_folder/log" "$bare_folder/root/debootstrap/debootstrap.log" >&2 2>/dev/null
            die "debootstrap failed"
        }
        rm -rf "$bare_folder/root/var/cache/apt/archives"/*.deb "$bare_folder/root/var/lib/apt/lists"/*
        tar -C "$bare_folder/root" --numeric-owner -cf "$bare_folder/base.tar" . && mv "$bare_folder/base.tar" "$tar" || die "the base can not be kept"
        bare_delete "$bare_folder"
        bare_folder=''
        exec {bare_lock}>&-
    fi
    exec {lock}>&-
}

# bare_clone FOLDER: what is committed, as somebody would clone it.
bare_clone() {
    local changed
    # Root may run this in somebody else's checkout, which git mistrusts; -c does not reach the process that git starts.
    printf '[safe]\n\tdirectory = *\n' >"$bare_folder/gitconfig"
    export GIT_CONFIG_GLOBAL=$bare_folder/gitconfig
    git -C "$CHECKOUT" rev-parse --verify --quiet HEAD >/dev/null || die "--bare needs a git checkout: it tries a clone of what is committed"
    changed=$(git -C "$CHECKOUT" status --porcelain | wc -l)
    [ "$changed" -eq 0 ] || say "NOTE: $changed files have changes that are not committed: they are left out"
    say "a clone of $(git -C "$CHECKOUT" log -1 --format='%h, "%s"')"
    git clone --quiet --no-hardlinks "$CHECKOUT" "$1" </dev/null || die "the checkout can not be cloned"
    unset GIT_CONFIG_GLOBAL
}

# bare_registries SUITE ROOT: packages are reached from the root as from here. What is in the way of files is copied; folders
# that pip's configuration names are written to $bare_folder/bound, and bound read-only by bare_enter.
bare_registries() {
    local suite=$1 root=$2 main security path
    source "$CHECKOUT/testbed/mirror.sh"
    main=$(debian_mirror main) security=$(debian_mirror security)
    {
        echo "deb [signed-by=$DEBIAN_KEYRING] $main $suite main"
        echo "deb [signed-by=$DEBIAN_KEYRING] $main $suite-updates main"
        [ -z "$security" ] || echo "deb [signed-by=$DEBIAN_KEYRING] $security $suite-security main"
    } >"$root/etc/apt/sources.list"
    # Of apt's configuration, what somebody has put there; what packages bring comes with the packages.
    find /etc/apt/apt.conf /etc/apt/apt.conf.d /etc/apt/auth.conf /etc/apt/auth.conf.d /etc/apt/keyrings /etc/apt/trusted.gpg \
        /etc/apt/trusted.gpg.d -type f 2>/dev/null | while read -r path; do
        dpkg-query --search "$path" >/dev/null 2>&1 || bare_copy "$path" "$root"
    done
    for path in /etc/resolv.conf /etc/hosts /etc/ssl/certs /usr/local/share/ca-certificates; do
        bare_copy "$path" "$root"
    done
    : >"$bare_folder/bound"
    bare_pip "$root"
}

# bare_pip ROOT: pip's configuration, and what is named by it or by variables.
bare_pip() {
    local root=$1 path files=()
    for path in /etc/pip.conf /etc/xdg/pip/pip.conf "${PIP_CONFIG_FILE-}"; do
        [ ! -f "$path" ] || { files+=("$path") && bare_copy "$path" "$root"; }
    done
    for path in .config/pip/pip.conf .pip/pip.conf; do
        [ ! -f "$HOME/$path" ] || { files+=("$HOME/$path") && mkdir -p "$root/root/${path%/*}" && cp -L "$HOME/$path" "$root/root/$path"; }
    done
    {
        [ ${#files[@]} -eq 0 ] || grep -hvE '^ *(#|;|cache-dir|log)' "${files[@]}"
        bare_variables | tr '\0' '\n'
    } | grep -oE '(^|[[:space:]=])(file://)?/[^[:space:],]+' | sed -E 's#^[[:space:]=]*(file://)?##' | sort -u | while read -r path; do
        # An index of packages refers to files beside it.
        [[ $path != /*/simple ]] || path=${path%/simple}
        if [[ $path == /etc/* || -f $path ]]; then
            bare_copy "$path" "$root"
        elif [ -d "$path" ] && mkdir -p "$root$path"; then
            printf '%s\0' "$path" >>"$bare_folder/bound"
        fi
    done
}

# bare_copy PATH ROOT: a file or a folder to the same place below ROOT, links followed; nothing when it is not there. A link that is
# in its place there makes room: by one to /dev/null, say, the machine's own would be written to.
bare_copy() {
    [ -e "$1" ] || return 0
    mkdir -p "$2${1%/*}"
    # Links that lead nowhere are left out.
    cp -rLT --remove-destination --preserve=mode "$1" "$2$1" 2>/dev/null || [ -e "$2$1" ] || die "$1 can not be copied"
}

# bare_variables: those of our environment that tell how packages are reached, each ended by NUL.
bare_variables() {
    env -0 | grep -zE '^(PIP_[A-Z_]+|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|(https?|ftp|all|no)_proxy|(HTTPS?|FTP|ALL|NO)_PROXY)=' |
        grep -zvE '^PIP_(CACHE_DIR|TARGET|PREFIX|ROOT|USER|LOG)='
}

# bare_enter FOLDER PROGRAM [ARGUMENT...]: the first process of the cage: makes FOLDER/root the root, and runs the program there.
bare_enter() {
    local root=$1/root path variables
    set -eu
    mapfile -d '' variables < <(bare_variables)
    mount --bind "$root" "$root"
    mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
    mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys"
    mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
    mkdir -m 1777 "$root/run/lock"
    bare_devices "$root/dev"
    while IFS= read -r -d '' path; do
        mount --bind "$path" "$root$path"
        mount -o remount,bind,ro "$root$path"
    done <"$1/bound"
    hostname bare
    cd "$root"
    pivot_root . mnt
    PATH=/usr/sbin:/usr/bin:/sbin:/bin
    umount --lazy /mnt
    shift
    # Not by exec: the first process has to take in orphans, and signals that it does not await never reach it.
    exec env -i HOME=~root "PATH=/usr/local/sbin:/usr/local/bin:$PATH" "TERM=${TERM-dumb}" ${CI:+"CI=$CI"} \
        ${TESTBED_PATIENCE:+"TESTBED_PATIENCE=$TESTBED_PATIENCE"} "${variables[@]}" \
        bash -c 'cd ~/realmgw && "$@"; exit $?' bare "$@"
}

# bare_devices FOLDER: those that a container has, FUSE and TUN. They are the machine's own: who is root there can write to them, but
# not change whose they are, and who may.
bare_devices() {
    local name
    mount -t tmpfs -o mode=755,nosuid,noexec tmpfs "$1"
    mkdir "$1/pts" "$1/shm" "$1/net"
    for name in null zero full random urandom tty fuse net/tun; do
        [ -e "/dev/$name" ] || continue
        : >"$1/$name"
        mount --bind "/dev/$name" "$1/$name"
        mount -o remount,bind,ro,nosuid,noexec "$1/$name"
    done
    mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5,nosuid,noexec devpts "$1/pts"
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$1/shm"
    ln -s pts/ptmx "$1/ptmx"
    ln -s /proc/self/fd "$1/fd"
    for name in stdin:0 stdout:1 stderr:2; do
        ln -s "fd/${name#*:}" "$1/${name%:*}"
    done
}
