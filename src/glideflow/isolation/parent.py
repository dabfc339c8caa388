"""The parent's side: start the child, watch it, and turn whatever happens into an outcome."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from glideflow.errors import DependencyError, StorageError, TerminatedError
from glideflow.isolation.child import FAILURE_FILE, PRIVATE_PREFIX, PROGRESS_PREFIX, RESULT_FILE, TASK_FILE
from glideflow.isolation.outcome import KILLED, NOT_STARTED, Failure, Limits, Outcome, Success, Usage
from glideflow.isolation.ranks import launch_environment
from glideflow.progress import Progress, silent
from glideflow.text import printable
from glideflow.units import GIB

FIRST_LOOK_S = 0.05
LOOK_INTERVAL_S = 0.5
"""How often the memory of a child is looked at, after first looks that come sooner."""
EVIDENCE_LINES = 25
SIGNAL_GRACE_S = 2.0
LAST_WORDS_S = 10.0
"""How long the last progress of a child that has ended is waited for, should something else keep its pipe open."""
_TERMINATED = (-signal.SIGTERM, 128 + signal.SIGTERM)  # the latter by way of a launcher
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)
_MPI_START_FAILED = "Fatal error in internal_Init"
"""What MPICH says when its own start fails."""
_CHILD_LIST = Path("/proc/thread-self/children")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A function call to be made in a child.

    Attributes:
        function: ``package.module:name`` of an importable function.
        arguments: its keyword arguments; they must survive pickling. If ``wants_progress``, the function
            also receives ``progress``.
        wants_progress: whether the function takes a ``progress`` callback.
        launcher: command that starts the ranks, e.g. ``("mpiexec", "-n", "2")``; empty for one process.
        threads: threads that each process may use.
        scratch: folder (shared by all ranks) below which the task's files are kept while it runs;
            None takes the system's temporary folder.
    """

    function: str
    arguments: Mapping[str, Any]
    wants_progress: bool = False
    launcher: tuple[str, ...] = ()
    threads: int = 1
    scratch: Path | None = None


def run_isolated(task: Task, limits: Limits | None = None, progress: Progress = silent) -> Outcome[Any]:
    """Run a task in a spawned child process.

    The child's death by signal or abort, its exceptions, a hang and memory beyond the limit all become a
    `Failure`; nothing that the child does raises here. If this process dies, the child notices and ends too.
    Temporary files of the child vanish with it, however it ends. Ranks that do not find each other when MPI starts
    them are started once more: that says nothing of the task. SIGTERM from outside is no outcome of the
    task: a scheduler or a person wants the work to end, and it is to be done again.

    Args:
        task: what to run.
        limits: time and memory after which the child and its descendants are killed.
        progress: shown what the child reports.

    Returns:
        `Success` with the function's return value, or `Failure` with the reason and the last output lines.

    Raises:
        StorageError: the scratch folder cannot be written.
        DependencyError: the launcher cannot be started.
        TerminatedError: the child was ended by SIGTERM.
    """
    limits = limits or Limits()
    outcome = _run_once(task, limits, progress)
    if isinstance(outcome, Failure) and outcome.error_class == NOT_STARTED:
        progress("the ranks did not find each other, starting them once more", 0.0, 0.0)
        outcome = _run_once(task, limits, progress)
    return outcome


def _run_once(task: Task, limits: Limits, progress: Progress) -> Outcome[Any]:
    payload = pickle.dumps((task.function, dict(task.arguments), task.wants_progress))
    with _scratch_folder(task.scratch) as folder, _folder_below(None) as temporary:
        with _refusing_unwritable(folder):
            (folder / TASK_FILE).write_bytes(payload)
        with (folder / "log").open("wb") as log:
            watch = _Watch(_spawn(task, folder, temporary, log), limits, progress)
            try:
                verdict = watch.wait()
            finally:
                watch.kill()
        return _outcome(folder, watch, verdict)


@contextmanager
def _scratch_folder(parent: Path | None) -> Iterator[Path]:
    """A folder for the task's files that is removed in the end."""
    with ExitStack() as stack:
        with _refusing_unwritable(parent or Path(tempfile.gettempdir())):
            if parent is not None:
                parent.mkdir(parents=True, exist_ok=True)
            folder = stack.enter_context(_folder_below(parent))
        yield folder


