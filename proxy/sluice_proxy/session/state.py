"""What is in the session of one server connection, as far as it is known."""

from sluice_proxy.session.inspection import Findings, Question
from sluice_proxy.session.pinning import PROVABLE, PinReason
from sluice_proxy.session.settings import DEFAULTS, Settings
from sluice_proxy.session.statement import PREFIX
from sluice_proxy.session.statements import ServerStatements

_NAMES_LIMIT = 200


class SessionState:
    """Parameters, prepared statements, and the reasons to keep it with its client.

    `settings` is what differs from a fresh session of this connection, but for what the
    present transaction changed: `touched` says that it may have.
    """

    __slots__ = (
        "_guessed", "_in_vain", "_look", "_names", "_patient", "asked", "functions_due",
        "hides_temporary", "pins", "prepared", "settings", "sure", "taken", "touched",
    )  # fmt: skip

    def __init__(self) -> None:
        self.settings = DEFAULTS
        self.hides_temporary = DEFAULTS.hides_temporary
        self.prepared = ServerStatements()
        # Names of statements that must be closed before another request.
        self.taken: list[bytes] = []
        self.pins = PinReason.NONE
        self.touched = False
        # Something is in here that nobody could make again: not only may be.
        self.sure = False
        # Whether the catalogs are to be asked for functions that change sessions.
        self.functions_due = False
        # Parameters with a dot that may have been set.
        self._names: tuple[bytes, ...] = ()
        # Whether a reason for a pin came, or may be gone; or what no text showed.
        self._look = self._guessed = False
        # What the catalogs are being asked: until they answer, what is known of it is old.
        self.asked: Question | None = None
        # The last inspection failed: the next one waits for another request.
        self._in_vain = False
        # The next one does not mind the session's statement_timeout.
        self._patient = False

    def guess(self, names: tuple[bytes, ...]) -> None:
        """Anything may be in here, for all that the text shows."""
        sure, self._guessed = self.sure, True
        self.touch(names)
        self.sure = sure

    def touch(self, names: tuple[bytes, ...] = ()) -> None:
        """Parameters may be set, `names` with a dot among them."""
        self.touched = self.sure = True
        self.prepared.read_under(None)
        if names:
            self._names = tuple(dict.fromkeys((*self._names, *names)))[:_NAMES_LIMIT]

    def become(self, settings: Settings) -> None:
        """These are its parameters now."""
        self.settings = settings
        self.hides_temporary = settings.hides_temporary
        self.prepared.read_under(None if self.touched else settings.meaning)

    def pin(self, reasons: PinReason) -> PinReason:
        """Those of `reasons` that are new."""
        new = reasons & ~self.pins
        self._outdate(new)
        self.sure = True
        self.pins |= new
        self._look = True
        return new

    def _outdate(self, changed: PinReason) -> None:
        """Where temporary objects come or go, names may mean others; the server itself does not
        look them up anew if pg_temp has joined its search path for a client before."""
        if changed & PinReason.TEMPORARY_OBJECT:
            self.prepared.outdate()

    def may_unpin(self) -> None:
        """A reason for a pin may be gone."""
        self._look = True

    def try_again(self) -> None:
        """Something was asked since an inspection failed."""
        self._in_vain = False

    def question(self, user: str) -> Question | None:
        """What has to be asked before it is known what is in here."""
        objects = self._guessed or bool(self._look and self.pins & PROVABLE)
        if self._in_vain or not (self.touched or objects or self.functions_due):
            return None
        settings, self.touched = self.touched, False
        self._look = self._guessed = False
        name = user.encode("utf-8", "surrogateescape")
        set_before = (known for known in self.settings.values if b"." in known)
        names = tuple(dict.fromkeys((*set_before, *self._names)))
        functions, self.functions_due = self.functions_due, False
        self.asked = Question(
            settings, objects, functions, names, name, PREFIX, patient=self._patient
        )
        return self.asked

    def learn(self, question: Question, found: Findings, excused: PinReason) -> None:
        """What the catalogs said."""
        self.asked = None
        if question.settings:
            if found.settings.hides_temporary and not self.hides_temporary:
                # What the client has sent meanwhile was judged by the settings before.
                self._guessed = True
            self.become(found.settings)
            self.pins &= ~PinReason.SESSION_SETTING
        if question.objects and not self._look:
            self._outdate(found.pins ^ self.pins)
            # But for those that came since it was asked.
            self.pins = self.pins & ~PROVABLE | found.pins & ~excused
        self.sure = self.touched or bool(self.pins)

    def fail(self, question: Question) -> None:
        """They could not be asked."""
        self.asked = None
        # At first for a timeout of the client's, perhaps.
        self._in_vain = self._patient
        self._patient = True
        self.touched |= question.settings
        self.functions_due |= question.functions
        self._look |= question.objects
        self._guessed |= question.objects

    def wiped(self, tag: bytes) -> None:
        """DISCARD or DEALLOCATE ALL was done."""
        # DISCARD SEQUENCES may be the proxy's own, ahead of the statement that pinned.
        if tag == b"DISCARD ALL":
            self.pins &= ~PinReason.SEQUENCE
        if tag != b"DISCARD SEQUENCES":
            self.prepared.clear()
            self.taken.clear()

    def wipe_unseen(self) -> bool:
        """A function or a DO block dropped them: whether there was anything to drop."""
        if not self.prepared.confirmed:
            return False
        self.prepared.clear()
        return True

    def to_close(self) -> list[bytes]:
        """Statements that the next client shall not find: too many, or taken for a moment."""
        names = [statement.name for statement in self.prepared.overflow()] + self.taken
        self.taken.clear()
        return names

    def clean(self) -> None:
        """DISCARD ALL was done in the proxy's own name."""
        self.rest()
        self.become(DEFAULTS)
        self.pins = PinReason.NONE

    def rest(self) -> None:
        """The next client's session begins."""
        self.touched = self._look = self._guessed = self.sure = False
        self._in_vain = self._patient = False
        self.asked = None
        self._names = ()
