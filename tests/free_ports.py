"""Ports for the servers that tests start in processes of their own.

The port that the system gives to a probe may be given to somebody else as soon as the probe is
closed, and a server takes seconds to start, while other tests open connections all the time.
"""

import random
import socket

HOST = "127.0.0.1"
PORTS = range(10_000, 16_000)  # the system chooses none of these by itself


def free_port() -> int:
    """A port that nobody listens on, and that no other process of tests gets before this one ends.

    A UDP socket of the same number says so; a server that listens with TCP does not mind it.
    """
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        mark = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            mark.bind((HOST, port))
            with socket.socket() as probe:
                probe.bind((HOST, port))
        except OSError:
            mark.close()
            continue
        mark.detach()  # open until this process ends; a socket would be a warning then
        return port
    raise AssertionError(f"no port from {PORTS.start} to {PORTS.stop - 1} is free")
