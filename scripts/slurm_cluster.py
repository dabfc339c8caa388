#!/usr/bin/env python3
"""A Slurm cluster on one machine, for the tests: munged, slurmctld, two slurmd, fake GPUs; no systemd, no accounting.

slurm_cluster.py up [--folder DIR] [--install]       start what is not running; print the environment to use
slurm_cluster.py status [--folder DIR]               say what is running; exit status 3 if anything is not
slurm_cluster.py down [--folder DIR]                 cancel jobs, end the daemons, remove the folder
slurm_cluster.py prepare [--install]                 say whether `up` can work here; exit status 2 if it cannot
slurm_cluster.py run [--install] -- COMMAND ...      up, the command, and down whatever becomes of it

Everything lives in one folder (default /var/tmp/glideflow-slurm), except two links in /etc/slurm: job steps look for
the configuration there and nowhere else. `up` refuses when a configuration is there that it has not made, so it never
touches a real site. It is idempotent, and mends a cluster whose daemons were killed. Daemons are found by their pid
files, and a pid is trusted only if its command line names the folder.

Needs root, and Debian's or Ubuntu's slurm-wlm and munge, which --install installs. Written for the standard library, so
that it runs before any environment exists.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

DEFAULT_FOLDER = Path("/var/tmp/glideflow-slurm")
TEMPLATES = Path(__file__).resolve().parent / "slurm"
PACKAGES = ("slurm-wlm", "munge")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "sinfo", "scancel")
SBIN = "/usr/sbin:/sbin"

SITE_FOLDER = Path("/etc/slurm")
CONFIGURATION = "glideflow-test-slurm.conf"
"""Name of the configuration in the folder of the cluster: a link to a file of this name is known to be ours."""
SITE_LINKS = {"slurm.conf": CONFIGURATION, "gres.conf": "gres.conf"}
CONFIGLESS = Path("/run/slurm/conf/slurm.conf")
"""Where the nodes of a site without local files keep the configuration that they were sent."""

NODES = ("n1", "n2")
PARTITIONS = ("cpu", "gpu")
GPUS = 2
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
CANCEL_TIMEOUT_S = 20.0
COMMAND_GRACE_S = 60.0
OWNER_VARIABLE = "GLIDEFLOW_TEST_SLURM"
"""Set for every daemon, and so for the step daemons that slurmd starts: it tells whose they are."""

OK, FAILED, REFUSED, NOT_RUNNING = 0, 1, 2, 3


class ClusterError(Exception):
    """The cluster cannot be brought up or down: what was found, what was expected, what to do next."""

    def __init__(self, found: str, *, expected: str, next_step: str, status: int = FAILED) -> None:
        self.status = status
        super().__init__(f"{found}\n  expected: {expected}\n  next step: {next_step}")


@dataclass(frozen=True)
class Daemon:
    """One daemon of the cluster.

    Attributes:
        name: name in messages and of its files.
        command: its command line; it goes into the background by itself.
        pid_file: where it leaves its process id.
        log: where it writes.
    """

    name: str
    command: tuple[str, ...]
    pid_file: Path
    log: Path


@dataclass(frozen=True)
class Cluster:
    """A cluster below one folder.

    Attributes:
        folder: absolute path of everything that belongs to it.
    """

    folder: Path

    @property
    def configuration(self) -> Path:
        """Slurm's configuration."""
        return self.folder / CONFIGURATION

    def daemons(self) -> tuple[Daemon, ...]:
        """The daemons in the order in which they are started."""
        slurm = ("-f", str(self.configuration))
        return (
            self._daemon("munged", self._munged()),
            self._daemon("slurmctld", ("slurmctld", *slurm)),
            *(self._daemon(f"slurmd-{node}", ("slurmd", "-N", node, *slurm)) for node in NODES),
        )

    def pid(self, daemon: Daemon) -> int | None:
        """Process id of a daemon that is running, None if it is not."""
        try:
            pid = int(daemon.pid_file.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        return pid if str(self.folder) in _command_line(pid) and not _is_zombie(pid) else None

    def running(self) -> dict[str, int | None]:
        """Process id of each daemon by name, None where it is not running."""
        return {daemon.name: self.pid(daemon) for daemon in self.daemons()}

    def step_daemons(self) -> Iterator[int]:
        """Process ids of the daemons of job steps that slurmd of this cluster has started."""
        marker = f"{OWNER_VARIABLE}={self.folder}".encode()
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and _command_line(int(process.name)).startswith("slurmstepd"):
                try:
                    if marker in (process / "environ").read_bytes().split(b"\0"):
                        yield int(process.name)
                except OSError:
                    continue

    def run(self, *command: str, timeout_s: float = 10.0) -> subprocess.CompletedProcess[str]:
        """Run a client command against this cluster; a command that hangs counts as failed."""
        try:
            return subprocess.run(
                command,
                env=_environment(SLURM_CONF=str(self.configuration)),
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout_s,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(command, FAILED, "", f"{command[0]} gave no answer in {timeout_s:g} s")

    def _daemon(self, name: str, command: tuple[str, ...]) -> Daemon:
        return Daemon(name, command, self.folder / f"{name}.pid", self.folder / f"{name}.log")

    def _munged(self) -> tuple[str, ...]:
        files = {"key-file": "munge.key", "socket": "munge.socket", "seed-file": "munge.seed"}
        files |= {"pid-file": "munged.pid", "log-file": "munged.log"}
        # --force: a socket left by a daemon that was killed is no reason to stay away.
        return ("munged", "--force", *(f"--{option}={self.folder / name}" for option, name in files.items()))


def up(cluster: Cluster, *, install: bool) -> None:
    """Start what is not running, and wait until the nodes take jobs.

    Raises:
        ClusterError: it is not permitted, programs are missing, another configuration is in place, or a daemon ends.
    """
    prepare(cluster, install=install)
    if not any(cluster.running().values()):
        _write_files(cluster)
    _link_site(cluster)
    for daemon in cluster.daemons():
        if cluster.pid(daemon) is None:
            _start(cluster, daemon)
    _wait_for_nodes(cluster)


def down(cluster: Cluster) -> None:
    """Cancel every job, end the daemons and what they started, remove the folder and the links to it.

    Raises:
        ClusterError: it is not permitted, or a process does not end.
    """
    _refuse_without_root()
    if _answers(cluster):
        _cancel_jobs(cluster)
    for daemon in reversed(cluster.daemons()):
        _end([pid] if (pid := cluster.pid(daemon)) else [], daemon.name)
    _end_steps(cluster)
    if _site_owner() == cluster.folder:
        for name in SITE_LINKS:
            (SITE_FOLDER / name).unlink(missing_ok=True)
    if _is_cluster_folder(cluster.folder):
        shutil.rmtree(cluster.folder)


def prepare(cluster: Cluster, *, install: bool) -> None:
    """Find out whether a cluster can be started here, and install what is missing.

    Raises:
        ClusterError: it cannot.
    """
    _refuse_without_root()
    _refuse_foreign_site(cluster)
    _provide_programs(install=install)


def run(cluster: Cluster, command: Sequence[str], *, install: bool) -> int:
    """Run a command on the cluster, which ends with it if it was not there before; exit status of the command.

    Raises:
        ClusterError: the cluster cannot be brought up or down.
    """
    was_up = all(cluster.running().values())
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    # Commands of a shell in the background ignore SIGINT, and so would the command that is to be ended by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        up(cluster, install=install)
        return _attended(command)
    finally:
        if not was_up and any(cluster.running().values()):
            down(cluster)


def _attended(command: Sequence[str]) -> int:
    """Run a command; if this process is told to end, so is the command, with time to clear up after itself."""
    process = subprocess.Popen(command, env=_environment(SLURM_CONF=str(SITE_FOLDER / "slurm.conf")))
    try:
        return process.wait()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(COMMAND_GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _refuse_without_root() -> None:
    if os.geteuid() != 0:
        raise ClusterError(
            "the test Slurm was asked for by a user who is not root",
            expected="root: job steps read /etc/slurm/slurm.conf, and slurmd starts jobs in the name of their owners",
            next_step="run it with sudo or in a container; on a site with Slurm use that one instead",
            status=REFUSED,
        )


def _refuse_foreign_site(cluster: Cluster) -> None:
    owner = _site_owner()
    places = (*(SITE_FOLDER / name for name in SITE_LINKS), CONFIGLESS)
    foreign = [path for path in places if os.path.lexists(path)] if owner is None else []
    if foreign:
        raise ClusterError(
            f"{foreign[0]} exists and was not made by this script: this machine belongs to a Slurm site",
            expected="a machine without Slurm's configuration",
            next_step="submit to that site instead, or use another machine for the tests",
            status=REFUSED,
        )
    if owner not in (None, cluster.folder) and any(Cluster(owner).running().values()):
        raise ClusterError(
            f"another test Slurm is running in {owner}",
            expected="one test Slurm on a machine",
            next_step=f"use it, or end it: {Path(__file__).name} down --folder {owner}",
            status=REFUSED,
        )


def _site_owner() -> Path | None:
    """Folder of the cluster whose configuration is in place, None if there is none that we made."""
    link = SITE_FOLDER / "slurm.conf"
    if link.is_symlink():
        target = link.readlink()
        if target.name == CONFIGURATION:
            return target.parent
    return None


def _provide_programs(*, install: bool) -> None:
    missing = _missing_programs()
    if missing and install:
        _install()
        missing = _missing_programs()
    if missing:
        raise ClusterError(
            f"not installed: {', '.join(missing)}",
            expected=f"Slurm and munge (Debian and Ubuntu: {' '.join(PACKAGES)})",
            next_step=f"{Path(__file__).name} up --install, or apt-get install {' '.join(PACKAGES)}",
            status=REFUSED,
        )


def _missing_programs() -> list[str]:
    return [program for program in PROGRAMS if shutil.which(program, path=_environment()["PATH"]) is None]


def _install() -> None:
    """Install the packages; the lists of a fresh machine may be empty or old. Failure shows as missing programs."""
    if shutil.which("apt-get") is None:
        return
    _say(f"installing {' '.join(PACKAGES)}")
    for command in (("update",), ("install", "--yes", "--no-install-recommends", *PACKAGES)):
        result = subprocess.run(
            ("apt-get", *command),
            env=_environment(DEBIAN_FRONTEND="noninteractive"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            _say(f"apt-get {command[0]} failed: {_last_line(result.stderr)}")


def _write_files(cluster: Cluster) -> None:
    """Write configuration, key, folders and GPUs anew; what an earlier cluster left there goes."""
    folder = cluster.folder
    if folder.exists():
        _refuse_other_folder(folder)
        _end_steps(cluster)
        shutil.rmtree(folder)
    folder.mkdir(parents=True, mode=0o755)
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(1024))
    for name in ("state", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir(mode=0o755)
    for number in range(GPUS):
        os.mknod(folder / f"gpu{number}", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    _fill("gres.conf", folder / "gres.conf", folder=folder, last_gpu=GPUS - 1)
    _fill("slurm.conf", cluster.configuration, folder=folder, host=socket.gethostname(), gpus=GPUS, **_sizes())


def _refuse_other_folder(folder: Path) -> None:
    if not _is_cluster_folder(folder) and any(folder.iterdir()):
        raise ClusterError(
            f"{folder} holds files that are not those of a test Slurm",
            expected="a folder that does not exist, is empty, or was made by this script",
            next_step="give another one with --folder",
            status=REFUSED,
        )


def _is_cluster_folder(folder: Path) -> bool:
    return (folder / "munge.key").is_file() or (folder / CONFIGURATION).is_file()


def _sizes() -> dict[str, int]:
    """Ports that are free now, the number of the first job, and what each of the two nodes pretends to have."""
    ports = _free_ports(1 + len(NODES))
    machine_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {
        "controller_port": ports[0],
        "n1_port": ports[1],
        "n2_port": ports[2],
        # Later than any job of an earlier cluster, and below Slurm's largest number.
        "first_job": 1000 + int(time.time()) % 3_000_000 * 20,
        # Jobs of the tests spend most of their time waiting: more of them than a small machine has cores.
        "cpus": max(4, (os.cpu_count() or 1) // len(NODES)),
        "memory_mb": max(4000, machine_mb // len(NODES)),
    }


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports


def _fill(template: str, target: Path, **values: object) -> None:
    text = (TEMPLATES / f"{template}.in").read_text(encoding="utf-8")
    target.write_text(Template(text).substitute({key: str(value) for key, value in values.items()}), encoding="utf-8")


def _link_site(cluster: Cluster) -> None:
    SITE_FOLDER.mkdir(parents=True, exist_ok=True)
    for name, target in SITE_LINKS.items():
        link = SITE_FOLDER / name
        if link.is_symlink():
            link.unlink()
        link.symlink_to(cluster.folder / target)


def _start(cluster: Cluster, daemon: Daemon) -> None:
    daemon.pid_file.unlink(missing_ok=True)
    with daemon.log.open("ab") as log:
        result = subprocess.run(
            daemon.command,
            env=_environment(**{"SLURM_CONF": str(cluster.configuration), OWNER_VARIABLE: str(cluster.folder)}),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            check=False,
        )
    if result.returncode != 0 or not _wait(lambda: cluster.pid(daemon) is not None, START_TIMEOUT_S):
        raise ClusterError(
            f"{daemon.name} did not start: {_last_line(_tail(daemon.log))}",
            expected="a daemon that leaves its process id in " + str(daemon.pid_file),
            next_step=f"see {daemon.log}",
        )


def _wait_for_nodes(cluster: Cluster) -> None:
    if not _wait(lambda: _states(cluster) <= {"idle", "mixed", "allocated", "completing"}, START_TIMEOUT_S):
        # A node whose jobs could not be ended, or that was away for long, waits for a person to look at it.
        for node in NODES:
            cluster.run("scontrol", "update", f"NodeName={node}", "State=RESUME")
        if not _wait(lambda: _states(cluster) <= {"idle", "mixed", "allocated", "completing"}, START_TIMEOUT_S):
            raise ClusterError(
                f"the nodes are {', '.join(sorted(_states(cluster))) or 'unknown'}",
                expected="nodes that take jobs",
                next_step=f"see the logs in {cluster.folder}",
            )


def _states(cluster: Cluster) -> set[str]:
    """States of the nodes; `unknown` while the controller does not answer."""
    result = cluster.run("sinfo", "--noheader", "--Node", "--format=%T")
    states = set(result.stdout.split())
    return states if result.returncode == 0 and states else {"unknown"}


def _answers(cluster: Cluster) -> bool:
    return cluster.running()["slurmctld"] is not None and _states(cluster) != {"unknown"}


def _cancel_jobs(cluster: Cluster) -> None:
    for partition in PARTITIONS:
        cluster.run("scancel", f"--partition={partition}")
    _wait(lambda: not cluster.run("squeue", "--noheader").stdout.strip(), CANCEL_TIMEOUT_S)


def _end_steps(cluster: Cluster) -> None:
    """End what is left of job steps: what their daemons have started, then the daemons, which wait for it."""
    steps = list(cluster.step_daemons())
    # Nobody is left whom they could tell how they ended.
    _end([pid for step in steps for pid in _descendants(step)], "a job", gently=False)
    _end(steps, "the daemon of a job step", gently=False)


def _end(pids: Sequence[int], name: str, *, gently: bool = True) -> None:
    """End processes.

    Raises:
        ClusterError: one of them is still there.
    """
    for signal_number in (signal.SIGTERM, signal.SIGKILL) if gently else (signal.SIGKILL,):
        for pid in pids:
            try:
                os.kill(pid, signal_number)
            except ProcessLookupError:
                continue
        if _wait(lambda: all(_is_zombie(pid) for pid in pids), STOP_TIMEOUT_S):
            return
    raise ClusterError(
        f"{name} (process {', '.join(map(str, pids))}) does not end",
        expected="a process that ends when it is killed",
        next_step="see what it waits for: cat /proc/PID/wchan",
    )


def _descendants(pid: int) -> Iterator[int]:
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in thread.read_text(encoding="ascii").split()]
        except OSError:
            continue
        for child in children:
            yield child
            yield from _descendants(child)


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _is_zombie(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has collected it yet."""
    try:
        # The name of the program stands in parentheses and may hold anything.
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _environment(**variables: str) -> dict[str, str]:
    """This environment without what would lead to another cluster, and with the folders of daemons on PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_", "SRUN_"))}
    return kept | {"PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SBIN}"} | variables


def _wait(condition: Callable[[], bool], timeout_s: float) -> bool:
    end_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.1)
    return True


def _tail(log: Path) -> str:
    try:
        return log.read_bytes()[-2000:].decode(errors="replace")
    except OSError:
        return ""


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["nothing was said"])[-1]


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _report(cluster: Cluster) -> int:
    running = cluster.running()
    for name, pid in running.items():
        print(f"{name:12s}{f'process {pid}' if pid else 'not running'}")
    if not all(running.values()):
        return NOT_RUNNING
    print(cluster.run("sinfo").stdout, end="")
    print(cluster.run("squeue").stdout, end="")
    return OK


def _arguments(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """Options, and the command after ``--``."""
    own = list(words[: words.index("--")] if "--" in words else words)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("up", "down", "status", "prepare", "run"))
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help=f"default: {DEFAULT_FOLDER}")
    parser.add_argument("--install", action="store_true", help="install missing packages with apt-get")
    options, command = parser.parse_args(own), list(words[len(own) + 1 :])
    if (options.action == "run") != bool(command):
        parser.error("`run`, and nothing else, is followed by -- and a command")
    return options, command


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one thing; return the exit status."""
    options, command = _arguments(sys.argv[1:] if arguments is None else arguments)
    cluster = Cluster(options.folder.absolute())
    try:
        return _act(cluster, options.action, command, install=options.install)
    except ClusterError as error:
        _say(f"error: {error}")
        return error.status


def _act(cluster: Cluster, action: str, command: Sequence[str], *, install: bool) -> int:
    if action == "status":
        return _report(cluster)
    if action == "run":
        return run(cluster, command, install=install)
    if action == "down":
        down(cluster)
    elif action == "prepare":
        prepare(cluster, install=install)
    else:
        up(cluster, install=install)
        nodes, partitions = " ".join(NODES), " ".join(PARTITIONS)
        _say(f"Slurm is up in {cluster.folder}: nodes {nodes}, partitions {partitions}, {GPUS} GPUs on n2")
        print(f"export SLURM_CONF={SITE_FOLDER / 'slurm.conf'}")
    return OK


if __name__ == "__main__":
    sys.exit(main())
