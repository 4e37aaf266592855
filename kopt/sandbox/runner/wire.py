"""The frames between judge and runner: 16 bytes each way, followed by JSON for everything but rounds.

Judge to runner:  ``<IIQ`` start, count, nonce          a round: call slots start .. start + count - 1
                  ``<IIQ`` REQUEST, length, nonce       a request: ``length`` bytes of JSON follow
Runner to judge:  ``<QII`` nonce, status, length        ``length`` bytes of JSON follow (0 for a round)

The nonce comes from the judge and must come back: nothing can be answered before it was asked.
"""

from __future__ import annotations

import struct

ASK = struct.Struct("<IIQ")
ANSWER = struct.Struct("<QII")
REQUEST = 0xFFFFFFFF
OK, FAILED = 0, 1
MAX_REPLY = 1 << 20
MAX_REQUEST = 64 << 20
