#!/bin/sh
# Compare an image that is mounted with the tar of it as GNU tar unpacks it; run as root by
# test_mount.py, in a mount namespace of its own:
#
#     unshare --mount --propagation private sh compared_trees.sh MOUNT TAR PLACE
#
# It says what differs, and nothing where nothing does.
set -eu
export LC_ALL=C
mount -t tmpfs -o mode=0755,size=1g tmpfs "$3"
mkdir "$3/tree" "$3/copy" "$3/said"
cd "$3/tree"
tar --numeric-owner --xattrs '--xattrs-include=*' -xpf "$2" 2>"$3/said/tar" ||
    { cat "$3/said/tar"; exit 1; }

describe() {
    cd "$1"
    find . -mindepth 1 -type d -printf '%P d %m %U %G %T@\n' -o \
        -mindepth 1 -printf '%P %y %m %U %G %s %n %T@ %l\n' | sort >"$3.find"
    find . \( -type c -o -type b \) -print0 | sort -z | xargs -0r stat -c '%n %t %T' >"$3.stat"
    find . -type f -print0 | sort -z | xargs -0r sha256sum >"$3.sums"
    find . -print0 | sort -z | xargs -0r getfattr -h -d -m - -e hex >"$3.attributes"
    # Names of one inode stand beside each other, by their first name.
    find . ! -type d -links +1 -printf '%i %P\n' | sort -k2 |
        awk '{ n = $1; sub(/^[0-9]+ /, ""); if (!(n in first)) first[n] = $0; print first[n] "  " $0 }' \
        >"$3.links"
}
describe "$1" of "$3/said/mount"
describe "$3/tree" of "$3/said/tree"
for what in find stat sums attributes links; do
    diff "$3/said/mount.$what" "$3/said/tree.$what" || true
done
cd "$3"
# diff says of every device and FIFO what they both are; stat has said more of them.
diff -r --no-dereference "$1" tree |
    sed -E '/ is a (.*) special file while .* is a \1 special file$/d; / is a fifo while .* a fifo$/d'
rsync -aHXD --numeric-ids "$1/" copy/
# A tar may say nothing of its root.
rsync -aHXDnic --delete --numeric-ids copy/ tree/ | sed '/^\.d[.pt]* \.\/$/d'
wc -l <"$3/said/mount.find" >&2
