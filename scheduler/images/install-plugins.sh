#!/bin/sh
# Installs what the plug-ins in a directory ask for: install-plugins.sh DIRECTORY [PYTHONPATH of their install.py].
# torch stays as it is: another one would be some gigabytes, and perhaps not for this driver.
set -eu
kept=$(mktemp)
python3 -m pip freeze | grep -E '^(torch|torchvision|torchaudio|xformers)==' >"$kept" || true
for plugin in "$1"/*; do
    [ -d "$plugin" ] || continue
    echo "installing $plugin"
    if [ -f "$plugin/requirements.txt" ]; then
        python3 -m pip install --no-cache-dir --constraint "$kept" --requirement "$plugin/requirements.txt"
    fi
    if [ -f "$plugin/install.py" ]; then
        (cd "$plugin" && PIP_CONSTRAINT=$kept PYTHONPATH=${2:-} python3 install.py)
    fi
done
rm -f "$kept"
