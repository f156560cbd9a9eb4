"""A web server that has what it was offered, each under an address of its own."""

import http.server
import threading


class Web:
    """`with Web() as web: web.offer(data)` is an address."""

    def __init__(self):
        self.offered = {}
        handler = type('Handler', (Handler,), {'offered': self.offered})
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
        self.port = self.server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()

    def offer(self, data):
        """Has this data; its address. What was offered before is gone."""
        self.offered.clear()
        path = f'/{id(data)}'
        self.offered[path] = data
        return f'http://127.0.0.1:{self.port}{path}'


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what is offered."""

    offered = {}

    def answer(self, has_body):
        data = self.offered.get(self.path)
        self.send_response(404 if data is None else 200)
        self.send_header('Content-Length', str(len(data or b'')))
        self.end_headers()
        if has_body and data:
            try:
                self.wfile.write(data)
            except OSError:
                pass  # A refusal may come before the end.

    def do_GET(self):
        self.answer(True)

    def do_HEAD(self):
        self.answer(False)

    def log_message(self, *_):
        pass
