"""The exit codes of the command; `kefu --help` lists them."""

OK = 0
FAILED = 1
USAGE = 2
INTERRUPTED = 130
# As a shell reports a program that was ended by SIGPIPE: `kefu chat … | head -1`.
READER_WENT_AWAY = 141
