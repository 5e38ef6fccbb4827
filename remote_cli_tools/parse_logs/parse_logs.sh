#!/bin/bash
# Counts what a log says of errors, and groups messages that differ only in numbers and ids.
#
# Exit status: 0 the log was read, whatever is in it; 3 it was not.
set -euo pipefail

app='' unit='' source=journal since=3600 limit=10 json=false
pattern=${HMS_PARAM_PATTERN:-}
host=${HMS_HOST:-$(uname -n)}

# What usually means an error. In access logs it is the status, and the error log of nginx has nothing else.
readonly ERRORS='(?i)(error|exception|fatal|panic|critical|emerg|fail(ed|ure)|segfault|out of memory|timed? ?out|refused|denied|killed)'
readonly BAD_STATUS='" [45][0-9][0-9] '

# The unit separator: no log line has it once control characters are gone.
readonly US=$'\x1f'

bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' reset=$'\e[0m'
[[ -z ${NO_COLOR:-} ]] || bold='' dim='' red='' green='' reset=''

# Whatever ends this early has not read the log. What it finds out is in files of its own /tmp.
verdict=3 work=''
trap 'rm -rf -- "$work"; exit "$verdict"' EXIT

# A text as a JSON string; log lines may hold anything, also bytes that are no UTF-8.
json_string() {
  local text
  text=$(printf '%s' "$1" | iconv -c -f UTF-8 -t UTF-8 2>/dev/null) || true
  text=${text//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//[[:cntrl:]]/ }
  printf '"%s"' "$text"
}

# Ends it: the log was not read. It is said on the script's own output, wherever the caller writes to.
exec 3>&1
fail() {
  if $json; then
    printf '{"host":%s,"error":%s}\n' "$(json_string "$host")" "$(json_string "$1")" >&3
  else
    printf '%serror:%s %s\n' "$red" "$reset" "$1" >&3
    [[ -z ${2:-} ]] || printf '%s\n' "$2" >&3
  fi
  exit 3
}

read_arguments() {
  local argument
  for argument in "$@"; do
    case $argument in
      --app=*) app=${argument#*=} ;;
      --unit=*) unit=${argument#*=} ;;
      --source=*) source=${argument#*=} ;;
      --since=*) since=${argument#*=} ;;
      --limit=*) limit=${argument#*=} ;;
      --json) json=true ;;
      *) fail "the argument \`${argument//[^[:graph:]]/?}\` is not known here" ;;
    esac
  done
  [[ -z $app || $app =~ ^[a-z][a-z0-9-]{0,49}$ ]] || fail "the value of \`app\` is not the name of an app"
  [[ -z $unit || $unit =~ ^[A-Za-z0-9_:][A-Za-z0-9:_.\\@-]{0,254}$ ]] || fail "the value of \`unit\` is not the name of a unit"
  [[ $source =~ ^(journal|nginx_access|nginx_error)$ ]] || fail "the value of \`source\` is not journal, nginx_access or nginx_error"
  [[ $since =~ ^[1-9][0-9]{0,7}$ ]] || fail "the value of \`since\` is not a number of seconds"
  [[ $limit =~ ^([1-9][0-9]?|100)$ ]] || fail "the value of \`limit\` is not a whole number from 1 to 100"
  [[ -z $app || -z $unit ]] || fail "\`app\` and \`unit\` are both given" "The log of an app is that of the unit puma-APP.service."
  [[ -z $unit || $source == journal ]] || fail "\`unit\` is for the journal, and \`source\` is $source"
}

# The lines of the journal that match: time, where from, message.
read_journal() {
  local of=() said
  [[ -z $app ]] || unit=puma-$app.service
  [[ -z $unit ]] || of=("--unit=$unit")
  journalctl --no-pager --quiet --all --output=short-unix --no-hostname --since="@$from" "${of[@]}" \
    --case-sensitive=true --grep="${pattern:-$ERRORS}" 2>"$work/said" >"$work/raw" || {
    # Its status is 1 also when nothing matched, and then it says nothing.
    said=$(grep -v '^Hint:\|^ \|^--' "$work/said" | head -n 1) || true
    [[ -z $said ]] || fail "journalctl was not able to read the journal: $said"
  }
  # Further lines of one message are indented by journalctl: they belong to the line before, which says what happened.
  sed -E -e 's/\x1b\[[0-9;?]*[A-Za-z]//g' -e 's/[[:cntrl:]]/ /g' "$work/raw" |
    awk -v us="$US" '
      /^[0-9]+\.[0-9]+ / {
        time = $1; sub(/\..*/, "", time)
        sub(/^[^ ]+ /, "")
        at = index($0, ": ")
        from = substr($0, 1, at - 1); sub(/\[[0-9]+\]$/, "", from)
        print time us from us substr($0, at + 2)
      }'
}

