"""The disclosed pool of texts: read from the case's files, each verified by the digest that the evidence gives."""

from collections.abc import Mapping
from dataclasses import dataclass

from forensics.canonical import sha256
from forensics.conclusion import SUBSET
from forensics.evidence.case import SUFFIXES, share_folder
from forensics.evidence.schema import Evidence
from forensics.keys.claim import Claim
from forensics.nouns import Nouns, nouns_of
from forensics.records import Probe
from forensics.report.language import Language
from forensics.report.passes import Passes
from forensics.report.text import brief, integer
from forensics.wording import noted

_TEXT = "text/plain"
_WORD = 28
_SHOWN = 12

_TABLED = ("ksl-text", "ofsw-text")
"""Methods whose pool begins with a table of words, which is not for reading; what follows are no carriers."""


@dataclass(frozen=True)
class AskedText:
    """A text of the disclosed pool that is no candidate; cleaned."""

    role: str
    text: str
    asked: str


@dataclass(frozen=True)
class Material:
    """What may be printed of a disclosed pool of texts; empty before a share is opened.

    Attributes:
        words: the candidate words or phrases in pool order, cleaned and cut.
        texts: the texts around them: carriers and target.
        note: why nothing is printed, or how much more there is; may be empty.
        carriers: whether candidates are put into the texts.
    """

    words: tuple[str, ...] = ()
    texts: tuple[AskedText, ...] = ()
    note: str = ""
    carriers: bool = True

    def sample(self, say: Language) -> str:
        """Returns the first candidates in a line, and how many more there are."""
        more = len(self.words) - _SHOWN
        shown = ", ".join(say.quoted(word) for word in self.words[:_SHOWN])
        return say("%(shown)s and %(more)s more", shown=shown, more=integer(more)) if more > 0 else shown


def make_material(
    evidence: Evidence, claim: Claim, files: Mapping[str, bytes], passes: Passes | None, say: Language
) -> Material:
    """Returns the texts of an opened pool; nothing for a sealed case or a pool of images.

    Args:
        files: content by path in the case folder; a file that is missing or is not the committed one hides all.
        passes: of the plan, where there are two.
    """
    share = evidence.share
    if share is None or not any(entry.get("media_type") == _TEXT for entry in share.pool):
        return Material()
    folder = f"{share_folder(share.index)}pool/"
    found: list[bytes] = []
    for position, entry in enumerate(share.pool):
        data = files.get(f"{folder}{position:04d}.{SUFFIXES.get(str(entry.get('media_type')), 'bin')}")
        if entry.get("media_type") != _TEXT or data is None or sha256(data) != entry.get("sha256"):
            return Material(
                note=say("The pool’s texts are not in the case as they were committed, so none is printed.")
            )
        found.append(data)
    tabled = claim.method in _TABLED
    found, role = (found[1:], noted("text %(n)s")) if tabled else (found, noted("carrier text %(n)s"))
    count = _candidates(evidence, claim, len(found))
    nouns, target_text = nouns_of(claim, say), bool(claim.target_text)
    others = found[count:]
    more = len(others) - _SHOWN - int(target_text)
    return Material(
        words=tuple(brief(_decoded(data), _WORD) for data in found[:count]),
        texts=tuple(
            AskedText(
                say("target text") if target_text and place == len(others) else say(role, n=place),
                say.clean(_decoded(data), 400),
                _asked(evidence, Probe(data, _TEXT).digest, passes, nouns, say),
            )
            for place, data in enumerate(others, 1)
            if place <= _SHOWN or (target_text and place == len(others))
        ),
        note=say("%(number)s more texts are in the case folder.", number=integer(more)) if more > 0 else "",
        carriers=not tabled,
    )


def _asked(evidence: Evidence, digest: str, passes: Passes | None, nouns: Nouns, say: Language) -> str:
    """Tells whether a text was asked as it stands and, of two passes, whether the second asked it again."""
    probes = evidence.plan.probes
    if passes is None:
        return say("yes") if digest in probes else say("no")
    if digest not in probes[: passes.heads]:
        return say("no")
    again = probes.index(digest) in passes.groups
    return say("alone and with %(many)s", many=nouns.many) if again else say("alone")


def _candidates(evidence: Evidence, claim: Claim, size: int) -> int:
    """How many of the pool's first texts are candidates: the units of the subset test, or as the claim says."""
    if evidence.score is not None and evidence.score.measurement.test == SUBSET:
        return min(evidence.score.measurement.n, size)
    stated = claim.parameters.get("candidates", 0)
    return min(stated, size) if isinstance(stated, int) and stated > 0 else 0


def _decoded(data: bytes) -> str:
    return data[:65536].decode("utf-8", errors="replace")
