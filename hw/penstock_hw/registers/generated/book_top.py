"""Registers of book_top: generated, see `penstock_hw.registers`; change rtl/regs/book_top.rdl."""

# fmt: off

from penstock_hw.registers.model import Block, Field, Kind, Register

ID = 0x424f4f4b  # BOOK
VERSION = 1
LAYOUT_HASH = 0x07cf57f2

SLOTS = 0x010  # r, 32 bits
SLOTS_MASK = 0xffffffff
LEVELS = 0x014  # r, 32 bits
LEVELS_MASK = 0xffffffff
ORDERS = 0x018  # r, 32 bits
ORDERS_MASK = 0xffffffff
SLOT_INDEX = 0x01c  # rw, 32 bits
SLOT_INDEX_MASK = 0xffff
SLOT_INDEX_RESET = 0
SLOT = 0x020  # pulse, 32 bits
SLOT_CLEAR_MASK = 0x1
SLOT_READ_MASK = 0x2
SLOT_BEGIN_MASK = 0x4
SLOT_STATE = 0x024  # r, 32 bits
SLOT_STATE_KNOWN_MASK = 0x1
SLOT_STATE_HAS_BID_MASK = 0x2
SLOT_STATE_HAS_ASK_MASK = 0x4
SLOT_BID_TICKS = 0x028  # r, 32 bits
SLOT_BID_TICKS_MASK = 0xffffffff
SLOT_BID_LOTS = 0x02c  # r, 32 bits
SLOT_BID_LOTS_MASK = 0xffffffff
SLOT_ASK_TICKS = 0x030  # r, 32 bits
SLOT_ASK_TICKS_MASK = 0xffffffff
SLOT_ASK_LOTS = 0x034  # r, 32 bits
SLOT_ASK_LOTS_MASK = 0xffffffff
KNOWN_SLOTS = 0x038  # r, 32 bits
KNOWN_SLOTS_MASK = 0x1ffff
UPDATE_COUNT = 0x03c  # r, 32 bits
UPDATE_COUNT_MASK = 0xffffffff
ROLL_COUNT = 0x040  # r, 32 bits
ROLL_COUNT_MASK = 0xffffffff
SKIPPED_COUNT = 0x044  # r, 32 bits
SKIPPED_COUNT_MASK = 0xffffffff
MALFORMED_COUNT = 0x048  # r, 32 bits
MALFORMED_COUNT_MASK = 0xffffffff
POISON_COUNT = 0x04c  # r, 32 bits
POISON_COUNT_MASK = 0xffffffff
ORPHAN_COUNT = 0x050  # r, 32 bits
ORPHAN_COUNT_MASK = 0xffffffff
FULL_COUNT = 0x054  # r, 32 bits
FULL_COUNT_MASK = 0xffffffff
INCONSISTENT_COUNT = 0x058  # r, 32 bits
INCONSISTENT_COUNT_MASK = 0xffffffff
RANGE_COUNT = 0x05c  # r, 32 bits
RANGE_COUNT_MASK = 0xffffffff
EXHAUSTED_COUNT = 0x060  # r, 32 bits
EXHAUSTED_COUNT_MASK = 0xffffffff

BLOCK = Block(
    'book_top', ID, VERSION, {
        'SLOTS': 256,
        'LEVELS': 4,
        'ORDERS': 4096,
        'PRICE_W': 32,
        'BOOK_QTY_W': 32,
        'COUNT_W': 32,
    }, (
        Register('slots', 0x010, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='SLOTS'),
        )),
        Register('levels', 0x014, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='LEVELS'),
        )),
        Register('orders', 0x018, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='ORDERS'),
        )),
        Register('slot_index', 0x01c, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_slot_index', True, True, below='SLOTS'),
        )),
        Register('slot', 0x020, 32, (
            Field('clear', 0, 1, Kind.PULSE, 'cfg_slot_clear', False, True),
            Field('read', 1, 1, Kind.PULSE, 'cfg_slot_read', False, True),
            Field('begin', 2, 1, Kind.PULSE, 'cfg_slot_begin', False, True),
        )),
        Register('slot_state', 0x024, 32, (
            Field('known', 0, 1, Kind.STATUS, 'sts_slot_state_known', True, False),
            Field('has_bid', 1, 1, Kind.STATUS, 'sts_slot_state_has_bid', True, False),
            Field('has_ask', 2, 1, Kind.STATUS, 'sts_slot_state_has_ask', True, False),
        ), settles=True),
        Register('slot_bid_ticks', 0x028, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_slot_bid_ticks', True, False, signed=True, bits='PRICE_W'),
        ), settles=True),
        Register('slot_bid_lots', 0x02c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_slot_bid_lots', True, False, bits='BOOK_QTY_W'),
        ), settles=True),
        Register('slot_ask_ticks', 0x030, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_slot_ask_ticks', True, False, signed=True, bits='PRICE_W'),
        ), settles=True),
        Register('slot_ask_lots', 0x034, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_slot_ask_lots', True, False, bits='BOOK_QTY_W'),
        ), settles=True),
        Register('known_slots', 0x038, 32, (
            Field('value', 0, 17, Kind.STATUS, 'sts_known_slots', True, False),
        )),
        Register('update_count', 0x03c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_update_count', True, False, bits='COUNT_W'),
        )),
        Register('roll_count', 0x040, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_roll_count', True, False, bits='COUNT_W'),
        )),
        Register('skipped_count', 0x044, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_skipped_count', True, False, bits='COUNT_W'),
        )),
        Register('malformed_count', 0x048, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_malformed_count', True, False, bits='COUNT_W'),
        )),
        Register('poison_count', 0x04c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_poison_count', True, False, bits='COUNT_W'),
        )),
        Register('orphan_count', 0x050, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_orphan_count', True, False, bits='COUNT_W'),
        )),
        Register('full_count', 0x054, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_full_count', True, False, bits='COUNT_W'),
        )),
        Register('inconsistent_count', 0x058, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_inconsistent_count', True, False, bits='COUNT_W'),
        )),
        Register('range_count', 0x05c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_range_count', True, False, bits='COUNT_W'),
        )),
        Register('exhausted_count', 0x060, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_exhausted_count', True, False, bits='COUNT_W'),
        )),
    ),
)
