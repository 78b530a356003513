"""Attacks on a case that have a name, each finished by every hand."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from forensics.bench import tamper_forgeries as forgeries
from forensics.bench.tamper_bases import Bases
from forensics.bench.tamper_cases import HANDS, Body, Original, redate
from forensics.bench.tamper_forgeries import Files, Scene
from forensics.bench.tampering import Mutation, Outcome
from forensics.canonical import parse_json
from forensics.evidence.case import TRANSCRIPT
from forensics.evidence.custody import CUSTODY, EVIDENCE
from forensics.keys.demonstration import DemonstrationAuthority


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: what is done, as the page prints it.
        change: does it.
        limit: the laxest right outcome where the forger leaves the signature off or signs himself.
        entry: whether the custody log gets an entry about the evidence, as after an honest change.
    """

    name: str
    change: Callable[[Scene], None]
    limit: Outcome = Outcome.REFUSED
    entry: bool = True


def attacks(original: Original, bases: Bases) -> Iterator[Mutation]:
    """Every named attack by every hand, on the fresh case."""
    cases = others(bases)
    for attack in ATTACKS:
        for hand in HANDS:
            # What its own signer writes and no part of the case contradicts is his own statement.
            if hand != "insider" or attack.limit is Outcome.REFUSED:
                yield finished(original, attack, hand, cases)


def others(bases: Bases) -> dict[str, tuple[Body, Files]]:
    """Returns evidence and files of the cases from which forgers borrow, by name."""
    cases = {name: bases.case(name) for name in ("other", "foreign", "second")}
    return {name: (parse_json(files[EVIDENCE]), files) for name, files in cases.items()}


def finished(original: Original, attack: Attack, hand: str, cases: Mapping[str, tuple[Body, Files]]) -> Mutation:
    """Returns the case after an attack, all that follows written anew by one hand.

    Raises:
        ValueError: the attack alters nothing.
    """
    files, body = original.payload(hand), original.body()
    moment = datetime.fromisoformat(body["tokens"][0]["gen_time"])
    own, foreign = (
        DemonstrationAuthority.load(original.authorities[name], clock=lambda: moment)
        for name in ("insider", "stranger")
    )

    def date(token: str) -> None:
        redate(original, files, body, token, hand)

    before = dict(files)
    attack.change(Scene(files, body, cases, own, foreign, date))
    if files == before and body == original.body():
        raise ValueError(f"nothing is altered: {attack.name}")
    limit = Outcome.REFUSED if hand == "kept" else attack.limit
    return Mutation(f"{attack.name}, {hand}", original.finish(files, body, hand, entry=attack.entry), limit)


# What its own signer writes and no part of the case contradicts is his own statement; a stranger is not identified.
_STATEMENT = Outcome.UNIDENTIFIED


def _attack(name: str, change: Callable[..., None], *values: object, limit: Outcome = Outcome.REFUSED) -> Attack:
    return Attack(name, partial(_apply, change, values), limit)


def _log(name: str, change: Callable[..., None], *values: object, limit: Outcome = Outcome.REFUSED) -> Attack:
    """An attack on the custody log, which needs no entry about the evidence."""
    return Attack(name, partial(_apply, change, (CUSTODY, *values)), limit, entry=False)


def _apply(change: Callable[..., None], values: tuple[object, ...], scene: Scene) -> None:
    change(scene, *values)


