#!/bin/bash
# Tests the connection to PostgreSQL as an app has it, and says how the server is.
#
# Exit status: 0 all is well, 1 warnings, 2 no connection or nearly none left, 3 the check could not run.
set -euo pipefail

app='' server='' port=5432 longest=300 json=false
dbname=${HMS_PARAM_DBNAME:-} role=${HMS_PARAM_USER:-}
host=${HMS_HOST:-$(uname -n)}
levels=() subjects=() messages=() hints=() facts=()
declare -A group_of=() home_of=()

bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' reset=$'\e[0m'
[[ -z ${NO_COLOR:-} ]] || bold='' dim='' red='' green='' yellow='' reset=''

# Whatever ends this early is no finding: the status says that the check could not run.
verdict=3
trap 'exit "$verdict"' EXIT

# A text as a JSON string; names of databases may hold anything, also bytes that are no UTF-8.
json_string() {
  local text
  text=$(printf '%s' "$1" | iconv -c -f UTF-8 -t UTF-8 2>/dev/null) || true
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//[[:cntrl:]]/ }
  printf '"%s"' "$text"
}

# Ends the check: it could not run.
fail() {
  if $json; then
    printf '{"checks":[],"error":%s}\n' "$(json_string "$1")"
  else
    printf '%serror:%s %s\n' "$red" "$reset" "$1"
  fi
  exit 3
}

# A finding: level, subject, message, and what to do.
note() {
  levels+=("$1") subjects+=("${2//[[:cntrl:]]/ }") messages+=("${3//[[:cntrl:]]/ }") hints+=("${4:-}")
}

read_arguments() {
  local argument
  for argument in "$@"; do
    case $argument in
      --app=*) app=${argument#*=} ;;
      --host=*) server=${argument#*=} ;;
      --port=*) port=${argument#*=} ;;
      --longest=*) longest=${argument#*=} ;;
      --json) json=true ;;
      *) fail "the argument \`${argument//[^[:graph:]]/?}\` is not known here" ;;
    esac
  done
  [[ -z $app || $app =~ ^[a-z][a-z0-9-]{0,49}$ ]] || fail "the value of \`app\` is not the name of an app"
  [[ -z $server || $server =~ ^[a-z0-9]([a-z0-9.-]{0,252})$ ]] || fail "the value of \`host\` is not the name of a host"
  [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || fail "the value of \`port\` is not a port"
  [[ $longest =~ ^[1-9][0-9]{0,8}$ ]] || fail "the value of \`longest\` is not a number of seconds"
}

# Whether this host has a user of this name, never root; keeps what `as` needs of it.
is_user() {
  local id group home
  [[ $1 =~ ^[a-z_][a-z0-9_-]{0,31}$ ]] || return 1
  [[ -z ${group_of[$1]:-} ]] || return 0
  IFS=: read -r _ _ id group _ home _ < <(getent passwd -- "$1") || return 1
  ((id != 0)) || return 1
  group_of[$1]=$group home_of[$1]=$home
}

# Runs a program as a user of this host that was looked up, with nothing of root's.
as() {
  local user=$1
  shift
  HOME=${home_of[$user]} setpriv --reuid="$user" --regid="${group_of[$user]}" --init-groups --inh-caps=-all -- "$@"
}

# One query, its columns divided by tabs: user of the host, role, database, SQL of this file.
#
# Names go in by the environment: as an argument, psql would take `dbname` for a connection string.
query() {
  PGUSER=$2 PGDATABASE=$3 PGHOST=${server:-/run/postgresql} PGPORT=$port PGCONNECT_TIMEOUT=8 PGAPPNAME=hms-check \
    PGOPTIONS='-c statement_timeout=15s -c default_transaction_read_only=on' \
    as "$1" psql --no-psqlrc --no-password --no-align --tuples-only --quiet --set=ON_ERROR_STOP=1 \
    --field-separator=$'\t' --command="$4" 2>&1
}

# Whom to be on this host, as peer authentication wants it: sets `me`.
choose_user() {
  local name
  for name in "$role" "$app" postgres nobody; do
    if is_user "$name"; then
      me=$name
      return
    fi
  done
  fail "this host has no user to connect as"
}

