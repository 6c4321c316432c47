"""Registers of order_encoder: generated, see `penstock_hw.registers`; change rtl/regs/order_encoder.rdl."""

# fmt: off

from penstock_hw.registers.model import Block, Field, Kind, Register

ID = 0x454e434f  # ENCO
VERSION = 1
LAYOUT_HASH = 0xe6741027

SLOTS = 0x010  # r, 32 bits
SLOTS_MASK = 0xffffffff
KILL = 0x014  # rw, 32 bits
KILL_MASK = 0x1
KILL_RESET = 1
FORMAT_OUCH = 0x018  # rw, 32 bits
FORMAT_OUCH_MASK = 0x1
FORMAT_OUCH_RESET = 0
ORDER_BASE = 0x020  # rw, 64 bits
ORDER_BASE_MASK = 0xffffffffffffffff
ORDER_BASE_RESET = 0
ORDER_KIND = 0x028  # rw, 32 bits
ORDER_KIND_MASK = 0x1
ORDER_KIND_RESET = 0
PRODUCER = 0x02c  # rw, 32 bits
PRODUCER_MASK = 0xffff
PRODUCER_RESET = 0
VENUE_ID = 0x030  # rw, 32 bits
VENUE_ID_MASK = 0xffffffff
VENUE_ID_RESET = 0
STRATEGY_ID = 0x034  # rw, 32 bits
STRATEGY_ID_MASK = 0xffffffff
STRATEGY_ID_RESET = 0
BOOK_ID = 0x038  # rw, 32 bits
BOOK_ID_MASK = 0xffffffff
BOOK_ID_RESET = 0
ALGO_ID = 0x03c  # rw, 32 bits
ALGO_ID_MASK = 0xffffffff
ALGO_ID_RESET = 0
ALGO_VERSION = 0x040  # rw, 32 bits
ALGO_VERSION_MASK = 0xffffffff
ALGO_VERSION_RESET = 0
TRADER_ID = 0x044  # rw, 32 bits
TRADER_ID_MASK = 0xffffffff
TRADER_ID_RESET = 0
ACCOUNT_ID = 0x048  # rw, 32 bits
ACCOUNT_ID_MASK = 0xffffffff
ACCOUNT_ID_RESET = 0
OUCH_TIME_IN_FORCE = 0x04c  # rw, 32 bits
OUCH_TIME_IN_FORCE_MASK = 0xffffffff
OUCH_TIME_IN_FORCE_RESET = 0
OUCH_FIRM = 0x050  # rw, 32 bits
OUCH_FIRM_MASK = 0xffffffff
OUCH_FIRM_RESET = 0
OUCH_DISPLAY = 0x054  # rw, 32 bits
OUCH_DISPLAY_MASK = 0xff
OUCH_DISPLAY_RESET = 0
OUCH_CUSTOMER = 0x058  # rw, 32 bits
OUCH_CUSTOMER_MASK = 0xff
OUCH_CUSTOMER_RESET = 0
LISTING_INDEX = 0x05c  # rw, 32 bits
LISTING_INDEX_MASK = 0xffff
LISTING_INDEX_RESET = 0
LISTING_VALID = 0x060  # rw, 32 bits
LISTING_VALID_MASK = 0x1
LISTING_VALID_RESET = 0
LISTING_ID = 0x064  # rw, 32 bits
LISTING_ID_MASK = 0xffffffff
LISTING_ID_RESET = 0
LISTING_SYMBOL = 0x068  # rw, 64 bits
LISTING_SYMBOL_MASK = 0xffffffffffffffff
LISTING_SYMBOL_RESET = 0
LISTING = 0x070  # pulse, 32 bits
LISTING_MASK = 0x1
SENT_COUNT = 0x078  # r, 64 bits
SENT_COUNT_MASK = 0xffffffffffffffff
OTHER_COUNT = 0x080  # r, 32 bits
OTHER_COUNT_MASK = 0xffffffff
REFUSED_COUNT = 0x084  # r, 32 bits
REFUSED_COUNT_MASK = 0xffffffff
KILLED_COUNT = 0x088  # r, 32 bits
KILLED_COUNT_MASK = 0xffffffff
UNLISTED_COUNT = 0x08c  # r, 32 bits
UNLISTED_COUNT_MASK = 0xffffffff
RANGE_COUNT = 0x090  # r, 32 bits
RANGE_COUNT_MASK = 0xffffffff

