"""`VERIFY.txt`: how somebody without this tool verifies a case with sha256sum, openssl and python3."""

from forensics.evidence.schema import Evidence

_OPENED = """
6. Recompute the deciding number. The script uses Python's standard library alone, has at most 200 lines and can be
   read before it is run; it prints each recomputed value beside the recorded one and ends with an error if any differ.

     python3 -I data/recompute.py
"""

_SEALED = """
6. No share of the key is disclosed in this case, so the number cannot be recomputed from it.
"""


_SIGNED_ENTRIES = """   An entry with a "signer" is signed; the file has its "seq" in the name. For "seq":3, line 4:

     sed -n 4p data/custody.jsonl | openssl cms -verify -cades -binary -inform DER -in data/custody/0003.p7s \\
       -content /dev/stdin -CAfile ../ROOT.pem -purpose any -out /dev/null
"""


def render_instructions(evidence: Evidence, *, signed_entries: bool = False) -> bytes:
    """Returns the text for a case.

    Args:
        evidence: only whether a share is opened counts.
        signed_entries: whether the custody log has any.
    """
    steps = _OPENED if evidence.share is not None else _SEALED
    return f"""How to verify this case without the tool that made it

Run the commands in the folder that holds bagit.txt.

1. Every file is as it was listed:

     sha256sum -c manifest-sha256.txt
     sha256sum -c tagmanifest-sha256.txt

   Every file below data/ must be listed in manifest-sha256.txt. The manifest's own fingerprint, which a report prints:

     sha256sum manifest-sha256.txt

2. Who sealed it and that nothing changed since (only where bag-info.txt says "Sealed-By"); ROOT.pem is the root
   certificate, which you get from its authority and put beside this folder, not into it:

     openssl cms -verify -cades -binary -inform DER -in tagmanifest-sha256.txt.p7s \\
       -content tagmanifest-sha256.txt -CAfile ../ROOT.pem -purpose any -out /dev/null

3. When the claim was fixed (only where data/claim/claim.tst exists; TSA.pem is the timestamp authority's root):

     openssl ts -verify -token_in -in data/claim/claim.tst -data data/claim/claim.json -CAfile ../TSA.pem
     openssl ts -reply -token_in -in data/claim/claim.tst -token_out -text

4. The transcript is unbroken: each line's "prev" is the SHA-256 of the line before it, newline included. For line 4:

     sed -n 3p data/transcript.jsonl | sha256sum
     sed -n 4p data/transcript.jsonl | grep -o '"prev":"[0-9a-f]*"'

   Its head must be the "transcript_head" in data/evidence.json:

     tail -n 1 data/transcript.jsonl | sha256sum

5. The custody log data/custody.jsonl is chained in the same way: who did what, when, and to which file.
{_SIGNED_ENTRIES if signed_entries else ""}{steps}
What this shows: the numbers follow from the recorded answers. It does not show that the suspect gave them.
""".encode()
