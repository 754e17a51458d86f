"""What may stand behind `twistd realmgw`. Edge: the command line, the clock, signals, the log."""

from __future__ import annotations

from time import monotonic

from twisted.python.usage import Options as UsageOptions

from realmgw.daemon.service import EarlySignals, take_pid_file
from realmgw.log.port import Log


class Options(UsageOptions):
    """The command line of `twistd realmgw`."""

    synopsis = "[--config FILE] [--purge]"
    # The names are Twisted's.
    optParameters = (  # noqa: N815
        ("config", "c", "/etc/realmgw/realmgw.yaml", "The main configuration file."),
    )
    optFlags = (  # noqa: N815
        ("purge", None, "On stop, remove everything of ours from the kernel, established flows too."),
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted does not say
        self.begun, self.signals = monotonic(), EarlySignals()
        self.log = Log()

    def postOptions(self) -> None:
        """See `take_pid_file` and `EarlySignals`; the log goes where twistd is told."""
        self.signals.take(self)
        take_pid_file(self)
        self.log = Log(self.parent)
