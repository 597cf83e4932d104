#!/bin/sh
# What a hostile oneadmin prepares for root's next command on an installed, packaged front-end (machine.sh runs it).
# attacks.sh CHECKOUT WHEELS. Each attack prints `held: NAME`, or `BROKEN: NAME` with what changed.
checkout=$1 wheels=$2
one=/var/lib/one
victim=/srv/victim
mkdir -p $victim/spool/incoming $victim/stopped
echo "root's own" >$victim/file
echo "root's own" >$victim/stopped/power
touch /srv/said /srv/roots.lock
chmod -R go= $victim

as_oneadmin() { runuser -u oneadmin -- sh -c "$1"; }
roots() { # all that is root's where links of oneadmin's would lead
    find /etc /usr/bin /usr/lib/one /var/spool $victim ! -path '*/__pycache__*' -printf '%p %y %m %U:%G %l\n'
    find /etc /usr/bin $victim -type f -printf '%p %T@\n'
    find $victim -type f -exec sha256sum {} +
    stat -c '%n %U:%G %a' /var /var/spool /var/log /var/lib
}
attack() { # NAME: runs each of root's commands and compares
    roots | sort >/tmp/roots.before
    name=$1
    shift
    timeout 300 "$@" >/srv/said 2>&1
    code=$?
    roots | sort >/tmp/roots.after
    if diff /tmp/roots.before /tmp/roots.after >/tmp/roots.diff && [ $code -ne 124 ]; then
        echo "held: $name (exit $code) $(tail -n 1 /srv/said)"
    else
        echo "BROKEN: $name (exit $code)"
        head -n 20 /tmp/roots.diff
        cat /srv/said
    fi
}
redirect() { as_oneadmin "mv $1 $1.aside && ln -s $2 $1"; }
back() { as_oneadmin "rm $1 && mv $1.aside $1"; }
all_commands() {
    attack "$1: install" "$checkout/install.sh" --offline "$wheels"
    attack "$1: configure" "$checkout/install.sh" --offline "$wheels" --configure --yes
    attack "$1: sync" "$checkout/install.sh" --offline "$wheels" --sync
    attack "$1: check" "$checkout/install.sh" --check
    attack "$1: onext stop" onext stop power
    attack "$1: onext status" onext status
    attack "$1: onext doctor" onext doctor
}

redirect $one/onext $victim
all_commands "onext is a link"
back $one/onext
for folder in onext/stopped remotes/etc/vmm/kvm remotes/hooks/onext; do
    redirect $one/$folder $victim
    attack "$folder is a link: install" "$checkout/install.sh" --offline "$wheels"
    attack "$folder is a link: onext stop" onext stop power
    [ $folder = onext/stopped ] || # the link goes with its folder
        attack "$folder is a link: uninstall" "$checkout/install.sh" --uninstall --backup /srv/said.tar.gz
    back $one/$folder
done
redirect $one/onext /var
attack "onext is a link to /var: install" "$checkout/install.sh" --offline "$wheels"
attack "onext is a link to /var: uninstall" "$checkout/install.sh" --uninstall --backup /srv/said.tar.gz
rm -f /srv/said.tar.gz
back $one/onext

# What root starts, signals and reads on the way
redirect $one/remotes/auth/biscuit/authenticate /nowhere
as_oneadmin "rm $one/remotes/auth/biscuit/authenticate; printf '#!/bin/sh\nid -u >$one/ran-as\ncp /bin/sh /srv/victim/owned\nexit 1\n' >$one/remotes/auth/biscuit/authenticate; chmod 755 $one/remotes/auth/biscuit/authenticate"
attack "a program of oneadmin's where root tries the driver" "$checkout/install.sh" --offline "$wheels"
[ "$(cat $one/ran-as 2>/dev/null)" != 0 ] && echo "held: nothing of oneadmin's ran as root" || echo "BROKEN: ran as root"
rm -f $one/ran-as $one/remotes/auth/biscuit/authenticate.aside
(exec 9>/srv/roots.lock; flock 9; exec sleep 600) &
roots_process=$!
sleep 0.2
redirect $one/onext/worker.lock /srv/roots.lock
attack "the worker's lock names a process of root's" "$checkout/install.sh" --rollback
kill -0 $roots_process 2>/dev/null && echo "held: root's process lives" || echo "BROKEN: root's process was killed"
kill $roots_process
back $one/onext/worker.lock
as_oneadmin "mv $one/.one/one_auth $one/.one/aside; ln -s $victim/file $one/.one/one_auth"
attack "credentials are a link" "$checkout/install.sh" --offline "$wheels"
grep -q "root's own" /srv/said && echo "BROKEN: root's file was read" || echo "held: root's file was not read"
as_oneadmin "rm $one/.one/one_auth; mv $one/.one/aside $one/.one/one_auth"
as_oneadmin "mv $one/onext/spool/wake $one/onext/spool/aside 2>/dev/null; ln -s $victim/file $one/onext/spool/wake"
attack "the worker's pipe is a link" "$checkout/install.sh" --offline "$wheels"
attack "the worker's pipe is a link: check" "$checkout/install.sh" --check
as_oneadmin "rm $one/onext/spool/wake; mv $one/onext/spool/aside $one/onext/spool/wake 2>/dev/null; true"
as_oneadmin "rm -f /var/log/one/onext.log; ln -s $victim/file /var/log/one/onext.log"
attack "the log is a link" "$checkout/install.sh" --offline "$wheels"
as_oneadmin "rm -f /var/log/one/onext.log"
"$checkout/install.sh" --offline "$wheels" >/dev/null 2>&1 && echo "held: whole again"
rm -r $victim /srv/said /srv/roots.lock
