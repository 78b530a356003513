"""Sealing: a last custody entry, then a detached CAdES signature over the tag manifest; nothing changes after it."""

import asyncio
import hashlib
from datetime import datetime
from pathlib import Path

from pyhanko.sign.signers import SimpleSigner
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

from forensics.canonical import utc
from forensics.errors import CaseError, UsageError
from forensics.evidence.bag import TAGMANIFEST, render_bag
from forensics.evidence.case import CaseFolder, compose_case, replace_case
from forensics.evidence.custody import PAYLOAD
from forensics.evidence.signer import AuthorityTimeStamper, signer_certificate
from forensics.keys.cms import read_cms
from forensics.keys.timestamp import TimestampAuthority


def seal_case(
    path: Path,
    signer: SimpleSigner,
    authority: TimestampAuthority | None = None,
    *,
    actor: str,
    moment: datetime,
) -> CaseFolder:
    """Closes a case: custody entry, signature (CAdES-B, or CAdES-T with a timestamp authority).

    The bag's information names the signature, so that a signature taken away leaves a case that `check` refuses.

    Args:
        path: the case.
        signer: from `signer.load_signer`.
        authority: stamps the signature value.
        actor: who seals, as they wish to be named.
        moment: signing time, UTC-aware.

    Raises:
        CaseError: there is no intact case, or it is sealed already.
        UsageError: the certificate is not valid at that time.
        AuthorityError: the authority failed; the case is unchanged.
        StorageError: the disk is full; the case is unchanged.
    """
    case = CaseFolder.load(path)
    if case.closed:
        raise CaseError("The case is sealed already.", "Nothing needs to be done.")
    certificate = signer_certificate(signer)
    if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
        raise UsageError(f"The signing certificate is not valid at {utc(moment)}.", "Use a valid certificate.")
    files = compose_case(case.evidence, case.files(), actor=actor, action="seal", moment=moment, item=PAYLOAD)
    content = render_bag(files, case.evidence)
    signature = sign_detached(content[TAGMANIFEST], signer, authority, moment)
    return replace_case(path, files, signature=signature)


def sign_detached(data: bytes, signer: SimpleSigner, authority: TimestampAuthority | None, moment: datetime) -> bytes:
    """Returns a detached CAdES signature (SHA-256) in DER, with a signature timestamp where an authority is given.

    Raises:
        AuthorityError: the authority failed.
        CmsError: the result is not one that `check` would accept.
    """
    signed = signer.async_sign_general_data(
        data,
        "sha256",
        detached=True,
        use_cades=True,
        timestamper=AuthorityTimeStamper(authority) if authority is not None else None,
        signed_attr_settings=PdfCMSSignedAttributes(signing_time=moment),
    )
    der: bytes = asyncio.run(signed).dump()
    read_cms(der, detached_digest=lambda name: hashlib.new(name, data).digest())
    return der
