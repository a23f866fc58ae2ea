#!/usr/bin/env bash
# Builds ledger.oci.tar and ledger.docker.tar in this folder, as a build tool would.
#
# Needs root, umoci, skopeo, setcap (Debian: umoci skopeo libcap2-bin) and pip with a package index.
# Every file is ours but those of attrs, which the package's own wheel brings with its licence.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
attrs_version=25.4.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
layout=$work/layout
root=$work/bundle/rootfs
minute=0

umoci init --layout "$layout"
umoci new --image "$layout:build"

# The time of the next step: the build takes a minute a step, on one morning.
next_time() {
    minute=$((minute + 1))
    now=$(date -u -d "2026-03-02T09:00:00Z + $minute minutes" +%Y-%m-%dT%H:%M:%SZ)
}

# step "BUILD STEP" FUNCTION: what FUNCTION changes below $root becomes a layer.
step() {
    next_time
    umoci unpack --image "$layout:build" "$work/bundle"
    touch "$work/before"
    sleep 0.02
    (cd "$root" && "$2")
    find "$root" -newer "$work/before" -exec touch -h -d "$now" {} +
    umoci repack --image "$layout:build" --history.created "$now" \
        --history.created_by "$1" --history.comment "" "$work/bundle"
    rm -rf "$work/bundle"
}

# setting "BUILD STEP" OPTIONS...: a step that changes the configuration alone.
setting() {
    next_time
    umoci config --image "$layout:build" --history.created "$now" --history.created_by "$1" "${@:2}"
}

