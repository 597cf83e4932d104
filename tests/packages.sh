#!/bin/sh
# Called by `make test`: as root on Debian or Ubuntu, install the packages that the tests use, without starting any of
# their services, and unpack a guest kernel into .cache. Quiet when all is there. Elsewhere, say in one line what will
# be left out. Waits while another program installs, and tries again what a network did not give; half an hour
# at most. Never fails: tests without their packages skip and say so.
packages="openvswitch-switch libvirt-daemon-system libvirt-clients libvirt-daemon-driver-qemu qemu-system-x86 qemu-utils
ipxe-qemu seabios openssh-server openssh-client iproute2 kmod e2fsprogs tcpdump rsync ethtool gcc libc6-dev patch sudo openssl
prometheus wireguard-go wireguard-tools nftables iptables openipmi ipmitool fence-agents libxml2-utils nats-server mosquitto rabbitmq-server chromium chromium-driver"
left_out="the migration laboratory, promtool, IPMI and SSH tests may be left out"
kernel=.cache/lab/vmlinuz
modules=.cache/lab/modules # of that kernel: MODULES/VERSION/kernel/…
watchdog=.cache/lab/watchdog
policy=${POLICY:-/usr/sbin/policy-rc.d}
patience="-o DPkg::Lock::Timeout=300 -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20"

missing() {
    for package in $packages; do
        dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' || printf '%s ' "$package"
    done
}

apt() {
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive timeout "$1" apt-get -q $patience $2 >>.cache/packages.log 2>&1
}

install() {
    apt 1200 "install -y --no-install-recommends $1"
}

without_services() {
    if [ -e "$policy" ]; then
        "$@"
        return
    fi
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    "$@"
    status=$?
    rm -f "$policy"
    trap - EXIT INT TERM
    return $status
}

set_up() {
    without_services install "$(missing)" && return
    apt 120 update # its lists are old, or not there
    without_services install "$(missing)"
}

fetch_kernel() {
    name=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[^ ]*\).*/\1/p' | head -n 1)
    folder=$(mktemp -d) || return 1
    log=$PWD/.cache/packages.log
    # shellcheck disable=SC2086 # a list of words
    (cd "$folder" && timeout 300 apt-get -q $patience download "${name:-linux-image-virtual}") >>"$log" 2>&1
    archive=$(find "$folder" -name '*.deb' | head -n 1)
    if [ -n "$archive" ] && dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$folder" --wildcards './boot/vmlinuz-*' '*/lib/modules/*' 2>>"$log"; then
        rm -rf "$modules" "$modules.new"
        cp "$folder"/boot/vmlinuz-* "$kernel.new" && mv "$kernel.new" "$kernel" && keep_modules "$folder"
    fi
    rm -rf "$folder"
    have_kernel
}

have_kernel() {
    [ -s "$kernel" ] && [ -d "$modules" ] && [ -n "$(find "$modules" -name 'nf_tables.ko*')" ]
}

# WireGuard, nftables, what they need, and the devices of a virtual machine
keep_modules() {
    found=$(find "$1" -type d -path '*/lib/modules' | head -n 1)
    [ -n "$found" ] || return 1
    find "$found" -name '*.ko*' ! -path '*/crypto/*' ! -name 'virtio*' ! -name '*failover.ko*' ! -name '*udp_tunnel.ko*' \
        ! -name 'wireguard.ko*' ! -name 'nf_tables.ko*' ! -name 'nft_ct.ko*' ! -name 'nfnetlink.ko*' \
        ! -name 'nf_conntrack.ko*' ! -name 'nf_defrag_ipv?.ko*' ! -name 'libcrc32c.ko*' -delete
    find "$found" -type d -empty -delete
    cp -r "$found" "$modules.new" && mv "$modules.new" "$modules"
}

set_up_kernel() {
    "$1" && return
    [ "$(id -u)" = 0 ] && apt 120 update && "$1"
}

# A kernel with the driver of a hardware watchdog: the cloud kernel has none.
fetch_watchdog_kernel() {
    name=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[^ ]*\).*/\1/p' | head -n 1)
    folder=$(mktemp -d) || return 1
    log=$PWD/.cache/packages.log
    # shellcheck disable=SC2086 # a list of words
    (cd "$folder" && timeout 300 apt-get -q $patience download "${name:-linux-image-generic}") >>"$log" 2>&1
    archive=$(find "$folder" -name '*.deb' | head -n 1)
    if [ -n "$archive" ]; then
        mkdir -p "$folder/files" "$watchdog"
        dpkg-deb --fsys-tarfile "$archive" | tar -x -C "$folder/files" --wildcards './boot/vmlinuz-*' '*/i6300esb.ko' '*/watchdog/watchdog.ko' '*/e1000.ko' 2>>"$log"
        find "$folder/files" -name '*.ko' -exec cp {} "$watchdog/" \;
        if [ "$(find "$watchdog" -name '*.ko' | wc -l)" = 3 ]; then
            find "$folder/files" -name 'vmlinuz-*' -exec cp {} "$watchdog/vmlinuz.new" \;
            mv "$watchdog/vmlinuz.new" "$watchdog/vmlinuz"
        fi
    fi
    rm -rf "$folder"
    [ -s "$watchdog/vmlinuz" ] && [ -s "$watchdog/watchdog.ko" ]
}

patiently() {
    for pause in 0 10 30; do # a lock of the lists, which apt-get does not wait for, or a mirror that is busy
        sleep "$pause"
        [ "$(($(date +%s) - began))" -lt 900 ] || return 1
        "$@" && return
    done
    return 1
}

began=$(date +%s)
mkdir -p .cache/lab
if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    echo "not Debian or Ubuntu: no packages are installed; $left_out"
    exit 0
fi
wanted=$(missing)
if [ -n "$wanted" ] && [ "$(id -u)" != 0 ]; then
    echo "not root: not installed: $wanted; $left_out"
    exit 0
fi
if [ -n "$wanted" ]; then
    patiently set_up || echo "could not be installed (.cache/packages.log): $(missing); $left_out"
fi
if ! have_kernel && [ "$(uname -m)" = x86_64 ]; then
    if ! patiently set_up_kernel fetch_kernel; then
        left_out="the test of the kernel's WireGuard is left out"
        [ -s "$kernel" ] || left_out="the migration laboratory is left out, $left_out"
        echo "no guest kernel could be fetched (.cache/packages.log): $left_out"
    fi
fi
if ! { [ -s "$watchdog/vmlinuz" ] && [ -s "$watchdog/watchdog.ko" ]; } && [ "$(uname -m)" = x86_64 ]; then
    patiently set_up_kernel fetch_watchdog_kernel ||
        echo "no kernel with i6300esb could be fetched (.cache/packages.log): the test of the watchdog is left out"
fi
exit 0
