#!/bin/bash
# Restarts one unit, and watches that it stays up.
#
# Exit status: 0 it is up again, 1 it is not, 3 nothing was done.
set -euo pipefail

unit='' watch=5 json=false
host=${HMS_HOST:-$(uname -n)}

bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' reset=$'\e[0m'
[[ -z ${NO_COLOR:-} ]] || bold='' dim='' red='' green='' reset=''

# A text as a JSON string; log lines may hold anything, also bytes that are no UTF-8.
json_string() {
  local text
  text=$(printf '%s' "$1" | iconv -c -f UTF-8 -t UTF-8 2>/dev/null) || true
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//[[:cntrl:]]/ }
  printf '"%s"' "$text"
}

# Ends it before anything was done: why, and what to do instead.
refuse() {
  if $json; then
    printf '{"host":%s,"stays_up":false,"error":%s}\n' "$(json_string "$host")" "$(json_string "$1")"
  else
    printf '%serror:%s %s\n' "$red" "$reset" "$1"
    [[ -z ${2:-} ]] || printf '%s\n' "$2"
  fi
  exit 3
}

# Like printf, for people only.
# shellcheck disable=SC2059 # the first argument is a format of this file
say() {
  $json || printf "$@"
}

read_arguments() {
  local argument
  for argument in "$@"; do
    case $argument in
      --unit=*) unit=${argument#*=} ;;
      --watch=*) watch=${argument#*=} ;;
      --json) json=true ;;
      *) refuse "the argument \`${argument//[^[:graph:]]/?}\` is not known here" ;;
    esac
  done
  [[ $unit =~ ^[A-Za-z0-9_:][A-Za-z0-9:_.\\@-]{0,245}\.(service|socket|timer|path)$ ]] ||
    refuse "the value of \`unit\` is not the name of a service, socket, timer or path"
  [[ $watch =~ ^[1-9][0-9]{0,2}$ ]] || refuse "the value of \`watch\` is not a number of seconds from 1 to 120"
}

# Refuses what the host, or the way back to it, is lost without; all names of the unit are looked at.
check_policy() {
  local name stem
  for name in "$@"; do
    stem=${name%.*}
    case $stem in
      hms-agent) refuse "\`$name\` is not restarted by a script: HMS itself works through it" \
        "Run \`systemctl restart hms-agent\` on the host." ;;
      dbus | dbus-broker* | dbus-*broker*) refuse "\`$name\` is not restarted: the host does not work without its message bus" \
        "Reboot the host instead." ;;
      ssh | sshd | ssh@* | sshd@*) refuse "\`$name\` is not restarted by a script: it is the way back to the host" \
        "Do this on the host itself, if you must." ;;
      systemd-*) refuse "\`$name\` is not restarted by a script: it is a part of systemd" \
        "Do this on the host itself, if you must." ;;
      poweroff | reboot | halt | kexec | exit | shutdown | rescue | emergency | final | umount | sleep | suspend | hibernate | \
        hybrid-sleep | suspend-then-hibernate | soft-reboot | ctrl-alt-del)
        refuse "\`$name\` is not started: it would bring the host down" "Do this on the host itself." ;;
    esac
  done
}

# Reads the unit's properties into the array named by the first argument.
# shellcheck disable=SC2034 # that array is used by the caller
properties() {
  local -n into=$1
  local line
  into=()
  while IFS= read -r line; do
    into[${line%%=*}]=${line#*=}
  done < <(systemctl show --no-pager --property=Names,LoadState,ActiveState,SubState,Result,NRestarts,MainPID,Type \
    --property=ExecMainStatus,StateChangeTimestamp -- "$unit")
}

print_state() {
  local title=$1
  local -n of=$2
  local pid=${of[MainPID]:-0} since=${of[StateChangeTimestamp]:-}
  ((pid > 0)) || pid='-'
  say '  %s%-7s%s %-24s process %-8s since %s\n' "$dim" "$title" "$reset" "${of[ActiveState]} (${of[SubState]})" "$pid" "${since:-(never)}"
}

state_json() {
  local -n of=$1
  printf '{"state":%s,"sub_state":%s,"result":%s,"main_pid":%d,"restarts":%d}' "$(json_string "${of[ActiveState]}")" \
    "$(json_string "${of[SubState]}")" "$(json_string "${of[Result]:-}")" "${of[MainPID]:-0}" "${of[NRestarts]:-0}"
}

# Whether the unit is as it should be after a start; a oneshot has done its work and is gone.
is_up() {
  local -n of=$1
  [[ ${of[ActiveState]} == active || (${of[Type]:-} == oneshot && ${of[ActiveState]} == inactive && ${of[Result]} == success) ]]
}

# Watches the unit: sets `after` and `why`, which is empty if it stayed up.
watch_it() {
  local left=$watch pid
  properties after
  pid=${after[MainPID]:-0} why=''
  while true; do
    if ! is_up after; then
      why="is ${after[ActiveState]} (${after[SubState]}): ${after[Result]:-}, exit status ${after[ExecMainStatus]:-0}"
      return
    fi
    if ((${after[NRestarts]:-0} > 0)) || [[ ${after[MainPID]:-0} != "$pid" ]]; then
      why="ended and was started again by systemd while it was watched"
      return
    fi
    ((left > 0)) || return 0
    sleep 1
    left=$((left - 1))
    properties after
  done
}

# What the unit logged since `started`, at most 20 lines.
last_lines() {
  journalctl --no-pager --quiet --output=cat --lines=20 --since="@$started" --unit="$unit" 2>/dev/null || true
}

report() {
  local line lines=''
  if $json; then
    if [[ -n $why ]]; then
      while IFS= read -r line; do lines+="${lines:+,}$(json_string "$line")"; done < <(last_lines)
    fi
    printf '{"host":%s,"unit":%s,"stays_up":%s,"error":%s,"before":%s,"after":%s,"log":[%s]}\n' "$(json_string "$host")" \
      "$(json_string "$unit")" "$([[ -z $why ]] && echo true || echo false)" "$(json_string "$why")" \
      "$(state_json before)" "$(state_json after)" "$lines"
    return
  fi
  print_state after after
  if [[ -z $why ]]; then
    printf '\n%s✓%s %s was restarted and stayed up for %d s.\n' "$green" "$reset" "$unit" "$watch"
    return
  fi
  printf '\n%s✗%s %s %s.\n\n%sLast lines of its log%s\n' "$red" "$reset" "$unit" "$why" "$bold" "$reset"
  last_lines | tr -d '\033' | sed 's/^/  /'
  printf '\nMore of it: %sjournalctl -u %s%s\n' "$bold" "$unit" "$reset"
}

main() {
  local -A before=() after=()
  local started said why='' names
  read_arguments "$@"
  check_policy "$unit"
  properties before
  [[ ${before[LoadState]:-} == loaded ]] ||
    refuse "there is no unit \`$unit\` on $host" 'List them with: systemctl list-units --all'
  read -r -a names <<<"${before[Names]:-$unit}"
  check_policy "${names[@]}"
  say '%sRestarting %s on %s%s\n\n' "$bold" "$unit" "$host" "$reset"
  print_state before before
  started=$(date +%s)
  if said=$(systemctl restart --no-ask-password -- "$unit" 2>&1); then
    watch_it
  else
    properties after
    why="does not start: ${after[Result]:-failed}, exit status ${after[ExecMainStatus]:-0}"
    say '  %s%s%s\n' "$dim" "${said%%$'\n'*}" "$reset"
  fi
  report
  [[ -z $why ]] || exit 1
}

main "$@"