# The log files of nginx for this source and app, the rotated one too.
log_files() {
  local kind=${source#nginx_} file
  for file in "/var/log/nginx/${app:-}"*"$kind.log" "/var/log/nginx/${app:-}"*"$kind.log.1"; do
    [[ -z $app || ${file##*/} =~ ^${app}[._-] ]] || continue
    [[ -f $file && -r $file ]] && printf '%s\0' "$file"
  done
  return 0
}

# Lines of nginx with time and file in front, those of the time that is asked for; the same for both kinds.
stamp() {
  TZ=UTC awk -v us="$US" -v from="$from" -v offset="$(date +%z)" '
    BEGIN { n = split("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec", m, " "); for (i = 1; i <= n; i++) month[m[i]] = i }
    function seconds(zone) { return (substr(zone, 1, 1) == "-" ? -1 : 1) * (substr(zone, 2, 2) * 3600 + substr(zone, 4, 2) * 60) }
    {
      at = index($0, us); file = substr($0, 1, at - 1); line = substr($0, at + 1); time = 0
      if (match(line, /\[[0-3][0-9]\/[A-Z][a-z][a-z]\/[0-9]+:[0-9:]+ [+-][0-9]+\]/)) {
        split(substr(line, RSTART + 1, RLENGTH - 2), t, /[\/: ]/)
        time = mktime(t[3] " " month[t[2]] " " t[1] " " t[4] " " t[5] " " t[6]) - seconds(t[7])
      } else if (line ~ /^[0-9]+\/[0-9]+\/[0-9]+ [0-9:]+ /) {
        split(line, t, /[\/: ]/)
        time = mktime(t[1] " " t[2] " " t[3] " " t[4] " " t[5] " " t[6]) - seconds(offset)
        line = substr(line, 21)
      }
      if (time >= from) print time us file us line
    }'
}

# Reads files of nginx: $1 is the pattern, or empty for all lines.
read_files() {
  local status=0
  mapfile -d '' -t files < <(log_files)
  ((${#files[@]} > 0)) || fail "no log of nginx that can be read is in /var/log/nginx${app:+ for $app}"
  grep --text --with-filename --perl-regexp --null -e "$1" -- "${files[@]}" >"$work/raw" 2>"$work/said" || status=$?
  ((status < 2)) || [[ ! -s $work/said ]] || fail "grep was not able to use the pattern: $(head -n 1 "$work/said")"
  tr '\0' "$US" <"$work/raw" | sed -E 's/\x1b\[[0-9;?]*[A-Za-z]//g' | tr '\000-\011\013-\036\177' ' ' |
    sed 's|^/var/log/nginx/||' | stamp
}

# Adds to each line its message without what differs: ids, addresses, numbers.
normalise() {
  sed -E -e 'h' -e "s/^[^${US}]*${US}[^${US}]*${US}//" \
    -e 's/^(\[[^] ]{8,}\] )+//' \
    -e 's/[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}/<id>/g' \
    -e 's/\b0x[0-9a-fA-F]+\b/<hex>/g' -e 's/\b([0-9]{1,3}\.){3}[0-9]{1,3}\b(:[0-9]+)?/<address>/g' \
    -e 's/\b([0-9]+[a-f]|[a-f]+[0-9])[0-9a-f]{6,}\b/<hex>/g' \
    -e 't reset' -e ':reset' \
    -e 's/"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) ([^ ?"]*)[^ "]* HTTP\/[0-9.]+" ([0-9]{3}) .*/\3 \1 \2/;t access' \
    -e 's/[0-9]+([.,][0-9]+)*/#/g' -e 'b end' \
    -e ':access' -e 's/^.*([1-5][0-9]{2} (GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) )/\1/' -e 's/\/[0-9]+/\/#/g' \
    -e ':end' -e 's/^(.{300}).*/\1…/' -e 'G' -e "s/\n/$US/"
}

# Counts the groups: count, first, last, where from, message, last example; the most frequent first.
group() {
  awk -F "$US" -v OFS="$US" '
    {
      total++
      key = $3 FS $1
      # Logs that have no two lines alike must not fill the memory.
      if (!(key in count)) { if (groups >= 20000) key = "" FS "(messages of yet other kinds)"; if (!(key in count)) groups++ }
      if (!count[key]++ || $2 < first[key]) first[key] = $2
      if ($2 >= last[key]) { last[key] = $2; example[key] = $4 }
    }
    END { for (key in count) { split(key, k, FS); print count[key], first[key], last[key], k[1], k[2], substr(example[key], 1, 2000) } }'
}

# How many answers had which status, over all lines of the time.
count_statuses() {
  awk -F "$US" 'match($3, /" [1-5][0-9][0-9] /) { n[substr($3, RSTART + 2, 1)]++; total++ }
    END { for (c = 1; c <= 5; c++) print c "xx " n[c] + 0; }'
}

clock() {
  if ((since > 86400)); then printf '%(%F %T)T' "$1"; else printf '%(%T)T' "$1"; fi
}

span() {
  if ((since % 86400 == 0)); then printf '%d days' $((since / 86400))
  elif ((since % 3600 == 0)); then printf '%d h' $((since / 3600))
  elif ((since % 60 == 0)); then printf '%d min' $((since / 60))
  else printf '%d s' "$since"; fi
}

print_report() {
  local count first last where message example n=0 width
  printf '%s%s of %s, the last %s%s\n' "$bold" "$title" "$host" "$(span)" "$reset"
  [[ -z $pattern ]] || printf '%smatching%s %s\n' "$dim" "$reset" "$pattern"
  if [[ -s $work/statuses ]]; then
    printf '\n  %sanswers%s  %s\n' "$dim" "$reset" "$(paste -sd ',' "$work/statuses" | sed 's/,/,  /g; s/xx /xx: /g')"
  fi
  if ((matches == 0)); then
    printf '\n%s✓%s Nothing matches.\n' "$green" "$reset"
    return
  fi
  width=$(((since > 86400) ? 19 : 8))
  printf '\n%s%8s  %-*s  %-*s  %s%s\n' "$dim" COUNT "$width" FIRST "$width" LAST MESSAGE "$reset"
  while IFS="$US" read -r count first last where message example; do
    printf '%s%8d%s  %s  %s  %s%s:%s %s\n' "$red" "$count" "$reset" "$(clock "$first")" "$(clock "$last")" "$dim" "$where" "$reset" "$message"
  done <"$work/top"
  printf '\n%sThe last of each%s\n' "$bold" "$reset"
  while IFS="$US" read -r count first last where message example; do
    n=$((n + 1))
    ((n <= 5)) || break
    printf '  %s%s%s  %s\n' "$dim" "$(clock "$last")" "$reset" "$example"
  done <"$work/top"
  printf '\n%d lines match, of %d kinds%s.\n' "$matches" "$kinds" "$( ((kinds <= limit)) || printf ', of which the %d most frequent are shown' "$limit")"
}

print_json() {
  local count first last where message example groups='' statuses='' class
  while IFS="$US" read -r count first last where message example; do
    groups+="${groups:+,}{\"count\":$count,\"first\":$first,\"last\":$last,\"from\":$(json_string "$where"),\"message\":$(json_string "$message"),\"example\":$(json_string "$example")}"
  done <"$work/top"
  while read -r class count; do
    statuses+="${statuses:+,}\"$class\":$count"
  done <"$work/statuses"
  printf '{"host":%s,"log":%s,"since":%d,"pattern":%s,"matches":%d,"kinds":%d,"statuses":{%s},"groups":[%s]}\n' "$(json_string "$host")" \
    "$(json_string "$title")" "$from" "$(json_string "$used")" "$matches" "$kinds" "$statuses" "$groups"
}

main() {
  local from title used matches kinds files
  read_arguments "$@"
  from=$(($(date +%s) - since))
  work=$(mktemp -d)
  : >"$work/statuses"
  case $source in
    journal)
      used=${pattern:-$ERRORS}
      read_journal >"$work/lines"
      title="Errors in the journal${unit:+ of $unit}" ;;
    nginx_access)
      used=${pattern:-$BAD_STATUS}
      read_files '' | count_statuses >"$work/statuses"
      read_files "$used" >"$work/lines"
      title="Requests${app:+ to $app} in the access logs" ;;
    nginx_error)
      used=${pattern:-.}
      read_files "$used" >"$work/lines"
      title="Messages${app:+ on $app} in the error logs of nginx" ;;
  esac
  normalise <"$work/lines" | group | sort -t "$US" -k 1,1nr -k 3,3nr >"$work/groups"
  head -n "$limit" "$work/groups" >"$work/top"
  matches=$(wc -l <"$work/lines")
  kinds=$(wc -l <"$work/groups")
  if $json; then print_json; else print_report; fi
  verdict=0
}

main "$@"
