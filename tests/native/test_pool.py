"""The native pool: every piece once, on several threads, whatever is raised, nested, concurrent or forked."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from types import ModuleType

import pytest

from fastfm_core import threads
from fastfm_core.errors import InputError

pytestmark = pytest.mark.usefixtures("threads_restored")


def counted(native: ModuleType, pieces: int) -> Counter[int]:
    """How often each piece of one call ran."""
    ran: list[int] = []
    native.run(pieces, ran.append)
    return Counter(ran)


@pytest.mark.parametrize("pieces", [0, 1, 2, 7, 300])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_piece_runs_once(native: ModuleType, count: int, pieces: int) -> None:
    threads.set_num_threads(count)
    for _ in range(20):
        assert counted(native, pieces) == dict.fromkeys(range(pieces), 1)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_pieces_run_at_the_same_time(native: ModuleType, count: int) -> None:
    """Each piece waits until all others have begun, which a single thread could not do."""
    threads.set_num_threads(count)
    together = threading.Barrier(count, timeout=30)
    idents: list[int] = []
    native.run(count, lambda piece: (together.wait(), idents.append(threading.get_ident())))
    assert len(set(idents)) == count


@pytest.mark.parametrize("count", [1, 2, 4])
def test_nested_calls_run_on_their_caller(native: ModuleType, count: int) -> None:
    threads.set_num_threads(count)
    ran: list[tuple[int, int, bool]] = []

    def outer(piece: int) -> None:
        ident = threading.get_ident()
        native.run(4, lambda inner: ran.append((piece, inner, threading.get_ident() == ident)))

    native.run(5, outer)
    assert sorted(ran) == [(piece, inner, True) for piece in range(5) for inner in range(4)]


def test_a_call_never_waits_for_another_threads(native: ModuleType) -> None:
    """While one thread holds the pool, a second one's call runs on that thread alone, to its end."""
    threads.set_num_threads(2)
    inside, leave = threading.Barrier(3, timeout=30), threading.Event()
    holder = threading.Thread(target=lambda: native.run(2, lambda piece: (inside.wait(), leave.wait(30))))
    holder.start()
    inside.wait()
    idents: list[int] = []
    native.run(5, lambda piece: idents.append(threading.get_ident()))
    assert idents == [threading.get_ident()] * 5
    leave.set()
    holder.join(30)
    assert not holder.is_alive()


def test_concurrent_calls_finish(native: ModuleType) -> None:
    threads.set_num_threads(2)
    results: dict[int, list[Counter[int]]] = {}
    callers = [
        threading.Thread(target=lambda n=n: results.update({n: [counted(native, n + 2) for _ in range(50)]}))
        for n in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert not any(caller.is_alive() for caller in callers)
    assert results == {n: [dict.fromkeys(range(n + 2), 1)] * 50 for n in range(4)}


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("failing", [0, 3, 7])
def test_an_exception_reaches_the_caller_and_the_pool_survives(native: ModuleType, count: int, failing: int) -> None:
    threads.set_num_threads(count)

    def work(piece: int) -> None:
        if piece == failing:
            raise ZeroDivisionError(f"piece {piece}")

    for _ in range(3):
        with pytest.raises(ZeroDivisionError, match=f"piece {failing}"):
            native.run(8, work)
        assert counted(native, 8) == dict.fromkeys(range(8), 1)


def test_no_piece_is_running_when_the_exception_arrives(native: ModuleType) -> None:
    threads.set_num_threads(2)
    started, release, finished = threading.Event(), threading.Event(), []

    def work(piece: int) -> None:
        if piece == 0:
            assert started.wait(30)
            release.set()
            raise ZeroDivisionError
        started.set()
        assert release.wait(30)
        finished.append(piece)

    with pytest.raises(ZeroDivisionError):
        native.run(2, work)
    assert finished == [1]


def test_the_number_of_threads_is_the_packages(native: ModuleType) -> None:
    for count in (1, 256, 3):
        threads.set_num_threads(count)
        assert native.threads() == threads.get_num_threads() == count
    with pytest.raises(InputError):
        threads.set_num_threads(257)
    with pytest.raises(ValueError, match="threads must be from 1 to 256, got 0"):
        native.set_threads(0)
    assert native.threads() == 3


LOADED_LATE = """
from fastfm_core import threads
threads.set_num_threads(5)
from fastfm_core import _native
print(_native.threads())
"""
FORKED = """
import multiprocessing, threading
import numpy as np
from fastfm_core import _native, threads
from fastfm_core.backends import blas
threads.set_num_threads(2)
left, right = np.ones((1024, 128), np.float32), np.ones((128, 128), np.float32)

def compute(queue=None):
    assert (blas.native_matmul(left, right, np.empty((1024, 128), np.float32)) == 128).all()
    ran = []
    _native.run(64, ran.append)
    assert sorted(ran) == list(range(64))
    together = threading.Barrier(2, timeout=30)
    _native.run(2, lambda piece: together.wait())  # the child has a worker of its own
    if queue is not None:
        queue.put("finished")

def fork():
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=compute, args=(queue,))
    child.start()
    child.join(60)
    assert child.exitcode == 0, child.exitcode
    assert queue.get() == "finished"

compute()
fork()
leave, inside = threading.Event(), threading.Barrier(3, timeout=30)
other = threading.Thread(target=lambda: _native.run(2, lambda piece: (inside.wait(), leave.wait(60))))
other.start()
inside.wait()
fork()  # while another thread and a worker are inside a region
leave.set()
other.join()
compute()
print("all finished")
"""
SLEEPING = """
from fastfm_core import _native, threads
threads.set_num_threads(8)
_native.run(64, lambda piece: None)
print("done")
"""


@pytest.mark.parametrize(("script", "said"), [(LOADED_LATE, "5"), (FORKED, "all finished"), (SLEEPING, "done")])
def test_in_a_process_of_its_own(native: ModuleType, script: str, said: str) -> None:
    """A number set before loading holds; forked children work; workers do not keep the process from ending."""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert (finished.stdout, finished.returncode) == (f"{said}\n", 0), finished.stderr


def test_idle_workers_sleep(native: ModuleType) -> None:
    """Half a second of eight spinning workers would be at least that much CPU time."""
    script = """
import time
from fastfm_core import _native, threads
threads.set_num_threads(8)
_native.run(64, lambda piece: None)
time.sleep(0.01)
begin = time.process_time()
time.sleep(1)
print(time.process_time() - begin < 0.5)
"""
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert finished.stdout == "True\n", finished.stderr
