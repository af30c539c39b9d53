"""Runs a command and ends it, with all that it started, as soon as standard input closes. The tests hold the other end
of that pipe, so nothing outlives them even if they are killed. Usage: guard.py COMMAND [ARGUMENT...]"""
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

PR_SET_CHILD_SUBREAPER = 36


def descendants():
    """All processes below this one. The emulator moves the function into a process group of its own, so that the
    group would not do."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                # The name stands in parentheses and may hold anything; state and parent follow the last one.
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except OSError:
            continue
        if state != b"Z":
            children.setdefault(int(parent), []).append(int(entry))
    found, open_ends = [], [os.getpid()]
    while open_ends:
        below = children.get(open_ends.pop(), [])
        found += below
        open_ends += below
    return found


def end(number, patience):
    """Sends a signal to every descendant until none is left or patience is over."""
    told, over = set(), time.monotonic() + patience
    while time.monotonic() < over:
        alive = descendants()
        if not alive:
            return
        for process in alive:
            if process not in told or number == signal.SIGKILL:
                told.add(process)
                try:
                    os.kill(process, number)
                except ProcessLookupError:
                    pass
        time.sleep(0.01)


def finish(code):
    end(signal.SIGTERM, 1)
    end(signal.SIGKILL, 2)
    os._exit(code)


def wait_for_end_of_tests():
    while os.read(0, 4096):
        pass
    finish(0)


if sys.platform == "linux":
    # A process whose parent ended comes to this one, and is found below it.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)
threading.Thread(target=wait_for_end_of_tests, daemon=True).start()
finish(abs(child.wait()))
