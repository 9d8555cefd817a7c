"""The format of a journal's line: a JSON object that ends in a checksum of the bytes before it.

    {"seq":7,"ts":1795179817588846,"cause":"outside/3","from":"","n":0,"mark":6,
     "events":[{"type":"Deposited","v":1,"data":{"cents":5}}],"sends":[],"crc":"0badcafe"}

`seq` counts turns from 1 without gaps; `ts` is in microseconds since the epoch; `cause` is the id of
the message that the turn handled (`<sender>/<seq>` or `outside/<n>`); `from` and `n` are a durable
sender and its number (rule D1), empty and 0 for everybody else; `mark` is the watermark that the
writer knew when the line was made (rule J3). A line of a keyed message also has `key`, `hash` (of the
message) and `reply` or `refused` before `crc`.
"""

from __future__ import annotations

from zlib import crc32

TAIL_BYTES = len(b',"crc":"00000000"}\n')


def seal(body: bytes) -> bytes:
    """Close `body`, a JSON object without its last brace, with its checksum: a whole line."""
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


def is_sealed(line: bytes) -> bool:
    """Whether `line` is whole: it ends in a newline and its checksum is right."""
    return line.endswith(b',"crc":"%08x"}\n' % crc32(line[:-TAIL_BYTES]))
