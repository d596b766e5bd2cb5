"""Hostile programs for tests of the sandboxes.

`FILES`, `PROCESSES` and `NETWORK` try to reach the outside, with functions `f(folder, port, pid)`: a folder with a file
`secret`, the port of a listener, and the calling process. `SOURCES` are complete sources, the others bodies of `f()`.
"""
# ruff: noqa: E501

FILES = {
    "read": "def f(folder, port, pid):\n    return open(folder + '/secret').read()",
    "read low": "import os\ndef f(folder, port, pid):\n    return os.read(os.open(folder + '/secret', 0), 99).decode()",
    "read by path": "from pathlib import Path\ndef f(folder, port, pid):\n    return Path(folder, 'secret').read_text()",
    "list": "import os\ndef f(folder, port, pid):\n    return os.listdir(folder)",
    "ours": "def f(folder, port, pid):\n    return open(f'/proc/{pid}/environ').read()",
    "passwd": "import io\ndef f(folder, port, pid):\n    return io.open('/etc/passwd').read()",
    "source": "import inspect\ndef f(folder, port, pid):\n    return open(inspect.stack()[1].filename).read()",
    "write": "def f(folder, port, pid):\n    open(folder + '/new', 'w').write('x')",
    "append": "def f(folder, port, pid):\n    open(folder + '/secret', 'a').write('x')",
    "here": "def f(folder, port, pid):\n    open('new', 'w').write('x')\n    return 1",
    "remove": "import os\ndef f(folder, port, pid):\n    os.remove(folder + '/secret')",
    "rename": "import os\ndef f(folder, port, pid):\n    os.rename(folder + '/secret', folder + '/new')",
    "folder": "import os\ndef f(folder, port, pid):\n    os.mkdir(folder + '/new')",
    "link": "import os\ndef f(folder, port, pid):\n    os.symlink('/etc', folder + '/new')",
    "mode": "import os\ndef f(folder, port, pid):\n    os.chmod(folder + '/secret', 0o777)",
    "root": "import os\ndef f(folder, port, pid):\n    os.chroot(folder)",
    "libc": "import ctypes\ndef f(folder, port, pid):\n    fd = ctypes.CDLL(None).open((folder + '/new').encode(), 0o101)"
    "\n    assert fd >= 0",
    "call": "import ctypes\ndef f(folder, port, pid):\n"
    "    fd = ctypes.CDLL(None).syscall(257, -100, (folder + '/new').encode(), 0o101, 0o666)\n    assert fd >= 0",
}
PROCESSES = {
    "fork": "import os\ndef f(folder, port, pid):\n    if os.fork() == 0:\n        open(folder + '/new', 'w')\n    return 1",
    "bomb": "import os\ndef f(folder, port, pid):\n    while True:\n        try:\n            os.fork()\n        except OSError:\n"
    "            pass",
    "run": "import subprocess\ndef f(folder, port, pid):\n    return subprocess.run(['touch', folder + '/new']).returncode",
    "shell": "import os\ndef f(folder, port, pid):\n    assert os.system('touch ' + folder + '/new') == 0",
    "become": "import os\ndef f(folder, port, pid):\n    os.execv('/bin/touch', ['touch', folder + '/new'])",
    "spawn": "import os\ndef f(folder, port, pid):\n    assert os.posix_spawn('/bin/touch', ['touch', folder + '/new'], {})",
    "thread": "import threading\ndef f(folder, port, pid):\n    threading.Thread(target=print).start()\n    return 1",
    "pool": "import multiprocessing\ndef f(folder, port, pid):\n    return multiprocessing.Pool(2).map(abs, [1])",
    "libc fork": "import ctypes\ndef f(folder, port, pid):\n    assert ctypes.CDLL(None).fork() >= 0",
    "kill us": "import os\ndef f(folder, port, pid):\n    os.kill(pid, 9)",
    "kill above": "import os\ndef f(folder, port, pid):\n    os.kill(os.getppid(), 9)",
    "kill all": "import os\ndef f(folder, port, pid):\n    os.kill(-1, 9)",
    "raise limit": "import resource\ndef f(folder, port, pid):\n    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "trace": "import ctypes\ndef f(folder, port, pid):\n    assert ctypes.CDLL(None).ptrace(16, pid, 0, 0) == 0",
}
NETWORK = {
    "connect": "import socket\ndef f(folder, port, pid):\n    socket.create_connection(('127.0.0.1', port), 1)",
    "http": "from urllib.request import urlopen\ndef f(folder, port, pid):\n    urlopen(f'http://127.0.0.1:{port}/')",
    "raw": "import _socket\ndef f(folder, port, pid):\n    _socket.socket(2, 1).connect(('127.0.0.1', port))",
    "listen": "import socket\ndef f(folder, port, pid):\n    socket.socket().listen()\n    return 1",
    "asyncio": "import asyncio\ndef f(folder, port, pid):\n    asyncio.run(asyncio.open_connection('127.0.0.1', port))",
}


