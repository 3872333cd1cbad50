"""Runs a command on a terminal of 24 rows and types, as a user does.

    terminal.py COLUMNS STEPS COMMAND...

The command has a terminal of its own. STEPS is a JSON list of pairs: when the first text has appeared (after the
text of the previous step), the second is typed; "^C" interrupts, and an empty text only waits. Prints a JSON object:
the complete output, the same output in parts with the seconds since the start, the exit code, and the steps that were
not reached. A command is killed after two minutes.
"""

import codecs
import fcntl
import json
import os
import pty
import signal
import struct
import sys
import termios
import time

ROWS = 24
PATIENCE = 120


def main() -> None:
    columns, steps, command = int(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]
    child, terminal = pty.fork()
    if child == 0:
        # A shell ignores this signal for commands in the background, and their commands inherit that.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # The size must be set before the command reads it.
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        os.execvp(command[0], command)
    signal.signal(signal.SIGALRM, lambda *_: os.kill(child, signal.SIGKILL))
    signal.alarm(PATIENCE)
    began = time.monotonic()
    # A character may be split between two reads.
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    shown, seen, parts = "", 0, []
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # On Linux, this means that the other end is closed.
            break
        if not more:
            break
        text = decoder.decode(more)
        shown += text
        parts.append([round(time.monotonic() - began, 3), text])
        while steps:
            wanted, keys = steps[0]
            place = shown.find(wanted, seen)
            if place < 0:
                break
            seen = place + len(wanted)
            steps.pop(0)
            if keys == "^C":
                os.kill(child, signal.SIGINT)
            elif keys:
                await_reader(terminal)
                os.write(terminal, keys.encode())
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    print(json.dumps({"shown": shown, "parts": parts, "exit": code, "left": steps}))


def await_reader(terminal: int) -> None:
    """Waits until a prompt controls the terminal: earlier input is discarded, and no event reports the change."""
    while termios.tcgetattr(terminal)[3] & termios.ICANON and termios.tcgetattr(terminal)[3] & termios.ECHO:
        time.sleep(0.01)


if __name__ == "__main__":
    main()
