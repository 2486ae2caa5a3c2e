"""What stands on port 8006: it speaks TLS, on IPv4 and IPv6, and refuses everybody as the API does without a ticket.

Usage: server.py CERTIFICATE KEY
"""

from __future__ import annotations

import http.server
import socket
import ssl
import sys


class Refusal(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(401, "No ticket")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *unused: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    context: ssl.SSLContext

    def finish_request(self, request: socket.socket, client_address: object) -> None:
        # In the connection's own thread: somebody who only knocks does not keep the others waiting.
        try:
            with self.context.wrap_socket(request, server_side=True) as wrapped:
                super().finish_request(wrapped, client_address)
        except OSError:
            return


def main() -> None:
    Server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    Server.context.load_cert_chain(*sys.argv[1:3])
    Server(("::", 8006), Refusal).serve_forever()


if __name__ == "__main__":
    main()
