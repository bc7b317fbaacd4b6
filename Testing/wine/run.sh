#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh FOLDER library|slicer ARGUMENTS...   runs Python for Windows: see README.md beside this file.
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo "run.sh mounts folders. Run it with sudo." >&2; exit 2; }
folder=$(cd "$1" && pwd)
environment=$2
shift 2
project=$(cd "$(dirname "$0")/../.." && pwd)

# Wine's server, which all runs share, would look for the files of another project in its own.
exec {lock}>"$folder/lock"
flock -n "$lock" || { echo "run.sh waits for another run in $folder." >&2; flock "$lock"; }

# It takes a screen that is free, says which, and ends with this script.
mkdir -p /tmp/.X11-unix
exec {screen}< <(exec Xvfb -displayfd 1 -screen 0 1600x1200x24 2>/dev/null {lock}>&-)
xvfb=$!
trap 'rm -f "${command:-}"; kill "$xvfb"' EXIT
read -r display <&"$screen"

# In a file, since Wine passes no pipe on to a program that asks for a console.
command=$(mktemp "$folder/run.XXXX.sh")
{
    echo "export HOME=/root PATH=/usr/bin:/bin TERM=dumb LANG=C.UTF-8 LC_ALL=C.UTF-8"
    echo "export WINEPREFIX=/wine/prefix WINEDEBUG=-all WINEDLLOVERRIDES=mscoree,mshtml,winedbg.exe="
    echo "export DISPLAY=:$display QT_QPA_PLATFORM=offscreen OMP_NUM_THREADS=1 COLUMNS=120"
    echo "export PYTHONPATH='Z:/project/PALNetLandmarks;Z:/project'"
    echo "${PALNET_SHARED:+export PALNET_SHARED=Z:/shared}"
    echo "cd /project"
    printf 'exec wine /wine/%q/python.exe ' "$environment"
    printf '%q ' "$@"
    echo
} >"$command"
export root="$folder/root" folder project command
unshare --mount bash -c '
    mkdir -p "$root"/{wine,project,shared,tmp/.X11-unix}
    mount --bind "$folder" "$root/wine"
    mount --bind "$project" "$root/project"
    mount --bind "${PALNET_SHARED:-$folder}" "$root/shared"
    mount --bind /tmp/.X11-unix "$root/tmp/.X11-unix"
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"
    exec script -qefc "chroot \"\$root\" env -i bash \"/wine/\${command##*/}\"" /dev/null </dev/null
' | sed -u 's/\x1b\[[0-9;?]*[a-zA-Z]//g; s/\r$//'
