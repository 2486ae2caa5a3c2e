#!/bin/sh
# The accept for clients of the Proxmox VE API, in a chain of its own that INPUT looks into first. Nothing else is touched.
#
#   status PORT [CLIENT...]  what would change, and what there is on this host (YAML)
#   apply PORT [CLIENT...]   make it so; without clients the chain goes away
#   arm SECONDS              keep what is in force now, and put it back after that time (run from its copy in /run)
#   confirm                  let it be
#   undo                     put it back now
set -eu
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL=C

chain=HOMELAB-PVE
place=/run/homelab-pve-host-firewall
timer=homelab-pve-host-firewall-undo
unit=/etc/systemd/system/homelab-pve-host-firewall.service
cluster=/etc/pve/firewall/cluster.fw
mark='[key:homelab-host-api-'

fail() {
  echo "$*" >&2
  exit 1
}

# A host without IPv6 has nothing to let in there.
families() {
  echo 4
  [ ! -e /proc/net/if_inet6 ] || echo 6
}

program() {
  if [ "$1" = 6 ]; then echo ip6tables; else echo iptables; fi
}

# -- the chain: it is described by the lines that make it ----------------------------------------------------------------

live() {
  command -v "$(program "$1")" >/dev/null || return 0
  rules=$("$(program "$1")" -w 30 -S INPUT) || fail "$(program "$1") cannot read the chain INPUT of this host."
  "$(program "$1")" -w 30 -S "$chain" 2>/dev/null || true
  printf '%s\n' "$rules" | grep '^-A' | grep -nFx -e "-A INPUT -j $chain" | sed "s/:.*/ -j $chain/; s/^/-I INPUT /"
}

wanted() {
  family=$1 port=$2
  shift 2
  some=
  for client in "$@"; do
    case $client in *:*) of=6 ;; *) of=4 ;; esac
    [ "$of" = "$family" ] || continue
    [ "$some" ] || echo "-N $chain"
    some=1
    echo "-A $chain -s $client -p tcp -m tcp --dport $port -j ACCEPT"
  done
  [ ! "$some" ] || echo "-I INPUT 1 -j $chain"
}

# Makes live print what stands on the input, in one step: there is no moment without the accept.
put() {
  target=$(cat)
  present=$(live "$1")
  [ "$target" != "$present" ] || return 0
  command -v "$(program "$1")" >/dev/null || fail "There is no $(program "$1") on this host."
  # Where the jump was before, INPUT may be shorter by now. Counted first: restoring holds the lock on the rules.
  others=$("$(program "$1")" -w 30 -S INPUT | grep '^-A' | grep -cvFx -e "-A INPUT -j $chain") || true
  {
    echo '*filter'
    echo ":$chain - [0:0]"
    printf '%s\n' "$present" | sed -n "s/^-I INPUT .*/-D INPUT -j $chain/p"
    if [ "$target" ]; then
      printf '%s\n' "$target" | while read -r verb name rest; do
        position=${rest%% *}
        case "$verb $name" in
          '-N '*) ;;
          '-I INPUT')
            [ "$position" -le $((others + 1)) ] || position=$((others + 1))
            echo "-I INPUT $position -j $chain"
            ;;
          *) echo "$verb $name $rest" ;;
        esac
      done
    else
      echo "-X $chain"
    fi
    echo COMMIT
  } | "$(program "$1")-restore" -w 30 --noflush
}

# What differs, as YAML strings. Rules hold no quotes.
differences() {
  for family in $(families); do
    before=$(live "$family")
    after=$(wanted "$family" "$@")
    [ "$before" != "$after" ] || continue
    printf '%s\n' "$before" | sed -n "s/..*/  - '- $(program "$family") &'/p"
    printf '%s\n' "$after" | sed -n "s/..*/  - '+ $(program "$family") &'/p"
  done
}

# -- our rules in the cluster's firewall, which the API writes -------------------------------------------------------------

cluster_rules() {
  [ ! -e "$cluster" ] || grep -F -e "$mark" "$cluster" || true
}

put_cluster_rules() {
  rules=$(cat)
  [ "$rules" != "$(cluster_rules)" ] || return 0
  file=$cluster
  [ -e "$file" ] || file=/dev/null
  # Only whole files appear there, and nothing but our own lines is another than it was.
  rules=$rules mark=$mark awk '
    index($0, ENVIRON["mark"]) { next }
    { print }
    tolower($0) ~ /^\[rules\]/ && ENVIRON["rules"] && !put { print ENVIRON["rules"]; put = 1 }
    END { if (ENVIRON["rules"] && !put) printf "\n[RULES]\n\n%s\n", ENVIRON["rules"] }
  ' "$file" >"$cluster.tmp.$$"
  mv "$cluster.tmp.$$" "$cluster"
}

