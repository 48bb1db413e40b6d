"""Endpoints: what their answers mean, and where no request ever goes. The servers are real, and on this machine."""

import asyncio
import datetime as dt
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from headrace.connectors.endpoint import LONGEST_RETRY_AFTER_SECS, Endpoint, answer_of
from headrace.connectors.push import PushesSpec

NOW = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, "delivered"), (202, "delivered"), (204, "delivered"), (301, "failed"), (307, "failed"), (400, "refused"),
        (401, "failed"), (404, "failed"), (408, "failed"), (410, "failed"), (413, "refused"), (422, "refused"),
        (429, "failed"), (500, "failed"), (503, "failed"),
    ],
)  # fmt: skip
def test_what_a_status_means(status, verdict):
    assert answer_of(status, "", NOW).verdict == verdict


@pytest.mark.parametrize(
    ("said", "secs"),
    [
        ("7", 7.0),
        (format_datetime(NOW + dt.timedelta(seconds=9), usegmt=True), 9.0),
        (format_datetime(NOW - dt.timedelta(seconds=9), usegmt=True), 0.0),
        ("soon", 0.0),
        ("-1", 0.0),
        ("999999", LONGEST_RETRY_AFTER_SECS),
        ("9" * 400, 0.0),
    ],
)
def test_retry_after_is_honoured_within_bounds(said, secs):
    assert answer_of(429, said, NOW).retry_after_secs == secs


@contextmanager
def server(answer, context=None):
    """Run a server; `answer(handler)` answers each POST."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            seen.append(self.path)
            answer(self)

        def log_message(self, *_):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    httpd.handle_error = lambda *_: None
    if context is not None:
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}", seen
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


RULES = PushesSpec()


def sent(url, rules=RULES, timeout=5.0, hide=(), secret_url=False):
    async def send():
        endpoint = Endpoint(rules, timeout, 2)
        try:
            return await endpoint.send(url, b"{}", {"content-type": "application/json"}, hide, secret_url=secret_url)
        finally:
            await endpoint.close()

    return asyncio.run(send())


def test_a_redirect_is_not_followed():
    with server(lambda _: None) as (_, seen):

        def elsewhere(handler):
            handler.send_response(307)
            handler.send_header("location", "http://169.254.169.254/latest")
            handler.end_headers()

        with server(elsewhere) as (url, asked):
            answer = sent(url + "/one")
            assert (answer.verdict, asked, seen) == ("failed", ["/one"], [])
            assert "redirects are not followed" in answer.problem


def test_an_endless_answer_is_not_read_to_its_end():
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(10_000):
                handler.wfile.write(b"x" * 65536)
        except OSError:
            return

    with server(endless) as (url, _):
        assert sent(url).verdict == "delivered"


def test_an_answer_that_drips_is_given_up():
    done = threading.Event()

    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        while not done.wait(0.05):
            try:
                handler.wfile.write(b"x")
                handler.wfile.flush()
            except OSError:
                return

    with server(drip) as (url, _):
        started = time.monotonic()
        answer = sent(url, timeout=0.5)
        done.set()
    assert (answer.verdict, answer.problem) == ("failed", "no answer within 0.5 s")
    assert time.monotonic() - started < 60


def test_nobody_there_is_a_failure_with_a_reason():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        answer = sent(f"http://127.0.0.1:{free.getsockname()[1]}/")
    assert answer.verdict == "failed"
    assert answer.problem.startswith("no connection")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://10.0.0.1/", "without TLS"),
        ("https://10.0.0.1/", "private address"),
        ("https://192.168.1.1/", "private address"),
        ("https://169.254.169.254/", "private address"),
        ("https://[fe80::1]/", "private address"),
        ("https://[::ffff:10.0.0.1]/", "private address"),
        ("https://0.0.0.0/", "private address"),
        ("https://user:pw@example.org/", "credentials"),
        ("file:///etc/passwd", "not a URL of http"),
        ("nonsense", "not a URL"),
    ],
)
def test_where_no_request_goes(url, said):
    answer = sent(url)
    assert answer.verdict == "failed"
    assert said in answer.problem


def test_a_name_that_stands_for_this_machine_is_refused_unless_listed(monkeypatch):
    """A resolver's answer is not trusted: only `localhost` itself means this machine."""

    async def to_loopback(self, host, *_, **__):
        assert host == "evil.example.org"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", to_loopback)
    with server(lambda handler: (handler.send_response(204), handler.end_headers())) as (url, seen):
        named = url.replace("127.0.0.1", "evil.example.org")
        plain = PushesSpec(plain_http=("evil.example.org",))
        assert "private address" in sent(named, plain).problem
        assert not seen
        assert sent(named, plain.model_copy(update={"networks": ("127.0.0.0/8",)})).verdict == "delivered"
        assert seen == ["/"]


