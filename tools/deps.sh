#!/bin/sh
# deps.sh - provides what the build needs and does nothing when all of it is there (about 10 ms).
#
#   tools/deps.sh            compiler, meson, ninja and the libraries that meson.build names
#   tools/deps.sh --test     the programs that the test suites use as well
#   tools/deps.sh --valgrind valgrind as well
#   tools/deps.sh --fuzz     clang with libFuzzer as well
#   tools/deps.sh --pkgpath  prints the folder of .pc files below .deps, if there is one
#
# The order is: what is installed already; packages of this release, where they are new enough; on Debian 12 some -dev
# packages of Debian 13, and on Debian 13 the lmdb of Debian 12, fetched with an apt configuration of their own, verified as
# ever, unpacked into .deps/ and never installed; what is still missing is left to Meson and subprojects/*.wrap.
set -eu
cd "$(dirname "$0")/.."
deps=$PWD/.deps

# pkg-config name:package of Debian. The versions stand in meson.build, nowhere else.
LIBRARIES='libuv:libuv1-dev mbedtls:libmbedtls-dev libllhttp:libllhttp-dev msgpack-c:libmsgpack-c-dev
	yyjson:libyyjson-dev yaml-0.1:libyaml-dev zlib:zlib1g-dev lmdb:liblmdb-dev cmocka:libcmocka-dev'
# command:package
BUILD_TOOLS='cc:gcc meson:meson ninja:ninja-build pkg-config:pkg-config'
TEST_TOOLS='python3:python3 openssl:openssl curl:curl pip3:python3-pip node:nodejs npm:npm nginx:nginx-light
	chromium:chromium clang-format-14:clang-format-14'