# The app's role and database by convention, where none is given: of those that exist, if PostgreSQL tells.
choose_names() {
  local name=${app//-/_} found
  if [[ -z $app ]]; then
    : "${role:=$([[ -n $server ]] && echo "$me" || echo postgres)}" "${dbname:=postgres}"
    return
  fi
  if [[ -z $dbname ]]; then
    dbname=${name}_production
    found=$([[ -n $server ]] || ! is_user postgres || query postgres postgres postgres \
      "select datname from pg_database where datname in ('${name}_production', '${app}_production', '$name', '$app') order by length(datname) desc limit 1") || true
    [[ ! $found =~ ^[a-z][a-z0-9_-]*$ ]] || dbname=$found
  fi
  : "${role:=$app}"
}

# Says why PostgreSQL does not answer at all.
explain_silence() {
  local units unit where="port $port of ${server:-this host}"
  if [[ -n $server ]]; then
    note critical server "nothing answers at $where" "Is PostgreSQL running there, does listen_addresses have that address, and does a firewall let it through?"
    return
  fi
  units=$(systemctl list-units --all --plain --no-legend --no-pager 'postgresql@*.service' 2>/dev/null | awk '{ print $1 " is " $3 }' | paste -sd ',')
  unit=${units%% *}
  note critical server "PostgreSQL does not answer at $where${units:+: $units}" \
    "Start it with \`systemctl start ${unit:-postgresql.service}\`; \`journalctl -u ${unit:-postgresql.service}\` says why it ended."
}

# Says what a refused connection means: what psql said, as user, role and database.
explain_refusal() {
  local said=$1 line=${1%%$'\n'*} hint
  line=${line##*: FATAL:  } line=${line#psql: error: }
  case $said in
    *'Peer authentication failed'*)
      hint="The user \`$me\` of this host may not be the role \`$role\`: map it in pg_ident.conf, or name another role."
      is_user "$role" || hint="This host has no user \`$role\`, which peer authentication asks for: is the app on this host, and is that its role?" ;;
    *'no pg_hba.conf entry'*) hint="Add a line for this role, database and address to pg_hba.conf, and reload PostgreSQL." ;;
    *'role "'*'does not exist'*) hint="Make it with \`createuser\` as postgres, or name another role." ;;
    *'database "'*'does not exist'*) hint="Make it with \`createdb --owner\` as postgres, or name another database." ;;
    *'no password supplied'* | *'password authentication failed'*)
      hint="Put a line \`host:port:database:role:password\` into .pgpass in the home of \`$me\`, mode 0600, or correct the one there." ;;
    *'too many clients'* | *'remaining connection slots'*)
      hint="Every connection is in use: restart what holds them, lower the pools of the apps, or raise max_connections." ;;
    *'is starting up'* | *'shutting down'* | *'in recovery mode'*) hint="Wait a moment, and try again; the log of PostgreSQL says what it does." ;;
    *'permission denied for database'*) hint="Grant it: \`GRANT CONNECT ON DATABASE … TO …\` as postgres." ;;
    *'timeout expired'* | *'could not translate host name'* | *'Connection refused'* | *'No route'*) hint="Check the name, the port and the network on the way." ;;
    *) hint="The log of PostgreSQL says more." ;;
  esac
  note critical "$dbname" "cannot connect as \`$role\`: $line" "$hint"
}

# Whether the server takes connections.
check_server() {
  local status=0
  as "$me" pg_isready --quiet --timeout=8 --port="$port" --host="${server:-/run/postgresql}" || status=$?
  case $status in
    0) return 0 ;;
    1) note critical server "PostgreSQL refuses connections: it is starting, stopping or recovering" "Wait a moment; its log says what it does." ;;
    2) explain_silence ;;
    *) fail "pg_isready was not able to ask" ;;
  esac
  return 1
}

# Whether the app gets in, and how long it waits.
check_connection() {
  local said start end ms
  start=${EPOCHREALTIME/[.,]/}
  if ! said=$(query "$me" "$role" "$dbname" 'select 1'); then
    explain_refusal "$said"
    return 1
  fi
  end=${EPOCHREALTIME/[.,]/}
  ms=$(((end - start) / 1000))
  note ok "$dbname" "connects as \`$role\` and answers in $ms ms"
  facts+=("latency_ms|$ms|Connect and query|$ms ms")
}

readonly SUMMARY="
select split_part(version(), ' ', 2),
  (select count(*) from pg_stat_activity where backend_type = 'client backend'),
  current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
  pg_database_size(current_database()),
  extract(epoch from now() - pg_postmaster_start_time())::bigint,
  coalesce((select extract(epoch from max(now() - query_start))::bigint from pg_stat_activity
    where state = 'active' and backend_type = 'client backend' and pid <> pg_backend_pid()), 0),
  coalesce((select extract(epoch from max(now() - xact_start))::bigint from pg_stat_activity
    where state like 'idle in transaction%'), 0),
  (select count(*) from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0),
  (select max(age(datfrozenxid)) from pg_database),
  case when pg_is_in_recovery() then coalesce(extract(epoch from now() - pg_last_xact_replay_timestamp())::bigint, 0) else -1 end,
  (select count(*) from pg_stat_replication),
  coalesce((select max(extract(epoch from replay_lag))::bigint from pg_stat_replication), 0)"

