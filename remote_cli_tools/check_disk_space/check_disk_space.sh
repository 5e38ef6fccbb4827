#!/bin/bash
# Says which file systems are nearly full, and what takes the space in them.
#
# Exit status: 0 all is well, 1 warnings, 2 something is (nearly) full, 3 the check could not run.
set -euo pipefail

warning=80 critical=90 folders=auto json=false
host=${HMS_HOST:-$(uname -n)}
levels=() subjects=() messages=() rows=() systems=() largest=() grows=()

# How long one search for large folders may take, in seconds, and how many searches there are.
search_s=60 searches=3

bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' reset=$'\e[0m'
[[ -z ${NO_COLOR:-} ]] || bold='' dim='' red='' green='' yellow='' reset=''

# Whatever ends this early is no finding: the status says that the check could not run.
verdict=3
trap 'exit "$verdict"' EXIT

# A text as a JSON string; the names of folders may hold anything, also bytes that are no UTF-8.
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

# A finding: level, subject, message.
note() {
  levels+=("$1") subjects+=("$2") messages+=("$3")
}

read_arguments() {
  local argument
  for argument in "$@"; do
    case $argument in
      --warning=*) warning=${argument#*=} ;;
      --critical=*) critical=${argument#*=} ;;
      --folders=*) folders=${argument#*=} ;;
      --json) json=true ;;
      *) fail "the argument \`${argument//[^[:graph:]]/?}\` is not known here" ;;
    esac
  done
  [[ $warning =~ ^(100|[1-9][0-9]?)$ ]] || fail "the value of \`warning\` is not a whole number from 1 to 100"
  [[ $critical =~ ^(100|[1-9][0-9]?)$ ]] || fail "the value of \`critical\` is not a whole number from 1 to 100"
  [[ $folders =~ ^(auto|always|never)$ ]] || fail "the value of \`folders\` is not auto, always or never"
  ((warning <= critical)) || fail "\`warning\` ($warning %) is above \`critical\` ($critical %)"
}

# Bytes as people read them.
size() {
  numfmt --to=iec-i --suffix=B --format='%.1f' -- "$1"
}

# Local file systems that can fill up: source, type, size, used, available, inodes, used inodes, mount point.
#
# The first mount of each device is enough; what is read-only by nature is always full, and credentials are small
# memory file systems of one service.
file_systems() {
  local kinds=(squashfs iso9660 efivarfs devtmpfs ramfs erofs autofs) kind hidden=()
  for kind in "${kinds[@]}"; do hidden+=("--exclude-type=$kind"); done
  # Some mount points are for their owners only: df says so, and goes on.
  { df --local --block-size=1 "${hidden[@]}" \
      --output=source,fstype,size,used,avail,itotal,iused,target 2>/dev/null || true; } |
    awk 'NR > 1 && $3 ~ /^[1-9][0-9]*$/ && $4 ~ /^[0-9]+$/ && $5 ~ /^[0-9]+$/ && $8 != "/dev" && $8 !~ /^\/(run\/(credentials|systemd\/inaccessible|host)|sys|var\/lib\/docker\/overlay2)(\/|$)/ {
      key = ($2 == "tmpfs") ? $8 : $1
      if (!seen[key]++) print
    }'
}

# Adds one file system with its finding.
look_at() {
  local source=$1 kind=$2 total=$3 used=$4 free=$5 inodes=$6 inodes_used=$7 target=$8
  local percent=0 inodes_percent=0 level=ok what
  ((used + free == 0)) || percent=$(((used * 100 + used + free - 1) / (used + free)))
  [[ ! $inodes =~ ^[1-9] ]] || inodes_percent=$(((inodes_used * 100 + inodes - 1) / inodes))
  what="$percent % full, $(size "$free") free"
  ((inodes_percent <= percent)) || ((inodes_percent < warning)) || what="$inodes_percent % of the inodes used: too many small files"
  ((percent < warning && inodes_percent < warning)) || level=warning
  ((percent < critical && inodes_percent < critical)) || level=critical
  note "$level" "$target" "$what"
  rows+=("$level|$percent|$inodes_percent|$(size "$total")|$(size "$free")|$kind|$target")
  systems+=("{\"mount\":$(json_string "$target"),\"source\":$(json_string "$source"),\"type\":\"$kind\",\"size\":$total,\"used\":$used,\"free\":$free,\"used_percent\":$percent,\"inodes_percent\":$inodes_percent}")
  [[ $folders == never || ($folders == auto && $level == ok) ]] || look_inside "$target" "$used" "$kind"
}

