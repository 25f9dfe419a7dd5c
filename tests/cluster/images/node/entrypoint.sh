#!/bin/bash
# PID 1 of a kind node without an init system: prepares the container, then keeps containerd
# and the kubelet running.
set -euo pipefail

mount -o remount,rw /sys
mount --make-rshared /
systemd-machine-id-setup >/dev/null 2>&1 || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id

cgroups_v1() {
    local hierarchy setting
    for hierarchy in /sys/fs/cgroup/*/; do
        [ -e "$hierarchy/cgroup.procs" ] || continue
        # A child of cpuset is unusable until it has processors and memory.
        [ ! -e "$hierarchy/cgroup.clone_children" ] || echo 1 >"$hierarchy/cgroup.clone_children"
        mkdir -p "$hierarchy/kubelet"
        for setting in cpuset.cpus cpuset.mems; do
            [ ! -e "$hierarchy/$setting" ] ||
                cat "$hierarchy/$setting" >"$hierarchy/kubelet/$setting"
        done
    done
}

cgroups_v2() {
    # A group that has processes may not hand controllers to its children.
    local controllers process
    mkdir -p /sys/fs/cgroup/init /sys/fs/cgroup/kubelet
    while read -r process; do
        echo "$process" >/sys/fs/cgroup/init/cgroup.procs 2>/dev/null || true
    done </sys/fs/cgroup/cgroup.procs
    controllers=$(sed 's/\([^ ]*\)/+\1/g' /sys/fs/cgroup/cgroup.controllers)
    echo "$controllers" >/sys/fs/cgroup/cgroup.subtree_control
    echo "$controllers" >/sys/fs/cgroup/kubelet/cgroup.subtree_control
}

gateway=$(ip -4 route show default | awk '{print $3; exit}')
subnet=$(ip -4 route show dev eth0 scope link | awk '{print $1; exit}')

# Docker's resolver listens on the loopback of the node: a pod that forwards to it asks itself.
sed "s/127\.0\.0\.11/$gateway/" /etc/resolv.conf >/tmp/resolv.conf
cat /tmp/resolv.conf >/etc/resolv.conf

# Until kube-proxy has its rules, a ClusterIP would leave by the default route and reach
# whoever answers there. Nothing in this cluster has business outside the node's network.
for chain in OUTPUT FORWARD; do
    iptables -I "$chain" -o eth0 ! -d "$subnet" -m conntrack --ctstate NEW -j REJECT
done

if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    cgroups_v2
    echo "Reached target Multi-User System."
else
    cgroups_v1
    echo "detected cgroup v1"
fi

keep_containerd() {
    while true; do
        containerd >>/var/log/containerd.log 2>&1 || true
        sleep 0.2
    done
}

keep_kubelet() {
    local config=/var/lib/kubelet/config.yaml flags=/var/lib/kubelet/kubeadm-flags.env
    while true; do
        until [ -s "$config" ] && [ -s "$flags" ]; do sleep 0.1; done
        KUBELET_KUBEADM_ARGS=
        # shellcheck source=/dev/null
        . "$flags"
        # shellcheck disable=SC2086
        kubelet --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf \
            --kubeconfig=/etc/kubernetes/kubelet.conf --config="$config" \
            $KUBELET_KUBEADM_ARGS >>/var/log/kubelet.log 2>&1 || true
        sleep 0.2
    done
}

trap 'kill $(jobs -p) 2>/dev/null; exit 0' TERM INT
keep_containerd &
keep_kubelet &
wait
