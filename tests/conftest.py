"""What every test may rely on."""

from __future__ import annotations

import signal

# Whoever started the tests in the background may have had signals ignored, and ignored signals are inherited: commands
# that tests start would then not hear the Ctrl-C that they are tried with.
signal.signal(signal.SIGINT, signal.default_int_handler)
for _name in ("SIGHUP", "SIGQUIT", "SIGTERM"):
    signal.signal(getattr(signal, _name), signal.SIG_DFL)
