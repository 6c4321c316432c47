"""Registers of tick_to_trade: generated, see `penstock_hw.registers`; change rtl/regs/tick_to_trade.rdl."""

# fmt: off

from penstock_hw.registers.model import Block, Field, Kind, Register

ID = 0x54325430  # T2T0
VERSION = 1
LAYOUT_HASH = 0x1d3eaa98

KILL = 0x010  # rw, 32 bits
KILL_MASK = 0x1
KILL_RESET = 0
PAUSE = 0x014  # rw, 32 bits
PAUSE_MASK = 0x1
PAUSE_RESET = 0
SLOTS = 0x018  # r, 32 bits
SLOTS_MASK = 0xffffffff
CYCLE = 0x01c  # r, 32 bits
CYCLE_MASK = 0xffffffff
STATE = 0x020  # r, 32 bits
STATE_HOLD_MASK = 0x1
STATE_UPDATE_WAITS_MASK = 0x2
STATE_ORDER_WAITS_MASK = 0x4
STATE_OUTPUT_WAITS_MASK = 0x8
STATE_KILLED_MASK = 0x10
SENT_COUNT = 0x024  # r, 32 bits
SENT_COUNT_MASK = 0xffffffff
ENTRY_CYCLE = 0x028  # r, 32 bits
ENTRY_CYCLE_MASK = 0xffffffff
EXIT_CYCLE = 0x02c  # r, 32 bits
EXIT_CYCLE_MASK = 0xffffffff
LATENCY_CLEAR = 0x030  # pulse, 32 bits
LATENCY_CLEAR_MASK = 0x1
BINS = 0x034  # r, 32 bits
BINS_MASK = 0xffffffff
BIN_INDEX = 0x038  # rw, 32 bits
BIN_INDEX_MASK = 0xffff
BIN_INDEX_RESET = 0
BIN_COUNT = 0x03c  # r, 32 bits
BIN_COUNT_MASK = 0xffffffff
OVERFLOW_COUNT = 0x040  # r, 32 bits
OVERFLOW_COUNT_MASK = 0xffffffff
LATENCY_COUNT = 0x044  # r, 32 bits
LATENCY_COUNT_MASK = 0xffffffff
LATENCY_MIN = 0x048  # r, 32 bits
LATENCY_MIN_MASK = 0xffffffff
LATENCY_MAX = 0x04c  # r, 32 bits
LATENCY_MAX_MASK = 0xffffffff
LATENCY_LAST = 0x050  # r, 32 bits
LATENCY_LAST_MASK = 0xffffffff
LATENCY_SUM = 0x058  # r, 64 bits
LATENCY_SUM_MASK = 0xffffffffffffffff

BLOCK = Block(
    'tick_to_trade', ID, VERSION, {
        'SLOTS': 256,
        'BINS': 64,
    }, (
        Register('kill', 0x010, 32, (
            Field('kill', 0, 1, Kind.CONFIG, 'cfg_kill', True, True),
        )),
        Register('pause', 0x014, 32, (
            Field('pause', 0, 1, Kind.CONFIG, 'cfg_pause', True, True),
        )),
        Register('slots', 0x018, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='SLOTS'),
        )),
        Register('cycle', 0x01c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_cycle', True, False),
        )),
        Register('state', 0x020, 32, (
            Field('hold', 0, 1, Kind.STATUS, 'sts_state_hold', True, False),
            Field('update_waits', 1, 1, Kind.STATUS, 'sts_state_update_waits', True, False),
            Field('order_waits', 2, 1, Kind.STATUS, 'sts_state_order_waits', True, False),
            Field('output_waits', 3, 1, Kind.STATUS, 'sts_state_output_waits', True, False),
            Field('killed', 4, 1, Kind.STATUS, 'sts_state_killed', True, False),
        )),
        Register('sent_count', 0x024, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_sent_count', True, False),
        )),
        Register('entry_cycle', 0x028, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_entry_cycle', True, False),
        )),
        Register('exit_cycle', 0x02c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_exit_cycle', True, False),
        )),
        Register('latency_clear', 0x030, 32, (
            Field('latency_clear', 0, 1, Kind.PULSE, 'cfg_latency_clear', False, True),
        )),
        Register('bins', 0x034, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='BINS'),
        )),
        Register('bin_index', 0x038, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_bin_index', True, True, below='BINS'),
        )),
        Register('bin_count', 0x03c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_bin_count', True, False),
        )),
        Register('overflow_count', 0x040, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_overflow_count', True, False),
        )),
        Register('latency_count', 0x044, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_latency_count', True, False),
        )),
        Register('latency_min', 0x048, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_latency_min', True, False),
        )),
        Register('latency_max', 0x04c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_latency_max', True, False),
        )),
        Register('latency_last', 0x050, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_latency_last', True, False),
        )),
        Register('latency_sum', 0x058, 64, (
            Field('value', 0, 64, Kind.STATUS, 'sts_latency_sum', True, False),
        )),
    ),
)
