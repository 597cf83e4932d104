#!/bin/sh
# Called by `make test`: as root on Debian or Ubuntu, install the packages that the tests use, without starting any of
# their services, and unpack a guest kernel into .cache. Quiet when all is there. Elsewhere, say in one line what will
# be left out. Never fails: tests without their packages skip and say so.
packages="openvswitch-switch libvirt-daemon-system libvirt-clients libvirt-daemon-driver-qemu qemu-system-x86 qemu-utils
ipxe-qemu seabios openssh-server openssh-client tcpdump rsync ethtool gcc libc6-dev sudo openssl
prometheus openipmi ipmitool libxml2-utils"
left_out="the migration laboratory, promtool, IPMI and SSH tests may be left out"
kernel=.cache/lab/vmlinuz

missing() {
    for package in $packages; do
        dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q '^install ok installed$' || printf '%s ' "$package"
    done
}

install() {
    # shellcheck disable=SC2086 # a list of words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $1 >.cache/packages.log 2>&1
}

without_services() {
    policy=/usr/sbin/policy-rc.d
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

fetch_kernel() {
    name=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-[^ ]*\).*/\1/p' | head -n 1)
    folder=$(mktemp -d) || return 1
    (cd "$folder" && apt-get download -q "${name:-linux-image-virtual}") >>.cache/packages.log 2>&1
    archive=$(find "$folder" -name '*.deb' | head -n 1)
    member=$([ -n "$archive" ] && dpkg-deb --fsys-tarfile "$archive" | tar -t 2>/dev/null | grep '/boot/vmlinuz-' | head -n 1)
    if [ -n "$member" ]; then
        dpkg-deb --fsys-tarfile "$archive" | tar -xO "$member" >"$kernel.new" && mv "$kernel.new" "$kernel"
    fi
    rm -rf "$folder"
    [ -s "$kernel" ]
}

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
    without_services install "$wanted" || { apt-get update -q >>.cache/packages.log 2>&1 && without_services install "$wanted"; } ||
        echo "could not be installed (.cache/packages.log): $(missing); $left_out"
fi
if [ ! -s "$kernel" ] && [ "$(uname -m)" = x86_64 ]; then
    fetch_kernel || { [ "$(id -u)" = 0 ] && apt-get update -q >>.cache/packages.log 2>&1 && fetch_kernel; } ||
        echo "no guest kernel could be fetched (.cache/packages.log): the migration laboratory is left out"
fi
exit 0