HANGING = {
    "loop": "while True:\n        pass",
    "stubborn": "while True:\n        try:\n            while True:\n                pass\n        except BaseException:\n"
    "            pass",
    "sleep": "import time\n    while True:\n        time.sleep(1)",
    "deaf": "import signal\n    signal.pthread_sigmask(0, range(1, 65))\n    while True:\n        pass",
    "count": "import itertools\n    for _ in itertools.count():\n        pass",
    "sum": "return sum(range(10 ** 12))",
    "pattern": "import re\n    return re.match(r'(a|a)*(a|a)*(a|a)*$', 'a' * 40 + 'b') or f()",
    "flood": "while True:\n        print('x' * 1000)",
    "sort": "return sorted(range(10 ** 9), key=lambda x: -x)",
}
BIG = {
    "list": "return len([0] * 10 ** 10)",
    "grow": "a = []\n    while True:\n        a.append('x' * 10000 + str(len(a)))",
    "double": "a = 'x'\n    while True:\n        a += a",
    "power": "return 10 ** 10 ** 9",
    "power mod": "return 3 ** 10 ** 8 % 7",
    "shift": "return 1 << 10 ** 12",
    "digits": "return str(10 ** 10 ** 5)",
    "read digits": "return int('9' * 10 ** 6)",
    "factorial": "import math\n    return math.factorial(10 ** 7)",
    "format": "return len('%9999999999d' % 1)",
    "comprehension": "return {i: [j for j in range(10 ** 6)] for i in range(10 ** 6)}",
    "all of it": "import itertools\n    return list(itertools.product(range(1000), repeat=5))",
}
DEEP = {
    "recursion": "return f()",
    "no limit": "import sys\n    sys.setrecursionlimit(10 ** 9)\n    return f()",
    "caught": "try:\n        return f()\n    except RecursionError:\n        return f()",
    "lambda": "return (lambda g: g(g))(lambda g: g(g))",
    "nested": "return eval('(' * 10000 + ')' * 10000)",
}


TRICKS = {
    "walk": "return ().__class__.__bases__[0].__subclasses__()",
    "frames": "import sys\n    return sys._getframe(1).f_globals",
    "collector": "import gc\n    return gc.get_objects()",
    "builtins": "return __builtins__",
    "import": "return __import__('os').environ",
    "leave": "import os\n    os._exit(0)",
    "exit": "raise SystemExit(0)",
    "interrupt": "raise KeyboardInterrupt",
    "abort": "import os\n    os.abort()",
    "nowhere": "import ctypes\n    return ctypes.string_at(0)",
    "long words": "raise ValueError('\\n\\u202e' * 10 ** 6)",
    "no words": "class E(Exception):\n        def __str__(self):\n            raise self\n    raise E",
    "main": "import sandbox_child\n    return sandbox_child.run_call",
}
SOURCES = {
    "null": "def f():\n    return '\0'",
    "surrogate": "def f():\n    return '\udc00'",
    "huge": "def f():\n    return 1\n" + "#" * 10**6,
    "string": 'def f():\n    return """',
    "bracket": "def f():\n    return (1,",
    "backslash": "def f():\n    return 1 + \\",
    "brackets": "def f():\n    return " + "(" * 20000 + ")" * 20000,
    "minus": "def f():\n    return " + "-" * 60000 + "1",
    "else": "def f():\n    if 0: pass\n" + "    elif 0: pass\n" * 3000 + "    return print",
    "blocks": "\n".join(" " * i + "if 1:" for i in range(200)),
    "names": "def f():\n    return ｅval('ｏpen')(1)",
    "look-alike": "def f():\n    return оpen",  # a Cyrillic o
    "right to left": "def f():\n    return '\u202e' + 1",
}