def test_secrets_do_not_show_in_a_problem():
    answer = sent("http://localhost:1/c4n4ry", hide=["connection", "c4n4ry"])
    assert "c4n4ry" not in answer.problem
    assert "no ***" in answer.problem


def test_a_secret_is_hidden_before_a_problem_is_cut(monkeypatch):
    long = "c4n4ry" * 40

    async def unknown(self, *_, **__):
        raise OSError(-2, "x" * 100 + long)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", unknown)
    answer = sent("https://hook.example.org/", hide=[long])
    assert answer.problem.endswith("x***)")
    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", unknown)
    assert len(sent("https://hook.example.org/").problem) == 200


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("https://C4n4ry-Host.example.org:8443/", "no such host: c4n4ry-host.example.org"),
        ("https://c4n4ry-hôst.example.org/", "xn--c4n4ry-hst-ybb.example.org"),
        ("https://c4n4ry-hôst.example.org/", "c4n4ry-hôst.example.org"),
        ("https://example.org/hooks/c4n4ry-path", "cannot POST /hooks/c4n4ry-path"),
        ("https://example.org/hooks/c4n4ry%2Dpath/x", "in c4n4ry-path"),
        ("https://example.org/?token=c4n4ry%20token&x=1", "the token c4n4ry token, or token=c4n4ry%20token"),
    ],
)
def test_no_part_of_a_secret_url_shows(url, named, monkeypatch):
    async def talkative(self, *_, **__):
        raise OSError(-2, named)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", talkative)
    answer = sent(url, secret_url=True)
    assert answer.problem.startswith("no connection")
    assert "***" in answer.problem
    assert "c4n4ry" not in answer.problem.lower()


@pytest.mark.parametrize("host", ["c4n4ry-é..example.org", "xn--c4n4ry-☃", "c4n4ry-é\u2028.example.org"])
def test_a_host_that_is_none_is_a_failure_that_does_not_name_it(host):
    answer = sent(f"https://{host}/", secret_url=True)
    assert answer.verdict == "failed"
    assert "not a URL" in answer.problem
    assert "c4n4ry" not in answer.problem


def certificate(folder, name):
    """Make an authority of the test's own, and a certificate of a server's name."""
    run = lambda *arguments: subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)  # noqa: E731
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2",
        "-subj", "/CN=Test authority", "-addext", "basicConstraints=critical,CA:TRUE",
        "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    run("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "csr.pem", "-subj", f"/CN={name}")
    (folder / "ext").write_text(f"subjectAltName=DNS:{name}\nauthorityKeyIdentifier=keyid\n")
    run("x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
        "-out", "cert.pem", "-extfile", "ext")  # fmt: skip


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the test's certificates")
def test_a_certificate_must_be_of_the_name_though_the_address_is_connected_to(tmp_path, monkeypatch):
    certificate(tmp_path, "hook.example.org")

    async def to_loopback(self, host, *_, **__):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", to_loopback)
    rules = PushesSpec(networks=("127.0.0.0/8",))
    hosts = []

    def answer(handler):
        hosts.append(handler.headers["host"])
        handler.send_response(204)
        handler.end_headers()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with server(answer, context) as (url, _):
        port = url.rpartition(":")[2]
        unknown = sent(f"https://hook.example.org:{port}/", rules)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        wrong_name = sent(f"https://other.example.org:{port}/", rules)
        hidden = sent(f"https://other.example.org:{port}/", rules, secret_url=True)
        right = sent(f"https://hook.example.org:{port}/", rules)
    assert "CERTIFICATE_VERIFY_FAILED" in unknown.problem
    assert "CERTIFICATE_VERIFY_FAILED" in wrong_name.problem
    assert "not valid for 'other.example.org'" in wrong_name.problem
    assert "not valid for '***'" in hidden.problem
    assert right.verdict == "delivered"
    assert hosts == [f"hook.example.org:{port}"]
