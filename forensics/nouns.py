"""What a method's items are called, so that every sentence about a case speaks of the case's own method."""

from dataclasses import dataclass
from types import MappingProxyType

from forensics.keys.claim import Claim, counts_both_tails
from forensics.wording import ENGLISH, Noun, Wording, noted


@dataclass(frozen=True)
class Nouns:
    """The nouns of a claim whose key chooses among candidates.

    Attributes:
        one: a candidate.
        many: several.
        plain: the same for somebody who has read nothing else.
        carrier: an input into which a candidate is put.
        carriers: several.
        marked: what carries the owner's mark: a model, or a service where the claim names a target text.
        two_sided: whether both ends of the ranking count, as the claim says.
        clusters: whether candidates are read by the first principal component of the answers.
        say: the language of the nouns.
    """

    one: Noun
    many: Noun
    plain: Noun
    carrier: Noun
    carriers: Noun
    marked: Noun
    two_sided: bool = False
    clusters: bool = False
    say: Wording = ENGLISH

    @property
    def auc_in_words(self) -> str:
        """What the printed AUC means."""
        if self.two_sided:
            return self.say(
                "AUC in either direction: of all pairs of a %(one)s that the key chose and one that it did not, the "
                "share in which the two stand in the commoner order; one half is the least possible, chance gives "
                "little more, 1 is the most.",
                one=self.one,
            )
        return self.say(
            "AUC: of all pairs of a %(one)s that the key chose and one that it did not, the share in which the chosen "
            "%(one)s scores higher; one half by chance, 1 at most.",
            one=self.one,
        )


_NOUNS = MappingProxyType(
    {
        "espew": (noted("word"), noted("words"), noted("ordinary words"), noted("sentence"), noted("sentences")),
        "tmrw": (
            noted("phrase"),
            noted("phrases"),
            noted("phrases of two words"),
            noted("sentence"),
            noted("sentences"),
        ),
        "wpe": (noted("pattern"), noted("patterns"), noted("small patterns"), noted("image"), noted("images")),
    }
)

_OTHERS = (noted("item"), noted("items"), noted("candidate items"), noted("carrier"), noted("carriers"))

MEASURED = MappingProxyType(
    {
        "features": noted("how they move its vectors"),
        "scores": noted("how they move the probabilities of its classes"),
        "labels": noted("how they change the class that it names"),
    }
)
"""Access level -> what the ranking of a trigger-cluster method is about; completes "ranked by"."""


def nouns_of(claim: Claim, say: Wording = ENGLISH) -> Nouns:
    """Returns the nouns of a claim's method; neutral ones for a method that is not known here."""
    both = counts_both_tails(claim.rule.deciding)
    named = (*_NOUNS.get(claim.method, _OTHERS), noted("service") if claim.target_text else noted("model"))
    return _nouns(named, both, claim.method in ("tmrw", "wpe"), say)


def ranked_by(nouns: Nouns, access: str) -> str:
    """Returns by what the candidates are ranked, for the conclusion; empty where the method's own words suffice."""
    return nouns.say(MEASURED[access]) if nouns.clusters and access in MEASURED else ""


def _nouns(named: tuple[str, ...], two_sided: bool, clusters: bool, say: Wording) -> Nouns:
    one, many, plain, carrier, carriers, marked = (say.noun(name) for name in named)
    return Nouns(one, many, plain, carrier, carriers, marked, two_sided, clusters, say)


WORDS = _nouns((*_NOUNS["espew"], "model"), False, False, ENGLISH)
"""The nouns of a method whose key chooses words."""
