"""The first stage as text: what is typed into a shell so that a line of Python can bring itself over.

Three steps, each robust against what consoles do to text. The shell is only asked to start Python, which reads one
line of program (stage zero) from its own input: no quoting, no history, no line editor. Stage zero takes numbered
lines, each with a checksum, and says after each how many it has; a spoilt one is sent again. What arrived is compared
by SHA-256, unpacked and run: the modules of :mod:`lading_agent.line`, kept in memory only.
"""

from __future__ import annotations

import ast
import base64
import functools
import hashlib
import zlib
from pathlib import Path
from typing import Final

MODULES: Final = ("frames", "pace", "sender", "receiver", "endpoint", "stream", "tty", "stage")
"""In the order in which they import each other."""
LINE_BYTES: Final = 240
PYTHONS: Final = ("python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9")

UP: Final = "LADING-UP"
NO_PYTHON: Final = "LADING-NOPY"
WHOLE: Final = "LADING-WHOLE"
SPOILT: Final = "LADING-SPOILT"

_ZERO: Final = """\
import sys,zlib,hashlib
from binascii import a2b_base64 as b
d=b'';n=0
while n<{count}:
 l=sys.stdin.readline()
 if not l:sys.exit(1)
 try:
  i,c,t=l.split();t=b(t)
  if int(i)==n and int(c,16)==zlib.crc32(t,n):d+=t;n+=1
 except Exception:pass
 print('+%d;'%n,flush=True)
o=hashlib.sha256(d).hexdigest()=='{digest}'
print('LADING-'+('WHOLE' if o else 'SPOILT'),flush=True)
if o:exec(zlib.decompress(d))
"""

_LOADER: Final = """\
import sys,types
def load(name,source):
    m=types.ModuleType(name);m.__package__=name.rpartition('.')[0];sys.modules[name]=m
    exec(compile(source,name,'exec'),m.__dict__)
    return m
for n in('lading_agent','lading_agent.line'):
    load(n,'').__path__=[]
for n,s in SOURCES:
    last=load('lading_agent.line.'+n,s)
sys.exit(last.main())
"""


def start_line() -> str:
    """What a POSIX shell is asked: start a Python that reads its program from the terminal."""
    tries = " ".join(PYTHONS)
    # What is looked for is not what is typed: the echo must not be taken for the answer.
    return (
        f" for p in {tries} ''; do [ -z \"$p\" ] || $p -c 'import sys;sys.exit(sys.version_info<(3,9))' 2>/dev/null "
        '&& break; done; [ -n "$p" ] || echo LADING-NO""PY; stty -echo; '
        '[ -n "$p" ] && $p -c \'print("LADING-"+"UP",flush=True);exec(input())\'; stty echo\n'
    )


@functools.cache
def packed() -> bytes:
    """The first stage, packed."""
    folder = Path(__file__).resolve().parents[2] / "lading_agent" / "line"
    sources = [(name, _bare((folder / f"{name}.py").read_text("utf-8"))) for name in MODULES]
    return zlib.compress(f"SOURCES={sources!r}\n{_LOADER}".encode(), 9)


def _bare(source: str) -> str:
    """A module without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        node.body = [
            part
            for part in node.body
            if not (
                isinstance(part, ast.Expr)
                and isinstance(part.value, ast.Constant)
                and isinstance(part.value.value, str)
            )
        ] or [ast.Pass()]
    return ast.unparse(tree)


def stage_zero() -> str:
    """The one line that Python reads first."""
    program = _ZERO.format(count=len(lines()), digest=hashlib.sha256(packed()).hexdigest())
    return f"exec({program!r})\n"


@functools.cache
def lines() -> tuple[str, ...]:
    """The numbered lines that stage zero takes."""
    data = packed()
    pieces = [data[at : at + LINE_BYTES] for at in range(0, len(data), LINE_BYTES)]
    return tuple(
        f"{number} {zlib.crc32(piece, number):x} {base64.b64encode(piece).decode()}\n"
        for number, piece in enumerate(pieces)
    )