# Adds the largest folders of a file system, and what belongs to no folder any more.
look_inside() {
  local target=$1 used=$2 kind=$3 found status=0 bytes folder seen=0
  ((searches > 0)) || return 0
  searches=$((searches - 1))
  found=$(mktemp)
  # Folders that vanish on the way are no failure; a search that is cut short has seen something all the same.
  timeout "$search_s" nice -n 19 du --one-file-system --block-size=1 --max-depth=4 --null -- "$target" >"$found" 2>/dev/null || status=$?
  while IFS=$'\t' read -r -d '' bytes folder; do
    if [[ $folder == "$target" ]]; then seen=$bytes; continue; fi
    ((${#largest[@]} >= 40)) || largest+=("$bytes|$folder")
  done < <(sort --zero-terminated --numeric-sort --reverse -- "$found" 2>/dev/null | head --zero-terminated --lines=11)
  rm -f -- "$found"
  if ((status == 124)); then
    largest+=("0|(the search in $target was ended after $search_s s)")
  elif ((seen > 0 && (used - seen) * 10 > used * 3 && used - seen > 1048576)) && [[ $kind =~ ^(ext[234]|xfs|tmpfs)$ ]]; then
    note warning "$target" "$(size $((used - seen))) belong to no file that can be seen: probably deleted files that a program still has open; find it with \`lsof +L1\` and restart it"
  fi
}

# Adds one of the things that usually grow, if it is there.
grow() {
  local what=$1 folder=$2 advice=$3 bytes
  [[ -d $folder ]] || return 0
  bytes=$(timeout 20 nice -n 19 du --summarize --one-file-system --block-size=1 -- "$folder" 2>/dev/null | cut -f1) || true
  [[ $bytes =~ ^[0-9]+$ ]] || return 0
  ((bytes < 1048576)) || grows+=("$bytes|$what|$folder|$advice")
}

# shellcheck disable=SC2016 # the back-quotes are for the reader
growing() {
  local releases app count
  grow 'journal' /var/log/journal 'keep less of it: `journalctl --vacuum-size=500M`'
  grow 'nginx logs' /var/log/nginx 'does logrotate run? `systemctl status logrotate.timer`'
  grow 'packages' /var/cache/apt/archives 'remove what is installed already: `apt-get clean`'
  grow 'core dumps' /var/lib/systemd/coredump 'something crashes: look with coredumpctl'
  grow 'PostgreSQL' /var/lib/postgresql 'the check of the database says which one is large'
  for releases in /srv/*/releases; do
    [[ -d $releases ]] || continue
    app=${releases%/releases} app=${app##*/}
    [[ $app =~ ^[A-Za-z0-9._-]+$ ]] || continue
    count=$(find "$releases" -mindepth 1 -maxdepth 1 -type d -printf . | wc -c)
    grow "releases of $app" "$releases" "$count releases are kept"
    grow "logs of $app" "/srv/$app/shared/log" 'let the app log to the journal, or rotate them'
  done
}

print_report() {
  local row level percent inodes total free kind target mark bytes what folder advice i
  printf '%sFile systems of %s%s\n\n' "$bold" "$host" "$reset"
  printf '%s    %5s %7s %10s %10s  %-9s %s%s\n' "$dim" USED INODES SIZE FREE TYPE MOUNT "$reset"
  for row in "${rows[@]}"; do
    IFS='|' read -r level percent inodes total free kind target <<<"$row"
    case $level in ok) mark="$green✓" ;; warning) mark="$yellow!" ;; *) mark="$red✗" ;; esac
    printf '  %s%s %4d%% %6d%% %10s %10s  %-9s %s\n' "$mark" "$reset" "$percent" "$inodes" "$total" "$free" "$kind" "$target"
  done
  if ((${#largest[@]} > 0)); then
    printf '\n%sLargest folders%s\n' "$bold" "$reset"
    for row in "${largest[@]}"; do
      IFS='|' read -r bytes folder <<<"$row"
      printf '  %10s  %s\n' "$(size "$bytes")" "${folder//[[:cntrl:]]/?}"
    done
  fi
  if ((${#grows[@]} > 0)); then
    printf '\n%sWhat usually grows%s\n' "$bold" "$reset"
    while IFS='|' read -r bytes what folder advice; do
      printf '  %10s  %-22s %s%s%s\n' "$(size "$bytes")" "$what" "$dim" "$advice" "$reset"
    done < <(printf '%s\n' "${grows[@]}" | sort -t '|' -k 1,1nr)
  fi
  printf '\n'
  for i in "${!levels[@]}"; do
    case ${levels[i]} in warning) printf '%s!%s' "$yellow" "$reset" ;; critical) printf '%s✗%s' "$red" "$reset" ;; *) continue ;; esac
    printf ' %s: %s\n' "${subjects[i]}" "${messages[i]}"
  done
}

print_json() {
  local checks=$1 row bytes what folder advice folders='' growth=''
  for row in "${largest[@]}"; do
    IFS='|' read -r bytes folder <<<"$row"
    folders+="${folders:+,}{\"bytes\":$bytes,\"folder\":$(json_string "$folder")}"
  done
  for row in "${grows[@]}"; do
    IFS='|' read -r bytes what folder advice <<<"$row"
    growth+="${growth:+,}{\"bytes\":$bytes,\"what\":$(json_string "$what"),\"folder\":$(json_string "$folder")}"
  done
  printf '{"host":%s,"checks":[%s],"file_systems":[%s],"largest_folders":[%s],"growing":[%s]}\n' \
    "$(json_string "$host")" "$checks" "$(IFS=,; printf '%s' "${systems[*]}")" "$folders" "$growth"
}

# Prints the report and sets the exit status.
finish() {
  local i warnings=0 criticals=0 checks=''
  for i in "${!levels[@]}"; do
    case ${levels[i]} in critical) criticals=$((criticals + 1)) ;; warning) warnings=$((warnings + 1)) ;; esac
    checks+="${checks:+,}{\"level\":\"${levels[i]}\",\"subject\":$(json_string "${subjects[i]}"),\"message\":$(json_string "${messages[i]}")}"
  done
  if $json; then
    print_json "$checks"
  else
    print_report
    printf '%d of %d file systems have room.\n' "$(printf '%s\n' "${rows[@]}" | grep -c '^ok|' || true)" "${#rows[@]}"
  fi
  verdict=0
  ((warnings == 0)) || verdict=1
  ((criticals == 0)) || verdict=2
}

main() {
  local source kind total used free inodes inodes_used target
  read_arguments "$@"
  while read -r source kind total used free inodes inodes_used target; do
    look_at "$source" "$kind" "$total" "$used" "$free" "$inodes" "$inodes_used" "$target"
  done < <(file_systems)
  ((${#rows[@]} > 0)) || fail "no file system was found"
  growing
  finish
}

main "$@"
