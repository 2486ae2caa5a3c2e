#!/bin/sh
# Python in namespaces of its own: what the role does to its host is done to a network and folders that nobody else has.
# They are those of the simulated cluster, as long as it runs, and end with it.
here=$(cd "$(dirname "$0")" && pwd)
PATH=$here/../../../tests/packets/bin:$PATH:/usr/sbin:/sbin
export PATH
python=$here/../../../.nox/tools/bin/python
pid=$(cat "$MOLECULE_EPHEMERAL_DIRECTORY/simulator.pid" 2>/dev/null)
if [ "$pid" ] && [ -d "/proc/$pid" ]; then
  [ "$(id -u)" -ne 0 ] || exec nsenter --target="$pid" --net --mount --wd="$PWD" -- "$python" "$@"
  exec nsenter --target="$pid" --user --preserve-credentials --net --mount --wd="$PWD" -- "$python" "$@"
fi
[ "$(id -u)" -eq 0 ] || user='--user --map-root-user'
# shellcheck disable=SC2016,SC2086 # the inner shell expands it; two options, or none
exec unshare ${user:-} --net --mount --propagation=private sh -c '
  ip link set lo up && mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /etc/systemd/system && exec "$0" "$@"
' "$python" "$@"
