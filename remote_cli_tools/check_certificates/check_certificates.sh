#!/bin/bash
# Says how long certificates are still good, and whether what is served is what is on the disk.
#
# Exit status: 0 all is well, 1 warnings, 2 something is (nearly) expired or not served, 3 the check could not run.
set -euo pipefail

server='' port=443 json=false
host=${HMS_HOST:-$(uname -n)}
now=$(date +%s)
levels=() subjects=() messages=() rows=() objects=()
declare -A print_of=()

# A certificate is renewed when a third of its life is left; a tenth is the last moment. In days, at most.
warning_days=30 critical_days=10

bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' yellow=$'\e[33m' reset=$'\e[0m'
[[ -z ${NO_COLOR:-} ]] || bold='' dim='' red='' green='' yellow='' reset=''

# Whatever ends this early is no finding: the status says that the check could not run.
verdict=3
trap 'exit "$verdict"' EXIT

# A text as a JSON string; names in certificates may hold anything, also bytes that are no UTF-8.
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
  levels+=("$1") subjects+=("${2//[[:cntrl:]]/ }") messages+=("${3//[[:cntrl:]]/ }")
}

read_arguments() {
  local argument
  for argument in "$@"; do
    case $argument in
      --host=*) server=${argument#*=} ;;
      --port=*) port=${argument#*=} ;;
      --json) json=true ;;
      *) fail "the argument \`${argument//[^[:graph:]]/?}\` is not known here" ;;
    esac
  done
  [[ -z $server || $server =~ ^[a-z0-9][a-z0-9.-]{0,252}$ ]] || fail "the value of \`host\` is not the name of a host"
  [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || fail "the value of \`port\` is not a port"
}

# The statements of some files of nginx's configuration, one a line, without comments.
statements() {
  local file
  for file in "$@"; do
    [[ -f $file && -r $file ]] || continue
    sed 's/\(^\|[[:space:]]\)#.*//' -- "$file" | tr '\n\r\t|' '    ' | sed 's/[;{}]/&\n/g'
    printf '\n'
  done
}

# Those of all that nginx reads, with the files that they include by name.
nginx_statements() {
  local all file included=()
  all=$(statements /etc/nginx/nginx.conf /etc/nginx/conf.d/*.conf /etc/nginx/sites-enabled/*)
  while read -r file; do
    [[ $file == /* ]] || file=/etc/nginx/$file
    included+=("$file")
  done < <(awk '$1 == "include" && $2 !~ /[*?]/ { sub(/;.*/, "", $2); print $2 }' <<<"$all" | sort -u)
  printf '%s\n' "$all"
  statements "${included[@]}"
}

