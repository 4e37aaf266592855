# number: 46 45
# source: threat catalogue G
# tries: reaches listeners of this machine, a name server and the cloud's metadata service over TCP and UDP
# problem: silu
# expect: crashed
# naive: exempt: it is after the network, not after a verdict
import socket

told = []


def attempt(name, action):
    try:
        told.append(f"{name}: {action()}")
    except OSError as error:
        told.append(f"{name}: {error.errno}")


def udp(port, where="127.0.0.1"):
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"knock", (where, port))


attempt("tcp", lambda: socket.create_connection(("127.0.0.1", int("@TCP_PORT@")), 1))
attempt("tcp6", lambda: socket.create_connection(("::ffff:127.0.0.1", int("@TCP_PORT@")), 1))
attempt("udp", lambda: udp(int("@UDP_PORT@")))
attempt("dns", lambda: socket.getaddrinfo("example.com", 80))
attempt("dns by hand", lambda: udp(53, "8.8.8.8"))
attempt(
    "metadata", lambda: socket.create_connection(("169.254.169.254", 80), 1).send(b"GET / HTTP/1.0\r\n\r\n")
)
raise RuntimeError("; ".join(told))


def run(x):
    return x