@contextmanager
def _folder_below(parent: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=PRIVATE_PREFIX, dir=parent, ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def _refusing_unwritable(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot keep the files of a running task in {folder}: {error.strerror}",
            expected="a folder that can be written, with some room",
            next_step="set `work` to another folder, or mend its permissions",
        ) from error


def _spawn(task: Task, folder: Path, temporary: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    # -P: modules of the current folder, which may hold anybody's files, take no part in the child.
    command = [*task.launcher, sys.executable, "-P", "-m", "glideflow.isolation.child", str(folder)]
    environment = os.environ | dict.fromkeys(_THREAD_VARIABLES, str(task.threads)) | {"TMPDIR": str(temporary)}
    environment |= launch_environment() if task.launcher else {}
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,  # the lifeline: it closes when this process ends, however it ends
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise DependencyError(
            f"{command[0]} cannot be started: {error.strerror}",
            expected="a program on the PATH that starts processes",
            next_step="correct engine.mpi_launcher; `glideflow doctor` tries it with two ranks",
        ) from error


@dataclass
class _Watch:
    """A running child, its limits, and what was seen of its use of the machine."""

    process: subprocess.Popen[bytes]
    limits: Limits
    progress: Progress
    started_s: float = field(default_factory=time.monotonic)
    cpu_time_s: float = 0.0
    peak_memory_gib: float = 0.0
    reader: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.reader = threading.Thread(target=self._forward_progress, daemon=True)
        self.reader.start()

    def wait(self) -> str:
        """Wait for the end; return the name of the limit that ended the child, or an empty string."""
        interval_s = FIRST_LOOK_S
        while not self._ends_within(interval_s):
            broken = self._broken_limit()
            if broken:
                return broken
            interval_s = min(2 * interval_s, LOOK_INTERVAL_S)
        return ""

    def _ends_within(self, seconds: float) -> bool:
        """Wait for the child's end, no longer than this and than its limit."""
        if self.limits.wall_time_s is not None:
            left_s = self.started_s + self.limits.wall_time_s - time.monotonic()
            seconds = min(seconds, max(left_s, 0.0))
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """End the child and everything that it started, also what outlived it."""
        for descendant in _all_descendants(self.process.pid):
            with suppress(psutil.Error):
                descendant.kill()
        # The child leads a process group of its own: it reaches orphans, which are nobody's descendants any more.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.reader.join(LAST_WORDS_S)
        if not self.reader.is_alive():  # who reads would have to end first
            self.process.stdout.close()

    @property
    def usage(self) -> Usage:
        """What was used until now."""
        return Usage(
            wall_time_s=time.monotonic() - self.started_s,
            cpu_time_s=self.cpu_time_s,
            peak_memory_gib=self.peak_memory_gib,
        )

    def _broken_limit(self) -> str:
        memory_gib = self._measure()
        if self.limits.memory_gib is not None and memory_gib > self.limits.memory_gib:
            return "MemoryLimit"
        elapsed = time.monotonic() - self.started_s
        if self.limits.wall_time_s is not None and elapsed >= self.limits.wall_time_s:
            return "TimeLimit"
        return ""

    def _measure(self) -> float:
        resident, cpu = 0, 0.0
        for pid in [self.process.pid, *_descendants(self.process.pid)]:
            try:
                process = psutil.Process(pid)
                resident += process.memory_info().rss
                times = process.cpu_times()
                cpu += times.user + times.system
            except psutil.Error:
                continue
        self.cpu_time_s = max(self.cpu_time_s, cpu)
        self.peak_memory_gib = max(self.peak_memory_gib, resident / GIB)
        return resident / GIB

    def _forward_progress(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(PROGRESS_PREFIX):
                # A line torn by the child's death, or a terminal that is gone: the work goes on, and so must the
                # reading, since a full pipe would block the child.
                with suppress(Exception):
                    self.progress(*json.loads(line[len(PROGRESS_PREFIX) :]))


def _descendants(pid: int) -> Iterator[int]:
    """Process ids of what a process has started, and of what these have started.

    Linux lists the children of each thread; where it does not, every process of the machine is looked at.
    """
    if not _CHILD_LIST.exists():
        yield from (process.pid for process in _all_descendants(pid))
        return
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def _children(pid: int) -> list[int]:
    """Children of the threads of a process; of what has just ended there are none."""
    tasks, found = Path(f"/proc/{pid}/task"), list[int]()
    with suppress(OSError):
        for thread in tasks.iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text(encoding="ascii").split())
    return found


def _all_descendants(pid: int) -> list[psutil.Process]:
    """The same from the parents of every process, which misses none that is just starting or ending."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def _outcome(folder: Path, watch: _Watch, verdict: str) -> Outcome[Any]:
    usage, evidence = watch.usage, _tail(folder / "log")
    if (folder / RESULT_FILE).exists():
        return _result(folder / RESULT_FILE, usage, evidence)
    if verdict:
        return _limit_failure(verdict, watch.limits, usage, evidence)
    if (folder / FAILURE_FILE).exists():
        fields = json.loads((folder / FAILURE_FILE).read_text(encoding="utf-8"))
        return Failure(**fields, evidence=evidence, usage=usage)
    _refuse_termination(watch.process.returncode)
    if watch.process.returncode in _KILLED:
        return _killed(usage, evidence)
    if _MPI_START_FAILED in evidence:
        return _not_started(usage, evidence)
    return _crash(watch.process.returncode, usage, evidence)


def _refuse_termination(return_code: int) -> None:
    """Raise if the child was asked to end, after a moment in which the same request may reach this process.

    A scheduler that ends a job signals each of its processes, in no order. Under a launcher the exit status can also
    mean that one rank crashed and the others were ended: without a signal of our own that is a crash.
    """
    if return_code not in _TERMINATED:
        return
    time.sleep(SIGNAL_GRACE_S)
    if return_code < 0:
        raise TerminatedError(
            "the engine's process was ended from outside by SIGTERM",
            expected="a process that is left alone until it is done",
            next_step="run the same command again; it goes on from the partial results",
        )


def _result(path: Path, usage: Usage, evidence: str) -> Outcome[Any]:
    try:
        value, cpu_time_s = pickle.loads(path.read_bytes())
    except Exception as error:  # unpickling runs the constructors of the result's classes
        return Failure(
            error_class=type(error).__name__,
            reason=f"the result of the task cannot be read back: {error}",
            expected="a value that survives pickling",
            evidence=evidence,
            usage=usage,
        )
    return Success(value=value, usage=_with_cpu(usage, cpu_time_s))


def _with_cpu(usage: Usage, cpu_time_s: float) -> Usage:
    return Usage(
        wall_time_s=usage.wall_time_s,
        cpu_time_s=max(cpu_time_s, usage.cpu_time_s),
        peak_memory_gib=usage.peak_memory_gib,
    )


def _limit_failure(verdict: str, limits: Limits, usage: Usage, evidence: str) -> Failure:
    if verdict == "TimeLimit":
        reason = f"ended after {usage.wall_time_s:.0f} s, the limit being {limits.wall_time_s:g} s"
        expected = "a computation that ends within engine.time_limit_s; `glideflow plan` says how long it should take"
        next_step = (
            "raise engine.time_limit_s and compute it again, which goes on from the partial results; if the log stands "
            "still long before the end, the engine hangs: run `glideflow potentials check ID`"
        )
    else:
        reason = f"ended at {usage.peak_memory_gib:.2f} GiB, the limit being {limits.memory_gib:g} GiB"
        expected = "a computation that fits into engine.memory_limit_gib; `glideflow plan` says what it should take"
        next_step = "raise engine.memory_limit_gib, or make the cell smaller"
    return Failure(
        error_class=verdict, reason=reason, expected=expected, next_step=next_step, evidence=evidence, usage=usage
    )


def _killed(usage: Usage, evidence: str) -> Failure:
    """SIGKILL that was not ours: no program sends it to itself."""
    return Failure(
        error_class=KILLED,
        reason="the engine's process was killed from outside (SIGKILL), as the kernel does when memory runs out",
        expected="enough memory for all jobs of this machine at the same time",
        next_step="run fewer jobs at a time, or give this one more memory, and compute it again: "
        "`glideflow failures` prints the command",
        evidence=evidence,
        usage=usage,
    )


def _not_started(usage: Usage, evidence: str) -> Failure:
    return Failure(
        error_class=NOT_STARTED,
        reason="the MPI ranks did not find each other, twice",
        expected="an MPI launcher of the MPICH family whose ranks can talk to each other",
        next_step="run `glideflow doctor`, which tries the launcher, and compute it again",
        evidence=evidence,
        usage=usage,
    )


def _crash(return_code: int, usage: Usage, evidence: str) -> Failure:
    if return_code < 0:
        name = signal.Signals(-return_code).name if -return_code in set(signal.Signals) else str(-return_code)
        reason = f"the engine's process was ended by signal {name}"
    else:
        reason = f"the engine's process ended with exit status {return_code} and no result"
    detail = _error_line(evidence)
    return Failure(
        error_class="Crashed" if return_code else "NoResult",
        reason=f"{reason}: {detail}" if detail else reason,
        expected="a potential file that the engine reads and evaluates",
        next_step="run `glideflow potentials check ID`; the last lines of output are in the evidence",
        evidence=evidence,
        usage=usage,
    )


def _error_line(evidence: str) -> str:
    """The engine's own last complaint, if it made one."""
    errors = [line.strip() for line in evidence.splitlines() if "ERROR" in line]
    return errors[-1][:300] if errors else ""


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 16_384))
            lines = stream.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return printable("\n".join(lines[-EVIDENCE_LINES:]))
