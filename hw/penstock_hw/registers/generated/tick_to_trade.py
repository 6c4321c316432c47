"""Registers of tick_to_trade: generated, see `penstock_hw.registers`; change rtl/regs/tick_to_trade.rdl."""

# fmt: off

from penstock_hw.registers.model import Block, Field, Kind, Register

ID = 0x54325430  # T2T0
VERSION = 1
LAYOUT_HASH = 0x1eb596a6

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
STATE_OCCUPIED_MASK = 0x20
STATE_DRAINED_MASK = 0x40
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
LATENCY_MIN_CLOCKS = 0x048  # r, 32 bits
LATENCY_MIN_CLOCKS_MASK = 0xffffffff
LATENCY_MAX_CLOCKS = 0x04c  # r, 32 bits
LATENCY_MAX_CLOCKS_MASK = 0xffffffff
LATENCY_LAST_CLOCKS = 0x050  # r, 32 bits
LATENCY_LAST_CLOCKS_MASK = 0xffffffff
LATENCY_SUM_CLOCKS = 0x058  # r, 64 bits
LATENCY_SUM_CLOCKS_MASK = 0xffffffffffffffff
DRAIN = 0x060  # pulse, 32 bits
DRAIN_MASK = 0x1
LOST_DISARMS = 0x064  # rw, 32 bits
LOST_DISARMS_MASK = 0x1
LOST_DISARMS_RESET = 1
COMMAND_KIND = 0x068  # rw, 32 bits
COMMAND_KIND_MASK = 0x3
COMMAND_KIND_RESET = 0
COMMAND_SLOT = 0x06c  # rw, 32 bits
COMMAND_SLOT_MASK = 0xffff
COMMAND_SLOT_RESET = 0
COMMAND_SIDE = 0x070  # rw, 32 bits
COMMAND_SIDE_MASK = 0x3
COMMAND_SIDE_RESET = 0
COMMAND_LOTS = 0x074  # rw, 32 bits
COMMAND_LOTS_MASK = 0xffffffff
COMMAND_LOTS_RESET = 0
COMMAND = 0x078  # pulse, 32 bits
COMMAND_MASK = 0x1
COMMAND_BUSY = 0x07c  # r, 32 bits
COMMAND_BUSY_MASK = 0x1
COMMAND_REASON = 0x080  # r, 32 bits
COMMAND_REASON_MASK = 0xff
COMMAND_COUNT = 0x084  # r, 32 bits
COMMAND_COUNT_MASK = 0xffffffff

BLOCK = Block(
    'tick_to_trade', ID, VERSION, {
        'SLOTS': 256,
        'BINS': 64,
        'QTY_W': 24,
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
            Field('occupied', 5, 1, Kind.STATUS, 'sts_state_occupied', True, False),
            Field('drained', 6, 1, Kind.STATUS, 'sts_state_drained', True, False),
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
        Register('latency_min_clocks', 0x048, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_latency_min_clocks', True, False),
        )),
        Register('latency_max_clocks', 0x04c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_latency_max_clocks', True, False),
        )),
        Register('latency_last_clocks', 0x050, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_latency_last_clocks', True, False),
        )),
        Register('latency_sum_clocks', 0x058, 64, (
            Field('value', 0, 64, Kind.STATUS, 'sts_latency_sum_clocks', True, False),
        )),
        Register('drain', 0x060, 32, (
            Field('drain', 0, 1, Kind.PULSE, 'cfg_drain', False, True),
        )),
        Register('lost_disarms', 0x064, 32, (
            Field('lost_disarms', 0, 1, Kind.CONFIG, 'cfg_lost_disarms', True, True, reset=1),
        )),
        Register('command_kind', 0x068, 32, (
            Field('value', 0, 2, Kind.CONFIG, 'cfg_command_kind', True, True),
        )),
        Register('command_slot', 0x06c, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_command_slot', True, True, below='SLOTS'),
        )),
        Register('command_side', 0x070, 32, (
            Field('value', 0, 2, Kind.CONFIG, 'cfg_command_side', True, True),
        )),
        Register('command_lots', 0x074, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_command_lots', True, True, bits='QTY_W'),
        )),
        Register('command', 0x078, 32, (
            Field('write', 0, 1, Kind.PULSE, 'cfg_command_write', False, True),
        )),
        Register('command_busy', 0x07c, 32, (
            Field('value', 0, 1, Kind.STATUS, 'sts_command_busy', True, False),
        )),
        Register('command_reason', 0x080, 32, (
            Field('value', 0, 8, Kind.STATUS, 'sts_command_reason', True, False),
        )),
        Register('command_count', 0x084, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_command_count', True, False),
        )),
    ),
)
