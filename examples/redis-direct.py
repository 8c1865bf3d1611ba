#!/usr/bin/env python3
"""A Python server that reads sessions directly from Redis. See docs/storage-layout.md.

    apt install python3-redis        (or: pip install redis)
    APP=demo-shop REDIS_URL=redis://127.0.0.1:6379 PORT=3001 /usr/bin/python3 examples/redis-direct.py
    curl localhost:3001 -H "Authorization: Bearer $TOKEN"

The token is in a header, or in the cookie of the middleware. This server only reads: it neither prolongs a session nor
counts its reads. To write, use the package or its REST interface.
"""
import base64
import hashlib
import hmac
import json
import os
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import redis

APP = os.environ.get("APP", "demo-shop")
NAMESPACE = os.environ.get("RS_NAMESPACE", "rs")
COOKIE = "rs"
# The secrets of the middleware. A forged cookie is refused without asking Redis, where it would find nothing.
SECRETS = [secret for secret in os.environ.get("SESSION_SECRET", "").split(",") if secret]

TOKEN = re.compile(r"[A-Za-z0-9]{64}")

db = redis.Redis.from_url(
    os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"), decode_responses=True, socket_timeout=2
)


def ref_of(token):
    """The ref in a session's Redis key: the token's first character, and 26 characters of its SHA-256 as base64url."""
    return token[0] + base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode()[:26]


def session_of(token):
    """Returns the session of a token, or None."""
    ref = ref_of(token)
    # ">" and a ref is a redirect from a rotated token to its new session. ">" alone is the tombstone of an ended session.
    for _ in range(10):
        text = db.get(f"{NAMESPACE}:{{{APP}}}:s:{ref}") or ""
        if not text.startswith(">"):
            break
        ref = text[1:]
    if not text or text.startswith(">"):
        return None
    # The first eight lines describe the session. Each further line is a key of its data, "key":value in JSON.
    _, r, w, life, created, user, ip, device, *data = text.split("\n")
    if not user:
        return None
    ttl, *words = life.split()
    flags = dict(word.split("=", 1) for word in words if "=" in word)
    session = {"ref": ref, "id": json.loads(user), "ip": json.loads(ip)}
    session |= {"r": int(r), "w": int(w), "ttl": int(ttl), "created": int(created)}
    session["authTime"] = int(flags.get("authTime", created))
    if device:
        session["device"] = json.loads(device)
    session["d"] = json.loads("{" + ",".join(data) + "}")
    return session


def token_of(headers):
    """Returns the token of a request, or None."""
    scheme, _, credentials = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and TOKEN.fullmatch(credentials.strip()):
        return credentials.strip()
    # Another path or a parent domain may have set a cookie of the same name. Use the first one that verifies.
    pairs = (pair.partition("=") for pair in headers.get("Cookie", "").split(";"))
    values = (unquote(value.strip()) for name, _, value in pairs if name.strip() == COOKIE)
    return next(filter(None, map(unsign, values)), None)


def unsign(value):
    """The cookie is the token, a dot, and the HMAC-SHA256 of the token as base64 without padding."""
    token, _, signature = value.partition(".")
    if not TOKEN.fullmatch(token):
        return None
    if not SECRETS:
        return token
    for secret in SECRETS:
        good = base64.b64encode(hmac.digest(secret.encode(), token.encode(), "sha256")).decode().rstrip("=")
        if hmac.compare_digest(good.encode(), signature.encode("utf-8", "replace")):
            return token
    return None


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        token = token_of(self.headers)
        try:
            session = session_of(token) if token else None
        except redis.RedisError:
            return self.answer(503, {"error": "Redis is away"})
        if session is None:
            return self.answer(401, {"error": "Not signed in"})
        self.answer(200, session)

    def answer(self, status, body):
        content = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        if status == 401:
            self.send_header("WWW-Authenticate", f'Bearer realm="{APP}"')
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 3001))), Handler)
    print(f"Open http://localhost:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