# What nginx serves: certificate, port and name of each server with TLS; port and name are empty if they are not said.
nginx_certificates() {
  nginx_statements | awk '
    { sub(/^ +/, ""); gsub(/"/, "") ; gsub(/\047/, "") }
    /^server *\{/ { inside = 1; depth = 0; n = 0; port = ""; name = "" }
    /\{ *$/ { depth++ }
    $1 == "ssl_certificate" { sub(/ *;.*/, "", $2); files[n++] = $2; if (!inside) { print $2 "||"; n = 0 } }
    inside && $1 == "server_name" && name == "" {
      for (i = 2; i <= NF; i++) { sub(/;.*/, "", $i); if ($i ~ /^(\*\.)?[A-Za-z0-9]/) { name = $i; break } }
    }
    inside && $1 == "listen" && / ssl[ ;]/ && port == "" { port = $2; sub(/;.*/, "", port); sub(/.*:/, "", port) }
    /^\}/ { depth--; if (inside && depth == 0) { for (i = 0; i < n; i++) print files[i] "|" port "|" name; inside = 0 } }'
}

# The files of certificates, each with where nginx serves it: file, port, name.
places() {
  local file port name
  while IFS='|' read -r file port name; do
    [[ -n $file && $file != *'$'* && $file != data:* ]] || continue
    [[ $file == /* ]] || file=/etc/nginx/$file
    printf '%s|%s|%s\n' "$file" "$port" "$name"
  done < <(nginx_certificates)
  for file in /etc/letsencrypt/live/*/fullchain.pem; do
    [[ ! -e $file ]] || printf '%s||\n' "$file"
  done
}

# Reads a certificate in PEM into `issuer`, `names`, `from`, `to` and `print`; fails if it is none.
read_certificate() {
  local said
  said=$(openssl x509 -noout -startdate -enddate -fingerprint -sha256 -subject -issuer -ext subjectAltName \
    -nameopt sep_multiline,sname,utf8 <<<"$1" 2>/dev/null) || return 1
  from=$(date -d "$(sed -n 's/^notBefore=//p' <<<"$said")" +%s)
  to=$(date -d "$(sed -n 's/^notAfter=//p' <<<"$said")" +%s)
  print=$(sed -n 's/^[Ss][Hh][Aa]256 Fingerprint=//p' <<<"$said")
  issuer=$(sed -n '/^issuer=/,/^[^ ]*$/s/^ *\(O\|CN\)=//p' <<<"$said" | paste -sd ' ')
  names=$(grep -o 'DNS:[^,]*' <<<"$said" | cut -c5- | paste -sd ' ') || true
  [[ -n $names ]] || names=$(sed -n '/^subject=/,/^issuer=/s/^ *CN=//p' <<<"$said" | head -n 1)
  names=${names:0:300}
}

days() {
  local s=$1
  if ((s < 172800)); then printf '%d hours' $((s / 3600)); else printf '%d days' $((s / 86400)); fi
}

# Judges `from` and `to`: sets `level` and `message`.
judge_time() {
  local life=$((to - from)) left=$((to - now)) warn crit
  ((life > 0)) || life=1
  warn=$((life / 3)) crit=$((life / 10))
  ((warn < warning_days * 86400)) || warn=$((warning_days * 86400))
  ((crit < critical_days * 86400)) || crit=$((critical_days * 86400))
  if ((left <= 0)); then
    level=critical message="expired $(days $((-left))) ago"
  elif ((from > now)); then
    level=critical message="is good only in $(days $((from - now))): is the clock right?"
  elif ((left < crit)); then
    level=critical message="expires in $(days "$left"): renew it now (\`certbot renew\`)"
  elif ((left < warn)); then
    level=warning message="expires in $(days "$left"): it should have been renewed (\`systemctl status certbot.timer\`)"
  else
    level=ok message="is good for $(days "$left")"
  fi
}

# Adds the row of the certificate that was read: level, subject, days left.
add_row() {
  local left=$(((to - now) / 86400))
  rows+=("$1|$left|$2|${issuer//|/ }|${names//|/ }")
  objects+=("{\"subject\":$(json_string "$2"),\"names\":$(json_string "$names"),\"issuer\":$(json_string "$issuer"),\"not_before\":$from,\"not_after\":$to,\"days_left\":$left,\"sha256\":$(json_string "$print")}")
}

# What a server has to show for a name, in PEM: host, port, name.
served() {
  timeout 10 openssl s_client -connect "$1:$2" -servername "$3" </dev/null 2>/dev/null |
    sed -n '/-----BEGIN CERTIFICATE-----/,/-----END CERTIFICATE-----/p'
}

# One certificate on the disk, and whether nginx serves it: file, port, name.
look_at_file() {
  local file=$1 port=$2 name=$3 pem level message issuer names from to print
  if [[ ! -e $file ]]; then
    note critical "$file" "is not there, although the configuration of nginx names it"
    return
  fi
  # Only a certificate is read: a key or a password file, whoever names it, ends here.
  pem=$(head -c 262144 -- "$file" 2>/dev/null | sed -n '/-----BEGIN CERTIFICATE-----/,/-----END CERTIFICATE-----/p') || true
  if ! read_certificate "$pem"; then
    note critical "$file" "is not a certificate in PEM that can be read"
    return
  fi
  if [[ -z ${print_of[$file]:-} ]]; then
    print_of[$file]=$print
    judge_time
    note "$level" "$file" "$message"
    add_row "$level" "$file"
  fi
  [[ -z $port || -z $name ]] || compare 127.0.0.1 "$port" "${name/#\*/www}" "$file" "$print" "$from"
}

# Compares what is served with a file: host, port, name, file, its fingerprint, its begin.
compare() {
  local where="$3:$2" pem issuer names from to print
  [[ $2 =~ ^[0-9]{1,5}$ && $3 =~ ^[A-Za-z0-9][A-Za-z0-9.-]*$ ]] || return 0
  pem=$(served "$1" "$2" "$3") || true
  if ! read_certificate "$pem"; then
    note critical "$where" "nothing serves TLS there: is nginx running?"
  elif [[ $print == "$5" ]]; then
    note ok "$where" "serves what is in $4"
  elif ((from < $6)); then
    note critical "$where" "still serves an older certificate than the one in $4: \`systemctl reload nginx\`"
  else
    note warning "$where" "serves another certificate than the one in $4: does another server have this name?"
  fi
}

# What another host serves.
look_at_server() {
  local pem level message issuer names from to print said where="$server:$port"
  pem=$(served "$server" "$port" "$server") || true
  if ! read_certificate "$pem"; then
    note critical "$where" "no TLS connection: check the name, the port, and that something listens there"
    return
  fi
  judge_time
  note "$level" "$where" "$message"
  add_row "$level" "$where"
  said=$(timeout 10 openssl s_client -connect "$where" -servername "$server" -verify_hostname "$server" -verify_return_error </dev/null 2>&1) || true
  case $said in
    *'Verify return code: 0 (ok)'*) note ok "$where" "is trusted, for this name" ;;
    *) said=$(grep -om1 'verify error:num=[0-9]*:.*' <<<"$said") || said='the connection was ended'
      ((to < now)) || note warning "$where" "browsers would not trust it: ${said##*:}" ;;
  esac
  compare_with_disk "$where"
}

# What is served against every file here that has the same name.
compare_with_disk() {
  local served_print=$print served_from=$from file pem
  while read -r file; do
    pem=$(head -c 262144 -- "$file" 2>/dev/null | sed -n '/-----BEGIN CERTIFICATE-----/,/-----END CERTIFICATE-----/p') || true
    openssl x509 -noout -checkhost "$server" <<<"$pem" 2>/dev/null | grep -q 'does match' || continue
    read_certificate "$pem" || continue
    if [[ $print != "$served_print" ]] && ((from > served_from)); then
      note critical "$1" "serves an older certificate than the one in $file: \`systemctl reload nginx\`"
    fi
  done < <(places | cut -d '|' -f 1 | sort -u)
}

print_report() {
  local row level left subject issuer names mark i
  printf '%sCertificates %s%s\n\n' "$bold" "${server:+that $server serves, seen from }$host" "$reset"
  for row in "${rows[@]}"; do
    IFS='|' read -r level left subject issuer names <<<"$row"
    case $level in ok) mark="$green✓" ;; warning) mark="$yellow!" ;; *) mark="$red✗" ;; esac
    printf '  %s%s %5d days  %s\n' "$mark" "$reset" "$left" "$subject"
    printf '    %snames  %s%s\n    %sissuer %s%s\n' "$dim" "${names:--}" "$reset" "$dim" "${issuer:--}" "$reset"
  done
  ((${#rows[@]} > 0)) || printf '  None: neither Let'\''s Encrypt nor nginx has a certificate here.\n'
  printf '\n'
  for i in "${!levels[@]}"; do
    case ${levels[i]} in ok) mark="$green✓" ;; warning) mark="$yellow!" ;; *) mark="$red✗" ;; esac
    printf '  %s%s %s: %s\n' "$mark" "$reset" "${subjects[i]}" "${messages[i]}"
  done
}

# Prints the report and sets the exit status.
finish() {
  local i checks='' warnings=0 criticals=0
  for i in "${!levels[@]}"; do
    case ${levels[i]} in critical) criticals=$((criticals + 1)) ;; warning) warnings=$((warnings + 1)) ;; esac
    checks+="${checks:+,}{\"level\":\"${levels[i]}\",\"subject\":$(json_string "${subjects[i]}"),\"message\":$(json_string "${messages[i]}")}"
  done
  if $json; then
    printf '{"host":%s,"checks":[%s],"certificates":[%s]}\n' "$(json_string "$host")" "$checks" "$(IFS=,; printf '%s' "${objects[*]}")"
  else
    print_report
  fi
  verdict=0
  ((warnings == 0)) || verdict=1
  ((criticals == 0)) || verdict=2
}

main() {
  local file port_there name
  read_arguments "$@"
  if [[ -n $server ]]; then
    look_at_server
  else
    while IFS='|' read -r file port_there name; do
      look_at_file "$file" "$port_there" "$name"
    done < <(places | sort -u)
  fi
  finish
}

main "$@"