BLOCK = Block(
    'order_encoder', ID, VERSION, {
        'SLOTS': 256,
        'COUNT_W': 32,
    }, (
        Register('slots', 0x010, 32, (
            Field('value', 0, 32, Kind.CONSTANT, '', True, False, constant='SLOTS'),
        )),
        Register('kill', 0x014, 32, (
            Field('kill', 0, 1, Kind.CONFIG, 'cfg_kill', True, True, reset=1),
        )),
        Register('format_ouch', 0x018, 32, (
            Field('value', 0, 1, Kind.CONFIG, 'cfg_format_ouch', True, True),
        )),
        Register('order_base', 0x020, 64, (
            Field('value', 0, 64, Kind.CONFIG, 'cfg_order_base', True, True, bits='64'),
        )),
        Register('order_kind', 0x028, 32, (
            Field('value', 0, 1, Kind.CONFIG, 'cfg_order_kind', True, True),
        )),
        Register('producer', 0x02c, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_producer', True, True),
        )),
        Register('venue_id', 0x030, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_venue_id', True, True),
        )),
        Register('strategy_id', 0x034, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_strategy_id', True, True),
        )),
        Register('book_id', 0x038, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_book_id', True, True),
        )),
        Register('algo_id', 0x03c, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_algo_id', True, True),
        )),
        Register('algo_version', 0x040, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_algo_version', True, True),
        )),
        Register('trader_id', 0x044, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_trader_id', True, True),
        )),
        Register('account_id', 0x048, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_account_id', True, True),
        )),
        Register('ouch_time_in_force', 0x04c, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_ouch_time_in_force', True, True),
        )),
        Register('ouch_firm', 0x050, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_ouch_firm', True, True),
        )),
        Register('ouch_display', 0x054, 32, (
            Field('value', 0, 8, Kind.CONFIG, 'cfg_ouch_display', True, True),
        )),
        Register('ouch_customer', 0x058, 32, (
            Field('value', 0, 8, Kind.CONFIG, 'cfg_ouch_customer', True, True),
        )),
        Register('listing_index', 0x05c, 32, (
            Field('value', 0, 16, Kind.CONFIG, 'cfg_listing_index', True, True, below='SLOTS'),
        )),
        Register('listing_valid', 0x060, 32, (
            Field('value', 0, 1, Kind.CONFIG, 'cfg_listing_valid', True, True),
        )),
        Register('listing_id', 0x064, 32, (
            Field('value', 0, 32, Kind.CONFIG, 'cfg_listing_id', True, True),
        )),
        Register('listing_symbol', 0x068, 64, (
            Field('value', 0, 64, Kind.CONFIG, 'cfg_listing_symbol', True, True),
        )),
        Register('listing', 0x070, 32, (
            Field('write', 0, 1, Kind.PULSE, 'cfg_listing_write', False, True),
        )),
        Register('sent_count', 0x078, 64, (
            Field('value', 0, 64, Kind.STATUS, 'sts_sent_count', True, False),
        )),
        Register('other_count', 0x080, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_other_count', True, False, bits='COUNT_W'),
        )),
        Register('refused_count', 0x084, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_refused_count', True, False, bits='COUNT_W'),
        )),
        Register('killed_count', 0x088, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_killed_count', True, False, bits='COUNT_W'),
        )),
        Register('unlisted_count', 0x08c, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_unlisted_count', True, False, bits='COUNT_W'),
        )),
        Register('range_count', 0x090, 32, (
            Field('value', 0, 32, Kind.STATUS, 'sts_range_count', True, False, bits='COUNT_W'),
        )),
    ),
)