# -- confirmed or undone: a folder that is renamed, so that only one of the two can have it --------------------------------

stop_timer() {
  systemctl stop "$timer.timer" 2>/dev/null || true
}

unconfirmed() {
  [ -d "$place/armed" ] || [ -d "$place/undoing" ]
}

arm() {
  stop_timer
  # An earlier run that nobody confirmed: what was before that one is what has to come back.
  tries=0
  while [ -d "$place/undoing" ] && [ $tries -lt 10 ]; do
    sleep 1
    tries=$((tries + 1))
  done
  [ ! -d "$place/undoing" ] || mv "$place/undoing" "$place/armed"
  if [ ! -d "$place/armed" ]; then
    rm -rf "$place/new"
    mkdir "$place/new"
    for family in $(families); do live "$family" >"$place/new/$family"; done
    cluster_rules >"$place/new/cluster"
    mv "$place/new" "$place/armed"
  fi
  if ! systemd-run --quiet --collect --unit="$timer" --on-active="$1" --timer-property=AccuracySec=1s \
    /bin/sh "$place/host_firewall.sh" undo; then
    undo
    fail 'The undo cannot be scheduled, so nothing is changed.'
  fi
}

confirm() {
  mv "$place/armed" "$place/confirmed" 2>/dev/null || fail 'Too late: the change has been undone.'
  stop_timer
  rm -rf "$place"
}

undo() {
  # One that failed is taken up again: by the timer, if it was the role's.
  mv "$place/armed" "$place/undoing" 2>/dev/null || [ -d "$place/undoing" ] || return 0
  for family in $(families); do put "$family" <"$place/undoing/$family"; done
  put_cluster_rules <"$place/undoing/cluster"
  stop_timer
  rm -rf "$place"
  echo 'Nobody confirmed the change: what was in force before is so again.'
}

# -- what the role asks ----------------------------------------------------------------------------------------------------

# nftables: 1 in the options of a node's firewall.
nftables_option() {
  awk '/^\[/ { options = tolower($0) ~ /^\[options\]/ }
    options && tolower($0) ~ /^nftables:[ \t]*1[ \t]*$/ { found = 1 }
    END { exit !found }' /etc/pve/local/host.fw 2>/dev/null
}

yes_no() {
  if "$@" >/dev/null 2>&1; then echo true; else echo false; fi
}

# Nobody else loads the files of rules: the service and its part for iptables, which another package brings.
loads_rules() {
  systemctl is-enabled netfilter-persistent.service && [ -e /usr/share/netfilter-persistent/plugins.d/15-ip4tables ]
}

status() {
  # Assigned first: a failure within a command's arguments would go unnoticed.
  found=$(differences "$@")
  ours=$(cluster_rules)
  echo '---'
  if [ "$found" ]; then printf 'differences:\n%s\n' "$found"; else echo 'differences: []'; fi
  echo "unconfirmed: $(yes_no unconfirmed)"
  echo "nftables_table: $(yes_no nft list table inet proxmox-firewall)"
  echo "nftables_option: $(yes_no nftables_option)"
  echo "iptables: $(yes_no command -v iptables)"
  echo "loads_rules: $(yes_no loads_rules)"
  echo "service: $(yes_no [ -e "$unit" ])"
  echo "cluster_rules: $(yes_no [ "$ours" ])"
  for family in 4 6; do
    file=/etc/iptables/rules.v$family
    echo "rules_v$family: {there: $(yes_no [ -e "$file" ]), ours: $(yes_no grep -F -e "$chain" "$file"), \
mode: '0$(stat -L -c %a "$file" 2>/dev/null || echo 640)'}"
  done
}

verb=${1:-}
[ "$verb" ] && shift
case $verb in
  status) status "$@" ;;
  apply)
    for family in $(families); do wanted "$family" "$@" | put "$family"; done
    ;;
  arm) arm "$1" ;;
  confirm) confirm ;;
  undo) undo ;;
  *) fail "usage: $0 status|apply PORT [CLIENT...] | arm SECONDS | confirm | undo" ;;
esac
