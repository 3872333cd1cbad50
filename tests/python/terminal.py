"""Somebody at a terminal.

    terminal.py COLUMNS STEPS COMMAND...

Runs the command on a terminal of its own. STEPS is a JSON list of pairs: when the first text has appeared (after
what the step before waited for), the second is typed; "^C" interrupts. Prints a JSON object: all that was shown,
the exit code, and the steps that were never reached. Whoever hangs for two minutes is ended.
"""

import fcntl
import json
import os
import pty
import signal
import struct
import sys
import termios
import time

ROWS = 60
PATIENCE = 120


def main() -> None:
    columns, steps, command = int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
    child, terminal = pty.fork()
    if child == 0:
        # The size must be there before the command asks for it.
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        os.execvp(command[0], command)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(PATIENCE)
    shown, seen = b"", 0
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # Linux's way to say that nobody is there any more.
            break
        if not more:
            break
        shown += more
        while steps:
            wanted, keys = steps[0]
            place = shown.find(wanted.encode(), seen)
            if place < 0:
                break
            seen = place + len(wanted)
            steps.pop(0)
            if keys == "^C":
                os.kill(child, signal.SIGINT)
            else:
                await_reader(terminal)
                os.write(terminal, keys.encode())
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    print(json.dumps({"shown": shown.decode(errors="replace"), "exit": code, "left": steps}))


def await_reader(terminal: int) -> None:
    """What is typed before a question takes the terminal over is thrown away; nothing tells when it has."""
    while termios.tcgetattr(terminal)[3] & termios.ICANON and termios.tcgetattr(terminal)[3] & termios.ECHO:
        time.sleep(0.01)


if __name__ == "__main__":
    main()
