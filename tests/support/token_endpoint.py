"""A token endpoint of the tests' own: OAuth 2.0 client credentials, unsigned tokens."""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import threading
import time
from collections.abc import Iterator
from urllib import parse

CLIENT_ID = "relay"
SECRET = "a-client-secret-that-no-log-may-show"  # noqa: S105 - the tests' own


class TokenEndpoint:
    """
    What the endpoint does next.

    Attributes:
        url: of the endpoint.
        life_s: seconds that the next tokens live; negative: they are dead already.
        issued: how many tokens it gave out.
        is_away: it answers 503.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.life_s = 300.0
        self.issued = 0
        self.is_away = False

    def reply(self, authorization: str, form: dict[str, list[str]]) -> tuple[int, dict[str, object]]:
        """Return status and body for a request."""
        wanted = base64.b64encode(f"{CLIENT_ID}:{parse.quote_plus(SECRET)}".encode()).decode()
        if self.is_away:
            return 503, {"error": "temporarily_unavailable"}
        if authorization != f"Basic {wanted}":
            return 401, {"error": "invalid_client"}
        if form.get("grant_type") != ["client_credentials"]:
            return 400, {"error": "unsupported_grant_type"}
        self.issued += 1
        now_s = time.time()
        claims = {"sub": CLIENT_ID, "iat": now_s - 600, "exp": now_s + self.life_s, "scope": form.get("scope", [""])[0]}
        token = f"{_part({'alg': 'none'})}.{_part(claims)}."
        return 200, {"access_token": token, "token_type": "Bearer", "expires_in": max(1.0, self.life_s)}


@contextlib.contextmanager
def start() -> Iterator[TokenEndpoint]:
    """Serve on a free port of the loopback address, in a thread."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            status, body = endpoint.reply(self.headers.get("Authorization", ""), form)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            del format, args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        endpoint = TokenEndpoint(f"http://127.0.0.1:{server.server_port}/token")
        thread = threading.Thread(target=server.serve_forever, name="token endpoint", kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield endpoint
        finally:
            server.shutdown()
            thread.join()


def _part(content: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
