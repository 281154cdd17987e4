#!/bin/sh
# engine.sh FOLDER PROGRAM ARG... : runs a host's engine with an /etc/docker (its identity) and a /run (sockets,
# also /var/run/docker.sock for containers that mount it) of its own. For a mount namespace of its own.
set -e
folder=$1
shift
mkdir -p "$folder/etc" /etc/docker
mount --bind "$folder/etc" /etc/docker
mount -t tmpfs -o mode=755 tmpfs /run
exec "$@"
