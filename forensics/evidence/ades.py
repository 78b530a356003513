"""A second opinion on an archived report: pyHanko's validation of B-LTA signatures (ETSI EN 319 102-1), offline."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from cryptography import x509

from forensics.evidence.signer import to_asn1

_LOGGERS = ("pyhanko", "pyhanko_certvalidator")


@dataclass(frozen=True)
class Opinion:
    """What the standard's procedure says.

    Attributes:
        indication: `PASSED`, `FAILED` or `INDETERMINATE`.
        reason: the standard's name for why; `OK` where it passed.
        best_time: the earliest time at which the signature is proved to have existed.
    """

    indication: str
    reason: str
    best_time: datetime | None


def validate_archived(raw: bytes, roots: Sequence[x509.Certificate]) -> Opinion:
    """Validates a report with an archive timestamp, from what it embeds alone.

    pyHanko does not compare the revisions here, which takes it minutes for a tagged file; see `archive`.

    Args:
        raw: verified by `archive.read_report_file` before.
        roots: certificates that are trusted.

    Raises:
        ValueError: pyHanko cannot read the file.
    """
    from pyhanko.pdf_utils.misc import PdfError
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.general import SigningError, UnacceptableSignerError
    from pyhanko.sign.validation import policy_decl as policy
    from pyhanko.sign.validation.ades import ades_lta_validation
    from pyhanko.sign.validation.errors import SignatureValidationError
    from pyhanko.sign.validation.settings import KeyUsageConstraints
    from pyhanko_certvalidator.context import CertValidationPolicySpec
    from pyhanko_certvalidator.policy_decl import REQUIRE_REVINFO, CertRevTrustPolicy
    from pyhanko_certvalidator.registry import SimpleTrustManager

    certificates = CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build([to_asn1(root) for root in roots]),
        revinfo_policy=CertRevTrustPolicy(revocation_checking_policy=REQUIRE_REVINFO),
    )
    usage = KeyUsageConstraints(key_usage={"digital_signature", "non_repudiation"}, match_all_key_usages=False)
    offline = policy.RevocationInfoGatheringSpec(online_fetching_rule=policy.RevinfoOnlineFetchingRule.LOCAL_ONLY)
    specification = policy.PdfSignatureValidationSpec(
        policy.SignatureValidationSpec(
            cert_validation_policy=certificates,
            ts_cert_validation_policy=certificates,
            key_usage_settings=usage,
            revinfo_gathering_policy=offline,
        ),
        diff_policy=None,
    )
    try:
        with _quiet():
            embedded = PdfFileReader(BytesIO(raw)).embedded_regular_signatures[0]
            result = asyncio.run(ades_lta_validation(embedded, specification))
    except (PdfError, SigningError, UnacceptableSignerError, SignatureValidationError) as error:
        raise ValueError(str(error)) from error
    found = result.ades_subindic
    return Opinion(found.status.name, found.standard_name, result.best_signature_time)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps what pyHanko logs of certificates that it does not trust off the terminal."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.propagate for logger in loggers]
    handler = logging.NullHandler()
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, propagate in zip(loggers, before):
            logger.removeHandler(handler)
            logger.propagate = propagate
