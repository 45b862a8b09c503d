#!/usr/bin/env bash
# A real MediaWiki on 127.0.0.1, for tests and measurements.
#
#   wiki.sh packages                        install what is missing of MediaWiki and PHP (Debian's packages; needs root)
#   wiki.sh start WORKDIR PORT [DUMP.xml…]  create a wiki in WORKDIR, import the exports, serve it; prints the API's address
#   wiki.sh maintain WORKDIR SCRIPT.php …   run a maintenance script: edit.php TITLE <TEXT, moveBatch.php, deleteBatch.php, …
#   wiki.sh stop WORKDIR                    stop the server
#
# `start` does only what is missing, so it may be called again. With STOP_WITH=PID in the environment the server ends when
# that process does, however it ends. A test writes faults into WORKDIR/faults.json (what they may be: router.php) and
# reads each request in WORKDIR/requests.jsonl.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mediawiki=/usr/share/mediawiki
workers=6 # more than a polite client keeps busy, so that an impolite one is seen

fail() { echo "error: $*" >&2; exit 1; }
say() { echo "$*" >&2; }

# --- packages ---------------------------------------------------------------------------------------

missing_packages() { # their names on one line, or nothing
    local names
    names=$(each_missing_package)
    echo "${names//$'\n'/ }"
}

each_missing_package() {
    [ -f $mediawiki/api.php ] || echo mediawiki
    local modules=""
    if command -v php >/dev/null; then modules=$(php -m); else echo php-cli; fi
    local pair
    for pair in pdo_sqlite:php-sqlite3 mbstring:php-mbstring xml:php-xml intl:php-intl apcu:php-apcu; do
        grep -qix "${pair%%:*}" <<<"$modules" || echo "${pair##*:}"
    done
}

packages() {
    local missing
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null \
        || fail "the wiki for the integration tests lacks packages – $missing – there is no apt-get here: run this on Debian (a container will do), or install what they hold"
    [ "$(id -u)" = 0 ] \
        || fail "the wiki for the integration tests lacks packages – $missing – run as root: apt-get install --no-install-recommends $missing"
    say "installing $missing"
    local log
    log=$(mktemp)
    # shellcheck disable=SC2086  # a list of words
    if ! { apt-get -qq -o DPkg::Lock::Timeout=120 update \
        && DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        fail "packages for the integration tests could not be installed – $missing – see apt-get's lines above: they must come from Debian 12 or later, main"
    fi
    rm -f "$log"
    missing=$(missing_packages)
    [ -z "$missing" ] || fail "apt-get ended well, but something is still missing – $missing – is another PHP first in the PATH? $(command -v php || true)"
}

# --- the wiki ---------------------------------------------------------------------------------------

logged() { # logged FILE COMMAND…: run quietly; show the end of what was said if it fails
    local log=$1
    shift
    "$@" >>"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; fail "a step of setting up the wiki failed – $* – see above, and $log"; }
}

maintenance() { # maintenance WORKDIR SCRIPT.php ARGS…
    local work=$1 script=$2
    shift 2
    [ -f "$mediawiki/maintenance/$script" ] || fail "MediaWiki has no such maintenance script – $script – see $mediawiki/maintenance"
    MW_CONFIG_FILE=$work/LocalSettings.php MW_PORT=$(cat "$work/port") php -d memory_limit=1G "$mediawiki/maintenance/$script" "$@"
}

create() {
    local work=$1
    [ ! -f "$work/created" ] || return 0
    say "creating the wiki in $work"
    rm -rf "$work/db" "$work/LocalSettings.php"
    mkdir -p "$work/db" "$work/cache"
    logged "$work/setup.log" php "$mediawiki/maintenance/install.php" --confpath "$work" --dbtype sqlite --dbpath "$work/db" --dbname wiki \
        --server "http://127.0.0.1:$(cat "$work/port")" --scriptpath /w --lang en --extensions Cite,TextExtracts --skins Vector \
        --pass "$(head -c 18 /dev/urandom | base64 | tr -d '/+=')Aa1" "Test wiki" Admin
    printf "\nrequire '%s/settings.php';\n" "$here" >>"$work/LocalSettings.php"
    touch "$work/created"
}

import() {
    local work=$1 sum dump
    shift
    [ $# -gt 0 ] || return 0
    sum=$(cat "$@" | sha256sum)
    [ "$(cat "$work/imported" 2>/dev/null)" != "$sum" ] || return 0
    say "importing $*"
    for dump in "$@"; do
        logged "$work/setup.log" maintenance "$work" importDump.php --no-updates --quiet "$dump"
    done
    # links, categories and page properties; then the redirects' table; then what these put off
    logged "$work/setup.log" maintenance "$work" refreshLinks.php --quiet
    logged "$work/setup.log" maintenance "$work" refreshLinks.php --quiet --redirects-only
    logged "$work/setup.log" maintenance "$work" runJobs.php --quiet
    echo "$sum" >"$work/imported"
}

# --- the server -------------------------------------------------------------------------------------

serves() { # serves PID: is this our server, and no zombie? (a PID may have been given to something else since)
    [ -n "$1" ] && { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null | grep -qF "$here/router.php"
}

pid_of() { cat "$1/server.pid" 2>/dev/null || true; }

answers() { # answers PORT: does a MediaWiki answer there?
    php -r 'exit((int)(@file_get_contents("http://127.0.0.1:$argv[1]/w/api.php?action=query&meta=siteinfo&format=json", false,
        stream_context_create(["http" => ["timeout" => 20, "header" => "User-Agent: wiki.sh"]])) === false));' "$1"
}

