#!/bin/sh
# Sessions from the shell, with curl. See README.md in this folder.
#
#   export API_KEY=...                             the key that server.js was started with
#   export SESSION=$(sh client.sh login alice)
#   sh client.sh show
#   sh client.sh set '{"theme":"dark","visits":3,"coupon":null}'
#   sh client.sh logout
#
# SESSION is a token, or a session's ref. API_URL defaults to http://localhost:3000/sessions.
set -eu

URL="${API_URL:-http://localhost:3000/sessions}/demo-shop"

# Asks the REST interface. curl reads the key and the token from its standard input, so that the process list does not show
# them. The token is sent in a header, so that no access log contains it. --fail-with-body also prints an error response.
call() {
  printf 'Authorization: Bearer %s\nX-Session-Token: %s\n' "${API_KEY:-}" "${SESSION:-}" |
    curl --silent --show-error --fail-with-body --max-time 5 --header @- --request "$@"
}

# Percent-encodes every byte, so that any user name is safe in a URL.
encode() {
  printf %s "$1" | od -An -v -tx1 | tr -d '\n' | tr ' ' %
}

case "${1:-}" in
  # A real login checks a password first. ip is the address that the user's request came from.
  login)
    created=$(call PUT "$URL/create/$(encode "$2")?ip=127.0.0.1&device=curl" \
      --header 'Content-Type: application/json' --data '{"theme":"light"}') || { echo "$created" >&2; exit 1; }
    echo "$created" | sed 's/.*"token":"\([A-Za-z0-9]*\)".*/\1/'
    ;;
  show) call GET "$URL/get/-" && echo ;;
  set) call POST "$URL/set/-" --header 'Content-Type: application/json' --data "$2" && echo ;;
  logout) call DELETE "$URL/kill/-" && echo ;;
  *) echo "sh client.sh login <user> | show | set <json> | logout" >&2; exit 2 ;;
esac