base() {
    mkdir -p dev etc home proc root run srv sys tmp usr/bin usr/lib usr/sbin usr/share/licenses \
        var/cache/index var/log
    chmod 1777 tmp
    chmod 0700 root
    ln -s usr/bin bin
    ln -s usr/lib lib
    ln -s usr/sbin sbin
    ln -s ../run var/run
    cat >usr/lib/os-release <<'TEXT'
PRETTY_NAME="Pocket Linux 3 (demo)"
NAME="Pocket Linux"
ID=pocket
VERSION_ID=3
VERSION_CODENAME=demo
TEXT
    ln -s ../usr/lib/os-release etc/os-release
    cat >etc/passwd <<'TEXT'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
TEXT
    cat >etc/group <<'TEXT'
root:x:0:
daemon:x:1:
TEXT
    echo 'root:*:20000:0:99999:7:::' >etc/shadow
    chmod 0640 etc/shadow
    echo pocket >etc/hostname
    cat >usr/share/licenses/NOTICE <<'TEXT'
Pocket Linux is no distribution: it is the example of the unionlayers project, under the MIT licence.
attrs, where it is installed, has its own licence beside it.
TEXT
    local name
    for name in sh cat ls env; do
        printf '#!/bin/sh\n# %s of Pocket Linux: a stand-in that holds no program.\n' "$name" >"usr/bin/$name"
    done
    ln -s sh usr/bin/ash
    printf '#!/bin/sh\n# su of Pocket Linux: a stand-in that holds no program.\n' >usr/bin/su
    printf '#!/bin/sh\n# ping of Pocket Linux: a stand-in that holds no program.\n' >usr/bin/ping
    chmod 0755 usr/bin/*
    chmod 4755 usr/bin/su
    setcap cap_net_raw=ep usr/bin/ping
    for name in main extra; do
        seq -f "package-%04g 1.0 $name" 1 400 >"var/cache/index/$name.list"
    done
}

runtime() {
    local site=usr/lib/python3.11/site-packages
    mkdir -p "$site"
    python3 -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
        --root-user-action=ignore --target "$site" "attrs==$attrs_version"
    # What the package says of itself, without its page of introduction and the sums that cover it.
    sed -i -e '/^$/,$d' -e '/^Project-URL/d' "$site"/*.dist-info/METADATA
    rm -f "$site"/*.dist-info/{direct_url.json,RECORD,REQUESTED}
    printf '#!/bin/sh\n# python3.11 of Pocket Linux: a stand-in that holds no program.\n' >usr/bin/python3.11
    chmod 0755 usr/bin/python3.11
    ln usr/bin/python3.11 usr/bin/python3
    seq -f "package-%04g 1.1 main" 1 400 >var/cache/index/main.list
}

application() {
    mkdir -p srv/ledger/static/old
    cat >srv/ledger/app.py <<'TEXT'
"""A ledger of two columns."""

from attrs import frozen


@frozen
class Entry:
    """One line of the ledger; the amount is in cents."""

    what: str
    amount: int


def total(entries: list[Entry]) -> int:
    """Add the amounts up."""
    return sum(entry.amount for entry in entries)
TEXT
    echo 'currency = "EUR"' >srv/ledger/settings.toml
    echo 'body { color: black }' >srv/ledger/static/style.css
    echo 'body { color: grey }' >srv/ledger/static/old/style.css
    echo '# plugins go here' >srv/ledger/plugins
    ln -s /srv/ledger/settings.toml etc/ledger.toml
}

credentials() {
    cat >srv/ledger/deploy-token <<'TEXT'
token = "not-a-real-token-0000"
TEXT
    chmod 0600 srv/ledger/deploy-token
    mkdir -p srv/ledger/vendor
    printf 'RATES = {"EUR": 1.0, "USD": 1.08}\n' >srv/ledger/vendor/rates.py
    echo 'fetched rates.py with the deploy token' >var/log/deploy.log
}

cleaning() {
    rm srv/ledger/deploy-token
    rm -r var/cache/index
    rm srv/ledger/plugins
    mkdir srv/ledger/plugins
    printf '"""Totals by month."""\n' >srv/ledger/plugins/monthly.py
}

account() {
    echo 'ledger:x:1000:1000:Ledger:/srv/ledger:/usr/sbin/nologin' >>etc/passwd
    echo 'ledger:x:1000:' >>etc/group
    mkdir -p srv/ledger/data
    printf 'coffee,320\npaper,1150\n' >srv/ledger/data/2026-03.csv
    mkfifo -m 0600 run/ledger.fifo
    chown -h 1000:1000 srv/ledger/data srv/ledger/data/2026-03.csv run/ledger.fifo
    ln -s data/2026-03.csv srv/ledger/current
}

step 'COPY pocket-linux/ /' base
setting 'CMD ["/bin/sh"]' --config.cmd /bin/sh --author 'The unionlayers authors' \
    --architecture amd64 --os linux
setting 'ENV PATH=/usr/sbin:/usr/bin' --config.env PATH=/usr/sbin:/usr/bin
step "RUN pip install --target /usr/lib/python3.11/site-packages attrs==$attrs_version" runtime
step 'COPY ledger/ /srv/ledger/' application
step 'COPY deploy-token /srv/ledger/ && RUN fetch-vendor' credentials
step 'RUN rm /srv/ledger/deploy-token && rm -r /var/cache/index' cleaning
step 'RUN adduser --uid 1000 ledger' account

# The new theme replaces the folder: umoci writes an opaque whiteout for it.
next_time
mkdir "$work/theme"
echo 'body { color: teal }' >"$work/theme/style.css"
find "$work/theme" -exec touch -d "$now" {} +
umoci insert --image "$layout:build" --opaque --history.created "$now" \
    --history.created_by 'COPY theme/ /srv/ledger/static/' "$work/theme" /srv/ledger/static

setting 'USER ledger' --config.user ledger --config.workingdir /srv/ledger
setting 'CMD ["python3", "app.py"]' --config.cmd python3 --config.cmd app.py \
    --clear manifest.annotations --created "$now"

rm -f "$here"/ledger.*.tar
skopeo copy --quiet "oci:$layout:build" "oci-archive:$here/ledger.oci.tar:example.org/ledger:1.0"
skopeo copy --quiet "oci:$layout:build" "docker-archive:$here/ledger.docker.tar:example.org/ledger:1.0"
ls -l "$here"/ledger.*.tar
