#!/usr/bin/python3
"""docker-com.py ADDRESS PEM WWW: serves WWW over HTTPS on port 443, with the headers that a registry's client asks for.

Counts nothing, knows no uploads: GET and HEAD of static files, `/v2/` as the registry's sign of life.
"""
import hashlib
import http.server
import pathlib
import ssl
import sys
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    root = pathlib.Path(sys.argv[3]).resolve()

    def answer(self, status, body=b"", kind="application/octet-stream", digest=""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", kind)
        if digest:
            self.send_header("Docker-Content-Digest", digest)
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self):
        path = urllib.parse.unquote(self.path.split("?")[0])
        if path == "/v2/":
            return self.answer(200, b"{}", "application/json")
        file = (self.root / path.lstrip("/")).resolve()
        if self.root not in file.parents or not file.is_file():
            return self.answer(404, b"not here\n", "text/plain")
        body = file.read_bytes()
        registry = path.startswith("/v2/")
        kind = "application/vnd.docker.distribution.manifest.v2+json" if "/manifests/" in path else "application/octet-stream"
        return self.answer(200, body, kind, "sha256:" + hashlib.sha256(body).hexdigest() if registry else "")

    do_HEAD = do_GET


server = http.server.ThreadingHTTPServer((sys.argv[1], 443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
