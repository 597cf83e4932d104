#!/bin/sh
# The first process of a guest with the kernel's WireGuard: /etc is on the disk, everything else is as packed. Starts
# the tunnel's service as systemd does, once the machine has joined.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
ln -s /proc/self/fd/0 /dev/stdin
for module in virtio_pci virtio_blk virtio_net; do modprobe "$module"; done
mount -t ext4 /dev/vda /etc
read -r address </etc/address
ip link set lo up
ip link set eth0 up
ip address add "$address" dev eth0
ip route add default via 192.168.1.1
if [ -e /etc/onext-edge/state.json ]; then
    (while :; do python3 -I /onext-edge.pyz --account root run; done) &
fi
exec /usr/sbin/sshd -D -e
