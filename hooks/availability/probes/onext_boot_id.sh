#!/bin/sh
# A monitoring probe (im/kvm-probes.d/host/system): the id of this boot, so that a reboot that is too short for oned to
# report ERROR is seen. Its output becomes an attribute of the host.
boot=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null) && echo "ONEXT_BOOT_ID=\"$boot\""
exit 0
