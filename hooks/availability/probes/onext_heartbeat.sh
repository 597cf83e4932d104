#!/bin/sh
# A monitoring probe (im/kvm-probes.d/host/beacon, every 30 s): writes this host's boot id and uptime to the datastores
# that are on shared storage, so that a host without a network still shows that it lives. It prints nothing, and
# returns at once: each mount has its own writer, and one that hangs (NFS) keeps only itself from starting again.
# `onext_heartbeat.sh read HOST FOLDER...`, for the front-end, prints what another host wrote: datastore, boot id, uptime.
locks=${ONEXT_LOCKS:-/var/tmp/onext-heartbeat.$(id -u)}
mkdir -m 700 "$locks" 2>/dev/null
[ -d "$locks" ] && [ ! -L "$locks" ] && [ -O "$locks" ] || exit 0

if [ "${1:-}" = read ]; then
    host=$2
    shift 2
    for place in "$@"; do
        name=${place##*/}
        (flock -n 9 && head -c 100 "$place/.onext-heartbeat/$host" >"$locks/found-$host-$name") </dev/null >/dev/null 2>&1 9>"$locks/read-$name" &
    done
    sleep "${ONEXT_PATIENCE:-2}"
    for place in "$@"; do
        name=${place##*/}
        [ -s "$locks/found-$host-$name" ] && printf '%s %s\n' "$name" "$(cat "$locks/found-$host-$name")"
        rm -f "$locks/found-$host-$name"
    done
    exit 0
fi

input=$(head -c 65536)
host=$(printf '%s' "$input" | sed -n 's:.*<HOST_ID>\([0-9]\{1,9\}\)</HOST_ID>.*:\1:p' | head -n 1)
folder=$(printf '%s' "$input" | sed -n 's:.*<DATASTORE_LOCATION>\([^<]*\)</DATASTORE_LOCATION>.*:\1:p' | head -n 1)
folder=${folder:-/var/lib/one/datastores}
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null)
read -r uptime _ </proc/uptime
[ -n "$host" ] && [ -n "$boot" ] || exit 0

# The mounts of shared file systems that hold datastores; /proc/mounts is read without touching them.
shared() {
    while read -r _ place kind _; do
        case $kind in
        nfs | nfs4 | ceph | fuse.ceph | fuse.glusterfs | gfs2 | ocfs2 | lustre | beegfs) ;;
        *) continue ;;
        esac
        case $folder/ in "$place"/*) printf '%s\n' "$place" && continue ;; esac
        case $place/ in "$folder"/*) printf '%s\n' "$place" ;; esac
    done <"${ONEXT_MOUNTS:-/proc/mounts}" | sort -u | head -n 64
}

write() {
    case $1/ in "$folder"/*) places=$1 ;; *) places=$folder ;; esac
    for place in "$places" "$places"/[0-9]*; do
        case ${place##*/} in *[!0-9]* | "") continue ;; esac
        [ -d "$place" ] || continue
        mkdir -p "$place/.onext-heartbeat" &&
            printf '%s %s\n' "$boot" "$uptime" >"$place/.onext-heartbeat/$host.new" &&
            mv "$place/.onext-heartbeat/$host.new" "$place/.onext-heartbeat/$host"
    done
}

shared | while read -r mount; do
    lock=$locks/$(printf '%s' "$mount" | cksum | tr ' ' -)
    (flock -n 9 && write "$mount") </dev/null >/dev/null 2>&1 9>"$lock" &
done
exit 0
