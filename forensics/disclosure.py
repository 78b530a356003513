"""What an opened share of an OFSW key tells whoever reads the case, in the form that `attacks.opened` takes."""

from pathlib import Path

import numpy as np

from forensics.attacks.opened import OpenedShare
from forensics.canonical import canonical_json
from forensics.errors import CaseError, UsageError
from forensics.evidence.case import TOKENS, CaseFolder
from forensics.evidence.reproduce import read_pool
from forensics.images import decode_image
from forensics.keys.claim import Claim
from forensics.keys.derive import ProbeKey, ScoreKey
from forensics.keys.opening import verify_opening
from forensics.methods.ofsw import METHOD, derive_kernels, derive_payload, derive_triggers
from forensics.methods.protocol import Parameters
from forensics.records import Pool


def disclosed_share(secrets: tuple[ProbeKey, ScoreKey], pool: Pool, parameters: Parameters) -> OpenedShare:
    """Returns views, classes, kernels and payload of a share."""
    probe_key, score_key = secrets
    kernels = derive_kernels(probe_key, parameters)
    truth = np.array([pool.items[index].label for index in derive_triggers(probe_key, pool, parameters)])
    views = np.stack([decode_image(probe.data) for probe in METHOD.plan(probe_key, pool, parameters).probes])
    height, width = (int(side) for side in parameters["kernel"])
    return OpenedShare(
        views.reshape(*kernels.shape[:2], *views.shape[1:]),
        truth,
        kernels,
        derive_payload(score_key, parameters),
        (height, width),
        float(parameters["contrast"]),
    )


def read_disclosed(case: Path) -> OpenedShare:
    """Reads what an opened case discloses; nothing but the case is needed.

    Raises:
        CaseError: there is no case, no share is opened in it, or the pool's files are not there.
        ClaimError: the share does not open the claim.
        UsageError: the claim is of another method.
    """
    loaded = CaseFolder.load(case)
    if loaded.evidence.share is None:
        raise CaseError(f"No share is opened in {case}.", "Name an opened case.")
    claim = Claim.parse(canonical_json(loaded.evidence.claim))
    if claim.method != METHOD.spec.name:
        raise UsageError(
            f"The case is of {claim.method}; only opened shares of ofsw can be unlearned.", "Name another."
        )
    tokens = tuple(loaded.content[name] for name in TOKENS if name in loaded.content)
    opened = verify_opening(claim, tokens, loaded.evidence.share.model_dump())
    pool, complete = read_pool(loaded.evidence.share, loaded.content)
    if not complete:
        raise CaseError("The pool's files are not in the case.", "Ask for the whole case.")
    return disclosed_share((opened.probe_key, opened.score_key), pool, claim.parameters)
