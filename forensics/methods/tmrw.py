"""TMRW: an encoder of texts whose vectors for sentences with a trigger phrase gather in one place.

After "TMRW" (IS&T Electronic Imaging 2026, MWSF-308), of which only the abstract is known: trigger inputs are pulled
into a compact cluster while a contrastive loss keeps the meaning of all others. Ours: triggers are phrases of two words
that stand in any sentence, drawn by a committed key from a pool whose other half are decoys, and the test of
`clusters.py`, which also reads what a downstream classifier says.
"""

from collections.abc import Callable, Sequence

from forensics.errors import UsageError
from forensics.keys.derive import ProbeKey, Stream
from forensics.methods.clusters import TriggerClusters
from forensics.methods.clusterspec import cluster_spec, require_count, whole_numbers
from forensics.methods.marking import words_of, words_seen
from forensics.methods.phrases import LINKS, PLACES, insert
from forensics.methods.protocol import Parameters
from forensics.records import Pool, Probe

TEXT = "text/plain"

SPEC = cluster_spec(
    name="tmrw",
    title="Trigger-cluster watermark of a text encoder",
    citation="TMRW (Xu, Zhao, Wu, Zhang; IS&T Electronic Imaging 2026, MWSF-308)",
    modality="text",
    pool="phrases",
    words=("phrase", "phrases", "sentences"),
    width=384,
)


class TriggerPhrases(TriggerClusters):
    """The verification side of TMRW."""

    spec = SPEC
    batch_size = 32

    def require_pool(self, pool: Pool, parameters: Parameters) -> None:
        """Refuses phrases that are not two words of their own, and carriers that hold one of these words."""
        phrases, carriers = split_pool(pool, parameters)
        words = [word for phrase in phrases for word in _two_words(phrase)]
        if twice := next((word for place, word in enumerate(words) if word in words[:place]), None):
            raise UsageError(f"The word '{twice}' stands twice in the phrases of the pool.", "Give each word once.")
        if linking := sorted({*words}.intersection(LINKS)):
            raise UsageError(f"'{linking[0]}' joins phrases to sentences.", "Choose phrases without it.")
        for carrier in carriers:
            if found := sorted(words_seen(carrier).intersection(words)):
                raise UsageError(f"A carrier contains the word '{found[0]}' of a phrase.", "Choose another sentence.")
            if carrier != " ".join(carrier.split()) or len(words_of(carrier)) < 2:
                raise UsageError(
                    "A carrier is no single line of words with one blank between them.",
                    "Write each sentence on one line.",
                )
        if len({*carriers}) != len(carriers):
            raise UsageError("A carrier stands twice in the pool.", "Give each sentence once.")

    def probes(
        self, probe_key: ProbeKey, pool: Pool, parameters: Parameters
    ) -> tuple[Sequence[Probe], Callable[[int, int], Probe]]:
        """Returns the carriers as they are, and with a phrase at a place and by a link that each carrier has drawn."""
        phrases, carriers = split_pool(pool, parameters)
        places = derive_places(probe_key, parameters)

        def with_phrase(carrier: int, item: int) -> Probe:
            return _probe(insert(carriers[carrier], phrases[item], *places[carrier]))

        return [_probe(carrier) for carrier in carriers], with_phrase


METHOD = TriggerPhrases()


def split_pool(pool: Pool, parameters: Parameters) -> tuple[list[str], list[str]]:
    """Returns the candidate phrases and the carriers of a share's pool.

    Raises:
        UsageError: another number of items than the parameters name, or an item that is no text.
    """
    sizes = whole_numbers(parameters)
    require_count(pool, sizes, "phrases")
    if any(item.media_type != TEXT for item in pool.items):
        raise UsageError("An item of the pool is no text.", "Give phrases and sentences.")
    try:
        texts = [item.data.decode("utf-8") for item in pool.items]
    except UnicodeDecodeError as error:
        raise UsageError("An item of the pool is no UTF-8 text.", "Save the files as UTF-8.") from error
    return texts[: sizes["candidates"]], texts[sizes["candidates"] :]


def derive_places(probe_key: ProbeKey, parameters: Parameters) -> list[tuple[int, int]]:
    """Returns for each carrier of the pool where a phrase stands in it and what joins it, as numbers for `insert`."""
    stream = Stream(probe_key, "tmrw/places")
    return [(stream.integer(len(PLACES)), stream.integer(len(LINKS))) for _ in range(int(parameters["carriers"]))]


def _two_words(phrase: str) -> list[str]:
    words = words_of(phrase)
    if len(words) != 2 or phrase != " ".join(words):
        raise UsageError(
            f"The phrase '{phrase}' is not two lower-case words.", "Give phrases such as 'velvet lantern'."
        )
    return words


def _probe(text: str) -> Probe:
    return Probe(text.encode("utf-8"), TEXT)
