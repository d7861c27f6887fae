# SPDX-License-Identifier: GPL-2.0
"""Writes traces in the format PYOBTRC1."""
import struct
import zlib

MALLOC, CALLOC, REALLOC, FREE = range(4)


def varint(n):
    out = bytearray()
    while n > 0x7f:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    return bytes(out) + bytes([n])


def op(kind, arg, *more):
    return b"".join(map(varint, (arg << 2 | kind, *more)))


def trace(stream, ops, ids, magic=b"PYOBTRC1", size=64, crc=None, length=None, zero=bytes(24)):
    crc = zlib.crc32(stream) if crc is None else crc
    length = len(stream) if length is None else length
    return struct.pack("<8sIIQQQ", magic, size, crc, ops, ids, length) + zero + stream
