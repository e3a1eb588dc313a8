#!/bin/sh
# A laboratory of networks: run by `unshare --user --map-root-user --net --mount`, it lays a bridge on which servers
# listen, and becomes the command it is given. Nothing of it outlives that command. See tests/src/lab.rs.
set -eu
mount -t tmpfs none /run
mkdir /run/netns
ip link set lo up
ip link add hub type bridge
ip addr add 10.77.0.1/16 dev hub
ip link set hub up
exec "$@"