# How the server is, as the role that sees most: the owner of a local one, else the role itself.
check_health() {
  local row version used most bytes up active idle blocked age behind standbys lag watcher=$role as_user=$me
  if [[ -z $server ]] && is_user postgres && query postgres postgres "$dbname" 'select 1' >/dev/null; then
    watcher=postgres as_user=postgres
  fi
  row=$(query "$as_user" "$watcher" "$dbname" "$SUMMARY") || { note warning server "cannot be asked how it is: ${row##*ERROR:  }"; return; }
  # What another server says is not calculated with unless it is numbers.
  [[ $row =~ ^[A-Za-z0-9.]+($'\t'-?[0-9]{1,18}){11}$ ]] || { note warning server "says of itself what this check does not understand"; return; }
  IFS=$'\t' read -r version used most bytes up active idle blocked age behind standbys lag <<<"$row"
  facts+=("version|$version|PostgreSQL|$version, up for $(ago "$up")" "connections|$used|Connections|$used of $most"
    "bytes|$bytes|Size|$(numfmt --to=iec-i --suffix=B --format=%.1f -- "$bytes")"
    "longest_query_s|$active|Longest query|$(ago "$active")" "standbys|$standbys|Standbys|$standbys")
  check_load
  check_replication
}

ago() {
  local s=$1
  if ((s < 120)); then printf '%d s' "$s"
  elif ((s < 7200)); then printf '%d min' $((s / 60))
  elif ((s < 172800)); then printf '%d h' $((s / 3600))
  else printf '%d days' $((s / 86400)); fi
}

# shellcheck disable=SC2154 # the columns are those of check_health
check_load() {
  local share=$((used * 100 / (most > 0 ? most : 1)))
  if ((share >= 95)); then note critical connections "$used of $most connections are in use" "Lower the pools of the apps, or raise max_connections."
  elif ((share >= 80)); then note warning connections "$used of $most connections are in use" "Lower the pools of the apps, or raise max_connections."
  else note ok connections "$used of $most are in use"; fi
  ((active < longest)) || note warning queries "a query runs since $(ago "$active")" \
    "\`SELECT pid, usename, query FROM pg_stat_activity WHERE state = 'active'\` shows it; \`SELECT pg_cancel_backend(pid)\` ends it."
  ((idle < longest)) || note warning transactions "a transaction does nothing since $(ago "$idle"), and may keep locks" \
    "Find its program: \`SELECT pid, usename, application_name FROM pg_stat_activity WHERE state LIKE 'idle in%'\`."
  ((blocked == 0)) || note warning locks "$blocked sessions wait for a lock of another" \
    "\`SELECT pid, pg_blocking_pids(pid) FROM pg_stat_activity\` shows who waits for whom."
  ((age < 1000000000)) || note critical vacuum "transaction numbers run out: the oldest is $age transactions old" "Find out why autovacuum does not freeze, and run \`vacuumdb --all --freeze\`."
}

# shellcheck disable=SC2154 # the columns are those of check_health
check_replication() {
  ((behind < 0)) || note "$( ((behind > 300)) && echo warning || echo ok)" replication "this server is a standby, $(ago "$behind") behind"
  ((standbys == 0)) || note "$( ((lag > 300)) && echo warning || echo ok)" replication "$standbys standbys, the slowest $(ago "$lag") behind"
}

print_report() {
  local i fact name value label text mark
  printf '%sPostgreSQL %s%s\n\n' "$bold" "${server:+at $server, seen from }$host" "$reset"
  for i in "${!levels[@]}"; do
    case ${levels[i]} in ok) mark="$green✓" ;; warning) mark="$yellow!" ;; *) mark="$red✗" ;; esac
    printf '  %s%s %s: %s\n' "$mark" "$reset" "${subjects[i]}" "${messages[i]}"
    [[ -z ${hints[i]} ]] || printf '      %s\n' "${hints[i]}"
  done
  ((${#facts[@]} == 0)) || printf '\n'
  for fact in "${facts[@]}"; do
    IFS='|' read -r name value label text <<<"$fact"
    printf '  %s%-20s%s %s\n' "$dim" "$label" "$reset" "$text"
  done
}

# Prints the report and sets the exit status.
finish() {
  local i fact name value label text checks='' data='' warnings=0 criticals=0
  for i in "${!levels[@]}"; do
    case ${levels[i]} in critical) criticals=$((criticals + 1)) ;; warning) warnings=$((warnings + 1)) ;; esac
    checks+="${checks:+,}{\"level\":\"${levels[i]}\",\"subject\":$(json_string "${subjects[i]}"),\"message\":$(json_string "${messages[i]}"),\"hint\":$(json_string "${hints[i]}")}"
  done
  if $json; then
    for fact in "${facts[@]}"; do
      IFS='|' read -r name value label text <<<"$fact"
      [[ $value =~ ^[0-9]+$ ]] || value=$(json_string "$value")
      data+=",\"$name\":$value"
    done
    printf '{"host":%s,"checks":[%s],"database":%s,"role":%s%s}\n' "$(json_string "$host")" "$checks" "$(json_string "$dbname")" "$(json_string "$role")" "$data"
  else
    print_report
  fi
  verdict=0
  ((warnings == 0)) || verdict=1
  ((criticals == 0)) || verdict=2
}

main() {
  local me
  read_arguments "$@"
  choose_user
  if check_server; then
    choose_names
    if check_connection; then check_health; fi
  fi
  finish
}

main "$@"
