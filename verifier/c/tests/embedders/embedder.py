"""Calls the shared library through ctypes, from several threads. Arguments: the library, fixtures, expectations."""

import ctypes
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

library = ctypes.CDLL(sys.argv[1])
fixtures, expectations = Path(sys.argv[2]), Path(sys.argv[3])
at = int((expectations / "at").read_text())
handle, size = ctypes.c_void_p, ctypes.c_size_t

library.sealwright_new.restype = handle
library.sealwright_free.argtypes = [handle]
library.sealwright_trust.argtypes = [handle, ctypes.c_char_p, size, ctypes.c_int]
library.sealwright_add_crls.argtypes = [handle, ctypes.c_char_p, size]
library.sealwright_verify.argtypes = [handle, ctypes.c_char_p, size, ctypes.c_int64]
library.sealwright_verified_bytes.argtypes = [handle, ctypes.POINTER(size)]
library.sealwright_verified_bytes.restype = ctypes.POINTER(ctypes.c_uint8)
for name in ("json", "status", "label", "error"):
    function = getattr(library, "sealwright_" + name)
    function.argtypes, function.restype = [handle], ctypes.c_char_p

TIERS = 1


def examine_everything() -> int:
    verifier = library.sealwright_new()
    root = (fixtures / "root.pem").read_bytes()
    assert library.sealwright_trust(verifier, root, len(root), TIERS) == 0
    for name in ("root.crl", "issuing-crl.pem"):
        crl = (fixtures / name).read_bytes()
        assert library.sealwright_add_crls(verifier, crl, len(crl)) == 0
    messages = sorted(fixtures.glob("*.eml"))
    for path in messages:
        message = path.read_bytes()
        assert library.sealwright_verify(verifier, message, len(message), at) == 0
        report = library.sealwright_json(verifier)
        assert report == (expectations / (path.stem + ".json")).read_bytes(), (path, report)
        facts = json.loads(report)
        assert library.sealwright_status(verifier).decode() == facts["status"]
        assert library.sealwright_label(verifier).decode() == facts["label"]
        length = size(1)
        verified = library.sealwright_verified_bytes(verifier, ctypes.byref(length))
        if facts["integrity"] == "intact":
            assert bytes(verified[: length.value]) in message
        else:
            assert not verified and length.value == 0
    # A truncated message, and one cut in the middle of a character.
    message = (fixtures / "v1.eml").read_bytes()
    for end in range(0, len(message), 97):
        assert library.sealwright_verify(verifier, message[:end], end, at) == 0
        assert library.sealwright_status(verifier) in (b"not_signed", b"broken", b"not_verified"), end
    assert library.sealwright_verify(None, message, len(message), at) == 1
    assert library.sealwright_verify(verifier, None, 5, at) == 1
    assert library.sealwright_json(verifier) is None
    assert b"null" in library.sealwright_error(verifier)
    library.sealwright_free(verifier)
    return len(messages)


with ThreadPoolExecutor(4) as threads:
    counts = [threads.submit(examine_everything) for _ in range(4)]
    assert {count.result() for count in counts} == {len(list(fixtures.glob("*.eml")))}
print("every expectation was met")
