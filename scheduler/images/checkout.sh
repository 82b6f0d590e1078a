#!/bin/sh
# Puts repositories into a directory, each as it was at one commit:
#   checkout.sh DIRECTORY [REPOSITORY@COMMIT ...]
# A commit's name is a hash over its content: what comes is what was meant, whoever serves it.
set -eu
directory=$1
shift
for pin in "$@"; do
    repository=${pin%@*}
    commit=${pin##*@}
    case $pin in
    https://*@????????????????????????????????????????) ;;
    *)
        echo "checkout.sh: $pin is not https://...@ and a full commit" >&2
        exit 2
        ;;
    esac
    name=$(basename "$repository" .git)
    place=$directory/$name
    if [ -e "$place" ]; then
        echo "checkout.sh: two repositories are called $name" >&2
        exit 2
    fi
    git init --quiet "$place"
    git -C "$place" fetch --quiet --depth 1 "$repository" "$commit"
    git -C "$place" -c advice.detachedHead=false checkout --quiet "$commit"
    git -C "$place" submodule --quiet update --init --recursive --depth 1
    # History is of no use to a server.
    find "$place" -name .git -prune -exec rm -rf {} +
    echo "$name: $commit"
done
