#!/bin/bash
# Says how services are: their state, and whether each app answers its health check.
#
# Exit status: 0 all is well, 1 warnings, 2 something does not work, 3 the check could not run.
set -euo pipefail

unit='' health=/up json=false
host=${HMS_HOST:-$(uname -n)}
levels=() subjects=() messages=() rows=() objects=()

bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' reset=$'\e[0m'
[[ -z ${NO_COLOR:-} ]] || bold='' dim='' red='' green='' yellow='' reset=''

# Whatever ends this early is no finding: the status says that the check could not run.
verdict=3
trap 'exit "$verdict"' EXIT

# A text as a JSON string.
json_string() {
  local text=$1
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
    [[ -z ${2:-} ]] || printf '%s\n' "$2"
  fi
  exit 3
}

# A finding: level, subject, message.
note() {
  levels+=("$1") subjects+=("$2") messages+=("$3")
}

read_arguments() {
  local argument
  for argument in "$@"; do
    case $argument in
      --unit=*) unit=${argument#*=} ;;
      --health=*) health=${argument#*=} ;;
      --json) json=true ;;
      *) fail "the argument \`${argument//[^[:graph:]]/?}\` is not known here" ;;
    esac
  done
  [[ -z $unit || $unit =~ ^[A-Za-z0-9_:][A-Za-z0-9:_.\\@-]{0,254}$ ]] || fail "the value of \`unit\` is not the name of a unit"
  [[ $health == /* ]] || fail "the value of \`health\` is not an absolute path"
}

# The units to look at, one a line.
units() {
  if [[ -n $unit ]]; then
    printf '%s\n' "$unit"
    return
  fi
  {
    systemctl list-unit-files --no-pager --no-legend --full 'puma-*.service'
    systemctl list-units --all --plain --no-pager --no-legend --full 'puma-*.service'
  } | awk '$1 !~ /@\.service$/ { print $1 }' | sort -u
  printf '%s\n' nginx.service
  systemctl list-units --all --plain --no-pager --no-legend --full 'postgresql@*.service' | awk '{ print $1 }'
  printf '%s\n' hms-controller.service hms-agent.service
}

# Seconds since the system started, as systemd counts them.
uptime_s() {
  local up
  read -r up _ </proc/uptime
  printf '%s' "${up%%.*}"
}

ago() {
  local s=$1
  if ((s < 120)); then printf '%d s' "$s"
  elif ((s < 7200)); then printf '%d min' $((s / 60))
  elif ((s < 172800)); then printf '%d h' $((s / 3600))
  else printf '%d days' $((s / 86400)); fi
}

# Memory in MiB: of the whole unit where systemd counts it, else of its main process.
memory() {
  local bytes=$1 pid=$2 kib
  if [[ $bytes =~ ^[0-9]{1,17}$ ]]; then
    printf '%d' $((bytes / 1048576))
  elif kib=$(awk '$1 == "VmRSS:" { print $2 }' "/proc/$pid/status" 2>/dev/null) && [[ -n $kib ]]; then
    printf '%d' $((kib / 1024))
  fi
}

# The socket that an app listens on, at the places where it is usually put.
socket_of() {
  local app=$1 path
  for path in "/run/puma-$app/"*.sock "/run/$app/"*.sock "/run/puma/$app.sock" \
    "/srv/$app/shared/tmp/sockets/"*.sock "/srv/$app/current/tmp/sockets/"*.sock; do
    [[ ! -S $path ]] || { printf '%s' "$path"; return; }
  done
}

# The name under which nginx serves an app: that of the first site which names its socket or its upstream.
server_name_of() {
  local app=$1 site
  for site in /etc/nginx/sites-enabled/* /etc/nginx/conf.d/*.conf; do
    [[ -r $site ]] || continue
    if grep -qE -- "(puma-|/|//)$app([./; ]|$)" "$site"; then
      awk '$1 == "server_name" && $2 !~ /^[_~*]/ { sub(/;.*/, "", $2); print $2; exit }' "$site"
      return
    fi
  done
}

# Asks an app for its health check: sets `answer`, and `via` to what it was asked through.
ask() {
  local app=$1 socket name
  local curl=(curl --silent --globoff --output /dev/null --max-time 5 --write-out '%{http_code} %{time_total}')
  answer='' via=''
  socket=$(socket_of "$app")
  name=$(server_name_of "$app")
  if [[ -n $socket && -w $socket ]]; then
    via=$socket
    answer=$("${curl[@]}" --unix-socket "$socket" --header "Host: ${name:-localhost}" --header 'X-Forwarded-Proto: https' \
      -- "http://localhost$health") || true
  elif [[ -n $name ]]; then
    via="nginx as $name"
    answer=$("${curl[@]}" --header "Host: $name" -- "http://127.0.0.1$health") || true
  fi
}

# Whether it should be running: what starts at boot should, and a cluster of PostgreSQL when PostgreSQL itself does.
wanted() {
  local name=$1 file_state=$2
  case $name in
    postgresql@*) [[ $(systemctl is-enabled postgresql.service 2>/dev/null) == enabled* ]] ;;
    *) [[ $file_state == enabled* || -n $unit ]] ;;
  esac
}

