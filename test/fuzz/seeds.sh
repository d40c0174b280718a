#!/bin/sh
# seeds.sh [--check] CORPUS [ENTRY SEEDER]...: adds what each seeder writes to the entry's corpus, or looks whether all of it is there.
set -eu
check=
[ "$1" != --check ] || { check=1; shift; }
corpus=$1
shift
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
status=0
while [ $# -gt 0 ]; do
	mkdir "$made/$1"
	"$2" "$made/$1"
	for seed in "$made/$1"/*; do
		if [ -z "$check" ]; then
			cp "$seed" "$corpus/$1/"
		elif [ ! -e "$corpus/$1/${seed##*/}" ]; then
			echo "the corpus of $1 has no seed of the layout of today: run ninja fuzz-seeds" >&2
			status=1
			break
		fi
	done
	shift 2
done
exit $status
