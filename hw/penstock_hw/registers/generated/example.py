"""Registers of example: generated, see `penstock_hw.registers`; change rtl/regs/example.rdl."""

# fmt: off

from penstock_hw.registers.model import Block, Field, Kind, Register

ID = 0x4558504c  # EXPL
VERSION = 1
LAYOUT_HASH = 0x99466bc1

KILL = 0x010  # rw, 32 bits
KILL_MASK = 0x1
KILL_RESET = 1
MODE = 0x014  # rw, 32 bits
MODE_KINDS_MASK = 0x3
MODE_KINDS_RESET = 3
MODE_SHARE_MASK = 0x3ff00
MODE_SHARE_RESET = 1000
SLOTS = 0x018  # r, 32 bits
SLOTS_MASK = 0xffffffff
COLLAR_INDEX = 0x01c  # rw, 32 bits
COLLAR_INDEX_MASK = 0xffff
COLLAR_INDEX_RESET = 0
COLLAR_FLOOR_TICKS = 0x020  # rw, 32 bits
COLLAR_FLOOR_TICKS_MASK = 0xffffffff
COLLAR_FLOOR_TICKS_RESET = 0
COLLAR = 0x024  # pulse, 32 bits
COLLAR_WRITE_MASK = 0x1
COLLAR_READ_MASK = 0x2
COLLAR_STORED_TICKS = 0x028  # r, 32 bits
COLLAR_STORED_TICKS_MASK = 0xffffffff
SECRET = 0x02c  # w, 32 bits
SECRET_MASK = 0xffffffff
SECRET_RESET = 0
OPENS_AT_NS = 0x038  # rw, 64 bits
OPENS_AT_NS_MASK = 0xffffffffffffffff
OPENS_AT_NS_RESET = 0
NOTIONAL_LIMIT = 0x040  # rw, 64 bits
NOTIONAL_LIMIT_MASK = 0xffffffffffffff
NOTIONAL_LIMIT_RESET = 0
CLOCKS = 0x048  # r, 64 bits
CLOCKS_MASK = 0xffffffffffffffff
STATE = 0x050  # r, 32 bits
STATE_BUSY_MASK = 0x1
STATE_REASON_MASK = 0xff00

BLOCK = Block(
    'example', ID, VERSION, {
        'SLOTS': 256,
        'PRICE_W': 32,
    }, (
        Register('kill', 0x010, 32, (
            Field('kill', 0, 1, Kind.CONFIG, 'cfg_kill', True, True, reset=1),
        )),
        Register('mode', 0x014, 32, (
            Field('kinds', 0, 2, Kind.CONFIG, 'cfg_mode_kinds', True, True, reset=3),
            Field('share', 8, 10, Kind.CONFIG, 'cfg_mode_share', True, True, reset=1000, below='1001'),
        )),
        Register('slots', 0x018, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='SLOTS'),
        )),
        Register('collar_index', 0x01c, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_collar_index', True, True, below='SLOTS'),
        )),
        Register('collar_floor_ticks', 0x020, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_collar_floor_ticks', True, True, signed=True, bits='PRICE_W'),
        )),
        Register('collar', 0x024, 32, (
            Field('write', 0, 1, Kind.PULSE, 'cfg_collar_write', False, True),
            Field('read', 1, 1, Kind.PULSE, 'cfg_collar_read', False, True),
        )),
        Register('collar_stored_ticks', 0x028, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_collar_stored_ticks', True, False, signed=True, bits='PRICE_W'),
        ), settles=True),
        Register('secret', 0x02c, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_secret', False, True),
        )),
        Register('opens_at_ns', 0x038, 64, (
            Field('value', 0, 64, Kind.CONFIG, 'cfg_opens_at_ns', True, True),
        )),
        Register('notional_limit', 0x040, 64, (
            Field('value', 0, 56, Kind.CONFIG, 'cfg_notional_limit', True, True, signed=True),
        )),
        Register('clocks', 0x048, 64, (
            Field('value', 0, 64, Kind.STATUS, 'sts_clocks', True, False),
        )),
        Register('state', 0x050, 32, (
            Field('busy', 0, 1, Kind.STATUS, 'sts_state_busy', True, False),
            Field('reason', 8, 8, Kind.STATUS, 'sts_state_reason', True, False, below='8'),
        )),
    ),
)