# Judges one unit by its properties in `p`; the sentence says what was found and what to do.
judge() {
  local name=${p[Id]} since=$1
  local logs="see \`journalctl -u $name\`"
  case ${p[ActiveState]} in
    failed)
      note critical "$name" "failed $(ago "$since") ago (${p[Result]}, exit status ${p[ExecMainStatus]}): $logs" ;;
    activating | deactivating | reloading)
      if [[ ${p[SubState]} == auto-restart ]]; then
        note critical "$name" "ends again and again (${p[NRestarts]} restarts, exit status ${p[ExecMainStatus]}): $logs"
      else
        note warning "$name" "is ${p[ActiveState]} since $(ago "$since")"
      fi ;;
    active)
      if ((p[NRestarts] > 0 && since < 600)); then
        note warning "$name" "was restarted ${p[NRestarts]} times by systemd, last $(ago "$since") ago: $logs"
      else
        judge_answer "$name"
      fi ;;
    *)
      if wanted "$name" "${p[UnitFileState]}"; then
        note critical "$name" "is not running although it should be: start it with \`systemctl start $name\`"
      else
        note ok "$name" "is not running, and does not start at boot"
      fi ;;
  esac
}

# An app that runs must also answer.
judge_answer() {
  local name=$1 app status
  app=${name#puma-} app=${app%.service}
  [[ $name == puma-*.service ]] || { note ok "$name" "is running"; return; }
  ask "$app"
  status=${answer%% *}
  if [[ -z $via ]]; then
    note ok "$name" "is running; neither a socket nor a site of nginx was found to ask it through"
  elif [[ ! $status =~ ^[0-9]+$ || $status == 000 ]]; then
    note critical "$name" "is running but does not answer $health through $via"
  elif ((10#$status >= 500)); then
    note critical "$name" "answers $health with status $status through $via: see \`journalctl -u $name\`"
  elif ((10#$status >= 400)); then
    note warning "$name" "answers $health with status $status through $via: is that its health check?"
  else
    note ok "$name" "is running and answers $health with $status"
  fi
}

# Looks at one unit, and adds its row.
look_at() {
  local since=0 mib level state answered=''
  local -A p=()
  local answer='' via='' line
  while IFS= read -r line; do
    p[${line%%=*}]=${line#*=}
  done < <(systemctl show --no-pager --property=Id,LoadState,ActiveState,SubState,Result,NRestarts,MemoryCurrent,MainPID \
    --property=StateChangeTimestampMonotonic,UnitFileState,ExecMainStatus -- "$1")
  if [[ ${p[LoadState]:-} != loaded ]]; then
    [[ -z $unit ]] || fail "there is no unit \`$unit\` on $host" "List them with \`systemctl list-units --all\`."
    return 0
  fi
  : "${p[NRestarts]:=0}" "${p[Result]:=-}" "${p[ExecMainStatus]:=0}"
  ((p[StateChangeTimestampMonotonic] == 0)) || since=$(($(uptime_s) - p[StateChangeTimestampMonotonic] / 1000000))
  ((since >= 0)) || since=0
  judge "$since"
  level=${levels[-1]} state="${p[ActiveState]} (${p[SubState]})" mib=$(memory "${p[MemoryCurrent]:-}" "${p[MainPID]:-0}")
  [[ ! $answer =~ ^[1-9] ]] || answered=$(awk '{ printf "%s in %d ms", $1, $2 * 1000 }' <<<"$answer")
  rows+=("$level|$1|$state|$(ago "$since")|${p[NRestarts]}|${mib:+$mib MiB}|$answered|${messages[-1]}")
  objects+=("{\"unit\":$(json_string "$1"),\"state\":$(json_string "${p[ActiveState]}"),\"sub_state\":$(json_string "${p[SubState]}"),\"since_s\":$since,\"restarts\":${p[NRestarts]},\"memory_mib\":${mib:-null},\"answer\":$(json_string "$answered")}")
}

print_rows() {
  local row level name state since restarts memory answered message mark
  printf '%sServices on %s%s\n\n' "$bold" "$host" "$reset"
  printf '%s    %-32s %-24s %-10s %8s  %10s  %s%s\n' "$dim" UNIT STATE SINCE RESTARTS MEMORY ANSWERS "$reset"
  for row in "${rows[@]}"; do
    IFS='|' read -r level name state since restarts memory answered message <<<"$row"
    case $level in ok) mark="$green✓" ;; warning) mark="$yellow!" ;; *) mark="$red✗" ;; esac
    printf '  %s%s %-32s %-24s %-10s %8s  %10s  %s\n' "$mark" "$reset" "$name" "$state" "$since" "$restarts" "${memory:--}" "${answered:--}"
    [[ $level == ok ]] || printf '      %s%s%s\n' "$bold" "$message" "$reset"
  done
}

# Prints the report and sets the exit status.
finish() {
  local level i critical=0 warning=0 checks=''
  for i in "${!levels[@]}"; do
    level=${levels[i]}
    case $level in critical) critical=$((critical + 1)) ;; warning) warning=$((warning + 1)) ;; esac
    checks+="${checks:+,}{\"level\":\"$level\",\"subject\":$(json_string "${subjects[i]}"),\"message\":$(json_string "${messages[i]}")}"
  done
  if $json; then
    printf '{"host":%s,"checks":[%s],"units":[%s]}\n' "$(json_string "$host")" "$checks" "$(IFS=,; printf '%s' "${objects[*]}")"
  else
    print_rows
    printf '\n%d of %d are well.\n' $((${#levels[@]} - critical - warning)) "${#levels[@]}"
  fi
  verdict=0
  ((warning == 0)) || verdict=1
  ((critical == 0)) || verdict=2
}

main() {
  local names name
  read_arguments "$@"
  systemctl show --no-pager --property=Version >/dev/null 2>&1 || fail "systemd does not answer"
  mapfile -t names < <(units)
  for name in "${names[@]}"; do
    look_at "$name"
  done
  finish
}

main "$@"
