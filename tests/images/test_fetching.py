"""Pictures are fetched from public addresses alone, within their limits, whatever a server tries."""

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ris.errors import RisError
from ris.images import fetching
from ris.images.fetching import Address, fetch, is_public

Talk = Callable[[socket.socket, bytes], None]
PUBLIC = "93.184.216.34"
LOOPBACK = ipaddress.ip_address("127.0.0.1")


def anywhere(_: Address) -> bool:
    return True


class Server:
    """Answers each connection of a thread by itself with what `talk` does, and keeps the requests' heads."""

    def __init__(self, talk: Talk, context: ssl.SSLContext | None = None) -> None:
        self.talk, self.context = talk, context
        self.heads: list[bytes] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"{'https' if context else 'http'}://127.0.0.1:{self.port}/a%20picture.jpg?size=1"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                line, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(line,), daemon=True).start()

    def answer(self, line: socket.socket) -> None:
        with line:
            try:
                wrapped = self.context.wrap_socket(line, server_side=True) if self.context else line
                with wrapped:
                    head = b""
                    while not head.endswith(b"\r\n\r\n"):
                        piece = wrapped.recv(4096)
                        if not piece:
                            return
                        head += piece
                    self.heads.append(head)
                    self.talk(wrapped, head)
            except OSError:
                return

    def close(self) -> None:
        self.socket.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(talk: Talk | bytes, context: ssl.SSLContext | None = None) -> Server:
        def send(line: socket.socket, head: bytes) -> None:
            if isinstance(talk, bytes):
                line.sendall(talk)
            else:
                talk(line, head)

        servers.append(Server(send, context))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def ok(content: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(content)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def moved(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def why(url: str, max_bytes: int = 1000, seconds: float = 20, **options: Any) -> str:
    """Return the reason for which an address is refused."""
    with pytest.raises(RisError) as refused:
        fetch(url, max_bytes, seconds, **options)
    sentence = str(refused.value)
    start = f"{url} cannot be fetched: "
    assert sentence.startswith(start)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence.removeprefix(start).removesuffix(".")


@pytest.mark.parametrize(
    "address", [PUBLIC, "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.0.9",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.251",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2001:db8::1",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%2",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_behind_the_machine(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


def test_what_stands_there_is_fetched(serve: Callable[..., Server]) -> None:
    content = bytes(range(256)) * 400
    server = serve(ok(content, "Content-Type: text/html", "Content-Encoding: gzip"))
    assert fetch(server.url, len(content), 20, anywhere) == content
    head = server.heads[0].decode()
    assert head.startswith("GET /a%20picture.jpg?size=1 HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{server.port}\r\n" in head
    assert "\r\nAccept-Encoding: identity\r\n" in head


def test_what_comes_in_chunks_or_until_the_end(serve: Callable[..., Server]) -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    assert fetch(serve(chunked).url, 5, 20, anywhere) == b"abcde"
    assert fetch(serve(b"HTTP/1.0 200 OK\r\n\r\nabcde").url, 5, 20, anywhere) == b"abcde"
    assert fetch(serve(ok(b"")).url, 5, 20, anywhere) == b""


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/a.jpg",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "//example.org/a.jpg",
        "example.org/a.jpg",
        "http:///a.jpg",
        "http://[::1/a.jpg",
        "http://example.org:99999/",
        "",
    ],
)
def test_other_addresses_are_none(url: str) -> None:
    assert why(url) == "only http and https addresses are"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "me@127.0.0.1",
    ],
)
def test_the_machine_itself_is_never_asked(serve: Callable[..., Server], host: str) -> None:
    server = serve(ok(b"secret"))
    assert "is no public host that answers" in why(f"http://{host}:{server.port}/")
    assert not server.heads


def test_a_host_that_nobody_knows() -> None:
    assert why("http://nowhere.invalid/") == "nowhere.invalid is no public host that answers"


class Names:
    """A name server that answers what it is told to, one line an inquiry, the last for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers, self.asked = list(answers), 0

    def getaddrinfo(self, _: str, port: int, **__: Any) -> list[Any]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in answer]


def resolved(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> Names:
    names = Names(*answers)
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    return names


def test_a_name_is_resolved_once_and_its_checked_address_asked(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(ok(b"picture"))
    names = resolved(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    checked: list[Address] = []

    def allowed(address: Address) -> bool:
        checked.append(address)
        return address == LOOPBACK

    assert fetch(f"http://pictures.example:{server.port}/", 100, 20, allowed) == b"picture"
    assert (names.asked, checked) == (1, [LOOPBACK])
    assert f"\r\nHost: pictures.example:{server.port}\r\n".encode() in server.heads[0]


def test_one_private_address_among_public_ones_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved(monkeypatch, [PUBLIC, "192.168.1.1"])
    assert why("http://a.example/") == "a.example is no public host that answers"


def test_the_next_address_where_the_first_does_not_answer(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(ok(b"picture"))
    resolved(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    assert fetch(f"http://a.example:{server.port}/", 100, 20, anywhere) == b"picture"


def test_nobody_answers() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    assert why(f"http://127.0.0.1:{port}/", is_allowed=anywhere) == "127.0.0.1 is no public host that answers"


def test_redirects_are_followed(serve: Callable[..., Server]) -> None:
    target = serve(ok(b"picture"))
    first = serve(moved(f"http://127.0.0.1:{target.port}/b.jpg"))
    assert fetch(first.url, 100, 20, anywhere) == b"picture"
    assert target.heads[0].startswith(b"GET /b.jpg HTTP")


def test_a_relative_redirect(serve: Callable[..., Server]) -> None:
    def talk(line: socket.socket, head: bytes) -> None:
        line.sendall(ok(b"picture") if b"/folder/b.jpg " in head else moved("b.jpg"))

    server = serve(talk)
    assert fetch(f"http://127.0.0.1:{server.port}/folder/a.jpg", 100, 20, anywhere) == b"picture"


def test_redirects_are_checked_and_counted(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = serve(ok(b"secret"))
    names = resolved(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    outside = serve(moved(f"http://a.example:{inside.port}/"))
    reason = why(f"http://a.example:{outside.port}/", is_allowed=lambda address: address == LOOPBACK)
    assert reason == "a.example is no public host that answers"
    assert names.asked == 2
    assert not inside.heads

    resolved(monkeypatch, ["127.0.0.1"])
    circle = serve(moved("/again"))
    assert why(circle.url, is_allowed=anywhere) == "it redirects more than 5 times"
    assert len(circle.heads) == 6


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://example.org/", "gopher://a/"])
def test_a_redirect_to_something_else(serve: Callable[..., Server], location: str) -> None:
    assert why(serve(moved(location)).url, is_allowed=anywhere) == "only http and https addresses are"


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"x" * 1001),
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n",
    ],
)
def test_too_long(serve: Callable[..., Server], answer: bytes) -> None:
    assert why(serve(answer).url, is_allowed=anywhere) == "it has more than 1000 bytes"


def test_what_is_said_to_be_too_long_is_not_waited_for(serve: Callable[..., Server]) -> None:
    def talk(line: socket.socket, _: bytes) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n")
        line.recv(1)

    assert why(serve(talk).url, seconds=5, is_allowed=anywhere) == "it has more than 1000 bytes"


def test_what_never_ends_is_not_read_to_its_end(serve: Callable[..., Server]) -> None:
    sent = 0

    def talk(line: socket.socket, _: bytes) -> None:
        nonlocal sent
        line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sent += line.send(b"x" * 65536)

    assert why(serve(talk).url, is_allowed=anywhere) == "it has more than 1000 bytes"
    assert sent < 50_000_000


def drips(line: socket.socket, pieces: bytes) -> None:
    line.sendall(pieces)
    while True:
        line.sendall(b"x")
        time.sleep(0.05)


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 200 OK\r\nA: ", b"HTTP/1.1 200 OK\r\n\r\n", ok(b"")[:-4] + b"9\r\n\r\n"]
)
def test_a_server_that_drips_is_cut_off(serve: Callable[..., Server], start: bytes) -> None:
    server = serve(lambda line, _: drips(line, start))
    before = threading.active_count()
    assert why(server.url, 10**9, 0.4, is_allowed=anywhere) == "it took more than 0.4 seconds"
    assert threading.active_count() <= before + 2


def test_a_server_that_says_nothing(serve: Callable[..., Server]) -> None:
    ended = threading.Event()
    server = serve(lambda _, __: bool(ended.wait(10)) or None)
    assert why(server.url, seconds=0.3, is_allowed=anywhere) == "it took more than 0.3 seconds"
    ended.set()


def test_redirects_share_the_time(serve: Callable[..., Server]) -> None:
    def talk(line: socket.socket, _: bytes) -> None:
        time.sleep(0.3)
        line.sendall(moved("/again"))

    server = serve(talk)
    assert why(server.url, seconds=0.7, is_allowed=anywhere) == "it took more than 0.7 seconds"
    assert len(server.heads) <= 3


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "the server answered 404 Not Found"),
        (
            b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx",
            "the server answered 206 Partial Content",
        ),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "the server answered 302 Found"),
        (b"HTTP/1.1 500\r\nContent-Length: 0\r\n\r\n", "the server answered 500"),
    ],
)
def test_other_answers(serve: Callable[..., Server], answer: bytes, reason: str) -> None:
    assert why(serve(answer).url, is_allowed=anywhere) == reason


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        moved("http://["),
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000 + b"\r\n\r\n",
    ],
)
def test_a_server_that_does_not_speak_http(serve: Callable[..., Server], answer: bytes) -> None:
    reason = why(serve(answer).url, is_allowed=anywhere)
    assert reason == "the server broke off, or does not speak http as it should"


def certificate(folder: Path, host: str) -> tuple[ssl.SSLContext, Path]:
    """Make a key and a certificate for a host; return a server's context and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "certificate.pem", folder / "key.pem"
    pem.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, private)
    return context, pem


