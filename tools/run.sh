#!/bin/sh
# run.sh BUILD [LISTEN [FOLDER]] - what `./dev run` does when nothing is configured: aigwd in front of a simulated provider and of every
# provider of the catalog whose customary variable is set, with an account, 5 dollars and a key. Ctrl-C ends it all.
# Everything lies in FOLDER, .dev/run unless named; `./dev clean` removes it. aigwd keeps only a digest of the key, so the key is kept there too.
set -eu
cd "$(dirname "$0")/.."
build=$1
listen=${2:-127.0.0.1:8080}
dir=${3:-$PWD/.dev/run}
socket=$dir/control.sock
[ ${#socket} -lt 100 ] || socket=${XDG_RUNTIME_DIR:-/tmp}/aigw-dev-$(id -u).sock # a socket's path has room for 107 bytes
key_file=$dir/demo.key
account=demo
dollars=5
aigwd='' aigwsim=''

die() {
	echo "run: $*" >&2
	exit 1
}

ctl() {
	"$build/aigwctl" --socket "$socket" "$@"
}

# Ends what was started: aigwd first, so that it settles what runs, then the simulator that it may be talking to.
stop() {
	trap - EXIT INT TERM HUP
	for pid in $aigwd $aigwsim; do
		kill -TERM "$pid" 2>/dev/null || :
		wait "$pid" 2>/dev/null || :
	done
}

# Asks until the command succeeds, as long as the process lives; 10 s at most.
await() { # PID LOG COMMAND...
	pid=$1 log=$2 tries=0
	shift 2
	until "$@" >/dev/null 2>&1; do
		if ! kill -0 "$pid" 2>/dev/null; then
			tail -n 20 "$log" >&2
			die "it did not start: the log above is $log"
		fi
		tries=$((tries + 1))
		[ $tries -lt 200 ] || die "it does not answer: see $log"
		sleep 0.05
	done
}

# The live store wants a tmpfs; /run is not one everywhere.
memory_folder() {
	for folder in /dev/shm "${XDG_RUNTIME_DIR:-/run}" /run /tmp; do
		[ "$(stat -f -c %T "$folder" 2>/dev/null)" != tmpfs ] || break
		folder=/dev/shm
	done
	echo "$folder/aigw-dev-$(id -u)"
}

write_config() { # ADDRESS-OF-THE-SIMULATOR
	cat <<END
# Written anew by ./dev run at each start. A configuration of your own: etc/aigw.yaml and its manual, aigw.yaml(5).
listen: [{address: "$listen"}]
admin: {socket: "$socket", http: "off"}
state: "$dir/state"
shared_memory: "$(memory_folder)"
log: {format: text}
timeouts: {drain_timeout: 5s}
END
	# else keeper and workers would be nobody, who may not enter a folder of root's
	[ "$(id -u)" != 0 ] || echo 'user: root'
	cat <<END
providers:
  demo: {dialect: openai, base_url: "http://$1/v1"}
END
	for catalog in etc/catalog/*.yaml; do
		name=$(basename "$catalog" .yaml)
		variable=$(sed -n 's/^env: //p' "$catalog")
		[ -z "$(printenv "$variable")" ] ||
			echo "  $name: {catalog: $name, keys: [\"env:$variable\"], models: [\"*\"]}"
	done
	cat <<END
models:
  demo:
    context: 128000
    max_output: 4096
    price: {input: 1, output: 2}
    offers: {"demo/sim?tokens=30&rate=40": {}}
END
}

# Prints the demo key: that of the file if its account is still there, else a new one.
demo_key() {
	if ! ctl account show "$account" >/dev/null 2>&1; then
		rm -f "$key_file"
		ctl account create "$account" --credit "$dollars" >/dev/null
	fi
	if [ ! -s "$key_file" ]; then
		(umask 077 && ctl key create --account "$account" --json |
			sed -n 's/.*"key" *: *"\([^"]*\)".*/\1/p' >"$key_file")
	fi
	cat "$key_file"
}

mkdir -p "$dir"
trap stop EXIT
trap 'exit 0' INT TERM HUP

rm -f "$dir/aigwsim.log" # what one of before said must not be read before it is cut
"$build/aigwsim" --listen 127.0.0.1:0 >"$dir/aigwsim.log" 2>&1 &
aigwsim=$!
await "$aigwsim" "$dir/aigwsim.log" grep -q 'listening on' "$dir/aigwsim.log"
write_config "$(sed -n 's/.*listening on //p' "$dir/aigwsim.log")" >"$dir/aigw.yaml"

"$build/aigwd" -c "$dir/aigw.yaml" >"$dir/aigwd.log" 2>&1 &
aigwd=$!
await "$aigwd" "$dir/aigwd.log" ctl account list # answered once the ledger is open
key=$(demo_key)
[ -n "$key" ] || die "no key was made: see $dir/aigwd.log"

cat <<END
aigw listens on http://$listen/v1, model "demo" costs 1 dollar a million tokens read and 2 written.
Your key, with $dollars dollars of credit on it at the start: $key

  curl http://$listen/v1/chat/completions -H "authorization: Bearer $key" -H "content-type: application/json" -d '{"model":"demo","stream":true,"messages":[{"role":"user","content":"Hello"}]}'

  $build/aigwctl --socket $socket usage

Log: $dir/aigwd.log. Ctrl-C ends it.
END
wait "$aigwd"
