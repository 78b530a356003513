"""What a method's items are called, so that every sentence about a case speaks of the case's own method."""

from dataclasses import dataclass
from types import MappingProxyType

from forensics.keys.claim import Claim, counts_both_tails


@dataclass(frozen=True)
class Nouns:
    """The nouns of a claim whose key chooses among candidates.

    Attributes:
        one: a candidate.
        many: several.
        plain: the same for somebody who has read nothing else.
        carrier: an input into which a candidate is put.
        carriers: several.
        two_sided: whether both ends of the ranking count, as the claim says.
        clusters: whether candidates are read by the first principal component of the answers.
    """

    one: str
    many: str
    plain: str
    carrier: str
    carriers: str
    two_sided: bool = False
    clusters: bool = False

    @property
    def top(self) -> str:
        """Where in the ranking the chosen ones are counted."""
        return "at one end" if self.two_sided else "highest"

    @property
    def auc_in_words(self) -> str:
        """What the printed AUC means."""
        pairs = f"of all pairs of a {self.one} that the key chose and one that it did not, the share in which"
        if self.two_sided:
            return (
                f"AUC in either direction: {pairs} the two stand in the commoner order; one half is the least "
                "possible, chance gives little more, 1 is the most."
            )
        return f"AUC: {pairs} the chosen {self.one} scores higher; one half by chance, 1 at most."


_NOUNS = MappingProxyType(
    {
        "espew": ("word", "words", "ordinary words", "sentence", "sentences"),
        "tmrw": ("phrase", "phrases", "phrases of two ordinary words", "sentence", "sentences"),
        "wpe": ("pattern", "patterns", "small patterns", "image", "images"),
    }
)
WORDS = Nouns(*_NOUNS["espew"])
"""The nouns of a method whose key chooses words."""

_OTHERS = ("item", "items", "candidate items", "carrier", "carriers")

MEASURED = MappingProxyType(
    {
        "features": "how they move its vectors",
        "scores": "how they move the probabilities of its classes",
        "labels": "how they change the class that it names",
    }
)
"""Access level -> what the ranking of a trigger-cluster method is about; completes "ranked by"."""


def nouns_of(claim: Claim) -> Nouns:
    """Returns the nouns of a claim's method; neutral ones for a method that is not known here."""
    both = counts_both_tails(claim.rule.deciding)
    return Nouns(*_NOUNS.get(claim.method, _OTHERS), both, claim.method in ("tmrw", "wpe"))


def ranked_by(nouns: Nouns, access: str) -> str:
    """Returns by what the candidates are ranked, for the conclusion; empty where the method's own words suffice."""
    return MEASURED.get(access, "") if nouns.clusters else ""
