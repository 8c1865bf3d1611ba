#!/usr/bin/env python3
"""Sessions from Python, with the standard library only. See README.md in this folder.

    export API_KEY=...                             the key that server.js was started with
    export SESSION=$(python3 client.py login alice)
    python3 client.py show
    python3 client.py set theme=dark visits=3 coupon=null
    python3 client.py logout

SESSION is a token, or a session's ref. API_URL defaults to http://localhost:3000/sessions.
"""
import json
import os
import sys
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

URL = os.environ.get("API_URL", "http://localhost:3000/sessions")
APP = "demo-shop"


def call(method, path, body=None):
    """Asks the REST interface. Sends the token in a header, so that no access log contains it."""
    headers = {
        "Authorization": "Bearer " + os.environ.get("API_KEY", ""),
        "X-Session-Token": os.environ.get("SESSION", ""),
    }
    if body is not None:
        headers["Content-Type"] = "application/json"
    data = None if body is None else json.dumps(body).encode()
    try:
        with urlopen(Request(f"{URL}/{APP}{path}", data, headers, method=method), timeout=5) as answer:
            return json.load(answer)
    except HTTPError as error:
        # application/problem+json: `code` is stable, `detail` is for people.
        problem = json.load(error)
        sys.exit(f"{error.code} {problem['code']}: {problem['detail']}")
    except OSError:
        sys.exit(f"Nobody answers at {URL}")


def login(user):
    # A real login checks a password first. ip is the address that the user's request came from.
    created = call("PUT", f"/create/{quote(user, safe='')}?ip=127.0.0.1&device=Python", {"theme": "light"})
    return created["token"]


def show():
    return call("GET", "/get/-")


def change(pairs):
    return call("POST", "/set/-", {name: value_of(text) for name, text in (pair.split("=", 1) for pair in pairs)})


def logout():
    return call("DELETE", "/kill/-")


def value_of(text):
    """Parses numbers, true, false and null; other values are strings. null removes a key."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def main(command="", *arguments):
    if command == "login" and len(arguments) == 1:
        print(login(arguments[0]))
        return
    if command == "show":
        answer = show()
    elif command == "set" and arguments and all("=" in pair for pair in arguments):
        answer = change(arguments)
    elif command == "logout":
        answer = logout()
    else:
        sys.exit(__doc__)
    print(json.dumps(answer, ensure_ascii=False))
    if answer == {}:
        sys.exit("The session does not exist or has ended")


if __name__ == "__main__":
    main(*sys.argv[1:])
