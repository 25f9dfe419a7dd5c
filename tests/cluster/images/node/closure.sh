#!/bin/sh
# closure.sh TARGET: copies iptables, nft, ipset and conntrack with everything that they load,
# so that TARGET is a whole image (a full Debian costs seconds of unpacking at every start).
set -eu
target=$1
mkdir -p "$target/usr/bin" "$target/usr/sbin" "$target/usr/lib" "$target/usr/lib64" \
    "$target/etc" "$target/run" "$target/tmp" "$target/var"
for folder in bin sbin lib lib64; do ln -s "usr/$folder" "$target/$folder"; done

programs="/usr/sbin/xtables-nft-multi /usr/sbin/nft /usr/sbin/ipset /usr/sbin/conntrack /usr/sbin/ip"
plugins=$(find /usr/lib/*/xtables -name '*.so')
for file in $programs $plugins; do
    real=$(command -v "$file")
    cp -L --parents "$real" "$target"
    ldd "$real" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do
        [ -e "$target$library" ] || cp -L --parents "$library" "$target"
    done
done
for family in iptables ip6tables; do
    for name in $family $family-save $family-restore; do
        ln -s xtables-nft-multi "$target/usr/sbin/$name"
    done
done
