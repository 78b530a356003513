"""Sealing: a last custody entry, then a detached CAdES signature over the tag manifest; nothing changes after it."""

import asyncio
import hashlib
import secrets
from datetime import datetime
from pathlib import Path

from pyhanko.sign.signers import Signer
from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

from forensics.errors import AuthorityError, CaseError
from forensics.evidence.bag import TAGMANIFEST, render_bag
from forensics.evidence.case import CaseFolder, compose_case, replace_case
from forensics.evidence.custody import NOBODY, PAYLOAD
from forensics.evidence.signer import AuthorityTimeStamper, require_signing, signer_certificate
from forensics.keys.cms import read_cms
from forensics.keys.timestamp import TimestampAuthority, verify_token


def seal_case(
    path: Path,
    signer: Signer,
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
        UsageError: the certificate is not one for signatures at that time, or a token refused to sign.
        AuthorityError: the authority failed; the case is unchanged.
        StorageError: the disk is full; the case is unchanged.
    """
    case = CaseFolder.load(path)
    if case.closed:
        raise CaseError("The case is sealed already.", "Nothing needs to be done.")
    require_signing(signer_certificate(signer), moment)
    stamped_by = introduce(authority)
    files = compose_case(
        case.evidence,
        case.files(),
        actor=actor,
        action="seal",
        moment=moment,
        item=PAYLOAD,
        stamped_by=stamped_by,
    )
    content = render_bag(files, case.evidence)
    signature = sign_detached(content[TAGMANIFEST], signer, authority, moment, stamped_by=stamped_by)
    return replace_case(path, files, signature=signature)


def introduce(authority: TimestampAuthority | None) -> str:
    """Returns what a custody entry says of who will timestamp its signature: the authority is asked once for that.

    Raises:
        AuthorityError: the authority failed.
    """
    if authority is None:
        return NOBODY
    digest = secrets.token_bytes(32)
    return verify_token(authority.stamp(digest), digest).fingerprint


def sign_detached(
    data: bytes,
    signer: Signer,
    authority: TimestampAuthority | None,
    moment: datetime,
    *,
    stamped_by: str | None = None,
) -> bytes:
    """Returns a detached CAdES signature (SHA-256) in DER, with a signature timestamp where an authority is given.

    Args:
        data: what is signed.
        signer: from `signer.load_signer`.
        authority: stamps the signature value.
        moment: signing time, UTC-aware.
        stamped_by: what `introduce` returned of the authority, where `data` names it.

    Raises:
        AuthorityError: the authority failed, or stamps with another certificate than before.
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
    made = read_cms(der, detached_digest=lambda name: hashlib.new(name, data).digest())
    if made.timestamp is not None and stamped_by not in (None, made.timestamp.signed.fingerprint):
        raise AuthorityError(
            "The timestamp authority signs with another certificate each time.", "Try again, or name another authority."
        )
    return der