ATTACKS = (
    _attack("another seed after the fact", forgeries.change_seed),
    _attack("a payload that fits the answers and does not follow from the token", forgeries.fit_payload),
    _attack("the payload in another order", forgeries.reorder_payload),
    _attack("one bit of the payload", forgeries.flip_bit),
    _attack("another order of the pool", forgeries.reorder_pool),
    _attack("an image of the pool exchanged", forgeries.exchange_image),
    _attack("a label of the pool changed", forgeries.relabel_image),
    _attack("a pool without its last image", forgeries.shorten_pool),
    _attack("another clean checkpoint than the claim names", forgeries.exchange_reference),
    _attack("other answers of the clean checkpoint", forgeries.reverse_reference),
    _attack("the same, in the transcript as well, dated anew", forgeries.reverse_reference_everywhere),
    _attack("a milder alpha, the claim's digest brought up to date", forgeries.change_rule, "alpha", "0.05"),
    _attack("no charge for silent attempts", forgeries.change_rule, "grinding", 0),
    _attack("a smaller minimum effect", forgeries.change_rule, "minimum_effect", "0.51"),
    _attack("another n", forgeries.change_rule, "n", 16),
    _attack("a second claim with a milder rule, dated when the first was", forgeries.claim_twice),
    _attack("the forger's own timestamp authority", forgeries.date_by_himself),
    _attack("another owner", forgeries.change_owner),
    _attack("a second token over the same claim", forgeries.stamp_twice),
    _attack("the token of another key", forgeries.borrow_token, "foreign"),
    _attack("no token", forgeries.drop_token),
    _attack("a token dated back in the evidence", forgeries.date_back),
    _attack("a token later than the suspect", forgeries.date_suspect_first),
    _attack("a token with an unsigned attribute more", forgeries.pad_token),
    _attack("a token without the root's certificate", forgeries.shorten_token, limit=_STATEMENT),
    _attack("a token whose lengths are not DER", forgeries.lengthen_token),
    _attack("seed of another key's share", forgeries.borrow_share, "foreign", ("seed",)),
    _attack("seed and salt of another key's share", forgeries.borrow_share, "foreign", ("seed", "salt")),
    _attack("seed, salt and proof of another key's", forgeries.borrow_share, "foreign", ("seed", "salt", "proof")),
    _attack("seed, salt and proof of the second share", forgeries.borrow_share, "second", ("seed", "salt", "proof")),
    _attack("the second share opened for the first one's probes", forgeries.open_other_share),
    _attack("a longer proof", forgeries.lengthen_proof),
    _attack("one answer changed in the evidence", forgeries.change_answer),
    _attack("answers of another suspect in the evidence", forgeries.borrow_answers),
    _attack("two answers exchanged in the transcript too, its timestamp kept", forgeries.exchange_rows, "kept"),
    _attack("two answers exchanged in the transcript too, its timestamp dropped", forgeries.exchange_rows, "dropped"),
    _attack("two answers exchanged in the transcript too, dated anew", forgeries.exchange_rows, "anew"),
    _attack("one suspect's answers under another's name", forgeries.rename_suspect),
    _attack("the same, in the transcript too, dated anew", forgeries.rename_suspect_everywhere, limit=_STATEMENT),
    _attack("the transcript of another suspect", forgeries.borrow_transcript),
    _attack("another verdict", forgeries.change_finding, ("verdict", "outcome"), "SUPPORTED"),
    _attack("a smaller p-value", forgeries.change_finding, ("measurement", "p_value"), "1e-30"),
    _attack("a larger N*", forgeries.change_finding, ("verdict", "n_star"), "9" * 30),
    _attack("another effect", forgeries.change_finding, ("measurement", "effect", "low"), "0.99"),
    _attack("another gate", forgeries.change_finding, ("verdict", "gates", "G2"), True),
    _attack("a reason left out", forgeries.change_finding, ("verdict", "reasons"), []),
    _attack("fewer examinations", forgeries.change_finding, ("examinations",), 1),
    _attack("one independent model counted twice", forgeries.double_control),
    _attack("the suspect as an independent model", forgeries.disguise_suspect),
    _attack("the transcript's end cut off", forgeries.drop_line, TRANSCRIPT, -1),
    _attack("a transcript line dropped, the chain made anew", forgeries.drop_line, TRANSCRIPT, 3),
    _attack("a transcript line replaced, the chain made anew", forgeries.replace_line, TRANSCRIPT, 2, 3),
    _attack("transcript lines exchanged, the chain made anew", forgeries.exchange_lines, TRANSCRIPT, 2, 3),
    _attack("another count at the transcript's end", forgeries.reword_line, TRANSCRIPT, -1, {"answered": 1}),
    _attack("transcript lines exchanged, the chain left broken", forgeries.break_chain),
    _attack("the transcript's timestamp dropped", forgeries.drop_transcript_token, limit=_STATEMENT),
    _log("the custody log's first entry dropped", forgeries.drop_line, 0),
    _log("the opening left out of the custody log", forgeries.drop_line, 2),
    _log("entries of the custody log exchanged", forgeries.exchange_lines, 1, 2),
    _log("another actor in the custody log", forgeries.reword_line, 0, {"actor": "nobody"}, limit=_STATEMENT),
    _attack("a forged environment", forgeries.forge_environment, limit=_STATEMENT),
    _attack("an exhibit without an entry", forgeries.slip_exhibit),
    _attack("another recompute.py", forgeries.exchange_script),
    _attack("other instructions", forgeries.exchange_instructions),
    _attack("a share.json with a newline more", forgeries.pad_share),
)
"""Every named attack."""
