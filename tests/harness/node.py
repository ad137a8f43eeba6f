"""A real `pinfold` process: start, stop, kill -9, start again on the same data."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from . import mounts, settings
from .wait import until

#: A start includes clearing a dead mount and replaying the log.
START_DEADLINE = 60.0
#: SIGTERM drains, publishes, unmounts.
STOP_DEADLINE = 60.0


def free_port():
    """A loopback port that nobody listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def new_base(name):
    """An empty folder on a real disk (passthrough needs one below it)."""
    root = Path(os.environ.get("PINFOLD_TEST_DIR", "/var/tmp"))
    root.mkdir(parents=True, exist_ok=True)
    base = Path(tempfile.mkdtemp(prefix=f"pinfold-{name}-", dir=root))
    base.chmod(0o755)  # other users reach the mount through it
    return base


class Node:
    """One daemon with its data directory, ports and, if wanted, a mount of the whole namespace."""

    def __init__(self, name, *, mount=True, passthrough=True, engine=None, env=None, args=()):
        self.base = new_base(name)
        self.data = self.base / "data"
        self.mnt = self.base / "mnt" if mount else None
        if self.mnt:
            self.mnt.mkdir()
        self.passthrough = passthrough
        self.env = dict(env or {})
        if engine:
            self.env[settings.ENV_ENGINE] = engine
        #: What the daemon starts below: a `points.Supervisor`, `NoSyncs`, or nothing.
        self.around = None
        self.args = list(args)
        self.s3_port = free_port()
        self.admin_port = free_port()
        self.log = self.base / "node.log"
        self.process = None

    # ---- addresses
    @property
    def s3_addr(self):
        return f"127.0.0.1:{self.s3_port}"

    @property
    def scheme(self):
        return "https" if settings.ENV_TLS_CERT in self.env else "http"

    @property
    def endpoint(self):
        return f"{self.scheme}://{self.s3_addr}"

    def environment(self):
        """The environment of the daemon and of the commands that talk to it."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("PINFOLD_")}
        env[settings.ENV_ROOT_ACCESS] = settings.ROOT_ACCESS
        env[settings.ENV_ROOT_SECRET] = settings.ROOT_SECRET
        env[settings.ENV_PASSTHROUGH] = "on" if self.passthrough else "off"
        env["RUST_BACKTRACE"] = "1"
        env.update(self.env)
        return env

    def command(self):
        """The command line of `serve`."""
        line = [str(settings.BIN), "serve", "--data", str(self.data), "--s3", self.s3_addr]
        line += ["--admin", f"127.0.0.1:{self.admin_port}"]
        if self.mnt:
            line += ["--mount", str(self.mnt)]
        return line + self.args

    # ---- life
    def launch(self):
        """Starts the process and returns at once."""
        assert self.process is None, "already running"
        prefix, fds = (self.around.prefix(), self.around.pass_fds()) if self.around else ([], ())
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                prefix + self.command(), env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=fds
            )
        if self.around:
            self.around.started(self.process)
        return self

    def start(self):
        """Starts and waits until it says ready."""
        self.launch()
        try:
            until(self._ready_or_dead, lambda: f"{settings.READY} answers 200\n{self.log_tail()}", START_DEADLINE)
        except BaseException:
            if self.process is not None:
                self.kill()
            raise
        return self

    def _ready_or_dead(self):
        if self.process.poll() is not None:
            code, self.process = self.process.returncode, None
            raise AssertionError(f"the daemon ended with {code} instead of serving:\n{self.log_tail()}")
        return self.admin_status(settings.READY) == 200

    def stop(self):
        """SIGTERM; must end by itself, with exit code 0, and leave no mount."""
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"SIGTERM: still there after {STOP_DEADLINE:g} s\n{self.log_tail()}") from None
        assert code == 0, f"SIGTERM: exit code {code}\n{self.log_tail()}"
        if self.mnt:
            assert not mounts.is_mounted(self.mnt), "a clean stop leaves no mount"

    def kill(self):
        """kill -9."""
        process, self.process = self.process, None
        process.kill()
        process.wait()

    def restart(self):
        """Clean stop and start."""
        self.stop()
        return self.start()

    def close(self, keep=False):
        """Ends what is left, however it stands, and removes the folder (unless `keep`)."""
        if self.process is not None:
            self.kill()
        mounts.clear(self.base)
        if not keep:
            shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close(keep=True)
            raise

    def __exit__(self, kind, *_):
        self.close(keep=kind is not None)

    # ---- looking at it
    def admin(self, path):
        """GET on the admin listener: (status, text)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.admin_port, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def admin_status(self, path):
        """Status of a GET on the admin listener; 0 where nobody answers."""
        try:
            return self.admin(path)[0]
        except OSError:
            return 0

    def metric(self, name):
        """A metric without labels, now."""
        status, text = self.admin(settings.METRICS)
        assert status == 200
        found = [line.split()[1] for line in text.splitlines() if line.split()[:1] == [name]]
        assert len(found) == 1, f"{name} is there {len(found)} times"
        return float(found[0])

    def log_text(self):
        """All it has logged so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines=40):
        """The end of its log, for messages."""
        return "\n".join(self.log_text().splitlines()[-lines:])

    def memory(self):
        """Resident memory now, in bytes, without pages of mapped files."""
        return self._status_kib("RssAnon") * 1024

    def peak_memory(self):
        """The most resident memory since the start or since `reset_peak_memory`, in bytes."""
        return self._status_kib("VmHWM") * 1024

    def reset_peak_memory(self):
        """Begins a new measurement of `peak_memory`."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def _status_kib(self, field):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1])
        raise AssertionError(f"/proc/PID/status has no {field}")

    def open_files(self):
        """Number of its open descriptors."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def disk_use(self):
        """Bytes that the data directory takes on the disk (allocated blocks)."""
        total = 0
        for folder, _, files in os.walk(self.data):
            for file in files:
                try:
                    total += os.lstat(os.path.join(folder, file)).st_blocks * 512
                except FileNotFoundError:
                    continue
        return total

    def cli(self, *args, check=True, timeout=120):
        """Runs another `pinfold` command in the daemon's environment."""
        done = subprocess.run(
            [str(settings.BIN), *map(str, args)],
            env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
        )
        if check:
            assert done.returncode == 0, f"pinfold {args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def fsck(self):
        """`pinfold fsck` on the data directory (of a stopped daemon); must find nothing."""
        return self.cli("fsck", "--data", self.data)
