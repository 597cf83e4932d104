#!/bin/sh
# A machine of its own over this one: overlay, mounts, processes. machine.sh CHECKOUT WHEELS SCRATCH
# Makes it a packaged front-end with oned down, installs, looks, uninstalls; ends with `same` when nothing is left.
set -eu
checkout=$1 wheels=$2 scratch=$3
if [ "${4:-}" != inside ]; then
    mount -t tmpfs tmpfs "$scratch"
    mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" "$scratch/root"
    mount -t proc proc "$scratch/root/proc"
    mount --rbind /dev "$scratch/root/dev"
    mkdir -p "$scratch/root/mnt/checkout" "$scratch/root/mnt/wheels"
    mount --bind "$checkout" "$scratch/root/mnt/checkout"
    mount --bind "$wheels" "$scratch/root/mnt/wheels"
    exec chroot "$scratch/root" /bin/sh /mnt/checkout/machine.sh /mnt/checkout /mnt/wheels / inside
fi

tree() {
    find /etc /usr/lib/one /usr/bin /var/lib/one /var/log/one -printf '%p %y %m %u:%g %l\n' | sort
    find /etc/one /var/lib/one /var/log/one -type f -exec sha256sum {} + | sort
}

unset ONE_LOCATION ONE_XMLRPC ONE_AUTH PYTHON
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
getent passwd oneadmin >/dev/null || useradd --system --user-group --no-create-home --home-dir /var/lib/one oneadmin
remotes=/var/lib/one/remotes
mkdir -p /etc/one /usr/lib/one /var/log/one $remotes/hooks $remotes/auth $remotes/vmm/kvm /var/lib/one/.one
printf 'PORT = 1\nAUTH_MAD = [ EXECUTABLE = "one_auth_mad", AUTHN = "ssh" ]\n' >/etc/one/oned.conf
printf '#!/bin/sh\n# stock\n' >$remotes/vmm/kvm/migrate
echo oneadmin:secret >/var/lib/one/.one/one_auth
chown -R oneadmin:oneadmin /var/lib/one /var/log/one
chown root:oneadmin /etc/one /etc/one/oned.conf
chmod 750 /etc/one /var/lib/one /var/log/one
chmod 640 /etc/one/oned.conf
tree >/tmp/before

echo "-- nobody"
runuser -u nobody -- "$checkout/install.sh" 2>&1 || echo "exit $?"
echo "-- root"
umask 077
"$checkout/install.sh" --offline "$wheels" --configure --yes
stat -c '%n %U:%G %a' /usr/bin/onext /etc/one/onext.yaml /etc/one/onext $remotes/hooks/onext/geolocation /var/lib/one/onext
dpkg-divert --truename $remotes/vmm/kvm/migrate
runuser -u oneadmin -- onext status
onext stop geolocation
stat -c '%n %U:%G' /var/lib/one/onext/stopped/geolocation
onext start geolocation
"$checkout/install.sh" --check
echo "-- attacks"
sh "$checkout/attacks.sh" "$checkout" "$wheels"
echo "-- uninstall"
"$checkout/install.sh" --uninstall
tree >/tmp/after
diff /tmp/before /tmp/after && echo same
