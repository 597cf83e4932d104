#!/bin/bash
# The first process of a laboratory node: its own /etc, /run, /var …, then nothing but reaping (libvirt waits for zombies).
# Called as: node_init.sh NAME FOLDER BIN, inside new mount, uts and pid namespaces.
set -e
name=$1 folder=$2 bin=$3
mount --make-rprivate /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount --bind "$folder/etc" /etc
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd /run/libvirt /run/openvswitch /run/lock /run/real
mkdir -p /var/lib/one /var/lib/openvswitch /var/log/openvswitch /var/lib/libvirt /var/log/libvirt /var/cache/libvirt
cp -a /var/lib/libvirt/. "$folder/libvirt/"
mount --bind "$folder/libvirt" /var/lib/libvirt
mount --bind "$folder/log" /var/log/libvirt
mount --bind "$folder/cache" /var/cache/libvirt
mount --bind "$folder/log" /var/log/openvswitch
mount --bind "$folder/home" /var/lib/one
mount --bind "$folder/root" /root
# Userspace bridges (a machine without OVS's kernel module) need a word more than the driver says: a shim in its place
cp /usr/bin/ovs-vsctl /run/real/ovs-vsctl
mount --bind "$bin/ovs-vsctl" /usr/bin/ovs-vsctl
# Last: the checkout itself may be below it
mount --bind "$folder/vartmp" /var/tmp
hostname "$name"
touch "$folder/ready"
exec python3 -S -c '
import os, signal
while True:
    try:
        os.wait()
    except ChildProcessError:
        signal.sigtimedwait([signal.SIGCHLD], 1)'
