import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.keys.shares import Share, draw_shares, leaf, merkle_proof, merkle_root, verify_proof


def node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree(leaves: list[bytes]) -> bytes:
    """The recursive definition of RFC 6962, section 2.1, with leaf hashes given."""
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node(tree(leaves[:k]), tree(leaves[k:]))


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """The recursive definition of RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*path(m, leaves[:k]), tree(leaves[k:])]
    return [*path(m - k, leaves[k:]), tree(leaves[:k])]


def leaves_of(entries: list[bytes]) -> list[bytes]:
    return [hashlib.sha256(b"\x00" + entry).digest() for entry in entries]


KNOWN = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]


def test_the_known_tree_of_certificate_transparency() -> None:
    """Eight entries and their root as log implementations publish them for interoperability."""
    leaves = leaves_of([bytes.fromhex(entry) for entry in KNOWN])
    assert merkle_root(leaves[:1]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle_root(leaves).hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@pytest.mark.parametrize("count", range(1, 34))
def test_roots_and_proofs_follow_the_definition(count: int) -> None:
    leaves = leaves_of([b"%d" % index for index in range(count)])
    root = merkle_root(leaves)
    assert root == tree(leaves)
    for index in range(count):
        proof = merkle_proof(leaves, index)
        assert list(proof) == path(index, leaves)
        assert verify_proof(leaves[index], index, count, proof, root)


@settings(deadline=None)
@given(st.integers(1, 40), st.data())
def test_altered_proofs_fail(count: int, data: st.DataObject) -> None:
    leaves = leaves_of([b"%d" % index for index in range(count)])
    root, index = merkle_root(leaves), data.draw(st.integers(0, count - 1))
    proof = list(merkle_proof(leaves, index))
    assert not verify_proof(hashlib.sha256(b"else").digest(), index, count, proof, root)
    assert not verify_proof(leaves[index], index, count, [*proof, root], root)
    assert not verify_proof(leaves[index], -1, count, proof, root)
    assert not verify_proof(leaves[index], count, count, proof, root)
    assert not verify_proof(leaves[index], index, count, proof, hashlib.sha256(root).digest())
    other = data.draw(st.integers(0, count - 1))
    assert verify_proof(leaves[index], other, count, proof, root) == (other == index)
    if proof:
        step = data.draw(st.integers(0, len(proof) - 1))
        assert not verify_proof(leaves[index], index, count, proof[:step] + proof[step + 1 :], root)
        proof[step] = bytes([proof[step][0] ^ 1]) + proof[step][1:]
        assert not verify_proof(leaves[index], index, count, proof, root)
        assert not verify_proof(leaves[index], index, count, [proof[step][:31], *proof[1:]], root)


def test_no_tree_and_no_leaf() -> None:
    with pytest.raises(ValueError, match="at least one"):
        merkle_root([])
    with pytest.raises(ValueError, match="no leaf 2"):
        merkle_proof([b"a", b"b"], 2)


def test_a_leaf_is_the_published_formula_and_covers_everything() -> None:
    share = Share(seed=b"s" * 32, salt=b"t" * 32)
    pool = "ab" * 32
    body = {"i": 1, "method": "ofsw", "n": 3, "pool": pool, "seed": hashlib.sha256(share.seed).hexdigest()}
    written = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    plain = leaf(share, index=1, count=3, method="ofsw", pool=pool)
    assert plain == hashlib.sha256(b"\x00" + share.salt + written).digest()
    others = {
        leaf(share, index=0, count=3, method="ofsw", pool=pool),
        leaf(share, index=1, count=4, method="ofsw", pool=pool),
        leaf(share, index=1, count=3, method="t2s", pool=pool),
        leaf(share, index=1, count=3, method="ofsw", pool="ac" * 32),
        leaf(Share(b"u" * 32, share.salt), index=1, count=3, method="ofsw", pool=pool),
        leaf(Share(share.seed, b"u" * 32), index=1, count=3, method="ofsw", pool=pool),
    }
    assert plain not in others
    assert len(others) == 6


def test_shares_are_drawn_independently_and_not_shown() -> None:
    drawn = draw_shares(50)
    assert len({part for share in drawn for part in (share.seed, share.salt)}) == 100
    assert all(len(share.seed) == len(share.salt) == 32 for share in drawn)
    assert repr(drawn[0]) == "Share()"
    with pytest.raises(ValueError, match="at least one"):
        draw_shares(0)
