"""What a check of a record found, call by call."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a record, or cannot be proven.

    Attributes:
        place: file and index.
        field: the field, or an empty text.
        what: what is wrong with it.
        is_wrong: false where it only cannot be proven.
    """

    place: str
    field: str
    what: str
    is_wrong: bool = True

    def __str__(self) -> str:
        """Give place, field and fault."""
        return f"{self.place}{f': {self.field}' if self.field else ''}: {self.what}"


@dataclass
class CheckedCall:
    """What is known of one call.

    Attributes:
        place: file and index.
        proven: fields that have a hash in the record, and match it.
        consistent: fields that follow from others, and were found to do so.
        findings: what is wrong, or cannot be proven.
        is_old: whether an older release has recorded it, so that only its structure can be checked.
        is_of_player: whether a program or a person has answered it in a game; such a call has no hashes either.
        is_failed: whether the call failed.
    """

    place: str
    proven: list[str] = field(default_factory=list)
    consistent: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    is_old: bool = False
    is_of_player: bool = False
    is_failed: bool = False

    def wrong(self, name: str, what: str) -> None:
        """Note that a field is wrong."""
        self.findings.append(Finding(self.place, name, what))

    def unproven(self, name: str, what: str) -> None:
        """Note that a field cannot be proven."""
        self.findings.append(Finding(self.place, name, what, is_wrong=False))

    def compare(self, name: str, recorded: object, found: object, where: str) -> None:
        """Note whether a field is what follows from others.

        Args:
            name: the field.
            recorded: what the record says.
            found: what follows.
            where: from what it follows, for messages.
        """
        if type(recorded) is type(found) and recorded == found:
            self.consistent.append(name)
        else:
            self.wrong(name, f"is {_short(recorded)}, but {where} gives {_short(found)}")


@dataclass
class Verification:
    """What was found in a record.

    Attributes:
        calls: number of calls.
        failed: how many of them failed.
        hashes: how many hashes were proven.
        linked: how many calls are linked to the one in front of them, or are linked as the first of their file.
        consistent: how many fields follow from others, as they should.
        without_hashes: calls of older releases, of which only the structure can be checked.
        of_players: calls that programs or people have answered in games; the same holds for them.
        ends: for each file with links the hash of its last call.
        each: the calls.
    """

    calls: int = 0
    failed: int = 0
    hashes: int = 0
    linked: int = 0
    consistent: int = 0
    without_hashes: int = 0
    of_players: int = 0
    ends: dict[str, str] = field(default_factory=dict)
    each: list[CheckedCall] = field(default_factory=list)

    @property
    def findings(self) -> list[Finding]:
        """Everything that is wrong or not proven."""
        return [finding for call in self.each for finding in call.findings]

    @property
    def wrong(self) -> list[Finding]:
        """What is wrong."""
        return [finding for finding in self.findings if finding.is_wrong]

    @property
    def unproven(self) -> list[Finding]:
        """What cannot be proven."""
        return [finding for finding in self.findings if not finding.is_wrong]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:80] + "…"  # noqa: PLR2004 - a line's worth
