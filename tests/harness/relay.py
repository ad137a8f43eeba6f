"""A TCP relay before a server: it can be cut (connections are refused) or held (nothing is answered)."""

import contextlib
import socket
import threading


class Relay:
    """Passes connections on to `target`, (host, port), until it is told otherwise."""

    def __init__(self, target):
        self.target = target
        self.open = set()
        self.lock = threading.Lock()
        self.flows = threading.Event()
        self.flows.set()
        self.listener = None
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.mend()

    def mend(self):
        """Takes connections again, or for the first time."""
        self.flows.set()
        if self.listener is None:
            self.listener = socket.create_server(("127.0.0.1", self.port))
            threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def cut(self):
        """Ends all connections and refuses new ones."""
        listener, self.listener = self.listener, None
        # An accept that waits in another thread holds the socket open: shutdown ends it.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        with self.lock:
            for one in self.open:
                with contextlib.suppress(OSError):  # it ended by itself
                    one.shutdown(socket.SHUT_RDWR)
            self.open.clear()

    def hold(self):
        """Takes connections and passes nothing on."""
        self.flows.clear()

    def _accept(self, listener):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        try:
            far = socket.create_connection(self.target)
        except OSError:
            near.close()
            return
        with self.lock:
            self.open |= {near, far}
        back = threading.Thread(target=self._pass, args=(far, near), daemon=True)
        back.start()
        self._pass(near, far)
        back.join()
        with self.lock:
            self.open -= {near, far}
        near.close()
        far.close()

    def _pass(self, source, sink):
        try:
            while data := source.recv(65536):
                self.flows.wait()
                sink.sendall(data)
        except OSError:
            pass  # cut, or one side gone
        for one in (source, sink):
            with contextlib.suppress(OSError):  # likewise
                one.shutdown(socket.SHUT_RDWR)
