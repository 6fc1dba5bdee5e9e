"""The commands. While their modules are imported, Ctrl-C ends the process at once and without a traceback."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # it is ignored in a background job of a script
    signal.signal(signal.SIGINT, signal.SIG_DFL)