say() { echo "deps: $*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

pkgpath() {
	for dir in "$deps"/root/usr/lib/*/pkgconfig; do
		[ ! -d "$dir" ] || echo "$dir"
	done
}

# Prints "NAME >= VERSION" for each library; lmdb, whose versions have a hole, is checked by lmdb_is_good.
minimums() {
	sed -n "s/.*dependency('\([a-z0-9.-]*\)', version: '>=\([0-9.]*\)'.*/\1 >= \2/p" meson.build test/meson.build |
		grep -v '^lmdb '
}

minimum_of() { # NAME
	minimums | sed -n "s/^$1 >= //p"
}

pc() {
	PKG_CONFIG_PATH=$(pkgpath)${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH} pkg-config "$@" 2>/dev/null
}

# 0.9.25 to 0.9.31 carry a change to robust mutexes that upstream took back as racy.
lmdb_is_good() {
	pc --exists 'lmdb = 0.9.24' || pc --exists 'lmdb >= 0.9.32'
}

library_is_good() { # NAME
	if [ "$1" = lmdb ]; then lmdb_is_good; else pc --exists "$1 >= $(minimum_of "$1")"; fi
}

tools_are_here() { # TABLE
	for row in $1; do
		have "${row%%:*}" || return 1
	done
}

all_is_here() {
	tools_are_here "$BUILD_TOOLS" || return 1
	list=$(minimums) # all libraries in one call
	IFS='
'
	# shellcheck disable=SC2086
	set -- $list
	unset IFS
	pc --exists "$@" && lmdb_is_good
}

can_be_root() {
	[ "$(id -u)" = 0 ] || have sudo
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Runs a command whose output matters only when it fails.
quietly() {
	mkdir -p "$deps"
	if ! "$@" >"$deps/log" 2>&1; then
		tail -n 20 "$deps/log" >&2
		say "failed: $*"
		return 1
	fi
}

candidate() { # PACKAGE: the upstream version that this release offers, nothing when it has none
	apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p' | sed 's/^[0-9]*://; /(none)/d'
}

is_offered() { # NAME PACKAGE
	version=$(candidate "$2")
	[ -n "$version" ] || return 1
	if [ "$1" = lmdb ]; then
		case $version in 0.9.24*) return 0 ;; esac
		dpkg --compare-versions "$version" ge 0.9.32~~
	else
		dpkg --compare-versions "$version" ge "$(minimum_of "$1")~~" # "9.2.1~ds" is 9.2.1
	fi
}

fuzzer_is_here() {
	have clang && ls "$(clang -print-runtime-dir)"/libclang_rt.fuzzer* >/dev/null 2>&1
}

install_packages() {
	[ $# -gt 0 ] || return 0
	can_be_root || die "these packages are missing, and installing them needs root: $*"
	say "installing $*"
	quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

install_tools() {
	set --
	for row in $tools; do
		have "${row%%:*}" || [ -z "$(candidate "${row#*:}")" ] || set -- "$@" "${row#*:}"
	done
	install_packages "$@"
}

install_build() {
	set --
	for row in $BUILD_TOOLS; do
		have "${row%%:*}" || set -- "$@" "${row#*:}"
	done
	[ -e /usr/include/stdio.h ] || set -- "$@" libc6-dev
	[ -e /etc/ssl/certs/ca-certificates.crt ] || set -- "$@" ca-certificates
	for row in $LIBRARIES; do
		library_is_good "${row%%:*}" || ! is_offered "${row%%:*}" "${row#*:}" || set -- "$@" "${row#*:}"
	done
	install_packages "$@"
}

# The archive that this machine's own apt uses for release $1; other vendors' archives do not count.
archive_of() { # CODENAME
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
		sed -n "s/^Debian $1 //p" | head -n 1
}

# Fetches packages of another release of the same archive and unpacks them into .deps/root. Nothing under the machine's own
# apt folders changes: sources, lists, cache and status are those below .deps/apt.
unpack_from() { # OWN-CODENAME OTHER-CODENAME PACKAGE...
	archive=$(archive_of "$1")
	release=$2
	shift 2
	if [ -z "$archive" ]; then
		say "no Debian archive among this machine's apt sources"
		return 1
	fi
	keyring=$(ls /usr/share/keyrings/debian-archive-keyring.[gp][pg][gp] 2>/dev/null | head -n 1)
	if [ -z "$keyring" ]; then
		say "the package debian-archive-keyring is missing"
		return 1
	fi
	say "unpacking into .deps, from $release: $*"
	rm -rf "$deps/apt" "$deps/debs" "$deps/new"
	mkdir -p "$deps/apt/lists/partial" "$deps/apt/cache/archives/partial" "$deps/debs" "$deps/new"
	echo "deb [signed-by=$keyring] $archive $release main" >"$deps/apt/sources.list"
	isolated="-o Dir::Etc::sourcelist=$deps/apt/sources.list -o Dir::Etc::sourceparts=/dev/null
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null
		-o Dir::State::Lists=$deps/apt/lists -o Dir::State::status=/dev/null -o Dir::Cache=$deps/apt/cache
		-o APT::Sandbox::User=root -o Acquire::Retries=3 -o Acquire::Languages=none"
	# shellcheck disable=SC2086
	quietly apt-get -qq $isolated update || return 1
	# shellcheck disable=SC2086
	(cd "$deps/debs" && quietly apt-get -qq $isolated download "$@") || return 1
	for deb in "$deps"/debs/*.deb; do
		dpkg-deb -x "$deb" "$deps/new"
	done
	for lib in "$deps"/new/usr/lib/*/; do
		# shellcheck disable=SC2016
		sed -i 's#=/usr#=${pcfiledir}/../../..#' "$lib"pkgconfig/*.pc # so that .deps may be moved
		for archive in "$lib"*.a; do # static where there is a static one
			[ ! -e "$archive" ] || rm -f "${archive%.a}".so*
		done
	done
	rm -rf "$deps/root" "$deps/apt" "$deps/debs"
	mv "$deps/new" "$deps/root"
}

unpack_missing() {
	. /etc/os-release
	case ${ID:-}-${VERSION_ID:-} in
	debian-12) other=trixie from='mbedtls libllhttp msgpack-c yyjson' ;;
	debian-13) other=bookworm from=lmdb ;;
	*) return 0 ;;
	esac
	set --
	for name in $from; do
		library_is_good "$name" && continue
		for row in $LIBRARIES; do
			[ "${row%%:*}" != "$name" ] || set -- "$@" "${row#*:}"
		done
		[ "$name" != yyjson ] || set -- "$@" libyyjson0 # there is no static library in it
	done
	[ $# = 0 ] || unpack_from "$VERSION_CODENAME" "$other" "$@"
}

case ${1:-} in
--pkgpath)
	pkgpath
	exit 0
	;;
--test) tools=$TEST_TOOLS ;;
--valgrind) tools='valgrind:valgrind' ;;
'' | --fuzz) tools='' ;;
*) die "usage: tools/deps.sh [--test | --valgrind | --fuzz | --pkgpath]" ;;
esac
fuzz=$([ "${1:-}" != --fuzz ] || echo yes)

if all_is_here && tools_are_here "$tools" && { [ -z "$fuzz" ] || fuzzer_is_here; }; then
	exit 0
fi
if have apt-get; then
	! can_be_root || quietly as_root apt-get update -qq || say "going on with the package lists that are here"
	install_build
	unpack_missing || say "going on without"
	install_tools
	[ -z "$fuzz" ] || fuzzer_is_here || install_packages clang libclang-rt-dev
fi
[ -z "$fuzz" ] || fuzzer_is_here || die "fuzzing needs clang with its libFuzzer runtime"
tools_are_here "$BUILD_TOOLS" || die "needed: a C compiler, meson (1.0 or later), ninja, pkg-config"
all_is_here || say "what is still missing, Meson will fetch (subprojects/*.wrap)"
