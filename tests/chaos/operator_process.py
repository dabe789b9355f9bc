"""The operator as a process of its own: started as its pod would be, killed without a warning, started again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

from .faults import Book, Fault
from .installation import OPERATOR_NAMESPACE, RELEASE
from .judge import Exit
from .pods import NODE_LOST_AFTER_SECONDS
from .proxy import Moment

GAP_SECONDS = (0.1, 7.0)
"""From one start to the next kill: some die while they start, some while they work."""
WRITES_MAX = 8
TRAP_SECONDS = 10.0
"""After so long without the write that was waited for, the kill comes anyway."""
REPLACED_PERCENT = 1.5
REPLACED_EVERY = 100
"""Kills, and by chance: by chance alone, one run of 200 kills in twenty had none."""
LEASE_SECONDS = 18.0
"""Until another pod holds the lease of one that was killed, and a little more."""
DOWN_SECONDS = 3.0
RESTART_SECONDS = 0.5


class OperatorProcess:
    """`python -m pfd_operator`, kept alive as a kubelet would keep it.

    Parameters
    ----------
    kubeconfig
        Its own, which leads through the fault proxy.
    log
        Where its log goes; beside it the file that says how many seconds the node's wall clock is off.
    """

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self._clock = log.with_name("operator.clock")
        self.step_clock(0.0)
        self._kubeconfig = kubeconfig
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._pod = 0
        self.wanted = False
        self._said_before = 0
        self.exits: list[Exit] = []
        """The times that it ended by itself."""

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, cluster-wide and with a lease, as the chart does."""
        environment = os.environ | {
            "KUBECONFIG": str(self._kubeconfig),
            "PFD_NAMESPACE": OPERATOR_NAMESPACE,
            "PFD_LEASE": RELEASE,
            "PFD_IDENTITY": f"pfd-operator-{self._pod}",
            # any: nobody asks there
            "PFD_PROGRESS_PORT": "0",
            "PFD_METRICS_PORT": "0",
            "PFD_WORKER_IMAGE": "worker",
            "PFD_BACKOFF_SECONDS": "1",
            "PFD_NODE_LOST_AFTER_SECONDS": str(NODE_LOST_AFTER_SECONDS),
            # compiled once, as in the image, whatever the caller's shell says
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(self._log.parent / "pycache"),
        }
        self.wanted = True
        with self._log.open("ab") as log:
            self._said_before = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.stepped_clock", self._clock],
                env=environment,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> bool:
        """Kill it now; return whether there was something to kill."""
        if not self.running:
            return False
        assert self._process is not None
        self.wanted = False
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        return True

    def step_clock(self, offset_seconds: float) -> None:
        """Set the wall clock of its node."""
        part = self._clock.with_suffix(".part")
        part.write_text(str(offset_seconds))
        part.replace(self._clock)

    def replace(self) -> None:
        """Let the next process be another pod's: it has to wait until the lease of this one expires."""
        self._pod += 1

    def stop(self) -> None:
        """Stop it as Kubernetes would."""
        self.wanted = False
        if self._process is not None and self.running:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    async def keep_alive(self) -> None:
        """Start it again whenever it ended by itself, until cancelled."""
        while True:
            if self.wanted and self._process is not None and not self.running:
                said = self._log.read_bytes()[self._said_before :]
                self.exits.append(Exit(self._process.returncode, said.decode(errors="replace")))
                self.start()
            await asyncio.sleep(RESTART_SECONDS)


class Killer:
    """Kills the operator at random instants, and at writes: just before one arrives, and just after it was done."""

    def __init__(self, operator: OperatorProcess, book: Book, seed: str) -> None:
        self._operator = operator
        self._book = book
        self._random = random.Random(seed)
        self._moment: Moment | None = None
        self._writes = 0
        self._killed = asyncio.Event()

    def at_write(self, moment: Moment) -> bool:
        """Kill the operator if this is the write that was waited for; return whether it was."""
        if moment is not self._moment:
            return False
        self._writes -= 1
        if self._writes > 0 or not self._operator.kill():
            return False
        self._book.note(Fault.KILLED_BEFORE_WRITE if moment is Moment.BEFORE else Fault.KILLED_AFTER_WRITE)
        self._moment = None
        self._killed.set()
        return True

    async def run(self, kills: int) -> None:
        """Kill it so many times; each time it is started again."""
        target = self._book.kills + kills
        while self._book.kills < target:
            await self._kill_once()
            due = self._book.kills % REPLACED_EVERY == 0
            replaced = self._random.uniform(0, 100) < REPLACED_PERCENT or due
            if replaced:
                self._operator.replace()
                self._book.note(Fault.REPLACED)
            long = self._random.random() < 0.1
            await asyncio.sleep(self._random.uniform(0.0, DOWN_SECONDS if long else 0.2))
            self._operator.start()
            await asyncio.sleep(LEASE_SECONDS if replaced else 0.0)

    async def _kill_once(self) -> None:
        self._moment = self._random.choice([None, None, Moment.BEFORE, Moment.AFTER, Moment.AFTER])
        if self._moment is not None:
            self._writes = self._random.randint(1, WRITES_MAX)
            self._killed.clear()
            try:
                async with asyncio.timeout(TRAP_SECONDS):
                    await self._killed.wait()
                return
            except TimeoutError:
                self._moment = None
        else:
            await asyncio.sleep(self._random.uniform(*GAP_SECONDS))
        if self._operator.kill():
            self._book.note(Fault.KILLED)
