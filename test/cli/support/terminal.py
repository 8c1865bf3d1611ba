"""Runs a command at a terminal, answers its question, prints its output, and exits with its exit code.

python3 terminal.py <answer> <command>...      the answer as a Python string literal: y\\n, \\x03 for Ctrl-C
"""
import os
import pty
import sys


def read(terminal):
    try:
        return os.read(terminal, 1024)
    except OSError:  # Linux raises it when the command has ended
        return b""


answer, *command = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
written = b""
while b"[y/N] " not in written and (part := read(terminal)):
    written += part
os.write(terminal, answer.encode().decode("unicode_escape").encode())
while part := read(terminal):
    written += part
sys.stdout.write(written.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
