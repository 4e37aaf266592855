# number: 46
# source: threat catalogue G; abstract sockets of containerd-shim (CVE-2020-15257)
# tries: reaches the host's Unix sockets by abstract name and by path, also from one half of a socket pair
# problem: silu
# expect: crashed
# naive: exempt: it is after the network, not after a verdict
import socket

NAMES = [
    b"\0@ABSTRACT@",
    b"\0@ABSTRACT@-d",
    "@SOCKET@",
    "/run/docker.sock",
    "/run/dbus/system_bus_socket",
    "/dev/log",
]
told = []
for style in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
    for made in ("own", "pair"):
        for name in NAMES:
            try:
                one = (
                    socket.socketpair(socket.AF_UNIX, style)[0] if made == "pair" else socket.socket(1, style)
                )
                if style == socket.SOCK_DGRAM:
                    one.sendto(b"knock", name)
                else:
                    one.connect(name)
                told.append(f"{made} {name!r} reached")
            except OSError as error:
                told.append(f"{made} {error.errno}")
raise RuntimeError("; ".join(sorted(set(told), key=len, reverse=True)))


def run(x):
    return x