def test_https_asks_for_the_hosts_own_certificate(
    serve: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, pem = certificate(tmp_path, "pictures.example")
    server = serve(ok(b"picture"), context)
    resolved(monkeypatch, ["127.0.0.1"])
    url = f"https://pictures.example:{server.port}/"
    assert why(url, is_allowed=anywhere) == "the server's certificate is not accepted"
    monkeypatch.setattr(fetching, "DEFAULT_CA_BUNDLE_PATH", str(pem))
    assert fetch(url, 100, 20, anywhere) == b"picture"
    other = f"https://other.example:{server.port}/"
    assert why(other, is_allowed=anywhere) == "the server's certificate is not accepted"
    assert len(server.heads) == 1


def test_https_that_is_none(serve: Callable[..., Server]) -> None:
    server = serve(ok(b"picture"))
    reason = why(server.url.replace("http:", "https:"), seconds=3, is_allowed=anywhere)
    assert "certificate" not in reason


def test_a_handshake_that_drips_is_cut_off() -> None:
    def drip() -> None:
        line, _ = server.accept()
        with line, suppress(OSError):
            drips(line, b"\x16\x03\x03\x40\x00")

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        threading.Thread(target=drip, daemon=True).start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}/"
        assert why(url, seconds=0.4, is_allowed=anywhere) == "it took more than 0.4 seconds"
