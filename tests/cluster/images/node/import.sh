#!/bin/bash
# import.sh ARCHIVE: puts the images of ARCHIVE into containerd's store, at build time, with no
# privilege: only contents are written, unpacking happens at the node's first start.
set -euo pipefail
containerd --log-level error &
daemon=$!
for _ in $(seq 100); do ctr version >/dev/null 2>&1 && break; sleep 0.1; done
ctr --namespace k8s.io images import --no-unpack --all-platforms "$1"
kill "$daemon"
wait "$daemon" || true
rm -rf /run/containerd
