#!/bin/sh
# onext lease, for one node. Root runs it there. It holds the node's key: keep it readable to root alone.
#   sh FILE             install and start
#   sh FILE --remove    after `onext ha disarm`; the running daemon feeds the watchdog until the next reboot
set -eu
umask 077
library=/usr/local/lib/onext-lease
units=/etc/systemd/system
[ "$(id -u)" = 0 ] || { echo "root has to run this" >&2; exit 1; }

if [ "${1:-}" = --remove ]; then
    systemctl disable onext-lease.service
    rm -f $units/libvirtd.service.d/50-onext-lease.conf $units/virtqemud.service.d/50-onext-lease.conf
    rm -f /etc/onext-lease.json /etc/modprobe.d/onext-lease.conf
    systemctl daemon-reload
    echo "removed; reboot this node to end the daemon"
    exit 0
fi

device=/sys/class/watchdog/watchdog0
[ -e $device ] || { echo "no watchdog: load the module of this machine's hardware watchdog" >&2; exit 1; }
case "$(cat $device/identity)" in
*Software*) echo "softdog does not count: load the module of a hardware watchdog" >&2; exit 1 ;;
esac
module=$(basename "$(readlink -f $device/device/driver/module 2>/dev/null || true)")
[ -z "$module" ] || echo "options $module nowayout=1" >/etc/modprobe.d/onext-lease.conf

mkdir -p $library/onext_lease
chmod 755 $library $library/onext_lease
@PROGRAM@
chmod 644 $library/onext_lease/*.py
cat >/etc/onext-lease.json <<'END'
@CONFIG@
END
cat >$units/onext-lease.service <<'END'
[Unit]
Description=Run VMs only while the OpenNebula front-end grants it
After=network-online.target
Wants=network-online.target

[Service]
Type=notify
ExecStart=/usr/bin/env python3 -E -s -B -c "import sys; sys.path.insert(0, '/usr/local/lib/onext-lease'); from onext_lease.daemon import main; main()"
Restart=always
RestartSec=1
TimeoutStartSec=infinity
OOMScoreAdjust=-1000
CPUSchedulingPolicy=rr
CPUSchedulingPriority=50
LimitMEMLOCK=infinity

[Install]
WantedBy=multi-user.target
END
# VMs start only once the watchdog is held: a node that booted without the daemon runs none.
for unit in libvirtd virtqemud; do
    mkdir -p $units/$unit.service.d
    printf '[Unit]\nRequires=onext-lease.service\nAfter=onext-lease.service\n' >$units/$unit.service.d/50-onext-lease.conf
done
chmod 644 $units/onext-lease.service $units/libvirtd.service.d/50-onext-lease.conf $units/virtqemud.service.d/50-onext-lease.conf
systemctl daemon-reload
systemctl enable onext-lease.service
systemctl start --no-block onext-lease.service
echo "installed; \`onext ha status\` on the front-end shows when this node is armed (UDP port @PORT@ has to be open)"