stop() {
    local work=$1 pid
    pid=$(pid_of "$work")
    if serves "$pid"; then
        kill -- "-$pid" 2>/dev/null || true # the workers are of its process group
        for _ in $(seq 50); do serves "$pid" || break; sleep 0.1; done
        ! serves "$pid" || kill -KILL -- "-$pid"
    fi
    rm -f "$work/server.pid"
}

serve() {
    local work=$1 port=$2 pid
    pid=$(pid_of "$work")
    if serves "$pid" && [ "$(cat "$work/serving" 2>/dev/null)" = "$port" ] && answers "$port"; then return 0; fi
    stop "$work"
    ! php -r 'exit((int)!@fsockopen("127.0.0.1", (int)$argv[1]));' "$port" || fail "the port is taken by another server – $port – choose another"
    mkdir -p "$work/root"
    ln -sfn $mediawiki "$work/root/w"
    rm -f "$work/faults.json"
    MW_CONFIG_FILE=$work/LocalSettings.php MW_PORT=$port MW_WORK=$work PHP_CLI_SERVER_WORKERS=$workers setsid php \
        -d opcache.enable_cli=1 -d opcache.memory_consumption=192 -d opcache.max_accelerated_files=20000 -d opcache.validate_timestamps=0 \
        -d apc.enable_cli=1 -d apc.shm_size=128M -d memory_limit=512M -d max_execution_time=0 -d zlib.output_compression=1 -d ffi.enable=1 \
        -d log_errors=1 -d display_errors=0 -S "127.0.0.1:$port" -t "$work/root" "$here/router.php" >"$work/server.log" 2>&1 </dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- & # nor keep a caller's lock
    pid=$!
    echo "$pid" >"$work/server.pid"
    echo "$port" >"$work/serving"
    watch "$pid" "${STOP_WITH:-}"
    for _ in $(seq 60); do
        if answers "$port"; then return 0; fi
        sleep 0.5
        serves "$pid" || break
    done
    stop "$work"
    tail -n 20 "$work/server.log" >&2
    fail "the wiki does not answer – http://127.0.0.1:$port/w/api.php – see above, and $work/server.log"
}

watch() { # watch PID WITH: end the server when the process WITH is gone
    local pid=$1 with=$2
    [ -n "$with" ] || return 0
    (
        while serves "$pid"; do
            kill -0 "$with" 2>/dev/null || { kill -- "-$pid" 2>/dev/null || true; break; }
            sleep 1
        done
    ) >/dev/null 2>&1 </dev/null 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
}

# --- the commands -----------------------------------------------------------------------------------

usage() { sed -n 's/^# \{0,1\}//;2,/^set/{/^set/!p;}' "${BASH_SOURCE[0]}" >&2; exit 2; }

case "${1:-}:$#" in
packages:1) packages ;;
start:[012]) usage ;;
start:*)
    mkdir -p "$2"
    work=$(cd "$2" && pwd) port=$3
    shift 3
    packages
    echo "$port" >"$work/port"
    create "$work"
    import "$work" "$@"
    serve "$work" "$port"
    echo "http://127.0.0.1:$port/w/api.php"
    ;;
maintain:[012]) usage ;;
maintain:*)
    [ -f "$2/created" ] || fail "there is no wiki – $2 – start one there first"
    work=$(cd "$2" && pwd)
    shift 2
    maintenance "$work" "$@"
    ;;
stop:2) [ ! -d "$2" ] || stop "$(cd "$2" && pwd)" ;;
*) usage ;;
esac
